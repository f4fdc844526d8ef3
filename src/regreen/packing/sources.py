"""The units of several sources in a fixed order, with those that are none in their places.

A resumed job passes over the units it has dealt with by their number, so a row that is no
trajectory counts as one too.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from regreen.core.errors import UsageError
from regreen.packing.rendering import Unit
from regreen.store.packed_header import SourceRecord
from regreen.store.packed_shard import digest_of
from regreen.store.texts import TextRow, holds_texts, read_texts
from regreen.store.trajectory_sets import Refuse, read_trajectories

__all__ = ["NoUnit", "Numbered", "digest_sources", "read_row_texts", "read_units"]

_RUN_FILES = ("trajectories.parquet", "trajectories.jsonl")


class NoUnit(NamedTuple):
    """A row of a source that is neither a trajectory nor a text."""

    name: str
    """Its id, or file and line."""
    row: dict[str, Any]
    """As it was read."""
    details: str
    """Why."""


class Numbered(NamedTuple):
    """A unit and the source it comes from."""

    source: int
    """Index into the sources."""
    unit: Unit | NoUnit
    """What was read."""


def read_units(sources: Sequence[Path]) -> Iterator[Numbered]:
    """Every unit of every source.

    Raises:
        UsageError: a source cannot be read.
    """
    for number, path in enumerate(sources):
        refused: list[NoUnit] = []

        def refuse(
            name: str, row: dict[str, Any], details: str, found: list[NoUnit] = refused
        ) -> None:
            found.append(NoUnit(name, row, details))

        for unit in _read(path, refuse):
            yield from (Numbered(number, one) for one in refused)
            refused.clear()
            yield Numbered(number, unit)
        yield from (Numbered(number, one) for one in refused)


def read_row_texts(sources: Sequence[Path], limit: int | None) -> Iterator[TextRow]:
    """The plain texts among the first units; without a limit no other source is opened.

    Args:
        sources: as for ``read_units``.
        limit: units to look at; None looks at all.

    Raises:
        UsageError: a source cannot be read.
    """
    asked = sources if limit is not None else [path for path in sources if holds_texts(path)]
    for numbered in islice(read_units(asked), limit):
        if isinstance(numbered.unit, TextRow):
            yield numbered.unit


def _read(path: Path, refuse: Refuse) -> Iterator[Unit]:
    if holds_texts(path):
        yield from read_texts(path, refuse)
    else:
        yield from read_trajectories(path, refuse, spare_columns=True)


def digest_sources(sources: Sequence[Path]) -> tuple[SourceRecord, ...]:
    """Each source with a checksum of its content, which a resumed job compares.

    Raises:
        UsageError: one is not there.
    """
    return tuple(SourceRecord(path=str(path), digest=_digest(path)) for path in sources)


def _digest(path: Path) -> str:
    if not path.exists():
        what = "there is no such file or directory"
        raise UsageError(what, where=str(path), mend="name a run, a file of trajectories or texts")
    if not path.is_dir():
        return digest_of(path)
    whole = hashlib.sha256()
    for name in _RUN_FILES:
        if (path / name).exists():
            whole.update(f"{name}:{digest_of(path / name)}\n".encode())
    return whole.hexdigest()
