"""The error tree: what happened, where, and how to mend it.

A broad ``except`` stands in one place of the whole package, at the rollout boundary; everything
else raises one of these and lets the command print three lines.

    RegreenError                    the work failed                    exit 1
    ├── UsageError                  bad flag, file or configuration    exit 2
    ├── PrerequisiteError           something is missing here          exit 3
    └── BoundaryError               a rollout's failure, as data       exit 1
        ├── InfrastructureError     the box, the machine, the disk
        ├── AgentError              the agent's own loop
        ├── TaskError               the task or its tests
        └── ModelError              the endpoint or what it answered
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar

__all__ = [
    "AgentError",
    "BoundaryError",
    "InfrastructureError",
    "ModelError",
    "PrerequisiteError",
    "RegreenError",
    "TaskError",
    "UsageError",
    "boundary",
]


class RegreenError(Exception):
    """An error a person can act on.

    Args:
        what: what went wrong, one sentence.
        where: the file, flag, task or command concerned.
        mend: what to do about it, preferably a command.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, what: str, *, where: str = "", mend: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.mend = mend

    def lines(self) -> list[str]:
        """The three lines shown to a person: what, where, how to mend."""
        rows = [f"error: {self.what}"]
        if self.where:
            rows.append(f"where: {self.where}")
        if self.mend:
            rows.append(f" mend: {self.mend}")
        return rows


class UsageError(RegreenError):
    """A flag, a file or a configuration value that cannot be used."""

    exit_code = 2


class PrerequisiteError(RegreenError):
    """Something this machine lacks; ``mend`` is the command that provides it."""

    exit_code = 3


class BoundaryError(RegreenError):
    """A failure attributed to one of the four parties of a rollout."""

    boundary: ClassVar[str] = "infrastructure"


class InfrastructureError(BoundaryError):
    """The box, the machine or the disk failed; never scored as a wrong answer."""

    boundary = "infrastructure"


class AgentError(BoundaryError):
    """The agent's loop failed."""

    boundary = "agent"


class TaskError(BoundaryError):
    """The task itself is broken: a patch that does not apply, tests that are not there."""

    boundary = "task"


class ModelError(BoundaryError):
    """The model's endpoint failed or answered something unusable."""

    boundary = "model"


@contextmanager
def boundary(error: type[BoundaryError], what: str) -> Iterator[None]:
    """Attribute any exception that escapes the block to ``error``'s party.

    An exception that already names its party passes unchanged, so the innermost boundary wins.

    Raises:
        BoundaryError: of type ``error``, chained to the original exception.
    """
    try:
        yield
    except RegreenError:
        raise
    except Exception as exc:
        msg = f"{what}: {type(exc).__name__}: {exc}"
        raise error(msg) from exc
