"""Caches of different origin side by side, so that their rows are decoded together.

Branches of one fork go on sharing their beginning, which is found by where it lies in memory; rows
of other origin are copied whole.

Shapes: A heads, T time, W width.
"""

from __future__ import annotations

from collections.abc import Sequence

from regreen.model.cache import Cache
from regreen.model.memory import lasting

__all__ = ["join"]


@lasting
def join(caches: Sequence[Cache]) -> Cache:
    """A cache of all rows of several, in order; the given ones stay as they are.

    Raises:
        ValueError: no caches, caches of different models or kinds, or an interrupted call.
    """
    if not caches:
        msg = "there is no cache to join"
        raise ValueError(msg)
    first = caches[0]
    for cache in caches:
        cache.settled()
        # Layers compare by identity: the same shape with other weights is another model.
        if cache.layers != first.layers or cache.config != first.config:
            msg = "caches of different models cannot be joined"
            raise ValueError(msg)
        if cache.history != first.history:
            msg = "caches with and without a history cannot be joined"
            raise ValueError(msg)
    beginnings = [_beginning(cache) for cache in caches]
    alike = beginnings.count(beginnings[0]) == len(caches)
    shared = first.rows.shared if alike else 0
    other = first.empty(sum(cache.num_rows for cache in caches), shared)
    lengths = [length for cache in caches for length in cache.lengths]
    other.rows.tails = [length - shared for length in lengths]
    other.copy_tails(max(other.rows.tails))
    for mine, *theirs in zip(other.tracks, *(cache.tracks for cache in caches), strict=True):
        mine.beginning = list(theirs[0].beginning) if shared else []
        sources = [(track, row) for track in theirs for row in range(len(track.rows.tails))]
        for row, (track, source) in enumerate(sources):
            tail_ATW = track.read(source, shared, lengths[row])
            mine.tail_BATW[row, :, : tail_ATW.shape[1]] = tail_ATW
    other.recurrent.take([cache.recurrent for cache in caches])
    other.count_from_anchors()
    return other


def _beginning(cache: Cache) -> tuple[int, list[tuple[int, int]]]:
    """What tells shared beginnings: the tokens, and of each piece where it lies and its length."""
    pieces = (piece for track in cache.tracks for piece in track.beginning)
    return cache.rows.shared, [(piece.data_ptr(), piece.shape[2]) for piece in pieces]
