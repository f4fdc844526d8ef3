"""``regreen tasks convert``: tasks of other projects into ours, and ours into their formats."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from regreen.cli.shared import Work, check_writable, layer_store, run_async
from regreen.core.console import Console
from regreen.core.errors import PrerequisiteError, RegreenError, UsageError
from regreen.core.task import Task
from regreen.core.together import together
from regreen.tasks.build.repository import Repository, make_ready
from regreen.tasks.exchange.attach import attach
from regreen.tasks.exchange.columns import Reading
from regreen.tasks.exchange.files import read_source
from regreen.tasks.exchange.kinds import KINDS
from regreen.tasks.exchange.writers import TARGETS, check_target, write_target
from regreen.tasks.repo.sources import Checkout

__all__ = ["convert_tasks"]

_SHOWN = 5


@dataclass
class _Tally:
    """What became of the rows so far."""

    rows: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    refused: list[tuple[str, str, str]] = field(default_factory=list)
    """Place, instance and reason of each."""
    warnings: list[tuple[str, str]] = field(default_factory=list)
    """Instance and warning."""
    left_out: Counter[str] = field(default_factory=Counter)
    """Rows in which a column without a place held something."""

    def tasks(self, readings: Iterable[Reading], limit: int | None) -> Iterator[Task]:
        """The tasks among the readings, the rest recorded."""
        for reading in self._counted(readings, limit):
            if reading.task is None:
                self.refused.append((reading.where, reading.instance_id, reading.reason))
                continue
            self.kinds[reading.kind] += 1
            self.warnings += [(reading.instance_id, warning) for warning in reading.warnings]
            self.left_out.update(reading.left_out)
            yield reading.task

    def _counted(self, readings: Iterable[Reading], limit: int | None) -> Iterator[Reading]:
        for reading in islice(readings, limit):
            self.rows += 1
            yield reading

    def refuse(self, task: Task, reason: str) -> None:
        """Record a task that could be read, and no more."""
        self.refused.append(("", task.instance_id, reason))

    def cut_by_swebench(self, tasks: Iterable[Task]) -> Iterator[Task]:
        """The same tasks; those whose ids swebench's log parsers cut are recorded."""
        for task in tasks:
            names = [*task.FAIL_TO_PASS, *task.PASS_TO_PASS]
            if cut := [name for name in names if len(name.split()) > 1]:
                warning = f"test ids with spaces, which swebench's log parsers cut: {len(cut)}"
                self.warnings.append((task.instance_id, warning))
            yield task


def convert_tasks(
    source: Path,
    /,
    *,
    out: Annotated[Path, Parameter(alias="-o")],
    came_as: Annotated[str | None, Parameter(name="--from")] = None,
    to: str | None = None,
    build: Annotated[bool, Parameter(negative="")] = False,
    clones: Path | None = None,
    limit: Annotated[int | None, Parameter(alias="-n")] = None,
    work: Work | None = None,
) -> int:
    """Read tasks of other projects into a taskset, or write one in their formats.

    Reads SWE-bench (rows and task repositories), SWE-smith, SWE-Gym, SWE-rebench, Multi-SWE-bench
    and our own rows from .jsonl, .json, .parquet or a folder. A row that cannot be read is named
    with its reason and the rest goes on; so is every column that has no place in the result.
    `regreen tasks validate` then proves what was built.

    For example:

        regreen tasks convert verified.parquet -o tasks.jsonl
        regreen tasks convert verified.parquet -o tasks.jsonl --build --clones ~/clones
        regreen tasks convert tasks.jsonl -o harbor --to harbor

    Parameters
    ----------
    source
        File of rows, task repository, or folder of these.
    out
        A .jsonl or .parquet taskset, or what --to asks for.
    came_as
        Format of the source, where its columns do not tell it: swe-bench, swe-smith, swe-gym,
        swe-rebench, multi-swe or regreen.
    to
        swe-bench for rows (.jsonl, .json, .parquet), swe-bench-5 for a task repository, harbor for
        task folders, regreen for a taskset (default).
    build
        Make an environment for each Python task, so that it runs here without its image.
    clones
        With --build: folder of git repositories, by owner/name or owner+name, to use instead of
        GitHub.
    limit
        Read the first N rows only.
    """
    work = work or Work()
    console = work.console()
    target = to or "regreen"
    _check(out, came_as, target, limit=limit, clones=clones, build=build, work=work)
    if work.dry_run:
        console.note("these flags fit together; nothing was read")
        return 0
    tally = _Tally()
    tasks = tally.tasks(read_source(source, kind=came_as or ""), limit)
    if build:
        tasks = iter(run_async(_attached(list(tasks), clones, tally, work, console)))
    if target.startswith("swe-bench"):
        tasks = tally.cut_by_swebench(tasks)
    written = _written(target, out, tasks, tally)
    if work.json:
        console.json(_summary(tally, written, out))
    else:
        _tell(tally, written, out, console)
    return 0 if written else 1


