"""Copies of the recurrent state at tokens that a row may return to.

Attention can be cut back to any token, a recurrent state cannot: it is kept, or computed again from
an earlier one. An anchor belongs to one row and is never changed once made, so branches and joined
batches simply hold the same one.

Shapes: H value heads, K and V their widths, L tokens of context, J convolved channels.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from torch import Tensor

__all__ = ["Anchor", "Anchors"]


@dataclass(frozen=True)
class Anchor:
    """One row's recurrent layers behind its first `position` tokens."""

    position: int
    """Tokens the row had read."""
    states: tuple[Tensor, ...]
    """(H, K, V) per recurrent layer."""
    contexts: tuple[Tensor, ...]
    """(L, J) the convolution's last inputs, per recurrent layer."""

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """All that is held."""
        return (*self.states, *self.contexts)


class Anchors:
    """The anchors of every row, each row's in the order of its tokens."""

    def __init__(self, rows: Sequence[Sequence[Anchor]]) -> None:
        """Take the anchors of each row."""
        self.rows = [list(row) for row in rows]

    def __iter__(self) -> Iterator[Anchor]:
        """Every anchor once, however many rows hold it."""
        return iter({id(anchor): anchor for row in self.rows for anchor in row}.values())

    def add(self, row: int, anchor: Anchor) -> None:
        """Keep an anchor in front of no other; the same place is not kept twice."""
        if not self.rows[row] or self.rows[row][-1].position < anchor.position:
            self.rows[row].append(anchor)

    def before(self, row: int, at: int) -> Anchor | None:
        """The last anchor of a row that has read at most `at` tokens."""
        place = bisect_right(self.rows[row], at, key=_position)
        return self.rows[row][place - 1] if place else None

    def cut(self, lengths: Sequence[int]) -> None:
        """Forget what lies behind the new end of each row."""
        self.rows = [self.first(row, length) for row, length in enumerate(lengths)]

    def first(self, row: int, at: int) -> list[Anchor]:
        """A row's anchors within its first `at` tokens."""
        return self.rows[row][: bisect_right(self.rows[row], at, key=_position)]

    def gap(self, lengths: Sequence[int]) -> int:
        """Tokens since the last anchor, of the row that has read most since its own."""
        ends = (row[-1].position if row else 0 for row in self.rows)
        return max(length - end for length, end in zip(lengths, ends, strict=True))


def _position(anchor: Anchor) -> int:
    return anchor.position
