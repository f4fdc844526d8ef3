"""A set of trajectories in whatever holds it: a run, JSON lines, Parquet, or ATIF documents."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

from pydantic import BaseModel, ValidationError

from regreen.core.errors import UsageError
from regreen.core.trajectory import Trajectory
from regreen.store.atif import from_atif, read_atif
from regreen.store.atomic import replacing
from regreen.store.jsonl import encode_row, read_jsonl
from regreen.store.parquet import read_parquet, write_parquet
from regreen.store.rows import to_record
from regreen.store.run import RunDirectory

__all__ = ["SUFFIXES", "Refuse", "SpareFile", "read_trajectories", "write_rows"]

SUFFIXES = (".jsonl", ".parquet")
"""Kinds of file that can be written."""


Refuse = Callable[[str, dict[str, Any], str], None]
"""What is told of a row that is no trajectory: its id, the row, and why."""


def read_trajectories(
    path: Path, refuse: Refuse | None = None, *, spare_columns: bool = False
) -> Iterator[Trajectory]:
    """Trajectories of a run directory, a ``.jsonl``, ``.parquet`` or ATIF ``.json`` file.

    A line may hold a trajectory, an ATIF document, a row that conversion put aside, or bare
    ``messages`` (and ``tools``), which get the file's name and the line's number as their id.

    Args:
        path: the file or directory.
        refuse: is given each row without columns, or whose columns hold what they must not; without
            it the first one raises. A file of other rows raises in any case.
        spare_columns: pass over columns that bare ``messages`` stand beside and that no trajectory
            has; for readers that do not write the rows again.

    Raises:
        UsageError: none of these.
    """
    if path.is_dir():
        with RunDirectory.open(path) as run:
            yield from run.trajectories()
    elif path.suffix == ".parquet":
        yield from _each(read_parquet(path, Trajectory), path, refuse, spare_columns)
    elif path.suffix == ".json":
        yield read_atif(path)
    else:
        yield from _each(read_jsonl(path), path, refuse, spare_columns)


def _each(
    rows: Iterable[tuple[int, dict[str, Any]]], path: Path, refuse: Refuse | None, spare: bool
) -> Iterator[Trajectory]:
    for number, row in rows:
        try:
            found = _trajectory(row, path, number, spare)
        except UsageError as error:
            if refuse is None or (row and not isinstance(error.__cause__, ValidationError)):
                raise
            given = row.get("rollout_id")
            refuse(given if isinstance(given, str) else _name(path, number), row, error.what)
        else:
            yield found


def _name(path: Path, number: int) -> str:
    return f"{path.stem}:{number}"


def _trajectory(row: dict[str, Any], path: Path, number: int, spare: bool) -> Trajectory:
    where, name = f"{path}:{number}", _name(path, number)
    if row.get("schema_name") == "regreen.aside":
        name = str(row.get("rollout_id") or name)
        inner = row.get("trajectory") or row.get("row")
        row = inner if isinstance(inner, dict) else row
    if str(row.get("schema_version", "")).startswith("ATIF"):
        return from_atif(row, where)
    if "messages" in row and "rollout_id" not in row and "schema_name" not in row:
        kept = {key: row[key] for key in row if key in Trajectory.model_fields} if spare else row
        row = {"rollout_id": name, "task": "", "agent": "", **kept}
    return to_record(Trajectory, row, where)


def write_rows(path: Path, model: type[BaseModel], rows: Iterable[BaseModel]) -> None:
    """Replace a ``.jsonl`` or ``.parquet`` file by rows of one kind, as they come.

    Raises:
        UsageError: another suffix, or a path that cannot be written.
        InfrastructureError: the disk is full; the old file stands.
    """
    if path.suffix == ".parquet":
        write_parquet(path, model, rows)
    elif path.suffix == ".jsonl":
        with replacing(path) as file:
            file.writelines(encode_row(row.model_dump()) for row in rows)
    else:
        what = f"unknown kind of file {path.suffix!r}"
        raise UsageError(what, where=str(path), mend=f"end the name in {' or '.join(SUFFIXES)}")


class SpareFile:
    """JSON lines of what other rows left over; without any, there is no such file afterwards.

    It becomes ``path`` when the block ends without an exception.

    Args:
        path: the file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.count = 0
        self._stack = ExitStack()
        self._file: BinaryIO | None = None

    def put(self, row: BaseModel) -> None:
        """Write a row."""
        if self._file is None:
            self._file = self._stack.enter_context(replacing(self.path))
        self._file.write(encode_row(row.model_dump()))
        self.count += 1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.__exit__(kind, error, trace)
        if error is None and not self.count:
            self.path.unlink(missing_ok=True)
