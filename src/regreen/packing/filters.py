"""Which trajectories are not to be imitated: one named predicate for each kind of fault.

A filter drops what is recorded and guesses nothing: a trajectory without a verdict is unknown and
not failed, and falls to ``unverified`` alone. The original dropped what had no termination signal,
failed, or held a malformed call (Qwen3-Coder-Next, arXiv 2603.00729, section 3); what a machine
spoilt or a guard caught is dropped besides.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from regreen.core.errors import UsageError
from regreen.core.hacking import is_hacked
from regreen.core.trajectory import Trajectory
from regreen.packing.malformed import malformed_calls, structured_calls

__all__ = ["DEFAULT_DROP", "FILTERS", "UNKNOWN", "Filter", "chosen", "dropped", "is_unknown"]

DEFAULT_DROP = ("infrastructure", "hacked")
"""What nobody wants imitated, whatever the purpose."""

UNKNOWN = "kept without a verdict: `failed` drops what is known to have failed only"
"""What is noted of a trajectory that may have failed."""

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
    called = [name for _, name, _ in structured_calls(row)][-1:]
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
    return next(malformed_calls(row, form), "")


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


def is_unknown(row: Trajectory, names: Sequence[str]) -> bool:
    """Whether failed trajectories are dropped and nobody knows whether this is one."""
    return "failed" in names and bool(_unverified(row, ""))
