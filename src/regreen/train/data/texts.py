"""Repositories into rows of text or chats, with a count of what was left out and why.

Rows come one repository at a time and nothing is kept, so memory is that of the largest repository.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from regreen.store.texts import TextRow
from regreen.tasks.repo.sources import Checkout
from regreen.train.data.files import SourceFile, read_files
from regreen.train.data.fim import fim_rows
from regreen.train.data.joined import Source
from regreen.train.data.licenses import license_of
from regreen.train.data.repository_text import file_rows, repository_rows
from regreen.train.data.search_replace import search_replace_rows
from regreen.train.data.settings import Form, TextsConfig

__all__ = ["Tally", "make_texts"]

Row = dict[str, Any]


@dataclass
class Tally:
    """What became of the repositories; it grows while rows are made."""

    repositories: int = 0
    """Repositories read."""
    files: int = 0
    """Files taken."""
    tests: int = 0
    """Of those, files on the test side."""
    file_characters: int = 0
    """Characters of the files taken."""
    rows: int = 0
    """Rows made."""
    characters: int = 0
    """Characters of the rows."""
    masked_characters: int = 0
    """Of those, characters that a text row masks from the loss."""
    left_out: Counter[str] = field(default_factory=Counter)
    """Files, and samples of files, left out, by the reason."""
    licenses: Counter[str] = field(default_factory=Counter)
    """Repositories by licence; ``unknown`` where the project states none."""


def make_texts(checkouts: Iterable[Checkout], config: TextsConfig, tally: Tally) -> Iterator[Row]:
    """The rows of some repositories, as JSON.

    Args:
        checkouts: the repositories.
        config: what they become.
        tally: takes what became of them.
    """
    for checkout in checkouts:
        license_name = checkout.license or license_of(checkout.tree.path)
        source = Source(checkout.repo, checkout.commit, license_name)
        files = read_files(checkout.tree.path, config, tally.left_out)
        tally.repositories += 1
        tally.licenses[license_name or "unknown"] += 1
        tally.files += len(files)
        tally.tests += sum(file.test for file in files)
        tally.file_characters += sum(len(file.text) for file in files)
        for row in _rows(files, source, config, tally):
            tally.rows += 1
            yield row


def _rows(
    files: tuple[SourceFile, ...], source: Source, config: TextsConfig, tally: Tally
) -> Iterator[Row]:
    if config.form == "search_replace":
        for row in search_replace_rows(files, source, config, tally.left_out):
            tally.characters += sum(len(message["content"]) for message in row["messages"])
            yield row
        return
    for text in _TEXTS[config.form](files, source, config):
        tally.characters += len(text.text)
        tally.masked_characters += sum(end - start for start, end in text.masked)
        yield text.model_dump(mode="json")


Maker = Callable[[tuple[SourceFile, ...], Source, TextsConfig], Iterator[TextRow]]

_TEXTS: Mapping[Form, Maker] = {
    "repository": repository_rows,
    "file": lambda files, source, config: file_rows(files, source),
    "fim": fim_rows,
}
