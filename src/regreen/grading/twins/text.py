"""Edits to a source text at the places of its syntax tree; all that is not edited stays as it was.

Positions are bytes, as in ``ast``. Wrapping is two insertions, so that an edit may lie inside
another; a place is replaced once, and a second replacement of it is not taken.
"""

from __future__ import annotations

import ast
import re
from bisect import bisect_left, bisect_right, insort

__all__ = ["Edits", "Source"]

_LINE = re.compile(rb"[^\r\n]*(?:\r\n|\r|\n|$)")
_CLOSE, _OPEN, _PUT = 0, 1, 2


class Source:
    """A text, its tree, and where each node stands in it."""

    def __init__(self, text: str) -> None:
        self.mark = "\ufeff" if text.startswith("\ufeff") else ""
        body = text.removeprefix("\ufeff")
        self.raw = body.encode()
        self.tree = ast.parse(body)
        self._starts: list[int] = []
        where = 0
        for line in _LINE.findall(self.raw):
            self._starts.append(where)
            where += len(line)
        self.newline = "\r\n" if b"\r\n" in self.raw else "\n"

    def at(self, line: int, column: int) -> int:
        """Byte offset of a position as ``ast`` counts it."""
        return self._starts[line - 1] + column

    def span(self, node: ast.AST) -> tuple[int, int]:
        """First byte of a node and the byte after its last."""
        where = node.__dict__
        return (
            self.at(where["lineno"], where["col_offset"]),
            self.at(where["end_lineno"], where["end_col_offset"]),
        )

    def text(self, node: ast.AST) -> str:
        """What is written for a node."""
        start, end = self.span(node)
        return self.raw[start:end].decode()

    def line_start(self, line: int) -> int:
        """Byte offset of a line's first byte."""
        return self._starts[line - 1]


class Edits:
    """A set of edits that do not hurt each other."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self._edits: list[tuple[int, int, int, int, str]] = []
        self._replaced: list[tuple[int, int]] = []
        self._wrapped: set[tuple[int, int]] = set()

    def __len__(self) -> int:
        return len(self._edits)

    def replace(self, node: ast.AST, text: str) -> bool:
        """Put a text in a node's place, with as many lines as it had.

        Returns:
            False when the place, or a part of it, was replaced before.
        """
        start, end = self.source.span(node)
        text += self.source.newline * (self.source.text(node).count("\n") - text.count("\n"))
        return self.put(start, end, text)

    def put(self, start: int, end: int, text: str) -> bool:
        """Put a text in the place of some bytes; False when one of them was replaced before."""
        if self._overlaps(start, end):
            return False
        insort(self._replaced, (start, end))
        self._edits.append((start, _PUT, 0, end, text))
        return True

    def wrap(self, node: ast.AST, before: str, after: str) -> bool:
        """Write something before and after a node; False when that was done before."""
        start, end = self.source.span(node)
        if (start, end) in self._wrapped or self._inside(start, end):
            return False
        self._wrapped.add((start, end))
        self._edits.append((start, _OPEN, -end, start, before))
        self._edits.append((end, _CLOSE, -start, end, after))
        return True

    def _overlaps(self, start: int, end: int) -> bool:
        place = bisect_left(self._replaced, (end, -1))
        return place > 0 and self._replaced[place - 1][1] > start

    def _inside(self, start: int, end: int) -> bool:
        place = bisect_right(self._replaced, (start, len(self.source.raw)))
        return place > 0 and self._replaced[place - 1][1] >= end

    def insert(self, offset: int, text: str) -> bool:
        """Write a text before whatever stands at an offset; False when it stands there already."""
        edit = (offset, _OPEN, -len(self.source.raw) - 1, offset, text)
        if edit in self._edits:
            return False
        self._edits.append(edit)
        return True

    def touched(self, start: int, end: int) -> bool:
        """Whether something was replaced or wrapped within these bytes."""
        place = bisect_left(self._replaced, (start, start))
        if place < len(self._replaced) and self._replaced[place][1] <= end:
            return True
        return any(start <= begin and until <= end for begin, until in self._wrapped)

    def applied(self, start: int = 0, end: int | None = None) -> str:
        """The text, or a part of it, with the edits that lie in it."""
        raw = self.source.raw
        until = len(raw) if end is None else end
        parts: list[bytes] = []
        where = start
        for begin, _rank, _order, stop, text in sorted(self._edits):
            if begin < start or stop > until or begin < where:
                continue
            parts += [raw[where:begin], text.encode()]
            where = stop
        parts.append(raw[where:until])
        return (self.source.mark if start == 0 else "") + b"".join(parts).decode()
