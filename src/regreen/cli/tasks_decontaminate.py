"""``regreen tasks decontaminate``: leave out what benchmarks already hold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from regreen.cli.shared import Output, check_taskset_name, check_writable
from regreen.core.console import Console
from regreen.core.errors import UsageError
from regreen.core.task import Task
from regreen.store.taskset import read_tasks, write_tasks
from regreen.tasks.labels.decontaminate import Overlap, decontaminated, load_known

__all__ = ["decontaminate"]

_NAMED = 20


def decontaminate(
    tasks: Path,
    /,
    *,
    against: Annotated[tuple[Path, ...], Parameter(consume_multiple=True, negative="")],
    out: Annotated[Path, Parameter(alias="-o")] = Path("clean.jsonl"),
    output: Output | None = None,
) -> int:
    """Write the tasks that no list names, and say why each other one goes.

    A list is rows of a benchmark (JSON lines, a JSON list, Parquet) or lines such as
    owner__name-12, owner/name#12 or owner/name@commit. A task goes when its id, its repository and
    pull request, its base or fix commit, the code of its gold patch, or its statement agrees.

    For example:

        regreen tasks decontaminate tasks.jsonl --against swe-bench.parquet -o clean.jsonl
        regreen tasks decontaminate tasks.jsonl --against ids.txt more.jsonl -o clean.parquet --json

    Parameters
    ----------
    tasks
        Taskset: .jsonl or .parquet.
    against
        Files that name what must not be in it.
    out
        Taskset to write: .jsonl or .parquet.
    """
    output = output or Output()
    console = output.console()
    check_taskset_name(out)
    if out.exists() and tasks.exists() and out.samefile(tasks):
        msg = "the result would replace its own source"
        raise UsageError(msg, where=str(out), mend="give another --out")
    check_writable(out, "the taskset")
    known = load_known(against)
    dropped: dict[str, Overlap] = {}
    kept = 0

    def clean() -> Iterator[Task]:
        nonlocal kept
        for task, overlap in decontaminated(read_tasks(tasks), known):
            if overlap:
                dropped[task.instance_id] = overlap
                continue
            kept += 1
            yield task

    write_tasks(out, clean())
    console.note(f"{known.size} problems on {len(against)} lists")
    _tell(out, kept, dropped, listed=known.size, as_json=output.json, console=console)
    return 0


def _tell(
    out: Path,
    kept: int,
    dropped: Mapping[str, Overlap],
    *,
    listed: int,
    as_json: bool,
    console: Console,
) -> None:
    kinds = Counter(overlap.kind for overlap in dropped.values())
    if as_json:
        console.json(
            {
                "out": str(out),
                "listed": listed,
                "tasks": kept + len(dropped),
                "kept": kept,
                "by_kind": dict(kinds),
                "dropped": {name: overlap.reason for name, overlap in dropped.items()},
            }
        )
        return
    for name, overlap in list(dropped.items())[:_NAMED]:
        console.result(f"{name}: {overlap.reason}")
    if len(dropped) > _NAMED:
        console.note(f"and {len(dropped) - _NAMED} more (--json lists all)")
    parts = ", ".join(f"{count} by {kind.replace('_', ' ')}" for kind, count in kinds.items())
    told = f"{kept} of {kept + len(dropped)} tasks kept in {out}"
    console.result(f"{told}; left out: {parts or 'none'}")
