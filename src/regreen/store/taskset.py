"""Tasksets on disk: JSON lines for people and pipes, Parquet (zstd) at rest, chosen by suffix.

Rows of SWE-bench without a schema name are read as they are. A column we do not know is refused by
name, never dropped silently.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

from regreen.core.errors import UsageError
from regreen.core.task import Task
from regreen.store.atomic import replacing
from regreen.store.jsonl import JsonlWriter, decode_lines, encode_row, read_jsonl
from regreen.store.parquet import read_parquet, write_parquet
from regreen.store.rows import to_record

__all__ = ["TasksetWriter", "load_tasks", "read_tasks", "taskset_digest", "write_tasks"]


def read_tasks(path: Path | str, *, drop: Collection[str] = ()) -> Iterator[Task]:
    """Yield the tasks of a file, or of standard input when ``path`` is ``-``.

    Args:
        path: Parquet when it ends in ``.parquet``, JSON lines otherwise.
        drop: columns to leave out knowingly, for rows of other projects.

    Raises:
        UsageError: a row that is no task, a repeated ``instance_id`` or no row at all.
    """
    seen: dict[str, str] = {}
    for where, row in _raw_rows(str(path)):
        task = to_record(Task, {k: v for k, v in row.items() if k not in drop}, where)
        _check_id(task.instance_id, where, seen)
        yield task
    if not seen:
        what = "this file holds no task"
        mend = "make some: regreen tasks inject --help"
        raise UsageError(what, where=_name(path), mend=mend)


def load_tasks(path: Path | str, *, drop: Collection[str] = ()) -> list[Task]:
    """All tasks of a file; as :func:`read_tasks`."""
    return list(read_tasks(path, drop=drop))


def write_tasks(path: Path | str, tasks: Iterable[Task]) -> None:
    """Replace a file by ``tasks`` as a whole; ``-`` writes JSON lines to standard output.

    Raises:
        UsageError: an unknown suffix, a repeated ``instance_id``, or a path that cannot be written.
        InfrastructureError: the disk is full; the old file stands.
    """
    unique = _unique(tasks, _name(path))
    if str(path) == "-":
        for task in unique:
            sys.stdout.buffer.write(encode_row(task.model_dump()))
        sys.stdout.buffer.flush()
        return
    target = Path(path)
    if target.suffix == ".parquet":
        write_parquet(target, Task, unique)
    elif target.suffix == ".jsonl":
        with replacing(target) as file:
            file.writelines(encode_row(task.model_dump()) for task in unique)
    else:
        what = f"a taskset cannot be written as {target.suffix or 'a file without suffix'}"
        raise UsageError(what, where=str(path), mend="end the name in .jsonl or .parquet")


def taskset_digest(tasks: Iterable[Task]) -> str:
    """SHA-256 over the problems, whatever their order and file format.

    ``validation`` stays out: how often a task was checked, and how long that took, is not what an
    agent or a grader sees.
    """
    rows = {
        task.instance_id: json.dumps(task.model_dump(exclude={"validation"}), sort_keys=True)
        for task in tasks
    }
    digest = hashlib.sha256()
    for key in sorted(rows):
        digest.update(rows[key].encode() + b"\n")
    return f"sha256:{digest.hexdigest()}"


class TasksetWriter:
    """Appends tasks to a file of JSON lines as they are verified, one flushed line each.

    Opening an existing file goes on after its last whole line; ``instance_ids`` says what it holds.

    Args:
        path: a file that ends in ``.jsonl``.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        if self.path.suffix != ".jsonl":
            what = "tasks can be appended to JSON lines only"
            raise UsageError(what, where=str(path), mend="end the name in .jsonl")
        self._writer = JsonlWriter(self.path)
        try:
            self._seen = self._known_ids()
        except UsageError:
            self._writer.close()
            raise

    @property
    def instance_ids(self) -> frozenset[str]:
        """Ids of the tasks in the file."""
        return frozenset(self._seen)

    def append(self, task: Task) -> None:
        """Write one task and wait until the disk has it.

        Raises:
            UsageError: the file already holds this ``instance_id``.
            InfrastructureError: the disk is full; tasks written before still stand.
        """
        _check_id(task.instance_id, str(self.path), self._seen)
        try:
            self._writer.append(task.model_dump())
        except BaseException:
            del self._seen[task.instance_id]
            raise

    def close(self) -> None:
        """Close the file; calling it twice is harmless."""
        self._writer.close()

    def __enter__(self) -> TasksetWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _known_ids(self) -> dict[str, str]:
        seen: dict[str, str] = {}
        for number, row in read_jsonl(self.path):
            where = f"{self.path}:{number}"
            _check_id(to_record(Task, row, where).instance_id, where, seen)
        return seen


def _raw_rows(path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    name = _name(path)
    if path == "-":
        rows = decode_lines(sys.stdin.buffer, name)
    elif path.endswith(".parquet"):
        rows = read_parquet(Path(path), Task)
    else:
        rows = read_jsonl(Path(path))
    return ((f"{name}:{number}", row) for number, row in rows)


def _name(path: Path | str) -> str:
    return "standard input or output" if str(path) == "-" else str(path)


def _unique(tasks: Iterable[Task], where: str) -> Iterator[Task]:
    seen: dict[str, str] = {}
    for task in tasks:
        _check_id(task.instance_id, where, seen)
        yield task


def _check_id(instance_id: str, where: str, seen: dict[str, str]) -> None:
    if instance_id in seen:
        what = f"instance_id {instance_id!r} stands twice, first at {seen[instance_id]}"
        raise UsageError(what, where=where, mend="delete or rename one of the two rows")
    seen[instance_id] = where
