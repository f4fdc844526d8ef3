"""``regreen tasks validate``: prove a taskset again on this machine."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from regreen.cli.shared import Work, check_taskset_name, check_writable, layer_store, run_async
from regreen.core.console import Console
from regreen.core.errors import RegreenError, UsageError
from regreen.core.task import Environment, Task
from regreen.core.together import together
from regreen.grading.workshop import Workshop
from regreen.rollout.auditor import audit
from regreen.sandbox.base import SandboxProvider
from regreen.sandbox.layers import LayerStore
from regreen.store.taskset import load_tasks, write_tasks
from regreen.tasks.build.again import build_again
from regreen.tasks.build.repaired import healthy_checkout
from regreen.tasks.prove.revalidate import Proof, prove

__all__ = ["bring_environments", "validate"]


def validate(
    tasks: Path,
    /,
    *,
    out: Annotated[Path | None, Parameter(alias="-o")] = None,
    limit: Annotated[int | None, Parameter(alias="-n")] = None,
    repeats: int = 1,
    work: Work | None = None,
) -> int:
    """Build the environments a taskset names and prove each task again, in fresh boxes.

    The gold patch must score 1; the empty patch, deleting or skipping the tests and printing a
    success must score 0. Exits with 1 when a task fails.

    For example:

        regreen tasks validate tasks.jsonl
        regreen tasks validate theirs.parquet -o proven.parquet --repeats 3

    Parameters
    ----------
    tasks
        Taskset: .jsonl or .parquet.
    out
        Write the tasks that hold to this taskset.
    limit
        Prove the first N tasks only.
    repeats
        Judgements of the gold and of the empty patch.
    """
    work = work or Work()
    console = work.console()
    _check(out, limit=limit, repeats=repeats)
    rows = load_tasks(tasks)[:limit]
    if work.dry_run:
        console.note(f"{len(rows)} tasks; nothing was run")
        return 0
    proofs = run_async(_prove_all(rows, repeats, work, console))
    held = [
        task.model_copy(update={"twins": proof.twins})
        for task, proof in zip(rows, proofs, strict=True)
        if proof.valid
    ]
    tests = sum(len(task.FAIL_TO_PASS) for task in held)
    twins = sum(
        twin.test in task.FAIL_TO_PASS for task in held if task.twins for twin in task.twins.proved
    )
    if out:
        write_tasks(out, held)
    kinds = _kinds(held)
    failed = [proof for proof in proofs if not proof.valid]
    if work.json:
        console.json(
            {
                "tasks": len(rows),
                "valid": len(held),
                "fail_to_pass": tests,
                "twins": twins,
                "twin_kinds": kinds,
                "failed": {proof.instance_id: list(proof.reasons) for proof in failed},
            }
        )
    else:
        for proof in failed:
            console.result(f"{proof.instance_id}: {'; '.join(proof.reasons)}")
        parts = ", ".join(f"{count} {kind}" for kind, count in kinds.items())
        console.note(f"{twins} of {tests} FAIL_TO_PASS tests have a perturbed twin: {parts}")
        console.result(f"{len(held)} of {len(rows)} tasks hold")
    return 1 if failed else 0


def _kinds(tasks: Sequence[Task]) -> dict[str, int]:
    """Twins of FAIL_TO_PASS tests by kind."""
    found = Counter(
        twin.kind
        for task in tasks
        if task.twins
        for twin in task.twins.proved
        if twin.test in task.FAIL_TO_PASS
    )
    return dict(found.most_common())


def _check(out: Path | None, *, limit: int | None, repeats: int) -> None:
    for name, value in (("--limit", limit), ("--repeats", repeats)):
        if value is not None and value < 1:
            msg = f"{name} {value} proves nothing"
            raise UsageError(msg, where=name, mend="give 1 or more")
    if out:
        check_taskset_name(out)
        check_writable(out, "the taskset")


async def _prove_all(
    rows: Sequence[Task], repeats: int, work: Work, console: Console
) -> list[Proof]:
    store, provider = layer_store(), work.provider()
    workshop = Workshop(provider, store, auditor=audit)
    slots = asyncio.Semaphore(work.workers)

    async def one(task: Task) -> Proof:
        async with slots:
            display.phase(task.instance_id, "proving")
            try:
                if task.environment in lost:
                    raise lost[task.environment]
                proof = await prove(task, workshop, repeats=repeats)
            except RegreenError as exc:
                if exc.exit_code != 1:
                    raise
                reason = f"{exc.what}: {exc.where}"
                proof = Proof(instance_id=task.instance_id, controls=(), reasons=(reason,))
            display.finish(task.instance_id, "valid" if proof.valid else "invalid")
            return proof

    try:
        lost = await _brought(rows, store=store, provider=provider, console=console)
        with console.progress("validating", total=len(rows), good="valid") as display:
            return await together(map(one, rows))
    finally:
        await provider.close()


async def _brought(
    tasks: Sequence[Task], *, store: LayerStore, provider: SandboxProvider, console: Console
) -> dict[Environment | None, RegreenError]:
    """Build every environment the tasks name; those of which none could be made, with the reason.

    One row that cannot be proved here does not end the others.
    """
    lost: dict[Environment | None, RegreenError] = {}
    for environment in dict.fromkeys(task.environment for task in tasks):
        task = next(task for task in tasks if task.environment == environment)
        try:
            await bring_environments([task], store=store, provider=provider, console=console)
        except RegreenError as exc:
            if exc.exit_code != 1:
                raise
            lost[environment] = exc
    return lost


async def bring_environments(
    tasks: Sequence[Task], *, store: LayerStore, provider: SandboxProvider, console: Console
) -> None:
    """Build every environment the tasks name that this machine does not hold.

    Raises:
        RegreenError: what was built is not what the task names.
    """
    workshop = Workshop(provider, store, auditor=audit)
    for environment in {task.environment for task in tasks if task.environment}:
        task = next(task for task in tasks if task.environment == environment)
        if not workshop.missing(task):
            continue
        console.note(f"fetching {environment.source}")
        checkout = healthy_checkout(task, store=store)
        if not workshop.missing(task):
            continue
        console.note(f"building the environment of {task.instance_id}")
        python = await build_again(task, checkout, store=store, provider=provider)
        if workshop.missing(task):
            msg = "the environment built here differs from the one the task was proved in"
            raise RegreenError(
                msg,
                where=f"{environment.source}, Python {python} here",
                mend=f"use Python {environment.python}, or make the tasks again",
            )
