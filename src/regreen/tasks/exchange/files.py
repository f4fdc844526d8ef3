"""Foreign rows off the disk: JSON lines, JSON lists, Parquet, and folders of these or of tasks.

A line that is no JSON is a refused row, not the end of the batch; a file that cannot be opened at
all is the user's error when it was named and a refused row when it was found in a folder.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from regreen.core.errors import UsageError
from regreen.store.atomic import disk_error
from regreen.tasks.exchange.columns import Reading
from regreen.tasks.exchange.harbor_folder import is_harbor_task, read_harbor_task
from regreen.tasks.exchange.kinds import read_row
from regreen.tasks.exchange.order import in_order
from regreen.tasks.exchange.task_repo import TASK_FILE, read_task_folder

__all__ = ["read_source"]

_SUFFIXES = (".jsonl", ".json", ".parquet")
_BATCH = 64


def read_source(source: Path, *, kind: str = "") -> Iterator[Reading]:
    """Readings of all rows of a file or folder, in order; a second row of one id is refused.

    Args:
        source: a file, a SWE-bench 5 task repository, a folder of Harbor tasks, or any folder
            that holds files of rows, such as a downloaded data set.
        kind: one of ``KINDS``; found for each row by its columns when empty.

    Raises:
        UsageError: there is nothing to read.
    """
    seen: dict[str, str] = {}
    for reading in _readings(source, kind):
        first = seen.setdefault(reading.instance_id, reading.where) if reading.task else ""
        if reading.task and first != reading.where:
            reason = f"instance_id stands twice: first at {first}"
            yield Reading(
                where=reading.where,
                instance_id=reading.instance_id,
                kind=reading.kind,
                reason=reason,
            )
        else:
            yield reading


def _readings(source: Path, kind: str) -> Iterator[Reading]:
    if not source.exists():
        msg = "there is no such file or folder"
        raise UsageError(msg, where=str(source), mend="give a file of rows or a folder of tasks")
    if source.is_file():
        if source.suffix not in _SUFFIXES:
            msg = f"rows cannot be read from {source.suffix or 'a file without suffix'}"
            mend = "give .jsonl, .json or .parquet, or a folder"
            raise UsageError(msg, where=str(source), mend=mend)
        yield from _file(source, kind)
        return
    folders = _task_folders(source)
    files = [] if folders else [p for p in sorted(source.rglob("*")) if p.suffix in _SUFFIXES]
    if not folders and not files:
        msg = "this folder holds no tasks and no files of rows"
        mend = "give a folder with tasks/, with Harbor tasks, or with .jsonl, .json or .parquet"
        raise UsageError(msg, where=str(source), mend=mend)
    for folder in folders:
        yield _folder(folder, source, kind)
    for path in files:
        try:
            yield from _file(path, kind)
        except UsageError as exc:
            yield Reading(where=str(path), instance_id="", kind=kind, reason=exc.what)


def _task_folders(source: Path) -> list[Path]:
    """Folders of single tasks: those of a task repository, or Harbor's, one level down at most."""
    below = source / "tasks" if (source / "tasks").is_dir() else source
    return [
        folder
        for folder in (source, *in_order(source, [one for one in below.iterdir() if one.is_dir()]))
        if (folder / TASK_FILE).is_file() or is_harbor_task(folder)
    ]


def _folder(folder: Path, source: Path, kind: str) -> Reading:
    where = str(folder.relative_to(source.parent))
    try:
        read = read_harbor_task if is_harbor_task(folder) else read_task_folder
        row = read(folder)
    except (UsageError, OSError, ValueError) as exc:
        what = exc.what if isinstance(exc, UsageError) else str(exc).splitlines()[0]
        reason = f"the folder cannot be read: {what}"
        return Reading(where=where, instance_id=folder.name, kind=kind, reason=reason)
    return read_row(row, where=where, kind=kind)


def _file(path: Path, kind: str) -> Iterator[Reading]:
    for number, row in _parquet(path) if path.suffix == ".parquet" else _json(path):
        where = f"{path}:{number}"
        if isinstance(row, str):
            yield Reading(where=where, instance_id="", kind=kind, reason=row)
        else:
            yield read_row(row, where=where, kind=kind)


_Rows = Iterator[tuple[int, Mapping[str, Any] | str]]
"""Number of each row and the row, or why it cannot be read."""


def _json(path: Path) -> _Rows:
    try:
        with path.open("rb") as file:
            start = file.read(64).lstrip(b"\xef\xbb\xbf \t\r\n")[:1]
            file.seek(0)
            if start == b"[":
                yield from _listed(path, file.read())
            elif path.suffix == ".json":
                yield from _object_or_lines(path, file.read())
            else:
                yield from _lines(file)
    except OSError as exc:
        raise disk_error(exc, path) from exc


def _listed(path: Path, data: bytes) -> _Rows:
    try:
        found = json.loads(data)
    except (ValueError, RecursionError) as exc:
        msg = f"this is no JSON list: {exc}"
        raise UsageError(msg, where=str(path), mend="restore the file") from exc
    for number, row in enumerate(found, start=1):
        yield number, row if isinstance(row, dict) else "an entry is no JSON object"


def _object_or_lines(path: Path, data: bytes) -> _Rows:
    """A ``.json`` file that is no list: rows by id, one row, or JSON lines under that name."""
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        yield from _lines(data.splitlines())
        return
    if not isinstance(found, dict):
        msg = "this is neither a list nor an object of rows"
        raise UsageError(msg, where=str(path), mend="give a JSON list")
    one = not all(isinstance(row, dict) for row in found.values())
    yield from enumerate([found] if one else found.values(), start=1)


def _lines(lines: Iterable[bytes]) -> _Rows:
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except UnicodeDecodeError:
            yield number, "the line is not UTF-8"
        except (ValueError, RecursionError):
            yield number, "the line is no JSON"
        else:
            yield number, row if isinstance(row, dict) else "the line is no JSON object"


def _parquet(path: Path) -> _Rows:
    import pyarrow as pa
    import pyarrow.parquet as pq

    from regreen.core.task import Task
    from regreen.store.parquet import read_parquet

    try:
        with path.open("rb") as raw:
            file = pq.ParquetFile(raw)
            if b"regreen.schema_name" in (file.metadata.metadata or {}):
                yield from read_parquet(path, Task)
                return
            number = 0
            for batch in file.iter_batches(batch_size=_BATCH):
                for row in batch.to_pylist():
                    number += 1
                    yield number, row
    except (pa.ArrowException, ValueError) as exc:
        msg = f"this is not a whole Parquet file: {str(exc).splitlines()[0]}"
        raise UsageError(msg, where=str(path), mend="fetch it again") from exc
    except OSError as exc:
        if exc.errno is None:
            msg = f"this Parquet file is damaged: {str(exc).splitlines()[0]}"
            raise UsageError(msg, where=str(path), mend="fetch it again") from exc
        raise disk_error(exc, path) from exc
