"""The calls of a completion that are invalid, and the tokens that wrote them.

Where one is found the completion is read again one character at a time, so that what the parser
says is known to be about the text so far; nothing of a format is known here. Tokens are mapped by
the text they add, never by encoding text again. Where a call's beginning cannot be told, more is
named, not less.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from regreen.templates.format import ToolFormat
from regreen.templates.tokens.renderer import Renderer
from regreen.templates.tokens.tokenizers import Tokenizer
from regreen.templates.tools import ToolTable
from regreen.train.policy.penalty_arguments import argument_fault

__all__ = ["CallFault", "call_faults", "token_texts"]

_HELD = 32
"""Tokens that are held back at most because their bytes may still become a character."""
_TAIL = 80
"""Characters in front of a call that are enough to find its beginning by."""


Kind = Literal["incomplete", "unknown_tool", "arguments", "mended"]


@dataclass(frozen=True, slots=True)
class CallFault:
    """A call that the rules of its format or its tool do not allow."""

    kind: Kind
    """It cannot be executed; nobody offers the tool; its arguments do not fit the tool's schema; it
    departs from the format and was read all the same."""
    reason: str
    """The same in words."""
    tokens: tuple[int, int]
    """Half-open range of the completion's ids that wrote it."""


@dataclass(slots=True)
class _Call:
    name: str
    low: int
    """Where its text can begin: behind the arguments of the call before it."""
    high: int
    """Characters read when it was known to be a call."""
    before: str
    """Text and reasoning between the call before it and this one."""
    said: int
    """Characters read when the last of that was known to be text."""
    faults: list[str]
    """Departures from the format that were mended in it, or in front of the first call."""
    after: str = ""
    """Text behind it, up to the next."""
    pieces: list[tuple[int, str]] = field(default_factory=list)
    """Its arguments, each piece with the characters read when it was known."""
    end: int = -1
    """Characters read when it was known to be over; often the next has begun by then."""
    incomplete: str = ""

    @property
    def settled(self) -> int:
        """A place that is surely behind its beginning and not behind its end."""
        return max((at for at, _ in self.pieces if not 0 <= self.end <= at), default=self.high)


def call_faults(
    renderer: Renderer,
    tools: ToolTable,
    ids: Sequence[int],
    *,
    truncated: bool | None = None,
    in_reasoning: bool = False,
) -> tuple[CallFault, ...]:
    """Find the invalid calls of one completion.

    Args:
        renderer: the format and the vocabulary.
        tools: the tools offered; an empty table knows no schema and takes any name.
        ids: every sampled id, the end mark included if it was sampled.
        truncated: whether it was cut (finish reason ``length``).
        in_reasoning: whether the prompt has opened the reasoning.

    Returns:
        In order; none for a completion without calls.
    """
    spoken = renderer.tokenizer.decode(ids)
    if _sound(renderer.form, tools, spoken, truncated, in_reasoning):
        return ()
    texts = token_texts(renderer.tokenizer, ids)
    whole = "".join(texts)
    text = whole.removesuffix(renderer.end_mark(ids)).rstrip() or whole
    calls = _read(renderer.form, tools, whole, truncated, in_reasoning)
    found = []
    for place, call in enumerate(calls):
        fault = _fault(call, tools)
        if fault is not None:
            following = calls[place + 1] if place + 1 < len(calls) else None
            end = _end(renderer.form, tools, text, call, following)
            start = min(_start(renderer.form, tools, text, call), max(0, end - 1))
            found.append(CallFault(*fault, _tokens(texts, start, end)))
    return tuple(found)


def _read(
    form: ToolFormat, tools: ToolTable, text: str, truncated: bool | None, in_reasoning: bool
) -> list[_Call]:
    """The calls of a text, each with the place where it became known."""
    parser = form.stream(tools, in_reasoning=in_reasoning)
    steps = [(place, delta) for place, char in enumerate(text, 1) for delta in parser.feed(char)]
    steps += [(len(text), delta) for delta in parser.finish(truncated=truncated)]
    calls: list[_Call] = []
    by_number: dict[int, _Call] = {}
    text_so_far, said, early = "", 0, list[str]()
    for place, delta in steps:
        if delta.kind == "call":
            low = calls[-1].settled if calls else 0
            by_number[delta.call] = _Call(delta.text, low, place, text_so_far, said, early)
            calls.append(by_number[delta.call])
            text_so_far, early = "", []
        elif delta.kind == "arguments":
            by_number[delta.call].pieces.append((place, delta.text))
        elif delta.kind in {"end", "incomplete"}:
            by_number[delta.call].end = place
            by_number[delta.call].incomplete = delta.text
        elif delta.kind == "fault":
            (calls[-1].faults if calls else early).append(delta.text)
        else:
            text_so_far, said = text_so_far + delta.text, place
            if calls:
                calls[-1].after = text_so_far
    return calls


