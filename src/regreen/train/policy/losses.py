"""The policy losses of the GRPO family, in one function: what differs is a table.

Each loss is a sum over tokens of weight times term, and ``token_weights`` gives the weight in the
WHOLE update. So losses of micro-batches, or of ranks, add up to the loss of the batch, and so do
their gradients; a mean of means never appears. The formulas stand in docs/reference/losses.md.

Shapes: M sampled tokens, S sequences.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from regreen.core.errors import UsageError
from regreen.train.policy.corrections import (
    Correction,
    CorrectionConfig,
    correct,
    sequence_means,
    sequence_numbers,
)

__all__ = ["LossConfig", "LossName", "LossResult", "combine", "policy_loss", "token_weights"]

LossName = Literal["grpo", "dr_grpo", "dapo", "gspo", "cispo", "dppo"]
"""GRPO 2402.03300, Dr.GRPO 2503.20783, DAPO 2503.14476, GSPO 2507.18071, CISPO 2506.13585,
DPPO 2602.04879."""

_LARGEST = 20.0
"""Log-ratios of tokens are cut here, those of sequences at 10, as others do."""


class _Usual(NamedTuple):
    low: float
    high: float
    drift: float = 0.0


_USUAL: dict[str, _Usual] = {
    "grpo": _Usual(0.2, 0.2),
    "dr_grpo": _Usual(0.2, 0.2),
    "dapo": _Usual(0.2, 0.28),
    "gspo": _Usual(3e-4, 4e-4),
    "cispo": _Usual(1.0, 4.0),
    "dppo": _Usual(0.2, 0.2, 1e-3),
}


class LossConfig(BaseModel):
    """Which loss, and its numbers; None takes what is usual for the loss."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: LossName = "dapo"
    """The loss."""
    clip_low: float | None = Field(default=None, ge=0.0)
    """How far the ratio may fall below 1. Usual: 0.2; GSPO 3e-4 (MegaFlow 2e-4); CISPO 1, which is
    no lower bound; DPPO 0.2 of probability."""
    clip_high: float | None = Field(default=None, ge=0.0)
    """How far the ratio may rise above 1. Usual: 0.2; DAPO 0.28; GSPO 4e-4; CISPO 4; DPPO 0.2 of
    probability."""
    divergence: Literal["tv", "kl"] = "tv"
    """What DPPO measures of the sampled token against all others together: the change of its
    probability, or the KL divergence, for which 0.05 is a usual bound."""
    ratio_cap: float = Field(default=20.0, gt=0.0)
    """DPPO's ratio is truncated here; unlike a clip this keeps the token's gradient."""
    budget: int = Field(default=4096, gt=0)
    """Tokens that Dr.GRPO divides each rollout's sum by: a constant, the longest a rollout may be.
    1 gives the equation of the paper, which has none."""
    kl: float = Field(default=0.0, ge=0.0)
    """Weight of the KL divergence to a reference policy."""
    kl_estimator: Literal["k1", "k2", "k3"] = "k3"
    """Schulman's estimators; k3 is GRPO's."""
    entropy: float = Field(default=0.0, ge=0.0)
    """Weight of the entropy bonus, estimated from the sampled tokens."""
    drift: float | None = Field(default=None, ge=0.0)
    """Weight of the squared log-ratio to what sampled (Kimi K2.5, 2602.02276). Usual: DPPO 1e-3,
    else 0."""
    corrections: CorrectionConfig = CorrectionConfig()
    """What is done about a mismatch of engine and trainer."""

    @property
    def bounds(self) -> tuple[float, float]:
        """How far a ratio may fall and rise."""
        usual = _USUAL[self.name]
        low = usual.low if self.clip_low is None else self.clip_low
        return low, usual.high if self.clip_high is None else self.clip_high

    @property
    def whole_sequences(self) -> bool:
        """Whether a sequence may not be split over micro-batches."""
        return self.name == "gspo" or self.corrections.by_sequence


