"""What a decoder remembers of the rows it reads: keys and values, convolution and recurrent state.

Attention can be cut back to any token, a recurrent state cannot: it must be kept or computed again.
The cache keeps *anchors* (copies of the state now and then) and the small inputs of the delta rule
for every token, so any past state is reached by replaying that rule alone, never the model. With
`history=False` only anchors can be returned to; memory is then constant but for keys and values.

Shapes: B rows, H value heads, K and V their widths, J convolved channels, L taps before a token,
X = 2H gate columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from regreen.model.borders import Borders
from regreen.model.config import ModelConfig
from regreen.model.precision import wider
from regreen.model.tracks import LostHistoryError, Rows, Track

__all__ = ["AttentionMemory", "Cache", "DeltaMemory", "Replays"]


class Replays(Protocol):
    """A layer that can bring its state forward over recorded inputs."""

    def replay(self, mixed_TJ: Tensor, gates_TX: Tensor, state_HKV: Tensor, skip: int) -> None:
        """Change `state_HKV` in place; the first `skip` inputs are context."""


class AttentionMemory:
    """Keys and values of one attention layer."""

    def __init__(self, rows: Rows, config: ModelConfig, like: Tensor) -> None:
        heads, width = config.num_key_value_heads, config.head_dim
        self.rows = rows
        self.keys = Track(rows, heads, width, like)
        self.values = Track(rows, heads, width, like)

    @property
    def tracks(self) -> tuple[Track, ...]:
        """Everything kept along time."""
        return (self.keys, self.values)


class DeltaMemory:
    """Recurrent state of one Gated DeltaNet layer, and the inputs from which it can be replayed."""

    def __init__(self, rows: Rows, config: ModelConfig, like: Tensor, *, history: bool) -> None:
        heads = config.linear_num_value_heads
        shape = (heads, config.linear_key_head_dim, config.linear_value_head_dim)
        self.rows = rows
        self.state_BHKV = like.new_zeros(len(rows.tails), *shape, dtype=wider(like.dtype))
        lead = config.linear_conv_kernel_dim - 1
        self.inputs = Track(rows, 1, config.linear_conv_dim, like, lead=lead, keep=history)
        self.gates = Track(rows, 1, 2 * heads, like, keep=history)

    @property
    def tracks(self) -> tuple[Track, ...]:
        """Everything kept along time."""
        return (self.inputs, self.gates) if self.gates.keep else (self.inputs,)

    def context(self) -> Tensor:
        """(B, L, J) the convolution's inputs before the running call."""
        return self.inputs.context()[:, 0].clone()

    def record(self, mixed_NJ: Tensor, gates_NX: Tensor, borders: Borders) -> None:
        """Keep the inputs of the running call, row after row."""
        if borders.lengths != self.rows.pending:
            msg = "the documents of the call are not those the cache was prepared for"
            raise ValueError(msg)
        self.inputs.put(mixed_NJ[:, None])
        if self.gates.keep:
            self.gates.put(gates_NX[:, None])

    def step(self, mixed_BJ: Tensor, gates_BX: Tensor) -> Tensor:
        """(B, L + 1, J) the convolution's window of one new token of each row, which is kept."""
        self.inputs.put(mixed_BJ[:, None])
        if self.gates.keep:
            self.gates.put(gates_BX[:, None])
        return self.inputs.context(1)[:, 0]


@dataclass
class _Anchor:
    """States of all recurrent layers at one token of each row."""

    positions: list[int | None]
    """The absolute token each row stood at; None where the row has since gone back behind it."""
    states: list[Tensor]
    """(B, H, K, V) per recurrent layer."""
    contexts: list[Tensor]
    """(B, L, J) the convolution's last inputs, per recurrent layer."""


