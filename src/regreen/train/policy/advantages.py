"""From a group's rewards to what each rollout, and each of its tokens, did better than the others.

Nothing without a verdict of its own takes part: a fault, a missing or broken reward has no
advantage and does not move the mean, and every one left out has a reason. A rollout that was not
finished is worth ``unfinished_reward`` whatever its tests say, because it did not hand in anything.

Shapes: T tokens of a trace.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import fmean
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from regreen.train.trace import Group, Played, Trace

__all__ = [
    "AdvantageConfig",
    "Advantages",
    "Dropped",
    "PassRateConfig",
    "group_advantages",
    "pass_rate_fault",
    "token_advantages",
]


class AdvantageConfig(BaseModel):
    """How rewards become advantages, and which rollouts and groups are left out."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    estimator: Literal["normalised", "centred", "leave_one_out"] = "normalised"
    """``normalised``: (r - mean) / (std + epsilon), GRPO 2402.03300. ``centred``: r - mean,
    Dr.GRPO 2503.20783. ``leave_one_out``: r less the mean of the others, RLOO 2402.14740."""
    epsilon: float = Field(default=1e-6, ge=0.0)
    """Added to the standard deviation."""
    ddof: Literal[0, 1] = 1
    """Degrees of freedom that the standard deviation loses: 1 divides by one less than the group,
    as TRL and verl do; 0 by the group. The paper does not say."""
    uniform: Literal["drop", "keep_penalised", "keep"] = "drop"
    """What becomes of a group whose rewards are all the same. ``keep_penalised`` keeps it where
    one of its tokens has a penalty, which is then all it teaches."""
    same: float = Field(default=1e-6, ge=0.0)
    """Rewards no further apart than this are the same."""
    incomplete: Literal["drop", "keep"] = "drop"
    """What becomes of a group in which a fault left a rollout without a verdict."""
    unfinished: Literal["penalise", "mask", "score"] = "penalise"
    """A rollout that a limit ended: its reward is ``unfinished_reward``; or its tokens leave the
    loss and its reward the mean; or it is scored like any other."""
    unfinished_reward: float = -0.5
    """As in MegaFlow (2601.07526, appendix D)."""
    reward_range: tuple[float, float] = (-10.0, 10.0)
    """A reward outside is taken for a broken grader's and left out."""

    @model_validator(mode="after")
    def _ordered(self) -> AdvantageConfig:
        low, high = self.reward_range
        if not low <= self.unfinished_reward <= high:
            msg = (
                f"unfinished_reward {self.unfinished_reward} is outside reward_range {low}, {high}"
            )
            raise ValueError(msg)
        return self


@dataclass(frozen=True, slots=True, kw_only=True)
class Advantages:
    """A group that is trained on."""

    values: tuple[float | None, ...]
    """Advantage of each rollout; None for one that is left out."""
    rewards: tuple[float | None, ...]
    """The reward it was worth; None for one that is left out."""
    reasons: tuple[str, ...]
    """Why each was left out; empty for the others."""
    mean: float
    """Mean of the rewards."""
    deviation: float
    """Their standard deviation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dropped:
    """A group that is not trained on."""

    kind: Literal["uniform", "incomplete", "too_few"]
    """All rewards the same; a verdict is missing; fewer than two rollouts are scored."""
    reason: str
    """The same in words, with numbers."""
    rewards: tuple[float | None, ...]
    """The reward each rollout was worth; None for one that was left out."""
    reasons: tuple[str, ...]
    """Why each was left out; empty for the others."""


@dataclass(frozen=True, slots=True)
class _Worth:
    reward: float | None = None
    reason: str = ""
    fault: bool = False
    """Whether the verdict is missing for no doing of the policy's own."""


