"""What goes into a run of a candidate and what is known of it afterwards.

A keeper's answer has two authors: its frame is ours, the lines in it may be the candidate's. They
are read here with the same distrust, and end as plain data or as a fate.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from regreen.core.errors import InfrastructureError, TaskError
from regreen.train.code.box import plain

__all__ = ["Call", "Checked", "Fate", "Feed", "Observed", "read_checks", "read_observations"]

Fate = Literal[
    "returned", "raised", "timeout", "memory", "exited", "crashed", "flooded", "unplain", "load",
    "not_run",
]  # fmt: skip
"""What became of one case. ``returned`` alone carries a value. ``load`` means that the program did
not reach its first case, ``unplain`` that it returned what is no plain data, ``not_run`` that
earlier cases had used up the restarts."""

_FATES = ("timeout", "exited", "crashed", "flooded", "load", "not_run")


@dataclass(frozen=True, slots=True)
class Call:
    """One case of a function."""

    function: str
    """Its name; ``Solution.f`` calls the method of a new instance."""
    args: tuple[Any, ...] = ()
    """Positional arguments, plain data."""
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    """Named arguments, plain data."""


@dataclass(frozen=True, slots=True)
class Feed:
    """One case of a program: what stands in its standard input."""

    text: str
    """All of it."""


@dataclass(frozen=True, slots=True)
class Observed:
    """What one case did."""

    fate: Fate
    """How it ended."""
    value: Any = None
    """What a function returned, rebuilt from text; what a program printed. Only ``returned``."""
    error: str = ""
    """Type and words of an exception, or the end of standard error; the candidate's own words."""
    seconds: float = field(default=0.0, compare=False)
    """Processor seconds."""


@dataclass(frozen=True, slots=True)
class Checked:
    """What one test that is a program said."""

    test: str
    """Its name; empty for what concerns all of them."""
    passed: bool
    """Whether it ended without an exception."""
    error: str = ""
    """Why not; it may hold expected values and is not for the candidate's eyes."""
    seconds: float = field(default=0.0, compare=False)
    """Processor seconds."""


def read_observations(row: dict[str, Any], kind: str, count: int) -> list[Observed]:
    """Read the keeper's answer; what the candidate wrote in it is read like any stranger's.

    Args:
        row: the answer.
        kind: of the request.
        count: cases of the request.

    Raises:
        InfrastructureError: it is not an answer to them.
    """
    cases = row["cases"]
    if len(cases) != count:
        what = f"the box of candidates answered {len(cases)} of {count} cases"
        raise InfrastructureError(what)
    load = _line(row["load"]).error if row["load"] else ""
    seen = [_observed(kind, *case) for case in cases]
    return [Observed(one.fate, None, load) if one.fate == "load" else one for one in seen]


def read_checks(row: dict[str, Any]) -> list[Checked]:
    """Read reports of the tests' process, which is as trusted as its tests.

    Raises:
        TaskError: the tests cannot be run so.
    """
    *lines, last = row["cases"]
    found = []
    for _, text, _, seconds in lines:
        outcome, kind, words, *name = json.loads(text)
        if outcome == "unfit":
            mend = "write tests that need the standard library only and hand over plain data"
            raise TaskError(words, mend=mend)
        error = "" if outcome == "passed" else f"{kind}: {words}"
        found.append(Checked("".join(name), outcome == "passed", error, seconds))
    if last[0] != "returned" or not found:
        found.append(Checked("", False, str(last[0])))
    return found


def _observed(kind: str, fate: str, text: str, error: str, seconds: float) -> Observed:
    if fate == "line":
        read = _line(text)
        return Observed(read.fate, read.value, read.error, seconds)
    if kind == "feeds" and fate in ("returned", "raised"):
        last = error.strip().rpartition("\n")[2]
        if fate == "returned":
            return Observed("returned", text, "", seconds)
        return Observed("memory" if last == "MemoryError" else "raised", None, last, seconds)
    return Observed(fate if fate in _FATES else "crashed", None, error, seconds)  # type: ignore[arg-type]


def _line(text: str) -> Observed:
    """One line of a candidate's process."""
    try:
        head, _, body = text.partition(",")
        if head == '["returned"' and body.endswith("]"):
            return Observed("returned", plain.loads(body[:-1]))
        row = json.loads(text)
    except (plain.Unplain, ValueError, RecursionError) as exc:
        return Observed("unplain", None, str(exc)[:300])
    match row:
        case ["memory"] | ["exited"]:
            return Observed(row[0])
        case ["unplain", str(why)]:
            return Observed("unplain", None, why[:300])
        case [("raised" | "load") as fate, str(kind), str(words)]:
            return Observed(fate, None, f"{kind}: {words}"[:400])
        case _:
            return Observed("unplain", None, "a report of no known form")