@dataclass(frozen=True, eq=False)
class LossResult:
    """The loss of some tokens of an update."""

    loss: Tensor
    """To be minimised; add up those of all micro-batches and ranks."""
    metrics: Mapping[str, float]
    """Numbers to log; ``combine`` joins those of several micro-batches."""


class _Terms(NamedTuple):
    loss_M: Tensor
    ratio_M: Tensor
    low_M: Tensor
    high_M: Tensor


def token_weights(
    config: LossConfig,
    sequence_M: Tensor,
    rollout_tokens: Sequence[int],
    *,
    num_rollouts: int,
    num_tokens: int,
    sequence_tokens: Sequence[int] | None = None,
) -> Tensor:
    """(M,) float64 weight of each token in the whole update, of all its groups.

    GRPO and GSPO: 1 / (rollouts · tokens of the rollout). Dr.GRPO: 1 / (rollouts · budget). DAPO,
    CISPO and DPPO: 1 / tokens of the update.

    Args:
        config: the loss.
        sequence_M: which sequence of this micro-batch each token belongs to, from 0.
        rollout_tokens: for each of those sequences, how many tokens its whole rollout has in the
            loss, in all its sequences.
        num_rollouts: rollouts in the update.
        num_tokens: tokens in the update's loss.
        sequence_tokens: for each sequence, how many tokens it has in the loss; needed where a
            rollout left several.

    Raises:
        UsageError: a loss that needs whole sequences is given a part of one.
    """
    if not len(sequence_M):
        return torch.zeros(0, dtype=torch.float64, device=sequence_M.device)
    sizes = rollout_tokens if sequence_tokens is None else sequence_tokens
    found = torch.bincount(sequence_M, minlength=len(rollout_tokens)).tolist()
    for place, (here, whole) in enumerate(zip(found, sizes, strict=True)):
        if config.whole_sequences and here not in {0, whole}:
            what = f"{config.name} needs whole sequences; of {whole} tokens there are {here}"
            mend = "keep each sequence in one micro-batch"
            raise UsageError(what, where=f"sequence {place}", mend=mend)
    if config.name in {"grpo", "gspo"}:
        rows = [1.0 / (num_rollouts * max(1, size)) for size in rollout_tokens]
    elif config.name == "dr_grpo":
        rows = [1.0 / (num_rollouts * config.budget)] * len(rollout_tokens)
    else:
        rows = [1.0 / num_tokens] * len(rollout_tokens)
    return torch.tensor(rows, dtype=torch.float64, device=sequence_M.device)[sequence_M]


