"""``regreen grade``: verdicts again, for a stored run or for patches from elsewhere."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from regreen.cli.shared import Work, layer_store, run_async
from regreen.core.console import Console
from regreen.core.errors import RegreenError, UsageError
from regreen.core.task import Task
from regreen.core.together import together
from regreen.core.trajectory import Trajectory
from regreen.core.verdict import Verdict
from regreen.grading.grade import rewards, unresolved
from regreen.grading.workshop import Workshop
from regreen.rollout.auditor import audit
from regreen.store.predictions import read_predictions
from regreen.store.run import RunDirectory
from regreen.store.taskset import load_tasks

__all__ = ["grade"]


def grade(
    tasks: Path,
    run: Path | None = None,
    /,
    *,
    patches: Path | None = None,
    dry_run_verdicts: Annotated[bool, Parameter(name="--keep", negative="")] = False,
    work: Work | None = None,
) -> int:
    """Grade a run again, or patches from a file, each in a fresh box with the hidden tests.

    For example:

        regreen grade tasks.jsonl runs/mini
        regreen grade tasks.jsonl --patches preds.jsonl --json

    Parameters
    ----------
    tasks
        Taskset the patches are for.
    run
        Run whose recorded patches are graded again; its verdicts are replaced.
    patches
        Predictions instead of a run: rows with instance_id and model_patch, several for one task
        if need be.
    dry_run_verdicts
        Leave the run's recorded verdicts as they are and only print the new ones.
    """
    work = work or Work()
    console = work.console()
    if (run is None) == (patches is None):
        msg = "give either a run or --patches"
        raise UsageError(msg, where="regreen grade", mend="regreen grade --help")
    by_id = {task.instance_id: task for task in load_tasks(tasks)}
    if patches is not None:
        pairs = [
            (_task(by_id, row.instance_id, patches), row.model_patch)
            for row in read_predictions(patches, several=True)
        ]
        verdicts = run_async(_verdicts(pairs, work, console))
        return _tell([task.instance_id for task, _ in pairs], verdicts, work, console)
    assert run is not None
    with RunDirectory.open(run) as directory:
        rows = [row for row in directory.trajectories() if row.error is None]
        rest = [row for row in directory.trajectories() if row.error is not None]
        pairs = [(_task(by_id, row.task, run), row.patch) for row in rows]
        verdicts = run_async(_verdicts(pairs, work, console))
        if not dry_run_verdicts:
            suite = str(directory.config.get("suite", ""))
            graded = [_graded(*pair, suite) for pair in zip(rows, verdicts, strict=True)]
            directory.replace([*graded, *rest])
    return _tell([row.rollout_id for row in rows], verdicts, work, console)


def _graded(row: Trajectory, verdict: Verdict, suite: str) -> Trajectory:
    """A row with another verdict; the run of a suite keeps the suite's scores and labels."""
    if not suite:
        return row.model_copy(update={"verdict": verdict, "rewards": rewards(verdict)})
    from regreen.evaluate import suite as suite_of

    chosen = suite_of(suite)
    scores = chosen.rewards(verdict)
    return chosen.labelled(row.model_copy(update={"verdict": verdict, "rewards": scores}))


def _task(by_id: dict[str, Task], instance_id: str, where: Path) -> Task:
    if instance_id not in by_id:
        msg = f"the taskset has no task {instance_id!r}"
        raise UsageError(msg, where=str(where), mend="give the taskset the patches were made for")
    return by_id[instance_id]


async def _verdicts(
    pairs: Sequence[tuple[Task, str]], work: Work, console: Console
) -> list[Verdict]:
    provider = work.provider()
    workshop = Workshop(provider, layer_store(), auditor=audit)
    slots = asyncio.Semaphore(work.workers)

    async def one(index: int, task: Task, patch: str) -> Verdict:
        async with slots:
            display.phase(str(index), "verify")
            try:
                verdict = await workshop.verify_patch(task, patch)
            except RegreenError as exc:
                if exc.exit_code != 1:
                    raise
                verdict = unresolved(task, f"not graded: {exc.what}")
            display.finish(str(index), "resolved" if verdict.resolved else "unresolved")
            return verdict

    try:
        with console.progress("grading", total=len(pairs)) as display:
            return await together(one(i, task, p) for i, (task, p) in enumerate(pairs))
    finally:
        await provider.close()


def _tell(names: list[str], verdicts: list[Verdict], work: Work, console: Console) -> int:
    resolved = sum(verdict.resolved for verdict in verdicts)
    tampered = sum(not verdict.clean for verdict in verdicts)
    if work.json:
        rows: list[dict[str, Any]] = [
            {
                "id": name,
                "instance_id": name.partition("#")[0],
                "clean": verdict.clean,
                **verdict.model_dump(mode="json"),
            }
            for name, verdict in zip(names, verdicts, strict=True)
        ]
        console.json(
            {"graded": len(rows), "resolved": resolved, "tampered": tampered, "verdicts": rows}
        )
        return 0
    console.table(
        ("id", "resolved", "clean", "reason"),
        [
            (
                name,
                "yes" if verdict.resolved else "no",
                "yes" if verdict.clean else "no",
                verdict.reason[:100],
            )
            for name, verdict in zip(names, verdicts, strict=True)
        ],
    )
    console.result(f"{resolved} of {len(verdicts)} resolved, {tampered} tampered with")
    return 0
