"""``regreen tasks rate``: how hard tasks are, and how far they can be trusted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from regreen.cli.shared import Output, chat_client, check_taskset_name, check_writable, run_async
from regreen.core.console import Console
from regreen.core.errors import UsageError
from regreen.core.task import Task
from regreen.core.trajectory import Trajectory
from regreen.store.run import RunDirectory
from regreen.store.taskset import load_tasks, write_tasks
from regreen.tasks.labels.difficulty import pass_rates, rated
from regreen.tasks.labels.judge import judge
from regreen.tasks.labels.quality import rate as rate_quality

__all__ = ["rate"]


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class RateFlags(Output):
    """Flags of the verb."""

    out: Annotated[Path, Parameter(alias="-o")] = Path("rated.jsonl")
    """Taskset to write: .jsonl or .parquet."""
    runs: Annotated[tuple[Path, ...], Parameter(consume_multiple=True, negative="")] = ()
    """Runs whose rollouts give pass rates; oracle and nop, and failures that were not the agent's,
    do not count."""
    base_url: str | None = None
    """Endpoint of a model that judges the tasks besides the rules, ending in /v1."""
    model: str | None = None
    """Name of the model as the endpoint knows it."""
    workers: Annotated[int, Parameter(alias="-j")] = 8
    """Tasks the model judges at once."""


def rate(tasks: Path, /, *, flags: RateFlags | None = None) -> int:
    """Label tasks: a difficulty from size or from rollouts, a quality by rules or by a model.

    Size decides the level until a task has four rollouts; then its pass rate does. A quality that
    a row has stays, unless a model judges it anew (its key is read from OPENAI_API_KEY).

    For example:

        regreen tasks rate tasks.jsonl -o rated.jsonl
        regreen tasks rate tasks.jsonl --runs runs/a runs/b -o rated.parquet
        regreen tasks rate tasks.jsonl --base-url URL/v1 --model NAME -o judged.jsonl

    Parameters
    ----------
    tasks
        Taskset: .jsonl or .parquet.
    """
    flags = flags or RateFlags()
    console = flags.console()
    _check(flags)
    rows = load_tasks(tasks)
    rates = pass_rates(_trajectories(flags.runs))
    unknown = set(rates) - {row.instance_id for row in rows}
    if unknown:
        console.note(f"{len(unknown)} tasks of the runs are not in this taskset")
    rows = [rated(row, rates) for row in rows]
    rows = [
        row if row.quality else row.model_copy(update={"quality": rate_quality(row)})
        for row in rows
    ]
    if flags.base_url or flags.model:
        rows = run_async(_judged(rows, flags, console))
    write_tasks(flags.out, rows)
    _tell(rows, flags, console)
    return 0


def _check(flags: RateFlags) -> None:
    check_taskset_name(flags.out)
    if flags.workers < 1:
        msg = f"--workers {flags.workers} is none"
        raise UsageError(msg, where="-j", mend="give 1 or more")
    check_writable(flags.out, "the taskset")


def _trajectories(runs: tuple[Path, ...]) -> Iterator[Trajectory]:
    for path in runs:
        yield from RunDirectory.open(path).trajectories()


async def _judged(rows: list[Task], flags: RateFlags, console: Console) -> list[Task]:
    client = chat_client(flags.base_url, flags.model)
    assert client is not None
    try:
        await client.check()
        return await judge(rows, client, workers=flags.workers, note=console.note)
    finally:
        await client.close()


def _tell(rows: list[Task], flags: RateFlags, console: Console) -> None:
    levels = Counter(row.difficulty.level for row in rows if row.difficulty)
    codes = Counter(code for row in rows if row.quality for code in row.quality.codes or ("A",))
    labels = {
        name: dict(Counter(getattr(row.quality, name) for row in rows if row.quality))
        for name in ("statement", "tests", "environment")
    }
    tried = sum(1 for row in rows if row.difficulty and row.difficulty.rollouts)
    if flags.json:
        console.json(
            {
                "out": str(flags.out),
                "tasks": len(rows),
                "with_rollouts": tried,
                "levels": dict(levels),
                "codes": dict(codes),
                **labels,
            }
        )
        return
    console.table(
        ("label", "tasks"),
        [
            *((f"level {name}", levels[name]) for name in ("easy", "medium", "hard")),
            *((f"code {name}", codes[name]) for name in sorted(codes, key=_code_order)),
            *(
                (f"{kind} {name}", n)
                for kind, counts in labels.items()
                for name, n in counts.items()
            ),
        ],
    )
    console.result(f"{len(rows)} tasks in {flags.out}, {tried} of them with rollouts")


def _code_order(code: str) -> int:
    return int(code[1:] or 0)
