"""Who computes which sequence, so that ranks finish together.

A rank's micro-batches come dearest first: what ranks compute at the same time is then alike, and
they wait for each other at every layer of it.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from regreen.core.errors import UsageError
from regreen.packing import CostModel
from regreen.packing.best_fit import best_fit

__all__ = ["split"]


def split(
    lengths: Sequence[int], num_ranks: int, *, capacity: int, cost: CostModel
) -> tuple[tuple[tuple[int, ...], ...], ...]:
    """Give every sequence of a batch to a micro-batch of a rank, so that ranks finish together.

    Args:
        lengths: tokens of each sequence.
        num_ranks: how many ranks.
        capacity: tokens of a micro-batch; a longer sequence is one by itself.
        cost: what a sequence costs (`CostModel.of(config)`).

    Returns:
        For each rank its micro-batches, each the places of its sequences, ascending. All ranks have
        equally many; an empty one is `idle`. The result is a function of the arguments.

    Raises:
        UsageError: a length or a capacity below 1, fewer than one rank.
    """
    if num_ranks < 1 or capacity < 1 or any(length < 1 for length in lengths):
        msg = f"cannot split {len(lengths)} sequences over {num_ranks} ranks by {capacity} tokens"
        raise UsageError(msg, where="split", mend="at least one rank, and lengths of at least 1")
    if not lengths:
        return ((),) * num_ranks
    sizes = np.asarray(lengths, np.int64)
    costs = cost.linear * sizes + cost.quadratic * sizes.astype(np.float64) ** 2
    found = [_filled(own, sizes, costs, capacity) for own in _dealt(costs, num_ranks)]
    most = max(map(len, found))
    return tuple(own + ((),) * (most - len(own)) for own in found)


def _dealt(costs: NDArray[np.float64], num_ranks: int) -> list[list[int]]:
    """The sequences of each rank: dearest first, each to the rank that has the least so far."""
    loads = [(0.0, rank) for rank in range(num_ranks)]
    found: list[list[int]] = [[] for _ in range(num_ranks)]
    for place in np.argsort(-costs, kind="stable").tolist():
        load, rank = loads[0]
        found[rank].append(place)
        heapq.heapreplace(loads, (load + float(costs[place]), rank))
    return found


def _filled(
    places: list[int], sizes: NDArray[np.int64], costs: NDArray[np.float64], capacity: int
) -> tuple[tuple[int, ...], ...]:
    """Micro-batches of a rank, dearest first: those that ranks compute at a time are alike."""
    if not places:
        return ()
    own = np.asarray(sorted(places))
    items, rows = best_fit(np.minimum(sizes[own], capacity), capacity)
    found = [own[np.sort(items[a:b])] for a, b in pairwise(rows.tolist())]
    found.sort(key=lambda one: (-float(costs[one].sum()), int(one[0])))
    return tuple(tuple(one.tolist()) for one in found)
