"""Units of packed rows as micro-batches: the pieces side by side, each token with its weight.

Pads and pieces without a token to be learnt are not computed; which pieces stand together changes
nothing, because borders keep them apart and the loss is divided by what the whole step holds.

Shapes: T tokens of a piece, N tokens computed, M tokens predicted.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from regreen.store.packed import PackedShards
from regreen.train.compute.forward import Flat, flatten
from regreen.train.sft.data import Unit

__all__ = ["MicroBatch", "Piece", "Totals", "flat_batch", "nothing", "read_pieces", "totals"]


class Piece(NamedTuple):
    """A part of a document that a model sees as one sequence."""

    tokens: NDArray[np.int64]
    """(T,) ids."""
    weights: NDArray[np.float32]
    """(T,) weight of each in the loss; the first follows from nothing and has none."""
    roles: NDArray[np.uint8]
    """(T,) index into ``ROLES``."""


@dataclass(frozen=True)
class Totals:
    """What the losses of a whole optimiser step are divided by."""

    weight: float
    """Sum of the weights of the tokens predicted."""
    ahead: float
    """The same for the token after the next, which the second token of a piece cannot be."""
    computed: int
    """Tokens that pass through the model."""
    pairs: int
    """Tokens that pass through the layer that predicts the token after the next."""


@dataclass(frozen=True, eq=False)
class MicroBatch:
    """What one forward and backward takes."""

    flat: Flat
    """The pieces end to end."""
    weight_M: Tensor
    """Weight of each predicted token, float32."""
    role_M: Tensor
    """Its role, int64."""
    next_N: Tensor
    """The token behind each computed one, int64."""
    next_weight_N: Tensor
    """Its weight, float32."""

    def to(self, device: torch.device | str) -> MicroBatch:
        """The same on a device."""
        rest = (self.weight_M, self.role_M, self.next_N, self.next_weight_N)
        return MicroBatch(self.flat.to(device), *(tensor.to(device) for tensor in rest))


def read_pieces(sets: Sequence[PackedShards], units: Iterable[Unit]) -> list[Piece]:
    """The pieces of units that have a token to be learnt."""
    found = []
    for unit in units:
        row = sets[unit.number][unit.row]
        for place in unit.places:
            part = slice(int(row.borders[place]), int(row.borders[place + 1]))
            weights = row.weights[part].copy()
            weights[0] = 0.0
            if weights.any():
                found.append(Piece(row.tokens[part].astype(np.int64), weights, row.roles[part]))
    return found


def totals(pieces: Iterable[Piece]) -> Totals:
    """Over all pieces of a step."""
    weight, ahead, computed, pairs = 0.0, 0.0, 0, 0
    for piece in pieces:
        weight += float(piece.weights.sum(dtype=np.float64))
        ahead += float(piece.weights[2:].sum(dtype=np.float64))
        computed += len(piece.tokens) - 1
        pairs += len(piece.tokens) - 2
    return Totals(weight, ahead, computed, pairs)


def nothing() -> Piece:
    """A piece that counts for nothing, for a rank that has none while others compute."""
    return Piece(np.zeros(3, np.int64), np.zeros(3, np.float32), np.zeros(3, np.uint8))


def flat_batch(pieces: Sequence[Piece]) -> MicroBatch:
    """Lay pieces end to end."""
    counted = [piece.weights > 0 for piece in pieces]
    flat = flatten([piece.tokens for piece in pieces], counted)
    weight_N = np.concatenate([piece.weights[1:] for piece in pieces])
    role_N = np.concatenate([piece.roles[1:] for piece in pieces]).astype(np.int64)
    next_N = np.concatenate([piece.tokens[1:] for piece in pieces])
    places = flat.predicting_M.numpy()
    return MicroBatch(
        flat,
        torch.from_numpy(weight_N[places]),
        torch.from_numpy(role_N[places]),
        torch.from_numpy(next_N),
        torch.from_numpy(weight_N),
    )
