"""``regreen rollout``: agents on tasks, each in its box, graded by execution."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter
from pydantic import SecretStr

from regreen import __version__
from regreen.agents import Limits
from regreen.cli.shared import Work, command_line, layer_store, run_async
from regreen.core.console import Console
from regreen.core.errors import PrerequisiteError, UsageError
from regreen.core.progress import Progress
from regreen.core.task import Task
from regreen.core.trajectory import Sampling, Trajectory
from regreen.grading.workshop import Workshop
from regreen.inference import ChatClient, Endpoint
from regreen.rollout.base import Phase
from regreen.rollout.plan import Assignment, Build, assignments, builder
from regreen.rollout.runner import Interrupted, Runner, Summary
from regreen.store.run import RunDirectory
from regreen.store.taskset import load_tasks, taskset_digest

__all__ = ["Watch", "outcome_of", "rollout", "run_rollouts"]


def rollout(
    tasks: Path,
    /,
    *,
    agent: str,
    run: Path,
    limit: Annotated[int | None, Parameter(alias="-n")] = None,
    attempts: int = 1,
    seed: int = 0,
    base_url: str | None = None,
    model: str | None = None,
    temperature: float | None = None,
    turns: int | None = None,
    seconds: float | None = None,
    command_seconds: float | None = None,
    resume: Annotated[bool, Parameter(negative="")] = False,
    work: Work | None = None,
) -> int:
    """Let an agent work on tasks in throw-away boxes, then grade what it left in fresh ones.

    Agents: oracle (applies the gold patch), nop (does nothing), scripted (deterministic, no
    model), mini (bash only) and react (bash, view, edit, search, submit) over any
    OpenAI-compatible endpoint; its key is read from OPENAI_API_KEY.

    Examples:

        regreen rollout tasks.jsonl --agent oracle --run runs/oracle
        regreen rollout tasks.jsonl --agent mini --run runs/mini --base-url URL/v1 --model NAME
        regreen rollout tasks.jsonl --agent oracle --run runs/oracle --resume

    Parameters
    ----------
    tasks
        Taskset: .jsonl or .parquet.
    agent
        Name of the agent, or package.module:Class.
    run
        Directory of the run.
    limit
        Use the first N tasks only.
    attempts
        Rollouts of each task.
    seed
        Seed of the run.
    base_url
        Endpoint of the model, ending in /v1.
    model
        Name of the model as the endpoint knows it.
    temperature
        Sampling temperature; the endpoint's own when not given.
    turns
        Most model calls of one rollout (default 250).
    seconds
        Most wall seconds of one rollout (default 3600).
    command_seconds
        Most wall seconds of one command (default 60).
    resume
        Go on with an interrupted run of the same settings.
    """
    work = work or Work()
    console = work.console()
    limits = work.settings(
        Limits, "limits", turns=turns, seconds=seconds, command_seconds=command_seconds
    )
    client = _client(base_url, model, temperature)
    build = builder(agent, limits=limits, client=client)
    rows = load_tasks(tasks)[: limit or None]
    config: dict[str, Any] = {
        "agent": agent,
        "attempts": attempts,
        "seed": seed,
        "model": model or "",
        "base_url": base_url or "",
        "temperature": "" if temperature is None else temperature,
        "limits": limits.model_dump(mode="json", exclude_none=True),
        "workers": work.workers,
    }
    if work.dry_run:
        console.note(f"{len(rows)} tasks, {attempts} attempts each; nothing was run")
        return 0
    lock = {"taskset_digest": taskset_digest(rows), "seeds": [seed], "regreen": __version__}
    may_differ = ("workers", "base_url")
    with RunDirectory.create(
        run, config=config, lock=lock, resume=resume, may_differ=may_differ
    ) as directory:
        planned = assignments(
            rows, agent, attempts=attempts, seed=seed, finished=directory.finished_ids()
        )
        try:
            summary = run_async(
                run_rollouts(rows, planned, directory, build, client=client, work=work,
                             total=len(rows) * attempts, console=console)
            )  # fmt: skip
        except (Interrupted, KeyboardInterrupt):
            again = command_line()
            console.note(f"go on with:\n{again}{'' if resume else ' --resume'}")
            raise
        everything = list(directory.trajectories())
    return _tell(everything, summary, run, work, console)


def _client(
    base_url: str | None, model: str | None, temperature: float | None
) -> ChatClient | None:
    if base_url is None and model is None:
        return None
    if not base_url or not model:
        msg = "a model needs both its endpoint and its name"
        raise UsageError(msg, where="--base-url, --model", mend="give both")
    key = os.environ.get("OPENAI_API_KEY")
    endpoint = Endpoint(base_url=base_url, model=model, api_key=SecretStr(key) if key else None)
    return ChatClient(endpoint, Sampling(temperature=temperature))


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
) -> Summary:
    """Do planned rollouts with a progress display.

    Raises:
        PrerequisiteError: the layers of a task are not on this machine.
    """
    provider = work.provider()
    workshop = Workshop(provider, layer_store())
    for task in tasks:
        if workshop.missing(task):
            msg = f"the environment of {task.instance_id} is not on this machine"
            mend = "regreen tasks validate TASKS builds it"
            raise PrerequisiteError(msg, mend=mend)
    title = planned[0].agent if planned else "rollouts"
    try:
        with console.progress(title, total=total, done=total - len(planned)) as display:
            runner = Runner(
                run_directory=directory,
                workshop=workshop,
                build=build,
                client=client,
                workers=work.workers,
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
    everything: list[Trajectory], summary: Summary, run: Path, work: Work, console: Console
) -> int:
    resolved = sum(outcome_of(row) == "resolved" for row in everything)
    failed = sum(row.error is not None for row in everything)
    if work.json:
        console.json(
            {
                "run": str(run),
                "rollouts": len(everything),
                "new": summary.finished,
                "resolved": resolved,
                "failures": dict(summary.errors),
            }
        )
    else:
        console.result(
            f"{resolved} of {len(everything)} resolved, {failed} failed; see: regreen report {run}"
        )
    return 1 if everything and failed == len(everything) else 0
