"""The verbs: problems in, a checkpoint out; what cannot begin says so in three lines."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from tests.train.sft_sets import small_model

from regreen.cli.main import main
from regreen.model import load_checkpoint, save_checkpoint
from regreen.packing.vocabulary import record_vocabulary
from regreen.store.run import RunDirectory
from regreen.train.vocabulary import VOCABULARY, checkpoint_tokenizer

PROBLEMS = Path(__file__).parents[1] / "train" / "code" / "problems.jsonl"
SMALL = (
    "--stage", "code", "--groups", "2", "--group-size", "4", "--max-context", "2000",
    "--max-tokens", "6", "--device", "cpu", "--checkpoint-every", "1",
)  # fmt: skip
KEY = "0123456789abcdef0123456789abcdef"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of random weights in the bytes' vocabulary, and two files of problems."""
    path = tmp_path_factory.mktemp("rl")
    save_checkpoint(small_model(), path / "model")
    record = record_vocabulary("bytes", ["qwen3_coder"], "<|endoftext|>")
    (path / "model" / VOCABULARY).write_text(json.dumps(record.model_dump()))
    lines = PROBLEMS.read_text().splitlines(keepends=True)
    (path / "train.jsonl").write_text("".join(lines[:4]))
    (path / "held.jsonl").write_text("".join(lines[4:6]))
    return path


def run(*arguments: str | Path) -> int:
    with pytest.raises(SystemExit) as stop:
        main([str(argument) for argument in arguments])
    return int(stop.value.code or 0)


def rl(root: Path, out: Path, *flags: str | Path) -> int:
    return run("train", "rl", root / "train.jsonl", "--model", root / "model", "--run", out,
               *SMALL, *flags)  # fmt: skip


def command(*arguments: str | Path) -> list[str]:
    start = "import sys; from regreen.cli.main import main; main(sys.argv[1:])"
    return [sys.executable, "-c", start, *map(str, arguments)]


def metrics(path: Path) -> list[dict[str, Any]]:
    return list(RunDirectory.open(path).metrics())


