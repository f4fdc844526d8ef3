"""The loop: the golden curve, and that no break, of any kind, leaves a trace in it.

The curve is that of float64, where the order of sums says nothing. After a change that is meant to
move it, REGREEN_WRITE_GOLDEN=1 writes the file anew.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.train.sft_sets import packed, small_config, small_model

from regreen.core.console import Console
from regreen.core.errors import RegreenError, UsageError
from regreen.model import save_checkpoint
from regreen.store.run import RunDirectory
from regreen.train.sft.config import SftConfig
from regreen.train.sft.loop import SftJob, SftResult, train_sft
from regreen.train.sft.sources import open_data, read_sources
from regreen.train.start import Start
from regreen.train.stop import Asked

GOLDEN = Path(__file__).with_name("golden_sft.json")
TOLERANCE = 1e-4
CURVE = {
    "steps": 6,
    "batch_tokens": 1000,
    "micro_tokens": 700,
    "learning_rate": 1e-2,
    "dtype": "float64",
    "checkpoint_every": 100,
    "evaluate_every": 3,
    "held_out": "0.2",
    "weights": {"tool": 0.1, "call": 2.0},
}
TIMES = ("seconds", "eta_seconds", "tokens_per_second", "memory_bytes")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sft")
    packed(path / "set", 6, capacity=900)
    torch.manual_seed(5)
    save_checkpoint(small_model(num_nextn_predict_layers=1), path / "model")
    return path


def train(
    root: Path, run: Path, asked: Asked | None = None, folder: Path | None = None, **changes: Any
) -> SftResult:
    """A run on the small set, gone on with where it is there."""
    config = SftConfig(**{**CURVE, **changes})
    data = open_data(read_sources([str(root / "set")]), config)
    folder = folder or root / "model"
    start = Start(small_config(num_nextn_predict_layers=1), folder)
    with RunDirectory.create(run, config=config.model_dump(), lock={}, resume=True) as directory:
        job = SftJob(
            config=config, data=data, start=start, vocabulary=259, run=directory, beside={}
        )
        with Console(quiet=True).progress("step", total=1) as progress:
            return train_sft(job, asked=asked, progress=progress)


def rows(run: Path) -> list[dict[str, Any]]:
    """What was recorded, less what time and the machine decide."""
    found = list(RunDirectory.open(run).metrics())
    return [{k: v for k, v in row.items() if k not in TIMES} for row in found]


def curve(run: Path) -> dict[str, list[float]]:
    names = ("loss", "loss/call", "loss/tool", "loss_after_next", "balance", "held_out/loss")
    return {name: [row[name] for row in rows(run) if name in row] for name in names}


def farthest(one: dict[str, list[float]], other: dict[str, list[float]]) -> float:
    """The largest relative difference of two curves."""
    assert {name: len(values) for name, values in one.items()} == {
        name: len(values) for name, values in other.items()
    }
    return max(float(np.max(np.abs(np.array(one[n]) / np.array(other[n]) - 1))) for n in one)


def test_the_curve_is_what_it_was(root: Path, tmp_path: Path) -> None:
    found = train(root, tmp_path / "run")
    new = curve(tmp_path / "run")
    if os.environ.get("REGREEN_WRITE_GOLDEN"):
        rounded = {name: [round(value, 8) for value in values] for name, values in new.items()}
        GOLDEN.write_text(json.dumps(rounded, indent=1) + "\n")
    golden = json.loads(GOLDEN.read_text())

    assert farthest(new, golden) < TOLERANCE
    assert [len(values) for values in golden.values()] == [6, 6, 6, 6, 6, 3]
    assert golden["loss"][-1] < golden["loss"][0] - 0.5
    assert golden["held_out/loss"][-1] < golden["held_out/loss"][0] - 0.5
    assert (found.step, found.num_steps, found.stopped) == (6, 6, False)
    assert found.checkpoint.name == "step-000006"
    assert found.metrics["loss"] == pytest.approx(golden["loss"][-1], rel=TOLERANCE)


@pytest.mark.parametrize(
    "changes",
    [
        {"weights": {"tool": 0.1, "call": 2.01}},
        {"weights": {"tool": 0.1, "call": 2.0, "end": 0.0}},
        {"next_token_weight": 0.29},
    ],
    ids=str,
)
def test_a_wrong_weight_leaves_the_curve(
    root: Path, tmp_path: Path, changes: dict[str, Any]
) -> None:
    train(root, tmp_path / "run", **changes)
    assert farthest(curve(tmp_path / "run"), json.loads(GOLDEN.read_text())) > TOLERANCE


def test_a_wrong_shift_leaves_the_curve(root: Path, tmp_path: Path) -> None:
    """Labels that stand one token too early, as they would if the shift were made twice."""
    shard = root / "shifted"
    packed(shard, 6, capacity=900)
    record = json.loads((shard / "header.json").read_text())["shards"][0]
    header = json.loads((shard / "header.json").read_text())
    size, rows_ = header["capacity"], record["rows"]
    content = bytearray((shard / record["name"]).read_bytes())
    at = 64 + -(-size * rows_ * 2 // 64) * 64
    labels = np.frombuffer(bytes(content[at : at + size * rows_]), np.uint8)
    content[at : at + size * rows_] = np.roll(labels, -1).tobytes()
    (shard / record["name"]).write_bytes(content)
    config = SftConfig(**CURVE)
    data = open_data(read_sources([str(shard)]), config)
    start = Start(small_config(num_nextn_predict_layers=1), root / "model")
    with RunDirectory.create(tmp_path / "run", config={}, lock={}) as run:
        train_sft(SftJob(config=config, data=data, start=start, vocabulary=259, run=run, beside={}))
    assert farthest(curve(tmp_path / "run"), json.loads(GOLDEN.read_text())) > TOLERANCE


def test_neither_micro_batches_nor_layers_computed_twice_decide_about_anything(
    root: Path, tmp_path: Path
) -> None:
    train(root, tmp_path / "run", micro_tokens=1, recompute=True)
    assert farthest(curve(tmp_path / "run"), json.loads(GOLDEN.read_text())) < 1e-6


class _After(Asked):
    """Asks to stop when it has been looked at so often."""

    def __init__(self, steps: int) -> None:
        self._left = steps

    @property
    def stop(self) -> bool:  # type: ignore[override]
        self._left -= 1
        return self._left < 0


def test_stopped_anywhere_it_ends_the_same_to_the_bit(root: Path, tmp_path: Path) -> None:
    whole = train(root, tmp_path / "whole", dtype="float32")
    broken = train(root, tmp_path / "broken", _After(2), dtype="float32")
    assert (broken.step, broken.stopped) == (3, True)
    broken = train(root, tmp_path / "broken", _After(0), dtype="float32")
    assert broken.step == 4
    # what a killed process wrote behind its last checkpoint is not told twice
    with RunDirectory.open(tmp_path / "broken") as run:
        run.append_metric({"step": 5, "loss": 99.0})
    broken = train(root, tmp_path / "broken", dtype="float32")

    assert rows(tmp_path / "broken") == rows(tmp_path / "whole")
    for name in ("model.safetensors", "config.json"):
        assert (broken.checkpoint / name).read_bytes() == (whole.checkpoint / name).read_bytes()
    again = train(root, tmp_path / "broken", dtype="float32")
    assert again.metrics["loss"] == whole.metrics["loss"]
    assert rows(tmp_path / "broken") == rows(tmp_path / "whole")


def test_refused_steps_are_recorded_and_bounded(root: Path, tmp_path: Path) -> None:
    model = small_model(num_nextn_predict_layers=1)
    with torch.no_grad():
        model.norm.weight[0] = torch.nan
    save_checkpoint(model, tmp_path / "broken")
    with pytest.raises(RegreenError, match=r"3 steps in a row were refused; .*not finite") as found:
        train(root, tmp_path / "run", folder=tmp_path / "broken", max_bad_steps=3)

    told = [row for row in rows(tmp_path / "run") if row["step"]]
    assert [row["step"] for row in told] == [1, 2, 3]
    assert all("not finite" in row["refused"] for row in told)
    assert not (tmp_path / "run" / "checkpoints").exists()
    assert found.value.mend


def test_a_batch_without_weight_is_no_step(root: Path, tmp_path: Path) -> None:
    """With calls alone, the rows that hold only text teach nothing."""
    weights = dict.fromkeys(("assistant", "call", "end"), 0.0)
    train(root, tmp_path / "run", weights=weights, batch_tokens=1, held_out="", steps=8)
    told = [row for row in rows(tmp_path / "run") if row["step"]]
    refused = [row for row in told if "refused" in row]
    assert 0 < len(refused) < 8
    assert all("no token" in row["refused"] for row in refused)
    assert all(set(row) & {"loss/text"} for row in told if "refused" not in row)


def test_one_process_has_no_other_type_to_compute_in(root: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="the type of its weights"):
        train(root, tmp_path / "run", compute_dtype="bfloat16")
