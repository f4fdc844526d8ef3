"""Writing a conversation: messages to pieces of text, for any format."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

from regreen.templates.conversation import Message
from regreen.templates.guard import JOINER, guard
from regreen.templates.message import ParsedMessage, ToolCall
from regreen.templates.parser import FENCE
from regreen.templates.tools import ToolTable

if TYPE_CHECKING:
    from regreen.templates.format import ToolFormat
    from regreen.templates.parser import StreamParser

__all__ = ["Channels", "Piece", "completion", "end_mark", "turns", "write"]


class Piece(NamedTuple):
    """A stretch of rendered text that comes from one place."""

    text: str
    """The characters."""
    role: str
    """Role of the message it belongs to."""
    kind: str
    """``frame``, ``tools``, ``text``, ``reasoning``, ``calls``, ``result`` or ``end``."""
    message: int
    """Index of the message; -1 for what belongs to none."""
    trained: bool
    """Whether a model that writes this conversation samples it."""


class Channels(Protocol):
    """Whole messages of a format that marks reasoning and text as it marks calls."""

    def write(
        self, message: Message, tools: ToolTable, index: int, *, guarded: bool
    ) -> list[Piece]:
        """A message, without its opening and without the mark that ends it."""
        ...

    def parser(self, tools: ToolTable, *, in_reasoning: bool) -> StreamParser:
        """A parser of one completion."""
        ...


def write(
    form: ToolFormat,
    messages: Sequence[Message],
    tools: ToolTable,
    generation: bool,
    begin: int = 0,
) -> list[Piece]:
    """The pieces of a conversation; see ``ToolFormat.pieces``.

    ``begin`` is the first message to write where those before it stand already: what belongs to
    no message of the rest is left out.
    """
    pieces = turns(form, messages, tools, generation, begin)
    return _shared_ends(pieces, form.chat.stops) if form.chat.ends_with_next else pieces


def end_mark(form: ToolFormat, message: Message) -> str:
    """The mark with which a model ends the turn in which it said ``message``."""
    chat = form.chat
    if chat.ends_with_next:
        opening = chat.turns[form.results.role if message.calls else "user"][0]
        return next((stop for stop in chat.stops if opening.startswith(stop)), "")
    return ((message.calls and chat.called) or chat.turns["assistant"][1]).rstrip("\n")


def turns(
    form: ToolFormat,
    messages: Sequence[Message],
    tools: ToolTable,
    generation: bool,
    begin: int = 0,
) -> list[Piece]:
    """As ``write``, each turn by itself: a mark that two turns share belongs to the second."""
    chat = form.chat
    out: list[Piece] = []
    start = (tools.tools and chat.start_with_tools) or chat.start
    if start and not begin:
        out.append(Piece(start, "system", "frame", -1, False))
    rest = 0
    if not begin and (
        tools.tools or chat.always_system or (messages and messages[0].role == "system")
    ):
        rest = 1 if messages and messages[0].role == "system" else 0
        _system(form, messages[0].content if rest else None, tools, out)
    index = max(rest, begin)
    while index < len(messages):
        message = messages[index]
        if message.role == "tool":
            end = index + 1
            while form.results.folded and end < len(messages) and messages[end].role == "tool":
                end += 1
            _results(form, messages[index:end], index, out)
            index = end
            continue
        opening, closing = chat.turns[message.role]
        closing = (message.calls and chat.called) or closing
        trained = message.role == "assistant"
        if trained and chat.resumed is not None and index and messages[index - 1].role == "tool":
            opening = chat.resumed
        out.append(Piece(opening, message.role, "frame", index, False))
        if trained:
            out += completion(form, message, tools, index)
        else:
            out.append(Piece(message.content, message.role, "text", index, False))
        mark = closing.rstrip("\n") if trained else ""
        if mark:
            out.append(Piece(mark, message.role, "end", index, True))
        out.append(Piece(closing[len(mark) :], message.role, "frame", index, False))
        index += 1
    if generation:
        opening = chat.generation or chat.turns["assistant"][0]
        if chat.resumed is not None and messages and messages[-1].role == "tool":
            opening = chat.resumed
        out.append(Piece(opening, "assistant", "frame", -1, False))
    return out


def _shared_ends(pieces: Sequence[Piece], stops: Sequence[str]) -> list[Piece]:
    """The mark that ends an assistant's turn and opens the next is what the model samples."""
    found: list[Piece] = []
    speaker: int | None = None
    for piece in pieces:
        row = piece
        if row.role == "assistant" and row.message >= 0:
            speaker = row.message
        elif speaker is not None and row.text:
            mark = next((stop for stop in stops if row.text.startswith(stop)), "")
            if mark:
                found.append(Piece(mark, "assistant", "end", speaker, True))
                row = row._replace(text=row.text[len(mark) :])
            speaker = None
        found.append(row)
    return found


