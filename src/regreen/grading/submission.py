"""A submitted patch on its way to the judge: applied in memory, and cut down to what may count.

What is refused here never reaches a box. Files a patch may not decide are put back, each with its
reason; the patch is judged on the rest, so that an honest repair that also touched a test counts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from regreen.core.errors import TaskError
from regreen.core.task import Task
from regreen.core.verdict import Tamper
from regreen.grading.patch import FileState, apply_patch
from regreen.grading.protect import Protection

__all__ = ["MAX_PATCH_BYTES", "Read", "Submission", "admit"]

MAX_PATCH_BYTES = 1 << 26
"""Longest patch that is looked at; the longest known gold patch is a thousandth of it."""

Read = Callable[[str], FileState | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """What remains of a patch."""

    kept: Mapping[str, FileState | None]
    """Files it sets, and None for those it removes."""
    dropped: tuple[str, ...] = ()
    """``path: reason`` of what was put back."""
    tamper: tuple[Tamper, ...] = ()
    """Files that have no use but to sway the judge."""


def admit(task: Task, patch: str, read: Read) -> Submission:
    """Apply a patch to the task's base and leave out what it may not decide.

    Args:
        task: the task; its gold patch is the list of exceptions.
        patch: as submitted.
        read: state of a path in the base.

    Raises:
        TaskError: it is too long, leaves the repository or does not apply.
    """
    if len(patch) > MAX_PATCH_BYTES:
        msg = "the patch is too long"
        raise TaskError(msg, where=f"{len(patch) >> 20} MiB")
    try:
        changes = apply_patch(patch, read)
    except (OSError, ValueError) as exc:  # names and texts that no file system or git takes
        msg = "the patch does not apply"
        raise TaskError(msg, where=str(exc)[:500]) from exc
    protection = Protection.of_task(task, read=read)
    kept: dict[str, FileState | None] = {}
    dropped: list[str] = []
    tamper: list[Tamper] = []
    for path, after in sorted(changes.items()):
        ruling = protection.judge(path, read(path), after)
        if ruling.keep:
            kept[path] = after
            continue
        dropped.append(f"{path}: {ruling.reason}")
        if ruling.tamper:
            tamper.append(Tamper(kind="diff_policy", where=path, evidence=ruling.reason))
    return Submission(kept=kept, dropped=tuple(dropped), tamper=tuple(tamper))
