"""What a decoder remembers of the rows it reads: keys and values, convolution and recurrent state.

Attention can be cut back to any token, a recurrent state cannot: it must be kept or computed again.
The cache keeps *anchors* (copies of the state now and then) and the small inputs of the delta rule
for every token, so any past state is reached by replaying that rule alone, never the model. With
`history=False` only anchors can be returned to; memory is then constant but for keys and values.

A cache holds no gradients, and its tensors belong to the weights that made them: after a change of
weights it is worth nothing. Rows have no padding: a row's content does not depend on the others.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from regreen.model.anchors import Anchors
from regreen.model.config import ModelConfig
from regreen.model.memory import AttentionMemory, DeltaMemory, Replays, lasting
from regreen.model.recurrent import LostHistoryError, Recurrent
from regreen.model.tracks import Rows, Track

__all__ = ["Cache", "LostHistoryError"]


class Cache:
    """The memory of a batch of rows; make one by `Decoder.new_cache`."""

    @lasting
    def __init__(
        self,
        config: ModelConfig,
        num_rows: int,
        like: Tensor,
        layers: Sequence[Replays | None],
        *,
        history: bool = True,
        anchor_every: int = 1024,
        shared: int = 0,
    ) -> None:
        """Make an empty cache.

        Args:
            config: the model's shape.
            num_rows: sequences decoded together.
            like: a tensor whose type and device keys and values take.
            layers: each recurrent layer, None for attention layers.
            history: keep the delta rule's inputs, so that every past token can be returned to.
            anchor_every: with a history, copy the states before a call when so many tokens were
                read since the last copy; a replay starts at a copy.
            shared: tokens of a beginning that the caller puts in front of all rows.

        Raises:
            ValueError: no rows.
        """
        if num_rows < 1:
            msg = "a cache has at least one row"
            raise ValueError(msg)
        self.config, self.layers, self.history = config, tuple(layers), history
        self.anchor_every = anchor_every
        self.rows = Rows(num_rows, like.device, shared)
        self._like, self._since_anchor = like, 0
        self.memories = [
            AttentionMemory(self.rows, config, like)
            if layer is None
            else DeltaMemory(self.rows, config, like, history=history)
            for layer in layers
        ]
        self.recurrent = Recurrent(
            self.rows,
            [layer for layer in layers if layer is not None],
            [memory for memory in self.memories if isinstance(memory, DeltaMemory)],
        )

    @property
    def num_rows(self) -> int:
        """Rows of the batch."""
        return len(self.rows.tails)

    @property
    def lengths(self) -> list[int]:
        """Tokens read by each row."""
        return self.rows.lengths

    @property
    def num_bytes(self) -> int:
        """Bytes held, spare places included, a beginning shared by several rows counted once."""
        tensors = self.recurrent.tensors
        for track in self.tracks:
            tensors += [track.tail_BATW, *track.beginning]
        return sum(tensor.numel() * tensor.element_size() for tensor in tensors)

    @property
    def tracks(self) -> list[Track]:
        """Everything kept along time, layer by layer."""
        return [track for memory in self.memories for track in memory.tracks]

    def begin(self, counts: Sequence[int]) -> None:
        """Prepare for a call that adds `counts` tokens to the rows.

        Raises:
            ValueError: gradients are enabled, another number of rows is meant, or the call before
                was interrupted.
        """
        if torch.is_grad_enabled():
            msg = "a cache holds no gradients; call the model under torch.no_grad()"
            raise ValueError(msg)
        if len(counts) != self.num_rows:
            msg = f"{len(counts)} documents were given for the {self.num_rows} rows of the cache"
            raise ValueError(msg)
        self.settled()
        if self.history and self._since_anchor >= self.anchor_every:
            self.mark()
        call, capacity = self.rows.prepare(tuple(counts))
        if capacity is not None:
            self.copy_tails(capacity)
        self.rows.call = call

    def commit(self) -> None:
        """The call is done: its tokens belong to the rows."""
        self._since_anchor += self.rows.commit()

    def settled(self) -> None:
        """Refuse a cache that an exception left between two tokens.

        Raises:
            ValueError: the last call did not end.
        """
        if self.rows.call is not None:
            msg = "the last call was interrupted and left half its tokens; roll the cache back"
            raise ValueError(msg)

    @lasting
    def mark(self) -> None:
        """Copy the states as they stand, so that this token can be returned to at no cost."""
        self.settled()
        self.recurrent.mark()
        self._since_anchor = 0

    @lasting
    def fork(self, row: int = 0, *, at: int | None = None, copies: int = 1) -> Cache:
        """A cache of `copies` rows that continue one row behind its first `at` tokens.

        Keys, values and inputs of the shared tokens are looked at, not copied; the recurrent state
        is copied, by replay where `at` lies in the past. This cache stays as it is. A replay begins
        at the last anchor, and anchors are made between calls: cut a long prompt into several calls
        to bound it.

        Raises:
            LostHistoryError: `at` lies in a past that was not kept.
            ValueError: there is no such row, or it has not read so many tokens.
        """
        self.settled()
        at = self._checked(row, at)
        anchor = self.recurrent.at(row, at)
        other = self.empty(copies, at)
        for track, parent in zip(other.tracks, self.tracks, strict=True):
            track.follow(parent, row, at)
        self.rows.lent[row] = max(self.rows.lent[row], at - self.rows.shared)
        other.recurrent.stand([anchor] * copies)
        other.recurrent.anchors = Anchors([self.recurrent.anchors.first(row, at)] * copies)
        other.count_from_anchors()
        return other

    @lasting
    def rollback(self, lengths: Sequence[int]) -> None:
        """Take every row back to the given number of tokens, at most what it has read.

        It also mends a cache whose last call was interrupted, without a history only to a marked
        place.

        Raises:
            LostHistoryError: a length lies in a past that was not kept; nothing is changed.
            ValueError: a row has not read so many tokens, or not every row is given a length.
        """
        if len(lengths) != self.num_rows:
            msg = f"{len(lengths)} lengths were given for the {self.num_rows} rows of the cache"
            raise ValueError(msg)
        found = [
            self.recurrent.at(row, self._checked(row, length)) for row, length in enumerate(lengths)
        ]
        self.rows.call = None
        if min(lengths) < self.rows.shared:
            self._part(lengths)
        self.recurrent.stand(found)
        self.rows.tails = [length - self.rows.shared for length in lengths]
        self.recurrent.anchors.cut(lengths)
        self.count_from_anchors()

    @lasting
    def pick(self, rows: Sequence[int]) -> Cache:
        """A cache of copies of the given rows, in the given order; this one stays as it is.

        Raises:
            ValueError: no rows, or one that is not there.
        """
        self.settled()
        index = [self._row(row) for row in rows]
        other = self.empty(len(index), self.rows.shared)
        other.rows.tails = [self.rows.tails[row] for row in index]
        other.rows.owned(self.rows.capacity)
        for mine, track in zip(other.tracks, self.tracks, strict=True):
            mine.pick(track, index)
        other.recurrent.pick(self.recurrent, index)
        other.count_from_anchors()
        return other

    def select(self, rows: Sequence[int]) -> None:
        """Keep the given rows in the given order: reorder, drop or repeat rows of the batch.

        Raises:
            ValueError: no rows, or one that is not there.
        """
        if list(rows) != list(range(self.num_rows)):
            self.replace(self.pick(rows))

    def replace(self, other: Cache) -> None:
        """Hold what another cache of the same model holds, which is not to be used again."""
        self.rows, self.memories, self.recurrent = other.rows, other.memories, other.recurrent
        self.history, self._since_anchor = other.history, other._since_anchor

    def empty(self, num_rows: int, shared: int = 0) -> Cache:
        """A cache like this one that has read nothing; see `shared` of the constructor."""
        return Cache(
            self.config,
            num_rows,
            self._like,
            self.layers,
            history=self.history,
            anchor_every=self.anchor_every,
            shared=shared,
        )

    def count_from_anchors(self) -> None:
        """Find again how long ago the states were last copied."""
        self._since_anchor = self.recurrent.anchors.gap(self.lengths)

    @lasting
    def copy_tails(self, capacity: int) -> None:
        """Move every tail to a buffer of `capacity` places that no branch looks at."""
        for track in self.tracks:
            track.copy_tail(capacity)
        self.rows.owned(capacity)

    def _part(self, lengths: Sequence[int]) -> None:
        """Let rows end inside the beginning: share less of it, and copy what some still need."""
        keep, shared = min(lengths), self.rows.shared
        stop = max(min(length, shared) for length in lengths)
        for track in self.tracks:
            track.own(keep, stop)
        if stop > keep:
            self.rows.owned(stop - keep + (self.rows.capacity if stop == shared else 0))
        self.rows.shared = keep

    def _row(self, row: int) -> int:
        if not 0 <= row < self.num_rows:
            msg = f"the cache has {self.num_rows} rows, and none numbered {row}"
            raise ValueError(msg)
        return row

    def _checked(self, row: int, at: int | None) -> int:
        length = self.lengths[self._row(row)]
        if at is not None and not 0 <= at <= length:
            msg = f"row {row} has read {length} tokens, not {at}"
            raise ValueError(msg)
        return length if at is None else at
