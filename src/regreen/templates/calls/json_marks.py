"""The marks around calls that are JSON, and the patterns that find them.

A brace is no mark: where a format writes calls without any, or a mark was lost, what follows the
brace must show that it is a call.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from regreen.templates.guard import JOINER, guarded

__all__ = ["Patterns", "patterns"]


@dataclass(frozen=True)
class Patterns:
    """What finds the marks of a format."""

    opener: re.Pattern[str]
    """Finds where calls may begin; groups G, B and T as ``CallReader`` says, F for the openings
    that are no part of the format, W for its own."""
    stems: tuple[str, ...]
    """Beginnings of what ``opener`` finds."""
    guards: tuple[str, ...]
    """What is guarded in a message's text."""
    tokens: re.Pattern[str] | None
    """Finds marks inside and behind calls: o opens, c closes, f is a footer."""
    marks: tuple[str, ...]
    """All of those."""
    closable: frozenset[str]
    """Openings that a closing belongs to."""
    closers: frozenset[str]
    """Closings of the format's own."""
    header: re.Pattern[str] | None
    """Finds a name in front of the arguments."""
    bare: bool
    """Whether calls may stand without marks."""


@lru_cache(maxsize=64)
def patterns(
    own: tuple[tuple[str, str], ...],
    also: tuple[tuple[str, str], ...],
    *,
    footer: str,
    header: str,
    bare: bool,
    tokens: bool,
) -> Patterns:
    """The patterns of a format; see ``JsonSyntax`` for the arguments."""
    pairs = [(opening.strip(), closing.strip()) for opening, closing in own]
    pairs = [pair for pair in pairs if len(pair[0]) > 1]
    extra = [(opening.strip(), closing.strip()) for opening, closing in also]
    opening = _sorted(pair[0] for pair in pairs)
    foreign = _sorted(pair[0] for pair in extra)
    closing = _sorted(pair[1] for pair in (*pairs, *extra))
    last = _sorted([footer.strip()])
    marks = [mark for mark in (*opening, *foreign, *closing) if mark.strip("`")]
    guards = (*marks, *(("{", "[") if bare else ()))
    found = {
        "G": guarded(guards),
        "T" if tokens else "W": _any(opening),
        "F": _any(foreign),
        "B": r"\{(?=[\"']|\s+(?:[\"']|\Z))" + (r"|\[(?=\{|\s+(?:\{|\Z))" if bare else ""),
    }
    inside = {"o": _any(_sorted((*opening, *foreign))), "c": _any(closing), "f": _any(last)}
    weak = () if header and not bare else ("{" + JOINER, '{"', "{'", *(("[{",) if bare else ()))
    if header and not bare:
        del found["B"]
    joined = (*(mark[0] + JOINER for mark in guards), *weak)
    return Patterns(
        opener=_alternatives(found),
        stems=tuple(dict.fromkeys((*guards, *joined))),
        guards=tuple(dict.fromkeys(guards)),
        tokens=_alternatives(inside) if any(inside.values()) else None,
        marks=_sorted((*opening, *foreign, *closing, *last)),
        closable=frozenset(pair[0] for pair in (*pairs, *extra) if pair[1])
        | frozenset(pair[0] for pair in pairs if any(pair[1] for pair in pairs)),
        closers=frozenset(pair[1] for pair in pairs),
        header=re.compile(header) if header else None,
        bare=bare,
    )


def _sorted(marks: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted({mark for mark in marks if len(mark) > 1}, key=len, reverse=True))


def _any(marks: Iterable[str]) -> str:
    return "|".join(re.escape(mark) for mark in marks)


def _alternatives(groups: dict[str, str]) -> re.Pattern[str]:
    return re.compile("|".join(f"(?P<{name}>{text})" for name, text in groups.items() if text))
