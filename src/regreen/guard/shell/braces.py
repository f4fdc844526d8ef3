"""Brace expansion: ``a{b,c}`` and ``{1..3}``, with a bound on how many words it makes."""

from __future__ import annotations

import re

from regreen.guard.shell.scope import HOLE

__all__ = ["expand_braces"]

_RANGE = re.compile(r"(-?\d+|[A-Za-z])\.\.(-?\d+|[A-Za-z])(?:\.\.(-?\d+))?")
_MOST_FIELDS = 256


def expand_braces(text: str) -> list[str]:
    """Brace expansion of a marked word, with at most ``_MOST_FIELDS`` results."""
    found = [text]
    for _ in range(8):
        grown: list[str] = []
        for word in found:
            grown += _braced_once(word)
        if grown == found or len(grown) > _MOST_FIELDS:
            break
        found = grown
    return found[:_MOST_FIELDS]


def _braced_once(word: str) -> list[str]:
    """Replace the first innermost brace list or range."""
    for match in re.finditer(r"\{([^{}]*)\}", word):
        inner = match[1]
        if "," in inner:
            options = inner.split(",")
        elif span := _RANGE.fullmatch(inner):
            options = _ranged(*span.groups())
        else:
            continue
        return [word[: match.start()] + option + word[match.end() :] for option in options]
    return [word]


def _ranged(first: str, last: str, step: str | None) -> list[str]:
    letters = first.isalpha() and last.isalpha()
    if not letters and (first.isalpha() or last.isalpha()):
        return [HOLE]
    begin, end = (ord(first), ord(last)) if letters else (int(first), int(last))
    width = max(1, abs(int(step or 1)))
    numbers = range(begin, end + 1, width) if begin <= end else range(begin, end - 1, -width)
    return [chr(number) if letters else str(number) for number in numbers[:_MOST_FIELDS]]
