"""What a planner knows of the documents: lengths, heads, message borders; all checked here, once.

Every index and token count a person reads in an error names one document. A document without tokens
is refused: it would be a piece that trains nothing and an empty sequence for the model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import ArrayLike, NDArray

from regreen.core.errors import UsageError
from regreen.packing.plan import Bools, Ints, is_whole

__all__ = [
    "MAX_CAPACITY",
    "MAX_LENGTH",
    "MAX_PIECES",
    "UNKNOWN_HEAD",
    "Borders",
    "Documents",
    "Pieces",
    "check_pieces",
    "documents",
]

MAX_CAPACITY = 1 << 24
"""Slots of a row, in tokens; a planner's time and memory grow with it (16 M: about a second)."""

MAX_LENGTH = 1 << 40
"""Tokens of a document; no corpus holds one as long, and millions of them sum within 64 bits."""

MAX_PIECES = 1 << 27
"""Pieces of a plan: a gibibyte for each of its arrays, and planning holds several of them."""

UNKNOWN_HEAD = -1
"""In place of a head's length: a policy that needs this document's head refuses it."""


@dataclass(frozen=True)
class Borders:
    """Where messages end, ragged: those of document i are `values[offsets[i]:offsets[i + 1]]`."""

    offsets: NDArray[np.integer]
    """(D + 1,) where each document's borders begin in `values`."""
    values: NDArray[np.integer]
    """(B,) positions within the document, ascending; 0 and the length may be left out."""

    @classmethod
    def of(cls, documents: Sequence[Sequence[int]]) -> Borders:
        """From one sequence of positions for each document.

        Raises:
            UsageError: something else than sequences of whole numbers.
        """
        try:
            counts = [len(one) for one in documents]
            values = _integers(list(chain.from_iterable(documents)), "borders")
        except TypeError as error:
            msg = "borders that are no sequence a document"
            raise _shape(msg) from error
        offsets = np.zeros(len(counts) + 1, np.int64)
        np.cumsum(counts, out=offsets[1:])
        return cls(offsets, values)


@dataclass(frozen=True)
class Documents:
    """The documents to pack, checked."""

    capacity: int
    """Slots of a row, in tokens."""
    lengths: Ints
    """(D,) tokens of each document, at least 1."""
    heads: Ints
    """(D,) leading tokens that every continuation needs; `UNKNOWN_HEAD` where not known."""
    borders: Borders | None
    """Where a document may be cut; None allows it between any two tokens."""
    first: int = 0
    """The number of the first of them in errors: a stream sees them in parts."""

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

    @classmethod
    def of(cls, document: Ints, start: Ints, stop: Ints, *, seen: Ints | None = None) -> Pieces:
        """Pieces without a head written again and without forced cuts."""
        zeros = np.zeros(len(document), np.int64)
        none = np.zeros(len(document), np.bool_)
        return cls(document, start, stop, zeros, zeros if seen is None else seen, none)

    @property
    def slots(self) -> Ints:
        """(P,) slots each takes in a row."""
        return self.head + (self.stop - self.start)

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
    first: int = 0,
) -> Documents:
    """Check and gather what is known of the documents.

    Raises:
        UsageError: a capacity outside 1 to `MAX_CAPACITY`, arrays of the wrong shape or kind, an
            empty document or one above `MAX_LENGTH`, a head longer than its document, borders that
            are not ascending.
    """
    if not is_whole(capacity) or not 1 <= capacity <= MAX_CAPACITY:
        msg = f"a row of {capacity!r} tokens cannot be packed"
        raise UsageError(
            msg,
            where="capacity",
            mend=f"choose 1 to {MAX_CAPACITY:,} tokens, a whole number",
        )
    sizes = _integers(lengths, "lengths")
    _refuse(sizes < 1, first, "has no tokens", "leave out documents without tokens")
    much = f"has more than {MAX_LENGTH:,} tokens"
    _refuse(sizes > MAX_LENGTH, first, much, "give lengths in tokens, and cut what is longer")
    known = np.full_like(sizes, UNKNOWN_HEAD) if heads is None else _integers(heads, "heads")
    if len(known) != len(sizes):
        msg = f"{len(known)} heads for {len(sizes)} documents"
        raise _shape(msg)
    outside = (known < UNKNOWN_HEAD) | (known > sizes)
    _refuse(outside, first, "has a head outside itself", "a head counts tokens of its document")
    if borders is not None:
        borders = _checked(borders, sizes, first)
    return Documents(int(capacity), sizes, known, borders, first)


