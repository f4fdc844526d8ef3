"""Our tasks in other projects' formats: rows in a file, or folders below one."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path

from regreen.core.errors import TaskError, UsageError
from regreen.core.task import Task
from regreen.store.atomic import replacing
from regreen.store.jsonl import encode_row
from regreen.store.taskset import write_tasks
from regreen.tasks.exchange.harbor_folder import write_harbor_task
from regreen.tasks.exchange.order import write_order
from regreen.tasks.exchange.task_repo import write_config, write_task_folder

__all__ = ["COLUMNS", "TARGETS", "check_target", "swe_bench_row", "write_target"]

COLUMNS = (
    *("repo", "instance_id", "base_commit", "patch", "test_patch", "problem_statement"),
    *("hints_text", "created_at", "version", "FAIL_TO_PASS", "PASS_TO_PASS"),
    "environment_setup_commit",
)
"""Of SWE-bench's classic rows, in the order its data card gives them."""
TARGETS = {
    "regreen": (".jsonl", ".parquet"),
    "swe-bench": (".jsonl", ".json", ".parquet"),
    "swe-bench-5": (),
    "harbor": (),
}
"""What ``--to`` takes, with the suffixes of its files; a format without one is a folder."""
_BATCH = 64

Refuse = Callable[[Task, str], None]
"""Is told about a task that the format cannot hold, and why."""


def check_target(kind: str, out: Path) -> None:
    """Refuse a format we do not write, and a name that does not fit it.

    Raises:
        UsageError: it is one of these.
    """
    if kind not in TARGETS:
        msg = f"tasks cannot be written as {kind!r}"
        raise UsageError(msg, where="--to", mend=f"choose one of {', '.join(TARGETS)}")
    suffixes = TARGETS[kind]
    if suffixes and out.suffix not in suffixes:
        msg = f"{kind} rows cannot be written as {out.suffix or 'a file without suffix'}"
        raise UsageError(msg, where=str(out), mend=f"end the name in {' or '.join(suffixes)}")
    if not suffixes and (out.suffix in (".jsonl", ".json", ".parquet") or out.is_file()):
        msg = f"{kind} tasks are folders, and this names a file"
        raise UsageError(msg, where=str(out), mend="give the name of a folder")


def write_target(kind: str, out: Path, tasks: Iterable[Task], *, refuse: Refuse) -> int:
    """Write tasks as they come; how many were written.

    Raises:
        UsageError: the place cannot be written.
        InfrastructureError: the disk is full.
    """
    counted = _Counted(tasks)
    if kind == "regreen":
        write_tasks(out, _unicode(counted, refuse) if out.suffix == ".parquet" else counted)
    elif kind == "swe-bench":
        rows = map(swe_bench_row, _unicode(counted, refuse))
        {".jsonl": _write_lines, ".json": _write_list, ".parquet": _write_parquet}[out.suffix](
            out, rows
        )
    else:
        _write_folders(kind, out, counted, refuse)
    return counted.count - counted.refused


def swe_bench_row(task: Task) -> dict[str, str]:
    """A classic row: twelve texts, the two lists of tests as JSON."""
    row = {name: getattr(task, name) for name in COLUMNS}
    for name in ("FAIL_TO_PASS", "PASS_TO_PASS"):
        row[name] = json.dumps(row[name])
    return row


class _Counted:
    """Tasks on their way to a file, counted."""

    def __init__(self, tasks: Iterable[Task]) -> None:
        self.tasks = tasks
        self.count = 0
        self.refused = 0

    def __iter__(self) -> Iterator[Task]:
        for task in self.tasks:
            self.count += 1
            yield task


def _unicode(tasks: _Counted, refuse: Refuse) -> Iterator[Task]:
    """Without those that hold bytes which are no text."""
    for task in tasks:
        try:
            task.model_dump_json().encode()
        except (UnicodeEncodeError, ValueError):
            tasks.refused += 1
            refuse(task, "a text is no Unicode, so it has no place in this format")
        else:
            yield task


def _write_folders(kind: str, out: Path, tasks: _Counted, refuse: Refuse) -> None:
    dataset = f"regreen/{out.resolve().name}"
    written: list[str] = []
    for task in tasks:
        try:
            if kind == "harbor":
                write_harbor_task(task, out)
            else:
                write_task_folder(task, out, dataset=dataset)
        except TaskError as exc:
            tasks.refused += 1
            refuse(task, f"{exc.what}: {exc.where}" if exc.where else exc.what)
        else:
            written.append(task.instance_id)
    if written:
        write_order(out, written)
    if kind == "swe-bench-5":
        write_config(out, dataset=dataset)


def _write_lines(out: Path, rows: Iterable[dict[str, str]]) -> None:
    with replacing(out) as file:
        file.writelines(map(encode_row, rows))


def _write_list(out: Path, rows: Iterable[dict[str, str]]) -> None:
    with replacing(out) as file:
        joint = b"[\n"
        for row in rows:
            file.write(joint + encode_row(row).rstrip(b"\n"))
            joint = b",\n"
        file.write(b"\n]\n" if joint == b",\n" else b"[]\n")


def _write_parquet(out: Path, rows: Iterable[dict[str, str]]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema([(name, pa.string()) for name in COLUMNS])
    iterator = iter(rows)
    with replacing(out) as file, pq.ParquetWriter(file, schema, compression="zstd") as writer:
        while batch := list(islice(iterator, _BATCH)):
            writer.write_table(pa.Table.from_pylist(batch, schema=schema))
