"""What a completion says: text, reasoning, calls; whole, or as the deltas of a stream.

A call is either complete and in ``tool_calls`` or it is in ``incomplete``, which nobody can execute
by mistake. ``collect`` turns deltas into the message, and parsing is nothing else: the whole text
is one delta.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

__all__ = ["Delta", "IncompleteCall", "ParsedMessage", "ToolCall", "collect"]

Kind = Literal["content", "reasoning", "call", "arguments", "end", "incomplete", "fault"]


class Delta(NamedTuple):
    """One step of a stream."""

    kind: Kind
    """``content`` and ``reasoning`` carry text; ``call`` opens a call, ``arguments`` carries a
    piece of its JSON object, ``end`` completes it, ``incomplete`` gives it up; ``fault`` is a
    remark."""
    text: str = ""
    """The piece; the tool's name for ``call``, the reason for ``incomplete`` and ``fault``."""
    call: int = -1
    """Which call of the message, from 0; -1 for the others."""
    id: str = ""
    """The id a format writes with a call, for ``call`` only."""


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A complete call."""

    name: str
    """The tool, as written."""
    arguments: dict[str, Any]
    """Its arguments, typed by the tool's schema."""
    id: str = ""
    """Empty where the format writes none."""


@dataclass(frozen=True, slots=True)
class IncompleteCall:
    """A call that was begun and cannot be executed."""

    name: str
    """The tool, as written."""
    arguments: str
    """The JSON text of its arguments as far as it came, usually without its end."""
    reason: str
    """Why it is incomplete."""
    id: str = ""
    """Empty where the format writes none."""


@dataclass(frozen=True, slots=True)
class ParsedMessage:
    """An assistant's completion, read."""

    content: str = ""
    """Text for the user, in front of the calls and after them."""
    reasoning: str = ""
    """Text of the reasoning, without its tags."""
    tool_calls: tuple[ToolCall, ...] = ()
    """Complete calls, in order."""
    incomplete: tuple[IncompleteCall, ...] = ()
    """Calls cut short or beyond repair, in order."""
    faults: tuple[str, ...] = ()
    """Each departure from the format that was mended; empty for well-formed text."""


@dataclass(slots=True)
class _Call:
    name: str
    id: str
    pieces: list[str] = field(default_factory=list)
    end: str | None = None


def collect(deltas: Iterable[Delta]) -> ParsedMessage:
    """The message that the deltas of one stream add up to."""
    text: dict[str, list[str]] = {"content": [], "reasoning": [], "fault": []}
    calls: dict[int, _Call] = {}
    for kind, piece, index, call_id in deltas:
        if kind == "arguments":
            calls[index].pieces.append(piece)
        elif kind == "call":
            calls[index] = _Call(piece, call_id)
        elif kind == "end":
            calls[index].end = ""
        elif kind == "incomplete":
            calls[index].end = piece
        else:
            text[kind].append(piece)
    complete, incomplete = [], []
    for call in calls.values():
        arguments = "".join(call.pieces)
        if call.end == "":
            complete.append(ToolCall(call.name, json.loads(arguments or "{}"), call.id))
        else:
            reason = call.end or "the stream was not finished"
            incomplete.append(IncompleteCall(call.name, arguments, reason, call.id))
    return ParsedMessage(
        "".join(text["content"]),
        "".join(text["reasoning"]),
        tuple(complete),
        tuple(incomplete),
        tuple(text["fault"]),
    )
