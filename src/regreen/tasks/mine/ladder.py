"""Which strategies a change is tried on, in which order: the cheap and faithful ones first.

The running Python comes first, as the project is; then adapted for old code; then the found
interpreters whose release is nearest to the change, since they fail on other changes than the
first and the union is what pays.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from regreen.tasks.build.interpreters import Interpreter, as_of, released
from regreen.tasks.mine.ground import Rung, era

__all__ = ["dated", "rungs"]

_OTHERS = 2


def rungs(
    date: datetime, running: Interpreter, others: Sequence[Interpreter], *, installed: bool = False
) -> tuple[Rung, ...]:
    """The ladder of a change.

    Args:
        date: of the change.
        running: the Python that regreen runs on.
        others: further interpreters of this machine, of other versions.
        installed: copy the environment from this installation; then nothing else is tried.
    """
    if installed:
        return Rung(running, installed=True), Rung(running, installed=True, adapted=True)
    found = [Rung(running), Rung(running, adapted=True)]
    nearest = sorted(others, key=lambda one: (abs(released(one) - date), one.version))
    for interpreter in nearest[:_OTHERS]:
        found += [Rung(interpreter), Rung(interpreter, adapted=True)]
    return tuple(found)


def dated(date: datetime, interpreter: Interpreter) -> datetime:
    """The day that the packages of a change's ground may date from at the latest, less one.

    :func:`as_of` adds that day again; changes older than the interpreter share one date.
    """
    return as_of(era(date), interpreter) - timedelta(days=1)
