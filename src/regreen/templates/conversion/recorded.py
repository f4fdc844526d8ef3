"""What a recorded trajectory offers a renderer: its format, its tools, its segments as steps.

Conversion and packing ask the same of a trajectory, so that both refuse the same rows with the same
reasons.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from regreen.core.errors import UsageError
from regreen.core.trajectory import Trajectory
from regreen.templates.conversion.convert import read_conversation
from regreen.templates.conversion.steps import Steps, Unconvertible, infer_tools
from regreen.templates.diversity.draw import drawn_format
from regreen.templates.format import ToolFormat
from regreen.templates.tools import ToolTable, tool_table

__all__ = ["OPENAI", "check_spans", "segments", "source_format", "steps_between", "tools_offered"]

OPENAI = "openai"
"""The form in which an endpoint parses calls; a target and a source beside the formats."""
_INFERRED = "tools were not recorded: inferred from the calls"


def source_format(name: str) -> ToolFormat | None:
    """The format of a source; None when an endpoint parsed its calls.

    Raises:
        Unconvertible: there is no such format.
    """
    try:
        return None if name in {"", OPENAI} else drawn_format(name)
    except UsageError as error:
        what = "its format is not known"
        raise Unconvertible(what, where=error.what) from error


def check_spans(row: Trajectory) -> None:
    """Refuse a trajectory whose turns or segments point outside its messages.

    Raises:
        Unconvertible: it does.
    """
    spans = [(turn.start, turn.end) for turn in row.turns] + list(row.segments)
    if not all(0 <= start <= end <= len(row.messages) for start, end in spans):
        what = "its turns do not fit its messages"
        raise Unconvertible(what, where=f"{len(row.messages)} messages")


def tools_offered(
    row: Trajectory, form: ToolFormat | None, given: Sequence[Mapping[str, Any]] = ()
) -> tuple[ToolTable, list[str]]:
    """The tools of a trajectory: its own, else those given, else as its calls tell; and notes."""
    if row.tools or given:
        return tool_table(row.tools or given), []
    steps = steps_between(row, form, tool_table(()), 0, len(row.messages))
    calls = [call for step in steps.steps for call in step.calls]
    return tool_table(infer_tools(calls)), [_INFERRED] if calls else []


def segments(row: Trajectory, form: ToolFormat | None, offered: ToolTable) -> Iterator[Steps]:
    """Each stretch to train on as steps; the whole conversation where none is recorded."""
    for start, end in row.segments or ((0, len(row.messages)),):
        yield steps_between(row, form, offered, start, end)


def steps_between(
    row: Trajectory, form: ToolFormat | None, offered: ToolTable, start: int, end: int
) -> Steps:
    """The steps of some of the messages.

    Raises:
        Unconvertible: what cannot be read.
    """
    cut = {turn.start - start for turn in row.turns if turn.finish_reason == "length"}
    return read_conversation(row.messages[start:end], form, offered, truncated=cut)