def check_pieces(known: Documents, counts: NDArray[np.integer]) -> None:
    """Refuse a plan that no memory holds, before its arrays are made.

    Args:
        known: the documents.
        counts: (D,) pieces each is cut to, or the fewest it can be.

    Raises:
        UsageError: more than `MAX_PIECES` in all; the document with the most is named.
    """
    total = float(counts.sum(dtype=np.float64))
    if total > MAX_PIECES:
        most = int(np.argmax(counts))
        name = f"document {known.first + most}"
        msg = (
            f"a plan of {total:,.0f} pieces is too large, {int(counts[most]):,} of them of {name}"
            f" ({int(known.lengths[most]):,} tokens in rows of {known.capacity:,})"
        )
        mend = f"a larger capacity or fewer tokens at once; {MAX_PIECES:,} pieces at most"
        raise UsageError(msg, where=name, mend=mend)


def _integers(values: ArrayLike, name: str) -> Ints:
    try:
        array = np.asarray(values)
    except (ValueError, TypeError) as error:
        msg = f"{name} that are no flat array"
        raise _shape(msg) from error
    if array.ndim != 1 or (array.size and array.dtype.kind not in "iu"):
        msg = f"{name} of shape {array.shape} and kind {array.dtype}"
        raise _shape(msg)
    if array.dtype == np.uint64:
        # What does not fit 64 bits with a sign would come out negative; so it stays too large.
        array = np.minimum(array, np.uint64(np.iinfo(np.int64).max))
    return array.astype(np.int64, copy=False)


def _checked(borders: Borders, lengths: Ints, first: int) -> Borders:
    """The same borders in 64 bits, if they can be borders of these documents."""
    if not isinstance(borders, Borders):
        msg = f"cannot plan with borders of type {type(borders).__name__}"
        mend = "Borders.of(...), one sequence of positions a document"
        raise UsageError(msg, where="borders", mend=mend)
    offsets = _integers(borders.offsets, "border offsets")
    values = _integers(borders.values, "borders")
    if len(offsets) != len(lengths) + 1 or offsets[0] != 0 or offsets[-1] != len(values):
        msg = f"border offsets of {len(offsets)} entries for {len(lengths)} documents"
        raise _shape(msg)
    counts = np.diff(offsets)
    if (counts < 0).any():
        msg = "border offsets that go down"
        raise _shape(msg)
    falls = np.flatnonzero(values[1:] < values[:-1]) + 1
    owners = np.searchsorted(offsets, falls, side="right") - 1
    bad = np.zeros(len(lengths), np.bool_)
    bad[owners[offsets[owners] != falls]] = True
    some = np.flatnonzero(counts)
    bad[some] |= values[offsets[some]] < 0
    bad[some] |= values[offsets[some + 1] - 1] > lengths[some]
    _refuse(
        bad, first, "has borders out of order or outside itself", "give them ascending, in tokens"
    )
    return Borders(offsets, values)


def _refuse(bad: Bools, first: int, what: str, mend: str) -> None:
    """Name the first bad document, if there is one."""
    if bad.any():
        name, number = f"document {first + int(np.argmax(bad))}", int(bad.sum())
        more = f" (and {number - 1} more)" if number > 1 else ""
        msg = f"{name} {what}{more}"
        raise UsageError(msg, where=name, mend=mend)


def _shape(what: str) -> UsageError:
    return UsageError(
        f"cannot plan with {what}", where="the planner's input", mend="give one integer a document"
    )
