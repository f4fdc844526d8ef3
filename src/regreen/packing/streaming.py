"""Packing of a stream: at most `window` documents are held, full rows leave as they come about.

Each round fills the window, plans what it holds by best-fit-decreasing and lets only the fullest
rows go; the pieces of the others stay for the next round, where new documents may fill their gaps.
Windows planned one after the other instead leave every window's badly filled rows behind.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from typing import NamedTuple

import numpy as np

from regreen.core.errors import UsageError
from regreen.packing.best_fit import best_fit
from regreen.packing.cuts import CUTS, DEFAULT_POLICY, Cut, LongMessages, check_forced
from regreen.packing.documents import UNKNOWN_HEAD, Borders, Pieces, documents
from regreen.packing.plan import Bools, Ints, Piece, is_whole

__all__ = ["Document", "stream"]

_LEAVING = 0.5
_PATIENCE = 16


class Document(NamedTuple):
    """What the packer must know of one document."""

    length: int
    """Its tokens."""
    head: int = UNKNOWN_HEAD
    """Leading tokens that every continuation needs; -1 where not known."""
    borders: Sequence[int] | None = None
    """Where its messages end, ascending; None allows a cut anywhere."""


class _Held(NamedTuple):
    """Pieces read and not yet let go, and the round each came in."""

    pieces: Pieces
    came: Ints


def stream(
    source: Iterable[Document],
    capacity: int,
    policy: str = DEFAULT_POLICY,
    *,
    window: int = 10_000,
    long_messages: LongMessages = "cut",
) -> Iterator[tuple[Piece, ...]]:
    """Rows of at most `capacity` tokens, while documents are still being read.

    Args:
        source: documents; `Piece.document` counts them from 0.
        capacity: slots of a row, in tokens.
        policy: one of the best-fit policies, as for `plan`.
        window: documents held at most; one that has been read counts until its last piece left.
        long_messages: "cut" or "refuse", as for `plan`.

    Yields:
        The pieces of one row. The rows are a function of the arguments. A piece leaves at the
        latest after 16 rounds; a round reads at most `window` documents.

    Raises:
        UsageError: an unknown policy, a window below 1, no `Document` or one the policy cannot
            place, borders of some documents only.
    """
    if not isinstance(policy, str) or policy not in CUTS:
        msg = f"cannot stream with policy {policy!r}"
        raise UsageError(msg, where="policy", mend="one of " + ", ".join(CUTS))
    if not is_whole(window) or window < 1:
        msg = f"cannot stream with a window of {window!r}"
        raise UsageError(msg, where="window", mend="a whole number of documents, 1 or more")
    source, read, ended = iter(source), 0, False
    held = _Held(Pieces.of(*(np.zeros(0, np.int64) for _ in range(3))), np.zeros(0, np.int64))
    number, bordered = 0, False
    while not ended or len(held.came):
        room = window - len(np.unique(held.pieces.document))
        arrived = list(islice(source, room))
        ended = ended or len(arrived) < room
        if arrived and not read:
            bordered = getattr(arrived[0], "borders", None) is not None
        _check(arrived, bordered, read)
        pieces = _cut(arrived, capacity, CUTS[policy], read)
        check_forced(pieces, long_messages)
        held = _joined(held, pieces, number)
        read, number = read + len(arrived), number + 1
        items, rows = best_fit(held.pieces.slots, capacity)
        leaving = np.ones(len(rows) - 1, np.bool_) if ended else _leaving(held, items, rows, number)
        yield from _rows(held.pieces, items, rows, leaving)
        stay = np.sort(items[np.repeat(~leaving, np.diff(rows))])
        held = _Held(held.pieces.take(stay), held.came[stay])


def _check(arrived: Sequence[Document], bordered: bool, read: int) -> None:
    """Refuse what is no document, and borders unlike the first document's."""
    for number, one in enumerate(arrived, start=read):
        name = f"document {number}"
        if not isinstance(one, Document):
            msg = f"{name} is {one!r:.40}, not a Document"
            raise UsageError(msg, where=name, mend="Document(length, head, borders)")
        if not (is_whole(one.length) and is_whole(one.head)):
            msg = f"{name} has length {one.length!r} and head {one.head!r}"
            raise UsageError(msg, where=name, mend="whole numbers of tokens")
        if (one.borders is not None) != bordered:
            has, first = ("no", "some") if bordered else ("some", "none")
            msg = f"{name} has {has} borders, and document 0 has {first}"
            raise UsageError(msg, where=name, mend="give borders of every document, or of no one")


def _cut(arrived: Sequence[Document], capacity: int, cut: Cut, read: int) -> Pieces:
    """The new documents' pieces, numbered from `read`."""
    ragged = [one.borders for one in arrived if one.borders is not None]
    known = documents(
        [one.length for one in arrived],
        capacity,
        heads=[one.head for one in arrived],
        borders=Borders.of(ragged) if ragged else None,
        first=read,
    )
    pieces = cut(known)
    return replace(pieces, document=pieces.document + read)


def _joined(held: _Held, pieces: Pieces, number: int) -> _Held:
    both = {
        name: np.concatenate([getattr(held.pieces, name), values])
        for name, values in vars(pieces).items()
    }
    came = np.full(len(pieces.document), number, np.int64)
    return _Held(Pieces(**both), np.concatenate([held.came, came]))


def _leaving(held: _Held, items: Ints, rows: Ints, number: int) -> Bools:
    """(R,) which rows go: the fullest half, and those with a piece that waited long."""
    ends = np.concatenate([np.zeros(1, np.int64), np.cumsum(held.pieces.slots[items])])
    fill = np.diff(ends[rows])
    leaving = np.zeros(len(fill), np.bool_)
    leaving[np.argsort(-fill, kind="stable")[: max(1, int(len(fill) * _LEAVING))]] = True
    oldest = np.minimum.reduceat(held.came[items], rows[:-1])
    return leaving | (oldest <= number - _PATIENCE)


def _rows(pieces: Pieces, items: Ints, rows: Ints, leaving: Bools) -> Iterator[tuple[Piece, ...]]:
    chosen = pieces.take(items[np.repeat(leaving, np.diff(rows))])
    ends = np.cumsum(np.diff(rows)[leaving]).tolist()
    every = [Piece(*v) for v in zip(*(f.tolist() for f in vars(chosen).values()), strict=True)]
    begin = 0
    for end in ends:
        yield tuple(every[begin:end])
        begin = end
