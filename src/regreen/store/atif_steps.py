"""Chat messages and ATIF steps: a step is one message and the tool messages that answer it.

Whatever the mapping would change (other keys, odd content, calls whose arguments are no object) is
kept beside it in ``extra.regreen``; that is decided by mapping back and comparing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["step_to_messages", "to_steps"]

_SOURCES = {"assistant": "agent", "user": "user"}
_ROLES = {"agent": "assistant", "user": "user", "system": "system"}


def to_steps(messages: Sequence[Mapping[str, Any]]) -> tuple[list[dict[str, Any]], dict[int, int]]:
    """Steps of a conversation, and the index of the step that each non-tool message became."""
    groups: list[list[Mapping[str, Any]]] = []
    step_of_message: dict[int, int] = {}
    for index, message in enumerate(messages):
        if message.get("role") != "tool" or not groups:
            step_of_message[index] = len(groups)
            groups.append([])
        groups[-1].append(message)
    return [_step(number, group) for number, group in enumerate(groups, 1)], step_of_message


def _step(number: int, group: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    head = group[0]
    step: dict[str, Any] = {
        "step_id": number,
        "source": _SOURCES.get(str(head.get("role")), "system"),
        "message": _text(head.get("content")),
    }
    if step["source"] == "agent":
        if isinstance(head.get("reasoning_content"), str):
            step["reasoning_content"] = head["reasoning_content"]
        if isinstance(head.get("tool_calls"), list | tuple):
            step["tool_calls"] = [_call(call) for call in head["tool_calls"]]
    if len(group) > 1:
        known = {call["tool_call_id"] for call in step.get("tool_calls", ())}
        step["observation"] = {"results": [_result(message, known) for message in group[1:]]}
    if step["source"] == "agent" and "content" in head and head["content"] is None:
        step["extra"] = {"regreen": {"no_content": True}}  # null beside tool calls is the rule
    if json.dumps(step_to_messages(step)) != json.dumps(list(group)):
        step["extra"] = {"regreen": {"messages": list(group)}}
    return step


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list | tuple) else ()
    return "\n".join(str(p["text"]) for p in parts if isinstance(p, Mapping) and "text" in p)


def _call(call: Any) -> dict[str, Any]:
    function = call.get("function") if isinstance(call, Mapping) else None
    function = function if isinstance(function, Mapping) else {}
    raw = function.get("arguments")
    try:
        arguments = json.loads(raw) if isinstance(raw, str) else raw
    except (ValueError, RecursionError):
        arguments = None
    found: dict[str, Any] = {
        "tool_call_id": str(call.get("id", "")) if isinstance(call, Mapping) else "",
        "function_name": str(function.get("name", "")),
        "arguments": arguments if isinstance(arguments, dict) else {},
    }
    if isinstance(raw, str) and raw != json.dumps(found["arguments"]):
        found["extra"] = {"arguments_text": raw}
    return found


def _result(message: Mapping[str, Any], known: set[str]) -> dict[str, Any]:
    result: dict[str, Any] = {"content": _text(message.get("content"))}
    if message.get("tool_call_id") in known:
        result["source_call_id"] = message["tool_call_id"]
    return result


def step_to_messages(step: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The messages of one step, ours or another program's.

    Raises:
        KeyError: a key that the format requires is absent.
    """
    ours = (step.get("extra") or {}).get("regreen") or {}
    if "messages" in ours:
        return [dict(message) for message in ours["messages"]]
    content = None if ours.get("no_content") else step["message"]
    head: dict[str, Any] = {"role": _ROLES[step["source"]], "content": content}
    if step.get("reasoning_content") is not None:
        head["reasoning_content"] = step["reasoning_content"]
    if step.get("tool_calls") is not None:
        head["tool_calls"] = [_openai_call(call) for call in step["tool_calls"]]
    results = (step.get("observation") or {}).get("results", ())
    return [head, *(_tool_message(result) for result in results)]


def _openai_call(call: Mapping[str, Any]) -> dict[str, Any]:
    raw = (call.get("extra") or {}).get("arguments_text")
    arguments = raw if isinstance(raw, str) else json.dumps(call["arguments"])
    function = {"name": call["function_name"], "arguments": arguments}
    return {"id": call["tool_call_id"], "type": "function", "function": function}


def _tool_message(result: Mapping[str, Any]) -> dict[str, Any]:
    identity = result.get("source_call_id") or ""
    return {"role": "tool", "tool_call_id": identity, "content": result.get("content") or ""}
