"""One kind of value along time, for many rows: a beginning they share, and a tail of their own.

A branch takes its beginning from its parent as a view, so a group of rollouts from one prompt holds
the prompt's keys once. What a branch looks at is lent: a row that has gone back behind it writes
into a new buffer. Tails grow together, by half, so that a call that fits allocates nothing.

Shapes: B rows, A heads, T time, W width, N tokens of a call, L tokens of context.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from operator import add, lt

import torch
from torch import Tensor

__all__ = ["Call", "Rows", "Track"]

_SPARE = 32
"""Places made beyond what a growing tail needs, so that short rows do not grow at every call."""


class Call:
    """Where the running call writes, worked out once for all layers."""

    def __init__(self, tails: Sequence[int], counts: tuple[int, ...], device: torch.device) -> None:
        """Take how far the tails reach and how many tokens the call adds to each."""
        self.tails, self.counts, self.device = tails, counts, device
        even = counts.count(counts[0]) == len(counts)
        self.count = counts[0] if even else None
        """Tokens that every row adds; None where they differ."""
        self.start = tails[0] if even and tails.count(tails[0]) == len(tails) else None
        """Where all rows stand, so that the call is one slice; None where anything differs."""
        self.longest = max(map(add, tails, counts))
        """The longest tail, the call's tokens included."""
        self._behind: dict[int, tuple[Tensor, Tensor, Tensor, Tensor]] = {}

    @cached_property
    def places(self) -> tuple[Tensor, Tensor]:
        """(N,) the row of each new token, and (N,) its place in the tail."""
        row_B = torch.arange(len(self.counts))
        counts_B, tails_B = torch.tensor(self.counts), torch.tensor(self.tails)
        row_N = row_B.repeat_interleave(counts_B)
        offset_B = tails_B + counts_B - counts_B.cumsum(0)
        place_N = torch.arange(len(row_N)) + offset_B[row_N]
        return row_N.to(self.device), place_N.to(self.device)

    @cached_property
    def hidden_BT(self) -> Tensor:
        """(B, longest) places behind the one new token of each row."""
        ends_B = torch.tensor(self.tails, device=self.device)
        return torch.arange(self.longest, device=self.device) > ends_B[:, None]

    def behind(self, context_BLW: Tensor, x_NW: Tensor) -> Tensor:
        """(B, L, W) the last tokens of each row once the call's are added to its context."""
        width = context_BLW.shape[1]
        if self.count is not None and self.count >= width:
            return x_NW.unflatten(0, (-1, self.count))[:, self.count - width :].clone()
        if width not in self._behind:
            counts_B1 = torch.tensor(self.counts)[:, None]
            from_context_BL = counts_B1 + torch.arange(width)
            new_BL = from_context_BL >= width
            starts_B1 = counts_B1.cumsum(0) - counts_B1
            from_call_BL = (starts_B1 + from_context_BL - width).clamp_(min=0)
            indices = (new_BL[..., None], from_call_BL, torch.arange(len(new_BL))[:, None])
            old_BL = from_context_BL.clamp_(max=width - 1)
            new, call, row, old = (index.to(self.device) for index in (*indices, old_BL))
            self._behind[width] = new, call, row, old
        new, call, row, old = self._behind[width]
        return torch.where(new, x_NW[call], context_BLW[row, old])