class Cache:
    """The memory of a batch of rows; make one by `Decoder.new_cache`."""

    def __init__(
        self,
        config: ModelConfig,
        num_rows: int,
        like: Tensor,
        layers: Sequence[Replays | None],
        *,
        history: bool = True,
        anchor_every: int = 1024,
    ) -> None:
        """Make an empty cache.

        Args:
            config: the model's shape.
            num_rows: sequences decoded together.
            like: a tensor whose type and device keys and values take.
            layers: each recurrent layer, None for attention layers.
            history: keep the delta rule's inputs, so that every past token can be returned to.
            anchor_every: tokens between automatic copies of the states; bounds a replay.
        """
        self.config, self.layers, self.history = config, tuple(layers), history
        self.anchor_every = anchor_every
        self.rows = Rows(num_rows)
        self._anchors: list[_Anchor] = []
        self._like = like
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
        return [self.rows.shared + tail for tail in self.rows.tails]

    @property
    def num_bytes(self) -> int:
        """Bytes held, a beginning shared by several rows counted once."""
        tensors = [t for memory in self._recurrent for t in (memory.state_BHKV,)]
        tensors += [t for anchor in self._anchors for t in (*anchor.states, *anchor.contexts)]
        for memory in self.memories:
            for track in memory.tracks:
                tensors += [track.tail_BATW, *track.beginning]
        return sum(tensor.numel() * tensor.element_size() for tensor in tensors)

    @property
    def _recurrent(self) -> list[DeltaMemory]:
        return [memory for memory in self.memories if isinstance(memory, DeltaMemory)]

    def begin(self, counts: Sequence[int]) -> None:
        """Prepare for a call that adds `counts` tokens to the rows.

        Raises:
            ValueError: another number of rows, or the call before was interrupted.
        """
        if len(counts) != self.num_rows:
            msg = f"{len(counts)} documents were given for the {self.num_rows} rows of the cache"
            raise ValueError(msg)
        if self.rows.pending:
            msg = "the call before was interrupted and left half a token; roll the cache back"
            raise ValueError(msg)
        if self.history and self._since_anchor() >= self.anchor_every:
            self.mark()
        self.rows.pending = tuple(counts)
        for memory in self.memories:
            for track in memory.tracks:
                track.reserve()
        if any(a < b for a, b in zip(self.rows.tails, self.rows.lent, strict=True)):
            self.rows.lent = [0] * self.num_rows

    def commit(self) -> None:
        """The call is done: its tokens belong to the rows."""
        self.rows.tails = [
            tail + more for tail, more in zip(self.rows.tails, self.rows.pending, strict=True)
        ]
        self.rows.pending = ()

    def mark(self) -> None:
        """Copy the states as they stand, so that this token can be returned to at no cost."""
        recurrent = self._recurrent
        self._anchors.append(
            _Anchor(
                [*self.lengths],
                [memory.state_BHKV.clone() for memory in recurrent],
                [memory.context() for memory in recurrent],
            )
        )

    def fork(self, row: int = 0, *, at: int | None = None, copies: int = 1) -> Cache:
        """A cache of `copies` rows that continue one row behind its first `at` tokens.

        Keys, values and inputs of the shared tokens are looked at, not copied; the recurrent state
        is copied, by replay where `at` lies in the past. This cache stays as it is.

        Raises:
            LostHistoryError: `at` lies in a past that was not kept.
            ValueError: the row has not read so many tokens.
        """
        at = self._checked(row, self.lengths[row] if at is None else at)
        states, contexts = self._states_at(row, at)
        other = Cache(
            self.config,
            copies,
            self._like,
            self.layers,
            history=self.history,
            anchor_every=self.anchor_every,
        )
        other.rows.shared = at
        own = max(at - self.rows.shared, 0)
        self.rows.lent[row] = max(self.rows.lent[row], own)
        place = 0
        for mine, memory in zip(self.memories, other.memories, strict=True):
            if isinstance(mine, AttentionMemory) and isinstance(memory, AttentionMemory):
                memory.keys = mine.keys.branch(row, at, other.rows, None)
                memory.values = mine.values.branch(row, at, other.rows, None)
            elif isinstance(mine, DeltaMemory) and isinstance(memory, DeltaMemory):
                memory.inputs = mine.inputs.branch(row, at, other.rows, contexts[place])
                memory.gates = mine.gates.branch(row, at, other.rows, None)
                memory.state_BHKV.copy_(states[place])
                place += 1
        for anchor in self._anchors:
            position = anchor.positions[row]
            if position is not None and position <= at:
                wide = (
                    [t[row].expand(copies, *t.shape[1:]) for t in kind]
                    for kind in (anchor.states, anchor.contexts)
                )
                other._anchors.append(_Anchor([position] * copies, *wide))
        return other

    def rollback(self, lengths: Sequence[int]) -> None:
        """Take every row back to the given number of tokens, at most what it has read.

        Raises:
            LostHistoryError: a length lies in a past that was not kept; nothing is changed.
            ValueError: a row has not read so many tokens.
        """
        interrupted = bool(self.rows.pending)
        found = [
            self._states_at(row, self._checked(row, length), interrupted=interrupted)
            for row, length in enumerate(lengths)
        ]
        self.rows.pending = ()
        if min(lengths) < self.rows.shared:
            self._own_beginning()
        for row, (states, contexts) in enumerate(found):
            for memory, state, context in zip(self._recurrent, states, contexts, strict=True):
                memory.state_BHKV[row] = state
                if not self.history:
                    memory.inputs.tail_BATW[row, :, : memory.inputs.lead] = context
                    memory.inputs.dropped[row] = lengths[row] - self.rows.shared
        for anchor in self._anchors:
            anchor.positions = [
                None if position is None or position > length else position
                for position, length in zip(anchor.positions, lengths, strict=True)
            ]
        self._anchors = [
            anchor
            for anchor in self._anchors
            if any(position is not None for position in anchor.positions)
        ]
        self.rows.tails = [length - self.rows.shared for length in lengths]

    def select(self, rows: Sequence[int]) -> None:
        """Keep the given rows in the given order: reorder, drop or repeat rows of the batch."""
        if not rows:
            msg = "a cache keeps at least one row"
            raise ValueError(msg)
        index = list(rows)
        for memory in self.memories:
            for track in memory.tracks:
                track.select(index)
        for recurrent in self._recurrent:
            recurrent.state_BHKV = recurrent.state_BHKV[index]
        for anchor in self._anchors:
            anchor.positions = [anchor.positions[row] for row in index]
            anchor.states = [state[index] for state in anchor.states]
            anchor.contexts = [context[index] for context in anchor.contexts]
        self.rows.tails = [self.rows.tails[row] for row in index]
        self.rows.lent = [0] * len(index)

    def _since_anchor(self) -> int:
        newest = self._anchors[-1].positions if self._anchors else [0] * self.num_rows
        gaps = (length - (at or 0) for length, at in zip(self.lengths, newest, strict=True))
        return max(gaps)

    def _checked(self, row: int, length: int) -> int:
        if not 0 <= length <= self.lengths[row]:
            msg = f"row {row} has read {self.lengths[row]} tokens, not {length}"
            raise ValueError(msg)
        return length

    def _states_at(
        self, row: int, at: int, *, interrupted: bool = False
    ) -> tuple[list[Tensor], list[Tensor]]:
        """States and convolution contexts of one row behind its first `at` tokens."""
        recurrent = self._recurrent
        if at == self.lengths[row] and not interrupted:
            return (
                [memory.state_BHKV[row].clone() for memory in recurrent],
                [memory.context()[row] for memory in recurrent],
            )
        begin, states, contexts = self._anchor_before(row, at)
        if begin == at:
            return states, contexts
        if not self.history:
            msg = (
                f"row {row} can return to marked tokens only, and token {at} was not marked; "
                "make the cache with history=True or mark() the places to return to"
            )
            raise LostHistoryError(msg)
        layers = [layer for layer in self.layers if layer is not None]
        behind: list[Tensor] = []
        for layer, memory, state, context in zip(layers, recurrent, states, contexts, strict=True):
            inputs = torch.cat((context, memory.inputs.read(row, begin, at)[0]))
            layer.replay(inputs, memory.gates.read(row, begin, at)[0], state, len(context))
            behind.append(inputs[len(inputs) - len(context) :])
        return states, behind

    def _anchor_before(self, row: int, at: int) -> tuple[int, list[Tensor], list[Tensor]]:
        best: _Anchor | None = None
        begin = 0
        for anchor in self._anchors:
            position = anchor.positions[row]
            if position is not None and begin < position <= at:
                best, begin = anchor, position
        if best is not None:
            return (
                begin,
                [state[row].clone() for state in best.states],
                [context[row].clone() for context in best.contexts],
            )
        recurrent = self._recurrent
        return (
            0,
            [torch.zeros_like(memory.state_BHKV[row]) for memory in recurrent],
            [
                memory.inputs.tail_BATW.new_zeros(memory.inputs.lead, self.config.linear_conv_dim)
                for memory in recurrent
            ],
        )

    def _own_beginning(self) -> None:
        for memory in self.memories:
            for track in memory.tracks:
                track.own_beginning()
        self.rows.tails = [self.rows.shared + tail for tail in self.rows.tails]
        self.rows.lent = [0] * self.num_rows
        self.rows.shared = 0
