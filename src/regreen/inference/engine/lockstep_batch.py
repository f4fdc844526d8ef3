"""Streams side by side in one cache: those that advance, or those whose tools run.

Sequences leave and join in groups, because every change copies the states that stay; who left
keeps its place, empty, until the places in use are few.
"""

from __future__ import annotations

from collections.abc import Sequence

from regreen.inference.engine.lockstep_stream import LockStepStream
from regreen.model import Cache
from regreen.model.joining import join

__all__ = ["Batch"]


class Batch:
    """A cache and whose its rows are.

    Args:
        cache: the states.
        streams: one per row, in order; they are seated here.
    """

    def __init__(self, cache: Cache, streams: Sequence[LockStepStream]) -> None:
        self.cache = cache
        self.streams: list[LockStepStream | None] = list(streams)
        """None where nobody needs the row any more."""
        for place, stream in enumerate(streams):
            stream.seat = self, place

    @property
    def seated(self) -> list[LockStepStream]:
        """The streams that are left."""
        return [stream for stream in self.streams if stream is not None]

    def part(self, streams: Sequence[LockStepStream]) -> Batch:
        """Some of the streams in a batch of their own; here their rows are empty from now on."""
        if len(streams) == len(self.streams):
            return self
        places = [stream.seat[1] for stream in streams if stream.seat is not None]
        cache = self.cache.pick(places)
        for place in places:
            self.streams[place] = None
        return Batch(cache, streams)

    @classmethod
    def joined(cls, batches: Sequence[Batch]) -> Batch:
        """All streams of several batches in one."""
        if len(batches) == 1:
            return batches[0]
        parts = [batch.part(batch.seated) for batch in batches]
        return cls(join([one.cache for one in parts]), [s for one in parts for s in one.seated])
