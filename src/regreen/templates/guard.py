"""The last resort for text that a format without escapes cannot tell from its own markers.

A word joiner (U+2060, invisible, no line break) is put behind the first character of the marker;
reading takes one away. Text that holds such a sequence already gets one more, so nothing is lost.
The renderer guards only what would not be read back, so ordinary text, and even most text full of
markers, stays byte for byte.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

__all__ = ["JOINER", "escape", "guard", "guarded", "unguard"]

JOINER = "\u2060"


@lru_cache(maxsize=256)
def guarded(stems: tuple[str, ...]) -> str:
    """Pattern (source) of a guarded marker: its first character, joiners, its rest."""
    tails = "|".join(
        sorted({re.escape(stem[0]) + JOINER + "+" + re.escape(stem[1:]) for stem in stems})
    )
    return f"(?:{tails})"


@lru_cache(maxsize=256)
def _patterns(
    stems: tuple[str, ...],
) -> tuple[re.Pattern[str], re.Pattern[str], re.Pattern[str]]:
    """Finds markers one behind the other, as reading does; each first character; guarded ones."""
    marks = sorted({re.escape(stem[0]) + f"{JOINER}*" + re.escape(stem[1:]) for stem in stems})
    firsts = sorted(
        {re.escape(stem[0]) + f"(?={JOINER}*" + re.escape(stem[1:]) + ")" for stem in stems}
    )
    return re.compile("|".join(marks)), re.compile("|".join(firsts)), re.compile(guarded(stems))


def guard(text: str, stems: Iterable[str]) -> str:
    """``text`` with a joiner in every marker that begins with one of ``stems``."""
    return _patterns(tuple(stems))[0].sub(lambda match: match[0][0] + JOINER + match[0][1:], text)


def escape(text: str, stems: Iterable[str]) -> str:
    """JSON text whose strings hold none of the markers: their first characters are escaped."""
    return _patterns(tuple(stems))[1].sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def unguard(text: str, stems: Iterable[str]) -> str:
    """``text`` with one joiner fewer in every guarded marker."""
    return _patterns(tuple(stems))[2].sub(lambda match: match[0][0] + match[0][2:], text)
