"""Which special tokens of a rendered text the format itself wrote.

A message may contain the text of any special token. It is found out by writing the conversation a
second time with every such text in the messages and tools broken up: what is still there is the
format's own. Conversations without such text, nearly all, are written once.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from regreen.templates.conversation import Message
from regreen.templates.guard import JOINER
from regreen.templates.message import ToolCall
from regreen.templates.tokens.spans import Marked
from regreen.templates.tools import Tool, ToolTable
from regreen.templates.write import Piece

if TYPE_CHECKING:
    Write = Callable[[Sequence[Message], ToolTable], list[Piece]]

__all__ = ["marked", "pattern_of"]

_ADDED = re.compile(rf"[{JOINER}\ue000-\uf8ff]|\\u([0-9a-fA-F]{{4}})")
"""Joiners, joints (any of which a message may hold too) and escapes of JSON."""


def pattern_of(specials: Iterable[str]) -> re.Pattern[str]:
    """Finds special tokens in text, the longest first as tokenizers do."""
    texts = sorted(specials, key=len, reverse=True)
    return re.compile("|".join(map(re.escape, texts)) if texts else r"(?!)")


def marked(
    write: Write, rows: Sequence[Message], tools: ToolTable, pattern: re.Pattern[str], begin: int
) -> list[Marked]:
    """What ``write`` makes of messages and tools, with the format's own special tokens.

    Args:
        write: writes pieces; called once or twice.
        rows: the messages.
        tools: the tools offered.
        pattern: finds special tokens.
        begin: messages before this one are not written and not looked at.
    """
    pieces = write(rows, tools)
    said = list(_strings([rows[begin:], [] if begin else [tool.declared for tool in tools.tools]]))
    if not any(pattern.search(text) for text in said):
        return [Marked(piece, _matches(pattern, piece.text)) for piece in pieces]
    used = set().union(*said, *(piece.text for piece in pieces))
    joint = next(char for char in map(chr, range(0xE000, 0xF900)) if char not in used)
    starts = re.compile(f"(?={pattern.pattern})")  # those that overlap too

    def broken(text: str) -> str:
        places = [match.start() + 1 for match in starts.finditer(text)]
        return joint.join(text[a:b] for a, b in pairwise([0, *places, len(text)]))

    kept = [*rows[:begin], *(_message(row, broken) for row in rows[begin:])]
    again = write(kept, ToolTable(tuple(_tool(tool, broken) for tool in tools.tools)))
    return _aligned(pieces, again, pattern, joint)


def _aligned(
    pieces: Sequence[Piece], again: Sequence[Piece], pattern: re.Pattern[str], joint: str
) -> list[Marked]:
    """Carry the marks of the second writing over to the first.

    Both are the same text but for joints, and for guards that only one of them needed; without
    these they are compared character by character. Where a format chose another form by the
    content (a fence of more backticks), which takes a vocabulary in which a fence or a patch's
    first line is a special token, only what both begin and end with is compared, and what stands
    in between is text.
    """
    found: list[Marked] = []
    for piece, other in zip(pieces, again, strict=True):
        here, there = _Bare(piece.text, joint), _Bare(other.text, joint)
        head, tail = _common(here.text, there.text)
        marks = []
        for begin, end in _matches(pattern, other.text):
            at, size = there.outside(begin), end - begin
            if at + size > head:
                if at < len(there.text) - tail:
                    continue
                at += len(here.text) - len(there.text)
            start = here.inside(at)
            if piece.text[start : start + size] == other.text[begin:end]:
                marks.append((start, start + size))
        found.append(Marked(piece, marks))
    return found


def _common(one: str, two: str) -> tuple[int, int]:
    """How many characters two texts begin with and end with alike, none counted twice."""
    if one == two:
        return len(one), 0
    head = _alike(one, two)
    return head, _alike(one[head:][::-1], two[head:][::-1])


def _alike(one: str, two: str) -> int:
    pairs = enumerate(zip(one, two, strict=False))
    return next((place for place, (a, b) in pairs if a != b), min(len(one), len(two)))


class _Bare:
    """A text without joints, and without what guards add to text or escape in JSON."""

    def __init__(self, text: str, joint: str) -> None:
        parts: list[str] = []
        self._bare, self._whole = [0], [0]  # where stretches that are the same begin
        at = length = 0
        for match in _ADDED.finditer(text):
            char = chr(int(match[1], 16)) if match[1] else match[0]
            char = char.replace(JOINER, "").replace(joint, "")
            parts += (text[at : match.start()], char)
            length += match.start() - at + len(char)
            at = match.end()
            self._bare.append(length)
            self._whole.append(at)
        parts.append(text[at:])
        self.text = "".join(parts)

    def outside(self, place: int) -> int:
        """Where a character of the whole text is in the bare one."""
        stretch = bisect_right(self._whole, place) - 1
        return self._bare[stretch] + place - self._whole[stretch]

    def inside(self, place: int) -> int:
        """Where a character of the bare text is in the whole one."""
        stretch = bisect_right(self._bare, place) - 1
        return self._whole[stretch] + place - self._bare[stretch]


def _matches(pattern: re.Pattern[str], text: str) -> list[tuple[int, int]]:
    return [match.span() for match in pattern.finditer(text)]


def _strings(value: Any) -> Iterator[str]:
    """Every text in a value, keys included."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield key
            yield from _strings(inner)
    elif isinstance(value, Message):
        yield from (value.content, value.reasoning, value.name, value.call_id)
        for call in value.calls:
            yield from (call.name, call.id)
            yield from _strings(call.arguments)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _strings(inner)


def _replaced(value: Any, change: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return change(value)
    if isinstance(value, Mapping):
        return {change(key): _replaced(inner, change) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_replaced(inner, change) for inner in value]
    return value


def _message(row: Message, change: Callable[[str], str]) -> Message:
    calls = tuple(
        ToolCall(change(call.name), _replaced(call.arguments, change), change(call.id))
        for call in row.calls
    )
    texts = {name: change(getattr(row, name)) for name in ("content", "reasoning", "name")}
    return replace(row, calls=calls, call_id=change(row.call_id), **texts)


def _tool(tool: Tool, change: Callable[[str], str]) -> Tool:
    return Tool(
        change(tool.name),
        change(tool.description),
        _replaced(tool.parameters, change),
        _replaced(tool.declared, change),
    )