def _check(
    out: Path,
    came_as: str | None,
    target: str,
    *,
    limit: int | None,
    clones: Path | None,
    build: bool,
    work: Work,
) -> None:
    if came_as is not None and came_as not in KINDS:
        msg = f"rows cannot be read as {came_as!r}"
        raise UsageError(msg, where="--from", mend=f"choose one of {', '.join(KINDS)}")
    if limit is not None and limit < 1:
        msg = f"--limit {limit} reads nothing"
        raise UsageError(msg, where="--limit", mend="give 1 or more")
    if clones and not build:
        msg = "--clones is for building"
        raise UsageError(msg, where="--clones", mend="add --build, or leave it out")
    if clones and not clones.is_dir():
        msg = "there is no such folder"
        raise UsageError(msg, where=f"--clones {clones}", mend="give a folder of git repositories")
    if work.workers < 1:
        msg = f"--workers {work.workers} is none"
        raise UsageError(msg, where="-j", mend="give 1 or more")
    check_target(target, out)
    check_writable(out if TARGETS[target] else out / ".folder", "the result")


def _written(target: str, out: Path, tasks: Iterator[Task], tally: _Tally) -> int:
    """Write what there is; nothing at all leaves what stands at ``out`` alone."""
    first = next(tasks, None)
    if first is None:
        return 0
    return write_target(target, out, chain([first], tasks), refuse=tally.refuse)


async def _attached(
    tasks: list[Task], clones: Path | None, tally: _Tally, work: Work, console: Console
) -> list[Task]:
    """The tasks that have an environment here, in their order."""
    store, provider = layer_store(), work.provider()
    slots = asyncio.Semaphore(work.workers)
    unreachable: dict[str, str] = {}

    async def ready(checkout: Checkout) -> Repository:
        return await make_ready(checkout.spec, store=store, provider=provider, checkout=checkout)

    async def one(task: Task) -> Task | None:
        async with slots:
            display.phase(task.instance_id, "building")
            reason = unreachable.get(task.repo, "")
            try:
                if not reason:
                    made = await attach(task, store=store, ready=ready, clones=clones)
                    display.finish(task.instance_id, "built")
                    return made
            except RegreenError as exc:
                reason = f"{exc.what}: {exc.where}" if exc.where else exc.what
                if isinstance(exc, PrerequisiteError):
                    unreachable[task.repo] = reason
            tally.refuse(task, reason)
            display.finish(task.instance_id, "refused")
            return None

    try:
        with console.progress("building", total=len(tasks), good="built") as display:
            made = await together(map(one, tasks))
    finally:
        await provider.close()
    return [task for task in made if task is not None]


def _summary(tally: _Tally, written: int, out: Path) -> dict[str, object]:
    return {
        "rows": tally.rows,
        "tasks": written,
        "out": str(out),
        "formats": dict(tally.kinds.most_common()),
        "refused": [
            {"where": where, "instance_id": name, "reason": reason}
            for where, name, reason in tally.refused
        ],
        "warnings": [{"instance_id": name, "warning": text} for name, text in tally.warnings],
        "left_out": dict(tally.left_out.most_common()),
    }


def _tell(tally: _Tally, written: int, out: Path, console: Console) -> None:
    for where, name, reason in tally.refused[:_SHOWN]:
        console.note(f"refused {name or where}: {reason}")
    if len(tally.refused) > _SHOWN:
        console.note(f"and {len(tally.refused) - _SHOWN} more (--json names them all)")
    for title, counts in (
        ("refused", Counter(reason.partition(":")[0] for _, _, reason in tally.refused)),
        ("warning", Counter(text.partition(":")[0] for _, text in tally.warnings)),
        ("left out", tally.left_out),
    ):
        for text, count in counts.most_common():
            console.note(f"{title}: {text} ({count} rows)")
    formats = ", ".join(f"{count} {name}" for name, count in tally.kinds.most_common())
    end = f"written to {out}" if written else "nothing was written"
    console.result(f"{written} of {tally.rows} rows are tasks ({formats or 'none read'}); {end}")
