"""Plain texts: a ``.txt`` file is one, a ``.jsonl`` file has one in the ``text`` of each line.

A text is what the file holds, its carriage returns too: how lines end is for a model to learn. What
looks like a special token in it is text as well; only a row that says so by position has some.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from regreen.core.errors import UsageError
from regreen.store.atomic import disk_error
from regreen.store.jsonl import read_jsonl
from regreen.store.trajectory_sets import Refuse

__all__ = ["SCHEMA", "TextPart", "TextRow", "holds_texts", "read_texts"]

SCHEMA = "regreen.text"
"""Name of the format; a row of other people has none, and no more than its ``text`` is needed."""

Stretch = tuple[int, int]
"""First character and one past the last."""

_EMPTY = "the row has no text"


class TextPart(BaseModel):
    """A stretch of a text that comes from one place, for counting what many places have."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    start: int
    """First character."""
    end: int
    """One past the last."""
    origin: str
    """The place, for example ``owner/name:path``; rows that name the same one count once."""


class TextRow(BaseModel):
    """One text."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_name: Literal["regreen.text"] = "regreen.text"
    """Name of this format."""
    schema_version: Literal[1] = 1
    """Version of this format."""
    name: str
    """File, and the line's number where a file holds several."""
    text: str
    """The text."""
    masked: tuple[Stretch, ...] = ()
    """Characters that the loss does not fall on, in order; they are encoded apart from the rest."""
    specials: tuple[Stretch, ...] = ()
    """Characters that stand for one special token each, in order; all others are ordinary text."""
    closed: bool = False
    """The text holds its own end, so that no end of text is put behind it."""
    parts: tuple[TextPart, ...] = ()
    """Where its stretches come from; without any the text is a place of its own."""
    license: str = ""
    """Licence as its source states it."""
    repo: str = ""
    """Repository that it comes from."""
    commit: str = ""
    """The commit."""

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        parts = tuple((part.start, part.end) for part in self.parts)
        for name, rows in (("masked", self.masked), ("specials", self.specials), ("parts", parts)):
            inside = all(0 <= start < end <= len(self.text) for start, end in rows)
            if not inside or any(one[1] > two[0] for one, two in pairwise(rows)):
                msg = f"{name} of the row are not stretches of its text, in order"
                raise ValueError(msg)
        return self


def holds_texts(path: Path) -> bool:
    """Whether a source is plain text and not trajectories; of JSON lines the first decides.

    Raises:
        UsageError: it cannot be read.
    """
    if path.suffix != ".jsonl" or path.is_dir():
        return path.suffix == ".txt"
    _, row = next(read_jsonl(path), (0, {}))
    return row.get("schema_name") == SCHEMA or (
        "text" in row and not row.keys() & {"messages", "schema_name"}
    )


def read_texts(path: Path, refuse: Refuse) -> Iterator[TextRow]:
    """The texts of a file.

    Args:
        path: the file.
        refuse: is given each row without a text, or whose other columns contradict it.

    Raises:
        UsageError: the file cannot be read, is no UTF-8, or is of another version.
    """
    if path.suffix == ".txt":
        try:
            with path.open(encoding="utf-8", newline="") as file:
                whole = file.read()
        except OSError as error:
            raise disk_error(error, path) from error
        except UnicodeDecodeError as error:
            what = f"this is not UTF-8 text (byte {error.start})"
            raise UsageError(what, where=str(path), mend="convert the file to UTF-8") from error
        if whole:
            yield TextRow(name=path.name, text=whole)
        else:
            refuse(path.name, {"text": ""}, _EMPTY)
        return
    for number, row in read_jsonl(path):
        name, text = f"{path.stem}:{number}", row.get("text")
        if not isinstance(text, str) or not text:
            refuse(name, row, _EMPTY)
            continue
        try:
            yield _row(row, name, f"{path}:{number}")
        except ValidationError as error:
            first = error.errors(include_url=False, include_context=False)[0]
            refuse(name, row, f"{'.'.join(map(str, first['loc'])) or 'the row'}: {first['msg']}")


def _row(row: dict[str, Any], name: str, where: str) -> TextRow:
    """Other people's rows have columns of any meaning, so only ours are read beyond the text."""
    if row.get("schema_name") == SCHEMA:
        version = row.get("schema_version")
        if version != 1 or isinstance(version, bool):
            what = f"this has {SCHEMA} version {version!r} and this reader knows version 1"
            raise UsageError(what, where=where, mend="upgrade regreen, or make the texts again")
        return TextRow.model_validate(row)
    marked = {key: row[key] for key in ("masked", "specials") if row.get(key) is not None}
    return TextRow.model_validate({"name": name, "text": row["text"], **marked})
