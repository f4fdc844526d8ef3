"""Copying documents into rows by a plan: from the mapped spool to the files of rows.

One block of rows is in memory at a time, whatever the size of the corpus.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regreen.packing.plan import Ints, Plan
from regreen.store.packed_header import ROLES, ShardRecord
from regreen.store.packed_shard import ShardShape, ShardTable, digest_of, open_shard, write_shard
from regreen.store.packed_spool import SpooledDocuments

__all__ = ["RowCopier"]

_BLOCK = 1 << 22
_CONTEXT = ROLES.index("context")
_PAD = ROLES.index("pad")


class RowCopier:
    """Writes the files of rows of one plan.

    Args:
        plan: the rows.
        spooled: the documents.
        pad: id that fills the end of a row.
        rows_per_shard: rows of each file but the last.
    """

    def __init__(
        self, plan: Plan, spooled: SpooledDocuments, *, pad: int, rows_per_shard: int
    ) -> None:
        self.plan = plan
        self.spooled = spooled
        self.rows_per_shard = rows_per_shard
        self.label_counts = np.zeros(256, np.int64)
        """Slots by label, in all that was written so far."""
        self._pad = pad
        self._first = _offsets(spooled.lengths)
        self._ends = _offsets(plan.slots)

    @property
    def num_shards(self) -> int:
        """How many files there are."""
        return -(-self.plan.num_rows // self.rows_per_shard)

    def name(self, number: int) -> str:
        """Name of one file of rows."""
        return f"shard-{number:05}.rows"

    def write(self, directory: Path, number: int, finished: str | None = None) -> ShardRecord:
        """Write one file of rows.

        Args:
            directory: where to.
            number: which file.
            finished: digest of the file when an interrupted job finished it; one that still has
                it is kept as it is, any other is written anew.

        Raises:
            UsageError: it cannot be written.
            InfrastructureError: the disk is full.
        """
        path = directory / self.name(number)
        first = number * self.rows_per_shard
        last = min(first + self.rows_per_shard, self.plan.num_rows)
        pieces = int(self.plan.rows[last] - self.plan.rows[first])
        itemsize = self.spooled.tokens.dtype.itemsize
        shape = ShardShape(itemsize, self.plan.capacity, last - first, pieces)
        if finished is not None and path.exists() and digest_of(path) == finished:
            for labels in open_shard(path, shape).labels:
                self.label_counts += np.bincount(labels, minlength=256)
            return ShardRecord(
                name=path.name,
                bytes=path.stat().st_size,
                digest=finished,
                rows=shape.rows,
                pieces=pieces,
            )
        tokens, labels = self._blocks(first, last), self._label_blocks(first, last)
        return write_shard(path, shape, tokens, labels, self._table(first, last))

    def _blocks(self, first: int, last: int) -> Iterator[NDArray[Any]]:
        tokens = self.spooled.tokens
        for begin, end in self._spans(first, last):
            block = np.full((end - begin) * self.plan.capacity, self._pad, tokens.dtype)
            for at, source, start, stop, head, _ in self._copies(begin, end):
                if head:
                    block[at : at + head] = tokens[source : source + head]
                body = at + head
                block[body : body + stop - start] = tokens[source + start : source + stop]
            yield block

    def _label_blocks(self, first: int, last: int) -> Iterator[NDArray[np.uint8]]:
        labels = self.spooled.labels
        for begin, end in self._spans(first, last):
            block = np.full((end - begin) * self.plan.capacity, _PAD, np.uint8)
            for at, source, start, stop, head, seen in self._copies(begin, end):
                body = at + head
                block[body : body + stop - start] = labels[source + start : source + stop]
                # the token behind a head that is written again does not follow from it
                block[at : body + max(seen, 1 if head else 0)] = _CONTEXT
            self.label_counts += np.bincount(block, minlength=256)
            yield block

    def _spans(self, first: int, last: int) -> Iterator[tuple[int, int]]:
        step = max(1, _BLOCK // self.plan.capacity)
        for begin in range(first, last, step):
            yield begin, min(begin + step, last)

    def _copies(self, begin: int, end: int) -> Iterator[tuple[int, ...]]:
        """Place in the block, first token of the document, start, stop, head and seen."""
        plan = self.plan
        part = slice(int(plan.rows[begin]), int(plan.rows[end]))
        columns = (
            self._at[part] - begin * plan.capacity,
            self._first[plan.document[part]],
            plan.start[part],
            plan.stop[part],
            plan.head[part],
            plan.seen[part],
        )
        return zip(*(column.tolist() for column in columns), strict=True)

    @cached_property
    def _at(self) -> Ints:
        """(P,) slot of each piece, counted from the first row."""
        counts = np.diff(self.plan.rows)
        row = np.repeat(np.arange(self.plan.num_rows), counts)
        return self._ends[:-1] - self._ends[self.plan.rows[:-1]][row] + row * self.plan.capacity

    def _table(self, first: int, last: int) -> ShardTable:
        plan = self.plan
        rows = plan.rows[first : last + 1] - plan.rows[first]
        part = slice(int(plan.rows[first]), int(plan.rows[last]))
        num_rows, num_pieces = last - first, int(rows[-1])
        row = np.repeat(np.arange(num_rows), np.diff(rows))
        borders = np.empty(num_pieces + num_rows, np.int32)
        borders[np.arange(num_pieces) + row] = self._at[part] % plan.capacity
        borders[rows[1:] + np.arange(num_rows)] = plan.fill[first:last]
        document = plan.document[part]
        return ShardTable(
            rows=rows,
            borders=borders,
            document=document,
            start=plan.start[part],
            head=plan.head[part],
            template=self.spooled.templates[document],
        )


def _offsets(lengths: Ints) -> Ints:
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])
