"""How hard a task is: from the size of its gold patch, and from rollouts once there are some.

Size is a guess, a pass rate is a measurement; with enough rollouts the measurement alone decides.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from regreen.core.task import Difficulty, Task
from regreen.core.trajectory import Trajectory
from regreen.tasks.tell.leaks import changed_lines

__all__ = ["ENOUGH", "PassRate", "level", "pass_rates", "rated"]

ENOUGH = 4
"""Rollouts that decide a level; with fewer, size does."""
_EASY_RATE, _HARD_RATE = 0.7, 0.2
_EASY = {"files": 1, "lines": 10, "hunks": 2, "fail_to_pass": 5}
_HARD = {"files": 4, "lines": 80, "hunks": 10, "fail_to_pass": 40}
_SANITY = frozenset(("oracle", "nop"))


@dataclass(frozen=True, slots=True)
class PassRate:
    """What rollouts showed of one task."""

    resolved: int
    """Rollouts that resolved it."""
    rollouts: int
    """Rollouts that count: graded, or failed by the agent's own doing."""

    @property
    def share(self) -> float | None:
        """Resolved among those that count; None without any."""
        return self.resolved / self.rollouts if self.rollouts else None


def pass_rates(trajectories: Iterable[Trajectory]) -> dict[str, PassRate]:
    """Pass rates by task.

    A failure of the box, the task or the endpoint says nothing about the task's difficulty and does
    not count; neither do the agents that only check a task.
    """
    found: dict[str, list[bool]] = defaultdict(list)
    for one in trajectories:
        if one.agent in _SANITY:
            continue
        failed = one.error is not None and one.error.boundary != "agent"
        if failed or (one.error is None and one.verdict is None):
            continue
        found[one.task].append(one.verdict is not None and one.verdict.resolved)
    return {task: PassRate(sum(seen), len(seen)) for task, seen in found.items()}


def level(difficulty: Difficulty, *, hunks: int) -> str:
    """``easy``, ``medium`` or ``hard``.

    With at least four rollouts: easy from 70 % resolved, hard up to 20 %. Otherwise by size: easy
    when files <= 1, lines <= 10, hunks <= 2 and failing tests <= 5; hard when two of files >= 4,
    lines >= 80, hunks >= 10 and failing tests >= 40 hold; else medium.

    Args:
        difficulty: what was measured.
        hunks: of the gold patch.
    """
    rate = difficulty.pass_rate
    if rate is not None and difficulty.rollouts >= ENOUGH:
        return "easy" if rate >= _EASY_RATE else "hard" if rate <= _HARD_RATE else "medium"
    size = {
        "files": difficulty.files,
        "lines": difficulty.lines,
        "hunks": hunks,
        "fail_to_pass": difficulty.fail_to_pass,
    }
    if all(size[name] <= most for name, most in _EASY.items()):
        return "easy"
    return "hard" if sum(size[name] >= least for name, least in _HARD.items()) > 1 else "medium"


def rated(task: Task, rates: Mapping[str, PassRate] | None = None) -> Task:
    """The task with its difficulty measured and its level set.

    Args:
        task: any; ``covering_tests`` is kept where it was measured.
        rates: by ``instance_id``; a task without one keeps the rate it has.
    """
    old = task.difficulty
    rate = (rates or {}).get(task.instance_id)
    made = Difficulty(
        files=len(re.findall(r"^diff --git ", task.patch, re.MULTILINE)),
        lines=len(changed_lines(task.patch)),
        fail_to_pass=len(task.FAIL_TO_PASS),
        covering_tests=old.covering_tests if old else len(task.FAIL_TO_PASS),
        pass_rate=rate.share if rate else old.pass_rate if old else None,
        rollouts=rate.rollouts if rate else old.rollouts if old else 0,
    )
    hunks = len(re.findall(r"^@@ ", task.patch, re.MULTILINE))
    done = made.model_copy(update={"level": level(made, hunks=hunks)})
    return task.model_copy(update={"difficulty": done})
