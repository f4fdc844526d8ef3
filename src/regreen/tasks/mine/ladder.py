"""Which strategies a change is tried on, in which order: the cheap and faithful ones first.

The running Python comes first, as the project is; then adapted for old code; then the found
interpreters that were in use when the change was made, the oldest first: they fail on other
changes than the first, and the union is what pays.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from regreen.tasks.build.interpreters import Interpreter, as_of, released
from regreen.tasks.mine.ground import Rung, era

__all__ = ["dated", "of_the_age", "of_the_language", "rungs"]

_OTHERS = 2
_IN_USE = timedelta(days=5 * 365)
_PYTHON_2_ENDS = datetime(2017, 1, 1, tzinfo=UTC)
_AGE = re.compile(r"AttributeError|ImportError|ModuleNotFound|NameError|[Ww]arning|no attribute")
_BOTH = timedelta(days=3 * 365)
"""So long after its end 2.7 was still what many tested on."""
_SYNTAX = re.compile(r"(?:Syntax|Indentation|Tab)Error: ")
_GONE = re.compile(r"ImportError: cannot import name '?\w+'? from '(\w+)")


def rungs(
    date: datetime,
    running: Interpreter,
    others: Sequence[Interpreter],
    *,
    foreign: bool = False,
    installed: bool = False,
) -> tuple[Rung, ...]:
    """The ladder of a change.

    Args:
        date: of the change.
        running: the Python that regreen runs on.
        others: further interpreters of this machine, of other versions.
        foreign: whether the change's code is no Python to the running one; what left the standard
            library is then not what is missing.
        installed: copy the environment from this installation; then nothing else is tried.
    """
    if installed:
        return Rung(running, installed=True), Rung(running, installed=True, adapted=True)
    ranked = sorted(others, key=lambda one: (_distance(one, date), one.numbers))
    found = [Rung(running)]
    if not foreign:
        found.append(Rung(running, adapted=True))
    for interpreter in _chosen(ranked, date):
        found.append(Rung(interpreter))
        if interpreter.numbers >= (3,) and not foreign:
            found.append(Rung(interpreter, adapted=True))
    return tuple(found)


def _chosen(ranked: Sequence[Interpreter], date: datetime) -> list[Interpreter]:
    """The nearest, and with it one of the other major version while both were in use.

    Two of one version mostly fail on the same changes.
    """
    nearest = list(ranked[:1])
    other = [
        one
        for one in ranked
        if one.numbers[0] != nearest[0].numbers[0] and _distance(one, date) < _BOTH
    ]
    return [*nearest, *(other[:1] or ranked[1:_OTHERS])]


def _distance(interpreter: Interpreter, date: datetime) -> timedelta:
    """How far a date lies outside of the years in which an interpreter was in common use."""
    begin = released(interpreter)
    end = _PYTHON_2_ENDS if interpreter.numbers < (3,) else begin + _IN_USE
    return max(begin - date, date - end, timedelta(0))


def of_the_age(error: str) -> bool:
    """Whether adapting for old code may cure a test's failure: a missing name, or a setting.

    Settings of pytest turn warnings into errors; what else a test says is about its own subject.
    """
    return bool(_AGE.search(error))


def of_the_language(error: str) -> bool:
    """Whether an error of collection is a matter of the Python, so that no package cures it.

    That is a syntax error, or a name that left the standard library or never was in it.
    """
    gone = _GONE.match(error)
    return bool(_SYNTAX.match(error) or (gone and gone[1] in sys.stdlib_module_names))


def dated(date: datetime, interpreter: Interpreter) -> datetime:
    """The day that the packages of a change's ground may date from at the latest, less one.

    :func:`as_of` adds that day again; changes older than the interpreter share one date.
    """
    return as_of(era(date), interpreter) - timedelta(days=1)
