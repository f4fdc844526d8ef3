"""One kind of value along time, for many rows: a beginning they share, and a tail of their own.

A branch takes its beginning from its parent as a view, so a group of rollouts from one prompt holds
the prompt's keys once. Tails grow in one buffer per batch, by doubling.

Shapes: B rows, A heads, T time, W width; L leading places of context in front of the first token.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = ["LostHistoryError", "Rows", "Track"]


class LostHistoryError(ValueError):
    """A past token was asked for whose inputs were not kept."""


class Rows:
    """How far each row has come; one object for all tracks of a cache."""

    def __init__(self, num_rows: int, shared: int = 0) -> None:
        self.shared = shared
        """Tokens of the beginning that all rows share."""
        self.tails = [0] * num_rows
        """Tokens of each row behind it."""
        self.pending: tuple[int, ...] = ()
        """Tokens of each row that the running call adds; empty between calls."""
        self.lent = [0] * num_rows
        """Tokens of each tail that branches look at: never to be overwritten."""

    @property
    def level(self) -> bool:
        """Whether all rows stand at one token and, in a call, add equally many."""
        return len(set(self.tails)) == 1 and len(set(self.pending)) <= 1

    @property
    def longest(self) -> int:
        """The longest tail, with what the running call adds."""
        pending = self.pending or (0,) * len(self.tails)
        return max(tail + more for tail, more in zip(self.tails, pending, strict=True))


class Track:
    """Values of all rows along time."""

    def __init__(
        self, rows: Rows, heads: int, width: int, like: Tensor, *, lead: int = 0, keep: bool = True
    ) -> None:
        """Make an empty track.

        Args:
            rows: where the rows stand.
            heads: A.
            width: W.
            like: a tensor whose type and device the values take.
            lead: places of context in front of the first token, zero at the start.
            keep: whether tokens behind the context are kept; without, only the context is.
        """
        self.rows, self.lead, self.keep = rows, lead, keep
        self.beginning: list[Tensor] = []
        self.dropped = [0] * len(rows.tails)
        self.tail_BATW = like.new_zeros(len(rows.tails), heads, lead, width)

    def reserve(self) -> None:
        """Make room for what the running call adds."""
        rows = self.rows
        if not self.keep:
            self._slide()
        used = [t - d for t, d in zip(rows.tails, self.dropped, strict=True)]
        need = self.lead + max(u + p for u, p in zip(used, rows.pending, strict=True))
        capacity = self.tail_BATW.shape[2]
        if need > capacity or any(a < b for a, b in zip(rows.tails, rows.lent, strict=True)):
            grown = max(need + 16, capacity + capacity // 2) if need > capacity else capacity
            batch, heads, _, width = self.tail_BATW.shape
            tail = self.tail_BATW.new_zeros(batch, heads, grown, width)
            tail[:, :, :capacity] = self.tail_BATW
            self.tail_BATW = tail

    def _slide(self) -> None:
        used = [t - d for t, d in zip(self.rows.tails, self.dropped, strict=True)]
        room = self.tail_BATW.shape[2] - self.lead
        if all(u + p <= room for u, p in zip(used, self.rows.pending, strict=True)):
            return
        self.tail_BATW[:, :, : self.lead] = self.context().clone()
        self.dropped = list(self.rows.tails)

    def put(self, x_NAW: Tensor) -> None:
        """Write the running call's values, row after row."""
        rows, lead = self.rows, self.lead
        at = [lead + t - d for t, d in zip(rows.tails, self.dropped, strict=True)]
        if rows.level and len(set(at)) == 1:
            count = rows.pending[0]
            x = x_NAW.unflatten(0, (len(at), count)).transpose(1, 2)
            self.tail_BATW[:, :, at[0] : at[0] + count] = x
        elif set(rows.pending) == {1}:
            index = torch.tensor(at, device=x_NAW.device)
            self.tail_BATW[torch.arange(len(at), device=x_NAW.device), :, index] = x_NAW
        else:
            for row, part in enumerate(x_NAW.split(list(rows.pending))):
                self.tail_BATW[row, :, at[row] : at[row] + len(part)] = part.transpose(0, 1)

    def context(self, ahead: int = 0) -> Tensor:
        """(B, A, lead + ahead, W) the last `lead` values before the call and `ahead` of its own."""
        at = [t - d for t, d in zip(self.rows.tails, self.dropped, strict=True)]
        width = self.lead + ahead
        if len(set(at)) == 1:
            return self.tail_BATW[:, :, at[0] : at[0] + width]
        device = self.tail_BATW.device
        index = torch.tensor(at, device=device)[:, None] + torch.arange(width, device=device)
        batch = torch.arange(len(at), device=device)[:, None]
        return self.tail_BATW.transpose(1, 2)[batch, index].transpose(1, 2)

    def parts(self) -> list[Tensor]:
        """The beginning's pieces (1, A, P, W), then the tails (B, A, longest, W)."""
        return [*self.beginning, self.tail_BATW[:, :, self.lead : self.lead + self.rows.longest]]

    def read(self, row: int, start: int, stop: int) -> Tensor:
        """(A, stop - start, W) values of one row between two absolute tokens.

        Raises:
            LostHistoryError: some of them were not kept.
        """
        pieces, begin = [], 0
        for piece in self.beginning:
            end = begin + piece.shape[2]
            if start < end and begin < stop:
                pieces.append(piece[0, :, max(start - begin, 0) : stop - begin])
            begin = end
        if stop > begin:
            first = max(start, begin) - begin - self.dropped[row]
            if first < 0:
                msg = f"tokens before {begin + self.dropped[row]} of row {row} were not kept"
                raise LostHistoryError(msg)
            last = stop - begin - self.dropped[row]
            pieces.append(self.tail_BATW[row, :, self.lead + first : self.lead + last])
        return pieces[0] if len(pieces) == 1 else torch.cat(pieces, dim=1)

    def branch(self, row: int, at: int, rows: Rows, context_ALW: Tensor | None) -> Track:
        """A track whose rows all continue this row's first `at` tokens, which it only looks at."""
        heads, _, width = self.tail_BATW.shape[1:]
        other = Track(rows, heads, width, self.tail_BATW, lead=self.lead, keep=self.keep)
        if context_ALW is not None:
            other.tail_BATW.copy_(context_ALW)
        if not self.keep:
            return other
        begin = 0
        for piece in self.beginning:
            if begin < at:
                other.beginning.append(piece[:, :, : at - begin])
            begin += piece.shape[2]
        if at > begin:
            own = self.tail_BATW[row : row + 1, :, self.lead : self.lead + at - begin]
            other.beginning.append(own)
        return other

    def select(self, index: Sequence[int]) -> None:
        """Keep the rows of `index`, in its order; a row may be kept more than once."""
        self.tail_BATW = self.tail_BATW[list(index)]
        self.dropped = [self.dropped[row] for row in index]

    def own_beginning(self) -> None:
        """Copy the shared beginning into every tail, so that rows may part within it."""
        if not self.keep:
            self.dropped = [dropped + self.rows.shared for dropped in self.dropped]
        if not self.beginning:
            return
        batch = len(self.tail_BATW)
        wide = [piece.expand(batch, -1, -1, -1) for piece in self.beginning]
        lead, tail = self.tail_BATW.split((self.lead, self.tail_BATW.shape[2] - self.lead), dim=2)
        self.tail_BATW = torch.cat((torch.zeros_like(lead), *wide, tail), dim=2)
        self.beginning = []
