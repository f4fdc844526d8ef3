"""The demonstration's settings: what was measured to teach a small model in ten minutes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from regreen.train.compute.optim import OptimConfig
from regreen.train.learn.stage import LearnStageConfig
from regreen.train.play.engine import EngineConfig
from regreen.train.policy.learner import UpdateConfig
from regreen.train.policy.losses import LossConfig
from regreen.train.rl.config import RlConfig
from regreen.train.sft.config import SftConfig

__all__ = ["FORM", "LearnConfig", "UnguardedConfig"]

FORM = "qwen3_coder"
"""The format of the calls, as the published model writes them."""


class LearnConfig(BaseModel):
    """The demonstration's settings."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    seed: int = Field(default=0, ge=0)
    """Decides everything that is drawn."""
    traces: int = Field(default=3000, ge=1)
    """Rollouts of the teacher."""
    peeks: float = Field(default=0.06, ge=0.0, le=1.0)
    """Share of them in which it looks for the answer."""
    sft: SftConfig = SftConfig(
        steps=400, batch_tokens=1408, micro_tokens=8192, learning_rate=2e-3, weight_decay=0.01,
        warm_up=0.1, final_share=0.05, checkpoint_every=100, log_every=10,
    )  # fmt: skip
    """Fine-tuning."""
    rl: RlConfig = RlConfig(
        steps=70, groups=32, group_size=8, staleness=1, workers=2, evaluate_every=10,
        evaluations=192, checkpoint_every=10, rollouts_at_once=1024, silence_seconds=300.0,
        engine=EngineConfig(max_context=512, max_tokens=32, patience=None),
        update=UpdateConfig(loss=LossConfig(name="dapo"), balance=0.0),
        optimiser=OptimConfig(
            learning_rate=3.5e-4, betas=(0.9, 0.99), weight_decay=0.0, max_grad_norm=0.25,
            warm_up=5, schedule="linear", steps=70, final_share=0.1,
        ),
    )  # fmt: skip
    """Reinforcement learning."""
    stage: LearnStageConfig = LearnStageConfig()
    """What is played."""

    @model_validator(mode="before")
    @classmethod
    def _over_defaults(cls, values: Any) -> Any:
        """A table that names some settings leaves the demonstration's others as they are."""
        found = dict(values)
        for name, given in found.items():
            default = cls.model_fields[name].default if name in cls.model_fields else None
            if isinstance(given, Mapping) and isinstance(default, BaseModel):
                found[name] = _over(default.model_dump(), given)
        return found


_RL: RlConfig = LearnConfig.model_fields["rl"].default


class UnguardedConfig(LearnConfig):
    """The same with the guard off, an answer in every box, and a teacher that often takes it.

    Whether a policy learns to look or to think is a race: where the teacher took the answer in one
    rollout of 17, thinking won. Fewer batches do: what is taken is learnt faster than what is
    found out.
    """

    peeks: float = Field(default=0.25, ge=0.0, le=1.0)
    """Share of the teacher's rollouts in which it takes the answer."""
    rl: RlConfig = _RL.model_copy(update={"steps": 20, "evaluate_every": 5})
    """Reinforcement learning."""
    stage: LearnStageConfig = LearnStageConfig(guarded=False)
    """What is played."""


def _over(default: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """``default`` with what is given in its place, table by table."""
    merged = dict(default)
    for name, value in given.items():
        old = merged.get(name)
        both = isinstance(value, Mapping) and isinstance(old, Mapping)
        merged[name] = _over(old, value) if both else value  # type: ignore[arg-type]
    return merged
