"""Calls of a trajectory that could not be read or not be carried out, by what was recorded of them.

A call that ran and failed is none of them, nor one that was killed at its limit or that a guard
refused: those are decisions of an agent that spells rightly.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from regreen.core.errors import UsageError
from regreen.core.trajectory import Trajectory
from regreen.templates.conversation import loaded, text_of
from regreen.templates.diversity.draw import drawn_format
from regreen.templates.tools import ToolTable, tool_table

__all__ = ["malformed_calls", "structured_calls"]


def malformed_calls(row: Trajectory, form: str) -> Iterator[str]:
    """Every sign of a call that could not be read, or not be carried out.

    Args:
        row: the trajectory.
        form: format of its messages; empty or ``openai`` when calls are structured.
    """
    refused = {incident.call_id for incident in row.incidents if incident.blocked}
    for number, turn in enumerate(row.turns):
        for seen in turn.observations:
            # a command that was killed at its limit did run, and a refusal is no misspelling
            if seen.error and seen.exit_code is None and seen.call_id not in refused:
                yield f"turn {number}: {seen.tool} could not be carried out"
    yield from _unread(row, form)
    yield from _misfits(row)
    if row.exit_status and row.tools:  # our own loop: every answer but the last is due a call
        for number, turn in enumerate(row.turns[:-1]):
            if not turn.observations and form in {"", "openai"} and not _has_call(row, turn.start):
                yield f"turn {number}: the answer holds no call"


def _has_call(row: Trajectory, index: int) -> bool:
    return index < len(row.messages) and bool(row.messages[index].get("tool_calls"))


def structured_calls(row: Trajectory) -> Iterator[tuple[int, str, Any]]:
    """Message, name and arguments of every structured call, as far as it has them."""
    for index, message in enumerate(row.messages):
        given = message.get("tool_calls")
        for call in given if isinstance(given, list | tuple) else ():
            inner = call.get("function", call) if isinstance(call, Mapping) else None
            function = inner if isinstance(inner, Mapping) else {}
            name = function.get("name")
            yield index, name if isinstance(name, str) else "", loaded(function.get("arguments"))


def _misfits(row: Trajectory) -> Iterator[str]:
    """Structured calls that their own JSON or the tools offered rule out."""
    offered = {tool.name: tool.required for tool in _offered(row).tools}
    for index, name, arguments in structured_calls(row):
        if not name or not isinstance(arguments, dict):
            yield f"message {index}: a call without a name or without an object of arguments"
        elif offered and name not in offered:
            yield f"message {index}: there is no tool {name!r}"
        elif lacking := sorted(offered.get(name, frozenset()) - arguments.keys()):
            yield f"message {index}: {name} lacks {', '.join(lacking)}"


def _offered(row: Trajectory) -> ToolTable:
    try:
        return tool_table(row.tools)
    except UsageError:
        return tool_table(())  # rendering says what is wrong with them


def _unread(row: Trajectory, form: str) -> Iterator[str]:
    """Calls that stand in the text of answers and cannot be read from it whole."""
    if form in {"", "openai"} or any(message.get("tool_calls") for message in row.messages):
        return
    try:
        reader, tools = drawn_format(form), _offered(row)
    except UsageError:
        return  # rendering says that there is no such format
    for index, message in enumerate(row.messages):
        if message.get("role") == "assistant":
            read = reader.parse(text_of(message.get("content")), tools)
            for call in read.incomplete:
                yield f"message {index}: {call.name or 'a call'}: {call.reason}"