@pytest.mark.slow
def test_problems_make_a_checkpoint_and_a_report(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    flags = ("--steps", "1", "-j", "0", "--held-out", root / "held.jsonl", "--json")
    assert rl(root, out, *flags) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["steps"] == 1
    assert told["held_out"]["rollouts"] == 2
    checkpoint = Path(told["checkpoint"])
    assert load_checkpoint(checkpoint).config.vocab_size == 272
    assert checkpoint_tokenizer(checkpoint).size == 259
    found = metrics(out)
    assert [row["step"] for row in found] == [0, 1, 1]
    assert found[1]["rollouts"] == 8
    records = list(RunDirectory.open(out).trajectories())
    assert len(records) == 8 + 2
    assert all(record.messages[-1]["role"] == "assistant" for record in records)
    assert run("report", out) == 0
    assert (out / "report.html").is_file()

    assert rl(root, out, *flags) == 2
    assert "--resume" in capsys.readouterr().err
    assert rl(root, out, *flags, "--resume") == 0
    assert json.loads(capsys.readouterr().out)["checkpoint"] == str(checkpoint)
    assert metrics(out) == found
    assert rl(root, out, *flags, "--resume", "--lr", "1e-3") == 2
    assert "optimiser.learning_rate" in capsys.readouterr().err


def test_a_dry_run_names_memory_and_writes_nothing(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert rl(root, tmp_path / "no", "--steps", "3", "--dry-run", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["tasks"], told["rollouts"], told["passes"]) == (4, 24, 1.5)
    assert told["estimate"]["bytes"] > 1e6
    assert told["estimate"]["seconds"] is None
    assert rl(root, tmp_path / "no" / "further", "--dry-run") == 0
    assert not (tmp_path / "no").exists()
    assert "moments of AdamW" in capsys.readouterr().out


def test_a_measured_dry_run_says_how_long_the_longest_rollouts_take(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert rl(root, tmp_path / "no", "--steps", "3", "--dry-run", "--measure", "--json") == 0
    told = json.loads(capsys.readouterr().out)["estimate"]
    train, sample = told["train_seconds_per_step"], told["sample_seconds_per_step"]
    assert min(train, sample) > 0
    assert told["seconds"] == pytest.approx([3 * max(train, sample), 3 * (train + sample)])
    assert "6 of them sampled" in told["supposing"]
    assert not (tmp_path / "no").exists()


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--measure",), "a run measures itself"),
        (("--loss", "ppo"), "'grpo', 'dr_grpo', 'dapo'"),
        (("-j", "0", "--staleness", "1"), "nothing can be stale"),
        (("-j", "0", "--weights", "collective"), "none are sent"),
        (("--listen", "127.0.0.1:0"), "REGREEN_WORKER_KEY"),
        (("--held-out", "train.jsonl"), "4 tasks are in both files"),
        (("--tool-format", "none-such"), "none-such"),
        (("--track", "abacus"), "abacus"),
        (("--screen", "2"), "min_tries"),
        (("--engine", "http://a:1", "-j", "2"), "one worker each"),
        (("--engine", "http://a:1", "-j", "0"), "one worker each"),
        (("--engine", "http://a:1", "--engine", "http://a:1/v1"), "name each server once"),
        (("--engine", "a:1"), "no address of a server"),
        (("--engine", "http://a:1", "--weights", "collective"), "from a folder"),
        (("--engine", "http://a:1", "--engine-device", "cuda"), "without servers"),
        (("--engine-device", "abacus"), "engine.device"),
        (("--engine-device", "cuda", "-j", "0"), "samples where it trains"),
    ],
)
def test_what_cannot_begin_leaves_nothing(
    root: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    flags: tuple[str, ...],
    said: str,
) -> None:
    monkeypatch.delenv("REGREEN_WORKER_KEY", raising=False)
    monkeypatch.chdir(root)
    assert rl(root, tmp_path / "no", *flags) == 2
    error = capsys.readouterr().err
    assert said in error
    assert "Traceback" not in error
    assert not list((tmp_path / "no").glob("*"))


def test_models_that_cannot_be_trained(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bare = tmp_path / "bare"
    save_checkpoint(small_model(), bare)
    for model, said in ((bare, "no tokenizer.json"), ("1m", "new weights"), ("nix", "checkpoint")):
        run_ = ("--run", tmp_path / "no", *SMALL)
        assert run("train", "rl", root / "train.jsonl", "--model", model, *run_) == 2
        assert said in capsys.readouterr().err
    assert not list((tmp_path / "no").glob("*"))


def test_a_worker_without_the_secret_is_refused(
    root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from regreen.train.play.worker import WorkerSpec
    from regreen.train.play.worker_pool import WorkerPool

    monkeypatch.delenv("REGREEN_WORKER_KEY", raising=False)
    assert run("train", "worker", "127.0.0.1:9") == 2
    assert run("train", "worker", "here") == 2
    assert run("train", "worker", "127.0.0.1:9", "--engine", "here") == 2
    monkeypatch.setenv("REGREEN_WORKER_KEY", KEY)
    assert run("train", "worker", "127.0.0.1:9") == 1
    spec = WorkerSpec(build=print, settings={})  # type: ignore[arg-type]
    pool = WorkerPool(spec, count=0, logs=root / "logs", key=b"another secret altogether")
    try:
        capsys.readouterr()
        assert run("train", "worker", pool.address) == 2
        assert "another secret" in capsys.readouterr().err
        assert pool.next(0.2) is None
        assert pool.pids == []
    finally:
        pool.close()


@pytest.mark.slow
@pytest.mark.parametrize("weights", ["file", "collective"])
def test_a_worker_from_elsewhere_plays(root: Path, tmp_path: Path, weights: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    environ = {**os.environ, "REGREEN_WORKER_KEY": KEY}
    out = tmp_path / "run"
    arguments = command(
        "train", "rl", root / "train.jsonl", "--model", root / "model", "--run", out, *SMALL,
        "--steps", "2", "-j", "0", "--listen", address, "--staleness", "1",
        "--weights", weights,
    )  # fmt: skip
    trainer = subprocess.Popen(arguments, env=environ, stderr=subprocess.PIPE, text=True)
    try:
        codes = [5]
        for _ in range(60):
            done = subprocess.run(command("train", "worker", address), env=environ, check=False)
            codes.append(done.returncode)
            if not codes[-1]:
                break
            time.sleep(1.0)
        assert trainer.wait(60) == 0, trainer.stderr and trainer.stderr.read()
        assert codes[-1] == 0
    finally:
        trainer.kill()
    assert [row["step"] for row in metrics(out) if "reward" in row] == [1, 2]
    written = [folder.name for folder in (out / "weights").iterdir()]
    assert (written == ["version-000000"]) == (weights == "collective")


@pytest.mark.slow
def test_the_command_samples_over_a_server_and_a_worker_brings_its_own(
    root: Path, tmp_path: Path
) -> None:
    """Both servers get the last weights; a third worker, without one, plays beside them."""
    ports = []
    for _ in range(3):
        with socket.create_server(("127.0.0.1", 0)) as free:
            ports.append(free.getsockname()[1])
    repository = Path(__file__).parents[2]
    environ = {
        **os.environ, "REGREEN_WORKER_KEY": KEY,
        "PYTHONPATH": os.pathsep.join([str(repository), str(repository / "src")]),
    }  # fmt: skip
    out, address = tmp_path / "run", f"127.0.0.1:{ports[2]}"
    urls = [f"http://127.0.0.1:{port}" for port in ports[:2]]
    start = command(
        "train", "rl", root / "train.jsonl", "--model", root / "model", "--run", out, *SMALL,
        "--steps", "3", "--engine", urls[0], "--listen", address,
    )  # fmt: skip
    served = [
        [sys.executable, "-m", "tests.inference.token_server", kind, str(port),
         str(root / "model"), ""]
        for kind, port in zip(("vllm", "sglang"), ports, strict=False)
    ]  # fmt: skip
    join = [command("train", "worker", address, *more) for more in (("--engine", urls[1]), ())]
    parts = [subprocess.Popen(given, env=environ) for given in (*served, start)]
    try:
        deadline = time.monotonic() + 300
        while not (out / "weights" / "version-000000").is_dir():
            assert time.monotonic() < deadline
            assert parts[2].poll() is None
            time.sleep(0.05)
        parts += [subprocess.Popen(given, env=environ) for given in join]
        assert [part.wait(300) for part in parts[2:]] == [0, 0, 0]
        with urllib.request.urlopen(f"{urls[1]}/get_model_info") as answer:
            assert json.loads(answer.read())["model_path"].startswith(str(out / "weights"))
    finally:
        for part in parts:
            part.kill()
            part.wait()
    found = [row for row in metrics(out) if "reward" in row]
    assert [row["step"] for row in found] == [1, 2, 3]
    assert all(row["faults"] == 0 and row["rollouts"] == 8 for row in found)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_an_interrupted_command_goes_on(root: Path, tmp_path: Path, number: int) -> None:
    ends: list[list[dict[str, Any]]] = []
    for name in ("whole", "broken"):
        out = tmp_path / name
        given = command(
            "train", "rl", root / "train.jsonl", "--model", root / "model", "--run", out, *SMALL,
            "--steps", "3", "-j", "1", "--held-out", root / "held.jsonl",
        )  # fmt: skip
        if name == "broken":
            first = subprocess.Popen(given, stderr=subprocess.PIPE, text=True)
            deadline = time.monotonic() + 120
            while not (out / "checkpoints" / "step-000001").is_dir():
                assert time.monotonic() < deadline
                time.sleep(0.01)
            first.send_signal(number)
            said = first.communicate(timeout=60)[1]
            assert first.returncode == (130 if number == signal.SIGINT else -number)
            assert ("--resume" in said) == (number == signal.SIGINT)
            given.append("--resume")
        assert subprocess.run(given, check=False).returncode == 0
        ends.append([row for row in metrics(out) if "reward" in row or "held_out/reward" in row])
    same = ("step", "reward", "loss_policy", "held_out/reward", "grad_norm", "entropy")
    first_rows, second_rows = ([[row.get(n, 0.0) for n in same] for row in rows] for rows in ends)
    assert [row[0] for row in second_rows] == [0, 1, 2, 3, 3]
    for one, other in zip(first_rows, second_rows, strict=True):
        assert one == pytest.approx(other, rel=1e-4, abs=1e-6)
