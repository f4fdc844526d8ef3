"""The calls of a trajectory, whatever tools they went to and whatever notation they stand in.

Tools are told by the shape of their arguments and not by their names: every scaffold names its own,
but a command is a ``command``, and a file that is written comes with a path and a text.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from regreen.core.trajectory import Trajectory
from regreen.guard.monitor.spans import find_span

__all__ = ["Call", "Turned", "command_text", "read_calls", "without_code"]

_FENCE = re.compile(r"^```[^\n]*\n(.*?)(?:^```|\Z)", re.M | re.S)
_SHELL_FENCE = re.compile(
    r"^```(?:bash|sh|shell|mswea_bash_command)[ \t]*\n(.*?)(?:^```|\Z)", re.M | re.S
)
_STRUCTURED = ("", "openai")


@dataclass(frozen=True, slots=True)
class Call:
    """One tool call and what it returned."""

    name: str
    """Name of the tool."""
    arguments: Mapping[str, Any] = field(default_factory=dict)
    """Decoded arguments; empty when they are no object."""
    raw: str = ""
    """What spans count characters of: the arguments' JSON, or the message's text."""
    is_json: bool = True
    """Whether ``raw`` is JSON."""
    identity: str = ""
    """Its id; empty when it stands in the text."""
    turn: int = 0
    """Index of the turn."""
    result: str = ""
    """What the model was shown."""
    exit_code: int | None = None
    """Exit status, when known."""

    def span(self, piece: str) -> tuple[int, int] | None:
        """Where ``piece`` stands in ``raw``; the whole of it when it does not."""
        if not self.raw:
            return None
        return find_span(self.raw, piece, is_json=self.is_json) or (0, len(self.raw))

    @property
    def state(self) -> str:
        """``ok``, ``failed`` or ``unknown``."""
        if self.exit_code is None:
            return "unknown"
        return "failed" if self.exit_code else "ok"


@dataclass(frozen=True, slots=True)
class Turned:
    """One turn as words and calls."""

    turn: int
    """Its index."""
    content: str
    """The message's text."""
    reasoning: str
    """The message's reasoning."""
    calls: tuple[Call, ...]
    """In order."""


def without_code(text: str) -> str:
    """A text with its fenced code blanked out; every other character keeps its place."""
    return _FENCE.sub(lambda match: re.sub(r"[^\n]", " ", match[0]), text)


def read_calls(trajectory: Trajectory) -> Iterator[Turned]:
    """The turns of a trajectory; messages that belong to no turn are passed over."""
    for number, turn in enumerate(trajectory.turns):
        if not 0 <= turn.start < len(trajectory.messages):
            continue
        message = trajectory.messages[turn.start]
        results = _results(trajectory, turn.start + 1, turn.end)
        exits = {seen.call_id: seen.exit_code for seen in turn.observations}
        content = _text(message.get("content"))
        given = message.get("tool_calls") or ()
        if given:
            calls = [_structured(call, number, results, exits) for call in given]
        else:
            calls = list(_written(trajectory, content, number, results))
        reasoning = _text(message.get("reasoning_content") or message.get("reasoning"))
        yield Turned(number, content, reasoning, tuple(calls))


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list | tuple) else ()
    return "\n".join(str(p["text"]) for p in parts if isinstance(p, Mapping) and "text" in p)


def _results(trajectory: Trajectory, start: int, end: int) -> dict[str, str]:
    found: dict[str, str] = {}
    for place, message in enumerate(trajectory.messages[start:end]):
        found[str(message.get("tool_call_id") or f"#{place}")] = _text(message.get("content"))
    return found


def _structured(
    given: Mapping[str, Any], turn: int, results: Mapping[str, str], exits: Mapping[str, int | None]
) -> Call:
    function = given.get("function") or {}
    arguments = function.get("arguments")
    raw = arguments if isinstance(arguments, str) else json.dumps(arguments)
    identity = str(given.get("id") or "")
    try:
        decoded = json.loads(raw)
    except (ValueError, RecursionError):
        decoded = {"input": raw}
    return Call(
        name=str(function.get("name") or ""),
        arguments=decoded if isinstance(decoded, dict) else {"input": raw},
        raw=raw,
        identity=identity,
        turn=turn,
        result=results.get(identity, ""),
        exit_code=exits.get(identity),
    )


def _written(
    trajectory: Trajectory, content: str, turn: int, results: Mapping[str, str]
) -> Iterator[Call]:
    """Calls that stand in the text: of a known format, else blocks of shell."""
    rest = iter(results.values())
    found = _parsed(trajectory, content)
    if not found:
        found = [("bash", {"command": block}) for block in _SHELL_FENCE.findall(content)]
    for name, arguments in found:
        yield Call(name, arguments, raw=content, is_json=False, turn=turn, result=next(rest, ""))


def _parsed(trajectory: Trajectory, content: str) -> list[tuple[str, dict[str, Any]]]:
    if trajectory.tool_format in _STRUCTURED:
        return []
    from regreen.templates import FORMATS, tool_format

    if trajectory.tool_format not in FORMATS:
        return []
    message = tool_format(trajectory.tool_format).parse(content, trajectory.tools)
    return [(call.name, call.arguments) for call in message.tool_calls]


def command_text(value: Any) -> str:
    """A command given as text or as a list of words."""
    if isinstance(value, list | tuple):
        words = [str(word) for word in value]
        if len(words) > 2 and words[0].endswith("sh") and words[1] in ("-c", "-lc"):
            return words[2]
        return shlex.join(words)
    return value if isinstance(value, str) else ""
