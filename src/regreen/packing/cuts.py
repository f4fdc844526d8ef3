"""What becomes of a document longer than a row: refused, split, slid, dropped, cut with its head.

A document that fits is one piece under every one of these. The head-carrying cut is ours: every
continuation begins with the document's head again (system turn and tool definitions, masked from
the loss), and cuts stand at message borders only. A message longer than the room beside the head
has no such border: it is cut where the row ends, with the head before its rest, and each such cut
is marked, or it is refused; no token is left out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, get_args

import numpy as np

from regreen.core.errors import UsageError
from regreen.packing.documents import UNKNOWN_HEAD, Borders, Documents, Pieces, check_pieces
from regreen.packing.plan import Bools, Ints

__all__ = ["CUTS", "DEFAULT_POLICY", "Cut", "LongMessages", "check_forced"]

Cut = Callable[[Documents], Pieces]
LongMessages = Literal["cut", "refuse"]

DEFAULT_POLICY = "best-fit-heads"
"""No other policy that places every document keeps the tool definitions behind a cut."""


def refuse(known: Documents) -> Pieces:
    """Every document whole.

    Raises:
        UsageError: a document is longer than a row.
    """
    if len(known.long):
        what = f"has {int(known.lengths[known.long[0]]):,} tokens, a row {known.capacity:,}"
        others = ", ".join(name for name, cut in CUTS.items() if cut is not refuse)
        mend = f"a larger capacity, or a policy that says what to do: {others}"
        raise _refusal(known, known.long, what, mend)
    return Pieces.of(np.arange(len(known.lengths)), np.zeros_like(known.lengths), known.lengths)


def split(known: Documents) -> Pieces:
    """Chunks of a full row, the last one short; continuations have lost their head."""
    return _anywhere(known, np.zeros_like(known.lengths))


def slide(known: Documents) -> Pieces:
    """As `split`, with the last chunk reaching back until it is full; what it repeats is `seen`."""
    cut = split(known)
    short = (cut.start > 0) & (cut.stop - cut.start < known.capacity)
    begin = np.where(short, cut.stop - known.capacity, cut.start)
    return Pieces.of(cut.document, begin, cut.stop, seen=cut.start - begin)


def drop(known: Documents) -> Pieces:
    """Long documents are left out altogether."""
    kept = np.flatnonzero(known.lengths <= known.capacity)
    return Pieces.of(kept, np.zeros_like(kept), known.lengths[kept])


def carry_heads(known: Documents) -> Pieces:
    """Continuations begin with the head again; cuts stand at borders, where those are given.

    Raises:
        UsageError: a long document's head is not known, or it fills a row by itself.
    """
    _check_heads(known)
    if known.borders is None:
        return _anywhere(known, known.heads)
    return _at_borders(known, known.borders)


CUTS: dict[str, Cut] = {
    "best-fit": refuse,
    "best-fit-split": split,
    "best-fit-slide": slide,
    "best-fit-drop": drop,
    "best-fit-heads": carry_heads,
}
"""Best-fit policies by name: what each does with a document longer than a row."""


def check_forced(pieces: Pieces, long_messages: LongMessages) -> None:
    """Refuse cuts inside a message where asked to; the document is named as in `pieces`.

    Raises:
        UsageError: there is one, or what to do is neither "cut" nor "refuse".
    """
    if long_messages not in get_args(LongMessages):
        msg = f"long messages cannot be treated by {long_messages!r}"
        raise UsageError(msg, where="long_messages", mend='"cut" or "refuse"')
    if long_messages == "refuse" and pieces.forced.any():
        first = int(np.argmax(pieces.forced))
        document, stop = int(pieces.document[first]), int(pieces.stop[first])
        msg = (
            f"a message of document {document} does not fit a row beside the head; it would be cut"
            f" at token {stop:,} ({int(pieces.forced.sum()):,} such cuts in all)"
        )
        raise UsageError(
            msg,
            where=f"document {document}",
            mend="a larger capacity, or allow cuts inside messages that fit no row",
        )


def _check_heads(known: Documents) -> None:
    """Every long document's head must be known and leave room for a token."""
    heads = known.heads[known.long]
    if len(unknown := known.long[heads == UNKNOWN_HEAD]):
        length = int(known.lengths[unknown[0]])
        what = f"has {length:,} tokens, a row {known.capacity:,}, and its head is not known"
        mend = "pass heads (tokens of system turn and tools; 0 where there are none)"
        raise _refusal(known, unknown, what, mend)
    if len(full := known.long[heads >= known.capacity]):
        what = f"has a head of {int(known.heads[full[0]]):,} tokens, which fills a row by itself"
        mend = "a larger capacity, or 'best-fit-split', which gives continuations no head"
        raise _refusal(known, full, what, mend)


