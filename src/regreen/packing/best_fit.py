"""Best-fit-decreasing over counts: whole groups of equal sizes and equal gaps move at once.

Going down the sizes, each item goes to the smallest gap that takes it, else to a new row; the rows'
fills are exactly those of the algorithm item by item (its use for packing: "Fewer Truncations
Improve Language Modeling", 2404.10830). Two things make it quick. Equal sizes meet equal gaps again
and again, so a *move* puts `each` items into each of `count` rows with the same gap. And no search
for the smallest gap is needed: gaps below the present size wait in a bucket by their width, and
when the size comes down to a width they are smaller than every gap in use, so the gaps in use are a
stack with the smallest on top.
"""

from __future__ import annotations

import numpy as np

from regreen.packing.plan import Ints

__all__ = ["best_fit"]

Gap = tuple[int, int, int, int]
"""Width, first, count, depth: `width` free slots in `count` rows from `first` on, each of which has
`depth` items."""


def best_fit(sizes: Ints, capacity: int) -> tuple[Ints, Ints]:
    """Pack items into as few rows as best-fit-decreasing does.

    Args:
        sizes: (P,) slots each item takes, 1 to `capacity`.
        capacity: slots of a row, at most `documents.MAX_CAPACITY`.

    Returns:
        (P,) the items row by row, largest first in each row, and (R + 1,) where each row begins
        among them. Items of equal size are taken in their order: the result is a function of the
        arguments.
    """
    order = _descending(sizes, capacity)
    counts = np.bincount(sizes, minlength=capacity + 1)
    num_large = int(counts[capacity // 2 + 1 :].sum())
    moves, num_rows = _place(counts, num_large, capacity)
    row, depth = _expand(moves, num_large)
    rows = np.zeros(num_rows + 1, np.int64)
    np.cumsum(np.bincount(row, minlength=num_rows), out=rows[1:])
    items = np.empty_like(order)
    items[rows[row] + depth] = order
    return items, rows


def _descending(sizes: Ints, capacity: int) -> Ints:
    """The items from the largest to the smallest; a radix sort, as numpy has one for 16 bits."""
    key = capacity - sizes
    order = np.argsort(key.astype(np.uint16), kind="stable")
    if capacity > 1 << 16:
        order = order[np.argsort((key >> 16).astype(np.uint16)[order], kind="stable")]
    return order


def _place(counts: Ints, num_large: int, capacity: int) -> tuple[list[int], int]:
    """Go down the sizes of at most half a row.

    Returns:
        The moves, flat, four numbers each: `each` items into each of `count` rows from `first` on,
        after `depth` others, as first, count, each, depth; and the number of rows.
    """
    half = capacity // 2
    buckets: list[list[Gap] | None] = [None] * (half + 1)
    for gap in _large(counts, capacity):
        buckets[gap[0]] = [gap]
    smallest = int(np.argmax(counts > 0))
    moves: list[int] = []
    stack: list[Gap] = []
    num_rows, to_place = num_large, counts[: half + 1].tolist()
    for size in range(half, smallest - 1, -1):
        stack += buckets[size] or ()
        remaining = to_place[size]
        while remaining:
            if not stack:
                count = -(-remaining // (capacity // size))
                stack.append((capacity, num_rows, count, 0))
                num_rows += count
            width, first, count, depth = stack.pop()
            each = width // size
            each = min(each, remaining)
            taken = remaining // each
            if taken < count:
                stack.append((width, first + taken, count - taken, depth))
            else:
                taken = count
            moves += (first, taken, each, depth)
            remaining -= taken * each
            width -= each * size
            gap = (width, first, taken, depth + each)
            if width >= size:
                stack.append(gap)
            elif (bucket := buckets[width]) is None:
                buckets[width] = [gap]
            else:
                bucket.append(gap)
    return moves, num_rows


def _large(counts: Ints, capacity: int) -> list[Gap]:
    """The gaps beside items above half a row: no two of those share one."""
    half = capacity // 2
    sizes = np.flatnonzero(counts[half + 1 :])[::-1] + half + 1
    number = counts[sizes]
    first = np.cumsum(number) - number
    widths = (capacity - sizes).tolist()
    return [(*gap, 1) for gap in zip(widths, first.tolist(), number.tolist(), strict=True)]


def _expand(moves: list[int], num_large: int) -> tuple[Ints, Ints]:
    """(P,) row and place within the row of every item, largest item first."""
    flat = np.fromiter(moves, np.int64, len(moves)).reshape(-1, 4)
    first, count, each, depth = flat.T
    items = count * each
    within = np.arange(int(items.sum())) - np.repeat(np.cumsum(items) - items, items)
    share, place = np.divmod(within, np.repeat(each, items))
    row = np.repeat(first, items) + share
    place += np.repeat(depth, items)
    large = np.arange(num_large)
    return np.concatenate([large, row]), np.concatenate([np.zeros_like(large), place])
