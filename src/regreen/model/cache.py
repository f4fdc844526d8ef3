"""What a decoder remembers of the rows it reads: keys and values, convolution and recurrent state.

Attention can be cut back to any token, a recurrent state cannot: it must be kept or computed again.
The cache keeps *anchors* (copies of the state now and then) and the small inputs of the delta rule
for every token, so any past state is reached by replaying that rule alone, never the model. With
`history=False` only anchors can be returned to; memory is then constant but for keys and values.

A cache holds no gradients, and its tensors belong to the weights that made them: after a change of
weights it is worth nothing. Rows have no padding: a row's content does not depend on the others.

Shapes: B rows, N tokens of a call, H value heads, K and V their widths, J convolved channels,
L taps before a token, X = 2H gate columns.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ParamSpec, Protocol, TypeVar

import torch
from torch import Tensor

from regreen.model.anchors import Anchor, Anchors
from regreen.model.borders import Borders
from regreen.model.config import ModelConfig
from regreen.model.precision import wider
from regreen.model.tracks import Rows, Track

__all__ = ["AttentionMemory", "Cache", "DeltaMemory", "LostHistoryError", "Replays"]

_P = ParamSpec("_P")
_R = TypeVar("_R")


class LostHistoryError(ValueError):
    """A past token was asked for whose inputs were not kept."""


class Replays(Protocol):
    """A layer that can bring its state forward over recorded inputs."""

    def replay(self, mixed_TJ: Tensor, gates_TX: Tensor, state_HKV: Tensor, skip: int) -> None:
        """Change `state_HKV` in place; the first `skip` inputs are context."""


def _lasting(method: Callable[_P, _R]) -> Callable[_P, _R]:
    """What the method makes can be written by later calls, under `inference_mode` or not."""
    return torch.inference_mode(mode=False)(torch.no_grad()(method))


class AttentionMemory:
    """Keys and values of one attention layer."""

    def __init__(self, rows: Rows, config: ModelConfig, like: Tensor) -> None:
        heads, width = config.num_key_value_heads, config.head_dim
        self.rows = rows
        self.keys = Track(rows, heads, width, like)
        self.values = Track(rows, heads, width, like)

    @property
    def tracks(self) -> list[Track]:
        """Everything kept along time."""
        return [self.keys, self.values]


class DeltaMemory:
    """Recurrent state of one Gated DeltaNet layer, and the inputs from which it can be replayed."""

    def __init__(self, rows: Rows, config: ModelConfig, like: Tensor, *, history: bool) -> None:
        heads, channels = config.linear_num_value_heads, config.linear_conv_dim
        shape = (heads, config.linear_key_head_dim, config.linear_value_head_dim)
        batch, lead = len(rows.tails), config.linear_conv_kernel_dim - 1
        self.rows = rows
        self.state_BHKV = like.new_zeros(batch, *shape, dtype=wider(like.dtype))
        self.context_BLJ = like.new_zeros(batch, lead, channels)
        self.inputs = Track(rows, 1, channels + 2 * heads, like) if history else None

    @property
    def tracks(self) -> list[Track]:
        """Everything kept along time."""
        return [self.inputs] if self.inputs is not None else []

    def context(self) -> Tensor:
        """(B, L, J) the convolution's inputs before the running call."""
        return self.context_BLJ

    def record(self, mixed_NJ: Tensor, gates_NX: Tensor, borders: Borders) -> None:
        """Keep the inputs of the running call, row after row."""
        call = self.rows.running
        if borders.lengths != call.counts:
            msg = "the documents of the call are not those the cache was prepared for"
            raise ValueError(msg)
        self.context_BLJ = call.behind(self.context_BLJ, mixed_NJ)
        if self.inputs is not None:
            self.inputs.put(torch.cat((mixed_NJ, gates_NX), dim=1).unsqueeze(1))

    def step(self, mixed_BJ: Tensor, gates_BX: Tensor) -> Tensor:
        """(B, L + 1, J) the convolution's window of one new token of each row, which is kept."""
        window_BTJ = torch.cat((self.context_BLJ, mixed_BJ.unsqueeze(1)), dim=1)
        self.context_BLJ = window_BTJ[:, 1:]
        if self.inputs is not None:
            self.inputs.put(torch.cat((mixed_BJ, gates_BX), dim=1).unsqueeze(1))
        return window_BTJ


