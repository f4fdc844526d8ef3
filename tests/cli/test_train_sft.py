"""The verb: packed rows or raw sources in, a checkpoint out, and a run that is killed goes on."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.packing.corpus import TOOLS, write_jsonl
from tests.train.sft_sets import conversations, packed, small_model

from regreen.cli.main import main
from regreen.model import load_checkpoint, save_checkpoint
from regreen.store.run import RunDirectory
from regreen.train.vocabulary import checkpoint_tokenizer

FAST = ("--batch-tokens", "1000", "--micro-tokens", "1000", "--device", "cpu")
TIMES = ("seconds", "eta_seconds", "tokens_per_second", "memory_bytes")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("verb")
    packed(path / "set", 6, capacity=900)
    save_checkpoint(small_model(), path / "model")
    return path


def run(*arguments: str | Path) -> int:
    with pytest.raises(SystemExit) as stop:
        main([str(argument) for argument in arguments])
    return int(stop.value.code or 0)


def rows(path: Path) -> list[dict[str, Any]]:
    found = list(RunDirectory.open(path).metrics())
    return [{k: v for k, v in row.items() if k not in TIMES} for row in found]


def test_packed_rows_become_a_checkpoint(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ("--epochs", "2", "--held-out", "0.2", "--weight", "tool=0.1", "--json")
    assert run("train", "sft", root / "set", "--model", root / "model", *FAST, *flags,
               "--run", tmp_path / "run") == 0  # fmt: skip

    told = json.loads(capsys.readouterr().out)
    checkpoint = Path(told["checkpoint"])
    assert load_checkpoint(checkpoint).config.vocab_size == 272
    assert checkpoint_tokenizer(checkpoint).size == 259
    kept = rows(tmp_path / "run")
    assert [row["step"] for row in kept if "loss" in row] == list(range(1, told["step"] + 1))
    assert {"loss", "loss/tool", "loss/call", "lr", "grad_norm", "tokens"} <= kept[1].keys()
    assert "held_out/loss/call" in kept[0]
    assert told["metrics"]["loss"] == kept[-2]["loss"]

    # a run is a model too, and its settings stand in its folder
    again = ("--model", tmp_path / "run", "--steps", "1", "--run", tmp_path / "second")
    assert run("train", "sft", root / "set", *FAST, *again) == 0
    assert "steps = 1" in (tmp_path / "second" / "config.toml").read_text()


def test_raw_sources_are_packed_first(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    chats = write_jsonl(
        tmp_path / "chats.jsonl", [{"messages": rows, "tools": TOOLS} for rows in conversations(2)]
    )
    (tmp_path / "notes.txt").write_text("some words " * 30)
    settings = tmp_path / "s.toml"
    settings.write_text("[train.sft]\nsteps = 1\nlearning_rate = 1e-3\n[pack]\ncapacity = 1000\n")
    raw = (chats, tmp_path / "notes.txt", "--tokenizer", "bytes", "--tool-format", "hermes")
    ends = ("--model", "1m", "-c", settings, *FAST)
    assert run("train", "sft", *raw, *ends, "--dry-run", "--run", tmp_path / "no") == 0
    assert not (tmp_path / "no").exists()
    capsys.readouterr()
    assert run("train", "sft", *raw, *ends, "--run", tmp_path / "run") == 0
    out = capsys.readouterr().out
    assert "step-000001" in out
    header = json.loads((tmp_path / "run" / "packed" / "header.json").read_text())
    assert header["num_documents"] == 3
    model = load_checkpoint(tmp_path / "run" / "checkpoints" / "step-000001")
    assert model.config.vocab_size == header["vocabulary"]["size"]


def test_a_dry_run_says_what_a_run_would_be(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ("train", "sft", root / "set", *FAST, "--dry-run", "--run", tmp_path / "run")
    assert run(*given, "--model", root / "model", "--epochs", "3", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert run(*given, "--model", root / "model", "--epochs", "3") == 0
    shown = capsys.readouterr().out
    assert f"steps: {told['steps']}" in shown
    assert "moments of AdamW" in shown
    deeper = (*given[:-1], tmp_path / "further" / "run")
    assert run(*deeper, "--model", root / "model") == 0
    capsys.readouterr()
    assert not list(tmp_path.iterdir())
    assert run(*given, "--model", "80b", "--json") == 0
    larger = json.loads(capsys.readouterr().out)
    assert larger["estimate"]["bytes"] > 10**12 > 10**9 > told["estimate"]["bytes"]

    assert told["estimate"]["seconds"] is None
    assert run(*given, "--model", root / "model", "--epochs", "3", "--measure", "--json") == 0
    timed = json.loads(capsys.readouterr().out)["estimate"]
    assert timed["seconds"][0] == pytest.approx(told["steps"] * timed["train_seconds_per_step"])
    assert "documents of" in timed["supposing"]
    assert run(*given, "--model", "80b", "--measure") == 3
    error = capsys.readouterr().err
    assert "GB here" in error
    assert error.count("\n") == 3

    real = ("train", "sft", root / "set", *FAST, "--run", tmp_path / "run", "--json")
    assert run(*real, "--model", root / "model", "--epochs", "3") == 0
    assert json.loads(capsys.readouterr().out)["step"] == told["steps"]


def test_what_does_not_fit_is_told_in_three_lines(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def told(*arguments: str | Path) -> str:
        given = ("train", "sft", *arguments, *FAST, "--run", tmp_path / "run")
        assert run(*given) == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 3
        assert not (tmp_path / "run").exists()
        return error

    assert "no such file" in told(tmp_path / "nothing", "--model", "1m")
    assert "did you mean 1m" in told(root / "set", "--model", "1M")
    assert "no token has the role" in told(root / "set", "--model", "1m", "--weight", "tols=1")
    assert "nothing is packed in" in told(root / "set", "--model", "1m", "--template-weight", "x=1")
    assert "no share, and others" in told(f"{root / 'set'}=2", root / "set", "--model", "1m")
    assert "a run measures itself" in told(root / "set", "--model", "1m", "--measure")
    assert "no dashboard" in told(root / "set", "--model", "1m", "--track", "paper")
    assert "gives no name a weight" in told(root / "set", "--model", "1m", "--weight", "tool")
    assert "unknown key" in told(root / "set", "--model", "1m", "-c", _file(tmp_path, "stepz = 1"))
    small = tmp_path / "small"
    save_checkpoint(small_model(vocab_size=200), small)
    assert "the model knows 200" in told(root / "set", "--model", small, "--dry-run")
    other = tmp_path / "other"
    save_checkpoint(small_model(), other)
    record = {"name": "bytes", "digest": "x", "size": 258, "pad": 0, "specials": ["<a>", "<b>"]}
    (other / "vocabulary.json").write_text(json.dumps(record))
    assert "another vocabulary" in told(root / "set", "--model", other, "--dry-run")
    (other / "vocabulary.json").unlink()
    (other / "tokenizer.json").write_text("{}")
    both = told(root / "set", packed(tmp_path / "third", 1, diversity=None, tool_format="kimik2"),
                "--model", root / "model", "--dry-run")  # fmt: skip
    assert "another vocabulary than" in both


def _file(folder: Path, line: str) -> Path:
    (folder / "bad.toml").write_text(f"[train.sft]\n{line}\n")
    return folder / "bad.toml"


def start(root: Path, path: Path, *flags: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "regreen", "train", "sft", str(root / "set"),
               "--model", str(root / "model"), *FAST, "--steps", "400", "--checkpoint-every", "3",
               "--run", str(path), *flags]  # fmt: skip
    return subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )


def wait_for(path: Path, step: int) -> None:
    for _ in range(6000):
        if (path / "metrics.jsonl").exists() and len(rows(path)) > step:
            return
        time.sleep(0.01)
    pytest.fail("the run does not come forward")


@pytest.mark.slow
def test_killed_and_interrupted_it_ends_as_if_nothing_had_happened(
    root: Path, tmp_path: Path
) -> None:
    killed = start(root, tmp_path / "run")
    wait_for(tmp_path / "run", 4)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    at = len(rows(tmp_path / "run"))
    assert (tmp_path / "run" / "checkpoints").is_dir()

    stopped = start(root, tmp_path / "run", "--resume")
    wait_for(tmp_path / "run", at + 4)
    stopped.send_signal(signal.SIGINT)
    _, error = stopped.communicate()
    assert stopped.returncode == 130, error
    assert error.rstrip().splitlines()[-1].startswith("regreen train sft")
    assert error.rstrip().endswith("--resume")
    found = rows(tmp_path / "run")
    assert [row["step"] for row in found] == list(range(1, len(found) + 1))
    newest = max(path.name for path in (tmp_path / "run" / "checkpoints").iterdir())
    assert newest == f"step-{len(found):06}"

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        whole = start(root, tmp_path / "whole")
        wait_for(tmp_path / "whole", len(found))
        whole.send_signal(signal.SIGKILL)
        whole.communicate()
    finally:
        torch.set_num_threads(threads)
    assert rows(tmp_path / "whole")[: len(found)] == found


@pytest.mark.slow
def test_two_processes_go_on_where_one_stopped_and_learn_the_same(
    root: Path, tmp_path: Path
) -> None:
    save_checkpoint(small_model(num_nextn_predict_layers=1), tmp_path / "model")
    flags = ("train", "sft", str(root / "set"), "--model", str(tmp_path / "model"), *FAST,
             "--steps", "6", "--held-out", "0.2", "--lr", "1e-2",
             "--evaluate-every", "2", "--checkpoint-every", "3", "--run")  # fmt: skip
    assert run(*flags, tmp_path / "one") == 0
    shutil.copytree(tmp_path / "one", tmp_path / "both")
    shutil.rmtree(tmp_path / "both" / "checkpoints" / "step-000006")
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone",
                "--nproc-per-node", "2", "-m", "--", "regreen"]  # fmt: skip
    done = subprocess.run(
        [*torchrun, *flags, str(tmp_path / "both"), "--resume"],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        check=False,
    )
    assert done.returncode == 0, done.stderr

    one, both = rows(tmp_path / "one"), rows(tmp_path / "both")
    assert len(one) == len(both) == 6 + 4
    for mine, theirs in zip(one, both, strict=True):
        assert theirs == pytest.approx(mine, rel=1e-5)
