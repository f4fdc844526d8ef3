"""The journal of a mining job: one line per change, written when the change is decided.

It is what a killed job goes on from, and what remains to be read of those that became no task: the
reason, the strategies tried and the CPU seconds spent on each.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from regreen.core.errors import UsageError
from regreen.core.task import Task
from regreen.store.job_log import JobLog
from regreen.tasks.mine.reasons import Reason

__all__ = ["Entry", "Journal"]

_SCHEMA = {"schema_name": "regreen.mining", "schema_version": 1}


class Entry(BaseModel):
    """What became of one change."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    commit: str
    """The state after it."""
    number: int | None = None
    """Of its pull request, when named."""
    subject: str = ""
    """What it is about."""
    date: str = ""
    """When it was committed, ISO 8601."""
    status: Literal["verified", "rejected", "dropped"]
    """``dropped`` when its paths alone show that tests cannot decide it; ``rejected`` later."""
    reason: str = ""
    """Why it is no task; empty for ``verified``."""
    detail: str = ""
    """One sentence about this change."""
    rungs: tuple[str, ...] = ()
    """Strategies tried, each with what became of it; the last one decided."""
    built: bool = False
    """Whether some strategy collected its tests."""
    validated: bool = False
    """Whether both states were run."""
    cpu_seconds: float = 0.0
    """Spent on this change alone; environments are counted for the whole job."""
    task: Task | None = None
    """The task it became."""
    told_by: str = ""
    """Whose words its statement is: ``issue``, ``pull``, ``commit`` or ``symptom``."""
    issues: tuple[str, ...] = ()
    """Issues its pull request closes, as ``owner/name#7``."""
    model: str = ""
    """Model that was asked to tell and to judge it; empty when none was."""


class Journal:
    """Entries by commit, in memory and, when a path is given, in a file.

    Args:
        path: file to append to; None keeps nothing.
        header: what must be equal for old entries to be used again.
        resume: read what the file holds; otherwise it must not exist.

    Raises:
        UsageError: the file exists and ``resume`` is off, or it belongs to another job.
    """

    def __init__(self, path: Path | None, *, header: Mapping[str, Any], resume: bool) -> None:
        self.entries: dict[str, Entry] = {}
        self._log: JobLog | None = None
        if path is None:
            return
        head = {**_SCHEMA, **header}
        self._log = JobLog(path, header=head, resume=resume, name="entries")
        for where, row in self._log.rows():
            try:
                entry = Entry.model_validate(row)
            except ValidationError as exc:
                msg = "this row is no entry of a journal"
                mend = "delete the row; its change is tried again"
                raise UsageError(msg, where=where, mend=mend) from exc
            if entry.reason != Reason.INFRASTRUCTURE:  # the machine's failure is not the change's
                self.entries[entry.commit] = entry

    def add(self, entry: Entry) -> None:
        """Write one entry and wait until the disk has it."""
        self.entries[entry.commit] = entry
        if self._log:
            self._log.append(entry.model_dump(mode="json", exclude_defaults=True))

    def tasks(self, order: Iterable[str]) -> list[Task]:
        """Tasks of the verified changes, in the order of the commits given."""
        found = (self.entries.get(commit) for commit in order)
        return [entry.task for entry in found if entry and entry.task]

    def close(self) -> None:
        """Close the file; calling it twice is harmless."""
        if self._log:
            self._log.close()