class Cache:
    """The memory of a batch of rows; make one by `Decoder.new_cache`."""

    @_lasting
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
        self.anchors = Anchors([[]] * num_rows)
        self._like, self._since_anchor = like, 0
        self.memories = [
            AttentionMemory(self.rows, config, like)
            if layer is None
            else DeltaMemory(self.rows, config, like, history=history)
            for layer in layers
        ]

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
        tensors = [t for memory in self.recurrent for t in (memory.state_BHKV, memory.context_BLJ)]
        tensors += [tensor for anchor in self.anchors for tensor in anchor.tensors]
        for track in self.tracks:
            tensors += [track.tail_BATW, *track.beginning]
        return sum(tensor.numel() * tensor.element_size() for tensor in tensors)

    @property
    def recurrent(self) -> list[DeltaMemory]:
        """The memories of the recurrent layers."""
        return [memory for memory in self.memories if isinstance(memory, DeltaMemory)]

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
            self._copy_tails(capacity)
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

    @_lasting
    def mark(self) -> None:
        """Copy the states as they stand, so that this token can be returned to at no cost."""
        self.settled()
        for row in range(self.num_rows):
            self.anchors.add(row, self._now(row))
        self._since_anchor = 0

    @_lasting
    def fork(self, row: int = 0, *, at: int | None = None, copies: int = 1) -> Cache:
        """A cache of `copies` rows that continue one row behind its first `at` tokens.

        Keys, values and inputs of the shared tokens are looked at, not copied; the recurrent state
        is copied, by replay where `at` lies in the past. This cache stays as it is.

        Raises:
            LostHistoryError: `at` lies in a past that was not kept.
            ValueError: there is no such row, or it has not read so many tokens.
        """
        self.settled()
        at = self._checked(row, at)
        anchor = self._anchor_at(row, at)
        other = self._empty(copies, at)
        for mine, memory in zip(self.memories, other.memories, strict=True):
            if isinstance(mine, AttentionMemory) and isinstance(memory, AttentionMemory):
                memory.keys = mine.keys.branch(row, at, other.rows)
                memory.values = mine.values.branch(row, at, other.rows)
            elif isinstance(mine, DeltaMemory) and isinstance(memory, DeltaMemory):
                memory.inputs = mine.inputs and mine.inputs.branch(row, at, other.rows)
        self.rows.lent[row] = max(self.rows.lent[row], at - self.rows.shared)
        other._stand([anchor] * copies)
        other.anchors = Anchors([self.anchors.first(row, at)] * copies)
        other._since_anchor = other.anchors.gap(other.lengths)
        return other

    @_lasting
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
            self._anchor_at(row, self._checked(row, length)) for row, length in enumerate(lengths)
        ]
        self.rows.call = None
        if min(lengths) < self.rows.shared:
            self._part(lengths)
        self._stand(found)
        self.rows.tails = [length - self.rows.shared for length in lengths]
        self.anchors.cut(lengths)
        self._since_anchor = self.anchors.gap(lengths)

    @_lasting
    def select(self, rows: Sequence[int]) -> None:
        """Keep the given rows in the given order: reorder, drop or repeat rows of the batch.

        Raises:
            ValueError: no rows, or one that is not there.
        """
        self.settled()
        index = list(rows)
        if not index or min(index) < 0 or max(index) >= self.num_rows:
            msg = f"rows {index} cannot be kept of a cache of {self.num_rows}"
            raise ValueError(msg)
        if index == list(range(self.num_rows)):
            return
        for track in self.tracks:
            track.select(index)
        for memory in self.recurrent:
            memory.state_BHKV = memory.state_BHKV[index]
            memory.context_BLJ = memory.context_BLJ[index]
        self.anchors = Anchors([self.anchors.rows[row] for row in index])
        self.rows.tails = [self.rows.tails[row] for row in index]
        self.rows.owned(self.rows.capacity)

    @classmethod
    @_lasting
    def join(cls, caches: Sequence[Cache]) -> Cache:
        """A cache of all rows of several, in order; they stay as they are.

        Branches of one fork go on sharing their beginning; rows of other origin are copied whole.

        Raises:
            ValueError: no caches, or caches of different models or kinds.
        """
        if not caches:
            msg = "there is no cache to join"
            raise ValueError(msg)
        first = caches[0]
        for cache in caches:
            cache.settled()
            if cache.layers != first.layers or cache.config != first.config:
                msg = "caches of different models cannot be joined"
                raise ValueError(msg)
            if cache.history != first.history:
                msg = "caches with and without a history cannot be joined"
                raise ValueError(msg)
        beginnings = [cache._beginning for cache in caches]
        alike = beginnings.count(beginnings[0]) == len(caches)
        other = first._empty(sum(cache.num_rows for cache in caches), first.rows.shared * alike)
        other._take(caches)
        return other

    def _take(self, caches: Sequence[Cache]) -> None:
        """Fill an empty cache, whose beginning is shared by all of `caches` or empty."""
        shared = self.rows.shared
        self.rows.tails = [length - shared for cache in caches for length in cache.lengths]
        self._copy_tails(max(self.rows.tails))
        for mine, *theirs in zip(self.tracks, *(cache.tracks for cache in caches), strict=True):
            mine.beginning = list(theirs[0].beginning) if shared else []
            sources = [(track, row) for track in theirs for row in range(len(track.rows.tails))]
            for row, (track, source) in enumerate(sources):
                tail_ATW = track.read(source, shared, track.rows.lengths[source])
                mine.tail_BATW[row, :, : tail_ATW.shape[1]] = tail_ATW
        for memory, *others in zip(
            self.recurrent, *(cache.recurrent for cache in caches), strict=True
        ):
            memory.state_BHKV = torch.cat([other.state_BHKV for other in others])
            memory.context_BLJ = torch.cat([other.context_BLJ for other in others])
        self.anchors = Anchors([row for cache in caches for row in cache.anchors.rows])
        self._since_anchor = self.anchors.gap(self.lengths)

    @property
    def _beginning(self) -> list[tuple[int, int]]:
        """What tells whether two caches share their beginning: where it lies, how long it is."""
        pieces = (piece for track in self.tracks for piece in track.beginning)
        return [(piece.data_ptr(), piece.shape[2]) for piece in pieces]

    def _empty(self, num_rows: int, shared: int) -> Cache:
        return Cache(
            self.config,
            num_rows,
            self._like,
            self.layers,
            history=self.history,
            anchor_every=self.anchor_every,
            shared=shared,
        )

    @_lasting
    def _copy_tails(self, capacity: int) -> None:
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

    def _checked(self, row: int, at: int | None) -> int:
        if not 0 <= row < self.num_rows:
            msg = f"the cache has {self.num_rows} rows, and none numbered {row}"
            raise ValueError(msg)
        length = self.lengths[row]
        if at is not None and not 0 <= at <= length:
            msg = f"row {row} has read {length} tokens, not {at}"
            raise ValueError(msg)
        return length if at is None else at

    def _now(self, row: int) -> Anchor:
        recurrent = self.recurrent
        states = tuple(memory.state_BHKV[row].clone() for memory in recurrent)
        contexts = tuple(memory.context_BLJ[row].clone() for memory in recurrent)
        return Anchor(self.lengths[row], states, contexts)

    def _stand(self, anchors: Sequence[Anchor]) -> None:
        """Set the recurrent layers of each row to an anchor's."""
        for layer, memory in enumerate(self.recurrent):
            memory.state_BHKV = torch.stack([anchor.states[layer] for anchor in anchors])
            memory.context_BLJ = torch.stack([anchor.contexts[layer] for anchor in anchors])

    def _anchor_at(self, row: int, at: int) -> Anchor:
        """The recurrent layers of a row behind its first `at` tokens: kept, or replayed."""
        if at == self.lengths[row] and self.rows.call is None:
            return self._now(row)
        start = self.anchors.before(row, at) or self._nothing_read()
        if start.position == at:
            return start
        states, contexts = [], []
        layers = [layer for layer in self.layers if layer is not None]
        for layer, memory, state, context in zip(
            layers, self.recurrent, start.states, start.contexts, strict=True
        ):
            if memory.inputs is None:
                msg = (
                    f"row {row} can return to marked tokens only, and token {at} was not marked; "
                    "make the cache with history=True or mark() the places to return to"
                )
                raise LostHistoryError(msg)
            read_TZ = memory.inputs.read(row, start.position, at)[0]
            channels = context.shape[1]
            mixed_TJ = torch.cat((context, read_TZ[:, :channels]))
            states.append(state.clone())
            layer.replay(mixed_TJ, read_TZ[:, channels:], states[-1], len(context))
            contexts.append(mixed_TJ[len(mixed_TJ) - len(context) :].clone())
        return Anchor(at, tuple(states), tuple(contexts))

    def _nothing_read(self) -> Anchor:
        states = tuple(torch.zeros_like(memory.state_BHKV[0]) for memory in self.recurrent)
        contexts = tuple(torch.zeros_like(memory.context_BLJ[0]) for memory in self.recurrent)
        return Anchor(0, states, contexts)
