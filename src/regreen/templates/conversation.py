"""Messages in OpenAI chat shape, made uniform: what clients really send, read once.

Clients send content as text, as parts, as null or not at all; arguments as an object or as JSON
text; a ``developer`` role; system messages in the middle; ids that are numbers.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from regreen.core.errors import UsageError
from regreen.templates.message import ToolCall

__all__ = ["CallId", "Message", "id_of", "loaded", "normalise", "numbered", "text_of"]

CallId = Callable[[ToolCall, int], str]
"""The id a format writes for a call, given the call and its number in the conversation."""


@dataclass(frozen=True, slots=True)
class Message:
    """One message."""

    role: str
    """system, user, assistant or tool."""
    content: str = ""
    """Its text; parts are joined."""
    reasoning: str = ""
    """Reasoning of an assistant."""
    calls: tuple[ToolCall, ...] = ()
    """Calls of an assistant."""
    name: str = ""
    """The tool, for a result."""
    call_id: str = ""
    """The call it answers, for a result."""


def normalise(
    messages: Iterable[Mapping[str, Any]], known: Sequence[Message] = ()
) -> list[Message]:
    """Read messages.

    Args:
        messages: in OpenAI chat shape.
        known: what the first of them were read as before.

    Raises:
        UsageError: a message without a role, or calls that are none or whose arguments are no
            object.
    """
    rows = list(known)
    names = {call.id: call.name for row in rows for call in row.calls if call.id}
    for index, message in islice(enumerate(messages), len(rows), None):
        role = message.get("role") if isinstance(message, Mapping) else None
        if role == "assistant":
            row = _assistant(message, index)
            names.update({call.id: call.name for call in row.calls if call.id})
        elif role == "tool":
            call_id = id_of(message.get("tool_call_id"))
            name = text_of(message.get("name")) or names.get(call_id, "")
            row = Message("tool", text_of(message.get("content")), name=name, call_id=call_id)
        elif isinstance(role, str) and role in {"system", "developer", "user"}:
            row = Message("user" if role == "user" else "system", text_of(message.get("content")))
        else:
            what = f"message {index} has no role that a conversation knows: {role!r}"
            raise UsageError(what, mend="use system, developer, user, assistant or tool")
        rows.append(row)
    return rows


def numbered(rows: Sequence[Message], call_id: CallId | None) -> Sequence[Message]:
    """Messages with the ids that a format writes; results follow the calls they answer.

    A result without a known id answers the first call of its turn that is not answered yet.
    """
    if call_id is None:
        return rows
    ids: dict[str, ToolCall] = {}
    waiting: list[ToolCall] = []
    found, count = [], 0
    for row in rows:
        if row.calls:
            waiting = [
                ToolCall(call.name, call.arguments, call_id(call, count + place))
                for place, call in enumerate(row.calls)
            ]
            count += len(waiting)
            ids.update(zip((call.id for call in row.calls), waiting, strict=True))
            ids.pop("", None)
            found.append(replace(row, calls=tuple(waiting)))
            continue
        if row.role == "tool":
            answered = ids.get(row.call_id) or (waiting[0] if waiting else None)
            if answered is not None:
                waiting = [call for call in waiting if call is not answered]
                name = row.name or answered.name
                found.append(replace(row, call_id=answered.id, name=name))
                continue
        found.append(row)
    return found


def _assistant(message: Mapping[str, Any], index: int) -> Message:
    reasoning = message.get("reasoning_content") or message.get("reasoning") or ""
    given = message.get("tool_calls") or ()
    if not isinstance(given, list | tuple):
        what = f"message {index} has calls that are no list"
        raise UsageError(what, where=str(given)[:200], mend="give a list of calls, or none")
    calls = tuple(_call(call, index) for call in given)
    return Message("assistant", text_of(message.get("content")), text_of(reasoning), calls)


def _call(call: Any, index: int) -> ToolCall:
    function = call.get("function", call) if isinstance(call, Mapping) else None
    if not isinstance(function, Mapping) or not isinstance(function.get("name"), str):
        what = f"message {index} has a call that names no function"
        raise UsageError(what, where=str(call)[:200], mend="drop the call or name its function")
    arguments = loaded(function.get("arguments"))
    if not isinstance(arguments, dict):
        what = f"message {index} has a call whose arguments are no JSON object"
        raise UsageError(what, where=str(function)[:200], mend="drop the call or mend its JSON")
    return ToolCall(function["name"], arguments, id_of(call.get("id")))


def loaded(arguments: Any) -> Any:
    """Arguments as an object, from JSON text too; what is no JSON, or nested too deep, is None."""
    if arguments is None:
        return {}
    if not isinstance(arguments, str):
        return arguments
    try:
        return json.loads(arguments or "{}")
    except (ValueError, RecursionError):
        return None


def id_of(given: Any) -> str:
    """A call's id as text; some clients send numbers."""
    return given if isinstance(given, str) else "" if given is None else str(given)


def text_of(content: Any) -> str:
    """The text of a message's content: text, parts, null or missing."""
    if isinstance(content, str):
        return content
    if content is None:
        return ""
    if isinstance(content, list):
        parts = [part.get("text") if isinstance(part, Mapping) else part for part in content]
        return "".join(part for part in parts if isinstance(part, str))
    return json.dumps(content, ensure_ascii=False)
