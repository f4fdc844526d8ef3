"""mini-swe-agent files, ``mini-swe-agent-1`` and ``-1.1``, as written up to version 2.4.6.

Its three kinds of message are read: structured calls, the Responses interface, and a block of
shell in the text; the parsed ``extra.actions`` win over what a reader could find in the text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from regreen.core.trajectory import ErrorRecord, Trajectory, Usage
from regreen.store.foreign.shape import call, calls_of, status, text_of, to_turns, usage_of
from regreen.store.rows import to_record

__all__ = ["from_mini", "is_mini"]

_BLOCK = re.compile(r"^```(?:bash|sh|mswea_bash_command)[ \t]*\n(.*?)\n?^```", re.M | re.S)
_SUBMITTED = re.compile(r"submitted\Z", re.I)


def is_mini(document: Mapping[str, Any]) -> bool:
    """Whether a document says that mini-swe-agent wrote it."""
    return str(document.get("trajectory_format", "")).startswith("mini-swe-agent-1")


def from_mini(document: Mapping[str, Any], name: str, where: str) -> Trajectory:
    """The trajectory in one document.

    Args:
        document: the whole file.
        name: the instance when the document does not say.
        where: what errors call the file.
    """
    info = document.get("info") or {}
    config = info.get("config") or {}
    reader = _Reader()
    for message in document["messages"]:
        reader.read(message)
    instance = str(document.get("instance_id") or info.get("instance_id") or name)
    ended = str(info.get("exit_status") or "")
    row = {
        "rollout_id": f"{instance}#mini-swe-agent",
        "task": instance,
        "agent": "mini-swe-agent",
        "model": str((config.get("model") or {}).get("model_name") or ""),
        "tool_format": "openai",
        "messages": reader.messages,
        "turns": to_turns(reader.messages, reader.own, reader.usage, reader.exits),
        "exit_status": "submitted" if _SUBMITTED.match(ended) else ended,
        "patch": str(info.get("submission") or ""),
        "cost": float((info.get("model_stats") or {}).get("instance_cost") or 0.0),
    }
    trajectory = to_record(Trajectory, row, where)
    if info.get("traceback") or info.get("exception_str"):
        error = ErrorRecord(
            boundary="agent", type=ended, message=str(info.get("exception_str") or ended)
        )
        trajectory = trajectory.model_copy(update={"error": error})
    return trajectory


class _Reader:
    """Messages in our shape while they are read; keeps which calls still wait for an answer."""

    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []
        self.own: list[int] = []
        self.usage: dict[int, Usage] = {}
        self.exits: dict[int, int | None] = {}
        self._waiting: list[str] = []
        self._steps = 0

    def read(self, message: Mapping[str, Any]) -> None:
        """Take the next message of the file."""
        role, extra = message.get("role"), message.get("extra") or {}
        if message.get("object") == "response" or role == "assistant":
            self._answer(message, extra)
        elif message.get("type") == "function_call_output":
            self._result(str(message.get("call_id", "")), text_of(message.get("output")), message)
        elif role == "tool":
            identity = str(message.get("tool_call_id", ""))
            self._result(identity, text_of(message.get("content")), message)
        elif role == "user" and self._waiting and "interrupt_type" not in extra:
            self._result(self._waiting[0], text_of(message.get("content")), message)
        else:
            known = str(role) if role in ("system", "user") else "user"
            self.messages.append({"role": known, "content": text_of(message.get("content"))})

    def _answer(self, message: Mapping[str, Any], extra: Mapping[str, Any]) -> None:
        items = message.get("output") or ()
        content = text_of(message.get("content")) or text_of(
            [item.get("content") for item in items if item.get("type") == "message"]
        )
        calls = calls_of(message) + [
            call(str(item["name"]), item["arguments"], str(item["call_id"]))
            for item in items
            if item.get("type") == "function_call"
        ]
        if not calls:
            actions = extra.get("actions")
            if actions is None:
                actions = [{"command": block} for block in _BLOCK.findall(content)[:1]]
            calls = [self._named(action) for action in actions]
        ours: dict[str, Any] = {"role": "assistant", "content": content}
        if isinstance(thought := message.get("reasoning_content"), str):
            ours["reasoning_content"] = thought
        if calls:
            ours["tool_calls"] = calls
        self._waiting = [found["id"] for found in calls]
        self.usage[len(self.messages)] = usage_of(
            message.get("usage") or (extra.get("response") or {}).get("usage")
        )
        self.own.append(len(self.messages))
        self.messages.append(ours)

    def _named(self, action: Any) -> dict[str, Any]:
        self._steps += 1
        command = action.get("command", "") if isinstance(action, Mapping) else str(action)
        identity = action.get("tool_call_id") if isinstance(action, Mapping) else None
        return call("bash", {"command": command}, str(identity or f"step-{self._steps}"))

    def _result(self, identity: str, text: str, message: Mapping[str, Any]) -> None:
        if identity in self._waiting:
            self._waiting.remove(identity)
        self.exits[len(self.messages)] = status(message)
        self.messages.append({"role": "tool", "tool_call_id": identity, "content": text})