def policy_loss(
    logprob_M: Tensor,
    behaviour_M: Tensor,
    advantage_M: Tensor,
    weight_M: Tensor,
    sequence_M: Tensor,
    *,
    config: LossConfig,
    proximal_M: Tensor | None = None,
    reference_M: Tensor | None = None,
) -> LossResult:
    """The loss of sampled tokens.

    The ratio that is clipped is taken against ``proximal_M`` where it is given, and each term is
    then weighted by the correction from behaviour to proximal (decoupled PPO, 2110.00641); without
    it the ratio is against the behaviour and holds the mismatch itself. DPPO's is always against
    the behaviour, as its trust region is. Masks of the corrections act in every case, and then take
    the whole token: its clip term, its KL, its entropy.

    A token whose behaviour, proximal, reference or advantage is not a finite number is left out and
    counted; one whose ``logprob_M`` is not makes the loss so, as then the model itself is broken.

    Args:
        logprob_M: log-probability by the policy that is trained, with its gradient.
        behaviour_M: log-probability under which the token was drawn.
        advantage_M: advantage of each token, its penalties subtracted.
        weight_M: of ``token_weights``; 0 leaves a token out.
        sequence_M: which sequence each token belongs to; those of one lie next to each other.
        config: the loss.
        proximal_M: log-probability by the trainer's weights at the start of the update, for several
            steps on one batch.
        reference_M: log-probability by the reference policy, needed for ``config.kl``.

    Raises:
        UsageError: a reference is needed and missing, or a sequence lies in pieces.
    """
    if config.kl and reference_M is None:
        what = "a KL divergence to a reference needs the reference's log-probabilities"
        raise UsageError(what, where="kl", mend="set kl to 0, or name a reference policy")
    references = [row for row in (proximal_M, reference_M) if row is not None]
    rows = [behaviour_M, advantage_M, *references]
    sound_M = torch.stack([row.isfinite() for row in rows]).all(0) & (weight_M > 0)
    logprob_M, weight_M, sequence_M = logprob_M[sound_M], weight_M[sound_M], sequence_M[sound_M]
    behaviour_M, advantage_M = behaviour_M.detach()[sound_M], advantage_M.detach()[sound_M]
    proximal_M = None if proximal_M is None else proximal_M.detach()[sound_M]
    reference_M = None if reference_M is None else reference_M.detach()[sound_M]
    trainer_M = logprob_M if proximal_M is None else proximal_M
    correction = correct(trainer_M, behaviour_M, sequence_M, config.corrections)
    old_M = behaviour_M if proximal_M is None or config.name == "dppo" else proximal_M
    terms = _terms(config, logprob_M, old_M, advantage_M, sequence_M)
    weighted = proximal_M is not None and config.name != "dppo"
    policy_M = terms.loss_M * correction.weight_M if weighted else terms.loss_M
    parts = {"policy": policy_M} | _extras(config, logprob_M, behaviour_M, reference_M)
    weight_M = weight_M.to(logprob_M.dtype)
    kept_M = torch.where(correction.keep_M, weight_M, torch.zeros_like(weight_M))
    losses = {name: (kept_M * part_M).sum() for name, part_M in parts.items()}
    loss = torch.stack(list(losses.values())).sum()
    left_out = float((~sound_M).sum())
    return LossResult(loss, _metrics(losses, terms, correction, advantage_M, left_out))


def _terms(
    config: LossConfig, logprob_M: Tensor, old_M: Tensor, advantage_M: Tensor, sequence_M: Tensor
) -> _Terms:
    """Each token's term before its weight."""
    low, high = config.bounds
    log_ratio_M = logprob_M - old_M
    if config.name == "dppo":
        return _dppo(config, logprob_M, old_M, advantage_M)
    if config.name == "gspo":
        own_M, count = sequence_numbers(sequence_M)
        mean_S = sequence_means(log_ratio_M.detach(), own_M, count)
        # the sequence's ratio, each token with its own gradient: equation 14 of GSPO
        log_ratio_M = (mean_S[own_M] + logprob_M - logprob_M.detach()).clamp(max=_LARGEST / 2)
    ratio_M = log_ratio_M.clamp(-_LARGEST, _LARGEST).exp()
    clipped_M = ratio_M.clamp(1 - low, 1 + high)
    below_M, above_M = ratio_M < 1 - low, ratio_M > 1 + high
    if config.name == "cispo":
        loss_M = -clipped_M.detach() * advantage_M * logprob_M
        return _Terms(loss_M, ratio_M, below_M, above_M)
    loss_M = -torch.minimum(ratio_M * advantage_M, clipped_M * advantage_M)
    return _Terms(loss_M, ratio_M, below_M & (advantage_M < 0), above_M & (advantage_M > 0))


