"""The loss of a micro-batch as its exact part of the whole step's loss.

Every term is a sum over tokens divided by what the whole step holds, so neither the division into
micro-batches nor that over ranks changes a gradient by more than rounding. The balance loss of the
experts is no such sum: it multiplies two means (equation 4 of 2101.03961). Here one of them, the
share of the tokens that each expert gets, which carries no gradient, is that of the step before;
over a whole batch instead of a micro-batch, experts are free to specialise (2501.11873).

Shapes: N tokens computed, M tokens predicted, P pairs of the next-token layer, E experts, R roles,
V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch
from torch import Tensor
from torch.nn import functional

from regreen.model import Decoder
from regreen.model.moe import Routing
from regreen.model.precision import widened
from regreen.store.packed_header import ROLES
from regreen.train.compute.forward import Scores, score
from regreen.train.compute.parallel import World
from regreen.train.sft.batches import MicroBatch, Totals

__all__ = ["Sums", "even_shares", "micro_loss"]


@dataclass(frozen=True, eq=False)
class Sums:
    """What was counted, to be added over micro-batches and ranks; float64."""

    nats_R: Tensor
    """Negative log-likelihood of the tokens predicted, by role."""
    count_R: Tensor
    """How many they are."""
    weighted: Tensor
    """(1,) their negative log-likelihood times their weight."""
    ahead: Tensor
    """(1,) the same of the token after the next."""
    used_E: Tensor
    """Tokens that each expert got, over all sparse layers."""
    probability_E: Tensor
    """The router's probability of each, summed over tokens and layers."""
    routed: Tensor
    """(1,) tokens times sparse layers."""

    def __add__(self, other: Sums) -> Sums:
        pairs = ((getattr(self, one.name), getattr(other, one.name)) for one in fields(self))
        return Sums(*(mine + theirs for mine, theirs in pairs))

    def over(self, here: World) -> Sums:
        """Added over all ranks."""
        parts = [getattr(self, one.name) for one in fields(self)]
        whole = here.add_up(torch.cat(parts))
        return Sums(*torch.split(whole, [len(part) for part in parts]))

    def shares(self) -> list[float]:
        """How many choices of a token each expert got, on average: what balances the next step."""
        return (self.used_E / self.routed.clamp(min=1.0)).tolist()

    def balance(self) -> float:
        """The balance loss of the step as a whole; the number of choices where it is even."""
        tokens = self.routed.clamp(min=1.0)
        even = (self.used_E / tokens) @ (self.probability_E / tokens)
        return float(even) * len(self.used_E)


def even_shares(model: Decoder) -> list[float]:
    """What stands for the step before the first one: all experts used alike."""
    config = model.config
    if not config.num_experts:
        return []
    return [config.num_experts_per_tok / config.num_experts] * config.num_experts


def micro_loss(
    model: Decoder,
    batch: MicroBatch,
    totals: Totals,
    *,
    shares: Sequence[float],
    next_token_weight: float,
) -> tuple[Tensor, Sums]:
    """The loss to be differentiated, and what was counted.

    Args:
        model: the model.
        batch: the micro-batch; one without a token that counts has a loss of 0.
        totals: of the whole step.
        shares: of the experts in the step before, as ``Sums.shares`` gives them.
        next_token_weight: weight of the loss of the token after the next.
    """
    scores = score(model, batch.flat)
    nats_M = -scores.logprob_M.double()
    weighted = (batch.weight_M * nats_M).sum()
    loss = weighted / totals.weight
    routings = list(scores.routings)
    ahead = torch.zeros((), dtype=torch.float64, device=nats_M.device)
    if model.next_token is not None:
        ahead, routing = _ahead(model, batch, scores)
        routings += [routing] if routing is not None else []
        loss = loss + next_token_weight * ahead / max(totals.ahead, 1e-30)
    counts = bool(len(nats_M))
    used_E, probability_E = _experts(routings, len(shares), loss)
    if routings:
        share_E = torch.tensor(shares, dtype=torch.float64, device=loss.device)
        even = probability_E @ share_E * len(shares) / _routed(model, totals)
        loss = loss + model.config.router_aux_loss_coef * counts * even
    with torch.no_grad():
        zeros_R = torch.zeros(len(ROLES), dtype=torch.float64, device=loss.device)
        routed = sum(len(one.index_NK) for one in routings)
        sums = Sums(
            zeros_R.index_add(0, batch.role_M, nats_M),
            zeros_R.index_add(0, batch.role_M, torch.ones_like(nats_M)),
            weighted[None].detach(),
            ahead[None].detach(),
            used_E * counts,
            probability_E.detach() * counts,
            zeros_R.new_tensor([float(routed * counts)]),
        )
    return loss, sums


def _ahead(model: Decoder, batch: MicroBatch, scores: Scores) -> tuple[Tensor, Routing | None]:
    """Weighted negative log-likelihood of the tokens after the next ones."""
    ids_1N = batch.flat.ids_N[None]
    found = model.predict_next(scores.output, ids_1N, borders=batch.flat.borders)
    # What follows the successor is known for the last pair of a piece too: the token not computed.
    behind_P = found.index_P + 1
    weight_P = batch.next_weight_N[behind_P]
    kept = weight_P > 0
    logits = widened(found.logits_PV[kept])
    nats = functional.cross_entropy(logits, batch.next_N[behind_P][kept], reduction="none")
    return (weight_P[kept] * nats.double()).sum(), found.routing


def _experts(routings: Sequence[Routing], num_experts: int, like: Tensor) -> tuple[Tensor, Tensor]:
    used_E = torch.zeros(num_experts, dtype=torch.float64, device=like.device)
    probability_E = torch.zeros_like(used_E)
    for routing in routings:
        used_E += torch.bincount(routing.index_NK.flatten(), minlength=num_experts)
        probability_E = probability_E + routing.probability_NE.sum(0, dtype=torch.float64)
    return used_E, probability_E


def _routed(model: Decoder, totals: Totals) -> int:
    layers = totals.computed * sum(model.config.sparse)
    return max(1, layers + totals.pairs * (model.next_token is not None))
