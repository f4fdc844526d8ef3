"""What was read of each planned change, beside the journal: a job that goes on reads it once.

Laying a tree out and parsing it costs as much as a few runs of its tests. What is kept here can be
read again at any time, so a file that another version wrote is put aside and not mended.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from regreen import __version__
from regreen.core.errors import UsageError
from regreen.store.job_log import JobLog
from regreen.tasks.history.change import Change
from regreen.tasks.mine.survey import Outline

__all__ = ["Reading", "Readings"]

_SCHEMA = {"schema_name": "regreen.mining.plan", "schema_version": 1, "version": __version__}


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One change."""

    base: str
    """The commit before it."""
    commit: str
    """The state after it."""
    fix: str
    """Digest of what its source side adds and removes."""
    outline: Outline
    """What the tree after it shows."""


_READING = TypeAdapter(Reading)


class Readings:
    """Readings by change, in memory and, when a path is given, in a file.

    Args:
        path: file to append to; None keeps nothing.
        header: what must be equal for old readings to be used again.
    """

    def __init__(
        self, path: Path | None = None, *, header: Mapping[str, Any] | None = None
    ) -> None:
        self._known: dict[tuple[str, str], Reading] = {}
        self._log: JobLog | None = None
        if path is None:
            return
        head = {**_SCHEMA, **(header or {})}
        self._log = JobLog(path, header=head, resume=True, name="readings")
        try:
            for _, row in self._log.rows():
                found = _READING.validate_python(row, strict=False)
                self._known[found.base, found.commit] = found
        except (UsageError, ValidationError):
            self._known.clear()
            self._log.close()
            path.unlink()
            self._log = JobLog(path, header=head, resume=True, name="readings")

    def of(self, change: Change) -> Reading | None:
        """What was read of a change; None when nothing was."""
        return self._known.get((change.base, change.commit))

    def add(self, reading: Reading) -> None:
        """Keep what was read."""
        self._known[reading.base, reading.commit] = reading
        if self._log:
            self._log.append(_READING.dump_python(reading, mode="json"))

    def close(self) -> None:
        """Close the file."""
        if self._log:
            self._log.close()