def _system(form: ToolFormat, given: str | None, tools: ToolTable, out: list[Piece]) -> None:
    """Write the system turn; ``given`` is None where the conversation has no system message."""
    chat = form.chat
    opening, closing = chat.turns["system"]
    standard = chat.default_system if tools.tools or chat.always_system else ""
    stands = given is not None and (given != "" or chat.keeps_empty_system)
    text = given if given is not None and stands else standard
    block = form.definitions(tools) if tools.tools else ""
    joint = form.join_system if block and (text or stands) else ""
    spoken = [Piece(text, "system", "text", 0, False)]
    if text and any(chat.around_system):
        spoken = _framed(chat.around_system[0], spoken, chat.around_system[1])
    defined = [Piece(block, "system", "tools", -1, False)] if block else []
    if chat.tools_turn is not None:
        around = chat.tools_turn
        spoken = _framed(opening, spoken, closing) if text or not block else []
        defined = _framed(around[0], defined, around[1]) if block else []
        out += [*defined, *spoken] if chat.tools_first else [*spoken, *defined]
        return
    if joint:
        defined[0] = defined[0]._replace(text=block + joint if chat.tools_first else joint + block)
    rows = [*defined, *spoken] if chat.tools_first else [*spoken, *defined]
    out += _framed(opening, rows, closing)


def _framed(opening: str, rows: Sequence[Piece], closing: str) -> list[Piece]:
    before, behind = (Piece(mark, "system", "frame", 0, False) for mark in (opening, closing))
    return [before, *rows, behind]


def _results(form: ToolFormat, messages: Sequence[Message], first: int, out: list[Piece]) -> None:
    style = form.results
    opening, closing = form.chat.turns[style.role]
    before, behind = style.each
    out.append(Piece(opening + style.around[0], "tool", "frame", first, False))
    for place, message in enumerate(messages):
        index = first + place
        if place:
            out.append(Piece(style.between, "tool", "frame", index, False))
        out.append(Piece(_named(before, message), "tool", "frame", index, False))
        out.append(Piece(message.content, "tool", "result", index, False))
        out.append(Piece(_named(behind, message), "tool", "frame", index, False))
    out.append(Piece(style.around[1] + closing, "tool", "frame", first, False))


def completion(form: ToolFormat, message: Message, tools: ToolTable, index: int = 0) -> list[Piece]:
    """The pieces of an assistant's message, without its turn.

    Markers inside values and text are guarded only if the message would not be read back as it is:
    first those of the values, then those of the text too.
    """
    found = _completion(form, message, tools, index, values=False, text=False)
    if not _suspect(form, message):
        return found
    for values, text in ((True, False), (True, True)):
        if _reads_back(form, message, found, tools):
            break
        found = _completion(form, message, tools, index, values=values, text=text)
    return found


def _completion(
    form: ToolFormat, message: Message, tools: ToolTable, index: int, *, values: bool, text: bool
) -> list[Piece]:
    if form.channels is not None:
        return form.channels.write(message, tools, index, guarded=text)
    out: list[Piece] = []
    content, marks = message.content, (*form.marks[1], FENCE)
    if message.reasoning and form.reasoning is not None:
        opening, closing = form.reasoning.open, form.reasoning.close
        reasoning = guard(message.reasoning, marks) if text else message.reasoning
        out.append(Piece(opening + reasoning + closing, "assistant", "reasoning", index, True))
    elif form.reasoning is not None and form.reasoning.empty:
        out.append(Piece(form.reasoning.empty, "assistant", "reasoning", index, True))
    if message.calls and form.trims:
        content = content.strip()
    lead = form.calls.lead if message.calls and (content or form.leads) else ""
    if content or lead:
        shown = guard(content, marks) if text else content
        out.append(Piece(shown + lead, "assistant", "text", index, True))
    if message.calls:
        written = form.calls.write(message.calls, tools, guarded=values)
        out.append(Piece(written, "assistant", "calls", index, True))
    return out


def _suspect(form: ToolFormat, message: Message) -> bool:
    """Whether any marker occurs in what the message says, so that reading it back is in doubt."""
    texts = [message.content, message.reasoning]
    for call in message.calls:
        for value in call.arguments.values():
            if isinstance(value, str):
                texts.append(value)
            elif isinstance(value, dict | list):
                texts.append(json.dumps(value, ensure_ascii=False))
    if message.calls and message.content.count(FENCE) % 2:
        return True  # the calls would stand inside a code fence
    firsts, marks = form.marks
    for text in texts:
        if JOINER in text:
            return True
        for first in firsts:
            if first in text and any(mark in text for mark in marks):
                return True
    return False


def _reads_back(
    form: ToolFormat, message: Message, pieces: Sequence[Piece], tools: ToolTable
) -> bool:
    text, said = "".join(piece.text for piece in pieces), _said_by(form, message)
    ends = ("", form.chat.stops[0])  # endpoints give the end mark, or keep it
    return all(_said(form.parse(text + end, tools)) == said for end in ends)


def _said(read: ParsedMessage) -> tuple[object, ...]:
    return read.content, read.reasoning, [_bare(call) for call in read.tool_calls], read.incomplete


def _said_by(form: ToolFormat, message: Message) -> tuple[object, ...]:
    content = message.content.strip() if message.calls and form.trims else message.content
    reasoning = message.reasoning if form.reasoning is not None else ""
    return content, reasoning, [_bare(call) for call in message.calls], ()


def _bare(call: ToolCall) -> tuple[str, dict[str, object]]:
    return call.name, call.arguments


def _named(text: str, message: Message) -> str:
    """A wrapper's text with the call's name and id in it."""
    if "{" not in text:
        return text
    return text.replace("{name}", message.name).replace("{id}", message.call_id)
