"""``report.md``: the run's tables as Markdown, for a terminal, a pull request or a diff."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from regreen.core.funnel import Funnel
from regreen.core.task import Task
from regreen.core.trajectory import Trajectory
from regreen.view.facts import RunFacts
from regreen.view.summary import (
    KEPT_NOTE,
    AgentRow,
    SliceRow,
    digest,
    slices,
    summarise,
    told_apart,
)

__all__ = ["render_markdown"]


def render_markdown(
    *,
    title: str,
    run: RunFacts,
    trajectories: Iterable[Trajectory],
    tasks: Iterable[Task] = (),
    funnel: Funnel | None = None,
) -> str:
    """The report as Markdown; trajectories are read once and not kept."""
    rows = told_apart(digest(trajectory) for trajectory in trajectories)
    by_id = {task.instance_id: task for task in tasks}
    agents = summarise(rows)
    blocks = [f"# {_cell(title)}", *_agents(agents)]
    if cut := slices(rows, by_id, agents):
        blocks += ["## By kind of task", _slices(cut, agents)]
    if funnel is not None:
        blocks += [f"## Where the tasks came from: {_cell(funnel.name)}", *_funnel(funnel)]
    if facts := run.rows():
        blocks += ["## What was run", _table(("key", "value"), facts)]
    return "\n\n".join(blocks) + "\n"


def _agents(rows: Sequence[AgentRow]) -> list[str]:
    if not rows:
        return ["No rollout has finished."]
    columns = (
        "agent", "rollouts", "tasks", "resolved", "share (95 %)", "failures", "limits hit",
        "flagged", "turns", "tokens in", "tokens out", "seconds",
    )  # fmt: skip
    cells = [
        (
            row.name,
            row.resolved.total,
            row.tasks,
            row.resolved.count,
            row.resolved.text(),
            ", ".join(f"{name} {count}" for name, count in row.failures.items()) or "none",
            row.limited,
            row.flagged,
            f"{row.mean_turns:.1f}",
            f"{row.mean_prompt_tokens:,.0f}",
            f"{row.mean_completion_tokens:,.0f}",
            f"{row.mean_seconds:.1f}",
        )
        for row in rows
    ]
    blocks = ["## Agents", _table(columns, cells), _NOTE]
    if any(row.part for row in rows):
        blocks += [KEPT_NOTE]
    blocks += ["### Honest and hacked", _hacks(rows), _HACK_NOTE]
    if any(row.pass_at for row in rows):
        blocks += ["### Several attempts", _passes(rows)]
    return blocks


_NOTE = (
    "Every rollout is in the denominator; failures of the infrastructure, the task or the model "
    "are counted apart. Turns, tokens and seconds are means per rollout."
)


_HACK_NOTE = (
    "Hacked: at least one confirmed incident, or a verdict with signs of tampering, whether or not "
    "it was stopped. Resolved is clean resolved plus hacked resolved."
)


def _hacks(rows: Sequence[AgentRow]) -> str:
    columns = ("agent", "resolved", "clean resolved", "hack rate", "hacked resolved")
    cells = [
        (
            row.name,
            *(
                share.text()
                for share in (row.resolved, row.clean_resolved, row.hacked, row.hacked_resolved)
            ),
        )
        for row in rows
    ]
    return _table(columns, cells)


def _passes(rows: Sequence[AgentRow]) -> str:
    ks = sorted({k for row in rows for k in row.pass_at})
    columns = ["agent", *(f"pass@{k}" for k in ks), *(f"pass^{k}" for k in ks)]
    cells = [
        [row.name, *(_percent(values.get(k)) for values in (row.pass_at, row.pass_hat) for k in ks)]
        for row in rows
    ]
    return _table(columns, cells)


def _slices(rows: Sequence[SliceRow], agents: Sequence[AgentRow]) -> str:
    columns = ("kind", "value", "tasks", *(agent.name for agent in agents))
    cells = [
        (row.kind, row.label, row.tasks, *(f"{s.count} / {s.total}" for s in row.resolved))
        for row in rows
    ]
    return _table(columns, cells)


def _funnel(funnel: Funnel) -> list[str]:
    blocks = [_table(("step", "count"), funnel.steps)]
    if funnel.rejected:
        reasons = sorted(funnel.rejected.items(), key=lambda item: -item[1])
        blocks.append(_table(("rejected because", "count"), reasons))
    if funnel.by_operator:
        columns = ("operator", "candidates", "screened", "verified", "CPU seconds")
        cells = [
            (row.operator, row.candidates, row.screened, row.verified, f"{row.seconds:.1f}")
            for row in funnel.by_operator
        ]
        blocks.append(_table(columns, cells))
    blocks.append(
        f"{funnel.cpu_seconds:.1f} CPU seconds in all, "
        f"{funnel.cpu_seconds_per_candidate:.2f} per candidate."
    )
    return blocks


def _percent(value: float | None) -> str:
    return "n/a" if value is None else f"{100 * value:.1f} %"


def _table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(_cell(cell) for cell in line)} |" for line in lines)


def _cell(value: object) -> str:
    """Text that stays inside its cell and is no markup."""
    text = re.sub(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+", " ", str(value))
    return re.sub(r"([\\`*\[\]<>|#])", r"\\\1", text)
