"""Where a rendered conversation may be cut, from the spans that the renderer left.

A cut stands in front of an assistant's or a user's message: an answer and the results of its calls
stay together. Only where such a step is longer than the room beside the head is it cut between the
call and its results, or between two results; and only where a single message is longer than that,
inside the message. A call is never cut, nor the calls of one answer from each other: a trajectory
with an answer whose calls fit no row is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from regreen.templates.conversion.steps import Unconvertible
from regreen.templates.tokens.spans import Span

__all__ = ["CutPlaces", "cut_places", "head_length", "text_places"]

_PER_ROOM = 32
"""Places inside a long message, for each row that it fills."""
_PER_ROW = 2048
"""Places in a plain text, for each row that it fills; a row loses at most that part of itself."""

Between = Callable[[int, int], Iterable[int]]
"""Further places in a stretch that is too long."""


class CutPlaces(NamedTuple):
    """Places, ascending, and whether any of them lies inside a message."""

    places: NDArray[np.int64]
    """A cut stands in front of the token with this index."""
    inside: bool
    """Whether a message had to be made divisible."""


def head_length(spans: Sequence[Span]) -> int:
    """Tokens in front of the first message that is not the system's: its text, and the tools."""
    return next((span.start for span in spans if span.role != "system"), 0)


def text_places(length: int, capacity: int) -> NDArray[np.int64]:
    """Places in a plain text, which has no messages."""
    return np.arange(0, length, max(1, capacity // _PER_ROW), dtype=np.int64)[1:]


def cut_places(
    spans: Sequence[Span], head: int, room: int, *, shared_ends: bool = False
) -> CutPlaces:
    """Places such that no stretch between two of them is longer than the room.

    Args:
        spans: of a whole conversation.
        head: tokens of its head.
        room: tokens of a row beside the head.
        shared_ends: whether the mark that ends an answer is the one that opens the next turn
            (GLM); it then goes with that turn, which would begin in its middle without it.

    Raises:
        Unconvertible: a stretch that must not be cut is longer.
    """
    if room < 1:
        what = "the head of a document fills a row"
        raise Unconvertible(what, where=f"{head:,} tokens; {1 - room:,} more than would do")
    length = spans[-1].end
    borders = [place for place in _borders(spans, shared_ends=shared_ends) if place.start > head]
    turns = [place.start for place in borders if place.role != "tool"]
    found = [head, *turns, length]
    found = list(_filled(found, room, _within(sorted({place.start for place in borders}))))
    whole = len(found)
    found = list(_filled(found, room, lambda start, end: _inside(spans, start, end, room)))
    for start, end in pairwise(found):
        if end - start > room:
            what = "the calls of an answer are longer than a row beside the head"
            raise Unconvertible(what, where=f"{end - start:,} tokens in a room of {room:,}")
    return CutPlaces(np.array(found[1:-1], np.int64), len(found) > whole)


class _Border(NamedTuple):
    """The beginning of a message."""

    start: int
    role: str


def _borders(spans: Sequence[Span], *, shared_ends: bool) -> Iterator[_Border]:
    """Where each message begins; what closes several results is none of a new message."""
    last = spans[0].message
    for before, span in pairwise(spans):
        if span.message > last:
            last = span.message
            shared = shared_ends and before.kind == "end"
            yield _Border(before.start if shared else span.start, span.role)


def _filled(places: Sequence[int], room: int, between: Between) -> Iterator[int]:
    yield places[0]
    for start, end in pairwise(places):
        if end - start > room:
            yield from between(start, end)
        yield end


def _within(places: Sequence[int]) -> Between:
    return lambda start, end: [place for place in places if start < place < end]


def _inside(spans: Sequence[Span], start: int, end: int, room: int) -> Iterator[int]:
    """Places inside messages, calls left out."""
    stride = max(1, room // _PER_ROOM)
    for span in spans:
        if span.end <= start or span.start >= end:
            continue
        if start < span.start:
            yield span.start
        if span.kind != "calls":
            first = max(span.start, start)
            yield from range(first + stride, min(span.end, end), stride)
