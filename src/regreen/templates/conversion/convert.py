"""Conversations from any format into any other, exactly or not at all.

Every answer is read back in the target before it counts as converted, so what a format cannot say
is found here and not in training. What is lost without changing what was done (white space beside
calls, reasoning where a format has none) is noted.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from regreen.core.errors import UsageError
from regreen.templates.conversation import Message as Row
from regreen.templates.conversation import id_of, normalise, numbered
from regreen.templates.conversion.prompted import joined_system, read_prompted, wrapped
from regreen.templates.conversion.steps import Steps, Unconvertible, read_calls, sequential
from regreen.templates.format import ToolFormat
from regreen.templates.tools import ToolTable
from regreen.templates.write import Piece, completion

__all__ = ["Converted", "Rendered", "as_openai", "as_prompt", "as_text", "read_conversation"]


@dataclass(frozen=True)
class Converted:
    """A conversation in its new form."""

    messages: tuple[dict[str, Any], ...]
    """In OpenAI shape."""
    cuts: tuple[int, ...]
    """Where each message of the source begins in ``messages``, and one past the last."""
    notes: tuple[str, ...]
    """What was mended or left out, once per occurrence."""


@dataclass(frozen=True)
class Rendered:
    """A conversation as one text."""

    text: str
    """What a model is trained on."""
    spans: tuple[tuple[int, int, str, str, int], ...]
    """Start, end, role, kind and message of each stretch; the message is an index into
    ``messages``, -1 for none."""
    trained: tuple[tuple[int, int], ...]
    """Ranges that the model is trained to write, neighbours joined."""
    messages: tuple[dict[str, Any], ...]
    """The messages rendered, in OpenAI shape."""
    notes: tuple[str, ...]
    """As in ``Converted``."""


def read_conversation(
    messages: Sequence[Mapping[str, Any]],
    form: ToolFormat | None,
    tools: ToolTable,
    *,
    truncated: Collection[int] = (),
) -> Steps:
    """The steps of a conversation; see ``read_prompted`` for the arguments.

    Messages that carry parsed calls are read by them whatever the format.

    Raises:
        Unconvertible: says why, and where.
    """
    if not any(message.get("role") == "assistant" for message in messages):
        msg = "no answer of a model is in it"
        raise Unconvertible(msg)
    if form is None or any(message.get("tool_calls") for message in messages):
        return read_calls(messages)
    return read_prompted(messages, form, tools, truncated=truncated)


def as_openai(steps: Steps) -> Converted:
    """Calls and results as an endpoint gives and takes them."""
    messages: list[dict[str, Any]] = []
    cuts = [0] * (steps.length + 1)
    for step in steps.steps:
        _cut(cuts, step.index, step.length, len(messages))
        message = dict(step.message)
        if step.calls:
            message["tool_calls"] = [_with_text_id(call) for call in step.calls]
        messages.append(message)
        for call, (_, text) in zip(step.calls, step.results, strict=False):
            shown = {"role": "tool", "tool_call_id": id_of(call.get("id")), "content": text}
            messages.append(shown)
    return _converted(messages, cuts, steps.notes)


def as_prompt(steps: Steps, form: ToolFormat, tools: ToolTable) -> Converted:
    """What a client that prompts the format sends and gets; answers without their end mark.

    Raises:
        Unconvertible: the format cannot say it.
    """
    steps = steps if form.parallel else sequential(steps)
    rows, notes = _rows(steps, form, tools)
    messages: list[dict[str, Any]] = []
    cuts = [0] * (steps.length + 1)
    if tools.tools and (not rows or rows[0].role != "system"):
        messages.append({"role": "system", "content": joined_system("", form, tools)})
    at = 0
    for place, step in enumerate(steps.steps):
        row = rows[at]
        at += 1 + len(step.results)
        _cut(cuts, step.index, step.length, len(messages) if place else 0)
        if row.role == "assistant":
            pieces = completion(form, row, tools, 0)
            text = "".join(piece.text for piece in pieces)
            notes += _check(form, row, text, tools, step.index)
            messages.append({"role": "assistant", "content": text})
            texts = [text for _, text in step.results]
            turns = wrapped(row.calls, texts, form.results) if texts else []
            if turns is None:
                what = "a result holds the marks around results"
                raise Unconvertible(what, where=f"message {step.index}")
            messages += [{"role": "user", "content": turn} for turn in turns]
        elif row.role == "system" and not place:
            content = joined_system(row.content, form, tools)
            messages.append({"role": "system", "content": content})
        else:
            messages.append({"role": row.role, "content": row.content})
    return _converted(messages, cuts, (*steps.notes, *notes))


def as_text(steps: Steps, form: ToolFormat, tools: ToolTable) -> Rendered:
    """The text a model is trained on, with where everything in it comes from.

    Raises:
        Unconvertible: the format cannot say it.
    """
    steps = steps if form.parallel else sequential(steps)
    rows, notes = _rows(steps, form, tools)
    at = 0
    for step in steps.steps:
        row = rows[at]
        at += 1 + len(step.results)
        if row.role == "assistant":
            text = "".join(piece.text for piece in completion(form, row, tools, 0))
            notes += _check(form, row, text, tools, step.index)
    messages = as_openai(steps).messages
    try:
        pieces = form.pieces(messages, tools)
    except UsageError as error:
        msg = "the format cannot say it"
        raise Unconvertible(msg, where=error.what) from error
    spans, trained = _spans(pieces)
    text = "".join(piece.text for piece in pieces)
    return Rendered(text, spans, trained, messages, (*steps.notes, *notes))


def _with_text_id(call: Mapping[str, Any]) -> Mapping[str, Any]:
    return {**call, "id": id_of(call["id"])} if "id" in call else call


def _rows(steps: Steps, form: ToolFormat, tools: ToolTable) -> tuple[list[Row], list[str]]:
    """Uniform messages with the ids that the format writes."""
    try:
        return list(numbered(normalise(as_openai(steps).messages), form.call_id)), []
    except UsageError as error:
        msg = "the format cannot say it"
        raise Unconvertible(msg, where=error.what) from error


def _check(form: ToolFormat, row: Row, text: str, tools: ToolTable, index: int) -> list[str]:
    """Read an answer back; returns what was left out.

    Raises:
        Unconvertible: its calls or its words would not be the same.
    """
    read = form.parse(text + form.chat.stops[0], tools)
    calls = [(call.name, call.arguments) for call in row.calls]
    if [(call.name, call.arguments) for call in read.tool_calls] != calls or read.incomplete:
        msg = "a call does not read back"
        raise Unconvertible(msg, where=f"message {index} in {form.name}")
    notes = []
    if read.content != row.content:
        if read.content.strip() != row.content.strip():
            what = "the text of an answer does not read back"
            raise Unconvertible(what, where=f"message {index} in {form.name}")
        notes.append("white space around an answer's text was left out")
    if read.reasoning != row.reasoning:
        if read.reasoning.strip() != row.reasoning.strip() and read.reasoning:
            what = "the reasoning of an answer does not read back"
            raise Unconvertible(what, where=f"message {index} in {form.name}")
        notes.append("reasoning was left out: the format has none")
    return notes


def _spans(
    pieces: Sequence[Piece],
) -> tuple[tuple[tuple[int, int, str, str, int], ...], tuple[tuple[int, int], ...]]:
    spans: list[tuple[int, int, str, str, int]] = []
    trained: list[tuple[int, int]] = []
    at = 0
    for piece in pieces:
        end = at + len(piece.text)
        if piece.text:
            spans.append((at, end, piece.role, piece.kind, piece.message))
            if piece.trained and trained and trained[-1][1] == at:
                trained[-1] = (trained[-1][0], end)
            elif piece.trained:
                trained.append((at, end))
        at = end
    return tuple(spans), tuple(trained)


def _cut(cuts: list[int], index: int, length: int, position: int) -> None:
    cuts[index : index + length] = [position] * length


def _converted(
    messages: Sequence[dict[str, Any]], cuts: list[int], notes: Sequence[str]
) -> Converted:
    cuts[-1] = len(messages)
    return Converted(tuple(messages), tuple(cuts), tuple(notes))
