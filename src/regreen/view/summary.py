"""What a run came to: one row per agent and model, and one per slice of the tasks.

Every rollout is in the denominator. A failure that was not the agent's is counted apart, so a
reader sees how much of a low share is the machine's.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from regreen.core.evaluated import evaluated_after
from regreen.core.hacking import is_hacked
from regreen.core.task import Task
from regreen.core.trajectory import Trajectory
from regreen.view.statistics import Share, pass_at_k, pass_hat_k, powers_of_two, share_of

__all__ = [
    "KEPT_NOTE",
    "AgentRow",
    "RolloutRow",
    "SliceRow",
    "column_of",
    "digest",
    "slices",
    "summarise",
    "told_apart",
]

KEPT_NOTE = (
    "A training run keeps the conversations of some groups only, and these tables are of those; "
    "the curves count all rollouts. Each evaluation on held-out tasks is of another policy."
)
"""What a reader must know of the tables of a training run."""

_LIMITS = ("repeated_errors", "context_overflow")


@dataclass(frozen=True)
class RolloutRow:
    """What the tables need of one rollout; a trajectory itself may be megabytes."""

    rollout_id: str
    """As in the trajectory."""
    task: str
    """``instance_id`` of the task."""
    agent: str
    """Name of the agent."""
    model: str
    """Model, empty for agents without one."""
    outcome: str
    """``resolved``, ``unresolved``, ``ungraded`` or the boundary whose failure it was."""
    exit_status: str
    """How the act ended."""
    turns: int
    """Model calls."""
    prompt_tokens: int
    """Over all turns."""
    completion_tokens: int
    """Over all turns."""
    seconds: float
    """Wall seconds over all stages."""
    incidents: int
    """Things the guard stopped or flagged."""
    hacked: bool
    """A confirmed incident or a verdict with tampering stands against it."""
    started_at: str
    """ISO 8601, UTC."""
    part: str = ""
    """Which part of a training run it belongs to; empty where there are no parts."""

    @property
    def resolved(self) -> bool:
        """Whether the task is solved."""
        return self.outcome == "resolved"

    @property
    def limited(self) -> bool:
        """Whether a limit ended it."""
        return self.exit_status.endswith("_limit") or self.exit_status in _LIMITS


def digest(trajectory: Trajectory) -> RolloutRow:
    """The row of one trajectory."""
    after = evaluated_after(trajectory)
    if trajectory.error is not None:
        outcome: str = trajectory.error.boundary
    elif trajectory.verdict is None:
        outcome = "ungraded"
    else:
        outcome = "resolved" if trajectory.verdict.resolved else "unresolved"
    return RolloutRow(
        rollout_id=trajectory.rollout_id,
        task=trajectory.task,
        agent=trajectory.agent,
        model=trajectory.model,
        outcome=outcome,
        exit_status=trajectory.exit_status,
        turns=len(trajectory.turns),
        prompt_tokens=sum(turn.usage.prompt_tokens for turn in trajectory.turns),
        completion_tokens=sum(turn.usage.completion_tokens for turn in trajectory.turns),
        seconds=sum(trajectory.seconds.values()),
        incidents=len(trajectory.incidents),
        hacked=is_hacked(trajectory),
        started_at=trajectory.started_at,
        part="" if after is None else f"held out after {after}",
    )


def told_apart(rows: Iterable[RolloutRow]) -> list[RolloutRow]:
    """The rows, those for training named so where the same agent played held-out tasks too.

    Each evaluation of a training run is that of another policy; training stands for all between.
    """
    found = list(rows)
    tested = {(row.agent, row.model) for row in found if row.part}
    return [
        replace(row, part="training") if not row.part and (row.agent, row.model) in tested else row
        for row in found
    ]


@dataclass(frozen=True)
class AgentRow:
    """One agent with one model, over a run."""

    agent: str
    """Name of the agent."""
    model: str
    """Model, empty for agents without one."""
    part: str
    """Which part of a training run; empty where there are no parts."""
    tasks: int
    """Distinct tasks tried."""
    resolved: Share
    """Of all rollouts, failed ones included."""
    clean_resolved: Share
    """Resolved without hacking."""
    hacked: Share
    """With hacking, resolved or not."""
    hacked_resolved: Share
    """Resolved with hacking; ``resolved`` is this and ``clean_resolved``."""
    failures: Mapping[str, int]
    """Rollouts lost to each boundary."""
    ungraded: int
    """Rollouts without a verdict and without an error."""
    limited: int
    """Rollouts that a limit ended."""
    flagged: int
    """Rollouts with at least one incident."""
    mean_turns: float
    """Model calls per rollout."""
    mean_prompt_tokens: float
    """Per rollout."""
    mean_completion_tokens: float
    """Per rollout."""
    mean_seconds: float
    """Wall seconds per rollout."""
    pass_at: Mapping[int, float]
    """pass@k by k; empty with one attempt per task."""
    pass_hat: Mapping[int, float]
    """pass^k by k; empty with one attempt per task."""

    @property
    def name(self) -> str:
        """Agent, and model and part where there is one."""
        return " · ".join(filter(None, (self.agent, self.model, self.part)))


@dataclass(frozen=True)
class SliceRow:
    """The tasks that share one property."""

    kind: str
    """``operator`` or ``source``."""
    label: str
    """Its value."""
    tasks: int
    """Tasks of the slice that were tried."""
    resolved: tuple[Share, ...]
    """One per agent, in the order the agents were given."""


def summarise(rows: Iterable[RolloutRow]) -> list[AgentRow]:
    """One row per agent, model and part, the best first, agents without a model last.

    Parts of a training run stand in their order, training first.
    """
    groups: defaultdict[tuple[str, str, str], list[RolloutRow]] = defaultdict(list)
    for row in rows:
        groups[column_of(row)].append(row)
    table = [_agent_row(group) for group in groups.values()]
    return sorted(table, key=_rank)


def _rank(row: AgentRow) -> tuple[bool, int, float, str]:
    step = row.part.removeprefix("held out after ")
    place = 1 + int(step) if step.isdigit() else 0
    return not row.model, place, -row.resolved.value, row.name


def _agent_row(rows: Sequence[RolloutRow]) -> AgentRow:
    attempts = _attempts(rows)
    most = min(map(len, attempts.values()))
    ks = powers_of_two(most) if most > 1 else []
    failed = ("infrastructure", "agent", "task", "model")
    outcomes = Counter(row.outcome for row in rows)
    return AgentRow(
        agent=rows[0].agent,
        model=rows[0].model,
        part=rows[0].part,
        tasks=len(attempts),
        resolved=share_of(attempts),
        clean_resolved=share_of(_attempts(rows, lambda row: row.resolved and not row.hacked)),
        hacked=share_of(_attempts(rows, lambda row: row.hacked)),
        hacked_resolved=share_of(_attempts(rows, lambda row: row.resolved and row.hacked)),
        failures={name: outcomes[name] for name in failed if outcomes[name]},
        ungraded=outcomes["ungraded"],
        limited=sum(row.limited for row in rows),
        flagged=sum(row.incidents > 0 for row in rows),
        mean_turns=_mean(rows, lambda row: row.turns),
        mean_prompt_tokens=_mean(rows, lambda row: row.prompt_tokens),
        mean_completion_tokens=_mean(rows, lambda row: row.completion_tokens),
        mean_seconds=_mean(rows, lambda row: row.seconds),
        pass_at={k: value for k in ks if (value := pass_at_k(attempts, k)) is not None},
        pass_hat={k: value for k in ks if (value := pass_hat_k(attempts, k)) is not None},
    )


def slices(
    rows: Sequence[RolloutRow], tasks: Mapping[str, Task], agents: Sequence[AgentRow]
) -> list[SliceRow]:
    """One row per operator and per source of the tasks at hand, those of most tasks first.

    Agents stay apart: an oracle beside a model would pull every slice to the middle.
    """
    groups: defaultdict[tuple[str, str], list[RolloutRow]] = defaultdict(list)
    for row in rows:
        task = tasks.get(row.task)
        if task is None:
            continue
        for operator in sorted(set(task.operators)):
            groups["operator", operator].append(row)
        if task.source:
            groups["source", task.source].append(row)
    table = [
        SliceRow(kind, label, len({row.task for row in group}), _shares(group, agents))
        for (kind, label), group in groups.items()
    ]
    return sorted(table, key=lambda row: (row.kind, -row.tasks, row.label))


def _shares(rows: Sequence[RolloutRow], agents: Sequence[AgentRow]) -> tuple[Share, ...]:
    return tuple(
        share_of(_attempts(row for row in rows if column_of(row) == column_of(agent)))
        for agent in agents
    )


def column_of(row: RolloutRow | AgentRow) -> tuple[str, str, str]:
    """What rollouts of one column of the tables share."""
    return row.agent, row.model, row.part


def _attempts(
    rows: Iterable[RolloutRow], success: Callable[[RolloutRow], bool] = lambda row: row.resolved
) -> dict[str, list[bool]]:
    attempts: defaultdict[str, list[bool]] = defaultdict(list)
    for row in rows:
        attempts[row.task].append(success(row))
    return dict(attempts)


def _mean(rows: Sequence[RolloutRow], value: Callable[[RolloutRow], float]) -> float:
    return sum(map(value, rows)) / len(rows)
