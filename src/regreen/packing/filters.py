"""Which trajectories are not to be imitated: one named predicate for each kind of fault.

A filter drops what is recorded and guesses nothing: a trajectory without a verdict is unknown and
not failed, and falls to ``unverified`` alone. The original dropped what had no termination signal,
failed, or held a malformed call (Qwen3-Coder-Next, arXiv 2603.00729, section 3); what a machine
spoilt or a guard caught is dropped besides.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from regreen.core.errors import UsageError
from regreen.core.hacking import is_hacked
from regreen.core.trajectory import Trajectory
from regreen.templates.conversation import loaded, text_of
from regreen.templates.diversity.draw import drawn_format
from regreen.templates.tools import ToolTable, tool_table

__all__ = ["DEFAULT_DROP", "FILTERS", "Filter", "chosen", "dropped"]

DEFAULT_DROP = ("infrastructure", "hacked")
"""What nobody wants imitated, whatever the purpose."""

_FINISHED = frozenset({"submitted"})
_FINISHING = frozenset(
    {
        "attempt_completion",
        "complete",
        "complete_task",
        "done",
        "exit",
        "final_answer",
        "finish",
        "mark_task_complete",
        "submit",
        "task_complete",
        "terminate",
    }
)
"""Tools with which agents say that they are done."""


class Filter(NamedTuple):
    """One kind of fault."""

    reason: str
    """Why a trajectory is put aside, in words that are counted."""
    found: Callable[[Trajectory, str], str]
    """What speaks against a trajectory, given the format of its messages; empty for nothing."""


def _no_finish(row: Trajectory, form: str) -> str:
    """The recorded exit status decides; without one, whether the last word is the agent's."""
    if row.exit_status:
        return "" if row.exit_status in _FINISHED else f"exit status {row.exit_status}"
    if row.turns and row.turns[-1].finish_reason == "length":
        return "the last answer was cut at its length limit"
    last = row.messages[-1].get("role") if row.messages else None
    if last == "assistant":
        return ""
    called = [name for _, name, _ in _calls(row)][-1:]
    if last == "tool" and called and called[0].lower() in _FINISHING:
        return ""
    return f"it ends with a message of the role {last}"


def _failed(row: Trajectory, form: str) -> str:
    if row.verdict is not None:
        return "" if row.verdict.resolved else row.verdict.reason or "the verdict is not resolved"
    scores = [reward.score for reward in row.rewards if reward.name == "resolved"]
    return "the reward `resolved` is below 1" if scores and min(scores) < 1 else ""


def _unverified(row: Trajectory, form: str) -> str:
    known = row.verdict is not None or any(reward.name == "resolved" for reward in row.rewards)
    return "" if known else "no verdict was recorded"


def _infrastructure(row: Trajectory, form: str) -> str:
    """The machine, the endpoint or the task failed; an agent's own failure is no such fault."""
    error = row.error
    if error is None or error.boundary == "agent":
        return ""
    return f"{error.boundary}: {error.type}: {error.message}"


def _hacked(row: Trajectory, form: str) -> str:
    if not is_hacked(row):
        return ""
    rules = [incident.rule for incident in row.incidents if incident.confirmed]
    tampers = [tamper.kind for tamper in (row.verdict.tamper if row.verdict else ())]
    return ", ".join(dict.fromkeys([*rules, *tampers]))


def _malformed_call(row: Trajectory, form: str) -> str:
    """The first sign of a call that could not be read, or not be carried out."""
    return next(_malformed(row, form), "")


def _malformed(row: Trajectory, form: str) -> Iterator[str]:
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


def _calls(row: Trajectory) -> Iterator[tuple[int, str, Any]]:
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
    for index, name, arguments in _calls(row):
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


FILTERS: Mapping[str, Filter] = {
    "no_finish": Filter("dropped: it did not come to an end of its own", _no_finish),
    "failed": Filter("dropped: it did not resolve its task", _failed),
    "unverified": Filter("dropped: nobody has verified it", _unverified),
    "malformed_call": Filter("dropped: a call could not be read or carried out", _malformed_call),
    "infrastructure": Filter("dropped: a fault that was not the agent's ended it", _infrastructure),
    "hacked": Filter("dropped: it cheats", _hacked),
}
"""What may be dropped, by the names that ``--drop`` takes."""


def chosen(names: Sequence[str]) -> tuple[str, ...]:
    """The filters of these names in their own order; ``none`` names no filter.

    Raises:
        UsageError: one of them is not known, or ``none`` stands beside others.
    """
    given = [name.strip() for name in names if name.strip()]
    for name in given:
        if name not in FILTERS and name != "none":
            what = f"there is no filter {name!r}"
            mend = f"choose of {', '.join(FILTERS)}; or none"
            raise UsageError(what, where="--drop", mend=mend)
    if "none" in given and len(given) > 1:
        what = "`none` stands beside other filters"
        raise UsageError(what, where="--drop", mend="name the filters, or none alone")
    return tuple(name for name in FILTERS if name in given)


def dropped(row: Trajectory, names: Sequence[str], form: str) -> tuple[str, str] | None:
    """Reason and details of the first filter that a trajectory falls to; None when it stays.

    Args:
        row: the trajectory.
        names: filters to ask, in this order.
        form: format of its messages; empty or ``openai`` when calls are structured.
    """
    for name in names:
        details = FILTERS[name].found(row, form)
        if details:
            return FILTERS[name].reason, details
    return None
