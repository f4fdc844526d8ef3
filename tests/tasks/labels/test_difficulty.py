"""Difficulty: sizes, their boundaries, and what rollouts say against them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regreen.core.task import Difficulty, Task
from regreen.core.trajectory import ErrorRecord, Trajectory
from regreen.core.verdict import Verdict
from regreen.tasks.labels.difficulty import PassRate, level, pass_rates, rated

HUNK = "@@ -1,2 +1,2 @@\n def f():\n-    return 1\n+    return 2\n"


def patch(files: int, hunks: int = 1) -> str:
    names = (f"f{i}.py" for i in range(files))
    return "".join(f"diff --git a/{n} b/{n}\n--- a/{n}\n+++ b/{n}\n{HUNK * hunks}" for n in names)


def task(**changes: Any) -> Task:
    fields: dict[str, Any] = {
        "instance_id": "bag-1",
        "repo": "bag",
        "base_commit": "0" * 40,
        "patch": patch(1),
        "test_patch": "",
        "problem_statement": "x",
        "FAIL_TO_PASS": ("t.py::a",),
        "PASS_TO_PASS": (),
    }
    return Task(**fields | changes)


def rollout(number: int, *, resolved: bool | None = True, **changes: Any) -> Trajectory:
    verdict = None
    if resolved is not None:
        verdict = Verdict(resolved=resolved, fail_to_pass={}, pass_to_pass={})
    fields: dict[str, Any] = {"task": "bag-1", "agent": "mini", "verdict": verdict} | changes
    return Trajectory(rollout_id=f"r{number}", **fields)


def failed(boundary: str) -> ErrorRecord:
    return ErrorRecord(boundary=boundary, type="X", message="")


def test_sizes_are_counted_in_the_patch() -> None:
    made = rated(task(patch=patch(2, 3))).difficulty
    assert made is not None
    assert (made.files, made.lines, made.fail_to_pass, made.pass_rate) == (2, 12, 1, None)


def test_lines_of_plusses_and_minuses_count() -> None:
    text = "diff --git a/f b/f\n--- a/f\n+++ b/f\n@@ -1,2 +1,2 @@\n--- SQL\n+++ i\n"
    made = rated(task(patch=text)).difficulty
    assert made is not None
    assert made.lines == 2


@pytest.mark.parametrize(
    ("files", "lines", "hunks", "tests", "expected"),
    [
        (1, 10, 2, 5, "easy"),
        (2, 10, 2, 5, "medium"),
        (1, 11, 2, 5, "medium"),
        (1, 10, 3, 5, "medium"),
        (1, 10, 2, 6, "medium"),
        (3, 200, 9, 39, "medium"),
        (4, 80, 1, 1, "hard"),
        (4, 79, 9, 39, "medium"),
        (1, 80, 10, 1, "hard"),
        (1, 1, 10, 40, "hard"),
    ],
)
def test_boundaries_of_size(files: int, lines: int, hunks: int, tests: int, expected: str) -> None:
    made = Difficulty(files=files, lines=lines, fail_to_pass=tests, covering_tests=tests)
    assert level(made, hunks=hunks) == expected


@pytest.mark.parametrize(
    ("rate", "rollouts", "expected"),
    [
        (0.7, 4, "easy"),
        (0.69, 100, "medium"),
        (0.21, 100, "medium"),
        (0.2, 5, "hard"),
        (0.0, 3, "easy"),
    ],
)
def test_enough_rollouts_decide_and_too_few_do_not(
    rate: float, rollouts: int, expected: str
) -> None:
    made = Difficulty(
        files=1, lines=1, fail_to_pass=1, covering_tests=1, pass_rate=rate, rollouts=rollouts
    )
    assert level(made, hunks=1) == expected


def test_only_rollouts_that_tell_of_the_task_count() -> None:
    seen = [
        rollout(1),
        rollout(2, resolved=False),
        rollout(3, resolved=None, error=failed("agent")),
        rollout(4, resolved=None, error=failed("infrastructure")),
        rollout(5, resolved=None, error=failed("model")),
        rollout(6, resolved=None, error=failed("task")),
        rollout(7, resolved=None),
        rollout(8, agent="oracle"),
        rollout(9, resolved=False, agent="nop"),
        rollout(10, task="bag-2"),
    ]
    assert pass_rates(seen) == {"bag-1": PassRate(1, 3), "bag-2": PassRate(1, 1)}


def test_rates_are_set_by_task_and_an_older_one_stays() -> None:
    first = rated(task(), {"bag-1": PassRate(1, 8)})
    assert first.difficulty is not None
    assert (first.difficulty.pass_rate, first.difficulty.level) == (0.125, "hard")
    assert rated(first, {"other": PassRate(1, 1)}) == first
    second = rated(first, {"bag-1": PassRate(8, 8)}).difficulty
    assert second is not None
    assert (second.rollouts, second.level) == (8, "easy")


def test_what_was_measured_of_coverage_is_kept() -> None:
    old = Difficulty(files=9, lines=9, fail_to_pass=9, covering_tests=17)
    made = rated(task(difficulty=old)).difficulty
    assert made is not None
    assert (made.covering_tests, made.files) == (17, 1)


@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 9), st.integers(0, 9))
def test_rating_twice_is_rating_once(files: int, hunks: int, won: int, lost: int) -> None:
    rates = {"bag-1": PassRate(won, won + lost)}
    once = rated(task(patch=patch(files, hunks)), rates)
    assert rated(once, rates) == once
