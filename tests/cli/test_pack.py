"""The verb: sources in, rows out, the report as text and JSON, and jobs that are killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from regreen.cli.main import main
from regreen.store.packed import PackedShards
from regreen.store.run import RunDirectory
from regreen.store.trajectory_sets import read_trajectories

RECORDED = Path(__file__).parents[1] / "templates" / "data" / "scripted.jsonl"
BYTES = ("--tokenizer", "bytes", "--capacity", "40000")


def run(*arguments: str | Path) -> int:
    with pytest.raises(SystemExit) as stop:
        main([str(argument) for argument in arguments])
    return int(stop.value.code or 0)


def texts(path: Path, count: int, size: int = 40) -> Path:
    rows = [{"text": f"{number} " * size} for number in range(count)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def content(out: Path) -> dict[str, bytes]:
    return {str(path.relative_to(out)): path.read_bytes() for path in out.rglob("*")}


def test_a_run_is_packed_and_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with RunDirectory.create(tmp_path / "run", config={}, lock={}) as made:
        for row in read_trajectories(RECORDED):
            made.append(row)

    assert run("pack", tmp_path / "run", *BYTES, "-o", tmp_path / "out") == 0
    told = capsys.readouterr().out
    assert "2 documents" in told
    assert "█" in told
    assert "qwen3_coder" in told
    assert told.rstrip().endswith(f"in {tmp_path / 'out'}")
    assert (tmp_path / "out" / "report.md").read_text().split("\n", 2)[2].strip() in told
    shards = PackedShards(tmp_path / "out")
    names = {shards.document(number).rollout_id for number in range(2)}
    assert names == {row.rollout_id for row in read_trajectories(RECORDED)}
    assert shards.document(0).agent == "scripted"


def test_json_flags_and_the_configuration_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = tmp_path / "settings.toml"
    settings.write_text(
        '[pack]\ntokenizer = "bytes"\ncapacity = 100\nseed = 4\nweights = { tool = 0.5 }\n'
        "[diversity]\nformats = { hermes = 1.0, glm46 = 1.0 }\n"
    )
    out = tmp_path / "out"
    flags = ("--capacity", "60000", "--diverse", "--weight", "tool=0.25,user=0.1", "--json")
    assert run("pack", RECORDED, RECORDED, "-c", settings, *flags, "-o", out) == 0

    told: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert (told["capacity"], told["seed"], told["documents"]) == (60000, 4, 4)
    assert (told["weights"]["tool"], told["weights"]["user"]) == (0.25, 0.1)
    assert set(told["templates"]) <= {"hermes", "glm46"}
    assert told["headless_tokens"] == told["tokens_left_out"] == 0
    assert [source.path for source in PackedShards(out).header.sources] == [str(RECORDED)] * 2


def test_what_cannot_be_packed_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    small = ("--tokenizer", "bytes", "--capacity", "16000")
    assert run("pack", RECORDED, *small, "-o", out) == 0
    err = capsys.readouterr().err
    assert f"1 of 2 rows are in {out / 'rejected.jsonl'}" in err
    assert "calls of an answer are longer than a row" in err

    none = tmp_path / "none"
    assert run("pack", RECORDED, "--tokenizer", "bytes", "--capacity", "900", "-o", none) == 1
    assert "none of 2 rows became a document" in capsys.readouterr().err
    assert [path.name for path in none.iterdir()] == ["rejected.jsonl"]


def test_a_dry_run_and_a_limit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = texts(tmp_path / "texts.jsonl", 9)
    assert run("pack", source, *BYTES, "--dry-run", "-o", tmp_path / "out") == 0
    assert not (tmp_path / "out").exists()
    assert run("pack", source, *BYTES, "-n", "4", "-o", tmp_path / "out") == 0
    assert PackedShards(tmp_path / "out").header.num_documents == 4
    capsys.readouterr()
    assert run("pack", source, *BYTES, "-n", "4", "-o", tmp_path / "out") == 2
    assert run("pack", source, *BYTES, "-n", "4", "-o", tmp_path / "out", "--resume") == 0


@pytest.mark.parametrize(
    ("flag", "value"),
    [
        ("seed", "-1"),
        ("capacity", "0"),
        ("capacity", str((1 << 24) + 1)),
        ("weight", "tool=nan"),
        ("tool-format", "nope"),
    ],
)
def test_numbers_that_cannot_be_used_are_refused_at_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], flag: str, value: str
) -> None:
    source = texts(tmp_path / "texts.jsonl", 2)
    out = tmp_path / "out"
    assert run("pack", source, "--tokenizer", "bytes", f"--{flag}", value, "-o", out) == 2
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(":")[0].strip() for line in lines] == ["error", "where", "mend"]
    assert flag in "".join(lines)
    assert "[pack]" not in "".join(lines)
    assert not out.exists()


def started(*arguments: str | Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "regreen", "pack", *map(str, arguments)]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)


def wait_for_state(out: Path, process: subprocess.Popen[str]) -> None:
    state = out / "spool" / "state.json"
    while process.poll() is None:
        if state.exists() and json.loads(state.read_text())["read"]:
            return
        time.sleep(0.01)


@pytest.mark.parametrize("stop", [signal.SIGKILL, signal.SIGINT])
def test_a_job_that_was_killed_goes_on(tmp_path: Path, stop: signal.Signals) -> None:
    source, out = texts(tmp_path / "texts.jsonl", 4000), tmp_path / "out"
    arguments = (source, *BYTES, "-q", "-o", out)
    process = started(*arguments)
    wait_for_state(out, process)
    process.send_signal(stop)
    _, err = process.communicate()
    if not process.returncode:
        pytest.skip("the job ended before the signal came")

    assert process.returncode == (-signal.SIGKILL if stop == signal.SIGKILL else 130), err
    assert not (out / "header.json").exists()
    assert run("pack", *arguments) == 2
    assert run("pack", *arguments, "--resume") == 0
    assert run("pack", source, *BYTES, "-q", "-o", tmp_path / "whole") == 0
    assert content(out) == content(tmp_path / "whole")


def alive(process: int) -> bool:
    """Whether a process is there and not only waits to be read."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process of its parent")
