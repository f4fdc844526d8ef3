"""``report.html``: one file that holds the whole run and asks the network for nothing.

Each rollout is a script element of its own that the browser parses when it is opened, deflated
where that is shorter, so a report of many megabytes still opens at once. Token ids stay out.
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from regreen.core.funnel import Funnel
from regreen.core.task import Task
from regreen.core.trajectory import Trajectory
from regreen.store.jsonl import encode_row
from regreen.view.drawing import Figure
from regreen.view.extremes import extremes
from regreen.view.facts import RunFacts
from regreen.view.summary import (
    KEPT_NOTE,
    AgentRow,
    RolloutRow,
    column_of,
    digest,
    slices,
    summarise,
    told_apart,
)

__all__ = ["render_html"]

_HERE = Path(__file__).parent
_DEFLATE_FROM = 4096
_TOKEN_DATA = {"turns": {"__all__": {"completion_ids", "logprobs", "prompt_len"}}}


def render_html(
    *,
    title: str,
    run: RunFacts,
    trajectories: Iterable[Trajectory],
    tasks: Iterable[Task] = (),
    funnel: Funnel | None = None,
    figures: Sequence[Figure] = (),
) -> str:
    """The report as one HTML document; trajectories are read once and kept only as text.

    Args:
        title: heading of the page.
        run: what was run.
        trajectories: all rollouts of the run.
        tasks: the tasks they worked on, for statements, gold patches and slices.
        funnel: how the tasks were made, when that is known.
        figures: curves of a training run.
    """
    rows: list[RolloutRow] = []
    blobs: list[str] = []
    for trajectory in trajectories:
        blobs.append(_blob(f"r{len(rows)}", trajectory.model_dump(exclude=_TOKEN_DATA)))
        rows.append(digest(trajectory))
    rows = told_apart(rows)
    by_id = {task.instance_id: task for task in tasks}
    blobs += [_blob(f"t{n}", task.model_dump()) for n, task in enumerate(by_id.values())]
    agents = summarise(rows)
    page: str = _template().render(
        title=title,
        agents=agents,
        num_agents=len({(agent.agent, agent.model) for agent in agents}),
        kept_note=KEPT_NOTE,
        ks=sorted({k for row in agents for k in row.pass_at}),
        extremes=extremes(rows),
        slices=slices(rows, by_id, agents),
        funnel=funnel,
        figures=[(one.caption, base64.b64encode(one.png).decode()) for one in figures],
        facts=run.rows(),
        rows=rows,
        num_tasks=len({row.task for row in rows} | set(by_id)),
        started_at=min((row.started_at for row in rows if row.started_at), default=""),
        css=(_HERE / "report.css").read_text(encoding="utf-8"),
        js=(_HERE / "report.js").read_text(encoding="utf-8"),
        index=_script(_index(rows, by_id, agents)),
        blobs="\n".join(blobs),
    )
    return page


def _template() -> Any:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(_HERE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html.j2")


def _index(
    rows: Sequence[RolloutRow], tasks: Mapping[str, Task], agents: Sequence[AgentRow]
) -> dict[str, Any]:
    """What the list of tasks shows before anything is opened."""
    numbers = {instance_id: number for number, instance_id in enumerate(tasks)}
    column = {column_of(agent): number for number, agent in enumerate(agents)}
    unknown = {row.task: None for row in rows if row.task not in tasks}
    return {
        "agents": [agent.name for agent in agents],
        "tasks": [_task_entry(name, tasks.get(name), numbers) for name in (*tasks, *unknown)],
        "rollouts": [
            {
                "id": row.rollout_id,
                "task": row.task,
                "agent": column[column_of(row)],
                "outcome": row.outcome,
                "exit": row.exit_status,
                "turns": row.turns,
                "tokens": row.prompt_tokens + row.completion_tokens,
                "seconds": row.seconds,
                "incidents": row.incidents,
                "hacked": row.hacked,
                "blob": f"r{number}",
            }
            for number, row in enumerate(rows)
        ],
    }


def _task_entry(name: str, task: Task | None, numbers: Mapping[str, int]) -> dict[str, Any]:
    if task is None:
        return {"id": name, "operators": [], "source": "", "difficulty": None, "blob": None}
    return {
        "id": name,
        "repo": task.repo,
        "operators": list(task.operators),
        "source": task.source,
        "difficulty": task.difficulty.model_dump() if task.difficulty else None,
        "blob": f"t{numbers[name]}",
    }


def _script(row: Mapping[str, Any]) -> str:
    """JSON that no content can break out of: a script element ends at ``</`` and nowhere else."""
    text = encode_row(row).decode().rstrip("\n")
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _blob(identity: str, row: Mapping[str, Any]) -> str:
    text = _script(row)
    if len(text) < _DEFLATE_FROM:
        return f'<script type="application/json" id="{identity}">{text}</script>'
    packed = base64.b64encode(zlib.compress(text.encode(), 6)).decode()
    return f'<script type="text/plain" id="{identity}" data-deflated>{packed}</script>'
