"""Texts in one spelling, and many needles looked for in them at once.

White space, backslashes and escapes are dropped on both sides, so that a line is found as source,
in JSON at any depth of quoting, in HTML and in UTF-16. Needles are sought by an eight-byte piece of
each through a table of bits: the time does not grow with the number of needles.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from itertools import accumulate

import numpy as np

__all__ = ["LEAST", "NeedleSet", "canonical", "canonical_lines", "joined_lines", "stands_alone"]

LEAST = 8
"""Bytes of the shortest needle."""
_DROPPED = b" \t\n\r\v\f\\\0"
_ENDS = bytes.maketrans(b"\r", b"\n")
_INSIDE = _DROPPED.translate(None, b"\r\n")
_ESCAPES = (
    (b"\\r", b"\r"),
    (b"\\n", b"\n"),
    (b"\\t", b"\t"),
    (b"\\u003c", b"<"),
    (b"\\u003e", b">"),
    (b"\\u0026", b"&"),
    (b"\\u0027", b"'"),
    (b"\\u0022", b'"'),
    (b"\\x27", b"'"),
)
_ENTITIES = (
    (b"&lt;", b"<"),
    (b"&gt;", b">"),
    (b"&quot;", b'"'),
    (b"&#34;", b'"'),
    (b"&#39;", b"'"),
    (b"&#x27;", b"'"),
    (b"&#10;", b"\n"),
    (b"&amp;", b"&"),
)
_BITS = 20
_FACTOR = np.uint64(0x9E3779B97F4A7C15)
_FEW = 6
_TRIED = 16


def _plain(data: bytes) -> bytes:
    if b"\\" in data:
        rare = b"\\u00" in data or b"\\x2" in data
        for escape, meant in _ESCAPES if rare else _ESCAPES[:3]:
            data = data.replace(escape, meant)
    if b"&" in data and any(entity in data for entity, _ in _ENTITIES):
        for entity, meant in _ENTITIES:
            data = data.replace(entity, meant)
    return data


def canonical(data: bytes) -> bytes:
    """A text without white space and escapes."""
    return _plain(data).translate(None, _DROPPED)


def canonical_lines(data: bytes) -> list[bytes]:
    """The same by lines, real ones or escaped; joined they are what :func:`canonical` gives."""
    return [line.translate(None, _DROPPED) for line in re.split(rb"[\n\r]", _plain(data))]


def joined_lines(data: bytes) -> bytes:
    """The same with a line feed after each, in one go: for all of a large file."""
    return _plain(data).translate(_ENDS, _INSIDE)


def stands_alone(data: bytes, needle: bytes) -> int | None:
    """The line, from 1, where a needle stands without being a part of longer words.

    ``timeout=30`` is not found in ``timeout=300``, though a line may begin right after it.
    """
    lines = canonical_lines(data)
    ends = list(accumulate(map(len, lines)))
    text = b"".join(lines)
    at = text.find(needle)
    edges = {0, *ends}
    while at >= 0:
        end = at + len(needle)
        if _edge(text, at, edges) and _edge(text, end, edges):
            return bisect_left(ends, at + 1) + 1
        at = text.find(needle, at + 1)
    return None


def _edge(text: bytes, at: int, edges: set[int]) -> bool:
    if at in edges or at >= len(text):
        return True
    around = text[at - 1 : at + 1]
    return not re.fullmatch(rb"[0-9A-Za-z_]{2}", around)


class NeedleSet:
    """Needles prepared for many texts.

    Args:
        needles: canonical texts of at least :data:`LEAST` bytes.
    """

    def __init__(self, needles: Sequence[bytes]) -> None:
        self.needles = tuple(needles)
        self._by_gram: dict[int, list[tuple[int, int]]] = {}
        self._table = np.zeros(1 << _BITS, dtype=bool)
        if len(self.needles) <= _FEW:
            return
        together = b"\n".join(self.needles)
        seen: dict[bytes, int] = {}
        for number, needle in enumerate(self.needles):
            offset = _rarest(needle, together, seen)
            gram = np.frombuffer(needle, "<u8", 1, offset)
            self._by_gram.setdefault(int(gram[0]), []).append((number, offset))
            self._table[_slots(gram)] = True

    def hits(self, text: bytes) -> set[int]:
        """Which needles a canonical text holds."""
        if len(self.needles) <= _FEW:
            return {number for number, needle in enumerate(self.needles) if needle in text}
        found: set[int] = set()
        for shift in range(min(8, max(0, len(text) - 7))):
            words = np.frombuffer(text, "<u8", (len(text) - shift) // 8, shift)
            for place in np.flatnonzero(self._table[_slots(words)]):
                for number, offset in self._by_gram.get(int(words[place]), ()):
                    start = int(place) * 8 + shift - offset
                    if start >= 0 and text.startswith(self.needles[number], start):
                        found.add(number)
        return found

    def without(self, texts: Iterable[bytes]) -> list[int]:
        """Numbers of the needles that none of these raw texts holds."""
        held: set[int] = set()
        for text in texts:
            held |= self.hits(canonical(text))
        return [number for number in range(len(self.needles)) if number not in held]


def _slots(words: np.ndarray) -> np.ndarray:
    slots: np.ndarray = (words * _FACTOR) >> np.uint64(64 - _BITS)
    return slots


def _rarest(needle: bytes, together: bytes, seen: dict[bytes, int]) -> int:
    """Where the least common eight bytes of a needle begin."""
    last = len(needle) - LEAST
    step = max(1, last // _TRIED)

    def common(offset: int) -> int:
        gram = needle[offset : offset + LEAST]
        if gram not in seen:
            seen[gram] = together.count(gram)
        return seen[gram]

    return min(range(0, last + 1, step), key=common)
