"""``regreen quickstart``: the whole loop on this machine, small, with a report at its end."""

from __future__ import annotations

import shutil
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from regreen import __version__
from regreen.cli.inject import require_tasks, show_progress
from regreen.cli.report import show_summary, write_reports
from regreen.cli.rollout import run_rollouts
from regreen.cli.shared import Work, check_writable, home, layer_store, run_async
from regreen.core.console import Console
from regreen.core.errors import UsageError
from regreen.core.funnel import Funnel
from regreen.core.task import Task
from regreen.example import example_source
from regreen.rollout.plan import Assignment, assignments, builder
from regreen.store.run import RunDirectory
from regreen.store.taskset import taskset_digest, write_tasks
from regreen.tasks.build.repository import make_ready
from regreen.tasks.inject.job import Injection, InjectSettings, inject
from regreen.tasks.prove.baseline import measure
from regreen.view.summary import AgentRow, digest, summarise

__all__ = ["quickstart"]

SOURCE = "pypi:toolz==1.0.0"
AGENTS = ("oracle", "nop", "scripted")
CHEATS = ("cheat_fetch", "cheat_runner", "cheat_equal")
CHEATED_TASKS = 3


def quickstart(
    source: str = SOURCE,
    /,
    *,
    out: Annotated[Path | None, Parameter(alias="-o")] = None,
    limit: Annotated[int, Parameter(alias="-n")] = 14,
    offline: Annotated[bool, Parameter(negative="")] = False,
    seed: int = 0,
    work: Work | None = None,
) -> int:
    """Break a real library, prove the breaks, let three agents at them, grade, report.

    Needs no GPU, Docker, key or model. The agents are oracle (applies the fix: should solve all),
    nop (does nothing: should solve none) and scripted (a simple search). Then three that cheat, on
    a few tasks each: by fetching the upstream repair, by hooking the test runner, and by objects
    equal to everything; none may score. The last line printed is the path of the report.

    For example:

        regreen quickstart
        regreen quickstart --offline
        regreen quickstart pypi:itsdangerous -n 10

    Parameters
    ----------
    source
        Library to use: pypi:NAME[==VERSION], a git URL or a directory.
    out
        Directory for everything made (default runs/quickstart-DATE).
    limit
        Tasks to make.
    offline
        Use the example that ships with regreen; needs no network.
    seed
        Seed of the whole.
    """
    work = work or Work()
    console = work.console()
    begin = time.monotonic()
    stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    folder = out or Path("runs") / f"quickstart-{stamp}"
    if offline:
        source = str(_example())
    if work.dry_run:
        console.note(f"would write to {folder}; nothing was run")
        return 0
    _check(folder, limit)
    console.note("1/5 make tasks: break working code, keep what the tests prove broken")
    made = run_async(_make(source, InjectSettings(limit=limit, seed=seed), offline, work, console))
    require_tasks(made, source)
    taskset = folder / "tasks.jsonl"
    _keep(made, folder, console)
    page, rows, cheats = _act(made, folder, source, seed, work=work, console=console)
    if work.json:
        seconds = time.monotonic() - begin
        console.json({**_summary(made.funnel, folder, page, rows, seconds), "cheats": cheats})
        return 0
    show_summary(rows, console)
    console.note(f"{time.monotonic() - begin:.0f} s in all; look further with:")
    console.note(f"  regreen tasks show {taskset}")
    console.result(str(page))
    return 0


def _act(
    made: Injection, folder: Path, source: str, seed: int, *, work: Work, console: Console
) -> tuple[Path, list[AgentRow], dict[str, dict[str, int]]]:
    """Run the honest and the cheating agents; returns the report, its rows and the cheats'."""
    console.note("2/5 act and 3/5 verify: three agents, every stage in a box of its own")
    with _run_directory(folder / "run", source, made.tasks, seed) as directory:
        run_async(_roll(made.tasks, AGENTS, directory, seed=seed, work=work, console=console))
        console.note("4/5 cheat: three agents that try to be graded well without a repair")
        some = made.tasks[:CHEATED_TASKS]
        run_async(_roll(some, CHEATS, directory, seed=seed, work=work, console=console))
        cheats = _cheats(directory)
        for name, counts in cheats.items():
            console.note(f"    {name}: " + ", ".join(f"{v} {k}" for k, v in counts.items()))
        console.note("5/5 report")
        page = write_reports(
            directory,
            title=f"Quickstart on {source}",
            tasks=folder / "tasks.jsonl",
            funnel=made.funnel,
        )
        return page, summarise(digest(row) for row in directory.trajectories()), cheats


