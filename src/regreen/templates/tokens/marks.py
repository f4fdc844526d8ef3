"""Which special tokens of a rendered text the format itself wrote.

A message may contain the text of any special token. It is found out by writing the conversation a
second time with every such text in the messages and tools broken up: what is still there is the
format's own. Conversations without such text, nearly all, are written once.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from regreen.templates.conversation import Message
from regreen.templates.message import ToolCall
from regreen.templates.tokens.spans import Marked
from regreen.templates.tools import Tool, ToolTable
from regreen.templates.write import Piece

if TYPE_CHECKING:
    Write = Callable[[Sequence[Message], ToolTable], list[Piece]]

__all__ = ["marked", "pattern_of"]


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
    said = _strings([rows[begin:], [] if begin else [tool.declared for tool in tools.tools]])
    if not any(pattern.search(text) for text in said):
        return [Marked(piece, _matches(pattern, piece.text)) for piece in pieces]
    whole = "".join([piece.text for piece in pieces])
    joint = next(char for char in map(chr, range(0xE000, 0xF900)) if char not in whole)

    def broken(text: str) -> str:
        return pattern.sub(lambda match: match[0][0] + joint + match[0][1:], text)

    kept = [*rows[:begin], *(_message(row, broken) for row in rows[begin:])]
    again = write(kept, ToolTable(tuple(_tool(tool, broken) for tool in tools.tools)))
    return _aligned(pieces, again, pattern, joint)


def _aligned(
    pieces: Sequence[Piece], again: Sequence[Piece], pattern: re.Pattern[str], joint: str
) -> list[Marked]:
    """Carry the marks of the second writing over to the first.

    Where guarding made the two differ, the kinds of marks the second has are looked for in the
    first; that may take an assistant's text for a mark of its own format, never for another.
    """
    if len(pieces) != len(again):
        again = [Piece("", *piece[1:]) for piece in pieces]
    found: list[Marked] = []
    for piece, other in zip(pieces, again, strict=True):
        matches = _matches(pattern, other.text)
        if other.text.replace(joint, "") == piece.text:
            before = [other.text.count(joint, 0, start) for start, _ in matches]
            moved = zip(matches, before, strict=True)
            marks = [(start - less, end - less) for (start, end), less in moved]
        else:
            own = {other.text[start:end] for start, end in matches}
            marks = _matches(pattern_of(own), piece.text)
        found.append(Marked(piece, marks))
    return found


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