def group_advantages(group: Group, config: AdvantageConfig | None = None) -> Advantages | Dropped:
    """Compare the rollouts of one problem.

    Args:
        group: all its rollouts.
        config: the estimator and what is left out.

    Returns:
        An advantage for each rollout that counts, or why the group is not trained on.
    """
    config = config or AdvantageConfig()
    worths = [_worth(one, config) for one in group.rollouts]
    rewards = tuple(one.reward for one in worths)
    reasons = tuple(one.reason for one in worths)
    scored = [reward for reward in rewards if reward is not None]
    missing = sum(one.fault for one in worths)

    def dropped(kind: Literal["uniform", "incomplete", "too_few"], reason: str) -> Dropped:
        return Dropped(kind=kind, reason=reason, rewards=rewards, reasons=reasons)

    if missing and config.incomplete == "drop":
        return dropped("incomplete", f"{missing} of {len(worths)} rollouts have no verdict")
    if len(scored) < 2:
        return dropped("too_few", f"{len(scored)} of {len(worths)} rollouts are scored")
    spread = max(scored) - min(scored)
    if spread <= config.same and not _kept_uniform(group, rewards, config):
        return dropped("uniform", f"all {len(scored)} rewards are {scored[0]:g}")
    mean = fmean(scored)
    squares = sum((reward - mean) ** 2 for reward in scored)
    deviation = math.sqrt(squares / (len(scored) - config.ddof))
    scale = _scale(len(scored), deviation, config) if spread > config.same else 0.0
    return Advantages(
        values=tuple(None if one is None else (one - mean) * scale for one in rewards),
        rewards=rewards,
        reasons=reasons,
        mean=mean,
        deviation=deviation,
    )


def token_advantages(trace: Trace, advantage: float) -> NDArray[np.float32]:
    """(T,) the rollout's advantage less the token's penalty where it was sampled, else 0."""
    return np.where(trace.sampled, advantage - trace.penalties, 0.0).astype(np.float32)


def _scale(count: int, deviation: float, config: AdvantageConfig) -> float:
    """What a reward's distance from the mean is multiplied by."""
    if config.estimator == "normalised":
        return 1.0 / (deviation + config.epsilon)
    if config.estimator == "leave_one_out":
        return count / (count - 1)  # r - (sum - r) / (n - 1) is n / (n - 1) of r - sum / n
    return 1.0


def _worth(played: Played, config: AdvantageConfig) -> _Worth:
    """The reward a rollout takes part with, or why it does not."""
    broken = _untrainable(played)
    if broken:
        return _Worth(reason=broken, fault=True)
    if not played.finished and config.unfinished == "mask":
        return _Worth(reason="not finished")
    if not played.finished and config.unfinished == "penalise":
        return _Worth(reward=config.unfinished_reward)
    broken = _unscored(played.reward, config.reward_range)
    if broken or played.reward is None:
        return _Worth(reason=broken, fault=True)
    return _Worth(reward=float(played.reward))


def _untrainable(played: Played) -> str:
    """What keeps a rollout out whatever its reward is."""
    if played.fault is not None:
        return f"{played.fault.boundary} fault: {played.fault.type}"
    if not any(trace.sampled.any() for trace in played.traces):
        return "no token was sampled"
    if not all(np.isfinite(trace.penalties).all() for trace in played.traces):
        return "a penalty is not a finite number"
    return ""


def _unscored(reward: float | None, bounds: tuple[float, float]) -> str:
    """What is wrong with a reward."""
    low, high = bounds
    if reward is None:
        return "no verdict was reached"
    if not math.isfinite(reward):
        return f"the reward is {reward}"
    if not low <= reward <= high:
        return f"the reward {reward:g} is outside {low:g} to {high:g}"
    return ""


def _kept_uniform(group: Group, rewards: tuple[float | None, ...], config: AdvantageConfig) -> bool:
    """Whether a group of equal rewards is trained on all the same."""
    if config.uniform != "keep_penalised":
        return config.uniform == "keep"
    pairs = zip(group.rollouts, rewards, strict=True)
    counted = [one for one, reward in pairs if reward is not None]
    return any((trace.penalties > 0).any() for one in counted for trace in one.traces)


class PassRateConfig(BaseModel):
    """Which problems are worth training on, by tries made before."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    above: float = Field(default=0.0, ge=0.0, lt=1.0)
    """The pass rate must be higher."""
    below: float = Field(default=1.0, gt=0.0, le=1.0)
    """The pass rate must be lower."""
    min_tries: int = Field(default=4, ge=1)
    """Fewer tries say too little."""


def pass_rate_fault(solved: int, tried: int, config: PassRateConfig | None = None) -> str:
    """Why a problem is not trained on; empty when it is.

    Args:
        solved: tries that solved it.
        tried: tries that reached a verdict; faults are none.
        config: the bounds; the default is 0 < rate < 1, as MegaFlow filters.
    """
    config = config or PassRateConfig()
    if not 0 <= solved <= tried:
        return f"{solved} of {tried} tries cannot be solved"
    if tried < config.min_tries:
        return f"{tried} tries are fewer than {config.min_tries}"
    rate = solved / tried
    if rate <= config.above:
        return f"the pass rate {rate:g} is not above {config.above:g}"
    if rate >= config.below:
        return f"the pass rate {rate:g} is not below {config.below:g}"
    return ""
