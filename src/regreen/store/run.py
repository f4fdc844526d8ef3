"""A run: one directory with its configuration, its locks on what went in, and all that came out.

Resuming is the same command with ``--resume``; it is refused when the configuration changed,
because half a run under other settings is no run.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from regreen.core.errors import UsageError
from regreen.core.trajectory import Incident, Trajectory
from regreen.store.atomic import disk_error, write_text
from regreen.store.jsonl import JsonlWriter, decode_lines, whole_lines
from regreen.store.run_header import RunHeader
from regreen.store.trajectories import TrajectoryLog
from regreen.store.writer_lock import WriterLock

__all__ = ["RunDirectory"]

_VERSION = 1
_BEFORE_LOCK = {"config.toml", ".writer", "logs"}
"""What a creation that was cut short may have left."""


class RunDirectory:
    """One run on disk; made by :meth:`create` or :meth:`open`.

    Reading needs no lock. The first write takes the writer's lock and holds it until
    :meth:`close`. Appending is safe from several threads.
    """

    def __init__(self, path: Path, header: RunHeader) -> None:
        self.path = path
        self.header = header
        self._log = TrajectoryLog(path)
        self._writers: dict[str, JsonlWriter] = {}
        self._held: WriterLock | None = None
        self._guard = threading.RLock()

    @classmethod
    def create(
        cls,
        path: Path | str,
        *,
        config: Mapping[str, Any],
        lock: Mapping[str, Any],
        resume: bool = False,
        may_differ: Collection[str] = (),
    ) -> Self:
        """Make a run, or with ``resume`` go on with the one that is there.

        Args:
            path: the directory; made when absent, else empty unless ``resume``.
            config: the resolved configuration, written to ``config.toml``.
            lock: what else fixes the result: versions, ``taskset_digest``, ``seeds``.
            resume: go on when ``path`` holds a run of the same configuration.
            may_differ: dotted keys of ``config`` that change no result, for example ``workers``.

        Raises:
            UsageError: a run is there and ``resume`` is not given, the configuration or the
                taskset differs, another process writes, or the path cannot be written to.
        """
        path = Path(path)
        header = RunHeader.make(config, lock, may_differ)
        names = _names(path)
        if "lock.json" not in names and not names <= _BEFORE_LOCK:
            what = "this directory holds files and is no run"
            raise UsageError(what, where=str(path), mend="name a new or an empty directory")
        run = cls(path, header)
        run._hold()
        try:
            if (path / "lock.json").exists():
                run.header = _same(path, header, resume=resume, may_differ=may_differ)
            else:
                run.logs.mkdir(exist_ok=True)
                header.write(path)
        except BaseException:
            run.close()
            raise
        return run

    @classmethod
    def open(cls, path: Path | str) -> Self:
        """Open an existing run, for reading until something is written.

        Raises:
            UsageError: no run is there, or one of a version this reader does not know.
        """
        return cls(Path(path), RunHeader.read(Path(path)))

    @property
    def config(self) -> dict[str, Any]:
        """The configuration the run was started with."""
        return self.header.config

    @property
    def lock(self) -> dict[str, Any]:
        """Versions, taskset digest, configuration digest and seeds of the run."""
        return self.header.lock

    @property
    def logs(self) -> Path:
        """Directory for free-form logs."""
        return self.path / "logs"

    def append(self, trajectory: Trajectory) -> None:
        """Write one trajectory and wait until the disk has it.

        Raises:
            InfrastructureError: the disk is full; trajectories written before still stand.
        """
        with self._guard:
            self._hold()
            self._log.append(trajectory)

    def trajectories(self) -> Iterator[Trajectory]:
        """Each rollout once, as last written; safe while another process writes."""
        return iter(self._log)

    def finished_ids(self, *, retry: Collection[str] = ("infrastructure",)) -> set[str]:
        """Rollouts a resume need not repeat.

        A failure of the box or the machine says nothing about the agent, so those are repeated.

        Args:
            retry: boundaries whose failures count as unfinished.
        """
        return {
            trajectory.rollout_id
            for trajectory in self.trajectories()
            if trajectory.error is None or trajectory.error.boundary not in retry
        }

    def replace(self, trajectories: Iterable[Trajectory]) -> None:
        """Make ``trajectories`` the run's content as a whole, after regrading for example."""
        self._hold()
        self._log.replace(trajectories)

    def compact(self) -> None:
        """Move the trajectories into ``trajectories.parquet``."""
        self._hold()
        self._log.compact()

    def append_metric(self, metric: Mapping[str, Any]) -> None:
        """Write one row of ``metrics.jsonl``."""
        self._row("metrics.jsonl", "regreen.metric", metric)

    def metrics(self) -> Iterator[dict[str, Any]]:
        """Rows of ``metrics.jsonl``."""
        return self._rows("metrics.jsonl", "regreen.metric")

    def append_incident(self, rollout_id: str, incident: Incident) -> None:
        """Write one row of ``incidents.jsonl``, as it happens rather than when the rollout ends."""
        row = {"rollout_id": rollout_id, **incident.model_dump()}
        self._row("incidents.jsonl", "regreen.incident", row)

    def incidents(self) -> Iterator[tuple[str, Incident]]:
        """Rollout and incident of each row of ``incidents.jsonl``."""
        for row in self._rows("incidents.jsonl", "regreen.incident"):
            yield row.pop("rollout_id"), Incident.model_validate(row)

    def write_text(self, name: str, text: str) -> Path:
        """Replace a file of the run, ``report.html`` for example; returns its path."""
        self._hold()
        write_text(self.path / name, text)
        return self.path / name

    def close(self) -> None:
        """Close the files and let others write; a later write takes the lock again."""
        self._log.close()
        for writer in self._writers.values():
            writer.close()
        self._writers.clear()
        if self._held is not None:
            self._held.release()
            self._held = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _hold(self) -> None:
        with self._guard:
            if self._held is None:
                self._held = WriterLock(self.path / ".writer")

    def _row(self, name: str, schema: str, row: Mapping[str, Any]) -> None:
        with self._guard:
            self._hold()
            if name not in self._writers:
                self._writers[name] = JsonlWriter(self.path / name)
            self._writers[name].append({**row, "schema_name": schema, "schema_version": _VERSION})

    def _rows(self, name: str, schema: str) -> Iterator[dict[str, Any]]:
        path = self.path / name
        if not path.exists():
            return
        with path.open("rb") as file:
            for number, row in decode_lines(whole_lines(file), str(path)):
                found = (row.pop("schema_name", None), row.pop("schema_version", None))
                if found != (schema, _VERSION):
                    what = f"this row is {found[0]!r} version {found[1]!r}, not {schema} {_VERSION}"
                    where = f"{path}:{number}"
                    raise UsageError(what, where=where, mend="upgrade regreen, or delete this row")
                yield row


def _names(path: Path) -> set[str]:
    try:
        path.mkdir(parents=True, exist_ok=True)
        return {entry.name for entry in path.iterdir() if entry.suffix != ".tmp"}
    except OSError as error:
        raise disk_error(error, path) from error


def _same(path: Path, header: RunHeader, *, resume: bool, may_differ: Collection[str]) -> RunHeader:
    if not resume:
        what = "this directory already holds a run"
        mend = "go on with it by --resume, or name a new directory"
        raise UsageError(what, where=str(path), mend=mend)
    old = RunHeader.read(path)
    old.check_same(header, path, may_differ)
    return old
