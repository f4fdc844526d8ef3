"""What a planner knows of the documents: lengths, heads, message borders; all checked here, once.

Every index and token count a person reads in an error names one document. A document without tokens
is refused: it would be a piece that trains nothing and an empty sequence for the model.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from regreen.core.errors import UsageError
from regreen.packing.plan import Bools, Ints

__all__ = ["MAX_CAPACITY", "Borders", "Documents", "Pieces", "documents"]

MAX_CAPACITY = 1 << 24
"""Slots of a row, in tokens; a planner's time and memory grow with it (16 M: about a second)."""


@dataclass(frozen=True)
class Borders:
    """Where messages end, ragged: those of document i are `values[offsets[i]:offsets[i + 1]]`."""

    offsets: NDArray[np.integer]
    """(D + 1,) where each document's borders begin in `values`."""
    values: NDArray[np.integer]
    """(B,) positions within the document, ascending; 0 and the length may be left out."""


@dataclass(frozen=True)
class Documents:
    """The documents to pack, checked."""

    capacity: int
    """Slots of a row, in tokens."""
    lengths: Ints
    """(D,) tokens of each document, at least 1."""
    heads: Ints | None
    """(D,) leading tokens that every continuation needs; None where that is not known."""
    borders: Borders | None
    """Where a document may be cut; None allows it between any two tokens."""

    @property
    def long(self) -> Ints:
        """The documents above the capacity, ascending."""
        return np.flatnonzero(self.lengths > self.capacity)


@dataclass(frozen=True)
class Pieces:
    """Documents cut to pieces, not yet in rows; the fields are those of `Plan`."""

    document: Ints
    """(P,) the document a piece is of."""
    start: Ints
    """(P,) its first token."""
    stop: Ints
    """(P,) the token after its last."""
    head: Ints
    """(P,) tokens of the head written again before it."""
    seen: Ints
    """(P,) leading tokens that stand in another piece as well."""
    forced: Bools
    """(P,) whether it ends inside a message."""

    def take(self, items: Ints) -> Pieces:
        """These pieces in another order, or some of them."""
        return Pieces(
            document=self.document[items],
            start=self.start[items],
            stop=self.stop[items],
            head=self.head[items],
            seen=self.seen[items],
            forced=self.forced[items],
        )


def documents(
    lengths: ArrayLike,
    capacity: int,
    *,
    heads: ArrayLike | None = None,
    borders: Borders | None = None,
) -> Documents:
    """Check and gather what is known of the documents.

    Raises:
        UsageError: a capacity outside 1 to `MAX_CAPACITY`, arrays of the wrong shape or kind, an
            empty document, a head longer than its document, borders that are not ascending.
    """
    if not 1 <= capacity <= MAX_CAPACITY:
        raise UsageError(
            f"a row of {capacity} tokens cannot be packed",
            where="capacity",
            mend=f"choose 1 to {MAX_CAPACITY:,} tokens",
        )
    sizes = _integers(lengths, "lengths")
    _refuse(sizes < 1, "has no tokens", "leave out documents without tokens")
    known = None if heads is None else _integers(heads, "heads")
    if known is not None:
        if len(known) != len(sizes):
            raise _shape(f"{len(known)} heads for {len(sizes)} documents")
        outside = (known < 0) | (known > sizes)
        _refuse(outside, "has a head outside itself", "a head counts tokens of its document")
    if borders is not None:
        _check_borders(borders, sizes)
    return Documents(capacity=capacity, lengths=sizes, heads=known, borders=borders)


def _integers(values: ArrayLike, name: str) -> Ints:
    array = np.asarray(values)
    if array.ndim != 1 or (array.size and array.dtype.kind not in "iu"):
        raise _shape(f"{name} of shape {array.shape} and kind {array.dtype}")
    return array.astype(np.int64, copy=False)


def _check_borders(borders: Borders, lengths: Ints) -> None:
    offsets, values = borders.offsets, borders.values
    if len(offsets) != len(lengths) + 1 or offsets[0] != 0 or offsets[-1] != len(values):
        raise _shape(f"border offsets of {len(offsets)} entries for {len(lengths)} documents")
    counts = np.diff(offsets)
    if (counts < 0).any():
        raise _shape("border offsets that go down")
    falls = np.flatnonzero(values[1:] < values[:-1]) + 1
    owners = np.searchsorted(offsets, falls, side="right") - 1
    bad = np.zeros(len(lengths), np.bool_)
    bad[owners[offsets[owners] != falls]] = True
    some = np.flatnonzero(counts)
    bad[some] |= values[offsets[some]] < 0
    bad[some] |= values[offsets[some + 1] - 1] > lengths[some]
    _refuse(bad, "has borders out of order or outside itself", "give them ascending, in tokens")


def _refuse(bad: Bools, what: str, mend: str) -> None:
    """Name the first bad document, if there is one."""
    if bad.any():
        first, number = int(np.argmax(bad)), int(bad.sum())
        more = f" (and {number - 1} more)" if number > 1 else ""
        raise UsageError(f"document {first} {what}{more}", where=f"document {first}", mend=mend)


def _shape(what: str) -> UsageError:
    return UsageError(
        f"cannot plan with {what}", where="the planner's input", mend="give one integer a document"
    )
