"""Plain texts: a ``.txt`` file is one, a ``.jsonl`` file has one in the ``text`` of each line.

A text is what the file holds, its carriage returns too: how lines end is for a model to learn.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from regreen.core.errors import UsageError
from regreen.store.atomic import disk_error
from regreen.store.jsonl import read_jsonl
from regreen.store.trajectory_sets import Refuse

__all__ = ["TextRow", "holds_texts", "read_texts"]

_EMPTY = "the row has no text"


class TextRow(BaseModel):
    """One text."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    """File, and the line's number where a file holds several."""
    text: str
    """The text."""


def holds_texts(path: Path) -> bool:
    """Whether a source is plain text and not trajectories; of JSON lines the first decides.

    Raises:
        UsageError: it cannot be read.
    """
    if path.suffix != ".jsonl" or path.is_dir():
        return path.suffix == ".txt"
    _, row = next(read_jsonl(path), (0, {}))
    return "text" in row and not row.keys() & {"messages", "schema_name"}


def read_texts(path: Path, refuse: Refuse) -> Iterator[TextRow]:
    """The texts of a file.

    Args:
        path: the file.
        refuse: is given each row without a text.

    Raises:
        UsageError: the file cannot be read, or is no UTF-8.
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
        if isinstance(text, str) and text:
            yield TextRow(name=name, text=text)
        else:
            refuse(name, row, _EMPTY)
