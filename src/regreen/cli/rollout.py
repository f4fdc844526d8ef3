"""``regreen rollout``: agents on tasks, each in its box, graded by execution."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from regreen import __version__
from regreen.agents import Limits
from regreen.cli.shared import Work, chat_client, home, interrupted, layer_store, run_async
from regreen.core.console import Console
from regreen.core.errors import PrerequisiteError, UsageError
from regreen.core.progress import Progress
from regreen.core.task import Task
from regreen.core.trajectory import ErrorRecord, Trajectory
from regreen.core.verdict import Reward, Verdict
from regreen.grading.grade import rewards
from regreen.grading.workshop import Workshop
from regreen.guard.index.proxy import IndexProxy
from regreen.inference import ChatClient
from regreen.rollout.auditor import audit, monitored
from regreen.rollout.base import Phase
from regreen.rollout.base import Workshop as AnyWorkshop
from regreen.rollout.doors import Doors
from regreen.rollout.plan import Assignment, Build, assignments, builder
from regreen.rollout.runner import Interrupted, Runner, Summary
from regreen.sandbox.base import BoxSpec
from regreen.store.run import RunDirectory
from regreen.store.taskset import load_tasks, taskset_digest

GRACE_SECONDS = 300.0
"""After an agent's own time limit, before an agent that ignores it is ended."""

__all__ = [
    "Additions",
    "Crew",
    "RolloutFlags",
    "Watch",
    "crew_of",
    "outcome_of",
    "rollout",
    "run_directory",
    "run_rollouts",
    "tell_failures",
    "work_off",
]


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class RolloutFlags(Work):
    """Flags of the verb."""

    agent: str
    """Name of the agent, or package.module:Class."""
    run: Path
    """Directory of the run."""
    limit: Annotated[int | None, Parameter(alias="-n")] = None
    """Use the first N tasks only."""
    attempts: int = 1
    """Rollouts of each task."""
    seed: int = 0
    """Seed of the run."""
    base_url: str | None = None
    """Endpoint of the model, ending in /v1."""
    model: str | None = None
    """Name of the model as the endpoint knows it."""
    temperature: float | None = None
    """Sampling temperature; the endpoint's own when not given."""
    tool_format: str | None = None
    """Ask the model in this format's text, for endpoints that read no calls (see regreen
    plugins)."""
    turns: int | None = None
    """Most model calls of one rollout (default 250)."""
    tokens: int | None = None
    """Most tokens sampled in one rollout (default unlimited)."""
    seconds: float | None = None
    """Most wall seconds of one rollout (default 3600)."""
    command_seconds: float | None = None
    """Most wall seconds of one command (default 60)."""
    guard: bool = True
    """Refuse prohibited calls with a reason, and look for hacking afterwards."""
    penalty: Annotated[float, Parameter(show_default=False)] = 0.0
    """Subtracted from the reward of a refused call's tokens (default none; recorded only)."""
    index: str | None = None
    """Serve packages to the boxes from this index (URL, directory of wheels, or default), without
    the task's own project and what came after the task."""
    resume: Annotated[bool, Parameter(negative="")] = False
    """Go on with an interrupted run of the same settings."""


def rollout(tasks: Path, /, *, flags: RolloutFlags) -> int:
    """Let an agent work on tasks in throw-away boxes, then grade what it left in fresh ones.

    Agents: oracle (applies the gold patch), nop (does nothing), scripted (deterministic, no
    model), mini (bash only) and react (bash, view, edit, search, submit) over any
    OpenAI-compatible endpoint; its key is read from OPENAI_API_KEY. cheat_equal, cheat_fetch and
    cheat_runner try to score without a repair, to show what stops them.

    Exits with 1 when a rollout was lost to a failure; an unresolved task is no failure.

    For example:

        regreen rollout tasks.jsonl --agent oracle --run runs/oracle
        regreen rollout tasks.jsonl --agent mini --run runs/mini --base-url URL/v1 --model NAME
        regreen rollout tasks.jsonl --agent oracle --run runs/oracle --resume

    Parameters
    ----------
    tasks
        Taskset: .jsonl or .parquet.
    """
    console = flags.console()
    crew = crew_of(flags)
    rows = load_tasks(tasks)[: flags.limit]
    if flags.dry_run:
        console.note(f"{len(rows)} tasks, {flags.attempts} attempts each; nothing was run")
        return 0
    with run_directory(flags, crew, rows) as directory:
        summary = work_off(rows, directory, crew, flags=flags, console=console)
        everything = list(directory.trajectories())
    return _tell(everything, summary, flags, console)


