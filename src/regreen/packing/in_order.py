"""Policies that keep the documents' order: concatenate, restart the last, pad the last.

They are here to be compared with (Qwen3-Coder-Next's report measures them beside best fit): each
cuts or pads about one document a row. All three give whole arrays at once; which document begins a
row is the only thing found one row at a time.
"""

from __future__ import annotations

import numpy as np

from regreen.packing.cuts import split
from regreen.packing.documents import Documents, Pieces, check_pieces
from regreen.packing.plan import Ints

__all__ = ["concat", "pad_last", "restart_last"]


def concat(known: Documents) -> tuple[Pieces, Ints]:
    """All documents one after the other, cut where a row ends."""
    capacity, lengths = known.capacity, known.lengths
    # At most one piece more than this; checked before the sum of the lengths can overflow.
    check_pieces(known, -(-lengths // capacity))
    ends = np.cumsum(lengths)
    begins = ends - lengths
    counts = (ends - 1) // capacity - begins // capacity + 1
    document = np.repeat(np.arange(len(lengths)), counts)
    place = np.arange(len(document)) - np.repeat(np.cumsum(counts) - counts, counts)
    row = begins[document] // capacity + place
    start = np.maximum(row * capacity - begins[document], 0)
    stop = np.minimum((row + 1) * capacity - begins[document], lengths[document])
    num_rows = int(row[-1]) + 1 if len(row) else 0
    return Pieces.of(document, start, stop), np.searchsorted(row, np.arange(num_rows + 1))


def pad_last(known: Documents) -> tuple[Pieces, Ints]:
    """A document that no longer fits begins the next row; what is left of this one stays empty.

    A document longer than a row is split first, each chunk taken for a document.
    """
    pieces = split(known)
    return pieces, _next_fit(pieces.stop - pieces.start, known.capacity)


def restart_last(known: Documents) -> tuple[Pieces, Ints]:
    """As `pad_last`, the empty slots filled with the beginning of the document that did not fit.

    That document begins again in the next row, where the repeated tokens are `seen`: the two copies
    have the same context, so one loss is enough.
    """
    pieces, rows = pad_last(known)
    ends = np.concatenate([np.zeros(1, np.int64), np.cumsum(pieces.stop - pieces.start)])
    empty = known.capacity - np.diff(ends[rows])[:-1]
    cut, next_row = rows[1:-1][empty > 0], np.flatnonzero(empty > 0) + 1
    length = empty[empty > 0]
    seen = pieces.seen.copy()
    seen[cut] = length
    filled = Pieces.of(
        np.insert(pieces.document, cut, pieces.document[cut]),
        np.insert(pieces.start, cut, pieces.start[cut]),
        np.insert(pieces.stop, cut, pieces.start[cut] + length),
        seen=np.insert(seen, cut, 0),
    )
    added = np.zeros(len(rows), np.int64)
    added[next_row] = 1
    return filled, rows + np.cumsum(added)


def _next_fit(sizes: Ints, capacity: int) -> Ints:
    """(R + 1,) the item each row begins with, when a row takes items in order while they fit."""
    ends = np.concatenate([np.zeros(1, np.int64), np.cumsum(sizes)])
    following = (np.searchsorted(ends, ends[:-1] + capacity, side="right") - 1).tolist()
    rows, item = [0], 0
    while item < len(sizes):
        item = following[item]
        rows.append(item)
    return np.array(rows, np.int64)