def _dppo(
    config: LossConfig, logprob_M: Tensor, behaviour_M: Tensor, advantage_M: Tensor
) -> _Terms:
    """A token that has left the trust region, and would go on leaving, has no term."""
    low, high = config.bounds
    now_M, then_M = logprob_M.detach().exp(), behaviour_M.exp()
    if config.divergence == "tv":
        far_low_M, far_high_M = then_M - now_M > low, now_M - then_M > high
    else:
        apart_M = _binary_kl(then_M, now_M, behaviour_M - logprob_M.detach())
        far_low_M = (apart_M > low) & (now_M < then_M)
        far_high_M = (apart_M > high) & (now_M > then_M)
    low_M, high_M = far_low_M & (advantage_M <= 0), far_high_M & (advantage_M > 0)
    log_ratio_M = (logprob_M - behaviour_M).clamp(-_LARGEST, _LARGEST)
    value_M = log_ratio_M.detach().exp().clamp(max=config.ratio_cap)
    ratio_M = value_M * (logprob_M - logprob_M.detach()).exp()
    loss_M = -ratio_M * advantage_M
    masked_M = torch.where(low_M | high_M, torch.zeros_like(loss_M), loss_M)
    return _Terms(masked_M, ratio_M.detach(), low_M, high_M)


def _binary_kl(then_M: Tensor, now_M: Tensor, log_M: Tensor) -> Tensor:
    """KL of (token, all others) under the behaviour from the same under the policy."""
    tiny = torch.finfo(then_M.dtype).tiny
    rest_M = (1 - then_M) * ((1 - then_M).clamp(min=tiny).log() - (1 - now_M).clamp(min=tiny).log())
    return then_M * log_M + rest_M


def _extras(
    config: LossConfig, logprob_M: Tensor, behaviour_M: Tensor, reference_M: Tensor | None
) -> dict[str, Tensor]:
    """Terms beside the policy's, those that are on."""
    found: dict[str, Tensor] = {}
    if config.kl and reference_M is not None:
        found["kl"] = config.kl * _kl(config.kl_estimator, reference_M - logprob_M)
    if config.entropy:
        # Of all tokens, E[log p · grad log p] is minus the entropy's gradient.
        sampled_M = logprob_M.detach()
        found["entropy"] = config.entropy * sampled_M * (1 + logprob_M - sampled_M)
    drift = _USUAL[config.name].drift if config.drift is None else config.drift
    if drift:
        found["drift"] = drift * (logprob_M - behaviour_M) ** 2
    return found


def _kl(estimator: str, apart_M: Tensor) -> Tensor:
    """KL of the policy from the reference, from log(reference / policy)."""
    if estimator == "k1":
        return -apart_M
    if estimator == "k2":
        return apart_M**2 / 2
    return apart_M.clamp(-_LARGEST, _LARGEST).exp() - apart_M - 1


def _metrics(
    losses: Mapping[str, Tensor],
    terms: _Terms,
    correction: Correction,
    advantage_M: Tensor,
    left_out: float,
) -> dict[str, float]:
    with torch.no_grad():
        size = max(1, len(advantage_M))
        empty = not len(advantage_M)
        found = {f"loss_{name}": float(value) for name, value in losses.items()}
        found |= {
            "num_tokens": float(len(advantage_M)),
            "num_left_out": left_out,
            "share_clipped_low": float(terms.low_M.sum()) / size,
            "share_clipped_high": float(terms.high_M.sum()) / size,
            "ratio_mean": float(terms.ratio_M.sum()) / size,
            "ratio_max": 0.0 if empty else float(terms.ratio_M.max()),
            "advantage_mean": float(advantage_M.sum()) / size,
        }
    return found | dict(correction.metrics)


def combine(parts: Iterable[Mapping[str, float]]) -> dict[str, float]:
    """The metrics of several micro-batches as those of all their tokens.

    ``loss_`` and ``num_`` are added up, ``_max`` is the largest, all else is a mean over tokens.
    """
    rows = [dict(part) for part in parts]
    total = sum(row["num_tokens"] for row in rows) or 1.0
    found: dict[str, float] = {}
    for name in dict.fromkeys(name for row in rows for name in row):
        values = [row.get(name, 0.0) for row in rows]
        if name.startswith(("loss_", "num_")):
            found[name] = sum(values)
        elif name.endswith("_max"):
            found[name] = max(values)
        else:
            shares = zip(values, rows, strict=True)
            found[name] = sum(value * row["num_tokens"] for value, row in shares) / total
    return found
