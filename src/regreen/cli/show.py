"""``regreen tasks show``: a taskset for people."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from regreen.cli.shared import Output
from regreen.core.errors import UsageError
from regreen.core.task import Task
from regreen.store.taskset import load_tasks, taskset_digest

__all__ = ["show"]


def show(
    tasks: Path,
    instance_id: str | None = None,
    /,
    *,
    limit: Annotated[int, Parameter(alias="-n")] = 20,
    gold: Annotated[bool, Parameter(negative="")] = False,
    output: Output | None = None,
) -> int:
    """List a taskset, or print one task as its agent will read it.

    For example:

        regreen tasks show tasks.jsonl
        regreen tasks show tasks.jsonl toolz-b60b2c2.off_by_one.1f2e3d4c5b --gold
        regreen tasks show tasks.jsonl --json

    Parameters
    ----------
    tasks
        Taskset: .jsonl or .parquet.
    instance_id
        One task to print; the beginning of its name is enough.
    limit
        Rows of the list.
    gold
        With a task: print its gold patch and tests as well.
    """
    output = output or Output()
    console = output.console()
    rows = load_tasks(tasks)
    if instance_id:
        task = _one(rows, instance_id, tasks)
        if output.json:
            console.json(task)
        else:
            console.result(_text(task, gold=gold))
        return 0
    classes = Counter(operator for task in rows for operator in task.operators)
    if output.json:
        console.json(
            {
                "tasks": len(rows),
                "digest": taskset_digest(rows),
                "operators": dict(classes),
                "instance_ids": [task.instance_id for task in rows],
            }
        )
        return 0
    console.table(
        ("instance", "fault classes", "files", "lines", "fail>pass", "pass>pass"),
        [
            (
                task.instance_id,
                " ".join(task.operators) or task.source,
                task.difficulty.files if task.difficulty else "",
                task.difficulty.lines if task.difficulty else "",
                len(task.FAIL_TO_PASS),
                len(task.PASS_TO_PASS),
            )
            for task in rows[:limit]
        ],
    )
    if len(rows) > limit:
        console.note(f"and {len(rows) - limit} more (-n {len(rows)})")
    console.result(f"{len(rows)} tasks, {len(classes)} fault classes")
    return 0


def _one(rows: list[Task], instance_id: str, where: Path) -> Task:
    found = [task for task in rows if task.instance_id.startswith(instance_id)]
    exact = [task for task in found if task.instance_id == instance_id]
    if len(exact or found) != 1:
        msg = f"{len(found)} tasks are called {instance_id!r}"
        raise UsageError(msg, where=str(where), mend=f"regreen tasks show {where} lists them")
    return (exact or found)[0]


def _text(task: Task, *, gold: bool) -> str:
    parts = [f"# {task.instance_id}", f"{task.repo} at {task.base_commit}", task.problem_statement]
    if gold:
        parts += [
            "## gold patch\n" + task.patch,
            "## FAIL_TO_PASS\n" + "\n".join(task.FAIL_TO_PASS),
            "## PASS_TO_PASS\n" + "\n".join(task.PASS_TO_PASS),
        ]
    return "\n\n".join(parts)
