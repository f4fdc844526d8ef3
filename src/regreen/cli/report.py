"""``regreen report``: a run for people, as text, Markdown and one HTML file."""

from __future__ import annotations

import json
from pathlib import Path

from regreen.cli.shared import Output
from regreen.core.console import Console
from regreen.core.funnel import Funnel
from regreen.store.run import RunDirectory
from regreen.store.taskset import load_tasks
from regreen.view.curves import figures_of
from regreen.view.facts import RunFacts
from regreen.view.report_html import render_html
from regreen.view.report_md import render_markdown
from regreen.view.summary import AgentRow, digest, summarise, told_apart

__all__ = ["report", "show_summary", "write_reports"]


def report(
    run: Path,
    /,
    *,
    tasks: Path | None = None,
    funnel: Path | None = None,
    output: Output | None = None,
) -> int:
    """Summarise a run; write report.md and report.html into it, and a training run's curves.

    The last line printed is the path of report.html.

    For example:

        regreen report runs/oracle
        regreen report runs/oracle --tasks tasks.jsonl --json

    Parameters
    ----------
    run
        Directory of the run.
    tasks
        Its taskset, to show statements, gold patches and the split by fault class.
    funnel
        JSON file with the funnel of the injection (`regreen tasks inject --json`).
    """
    output = output or Output()
    console = output.console()
    with RunDirectory.open(run) as directory:
        made = read_funnel(funnel) if funnel else None
        page = write_reports(directory, tasks=tasks, funnel=made)
        rows = summarise(told_apart(map(digest, directory.trajectories())))
    if output.json:
        console.json({"run": str(run), "report": str(page), "agents": [_fields(r) for r in rows]})
        return 0
    show_summary(rows, console)
    console.result(str(page))
    return 0


def read_funnel(path: Path) -> Funnel:
    """A funnel from a file, alone or as a member of what `tasks inject --json` prints."""
    data = json.loads(path.read_text())
    return Funnel.model_validate(data.get("funnel", data))


def write_reports(
    directory: RunDirectory,
    *,
    title: str = "",
    tasks: Path | None = None,
    funnel: Funnel | None = None,
) -> Path:
    """Write both reports into the run and return the HTML file's path."""
    facts = RunFacts.of(directory)
    known = load_tasks(tasks) if tasks else []
    title = title or f"Run {facts.name}"
    markdown = render_markdown(
        title=title, run=facts, trajectories=directory.trajectories(), tasks=known, funnel=funnel
    )
    if "suite" in directory.config:
        from regreen.cli.eval import propensity

        markdown += propensity(directory)
    directory.write_text("report.md", markdown)
    figures = figures_of(directory.metrics())
    for figure in figures:
        (directory.path / f"{figure.name}.png").write_bytes(figure.png)
    page = render_html(
        title=title,
        run=facts,
        trajectories=directory.trajectories(),
        tasks=known,
        funnel=funnel,
        figures=figures,
    )
    return directory.write_text("report.html", page)


def show_summary(rows: list[AgentRow], console: Console) -> None:
    """One line per agent."""
    console.table(
        ("agent", "rollouts", "resolved", "share", "95 %", "clean", "hacked", "failures"),
        [
            (
                row.name,
                row.resolved.total,
                row.resolved.count,
                f"{row.resolved.value:.0%}",
                f"{row.resolved.low:.0%}-{row.resolved.high:.0%}",
                row.clean_resolved.count,
                row.hacked.count,
                sum(row.failures.values()),
            )
            for row in rows
        ],
    )


def _fields(row: AgentRow) -> dict[str, object]:
    return {
        "agent": row.name,
        "rollouts": row.resolved.total,
        "resolved": row.resolved.count,
        "share": row.resolved.value,
        "interval": [row.resolved.low, row.resolved.high],
        "failures": dict(row.failures),
        "metrics": {
            name: {"count": share.count, "share": share.value, "interval": [share.low, share.high]}
            for name, share in (
                ("resolved", row.resolved),
                ("clean_resolved", row.clean_resolved),
                ("hack_rate", row.hacked),
                ("hacked_resolved", row.hacked_resolved),
            )
        },
    }
