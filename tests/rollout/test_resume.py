"""A run killed at any moment goes on: nothing finished is lost, nothing finished is done again."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from regreen.store.run import RunDirectory

SCRIPT = Path(__file__).with_name("tiny_workshop.py")
NUM_TASKS = 8


def start(run: Path, base: Path) -> subprocess.Popen[bytes]:
    arguments = [str(run), str(base), str(NUM_TASKS), "2"]
    return subprocess.Popen([sys.executable, str(SCRIPT), *arguments], stderr=subprocess.PIPE)


def whole_lines(run: Path) -> list[str]:
    path = run / "trajectories.jsonl"
    text = path.read_bytes().decode() if path.exists() else ""
    return [line for line in text.splitlines(keepends=True) if line.endswith("\n")]


def wait_for_rows(run: Path, count: int) -> None:
    while len(whole_lines(run)) < count:
        time.sleep(0.005)


def check_whole(run: Path) -> None:
    rows = [json.loads(line) for line in whole_lines(run)]
    counts = Counter(row["rollout_id"] for row in rows)
    assert counts == {f"calc-{i}#oracle#0": 1 for i in range(NUM_TASKS)}
    assert all(row["verdict"]["resolved"] for row in rows)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_kill_at_random_moments(base, tmp_path, seed):
    chance, run = random.Random(seed), tmp_path / "run"
    kept: list[str] = []
    for _ in range(3):
        process = start(run, base)
        wait_for_rows(run, len(kept) + 1)
        time.sleep(chance.uniform(0.0, 0.3))
        process.kill()
        process.communicate()
        assert whole_lines(run)[: len(kept)] == kept
        kept = whole_lines(run)
        if len(kept) >= NUM_TASKS - 1:
            break
    assert start(run, base).wait(60) == 0
    assert whole_lines(run)[: len(kept)] == kept
    check_whole(run)


def test_a_line_cut_in_the_middle_is_mended(base, tmp_path):
    run = tmp_path / "run"
    assert start(run, base).wait(60) == 0
    path = run / "trajectories.jsonl"
    path.write_bytes(path.read_bytes()[:-100])
    assert len(RunDirectory.open(run).finished_ids()) == NUM_TASKS - 1
    assert start(run, base).wait(60) == 0
    check_whole(run)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_keeps_what_is_finished_and_says_how_to_go_on(base, tmp_path, number):
    run = tmp_path / "run"
    process = start(run, base)
    wait_for_rows(run, 1)
    process.send_signal(number)
    _, stderr = process.communicate(timeout=30)
    assert process.returncode == 130
    assert b"--resume" in stderr
    assert b"Traceback" not in stderr
    assert 1 <= len(whole_lines(run)) < NUM_TASKS
    assert start(run, base).wait(60) == 0
    check_whole(run)
