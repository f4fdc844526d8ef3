"""``regreen rollout``: agents on tasks, each in its box, graded by execution."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from regreen import __version__
from regreen.agents import Limits
from regreen.cli.shared import Work, chat_client, interrupted, layer_store, run_async
from regreen.core.console import Console
from regreen.core.errors import PrerequisiteError, UsageError
from regreen.core.progress import Progress
from regreen.core.task import Task
from regreen.core.trajectory import Trajectory
from regreen.grading.workshop import Workshop
from regreen.inference import ChatClient
from regreen.rollout.auditor import audit
from regreen.rollout.base import Phase
from regreen.rollout.plan import Assignment, Build, assignments, builder
from regreen.rollout.runner import Interrupted, Runner, Summary
from regreen.sandbox.base import BoxSpec
from regreen.store.run import RunDirectory
from regreen.store.taskset import load_tasks, taskset_digest

GRACE_SECONDS = 300.0
"""After an agent's own time limit, before an agent that ignores it is ended."""

__all__ = ["Watch", "outcome_of", "rollout", "run_rollouts"]


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
    resume: Annotated[bool, Parameter(negative="")] = False
    """Go on with an interrupted run of the same settings."""


def rollout(tasks: Path, /, *, flags: RolloutFlags) -> int:
    """Let an agent work on tasks in throw-away boxes, then grade what it left in fresh ones.

    Agents: oracle (applies the gold patch), nop (does nothing), scripted (deterministic, no
    model), mini (bash only) and react (bash, view, edit, search, submit) over any
    OpenAI-compatible endpoint; its key is read from OPENAI_API_KEY.

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
        flags.agent, limits=limits, client=client, tool_format=_known_format(flags.tool_format)
    )
    _check(flags)
    rows = load_tasks(tasks)[: flags.limit]
    if flags.dry_run:
        console.note(f"{len(rows)} tasks, {flags.attempts} attempts each; nothing was run")
        return 0
    with _directory(flags, limits, rows) as directory:
        planned = assignments(
            rows,
            flags.agent,
            attempts=flags.attempts,
            seed=flags.seed,
            finished=directory.finished_ids(),
        )
        total = len(rows) * flags.attempts
        try:
            summary = run_async(
                run_rollouts(
                    rows, planned, directory, build,
                    client=client, work=flags, total=total, console=console,
                    act_seconds=limits.seconds + GRACE_SECONDS,
                )
            )  # fmt: skip
        except (Interrupted, KeyboardInterrupt):
            interrupted(console, resume=flags.resume)
        everything = list(directory.trajectories())
    return _tell(everything, summary, flags, console)


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


def _directory(flags: RolloutFlags, limits: Limits, rows: Sequence[Task]) -> RunDirectory:
    config: dict[str, Any] = {
        "agent": flags.agent,
        "attempts": flags.attempts,
        "seed": flags.seed,
        "model": flags.model or "",
        "base_url": flags.base_url or "",
        "tool_format": flags.tool_format or "",
        "temperature": "" if flags.temperature is None else flags.temperature,
        "limits": limits.model_dump(mode="json", exclude_none=True),
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
) -> Summary:
    """Do planned rollouts with a progress display.

    Raises:
        PrerequisiteError: the layers of a task are not on this machine, or boxes cannot be made.
    """
    provider = work.provider()
    workshop = Workshop(provider, layer_store(), auditor=audit)
    for task in tasks:
        if workshop.missing(task):
            msg = f"the environment of {task.instance_id} is not on this machine"
            source = task.environment.source if task.environment else task.repo
            mend = "regreen tasks validate TASKS builds it"
            raise PrerequisiteError(msg, where=source, mend=mend)
    title = planned[0].agent if planned else "rollouts"
    try:
        # where no box can be made, say so once instead of in every row
        await (await provider.create(BoxSpec(workdir="/tmp"))).close()
        with console.progress(title, total=total, done=total - len(planned)) as display:
            runner = Runner(
                run_directory=directory,
                workshop=workshop,
                build=build,
                client=client,
                workers=work.workers,
                act_seconds=act_seconds,
                watch=Watch(display),
            )
            return await runner.run(planned)
    finally:
        await provider.close()


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


def _tell(
    everything: list[Trajectory], summary: Summary, flags: RolloutFlags, console: Console
) -> int:
    resolved = sum(outcome_of(row) == "resolved" for row in everything)
    failed = sum(row.error is not None for row in everything)
    errors = [row.error for row in everything if row.error]
    for boundary, count in Counter(error.boundary for error in errors).items():
        first = next(error for error in errors if error.boundary == boundary)
        reason = " ".join(first.message.split())
        console.note(f"{count} lost to {boundary}, the first by {first.type}: {reason}")
    if any(error.boundary == "infrastructure" for error in errors):
        console.note("the same command with --resume does those of the infrastructure again")
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
            f"{resolved} of {len(everything)} resolved, {failed} failed; "
            f"see: regreen report {flags.run}"
        )
    return 1 if errors else 0
