"""The recurrent layers of a cache together: their states, copied now and then or computed again.

A state is returned to from the last anchor before it, over the inputs kept since.

Shapes: B rows, T tokens of a row, Z columns of an input: the convolved channels J, then the gates.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from regreen.model.anchors import Anchor, Anchors
from regreen.model.memory import DeltaMemory, Replays
from regreen.model.tracks import Rows

__all__ = ["LostHistoryError", "Recurrent"]


class LostHistoryError(ValueError):
    """A past token was asked for whose inputs were not kept."""


class Recurrent:
    """The states of all recurrent layers, and each row's anchors."""

    def __init__(
        self, rows: Rows, layers: Sequence[Replays], memories: Sequence[DeltaMemory]
    ) -> None:
        """Take each layer and its memory."""
        self.rows, self.layers, self.memories = rows, layers, memories
        self.anchors = Anchors([[]] * len(rows.tails))

    @property
    def tensors(self) -> list[Tensor]:
        """All that is held, but for what is kept along time."""
        tensors = [t for memory in self.memories for t in (memory.state_BHKV, memory.context_BLJ)]
        return tensors + [tensor for anchor in self.anchors for tensor in anchor.tensors]

    def mark(self) -> None:
        """Anchor every row where it stands."""
        for row in range(len(self.rows.tails)):
            self.anchors.add(row, self.now(row))

    def pick(self, other: Recurrent, index: Sequence[int]) -> None:
        """Hold copies of the rows of `index` of another, in its order."""
        for memory, their in zip(self.memories, other.memories, strict=True):
            memory.state_BHKV = their.state_BHKV[list(index)]
            memory.context_BLJ = their.context_BLJ[list(index)]
        self.anchors = Anchors([other.anchors.rows[row] for row in index])

    def take(self, others: Sequence[Recurrent]) -> None:
        """Hold the rows of all `others`, in order."""
        for memory, *theirs in zip(
            self.memories, *(other.memories for other in others), strict=True
        ):
            memory.state_BHKV = torch.cat([their.state_BHKV for their in theirs])
            memory.context_BLJ = torch.cat([their.context_BLJ for their in theirs])
        self.anchors = Anchors([row for other in others for row in other.anchors.rows])

    def now(self, row: int) -> Anchor:
        """A copy of a row as it stands."""
        states = tuple(memory.state_BHKV[row].clone() for memory in self.memories)
        contexts = tuple(memory.context_BLJ[row].clone() for memory in self.memories)
        return Anchor(self.rows.lengths[row], states, contexts)

    def stand(self, anchors: Sequence[Anchor]) -> None:
        """Set the recurrent layers of each row to an anchor's."""
        for layer, memory in enumerate(self.memories):
            memory.state_BHKV = torch.stack([anchor.states[layer] for anchor in anchors])
            memory.context_BLJ = torch.stack([anchor.contexts[layer] for anchor in anchors])

    def at(self, row: int, at: int) -> Anchor:
        """A row behind its first `at` tokens: as it stands, as an anchor has it, or replayed.

        Raises:
            LostHistoryError: `at` lies in a past that was not kept.
        """
        if at == self.rows.lengths[row] and self.rows.call is None:
            return self.now(row)
        start = self.anchors.before(row, at) or self._nothing_read()
        if start.position == at:
            return start
        states, contexts = [], []
        for layer, memory, state, context in zip(
            self.layers, self.memories, start.states, start.contexts, strict=True
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
        states = tuple(torch.zeros_like(memory.state_BHKV[0]) for memory in self.memories)
        contexts = tuple(torch.zeros_like(memory.context_BLJ[0]) for memory in self.memories)
        return Anchor(0, states, contexts)