def _sound(
    form: ToolFormat, tools: ToolTable, text: str, truncated: bool | None, in_reasoning: bool
) -> bool:
    """Whether nothing is wrong with any call, read at once: most completions end here."""
    message = form.parse(text, tools, truncated=truncated, in_reasoning=in_reasoning)
    if message.incomplete or message.faults:
        return False
    return not any(_misfit(tools, call.name, call.arguments) for call in message.tool_calls)


def _fault(call: _Call, tools: ToolTable) -> tuple[Kind, str] | None:
    """What is wrong with a call, the gravest first."""
    if call.incomplete or call.end < 0:
        return "incomplete", call.incomplete or "the stream was not finished"
    arguments = json.loads("".join(piece for _, piece in call.pieces) or "{}")
    misfit = _misfit(tools, call.name, arguments)
    if misfit is not None:
        return misfit
    return ("mended", "; ".join(call.faults)) if call.faults else None


def _misfit(tools: ToolTable, name: str, arguments: Mapping[str, Any]) -> tuple[Kind, str] | None:
    """Why a complete call cannot be carried out."""
    if not tools.offers(name):
        return "unknown_tool", f"there is no tool {name!r}"
    tool = tools.by_name.get(name)
    reason = argument_fault(tool.parameters, arguments) if tool is not None else ""
    return ("arguments", reason) if reason else None


def _start(form: ToolFormat, tools: ToolTable, text: str, call: _Call) -> int:
    """Where the text of a call begins.

    As many places where a call may begin as the text in front of it holds were no calls; the next
    is this one. Formats that mark their text like calls, and later calls under one wrapper, have no
    such place; there it is behind the text in front, or on the line of the name.
    """
    if form.channels is None:
        opener = form.calls.reader(tools).opener
        places, guarded = _openings(opener, text, call.low, call.high)
        spoken, still_guarded = _openings(opener, call.before, 0, len(call.before))
        # a guarded mark is a bare one in what was read
        skipped = max(0, len(spoken) - (guarded - still_guarded))
        if skipped < len(places):
            return places[skipped]
    tail = call.before.rstrip()[-_TAIL:]
    if tail:
        place = text.rfind(tail, call.low, max(call.said, call.low))
        start = call.low if place < 0 else place + len(tail)
    else:
        name = text.rfind(call.name, call.low, call.high)
        start = max(call.low, text.rfind("\n", call.low, name) if call.low and name >= 0 else 0)
    return start + len(text[start:]) - len(text[start:].lstrip())


def _openings(opener: re.Pattern[str], text: str, low: int, high: int) -> tuple[list[int], int]:
    """Where calls may begin, and how many marks are guarded."""
    found = list(opener.finditer(text, low, high))
    places = [one.start() for one in found if one.lastgroup != "G"]
    return places, len(found) - len(places)


def _end(
    form: ToolFormat, tools: ToolTable, text: str, call: _Call, following: _Call | None
) -> int:
    """Where it ends: its closing marks belong to it, what is said behind them does not."""
    if call.end < 0:
        return len(text)
    if call.after.strip():
        return call.end
    return len(text) if following is None else _start(form, tools, text, following)


def _tokens(texts: Sequence[str], start: int, end: int) -> tuple[int, int]:
    """Tokens that wrote ``[start, end)``; one that begins before it and reaches in is meant too."""
    first, last, place = len(texts), 0, 0
    for index, piece in enumerate(texts):
        if place < end and place + len(piece) > start:
            first, last = min(first, index), index + 1
        place += len(piece)
    return (first, last) if first < last else (0, len(texts))


def token_texts(tokenizer: Tokenizer, ids: Sequence[int]) -> list[str]:
    """The text that each token adds; together the text of all.

    A character whose bytes are several tokens belongs to the last of them. Bytes that never become
    a character are U+FFFD, as in ``decode``.
    """
    texts = [""] * len(ids)
    clean = 0  # first token of the window
    shown = ""  # its text that has been given out
    for place in range(len(ids)):
        text = tokenizer.decode(ids[clean : place + 1])
        held = text.endswith("�") and place + 1 < len(ids) and place - clean < _HELD
        if not held:
            texts[place] = text[len(shown) :]
            clean, shown = _window(tokenizer, ids, place)
    return texts


def _window(tokenizer: Tokenizer, ids: Sequence[int], place: int) -> tuple[int, str]:
    """The next window begins with the token just shown: decoders treat a first token apart."""
    return place, tokenizer.decode(ids[place : place + 1])
