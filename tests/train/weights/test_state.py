"""Checkpoints: an exact resume, and nothing lost when the disk or the process ends."""

from __future__ import annotations

import json
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from regreen.core.errors import InfrastructureError, UsageError
from regreen.model import SHAPES, Decoder
from regreen.model.checkpoint import load_checkpoint
from regreen.train.compute.optim import OptimConfig, Optimiser
from regreen.train.weights.state import Checkpoints

SMALL = SHAPES["1m"].model_copy(
    update={"vocab_size": 32, "hidden_size": 16, "num_hidden_layers": 4, "num_experts": 2}
)
CONFIG = OptimConfig(learning_rate=1e-2, warm_up=3)


def fresh(seed: int = 1, **changes: object) -> tuple[Decoder, Optimiser]:
    torch.manual_seed(seed)
    model = Decoder(SMALL.model_copy(update=changes))
    return model, Optimiser(model, CONFIG)


def train(model: Decoder, optimiser: Optimiser, steps: int) -> None:
    """Steps on batches that torch's own generator draws."""
    for _ in range(steps):
        tokens_BT = torch.randint(0, SMALL.vocab_size, (2, 7))
        output = model(tokens_BT)
        output.logits.float().log_softmax(-1)[..., 0].sum().backward()
        assert optimiser.apply().applied


def weights_of(model: Decoder) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@contextmanager
def small_files(size: int) -> Iterator[None]:
    """No file of this process may become larger, as on a full disk; the system says EFBIG."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_resumed_run_is_the_uninterrupted_one_bit_for_bit(tmp_path: Path) -> None:
    model, optimiser = fresh()
    train(model, optimiser, 2)
    extra = {"position": [3, 4], "note": "ä", "share": 0.1}
    at = Checkpoints(tmp_path).save(2, model, optimiser, extra)
    train(model, optimiser, 3)
    other, again = fresh(seed=9)
    store = Checkpoints(tmp_path)
    assert store.latest() == at == tmp_path / "step-000002"
    assert store.load(at, other, again) == extra
    assert again.step_number == 2
    train(other, again, 3)  # torch's generator was put back too, or the batches would differ
    assert same(weights_of(model), weights_of(other))
    assert again.step_number == optimiser.step_number == 5


def test_the_model_in_it_is_one_that_engines_read(tmp_path: Path) -> None:
    model, optimiser = fresh(tie_word_embeddings=False, num_nextn_predict_layers=1)
    at = Checkpoints(tmp_path).save(1, model, optimiser, {})
    assert same(weights_of(load_checkpoint(at)), weights_of(model))


def test_the_newest_stay_and_others_go(tmp_path: Path) -> None:
    model, optimiser = fresh()
    store = Checkpoints(tmp_path, keep=2)
    assert store.latest() is None
    for step in (5, 40, 1_000_000, 999_999):
        store.save(step, model, optimiser, {"step": step})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-1000000", "step-999999"]
    latest = store.latest()
    assert latest is not None
    assert latest.name == "step-1000000"
    with pytest.raises(UsageError, match="keep 0"):
        Checkpoints(tmp_path, keep=0)


def test_a_step_saved_again_is_replaced(tmp_path: Path) -> None:
    model, optimiser = fresh()
    store = Checkpoints(tmp_path)
    store.save(1, model, optimiser, {"turn": 1})
    at = store.save(1, model, optimiser, {"turn": 2})
    assert store.load(at, model, optimiser) == {"turn": 2}
    assert [path.name for path in tmp_path.iterdir()] == ["step-000001"]


def test_a_replacement_that_was_cut_short_leaves_the_older_one(tmp_path: Path) -> None:
    model, optimiser = fresh()
    store = Checkpoints(tmp_path)
    at = store.save(1, model, optimiser, {"turn": 1})
    at.rename(tmp_path / ".replaced-step-000001")  # the state between the two renames
    assert store.latest() == at
    assert store.load(at, model, optimiser) == {"turn": 1}


def test_half_written_folders_are_passed_over_and_removed(tmp_path: Path) -> None:
    model, optimiser = fresh()
    store = Checkpoints(tmp_path)
    at = store.save(3, model, optimiser, {})
    shutil.copytree(at, tmp_path / ".writing-step-000004")
    shutil.copytree(at, tmp_path / ".removing-step-000002")
    shutil.copytree(at, tmp_path / "step-000009")
    (tmp_path / "step-000009" / "state.json").unlink()
    (tmp_path / "step-000010").write_text("a file")
    (tmp_path / "notes").mkdir()
    assert store.latest() == at
    store.save(4, model, optimiser, {})
    assert not list(tmp_path.glob(".*"))
    assert (tmp_path / "notes").is_dir()


@pytest.mark.parametrize("size", [4_096, 40_000])
def test_a_full_disk_is_three_lines_and_spares_the_older(tmp_path: Path, size: int) -> None:
    """Once while the model, once while the optimiser is being written."""
    model, optimiser = fresh()
    store = Checkpoints(tmp_path)
    at = store.save(1, model, optimiser, {"turn": 1})
    before = {path: path.read_bytes() for path in at.rglob("*") if path.is_file()}
    model_bytes = (at / "model.safetensors").stat().st_size
    moments_bytes = max(path.stat().st_size for path in (at / "optimiser").iterdir())
    assert model_bytes < moments_bytes
    limit = 4_096 if size == 4_096 else (model_bytes + moments_bytes) // 2
    with small_files(limit), pytest.raises(InfrastructureError) as caught:
        store.save(2, model, optimiser, {"turn": 2})
    assert len(caught.value.lines()) == 3
    assert "too large" in caught.value.what
    assert "--resume" in caught.value.mend or "disk" in caught.value.mend
    assert store.latest() == at
    assert before == {path: path.read_bytes() for path in at.rglob("*") if path.is_file()}
    store.save(2, model, optimiser, {"turn": 2})
    assert not list(tmp_path.glob(".*"))


def test_what_is_not_json_is_refused_before_anything_is_published(tmp_path: Path) -> None:
    model, optimiser = fresh()
    with pytest.raises(UsageError, match="not JSON"):
        Checkpoints(tmp_path).save(1, model, optimiser, {"array": torch.zeros(2)})
    assert Checkpoints(tmp_path).latest() is None


def test_another_model_or_half_a_folder_is_said_plainly(tmp_path: Path) -> None:
    model, optimiser = fresh()
    store = Checkpoints(tmp_path)
    at = store.save(1, model, optimiser, {})
    with pytest.raises(UsageError, match="num_experts is 2, not 4"):
        store.load(at, *fresh(num_experts=4))
    with pytest.raises(UsageError, match=r"state\.json cannot be read"):
        store.load(tmp_path, model, optimiser)
    state = json.loads((at / "state.json").read_text())
    (at / "state.json").write_text(json.dumps({**state, "version": 2}))
    with pytest.raises(UsageError, match="version 2"):
        store.load(at, model, optimiser)
    (at / "state.json").write_text("{}")
    with pytest.raises(UsageError, match="not understood"):
        store.load(at, model, optimiser)
    (at / "state.json").write_text(json.dumps(state))
    shutil.rmtree(at / "optimiser")
    with pytest.raises(UsageError, match="optimiser's state cannot be read"):
        store.load(at, model, optimiser)


JOB = """
import sys
from pathlib import Path
import torch
sys.path.insert(0, sys.argv[1])
from test_state import fresh, train, weights_of
from regreen.train.weights.state import Checkpoints
torch.set_num_threads(1)
store = Checkpoints(Path(sys.argv[2]))
model, optimiser = fresh(hidden_size=256)
at = store.latest()
done = 0 if at is None else store.load(at, model, optimiser)["done"]
for step in range(done, 6):
    train(model, optimiser, 1)
    store.save(step + 1, model, optimiser, {"done": step + 1})
    print("saved", step + 1, flush=True)