def test_workers_end_with_a_job_that_is_killed(tmp_path: Path) -> None:
    source, out = texts(tmp_path / "texts.jsonl", 20_000), tmp_path / "out"
    process = started(source, *BYTES, "-q", "-j", "2", "-o", out)
    wait_for_state(out, process)
    own = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    children = [int(number) for number in own.read_text().split()]
    process.kill()
    process.wait()
    assert process.stderr
    process.stderr.close()
    assert process.returncode == -signal.SIGKILL
    assert len(children) >= 2

    for _ in range(500):
        if not any(map(alive, children)):
            return
        time.sleep(0.01)
    for child in filter(alive, children):
        os.kill(child, signal.SIGKILL)
    pytest.fail("a process of the job still runs")


def test_a_full_disk_is_said_and_the_job_goes_on_later(tmp_path: Path) -> None:
    source, out = texts(tmp_path / "texts.jsonl", 600, 400), tmp_path / "out"
    arguments = ("pack", source, *BYTES, "-q", "-o", out)
    command = " ".join([sys.executable, "-m", "regreen", *map(str, arguments)])
    done = subprocess.run(
        ["bash", "-c", f"ulimit -f 1400; {command}"], capture_output=True, text=True, check=False
    )

    assert done.returncode == 1
    lines = [line.split(":")[0].strip() for line in done.stderr.splitlines()]
    assert lines == ["error", "where", "mend"], done.stderr
    assert str(out / "spool") in done.stderr
    assert json.loads((out / "spool" / "state.json").read_text())["read"] == 256
    assert run(*arguments, "--resume") == 0
    assert run("pack", source, *BYTES, "-q", "-o", tmp_path / "whole") == 0
    assert content(out) == content(tmp_path / "whole")
