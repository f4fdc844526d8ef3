"""The trajectories of a run: JSON lines while it grows, Parquet (zstd) once compacted.

Both files may hold a rollout after a crash; the line wins over the Parquet row and a later line
over an earlier one, so each rollout is seen once, as last written.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from regreen.core.trajectory import Trajectory
from regreen.store.atomic import disk_error, replacing, sync_directory
from regreen.store.jsonl import JsonlWriter, decode_lines, encode_row, whole_lines
from regreen.store.parquet import fits_parquet, read_parquet, write_parquet
from regreen.store.rows import to_record

__all__ = ["TrajectoryLog"]


class TrajectoryLog:
    """The two trajectory files of one directory.

    Args:
        directory: the run directory.
    """

    def __init__(self, directory: Path) -> None:
        self.lines = directory / "trajectories.jsonl"
        self.table = directory / "trajectories.parquet"
        self._writer: JsonlWriter | None = None

    def append(self, trajectory: Trajectory) -> None:
        """Write one trajectory and wait until the disk has it."""
        if self._writer is None:
            self._writer = JsonlWriter(self.lines)
        self._writer.append(trajectory.model_dump())

    def __iter__(self) -> Iterator[Trajectory]:
        """Each rollout once; an unfinished last line, which a writer may be at, is left out."""
        latest = {row["rollout_id"]: number for number, row in self._line_rows()}
        if self.table.exists():
            for number, row in read_parquet(self.table, Trajectory):
                if row.get("rollout_id") not in latest:
                    yield to_record(Trajectory, row, f"{self.table}:{number}")
        for number, row in self._line_rows():
            if latest.get(row["rollout_id"]) == number:
                yield to_record(Trajectory, row, f"{self.lines}:{number}")

    def replace(self, trajectories: Iterable[Trajectory]) -> None:
        """Make ``trajectories`` the whole content; it may be read from this log as it goes.

        Lines are written before the old table is removed: after a crash in between they win.
        """
        self.close()
        with replacing(self.lines) as file:
            file.writelines(encode_row(trajectory.model_dump()) for trajectory in trajectories)
        self.table.unlink(missing_ok=True)

    def compact(self) -> None:
        """Move every line into the Parquet file; one that Parquet cannot hold stays a line."""
        self.close()
        if not self.lines.exists():
            return
        odd: list[Trajectory] = []
        write_parquet(self.table, Trajectory, self._fitting(odd))
        if odd:
            with replacing(self.lines) as file:
                file.writelines(encode_row(trajectory.model_dump()) for trajectory in odd)
        else:
            self.lines.unlink()
            sync_directory(self.lines.parent)

    def _fitting(self, odd: list[Trajectory]) -> Iterator[Trajectory]:
        for trajectory in self:
            if fits_parquet(trajectory):
                yield trajectory
            else:
                odd.append(trajectory)

    def close(self) -> None:
        """Close the file; a later append opens it again."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _line_rows(self) -> Iterator[tuple[int, dict[str, Any]]]:
        try:
            file = self.lines.open("rb")
        except FileNotFoundError:
            return
        except OSError as error:
            raise disk_error(error, self.lines) from error
        with file:
            for number, row in decode_lines(whole_lines(file), str(self.lines)):
                if "rollout_id" not in row:
                    to_record(Trajectory, row, f"{self.lines}:{number}")  # raises: says what lacks
                yield number, row
