"""One optimiser step and one evaluation, as functions of where training stands.

A step whose loss or gradient is not finite leaves the weights as they were; its rows count as read,
because reading them again would end the same way.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch

from regreen.model import Decoder
from regreen.packing import CostModel
from regreen.store.packed_header import ROLES
from regreen.train.compute.optim import Optimiser, Update
from regreen.train.compute.parallel import World, reshard, split
from regreen.train.sft.batches import (
    MicroBatch,
    Piece,
    Totals,
    flat_batch,
    nothing,
    read_pieces,
    totals,
)
from regreen.train.sft.config import SftConfig
from regreen.train.sft.data import Position
from regreen.train.sft.loss import Sums, even_shares, micro_loss
from regreen.train.sft.sources import SftData

__all__ = ["Where", "Work", "evaluate", "train_step"]

_GROUP = 64
"""Units in memory at once while what is held out is read."""


@dataclass(frozen=True, eq=False)
class Work:
    """What does not change from step to step, but for the weights."""

    model: Decoder
    """The model, whole or cut over ranks."""
    optimiser: Optimiser
    """Of this model."""
    data: SftData
    """What is read."""
    config: SftConfig
    """The settings."""
    here: World
    """The ranks."""


@dataclass(frozen=True)
class Where:
    """How far training is; with weights and optimiser, all that a resume needs."""

    step: int
    """Steps done, refused ones included."""
    position: Position
    """Rows read."""
    tokens: int
    """Tokens computed."""
    shares: tuple[float, ...]
    """Of the experts in the last step."""
    bad: int = 0
    """Refused steps since the last one that was not."""
    seconds: float = 0.0
    """Time spent, of earlier processes too."""

    @classmethod
    def start(cls, work: Work) -> Where:
        """Before the first step."""
        return cls(0, work.data.mixture.start, 0, tuple(even_shares(work.model)))

    def as_json(self) -> dict[str, Any]:
        """For a checkpoint."""
        return {**asdict(self), "position": self.position.as_json(), "shares": list(self.shares)}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Where:
        """As ``as_json`` wrote it."""
        position, shares = Position.from_json(values["position"]), tuple(values["shares"])
        return cls(**{**values, "position": position, "shares": shares})


def train_step(work: Work, where: Where) -> tuple[Where, dict[str, Any]]:
    """Read the next rows and learn from them.

    Returns:
        Where training is then, and what is to be known of the step.
    """
    config = work.config
    units, position = work.data.mixture.batch(where.position, config.batch_tokens)
    pieces = read_pieces(work.data.shards, units)
    whole = totals(pieces)
    after = replace(where, step=where.step + 1, position=position)
    if not whole.weight:
        why = "no token of its rows has a weight"
        return replace(after, bad=where.bad + 1), {"refused": why, "rows": len(units)}
    sums = _passed(work, pieces, whole, where.shares, backward=True).over(work.here)
    update = _update(work, sums)
    row: dict[str, Any] = {
        **_losses(sums, whole.weight, whole.ahead),
        "grad_norm": update.grad_norm,
        "lr": update.lr,
    }
    if sums.routed > 0:
        row["balance"] = sums.balance()
    after = replace(after, tokens=where.tokens + whole.computed)
    if update.applied:
        shares = tuple(sums.shares()) if sums.routed > 0 else where.shares
        after = replace(after, bad=0, shares=shares)
    else:
        after = replace(after, bad=where.bad + 1)
        row["refused"] = update.refused
    return after, {**row, "tokens": after.tokens, "rows": len(units)}


@torch.no_grad()
def evaluate(work: Work) -> dict[str, float]:
    """Losses on what is held out; empty where nothing is."""
    held, even = work.data.held, even_shares(work.model)
    sums: Sums | None = None
    weight = ahead = 0.0
    for at in range(0, len(held), _GROUP):
        pieces = read_pieces(work.data.shards, held[at : at + _GROUP])
        part = totals(pieces)
        if part.weight:
            found = _passed(work, pieces, part, even, backward=False)
            sums = found if sums is None else sums + found
            weight, ahead = weight + part.weight, ahead + part.ahead
    reshard(work.model)
    if sums is None:
        return {}
    losses = _losses(sums.over(work.here), weight, ahead)
    return {f"held_out/{name}": value for name, value in losses.items()}


def _passed(
    work: Work, pieces: Sequence[Piece], whole: Totals, shares: Sequence[float], *, backward: bool
) -> Sums:
    """This rank's part of the pieces through the model."""
    sums: Sums | None = None
    for batch in _batches(work, pieces):
        loss, one = micro_loss(
            work.model,
            batch,
            whole,
            shares=shares,
            next_token_weight=work.config.next_token_weight,
        )
        if backward:
            loss.backward()  # type: ignore[no-untyped-call]
        sums = one if sums is None else sums + one
    assert sums is not None
    return sums


def _batches(work: Work, pieces: Sequence[Piece]) -> Iterator[MicroBatch]:
    """This rank's micro-batches; every rank has as many."""
    lengths = [len(piece.tokens) - 1 for piece in pieces]
    capacity, cost = work.config.micro_tokens, CostModel.of(work.model.config)
    parts = split(lengths, work.here.size, capacity=capacity, cost=cost)
    for part in parts[work.here.rank]:
        own = [pieces[place] for place in part]
        if _lacks_pairs(work, own):
            own.append(nothing())
        yield flat_batch(own).to(work.here.device)


def _lacks_pairs(work: Work, pieces: Iterable[Piece]) -> bool:
    """Whether a rank would leave the others waiting in a layer that has nothing to do here."""
    longest = max((len(piece.tokens) for piece in pieces), default=0)
    return longest < (2 if work.model.next_token is None else 3)


def _update(work: Work, sums: Sums) -> Update:
    if math.isfinite(float(sums.weighted)) and math.isfinite(float(sums.ahead)):
        return work.optimiser.apply()
    work.model.zero_grad(set_to_none=True)
    rate = work.optimiser.config.rate(work.optimiser.step_number)
    return Update(grad_norm=math.nan, lr=rate, applied=False, refused="the loss is not finite")


def _losses(sums: Sums, weight: float, ahead: float) -> dict[str, float]:
    found = {"loss": float(sums.weighted) / weight}
    means_R = (sums.nats_R / sums.count_R).tolist()
    counts_R = sums.count_R.tolist()
    for role, mean, count in zip(ROLES, means_R, counts_R, strict=True):
        if count:
            found[f"loss/{role}"] = mean
    if ahead and float(sums.ahead):
        found["loss_after_next"] = float(sums.ahead) / ahead
    return found