def _check(folder: Path, limit: int) -> None:
    if limit < 1:
        msg = f"--limit {limit} asks for no task"
        raise UsageError(msg, where="-n", mend="give 1 or more")
    check_writable(folder / "tasks.jsonl", "the report")
    if any(folder.iterdir()):
        msg = "the directory is not empty"
        raise UsageError(msg, where=str(folder), mend="give another --out, or remove it")


def _keep(made: Injection, folder: Path, console: Console) -> None:
    write_tasks(folder / "tasks.jsonl", made.tasks)
    (folder / "funnel.json").write_text(made.funnel.model_dump_json(indent=1))
    verified, tried = made.funnel.steps[2][1], made.funnel.steps[0][1]
    console.note(
        f"    {verified} of {tried} candidates verified, "
        f"{made.funnel.cpu_seconds_per_candidate:.2f} CPU s each; {len(made.tasks)} tasks kept"
    )


def _example() -> Path:
    """A copy of the bundled example outside any work tree, whose commit it would else take."""
    target = home() / "example" / "ledger"
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(example_source(), target, ignore=shutil.ignore_patterns("__pycache__"))
    return target


async def _make(
    source: str, settings: InjectSettings, offline: bool, work: Work, console: Console
) -> Injection:
    store, provider = layer_store(), work.provider()
    try:
        repository = await make_ready(
            source, store=store, provider=provider, note=console.note, installed=offline
        )
        baseline = await measure(
            repository.place, provider=provider, store=store, where=source, workers=work.workers
        )
        with console.progress("tasks", total=settings.limit, good="verified") as display:
            return await inject(
                repository,
                baseline,
                provider=provider,
                store=store,
                settings=settings,
                workers=work.workers,
                report=lambda state: show_progress(state, display),
            )
    finally:
        await provider.close()


def _run_directory(path: Path, source: str, tasks: tuple[Task, ...], seed: int) -> RunDirectory:
    return RunDirectory.create(
        path,
        config={"agents": [*AGENTS, *CHEATS], "source": source, "seed": seed},
        lock={
            "taskset_digest": taskset_digest(tasks),
            "seeds": [seed],
            "regreen": __version__,
        },
    )


async def _roll(
    tasks: tuple[Task, ...],
    agents: tuple[str, ...],
    directory: RunDirectory,
    *,
    seed: int,
    work: Work,
    console: Console,
) -> None:
    for agent in agents:
        planned: list[Assignment] = assignments(tasks, agent, seed=seed)
        await run_rollouts(
            tasks, planned, directory, builder(agent), work=work, total=len(planned),
            console=console,
        )  # fmt: skip


def _cheats(directory: RunDirectory) -> dict[str, dict[str, int]]:
    """What became of the cheating agents' rollouts."""
    found = {name: {"resolved": 0, "calls refused": 0, "tampered": 0} for name in CHEATS}
    for row in directory.trajectories():
        if row.agent in found and row.verdict is not None:
            counts = found[row.agent]
            counts["resolved"] += row.verdict.resolved
            counts["calls refused"] += sum(incident.blocked for incident in row.incidents)
            counts["tampered"] += not row.verdict.clean
    return found


def _summary(
    funnel: Funnel, folder: Path, page: Path, rows: list[AgentRow], seconds: float
) -> dict[str, object]:
    return {
        "out": str(folder),
        "report": str(page),
        "funnel": funnel.model_dump(mode="json"),
        "agents": {
            row.name: {"rollouts": row.resolved.total, "resolved": row.resolved.count}
            for row in rows
        },
        "seconds": round(seconds, 1),
    }
