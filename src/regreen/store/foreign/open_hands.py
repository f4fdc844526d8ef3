"""OpenHands' records: the ``history`` of an evaluation's row, and the events of its newer kit.

Only what the model wrote and what it was shown is read; state changes, condensations and recalls
are events of the program and stand in no conversation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from regreen.core.trajectory import Trajectory, Usage
from regreen.store.foreign.shape import call, calls_of, text_of, to_turns, usage_of
from regreen.store.rows import to_record

__all__ = ["from_open_hands", "is_open_hands"]

_SILENT = {"change_agent_state", "system", "recall", "condensation", "null", "message"}
_TOOLS = {"run": "bash", "run_ipython": "python", "read": "view", "edit": "edit", "write": "write"}
_ARGUMENTS = {"run": ("command",), "run_ipython": ("code",), "browse": ("url",)}


def is_open_hands(document: Mapping[str, Any]) -> bool:
    """Whether a document is a row with a history of events, or holds events."""
    events = _events(document)
    return bool(events) and all(
        isinstance(event, Mapping) and ("source" in event or "kind" in event) for event in events
    )


def _events(document: Mapping[str, Any]) -> Sequence[Any]:
    found = document.get("events") or document.get("history") or ()
    return found if isinstance(found, Sequence) else ()


def from_open_hands(document: Mapping[str, Any], name: str, where: str) -> Trajectory:
    """The trajectory of one row or one list of events.

    Args:
        document: a row of ``output.jsonl``, or ``{"events": [...]}``.
        name: the instance when the document does not say.
        where: what errors call the file.
    """
    messages: list[dict[str, Any]] = []
    own: list[int] = []
    usage: dict[int, Usage] = {}
    exits: dict[int, int | None] = {}
    for event in _events(document):
        _read(event, messages, own, usage, exits)
    instance = str(document.get("instance_id") or name)
    result = document.get("test_result") or {}
    metadata = document.get("metadata") or {}
    row = {
        "rollout_id": f"{instance}#OpenHands",
        "task": instance,
        "agent": "OpenHands",
        "model": str((metadata.get("llm_config") or {}).get("model") or ""),
        "tool_format": "openai",
        "messages": messages,
        "turns": to_turns(messages, own, usage, exits),
        "exit_status": str(document.get("error") or ""),
        "patch": str(result.get("git_patch") or document.get("git_patch") or ""),
    }
    return to_record(Trajectory, row, where)


def _read(
    event: Mapping[str, Any],
    messages: list[dict[str, Any]],
    own: list[int],
    usage: dict[int, Usage],
    exits: dict[int, int | None],
) -> None:
    kind = str(event.get("kind") or "")
    if kind.endswith("ActionEvent") or ("action" in event and not kind):
        found = _action(event)
        if found is not None:
            own += [len(messages)] * (found["role"] == "assistant")
            usage[len(messages)] = _usage(event)
            messages.append(found)
    elif kind.endswith("ObservationEvent") or "observation" in event:
        identity, text = _observation(event)
        if text or identity:
            exits[len(messages)] = (event.get("extras") or {}).get("exit_code")
            messages.append({"role": "tool", "tool_call_id": identity, "content": text})
    elif kind == "MessageEvent":
        message = event.get("llm_message") or {}
        role = "assistant" if message.get("role") == "assistant" else "user"
        own += [len(messages)] * (role == "assistant")
        messages.append({"role": role, "content": text_of(message.get("content"))})


def _action(event: Mapping[str, Any]) -> dict[str, Any] | None:
    args = event.get("args")
    if isinstance(args, Mapping):  # the older record
        action = str(event.get("action"))
        thought = text_of(args.get("thought") or args.get("content"))
        if action in _SILENT:
            role = "assistant" if event.get("source") == "agent" else "user"
            return {"role": role, "content": thought} if action == "message" else None
        return {"role": "assistant", "content": thought, "tool_calls": [_old_call(event, action)]}
    given = event.get("tool_call") or {}
    function = given.get("function") or given
    arguments = function.get("arguments") or event.get("action") or {}
    identity = str(event.get("tool_call_id") or given.get("id") or f"step-{event.get('id', '')}")
    name = str(function.get("name") or event.get("tool_name") or "")
    message: dict[str, Any] = {
        "role": "assistant",
        "content": text_of(event.get("thought")),
        "tool_calls": [call(name, arguments, identity)],
    }
    if event.get("reasoning_content"):
        message["reasoning_content"] = str(event["reasoning_content"])
    return message


def _old_call(event: Mapping[str, Any], action: str) -> dict[str, Any]:
    metadata = event.get("tool_call_metadata") or {}
    identity = str(metadata.get("tool_call_id") or f"step-{event.get('id', '')}")
    for choice in (metadata.get("model_response") or {}).get("choices") or ():
        for found in calls_of(choice.get("message") or {}):
            if found["id"] == identity:
                return found
    args = event["args"]
    names = _ARGUMENTS.get(action) or [k for k in args if k not in ("thought", "security_risk")]
    return call(_TOOLS.get(action, action), {k: args[k] for k in names if k in args}, identity)


def _observation(event: Mapping[str, Any]) -> tuple[str, str]:
    metadata = event.get("tool_call_metadata") or {}
    identity = event.get("tool_call_id") or metadata.get("tool_call_id")
    if not identity and isinstance(event.get("cause"), int):
        identity = f"step-{event['cause']}"
    inner = event.get("observation")
    text = text_of(event.get("content"))
    if isinstance(inner, Mapping):
        text = text_of(inner.get("content") or inner.get("output"))
    return str(identity or ""), text


def _usage(event: Mapping[str, Any]) -> Usage:
    metadata = event.get("tool_call_metadata") or {}
    return usage_of((metadata.get("model_response") or {}).get("usage"))
