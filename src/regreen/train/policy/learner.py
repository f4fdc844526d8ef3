"""One batch of groups to updated weights: advantages, micro-batches, the loss, the optimiser.

Every rank holds all groups and computes its share of them; what a token weighs is reckoned over the
whole optimiser step before it is split, so neither micro-batches nor ranks change the result.

Shapes: T tokens of a trace, M sampled tokens of a micro-batch.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from regreen.model import Decoder, balance_loss
from regreen.packing import CostModel
from regreen.train.compute.forward import Flat, flatten, score
from regreen.train.compute.optim import Optimiser, Update
from regreen.train.compute.parallel import World, idle, split
from regreen.train.policy.advantages import (
    AdvantageConfig,
    Advantages,
    Dropped,
    group_advantages,
    token_advantages,
)
from regreen.train.policy.losses import LossConfig, combine, policy_loss, token_weights
from regreen.train.trace import Group, Trace

__all__ = ["Learner", "Report", "UpdateConfig", "judged"]


class UpdateConfig(BaseModel):
    """How a batch of groups becomes an update."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    loss: LossConfig = LossConfig()
    """The policy loss."""
    advantages: AdvantageConfig = AdvantageConfig()
    """What rewards become."""
    epochs: int = Field(default=1, ge=1)
    """Times each batch is gone through; MegaFlow takes 2."""
    minibatches: int = Field(default=1, ge=1)
    """Optimiser steps of an epoch, each on some of the batch's groups."""
    micro_tokens: int = Field(default=16_384, ge=1)
    """Tokens computed at once; a longer trace is computed by itself."""
    replay: bool = False
    """Compute with the experts that the engine chose (router replay), where it recorded them."""
    balance: float | None = Field(default=None, ge=0.0)
    """Weight of the loss that keeps experts evenly used; None takes the model's own, 0 none."""


@dataclass(frozen=True, slots=True, eq=False)
class _Row:
    """One trace in the loss."""

    trace: Trace
    advantages: NDArray[np.float32]
    rollout: int
    group: int


@dataclass(frozen=True, kw_only=True)
class Report:
    """What one batch of groups did."""

    updates: tuple[Update, ...] = ()
    """Every step of the optimiser, in order; none when no group could be trained on."""
    metrics: dict[str, float] = field(default_factory=dict)
    """Numbers of the loss, over all tokens, ranks and steps."""
    dropped: dict[str, int] = field(default_factory=dict)
    """Groups that were not trained on, by reason."""
    left_out: dict[str, int] = field(default_factory=dict)
    """Rollouts without a part in the loss, by reason."""
    tokens: int = 0
    """Tokens computed, over all ranks and epochs."""


def judged(
    groups: Sequence[Group], config: AdvantageConfig
) -> tuple[list[tuple[Group, Advantages]], Counter[str], Counter[str]]:
    """The groups that are trained on; and how many groups and rollouts are not, by reason."""
    kept: list[tuple[Group, Advantages]] = []
    dropped: Counter[str] = Counter()
    left_out: Counter[str] = Counter()
    for group in groups:
        found = group_advantages(group, config)
        left_out.update(reason for reason in found.reasons if reason)
        if isinstance(found, Dropped):
            dropped[found.kind] += 1
        else:
            kept.append((group, found))
    return kept, dropped, left_out