@dataclass(frozen=True, slots=True, kw_only=True)
class Crew:
    """Who works, and how long."""

    limits: Limits
    """Of each rollout."""
    client: ChatClient | None
    """The model, for agents that need one."""
    build: Build
    """Makes the agent of a rollout."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Additions:
    """What a suite adds to ordinary rollouts."""

    planted: Callable[[AnyWorkshop], AnyWorkshop] = lambda workshop: workshop
    """Changes the boxes agents get."""
    label: Callable[[Trajectory], Trajectory] = lambda row: row
    """Adds to a row before it is written, after the monitor did."""
    reward: Callable[[Verdict], tuple[Reward, ...]] = rewards
    """Scores a verdict."""


def crew_of(flags: RolloutFlags) -> Crew:
    """The agent, its model and its limits as the flags name them.

    Raises:
        UsageError: they do not fit together.
    """
    limits = flags.settings(
        Limits,
        "limits",
        turns=flags.turns,
        completion_tokens=flags.tokens,
        seconds=flags.seconds,
        command_seconds=flags.command_seconds,
    )
    client = chat_client(flags.base_url, flags.model, temperature=flags.temperature)
    if ":" in flags.agent:
        sys.path.append(str(Path.cwd()))  # an agent's file beside the user is found, last
    build = builder(
        flags.agent,
        limits=limits,
        client=client,
        tool_format=_known_format(flags.tool_format),
        penalty=flags.penalty if flags.guard else None,
    )
    _check(flags)
    return Crew(limits=limits, client=client, build=build)


def work_off(
    rows: Sequence[Task],
    directory: RunDirectory,
    crew: Crew,
    *,
    flags: RolloutFlags,
    console: Console,
    additions: Additions | None = None,
) -> Summary:
    """Do what a run still lacks; an interrupt ends the process and says how to go on."""
    planned = assignments(
        rows,
        flags.agent,
        attempts=flags.attempts,
        seed=flags.seed,
        finished=directory.finished_ids(),
    )
    try:
        return run_async(
            run_rollouts(
                rows, planned, directory, crew.build,
                client=crew.client, work=flags, total=len(rows) * flags.attempts, console=console,
                act_seconds=crew.limits.seconds + GRACE_SECONDS, additions=additions,
                index=flags.index,
            )
        )  # fmt: skip
    except (Interrupted, KeyboardInterrupt):
        interrupted(console, resume=flags.resume)


def _known_format(name: str | None) -> str:
    if not name:
        return ""
    from regreen.templates import tool_format

    return tool_format(name).name if ":" not in name else name


def _check(flags: RolloutFlags) -> None:
    for name, value in (("--limit", flags.limit), ("--attempts", flags.attempts)):
        if value is not None and value < 1:
            msg = f"{name} {value} asks for no rollout"
            raise UsageError(msg, where=name, mend="give 1 or more")


def run_directory(
    flags: RolloutFlags, crew: Crew, rows: Sequence[Task], more: Mapping[str, Any] | None = None
) -> RunDirectory:
    """Make the run's directory, or go on with it.

    Args:
        flags: of the verb.
        crew: who works.
        rows: what is run.
        more: further keys of the configuration, fixed like the others.

    Raises:
        UsageError: it holds another run.
    """
    config: dict[str, Any] = {
        **(more or {}),
        "agent": flags.agent,
        "attempts": flags.attempts,
        "seed": flags.seed,
        "model": flags.model or "",
        "base_url": flags.base_url or "",
        "tool_format": flags.tool_format or "",
        "temperature": "" if flags.temperature is None else flags.temperature,
        "limits": crew.limits.model_dump(mode="json", exclude_none=True),
        "guard": flags.guard,
        "penalty": flags.penalty,
        "index": flags.index or "",
        "workers": flags.workers,
    }
    lock = {"taskset_digest": taskset_digest(rows), "seeds": [flags.seed], "regreen": __version__}
    return RunDirectory.create(
        flags.run, config=config, lock=lock, resume=flags.resume, may_differ=("workers", "base_url")
    )


async def run_rollouts(
    tasks: Sequence[Task],
    planned: Sequence[Assignment],
    directory: RunDirectory,
    build: Build,
    *,
    work: Work,
    console: Console,
    total: int,
    client: ChatClient | None = None,
    act_seconds: float | None = None,
    additions: Additions | None = None,
    index: str | None = None,
) -> Summary:
    """Do planned rollouts with a progress display.

    Args:
        tasks: of the run.
        planned: what is to be done.
        directory: where rows go.
        build: makes the agents.
        work: how boxes are made.
        console: shows progress.
        total: rollouts of the whole run.
        client: the model.
        act_seconds: ends an agent that keeps no limits.
        additions: of a suite.
        index: serves packages to the boxes; None leaves them without.

    Raises:
        PrerequisiteError: the layers of a task are not on this machine, or boxes cannot be made.
    """
    provider, added = work.provider(), additions or Additions()
    workshop = Workshop(provider, layer_store(), auditor=audit)
    for task in tasks:
        if workshop.missing(task):
            msg = f"the environment of {task.instance_id} is not on this machine"
            source = task.environment.source if task.environment else task.repo
            mend = "regreen tasks validate TASKS builds it"
            raise PrerequisiteError(msg, where=source, mend=mend)
    title = planned[0].agent if planned else "rollouts"
    label = monitored(tasks)
    doors = AsyncExitStack()
    try:
        # where no box can be made, say so once instead of in every row
        await (await provider.create(BoxSpec(workdir="/tmp"))).close()
        with console.progress(title, total=total, done=total - len(planned)) as display:
            runner = Runner(
                run_directory=directory,
                workshop=added.planted(workshop),
                build=build,
                client=client,
                workers=work.workers,
                act_seconds=act_seconds,
                reward=added.reward,
                label=lambda row: added.label(label(row)),
                doors=Doors(index=await _proxy(index, directory, doors), store=workshop.store),
                watch=Watch(display),
            )
            return await runner.run(planned)
    finally:
        await doors.aclose()
        await provider.close()


async def _proxy(
    index: str | None, directory: RunDirectory, stack: AsyncExitStack
) -> IndexProxy | None:
    if not index:
        return None
    from regreen.guard.index.settings import IndexSettings

    settings = IndexSettings(
        cache=home() / "index",
        upstream="" if index == "default" else index,
        log=directory.logs / "index.jsonl",
    )
    return await stack.enter_async_context(IndexProxy(settings))


class Watch:
    """Feeds a progress display from a runner."""

    def __init__(self, display: Progress) -> None:
        self.display = display

    def phase(self, rollout_id: str, phase: Phase) -> None:
        """A rollout begins with a phase."""
        self.display.phase(rollout_id, phase)

    def finished(self, trajectory: Trajectory) -> None:
        """A rollout is done and on disk."""
        self.display.finish(trajectory.rollout_id, outcome_of(trajectory))


def outcome_of(trajectory: Trajectory) -> str:
    """``resolved``, ``unresolved``, or whose failure it was."""
    if trajectory.error:
        return f"{trajectory.error.boundary} failure"
    return "resolved" if trajectory.verdict and trajectory.verdict.resolved else "unresolved"


def tell_failures(everything: Sequence[Trajectory], console: Console) -> list[ErrorRecord]:
    """Say whose failures rollouts were lost to, and return them."""
    errors = [row.error for row in everything if row.error]
    for boundary, count in Counter(error.boundary for error in errors).items():
        first = next(error for error in errors if error.boundary == boundary)
        reason = " ".join(first.message.split())
        console.note(f"{count} lost to {boundary}, the first by {first.type}: {reason}")
    if any(error.boundary == "infrastructure" for error in errors):
        console.note("the same command with --resume does those of the infrastructure again")
    return errors


def _tell(
    everything: list[Trajectory], summary: Summary, flags: RolloutFlags, console: Console
) -> int:
    resolved = sum(outcome_of(row) == "resolved" for row in everything)
    errors = tell_failures(everything, console)
    if flags.json:
        console.json(
            {
                "run": str(flags.run),
                "rollouts": len(everything),
                "new": summary.finished,
                "resolved": resolved,
                "failures": dict(summary.errors),
            }
        )
    else:
        console.result(
            f"{resolved} of {len(everything)} resolved, {len(errors)} failed; "
            f"see: regreen report {flags.run}"
        )
    return 1 if errors else 0
