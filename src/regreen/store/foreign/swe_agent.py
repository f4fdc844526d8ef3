"""SWE-agent's ``.traj`` files, as version 1.1 and before write them.

``history`` is read where it is, because only it holds what the model was shown; ``trajectory``
gives the actions that stand in no structured call. The file counts tokens for the whole rollout
alone, so the last turn carries them: a sum over turns is right, a single turn is not.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from regreen.core.trajectory import Trajectory, Usage
from regreen.store.foreign.shape import call, calls_of, text_of, to_turns
from regreen.store.rows import to_record

__all__ = ["from_swe_agent", "is_swe_agent"]


def is_swe_agent(document: Mapping[str, Any]) -> bool:
    """Whether a document has the members of a ``.traj`` file."""
    steps = document.get("trajectory")
    if not isinstance(steps, list) or not isinstance(document.get("info", {}), Mapping):
        return False
    return "history" in document or all(
        isinstance(step, Mapping) and "action" in step and "observation" in step for step in steps
    )


def from_swe_agent(document: Mapping[str, Any], name: str, where: str) -> Trajectory:
    """The trajectory in one ``.traj`` document.

    Args:
        document: the whole file.
        name: the instance, which only the file's name says.
        where: what errors call the file.
    """
    info = document.get("info") or {}
    stats = info.get("model_stats") or {}
    history = document.get("history")
    messages, own = _history(history) if history else _steps(document["trajectory"])
    total = Usage(
        prompt_tokens=int(stats.get("tokens_sent") or 0),
        completion_tokens=int(stats.get("tokens_received") or 0),
    )
    config = _config(document.get("replay_config"))
    model = ((config.get("agent") or {}).get("model") or {}).get("name") or ""
    row = {
        "rollout_id": f"{name}#SWE-agent",
        "task": name,
        "agent": "SWE-agent",
        "model": str(model),
        "tool_format": "openai",
        "messages": messages,
        "turns": to_turns(messages, own, {own[-1]: total} if own else {}, {}),
        "exit_status": str(info.get("exit_status") or ""),
        "patch": str(info.get("submission") or ""),
        "cost": float(stats.get("instance_cost") or 0.0),
    }
    return to_record(Trajectory, row, where)


def _config(given: Any) -> dict[str, Any]:
    try:
        found = json.loads(given) if isinstance(given, str) else given
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _history(history: list[Mapping[str, Any]]) -> tuple[list[dict[str, Any]], list[int]]:
    messages: list[dict[str, Any]] = []
    own: list[int] = []
    waiting: list[str] = []
    for number, message in enumerate(history):
        role, text = message.get("role"), text_of(message.get("content"))
        if role == "assistant":
            calls = calls_of(message) or _action(message, f"step-{number}")
            waiting = [found["id"] for found in calls]
            if not message.get("is_demo"):
                own.append(len(messages))
            messages.append(_assistant(message, text, calls))
        elif role == "tool" or (waiting and message.get("message_type") == "observation"):
            identities = message.get("tool_call_ids") or waiting
            waiting = []
            for place, identity in enumerate(identities):
                content = "" if place else text  # one text answers all calls of a step
                messages.append({"role": "tool", "tool_call_id": identity, "content": content})
        else:
            waiting = []
            known = str(role) if role in ("system", "user") else "user"
            messages.append({"role": known, "content": text})
    return messages, own


def _assistant(
    message: Mapping[str, Any], text: str, calls: list[dict[str, Any]]
) -> dict[str, Any]:
    ours: dict[str, Any] = {"role": "assistant", "content": text}
    thought = message.get("thought")
    blocks = text_of(
        [block.get("thinking", "") for block in message.get("thinking_blocks") or () if block]
    )
    reasoning = [part for part in (blocks, thought) if isinstance(part, str) and part.strip()]
    unseen = [part for part in reasoning if part.strip() not in text]
    if unseen:
        ours["reasoning_content"] = "\n".join(unseen)
    if calls:
        ours["tool_calls"] = calls
    return ours


def _action(message: Mapping[str, Any], identity: str) -> list[dict[str, Any]]:
    action = message.get("action")
    if not isinstance(action, str) or not action.strip():
        return []
    return [call("bash", {"command": action}, identity)]


def _steps(steps: list[Mapping[str, Any]]) -> tuple[list[dict[str, Any]], list[int]]:
    messages: list[dict[str, Any]] = []
    own = []
    for number, step in enumerate(steps):
        own.append(len(messages))
        calls = _action(step, f"step-{number}")
        messages.append(_assistant(step, text_of(step.get("response")), calls))
        identity = calls[0]["id"] if calls else ""
        content = text_of(step.get("observation"))
        messages.append({"role": "tool", "tool_call_id": identity, "content": content})
    return messages, own
