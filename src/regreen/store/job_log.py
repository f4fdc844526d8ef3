"""What a job has decided so far: JSON lines under a header that says which job it is.

A later run goes on with the file only when its own header is the same, so nothing that was decided
under other settings is ever used.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from regreen.core.errors import UsageError
from regreen.store.jsonl import JsonlWriter, read_jsonl

__all__ = ["JobLog"]


class JobLog:
    """Rows of one job, appended as they come; a line that a kill left unfinished is cut off.

    Args:
        path: the file; made when absent.
        header: schema, version, and what must be equal for old rows to be used again.
        resume: go on with what the file holds; otherwise it must be absent or empty.
        name: what the rows are, in the plural, for messages.

    Raises:
        UsageError: the file is there and ``resume`` is off.
    """

    def __init__(self, path: Path, *, header: Mapping[str, Any], resume: bool, name: str) -> None:
        if path.exists() and path.stat().st_size > 0 and not resume:
            msg = f"{name} of an earlier job are here"
            raise UsageError(msg, where=str(path), mend="add --resume, or remove the file")
        self.path = path
        self._header = dict(header)
        self._name = name
        self._writer = JsonlWriter(path)
        if not path.stat().st_size:
            self._writer.append(self._header)

    def rows(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Each row with its place, ``FILE:LINE``.

        Raises:
            UsageError: the file belongs to another job.
        """
        lines = read_jsonl(self.path)
        _, first = next(lines, (0, {}))
        known = self._header
        differing = sorted(key for key in {*known, *first} if first.get(key) != known.get(key))
        if differing:
            msg = f"these {self._name} are of another job: {', '.join(differing)} differ"
            mend = "use the same settings, or another --out"
            raise UsageError(msg, where=str(self.path), mend=mend)
        for number, row in lines:
            yield f"{self.path}:{number}", row

    def append(self, row: Mapping[str, Any]) -> None:
        """Write one row and wait until the disk has it."""
        self._writer.append(row)

    def close(self) -> None:
        """Close the file; calling it twice is harmless."""
        self._writer.close()