@dataclass(frozen=True, kw_only=True, eq=False)
class Learner:
    """Updates a model by batches of groups."""

    model: Decoder
    """The policy, whole or cut over ranks."""
    optimiser: Optimiser
    """Of this model."""
    config: UpdateConfig
    """How."""
    world: World = field(default_factory=World)
    """Who trains."""
    temperature: float = 1.0
    """At which the groups were sampled."""

    def update(self, groups: Sequence[Group]) -> Report:
        """Train on one batch; every rank is given the same groups."""
        kept, dropped, left_out = judged(groups, self.config.advantages)
        rows = list(_rows(kept))
        if not rows:
            return Report(dropped=dict(dropped), left_out=dict(left_out))
        steps = self.config.epochs * self.config.minibatches
        proximal = self._proximal(rows) if steps > 1 else None
        parts: list[dict[str, float]] = []
        updates = [
            self._step(rows, places, proximal, parts)
            for _ in range(self.config.epochs)
            for places in _minibatches(rows, self.config.minibatches)
        ]
        every = [part for own in self.world.gather(parts) for part in own]
        tokens = self.config.epochs * sum(len(row.trace.ids) - 1 for row in rows)
        return Report(
            updates=tuple(updates),
            metrics=combine(every),
            dropped=dict(dropped),
            left_out=dict(left_out),
            tokens=tokens,
        )

    def _step(
        self,
        rows: Sequence[_Row],
        places: Sequence[int],
        proximal: Sequence[Tensor] | None,
        parts: list[dict[str, float]],
    ) -> Update:
        """One optimiser step on some of the rows."""
        sizes: Counter[int] = Counter()
        for place in places:
            sizes[rows[place].rollout] += int(rows[place].trace.sampled.sum())
        total = sum(len(rows[place].trace.ids) - 1 for place in places)
        for micro in self._micro_batches(rows, places):
            if not micro:
                idle(self.model).backward()  # type: ignore[no-untyped-call]
                continue
            loss, metrics = self._loss(rows, micro, sizes, total, proximal)
            loss.backward()  # type: ignore[no-untyped-call]
            parts.append(metrics)
        return self.optimiser.apply()

    def _loss(
        self,
        rows: Sequence[_Row],
        micro: Sequence[int],
        sizes: Counter[int],
        total: int,
        proximal: Sequence[Tensor] | None,
    ) -> tuple[Tensor, dict[str, float]]:
        flat = self._flat(rows, micro)
        chosen = [rows[place] for place in micro]
        scores = score(self.model, flat, temperature=self.temperature)
        weight_M = token_weights(
            self.config.loss,
            flat.sequence_M,
            [sizes[row.rollout] for row in chosen],
            num_rollouts=len(sizes),
            num_tokens=sum(sizes.values()),
            sequence_tokens=[int(row.trace.sampled.sum()) for row in chosen],
        )
        behaviour_M = self._sampled([row.trace.logprobs for row in chosen], chosen)
        # Taken once, the trainer's own log-probability is the proximal policy: the ratio is 1.
        proximal_M = scores.logprob_M.detach()
        if proximal is not None:
            proximal_M = torch.cat([proximal[place] for place in micro])
        result = policy_loss(
            scores.logprob_M,
            behaviour_M,
            self._sampled([row.advantages for row in chosen], chosen),
            weight_M,
            flat.sequence_M,
            config=self.config.loss,
            proximal_M=proximal_M,
        )
        entropy = float(scores.entropy_M.sum()) / max(1, len(scores.entropy_M))
        metrics = {**result.metrics, "entropy": entropy}
        loss, coefficient = result.loss, self._balance
        if coefficient and scores.routings:
            share = len(flat.ids_N) / total
            even = balance_loss(scores.routings) * (coefficient * share)
            metrics["loss_balance"] = float(even.detach())
            loss = loss + even
        return loss, metrics

    @torch.no_grad()
    def _proximal(self, rows: Sequence[_Row]) -> list[Tensor]:
        """Every row's log-probabilities by the weights as they stand; on the rank that needs them.

        Each rank computes what it will train on, in the order of an epoch.
        """
        found: dict[int, Tensor] = {}
        for places in _minibatches(rows, self.config.minibatches):
            for micro in self._micro_batches(rows, places):
                if not micro:
                    idle(self.model)
                    continue
                flat = self._flat(rows, micro)
                scores = score(self.model, flat, temperature=self.temperature)
                for place, row in enumerate(micro):
                    found[row] = scores.logprob_M[flat.sequence_M == place]
        return [found.get(place, torch.zeros(0)) for place in range(len(rows))]

    def _micro_batches(
        self, rows: Sequence[_Row], places: Sequence[int]
    ) -> Iterator[tuple[int, ...]]:
        """This rank's micro-batches; as many on every rank, some of them empty.

        Traces whose experts are replayed are computed apart from those without, because a forward
        replays all or none.
        """
        cost = CostModel.of(self.model.config)
        for known in (True, False):
            own = [place for place in places if (rows[place].trace.experts is not None) == known]
            lengths = [len(rows[place].trace.ids) - 1 for place in own]
            parts = split(lengths, self.world.size, capacity=self.config.micro_tokens, cost=cost)
            for micro in parts[self.world.rank]:
                yield tuple(own[at] for at in micro)

    def _flat(self, rows: Sequence[_Row], micro: Sequence[int]) -> Flat:
        traces = [rows[place].trace for place in micro]
        experts = [trace.experts for trace in traces if trace.experts is not None]
        replayed = experts if self.config.replay and len(experts) == len(traces) else None
        flat = flatten(
            [trace.ids for trace in traces], [trace.sampled for trace in traces], replayed
        )
        return flat.to(self.model.norm.weight.device)

    def _sampled(self, values: Sequence[NDArray[np.float32]], rows: Sequence[_Row]) -> Tensor:
        """(M,) the values of sampled tokens."""
        picked = [value[row.trace.sampled] for value, row in zip(values, rows, strict=True)]
        return torch.from_numpy(np.concatenate(picked)).to(self.model.norm.weight.device)

    @property
    def _balance(self) -> float:
        given = self.config.balance
        return self.model.config.router_aux_loss_coef if given is None else given


def _rows(kept: Sequence[tuple[Group, Advantages]]) -> Iterator[_Row]:
    number = 0
    for place, (group, found) in enumerate(kept):
        for played, advantage in zip(group.rollouts, found.values, strict=True):
            if advantage is None or not math.isfinite(advantage):
                continue
            for trace in played.traces:
                if trace.sampled.any():
                    yield _Row(trace, token_advantages(trace, advantage), number, place)
            number += 1


def _minibatches(rows: Sequence[_Row], count: int) -> list[list[int]]:
    """Rows by groups, dealt to as many steps; a group is never in two of them."""
    groups = sorted({row.group for row in rows})
    dealt = {group: at % count for at, group in enumerate(groups)}
    parts = [[p for p, row in enumerate(rows) if dealt[row.group] == at] for at in range(count)]
    return [part for part in parts if part]
