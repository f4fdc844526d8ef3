"""What to do about tokens that the engine and the trainer find differently likely.

The mismatch is measured in every call, also when nothing is corrected: it is the first thing to
look at when a run goes wrong. Weights carry no gradient, and a mask is kept apart from a weight,
because a loss whose own ratio is taken against the engine may be masked but not weighted again.

Shapes: M sampled tokens, S sequences.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor

from regreen.core.errors import UsageError

__all__ = ["Correction", "CorrectionConfig", "correct", "sequence_means", "sequence_numbers"]

_LARGEST = 20.0
"""Log-ratios are cut here before they become ratios; 4.9e8 is a ratio that means nothing."""


class CorrectionConfig(BaseModel):
    """Which corrections are made; each is off at None.

    Where router replay is to be had it comes first (``Trace.experts``). The bounds on sequences are
    off because they also cut what is merely a few versions old; turn them on, at (0.99, 1.01), when
    the mismatch is large at staleness 0.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    truncate: float | None = Field(default=2.0, ge=1.0)
    """Token-level truncated importance sampling: the weight is min(ratio, this)."""
    keep_tokens: tuple[float, float] | None = None
    """IcePop (2510.18855, there 0.5 to 5): a token whose ratio lies outside is masked. Use
    (0.5, 2.0)."""
    keep_sequences: tuple[float, float] | None = None
    """A sequence is masked whose geometric mean of ratios lies outside. Use (0.99, 1.01)."""
    keep_outliers: tuple[float, float] | None = (1e-4, 1e4)
    """A sequence is masked as soon as one of its ratios lies outside: such a token was drawn from
    another distribution altogether."""

    @model_validator(mode="after")
    def _ordered(self) -> CorrectionConfig:
        for name in ("keep_tokens", "keep_sequences", "keep_outliers"):
            bounds = getattr(self, name)
            if bounds is not None and not 0 <= bounds[0] <= 1 <= bounds[1]:
                msg = f"{name}: a ratio of 1 must lie within {bounds}"
                raise ValueError(msg)
        return self

    @property
    def by_sequence(self) -> bool:
        """Whether whole sequences are looked at, which then may not be split."""
        return self.keep_sequences is not None or self.keep_outliers is not None


@dataclass(frozen=True, eq=False)
class Correction:
    """What the corrections say of each token; no gradient passes."""

    weight_M: Tensor
    """Importance weight: trainer's probability over the engine's, as far as the configuration lets
    it."""
    keep_M: Tensor
    """True where no mask took the token."""
    metrics: Mapping[str, float]
    """The mismatch, and the shares masked."""


def correct(
    trainer_M: Tensor, behaviour_M: Tensor, sequence_M: Tensor, config: CorrectionConfig
) -> Correction:
    """Weights and masks from two log-probabilities of the same tokens.

    The ratio is rho = exp(trainer - behaviour). Truncated importance sampling is min(rho, C);
    IcePop is rho within its bounds and 0 outside; the geometric mean of a sequence is
    exp(mean(log rho)). A token whose ratio is not finite is masked.

    Args:
        trainer_M: log-probability by the trainer's weights.
        behaviour_M: log-probability by what sampled.
        sequence_M: which sequence each belongs to; every sequence must be whole where
            ``config.by_sequence``.
        config: which corrections.
    """
    with torch.no_grad():
        apart_M = trainer_M.detach() - behaviour_M.detach()
        finite_M = apart_M.isfinite()
        apart_M = torch.where(finite_M, apart_M, torch.zeros_like(apart_M))
        ratio_M = apart_M.clamp(-_LARGEST, _LARGEST).exp()
        own_M, count = sequence_numbers(sequence_M)
        inside_M = _inside(ratio_M, config.keep_tokens)
        mean_S = sequence_means(apart_M, own_M, count)
        typical_M = _inside(mean_S.exp(), config.keep_sequences)[own_M]
        odd_M = (~_inside(ratio_M, config.keep_outliers)).to(ratio_M.dtype)
        calm_M = (sequence_means(odd_M, own_M, count) == 0)[own_M]
        weight_M = torch.ones_like(ratio_M)
        if config.truncate is not None:
            weight_M = ratio_M.clamp(max=config.truncate)
        elif config.keep_tokens is not None:
            weight_M = ratio_M
        keep_M = finite_M & inside_M & typical_M & calm_M
        metrics = _measured(apart_M, ratio_M, finite_M)
        cut = ratio_M > (config.truncate or float("inf"))
        shares = {
            "truncated": cut, "masked": ~keep_M, "masked_tokens": ~inside_M,
            "masked_sequences": ~typical_M, "masked_outliers": ~calm_M,
        }  # fmt: skip
        size = max(1, len(ratio_M))
        metrics |= {f"share_{name}": float(one.sum()) / size for name, one in shares.items()}
    return Correction(weight_M, keep_M, metrics)


def _inside(ratio: Tensor, bounds: tuple[float, float] | None) -> Tensor:
    if bounds is None:
        return torch.ones_like(ratio, dtype=torch.bool)
    return (ratio >= bounds[0]) & (ratio <= bounds[1])


def _measured(apart_M: Tensor, ratio_M: Tensor, finite_M: Tensor) -> dict[str, float]:
    """How far the two are apart; KL(behaviour | trainer) by Schulman's estimators k1 and k3."""
    size = max(1, int(finite_M.sum()))
    rows = (apart_M.abs(), -apart_M, ratio_M - apart_M - 1)
    mean, k1, k3 = (float(one[finite_M].sum()) / size for one in rows)
    largest = float(apart_M.abs().max()) if len(apart_M) else 0.0
    return {
        "mismatch_max": largest, "mismatch_mean": mean, "mismatch_k1": k1, "mismatch_k3": k3,
        "num_nonfinite": float((~finite_M).sum()),
    }  # fmt: skip


def sequence_numbers(sequence_M: Tensor) -> tuple[Tensor, int]:
    """The sequence of each token counted from 0, and how many there are.

    Raises:
        UsageError: the tokens of a sequence do not lie next to each other.
    """
    if not len(sequence_M):
        return sequence_M, 0
    kinds, own_M = torch.unique_consecutive(sequence_M, return_inverse=True)
    if len(kinds) != len(kinds.unique()):
        what = "the tokens of a sequence do not lie next to each other"
        raise UsageError(what, mend="keep each sequence whole, in one micro-batch")
    return own_M, len(kinds)


def sequence_means(value_M: Tensor, own_M: Tensor, count: int) -> Tensor:
    """(S,) the mean over each sequence's tokens, differentiable."""
    sum_S = value_M.new_zeros(count).index_add(0, own_M, value_M)
    size_S = value_M.new_zeros(count).index_add(0, own_M, torch.ones_like(value_M))
    return sum_S / size_S.clamp(min=1)