def _refusal(known: Documents, documents: Ints, what: str, mend: str) -> UsageError:
    """Name the first of the documents that cannot be placed, and count them."""
    name = f"document {known.first + int(documents[0])}"
    msg = f"{name} {what} ({len(documents):,} of {len(known.lengths):,} documents)"
    return UsageError(msg, where=name, mend=mend)


def _anywhere(known: Documents, heads: Ints) -> Pieces:
    """Rows as full as can be: the first piece takes a row, the others what the head leaves."""
    capacity, lengths = known.capacity, known.lengths
    counts = _fewest(known, heads)
    check_pieces(known, counts)
    if not len(known.long):
        return Pieces.of(np.arange(len(lengths)), np.zeros_like(lengths), lengths)
    document = np.repeat(np.arange(len(lengths)), counts)
    place = np.arange(len(document)) - np.repeat(np.cumsum(counts) - counts, counts)
    room = capacity - heads[document]
    start = np.where(place > 0, capacity + (place - 1) * room, 0)
    stop = np.where(place == counts[document] - 1, lengths[document], capacity + place * room)
    return Pieces(
        document=document,
        start=start,
        stop=stop,
        head=np.where(place > 0, heads[document], 0),
        seen=np.zeros(len(document), np.int64),
        forced=np.zeros(len(document), np.bool_),
    )


def _fewest(known: Documents, heads: Ints) -> Ints:
    """(D,) pieces of each document when each piece but its last takes a whole row."""
    long = known.long
    counts = np.ones_like(known.lengths)
    counts[long] += -(-(known.lengths[long] - known.capacity) // (known.capacity - heads[long]))
    return counts


def _at_borders(known: Documents, borders: Borders) -> Pieces:
    """One round cuts the next piece of every long document still unfinished."""
    capacity, lengths, heads = known.capacity, known.lengths, known.heads
    check_pieces(known, _fewest(known, heads))
    whole = np.flatnonzero(lengths <= capacity)
    rounds = [Pieces.of(whole, np.zeros_like(whole), lengths[whole])]
    active = known.long
    start = np.zeros(len(active), np.int64)
    while len(active):
        head = np.where(start > 0, heads[active], 0)
        limit = start + capacity - head
        border = _last_border(borders, active, limit)
        last = lengths[active] <= limit
        # A first piece that ends with its head would train nothing.
        found = border > np.maximum(start, heads[active])
        stop = np.where(last, lengths[active], np.where(found, border, limit))
        forced = ~(last | found)
        rounds.append(Pieces(active, start, stop, head, np.zeros_like(start), forced))
        active, start = active[~last], stop[~last]
    return _joined(rounds)


def _last_border(borders: Borders, document: Ints, limit: Ints) -> Ints:
    """Each document's last border at or before `limit`, or 0; bisection of all at once."""
    begin = borders.offsets[document].astype(np.int64)
    low, high = begin, borders.offsets[document + 1].astype(np.int64)
    while (low < high).any():
        middle = (low + high) // 2
        inside = low < high
        below = inside & (borders.values[np.where(inside, middle, 0)] <= limit)
        low = np.where(below, middle + 1, low)
        high = np.where(inside & ~below, middle, high)
    found = low > begin
    if not len(borders.values):
        return np.zeros_like(limit)
    return np.where(found, borders.values[np.where(found, low - 1, 0)], 0)


def _joined(rounds: list[Pieces]) -> Pieces:
    """All rounds' pieces by document, then by place."""

    def all_of(name: str) -> Ints:
        return np.concatenate([getattr(pieces, name) for pieces in rounds])

    document = all_of("document")
    forced: Bools = all_of("forced").astype(np.bool_)
    joined = Pieces(
        document, all_of("start"), all_of("stop"), all_of("head"), all_of("seen"), forced
    )
    return joined.take(np.argsort(document, kind="stable"))
