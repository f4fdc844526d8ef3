"""Reading packed shards: any row by its number, mapped from disk, by numpy alone.

A row is a view of the file until its weights or its loss mask are asked for. The set can be shared
between threads, and pickled to other processes, where it is opened anew.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regreen.core.errors import UsageError
from regreen.store.atomic import disk_error
from regreen.store.packed_documents import TEMPLATES, PackedDocument, read_document
from regreen.store.packed_header import LOSS, ROLES, FileRecord, read_header, role_weights
from regreen.store.packed_shard import ShardArrays, ShardShape, digest_of, open_shard

__all__ = ["PackedRow", "PackedShards"]


@dataclass(frozen=True, eq=False)
class PackedRow:
    """One row of C slots with k pieces of documents; what lies behind the last one is pad.

    Training shifts by one within a piece: the first token of a piece follows from nothing.
    """

    tokens: NDArray[np.unsignedinteger[Any]]
    """(C,) token ids, pads included."""
    labels: NDArray[np.uint8]
    """(C,) role in the low seven bits, loss bit in the highest."""
    borders: NDArray[np.int32]
    """(k + 1,) where each piece begins, then where the last one ends."""
    document: NDArray[np.int64]
    """(k,) the document of each piece."""
    start: NDArray[np.int64]
    """(k,) the first token of each piece in its document, the repeated head left aside."""
    head: NDArray[np.int32]
    """(k,) tokens of the head written again in front of that token."""
    template: NDArray[np.int32]
    """(k,) the template of each piece's document."""
    table: NDArray[np.float32]
    """(256,) weight by label."""

    @property
    def used(self) -> int:
        """Slots taken by documents."""
        return int(self.borders[-1])

    @cached_property
    def loss_mask(self) -> NDArray[np.bool_]:
        """(C,) whether a model would have written the token, here and for the first time."""
        return self.labels >= LOSS

    @cached_property
    def roles(self) -> NDArray[np.uint8]:
        """(C,) index into ``ROLES``."""
        return self.labels & np.uint8(LOSS - 1)

    @cached_property
    def weights(self) -> NDArray[np.float32]:
        """(C,) weight of each token in the loss; 0 for pads and for what is only context."""
        return self.table[self.labels]


class PackedShards(Sequence[PackedRow]):
    """The rows of a directory that ``regreen pack`` wrote.

    Opening reads the header; a shard is mapped when a row of it is asked for.

    Args:
        path: the directory.
        weights: weight by role in place of the header's, for example ``{"tool": 0.1}``; a role not
            named keeps the header's.

    Raises:
        UsageError: no packed shards, of an unknown version, or not whole.
    """

    def __init__(self, path: Path | str, *, weights: Mapping[str, float] | None = None) -> None:
        self.path = Path(path)
        self.header = read_header(self.path)
        self._given = dict(weights or {})
        self.weights = role_weights({**self.header.weights, **self._given})
        """Weight in the loss by role."""
        by_role = np.array([self.weights.get(role, 0.0) for role in ROLES], np.float32)
        table = np.zeros(LOSS, np.float32)
        table[: len(ROLES)] = by_role
        self._table = np.concatenate([table, table])
        self._shards: dict[int, ShardArrays] = {}

    def __len__(self) -> int:
        return self.header.num_rows

    def __getitem__(self, index: Any) -> Any:
        """The row of this number; a slice gives a list of rows."""
        if isinstance(index, slice):
            return [self[place] for place in range(*index.indices(len(self)))]
        row = index + len(self) if index < 0 else index
        if not 0 <= row < len(self):
            msg = f"row {index} of {len(self)}"
            raise IndexError(msg)
        number, row = divmod(int(row), self.header.rows_per_shard)
        shard = self.shard(number)
        table = shard.table
        first, last = int(table.rows[row]), int(table.rows[row + 1])
        if not 0 <= first <= last <= len(table.document):
            what = f"row {row} of file {number} is nowhere in it: the file is damaged"
            mend = "PackedShards(path).verify() says which files are; restore them, or pack again"
            raise UsageError(what, where=str(self.path), mend=mend)
        pieces = slice(first, last)
        return PackedRow(
            tokens=shard.tokens[row],
            labels=shard.labels[row],
            borders=table.borders[first + row : last + row + 1],
            document=table.document[pieces],
            start=table.start[pieces],
            head=table.head[pieces],
            template=table.template[pieces],
            table=self._table,
        )

    def __iter__(self) -> Iterator[PackedRow]:
        return (self[row] for row in range(len(self)))

    def __reduce__(self) -> tuple[Any, ...]:
        return _opened, (self.path, self._given)

    def shard(self, number: int) -> ShardArrays:
        """One file of rows, mapped.

        Raises:
            UsageError: it is missing or not whole.
        """
        found = self._shards.get(number)
        if found is None:
            header = self.header
            record = header.shards[number]
            shape = ShardShape(header.token_bytes, header.capacity, record.rows, record.pieces)
            found = self._shards[number] = open_shard(self.path / record.name, shape)
        return found

    def document(self, number: int) -> PackedDocument:
        """Where a document comes from.

        Raises:
            UsageError: there is no such document, or the table cannot be read.
        """
        if not 0 <= number < self.header.num_documents:
            what = f"there is no document {number} of {self.header.num_documents}"
            mend = "where a row named it, a file is damaged; PackedShards(path).verify() finds it"
            raise UsageError(what, where=str(self.path), mend=mend)
        return read_document(self.path, int(number))

    @cached_property
    def templates(self) -> tuple[str, ...]:
        """The templates by number, as ``regreen.templates`` reads them; empty for plain text.

        Raises:
            UsageError: they cannot be read.
        """
        path, count = self.path / TEMPLATES, self.header.num_templates
        mend = "restore the file, or pack the sources again"
        try:
            found = tuple(json.loads(line) for line in path.read_bytes().splitlines())
        except OSError as error:
            raise disk_error(error, path) from error
        except ValueError as error:
            what = f"the templates cannot be read: {error}"
            raise UsageError(what, where=str(path), mend=mend) from error
        if len(found) != count or not all(isinstance(name, str) for name in found):
            what = f"this file does not hold the names of {count} templates"
            raise UsageError(what, where=str(path), mend=mend)
        return found

    def verify(self) -> None:
        """Read every file and compare its size and its checksum with the header's.

        Raises:
            UsageError: one differs.
        """
        records: list[FileRecord] = [*self.header.shards, *self.header.files]
        for record in records:
            path = self.path / record.name
            if digest_of(path) != record.digest:
                what = f"{record.name} is not as it was written"
                mend = "restore the file, or pack the sources again"
                raise UsageError(what, where=str(path), mend=mend)


def _opened(path: Path, weights: Mapping[str, float]) -> PackedShards:
    return PackedShards(path, weights=weights)
