"""Conversations of clients that prompt a format: everything in plain system and user messages.

The tools stand in the system message, calls in the assistant's text, results in the user's turn.
Reading undoes writing; where a result holds the marks between results, each gets a turn of its own.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from regreen.templates.chat import Results
from regreen.templates.conversation import text_of
from regreen.templates.conversion.steps import Step, Steps, Unconvertible, check_text
from regreen.templates.format import ToolFormat
from regreen.templates.message import ParsedMessage, ToolCall
from regreen.templates.tools import ToolTable

__all__ = ["joined_system", "read_prompted", "unwrapped", "wrap", "wrapped"]

Message = Mapping[str, Any]


def read_prompted(
    messages: Sequence[Message],
    form: ToolFormat,
    tools: ToolTable,
    *,
    truncated: Collection[int] = (),
) -> Steps:
    """The steps of a conversation whose calls are written in its text.

    Args:
        messages: as the client sent and got them.
        form: the format prompted.
        tools: what was offered.
        truncated: indices of answers that the endpoint cut at their length limit.

    Raises:
        Unconvertible: a call is incomplete, or its result cannot be found.
    """
    steps: list[Step] = []
    notes: list[str] = []
    index = number = 0
    while index < len(messages):
        message = messages[index]
        check_text(message, index)
        role, end = message["role"], index + 1
        if role == "assistant":
            read = form.parse(
                text_of(message.get("content")), tools, truncated=index in truncated or None
            )
            if read.incomplete:
                why = f"message {index}: {read.incomplete[0].name}: {read.incomplete[0].reason}"
                msg = "a call is incomplete"
                raise Unconvertible(msg, where=why)
            notes += ["a departure from the format was mended"] * len(read.faults)
            results, end = _results(messages, index + 1, read.tool_calls, form, notes)
            answer = _answer(message, read, number)
            number += len(read.tool_calls)
            steps.append(Step(answer, results, index, end - index))
        elif role == "tool":
            msg = "a result answers no call"
            raise Unconvertible(msg, where=f"message {index}")
        elif role in {"system", "developer"} and not steps:
            text = _without_tools(text_of(message.get("content")), form, tools, notes)
            if text:
                steps.append(Step({**message, "content": text}, (), index))
        else:
            steps.append(Step(message, (), index))
        index = end
    return Steps(tuple(steps), len(messages), tuple(notes))


def _answer(message: Message, read: ParsedMessage, number: int) -> dict[str, Any]:
    reasoning = text_of(message.get("reasoning_content") or message.get("reasoning"))
    answer: dict[str, Any] = {"role": "assistant", "content": read.content}
    if reasoning or read.reasoning:
        answer["reasoning_content"] = reasoning + read.reasoning
    if read.tool_calls:
        answer["tool_calls"] = [
            {
                "id": call.id or f"call_{number + place}",
                "type": "function",
                "function": {
                    "name": call.name,
                    "arguments": json.dumps(call.arguments, ensure_ascii=False),
                },
            }
            for place, call in enumerate(read.tool_calls)
        ]
    return answer


def _results(
    messages: Sequence[Message],
    start: int,
    calls: Sequence[ToolCall],
    form: ToolFormat,
    notes: list[str],
) -> tuple[tuple[tuple[int, str], ...], int]:
    """The results of an answer's calls, and where the next message stands."""
    count = len(calls)
    if not count or start == len(messages):
        return (), start
    texts = [text_of(row.get("content")) for row in messages[start : start + count]]
    roles = [row.get("role") for row in messages[start : start + count]]
    if roles == ["tool"] * count:
        return tuple(enumerate(texts, start)), start + count
    if roles[0] == "user":
        folded = unwrapped(texts[0], calls, form.results)
        if folded is not None:
            return tuple((start, text) for text in folded), start + 1
    if roles == ["user"] * count:
        single = [
            unwrapped(text, [call], form.results) for text, call in zip(texts, calls, strict=True)
        ]
        if all(single):
            found = [rows[0] for rows in single if rows]
            return tuple(enumerate(found, start)), start + count
    if count == 1 and roles == ["user"]:
        notes.append("a result without the format's wrapper was taken whole")
        return ((start, texts[0]),), start + 1
    msg = "results cannot be told apart"
    raise Unconvertible(msg, where=f"message {start}")


def wrapped(calls: Sequence[ToolCall], texts: Sequence[str], results: Results) -> list[str] | None:
    """The user turns that show results: one for all where that can be read back, else one each.

    None when neither can be read back.
    """
    if results.folded or len(calls) == 1:
        whole = wrap(calls, texts, results)
        if unwrapped(whole, calls, results) == list(texts):
            return [whole]
    if len(calls) == 1:
        return None
    single = [wrap([call], [text], results) for call, text in zip(calls, texts, strict=True)]
    clear = unwrapped(single[0], calls, results) is None
    return single if clear else None


def wrap(calls: Sequence[ToolCall], texts: Sequence[str], results: Results) -> str:
    """Results in one turn, whether or not they can be told apart again."""
    shown = [
        _named(results.each[0], call) + text + _named(results.each[1], call)
        for call, text in zip(calls, texts, strict=True)
    ]
    return results.around[0] + results.between.join(shown) + results.around[1]


def unwrapped(text: str, calls: Sequence[ToolCall], results: Results) -> list[str] | None:
    """The results in a user turn, one per call; None when it does not hold as many."""
    first, last = results.around[0], results.around[1]
    opening = _mark(first + results.each[0], calls[0]).match(text)
    closing = _named(results.each[1], calls[-1]) + last
    if opening is None or not text.endswith(closing):
        return None
    at, end, found = opening.end(), len(text) - len(closing), []
    for call, following in itertools.pairwise(calls):
        between = _named(results.each[1], call) + results.between
        mark = _mark(between + results.each[0], following).search(text, at, end)
        if mark is None or mark.end() == mark.start():
            return None
        found.append(text[at : mark.start()])
        at = mark.end()
    return [*found, text[at:end]] if at <= end else None


def _mark(template: str, call: ToolCall) -> re.Pattern[str]:
    """Finds a wrapper's opening for a call; its id need not be the one we know."""
    named = template.replace("{name}", call.name)
    return re.compile("[^\n]{0,200}?".join(map(re.escape, named.split("{id}"))))


def _named(template: str, call: ToolCall) -> str:
    return template.replace("{name}", call.name).replace("{id}", call.id)


def joined_system(text: str, form: ToolFormat, tools: ToolTable) -> str:
    """A system message with the tool block in it."""
    block = form.definitions(tools) if tools.tools else ""
    joint = (form.join_system or "\n\n") if text and block else ""
    return block + joint + text if form.chat.tools_first else text + joint + block


def _without_tools(text: str, form: ToolFormat, tools: ToolTable, notes: list[str]) -> str:
    block = form.definitions(tools) if tools.tools else ""
    joint = form.join_system or "\n\n"
    if block and form.chat.tools_first and text.startswith(block):
        return text[len(block) :].removeprefix(joint)
    if block and text.endswith(block):
        return text[: -len(block)].removesuffix(joint)
    if block:
        notes.append("the system message was kept whole: its tool block is not the one known")
    return text
