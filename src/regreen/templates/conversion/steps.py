"""A conversation as steps: each answer together with the results of its calls.

Formats differ in where results stand and how many calls an answer may hold, so conversion goes
through this form. What cannot be put into it is refused with a reason that can be counted.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from regreen.core.errors import UsageError
from regreen.templates.conversation import id_of, loaded, text_of

__all__ = ["Step", "Steps", "Unconvertible", "infer_tools", "read_calls", "sequential"]

Message = Mapping[str, Any]


class Unconvertible(UsageError):
    """A conversation that cannot be converted: ``what`` is the reason, ``where`` the details."""


@dataclass(frozen=True)
class Step:
    """A message, and for an answer the results of its calls."""

    message: Message
    """In OpenAI shape; never a result."""
    results: tuple[tuple[int, str], ...] = ()
    """Index in the source and text of each result, in the order of the calls; a conversation may
    end before they come."""
    index: int = 0
    """Index of the message in the source."""
    length: int = 1
    """Messages of the source that the step stands for."""

    @property
    def calls(self) -> Sequence[Message]:
        """Calls of the answer."""
        return self.message.get("tool_calls") or ()


@dataclass(frozen=True)
class Steps:
    """A whole conversation."""

    steps: tuple[Step, ...]
    """In order."""
    length: int
    """Messages of the source."""
    notes: tuple[str, ...] = ()
    """What was mended in reading, once per occurrence."""


def read_calls(messages: Sequence[Message]) -> Steps:
    """The steps of a conversation whose calls an endpoint has parsed.

    Raises:
        Unconvertible: a part that is no text, a call without an object of arguments or without a
            result, a result without a call.
    """
    steps: list[Step] = []
    index = 0
    while index < len(messages):
        message = messages[index]
        check_text(message, index)
        if message.get("role") == "tool":
            msg = "a result answers no call"
            raise Unconvertible(msg, where=f"message {index}")
        calls = message.get("tool_calls") or ()
        if not isinstance(calls, list | tuple):
            msg = "a message's calls are no list"
            raise Unconvertible(msg, where=f"message {index}")
        for call in calls:
            _check_call(call, index)
        end = index + 1
        while calls and end < len(messages) and messages[end].get("role") == "tool":
            check_text(messages[end], end)
            end += 1
        results = _matched(calls, messages, index + 1, end)
        steps.append(Step(message, results, index, end - index))
        index = end
    return Steps(tuple(steps), len(messages))


def _matched(
    calls: Sequence[Message], messages: Sequence[Message], start: int, end: int
) -> tuple[tuple[int, str], ...]:
    """Results in the order of their calls: by id, and those of unknown ids in their own order."""
    if not calls or (start == end == len(messages)):
        return ()
    if end - start != len(calls):
        msg = "calls and results differ in number"
        raise Unconvertible(msg, where=f"message {start - 1}")
    by_id: dict[str, list[int]] = {}
    for index in range(start, end):
        by_id.setdefault(id_of(messages[index].get("tool_call_id")), []).append(index)
    found = [by_id.get(id_of(call.get("id")), []) for call in calls]
    chosen = [rows.pop(0) if rows else -1 for rows in found]
    rest = iter([index for index in range(start, end) if index not in chosen])
    order = [index if index >= 0 else next(rest) for index in chosen]
    return tuple((index, text_of(messages[index].get("content"))) for index in order)


def check_text(message: Message, index: int) -> None:
    """Refuse a message of unknown role, or with a part that is no text.

    Raises:
        Unconvertible: which message.
    """
    where = f"message {index}"
    role = message.get("role")
    known = {"system", "developer", "user", "assistant", "tool"}
    if not isinstance(role, str) or role not in known:
        msg = "a message has no known role"
        raise Unconvertible(msg, where=where)
    content = message.get("content")
    for part in content if isinstance(content, list) else ():
        text = part.get("text") if isinstance(part, Mapping) else part
        if not isinstance(text, str):
            msg = "a message holds a part that is no text"
            raise Unconvertible(msg, where=where)


def _check_call(call: Any, index: int) -> None:
    function = call.get("function", call) if isinstance(call, Mapping) else None
    if not isinstance(function, Mapping) or not isinstance(function.get("name"), str):
        msg = "a call names no function"
        raise Unconvertible(msg, where=f"message {index}")
    if not isinstance(loaded(function.get("arguments")), Mapping):
        msg = "a call's arguments are no JSON object"
        raise Unconvertible(msg, where=f"message {index}")


def sequential(steps: Steps) -> Steps:
    """Every answer with at most one call; the text and the reasoning stay with the first."""
    found: list[Step] = []
    split = 0
    for step in steps.steps:
        calls = list(step.calls)
        if len(calls) < 2:
            found.append(step)
            continue
        split += 1
        for place, call in enumerate(calls):
            own = step.results[place : place + 1]
            if place:
                message = {"role": "assistant", "content": "", "tool_calls": [call]}
                found.append(Step(message, own, step.index, 0))
            else:
                first = {**step.message, "tool_calls": [call]}
                found.append(replace(step, message=first, results=own))
        if not step.results:
            msg = "several calls at the end have no results to split them by"
            raise Unconvertible(
                msg,
                where=f"message {step.index}",
            )
    notes = ("an answer with several calls was split",) * split
    return replace(steps, steps=tuple(found), notes=steps.notes + notes)


def infer_tools(calls: Iterable[Message]) -> list[dict[str, Any]]:
    """Tools as far as their calls tell: names, parameters, types seen; required what all give.

    For conversations that do not say what was offered. Tools never called are missing.
    """
    seen: dict[str, list[Mapping[str, Any]]] = {}
    for call in calls:
        function = call.get("function", call)
        seen.setdefault(function["name"], []).append(loaded(function.get("arguments")))
    return [_inferred(name, rows) for name, rows in seen.items()]


def _inferred(name: str, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    kinds: dict[str, dict[str, None]] = {}
    for row in rows:
        for key, value in row.items():
            kinds.setdefault(key, {})[_kind(value)] = None
    properties = {
        key: {"type": next(iter(types)) if len(types) == 1 else list(types)}
        for key, types in kinds.items()
    }
    parameters = {
        "type": "object",
        "properties": properties,
        "required": [key for key in kinds if all(key in row for row in rows)],
    }
    return {"type": "function", "function": {"name": name, "parameters": parameters}}


def _kind(value: Any) -> str:
    if value is None:
        return "null"
    names = {str: "string", bool: "boolean", int: "integer", float: "number", list: "array"}
    return names.get(type(value), "object")
