"""The audit of a submitted diff, as the judge asks for it: what ends it, and what buys twins.

Reading code is the guard's matter and running it the judge's; neither knows the other, so they meet
here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from regreen.core.task import Task
from regreen.core.trajectory import Trajectory
from regreen.core.verdict import Tamper
from regreen.grading.judge import Audit
from regreen.grading.patch import FileState, apply_patch
from regreen.guard import monitor
from regreen.guard.diff import audit_diff, severity

__all__ = ["audit", "monitored"]


def audit(task: Task, patch: str, read: Callable[[str], FileState | None]) -> Audit:
    """Read a submitted diff.

    Args:
        task: the task; kinds of findings that its gold patch has itself are not reported.
        patch: as submitted.
        read: state of a file in the base.
    """

    def content(path: str) -> bytes | None:
        state = read(path)
        return state.data if state and not state.symlink else None

    hidden = set(apply_patch(task.test_patch, read))
    tests = {}
    for name in dict.fromkeys(test.partition("::")[0] for test in task.PASS_TO_PASS):
        data = content(name)
        if name not in hidden and data is not None:
            tests[name] = data.decode("utf-8", "replace")
    found = audit_diff(
        patch, read=content, gold=task.patch, tests=tests, statement=task.problem_statement
    )
    return Audit(tamper=_of(found, "high"), suspicions=_of(found, "medium"))


def monitored(tasks: Iterable[Task]) -> Callable[[Trajectory], Trajectory]:
    """What adds the monitor's incidents to the rows of a run; adding twice changes nothing."""
    by_id = {task.instance_id: task for task in tasks}

    def label(trajectory: Trajectory) -> Trajectory:
        found = monitor.audit(trajectory, task=by_id.get(trajectory.task))
        return monitor.with_incidents(trajectory, found)

    return label


def _of(found: tuple[Tamper, ...], weight: str) -> tuple[Tamper, ...]:
    return tuple(sign for sign in found if severity(sign.kind) == weight)
