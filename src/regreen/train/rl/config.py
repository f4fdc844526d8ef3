"""What reinforcement learning is asked for; one frozen description of a run."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from regreen.train.compute.optim import OptimConfig
from regreen.train.play.engine import EngineConfig
from regreen.train.policy.advantages import PassRateConfig
from regreen.train.policy.learner import UpdateConfig
from regreen.train.policy.penalties import PenaltyConfig

__all__ = ["MAY_DIFFER", "RlConfig"]

MAY_DIFFER = (
    "workers", "rollouts_at_once", "evaluate_every", "checkpoint_every", "keep", "track",
    "silence_seconds", "max_bad_steps", "update.micro_tokens", "engine.urls", "engine.model",
    "engine.away_seconds", "engine.device", "weights",
)  # fmt: skip
"""Settings that a resume may change, because they decide about no weight."""


class RlConfig(BaseModel):
    """Settings of ``regreen train rl``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    steps: int = Field(default=100, ge=1)
    """Batches of groups that are trained on."""
    groups: int = Field(default=64, ge=1)
    """Groups of a batch; MegaFlow's 64."""
    group_size: int = Field(default=16, ge=2)
    """Rollouts of a group; MegaFlow's 16."""
    staleness: int = Field(default=0, ge=0)
    """Updates by which the weights that sampled may be behind those that are trained. 0 alternates
    between the two; 1 samples the next batch while this one is trained on."""
    order: Literal["planned", "finished"] = "planned"
    """Which groups a batch takes: those of its places in the plan, so that a run can be repeated;
    or those that finish first, so that a slow one holds up nobody. Groups that have become too old
    are played again."""
    update: UpdateConfig = UpdateConfig()
    """Loss, advantages and micro-batches."""
    optimiser: OptimConfig = OptimConfig()
    """Learning rate and clipping of the gradient."""
    engine: EngineConfig = EngineConfig()
    """How the policy is sampled."""
    penalties: PenaltyConfig = PenaltyConfig()
    """What invalid and refused calls cost their tokens."""
    screen: int = Field(default=0, ge=0)
    """Rollouts of each problem before training, by which problems are kept; 0 keeps all."""
    pass_rate: PassRateConfig = PassRateConfig()
    """Which problems the screening keeps."""
    evaluate_every: int = Field(default=0, ge=0)
    """Batches between two evaluations on held-out problems; 0 evaluates before the first and after
    the last."""
    evaluations: int = Field(default=0, ge=0)
    """Held-out problems of an evaluation on the way, one rollout each; 0 takes all, as the first
    and the last evaluation do."""
    checkpoint_every: int = Field(default=10, ge=1)
    """Batches between two checkpoints; the last one has one."""
    keep: int = Field(default=2, ge=1)
    """Checkpoints kept, the newest."""
    group_tries: int = Field(default=3, ge=1)
    """Times a group is played whose rollouts faults ended, before it is given up."""
    rollouts_at_once: int = Field(default=256, ge=1)
    """Rollouts that a worker plays at the same time."""
    workers: int = Field(default=1, ge=0)
    """Processes that play; 0 plays in the trainer's. With ``engine.urls`` one for each server."""
    silence_seconds: float = Field(default=120.0, gt=0.0)
    """A worker that says nothing for so long is taken for dead."""
    weights: Literal["file", "collective"] = "file"
    """How new weights reach workers that sample: by a folder, or past the disk, all at once; then a
    folder is written for those only that have just come or whose transfer broke."""
    max_bad_steps: int = Field(default=5, ge=1)
    """Batches in a row that may move nothing before the run ends, because every gradient was
    refused or no rollout has a verdict."""
    readable: int = Field(default=64, ge=0)
    """Groups of which the conversations are kept, evenly over the run."""
    seed: int = Field(default=0, ge=0)
    """Decides the order of problems and every draw."""
    track: tuple[str, ...] = ()
    """Dashboards beside ``metrics.jsonl``: tensorboard, trackio, wandb."""

    @model_validator(mode="before")
    @classmethod
    def _one_worker_for_each_server(cls, given: Any) -> Any:
        engine = given.get("engine") if isinstance(given, dict) else None
        urls = engine.urls if isinstance(engine, EngineConfig) else (engine or {}).get("urls")
        return {"workers": len(urls), **given} if urls else given

    @model_validator(mode="after")
    def _fits(self) -> RlConfig:
        if 0 < self.screen < self.pass_rate.min_tries:
            msg = f"a screening of {self.screen} rollouts is less than {self.pass_rate.min_tries}"
            msg += " (pass_rate.min_tries)"
            raise ValueError(msg)
        if self.order == "finished" and self.staleness == 0:
            msg = "order 'finished' needs a staleness of at least 1"
            raise ValueError(msg)
        if self.update.replay and not self.engine.experts:
            msg = "update.replay needs engine.experts, else there is nothing to replay"
            raise ValueError(msg)
        if self.engine.urls and self.workers != len(self.engine.urls):
            msg = f"{len(self.engine.urls)} servers have one worker each: leave workers out, it is"
            msg += f" {self.workers}"
            raise ValueError(msg)
        if self.engine.urls and self.weights == "collective":
            msg = "servers read weights from a folder: weights = 'collective' is for own workers"
            raise ValueError(msg)
        return self
