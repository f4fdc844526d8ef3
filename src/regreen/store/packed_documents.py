"""What the documents of packed shards were: JSON lines with an index, so that one is read alone.

Nothing here is needed for training; it says where a row's tokens come from.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict

from regreen.core.errors import UsageError
from regreen.store.atomic import disk_error

__all__ = ["DOCUMENTS", "INDEX", "TEMPLATES", "PackedDocument", "index_lines", "read_document"]

DOCUMENTS = "documents.jsonl"
"""One line for each document, in the order of their numbers."""
INDEX = "documents.index"
"""Where each line begins, and one past the last: int64, little-endian."""
TEMPLATES = "templates.jsonl"
"""The templates that were used, by their number: one JSON string a line."""


class PackedDocument(BaseModel):
    """Where a document comes from."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rollout_id: str
    """The trajectory, or the name of the text."""
    segment: int = 0
    """Which segment of the trajectory."""
    source: int
    """Index into the header's sources."""
    task: str = ""
    """Its task."""
    agent: str = ""
    """Its agent."""
    model: str = ""
    """Its model."""
    template: int
    """Index into the templates."""
    length: int
    """Tokens."""
    head: int
    """Tokens of the system turn and the tool definitions."""
    resolved: bool | None = None
    """The verdict; None without one."""
    reward: float | None = None
    """Weighted sum of its rewards; None without any."""


def index_lines(lines: Iterable[bytes]) -> Iterator[int]:
    """Where each line begins, and one past the last."""
    at = 0
    yield at
    for line in lines:
        at += len(line)
        yield at


def read_document(directory: Path, number: int) -> PackedDocument:
    """One document of the table, by its number.

    Raises:
        UsageError: the table cannot be read.
    """
    path = directory / DOCUMENTS
    try:
        with (directory / INDEX).open("rb") as index:
            index.seek(8 * number)
            start, end = (int(place) for place in np.frombuffer(index.read(16), "<i8"))
        with path.open("rb") as file:
            file.seek(start)
            return PackedDocument.model_validate(json.loads(file.read(end - start)))
    except OSError as error:
        raise disk_error(error, path) from error
    except ValueError as error:
        what = f"document {number} cannot be read: {error}"
        raise UsageError(what, where=str(path), mend="pack the sources again") from error