class Rows:
    """How far each row has come; one object for all tracks of a cache."""

    def __init__(self, num_rows: int, device: torch.device, shared: int = 0) -> None:
        """Start `num_rows` rows behind a beginning of `shared` tokens."""
        self.device, self.shared = device, shared
        self.tails = [0] * num_rows
        """Tokens of each row behind the shared beginning."""
        self.lent = [0] * num_rows
        """Tokens of each tail that branches look at: never to be overwritten."""
        self.capacity = 0
        """Places of a tail."""
        self.call: Call | None = None
        """The call that is running, or was interrupted."""

    @property
    def lengths(self) -> list[int]:
        """Tokens of each row."""
        return [self.shared + tail for tail in self.tails]

    @property
    def running(self) -> Call:
        """The call that is running."""
        assert self.call is not None
        return self.call

    def prepare(self, counts: tuple[int, ...]) -> tuple[Call, int | None]:
        """A call to come, and the capacity the tails must be copied to, None where they serve."""
        call = Call(self.tails, counts, self.device)
        if call.longest > self.capacity:
            return call, max(call.longest + _SPARE, self.capacity + self.capacity // 2)
        return call, self.capacity if any(map(lt, self.tails, self.lent)) else None

    def commit(self) -> int:
        """End the call: its tokens belong to the rows. The most that one row took in."""
        counts = self.running.counts
        self.tails = list(map(add, self.tails, counts))
        self.call = None
        return max(counts)

    def owned(self, capacity: int) -> None:
        """All tails were copied to buffers of `capacity` places that no branch looks at."""
        self.capacity, self.lent = capacity, [0] * len(self.tails)


class Track:
    """Values of all rows along time."""

    def __init__(self, rows: Rows, heads: int, width: int, like: Tensor) -> None:
        """Make an empty track.

        Args:
            rows: where the rows stand.
            heads: A.
            width: W.
            like: a tensor whose type and device the values take.
        """
        self.rows = rows
        self.beginning: list[Tensor] = []
        """Pieces (1, A, T, W) of the shared beginning, one behind another."""
        self.tail_BATW = like.new_zeros(len(rows.tails), heads, rows.capacity, width)

    def copy_tail(self, capacity: int) -> None:
        """Move the tails to a buffer of their own with `capacity` places."""
        batch, heads, _, width = self.tail_BATW.shape
        tail_BATW = self.tail_BATW.new_zeros(batch, heads, capacity, width)
        used = min(max(self.rows.tails), self.tail_BATW.shape[2])
        tail_BATW[:, :, :used] = self.tail_BATW[:, :, :used]
        self.tail_BATW = tail_BATW

    def put(self, x_NAW: Tensor) -> None:
        """Write the running call's values, row after row."""
        call = self.rows.running
        if call.start is None:
            self.tail_BATW.transpose(1, 2).index_put_(call.places, x_NAW)
        elif call.count == 1:
            self.tail_BATW.select(2, call.start).copy_(x_NAW)
        else:
            x_BATW = x_NAW.unflatten(0, (-1, call.counts[0])).transpose(1, 2)
            self.tail_BATW.narrow(2, call.start, call.counts[0]).copy_(x_BATW)

    def parts(self) -> list[Tensor]:
        """In a call: the beginning's pieces (1, A, T, W), then the tails (B, A, longest, W)."""
        tail_BATW = self.tail_BATW.narrow(2, 0, self.rows.running.longest)
        return [*self.beginning, tail_BATW] if self.beginning else [tail_BATW]

    def read(self, row: int, start: int, stop: int) -> Tensor:
        """(A, stop - start, W) values of one row between two absolute tokens."""
        pieces, begin = [], 0
        for piece in self.beginning:
            end = begin + piece.shape[2]
            if start < end and begin < stop:
                pieces.append(piece[0, :, max(start - begin, 0) : stop - begin])
            begin = end
        if stop > begin or not pieces:
            pieces.append(self.tail_BATW[row, :, max(start - begin, 0) : max(stop - begin, 0)])
        return pieces[0] if len(pieces) == 1 else torch.cat(pieces, dim=1)

    def follow(self, parent: Track, row: int, at: int) -> None:
        """Begin with the first `at` tokens of a parent's row, which are only looked at."""
        self.beginning = parent.first(at)
        if (own := at - parent.rows.shared) > 0:
            self.beginning.append(parent.tail_BATW[row : row + 1, :, :own])

    def pick(self, other: Track, index: Sequence[int]) -> None:
        """Hold copies of the tails of `index` of another, in its order, behind its beginning."""
        self.beginning = list(other.beginning)
        self.tail_BATW = other.tail_BATW[list(index)]

    def own(self, keep: int, stop: int) -> None:
        """Share the first `keep` tokens only, and copy those up to `stop` into every tail.

        Where `stop` lies inside the beginning, no row reaches its end, and the tails start anew.
        """
        if stop > keep:
            moved_ATW = self.read(0, keep, stop)
            parts = [moved_ATW.expand(len(self.tail_BATW), -1, -1, -1)]
            if stop == self.rows.shared:
                parts.append(self.tail_BATW)
            self.tail_BATW = torch.cat(parts, dim=2)
        self.beginning = self.first(keep)

    def first(self, at: int) -> list[Tensor]:
        """The pieces of the beginning, cut at `at` tokens."""
        pieces, begin = [], 0
        for piece in self.beginning:
            if begin < at:
                pieces.append(piece[:, :, : at - begin])
            begin += piece.shape[2]
        return pieces
