"""The command killed or interrupted at some moment, and what ``--resume`` makes of it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path
from typing import Any


def wait_for_lines(path: Path, count: int, process: subprocess.Popen[str]) -> None:
    while process.poll() is None:
        if path.exists() and path.read_bytes().count(b"\n") >= count:
            return
        time.sleep(0.005)
    raise AssertionError(process.communicate()[1])


def kill(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate()


def left_of(pid: int) -> list[str]:
    """Directories and processes of a controller that is gone, once they had time to go."""
    for _ in range(100):
        found = [str(path) for path in Path("/dev/shm").glob(f"regreen-*/c{pid}-*")]
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                line = path.read_bytes()
            except OSError:
                continue
            if f"/c{pid}-".encode() in line:
                found.append(line.replace(b"\0", b" ").decode(errors="replace"))
        if not found:
            break
        time.sleep(0.1)
    return found


def test_inject_killed_twice_ends_in_the_same_taskset(
    regreen: Any, made: Any, tmp_path: Path
) -> None:
    out = tmp_path / "tasks.jsonl"
    findings, kept = tmp_path / "tasks.jsonl.findings.jsonl", tmp_path / "kept"
    job = ("tasks", "inject", made.source, "--installed", "-n", "4", "-j", "2", "-o", out)
    before = b""
    for lines in (2, 5):
        process = regreen.start(*job, *(["--resume"] if before else []))
        wait_for_lines(findings, lines, process)
        kill(process)
        assert left_of(process.pid) == []
        assert findings.read_bytes().startswith(before)
        before = findings.read_bytes()
        before = before[: before.rfind(b"\n") + 1]
    os.link(findings, kept)
    with findings.open("ab") as file:
        file.write(b'{"identity":"cut in the mid')
    refused = regreen.refused(2, *job)
    assert "--resume" in refused
    done = regreen(*job, "--resume")

    assert done.returncode == 0, done.stderr
    assert out.read_bytes() == made.tasks.read_bytes()
    assert not findings.exists()
    assert kept.read_bytes().startswith(before)
    rows = [json.loads(line) for line in kept.open()][1:]
    assert max(Counter(row["identity"] for row in rows).values()) == 1
    again = regreen(*job, "--resume")
    assert "ended already" in again.stdout
    assert out.read_bytes() == made.tasks.read_bytes()


def test_another_job_does_not_take_these_findings(regreen: Any, made: Any, tmp_path: Path) -> None:
    out = tmp_path / "tasks.jsonl"
    job = ("tasks", "inject", made.source, "--installed", "-o", out)
    process = regreen.start(*job)
    findings = tmp_path / "tasks.jsonl.findings.jsonl"
    wait_for_lines(findings, 1, process)
    kill(process)
    content = findings.read_bytes()

    assert "settings differ" in regreen.refused(2, *job, "--seed", "7", "--resume")
    findings.write_bytes(content + b'{"identity":"x","colour":"red"}\n')
    assert "no finding" in regreen.refused(2, *job, "--resume")
    assert findings.read_bytes().startswith(content)


def test_an_interrupt_ends_with_the_command_that_resumes(
    regreen: Any, made: Any, tmp_path: Path
) -> None:
    out = tmp_path / "my tasks.jsonl"
    process = regreen.start("tasks", "inject", made.source, "--installed", "-o", out)
    wait_for_lines(tmp_path / "my tasks.jsonl.findings.jsonl", 2, process)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=30)

    assert process.returncode == 130, said
    last = said.rstrip().splitlines()[-1]
    assert last == f"regreen tasks inject {made.source} --installed -o '{out}' --resume"
    assert "Traceback" not in said
    assert left_of(process.pid) == []


def test_a_killed_rollout_goes_on_where_it_stood(regreen: Any, made: Any, tmp_path: Path) -> None:
    run = tmp_path / "run"
    rows = run / "trajectories.jsonl"
    job = ("rollout", made.tasks, "--agent", "oracle", "-j", "1", "--run", run)
    process = regreen.start(*job)
    wait_for_lines(rows, 1, process)
    kill(process)
    assert left_of(process.pid) == []
    before = rows.read_bytes()
    process = regreen.start(*job, "--resume")
    wait_for_lines(rows, before.count(b"\n") + 1, process)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert process.returncode in (0, 130)
    assert process.returncode == 0 or said.rstrip().endswith("--resume")
    done = regreen(*job, "--resume", "--json")

    assert json.loads(done.stdout)["resolved"] == 4, done.stderr
    assert rows.read_bytes().startswith(before)
    ids = [json.loads(line)["rollout_id"] for line in rows.open()]
    assert len(ids) == len(set(ids)) == 4
    graded = regreen("grade", made.tasks, run, "--json")
    assert json.loads(graded.stdout)["resolved"] == 4, graded.stderr
