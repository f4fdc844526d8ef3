"""What every reader of foreign files needs: text of a content, a call in our shape, turns, patches.

A call that stands only in a message's text is also recorded as a structured call beside that text,
and what answered it becomes a ``tool`` message: nothing is lost, and every reader downstream finds
calls in one place. Such calls are named ``step-N``, which no endpoint does.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from regreen.core.trajectory import Observation, Turn, Usage

__all__ = ["call", "calls_of", "status", "text_of", "to_turns", "usage_of"]


def text_of(content: Any) -> str:
    """The text of a message's content: a string, or the text of its parts, line by line."""
    if isinstance(content, str):
        return content
    if isinstance(content, Mapping):
        return str(content.get("text") or content.get("content") or "")
    parts = content if isinstance(content, Sequence) else ()
    return "\n".join(text for part in parts if (text := text_of(part)))


def call(name: str, arguments: Mapping[str, Any] | str, identity: str) -> dict[str, Any]:
    """One call in OpenAI's shape."""
    text = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
    return {"id": identity, "type": "function", "function": {"name": name, "arguments": text}}


def calls_of(message: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The structured calls a message has, whatever other keys stand beside them."""
    found = []
    for given in message.get("tool_calls") or ():
        function = given.get("function") or {}
        arguments = function.get("arguments")
        arguments = arguments if isinstance(arguments, str | Mapping) else {}
        found.append(call(str(function.get("name", "")), arguments, str(given.get("id", ""))))
    return found


def usage_of(given: Any) -> Usage:
    """Token counts under the names of either of the two usual interfaces."""
    found = given if isinstance(given, Mapping) else {}
    sent = found.get("prompt_tokens", found.get("input_tokens"))
    sampled = found.get("completion_tokens", found.get("output_tokens"))
    return Usage(prompt_tokens=int(sent or 0), completion_tokens=int(sampled or 0))


def status(message: Mapping[str, Any]) -> int | None:
    """The exit status that a tool message carries beside its text, if any."""
    code = (message.get("extra") or {}).get("returncode")
    return code if isinstance(code, int) else None


def to_turns(
    messages: Sequence[Mapping[str, Any]],
    own: Iterable[int],
    usage: Mapping[int, Usage],
    exits: Mapping[int, int | None],
) -> list[Turn]:
    """One turn per message of the model, with the tool messages that follow it.

    Args:
        messages: the conversation in our shape.
        own: indices of the messages the model wrote in this rollout.
        usage: tokens by index of the model's message.
        exits: exit status by index of the tool message.
    """
    turns = []
    for start in own:
        end = start + 1
        while end < len(messages) and messages[end]["role"] == "tool":
            end += 1
        names = {c["id"]: c["function"]["name"] for c in messages[start].get("tool_calls") or ()}
        seen = tuple(
            Observation(
                call_id=messages[index]["tool_call_id"],
                tool=names.get(messages[index]["tool_call_id"], ""),
                exit_code=exits.get(index),
            )
            for index in range(start + 1, end)
        )
        turns.append(Turn(start=start, end=end, usage=usage.get(start, Usage()), observations=seen))
    return turns
