"""One row of another project, which remembers what was taken from it.

What nobody asked for is named in the summary of a conversion: a column is mapped or reported, and
never lost in silence.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from regreen.core.errors import TaskError
from regreen.core.task import Task

__all__ = ["Columns", "Reading", "created", "file_name"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What became of one foreign row."""

    where: str
    """File and line, row or folder."""
    instance_id: str
    """As the row says; empty when it does not say it."""
    kind: str
    """Format it was read as; empty when no format fits."""
    task: Task | None = None
    """The task; None for a row that is refused."""
    reason: str = ""
    """Why it is refused, and after a colon what about this row."""
    warnings: tuple[str, ...] = ()
    """What a person should know; the part before the colon is the same for like cases."""
    left_out: tuple[str, ...] = ()
    """Columns that hold something and have no place in our row; inner ones with a dot."""


class Columns:
    """Typed access to the columns of one row.

    Args:
        row: the row as JSON or Parquet gives it.
        prefix: of the names, for the columns inside a column.
    """

    def __init__(self, row: Mapping[str, Any], prefix: str = "") -> None:
        self.row = row
        self.prefix = prefix
        self._taken: set[str] = set()
        self._inner: list[Columns] = []

    def value(self, *names: str) -> Any:
        """The first of the columns that holds something, else None; all of them count as taken."""
        self._taken.update(names)
        found = (self.row.get(name) for name in names)
        return next((value for value in found if value not in (None, "")), None)

    def text(self, *names: str) -> str:
        """A text; a number or a date is spelled out, nothing is empty.

        Raises:
            TaskError: it is something else.
        """
        value = self.value(*names)
        if value is None:
            return ""
        if isinstance(value, datetime):
            return value.isoformat()
        if not isinstance(value, str | int | float) or isinstance(value, bool):
            msg = f"column {self.prefix}{names[0]} is no text"
            raise TaskError(msg, where=type(value).__name__)
        return str(value)

    def required(self, *names: str) -> str:
        """As :meth:`text`.

        Raises:
            TaskError: there is none.
        """
        text = self.text(*names)
        if not text.strip():
            msg = f"column {self.prefix}{names[0]} is empty"
            raise TaskError(msg)
        return text

    def inner(self, name: str) -> Columns:
        """The columns inside a column, which some sets store as JSON text.

        Raises:
            TaskError: it holds no columns.
        """
        value = self.value(name)
        if isinstance(value, str):
            try:
                value = json.loads(value)
            except ValueError:
                value = [value]
        if not isinstance(value, Mapping | None):
            msg = f"column {self.prefix}{name} is no table"
            raise TaskError(msg, where=type(value).__name__)
        found = Columns(value or {}, f"{self.prefix}{name}.")
        self._inner.append(found)
        return found

    def left_out(self) -> tuple[str, ...]:
        """Names of the columns that hold something and were not asked for, sorted."""
        own = (
            self.prefix + str(name)
            for name, value in self.row.items()
            if name not in self._taken and not _empty(value)
        )
        return tuple(sorted([*own, *(name for one in self._inner for name in one.left_out())]))


def _empty(value: Any) -> bool:
    if isinstance(value, Mapping):
        return all(map(_empty, value.values()))
    return value is None or value in ("", [], "[]", "{}")


def file_name(instance_id: str) -> str:
    """The id, which is a name of files and folders in every format.

    Raises:
        TaskError: it cannot be one.
    """
    if re.search(r"[/\\\x00-\x1f]", instance_id) or instance_id in (".", ".."):
        msg = "instance_id cannot be a file name"
        raise TaskError(msg, where=ascii(instance_id))
    if len(instance_id.encode("utf-8", "surrogateescape")) > 200:
        msg = "instance_id is too long for a file name"
        raise TaskError(msg, where=f"{instance_id[:60]}...")
    return instance_id


def created(text: str) -> tuple[str, tuple[str, ...]]:
    """A date as it stands when it is ISO 8601, in which case git reads it too; else a warning."""
    if not text:
        return "", ()
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        return "", (f"created_at is no date: {text[:60]!r}",)
    if when.tzinfo is None:
        return when.replace(tzinfo=UTC).isoformat(), ()
    return text, ()
