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

from typing import NamedTuple

import numpy as np

from regreen.packing.plan import Ints

__all__ = ["best_fit"]


class _Gap(NamedTuple):
    """`count` rows from `first` on, each with `width` slots free after `depth` items."""

    width: int
    first: int
    count: int
    depth: int


class _Moves:
    """What was put where: move m puts `each` items into each of `count` rows from `first` on."""

    def __init__(self) -> None:
        self.first: list[int] = []
        self.count: list[int] = []
        self.each: list[int] = []
        self.depth: list[int] = []


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


def _place(counts: Ints, num_large: int, capacity: int) -> tuple[_Moves, int]:
    """Go down the sizes of at most half a row; return the moves and the number of rows."""
    half = capacity // 2
    buckets: list[list[_Gap]] = [[] for _ in range(half + 1)]
    for gap in _large(counts, capacity):
        buckets[gap.width].append(gap)
    smallest = int(np.flatnonzero(counts)[0]) if counts.any() else half + 1
    moves, stack, num_rows, left = _Moves(), list[_Gap](), num_large, counts[: half + 1].tolist()
    for size in range(half, smallest - 1, -1):
        if buckets[size]:
            stack += buckets[size]
        remaining = left[size]
        while remaining:
            if stack:
                width, first, count, depth = stack.pop()
                each = width // size
            else:
                width, first, depth, each = capacity, num_rows, 0, capacity // size
                count = -(-remaining // each)
                num_rows += count
            full = min(count, remaining // each)
            if full:
                _record(moves, first, full, each, depth)
                rest = width - each * size
                buckets[rest].append(_Gap(rest, first, full, depth + each))
                remaining -= full * each
            if full < count:
                part = 1 if remaining else 0
                if full + part < count:
                    stack.append(_Gap(width, first + full + part, count - full - part, depth))
                if part:
                    _record(moves, first + full, 1, remaining, depth)
                    rest = width - remaining * size
                    stack.append(_Gap(rest, first + full, 1, depth + remaining))
                    remaining = 0
    return moves, num_rows


def _large(counts: Ints, capacity: int) -> list[_Gap]:
    """The gaps beside items above half a row: no two of those share one."""
    half = capacity // 2
    sizes = np.flatnonzero(counts[half + 1 :])[::-1] + half + 1
    number = counts[sizes]
    first = np.cumsum(number) - number
    widths = (capacity - sizes).tolist()
    return [_Gap(*v, 1) for v in zip(widths, first.tolist(), number.tolist(), strict=True)]


def _record(moves: _Moves, first: int, count: int, each: int, depth: int) -> None:
    moves.first.append(first)
    moves.count.append(count)
    moves.each.append(each)
    moves.depth.append(depth)


def _expand(moves: _Moves, num_large: int) -> tuple[Ints, Ints]:
    """(P,) row and place within the row of every item, largest item first."""
    count, each = np.array(moves.count, np.int64), np.array(moves.each, np.int64)
    items = count * each
    begin = np.cumsum(items) - items
    within = np.arange(int(items.sum())) - np.repeat(begin, items)
    each = np.repeat(each, items)
    row = np.repeat(np.array(moves.first, np.int64), items) + within // each
    depth = np.repeat(np.array(moves.depth, np.int64), items) + within % each
    large = np.arange(num_large)
    return np.concatenate([large, row]), np.concatenate([np.zeros_like(large), depth])