torch.save(weights_of(model), Path(sys.argv[2]) / "end.pt")
"""


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["model.safetensors", "optimiser", "state.json"])
def test_a_run_killed_while_it_saves_ends_as_if_it_had_not_been(
    tmp_path: Path, moment: str
) -> None:
    command = [sys.executable, "-c", JOB, str(Path(__file__).parents[1])]
    straight, killed = tmp_path / "straight", tmp_path / "killed"
    for folder in (straight, killed):
        folder.mkdir()
    subprocess.run([*command, str(straight)], check=True, capture_output=True)
    with subprocess.Popen([*command, str(killed)], stdout=subprocess.PIPE) as process:
        while not any(killed.glob(f".writing-step-000003/{moment}")):
            assert process.poll() is None, "it ended before it could be killed"
            time.sleep(0)
        process.send_signal(signal.SIGKILL)
    found = Checkpoints(killed).latest()
    assert found is not None
    assert found.name in {"step-000002", "step-000003"}  # the rename may have been quicker
    again = subprocess.run([*command, str(killed)], check=True, capture_output=True, text=True)
    assert again.stdout.splitlines()[0] == f"saved {int(found.name[-1]) + 1}"
    assert not list(killed.glob(".*"))
    one, other = (torch.load(folder / "end.pt") for folder in (straight, killed))
    assert same(one, other)
