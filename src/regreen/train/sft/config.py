"""What supervised fine-tuning is asked for."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from regreen.train.compute.optim import OptimConfig

__all__ = ["MAY_DIFFER", "SftConfig"]

MAY_DIFFER = (
    "micro_tokens", "recompute", "log_every", "evaluate_every", "checkpoint_every", "keep",
    "max_bad_steps", "track",
)  # fmt: skip
"""Settings that a resume may change, because they decide about no weight."""


class SftConfig(BaseModel):
    """Settings of ``regreen train sft``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    weights: dict[str, float] = {}
    """Weight in the loss by role, in place of what the packed rows say."""
    templates: dict[str, float] = {}
    """How often the pieces of a template are read in a pass, by its format (``hermes``), by the
    whole name it was drawn with, or ``text``; what is not named has 1. With any given, pieces are
    drawn one by one instead of by rows."""
    held_out: str = ""
    """Share of the tasks (of the trajectories and texts, where they name none) to evaluate on
    instead, or a directory of packed rows; empty for none."""
    epochs: float = Field(default=1.0, gt=0.0)
    """Passes over the data; of weighted sets, over as many tokens as all of them hold."""
    steps: int | None = Field(default=None, gt=0)
    """Optimiser steps in all, in place of ``epochs``."""
    batch_tokens: int = Field(default=65_536, gt=0)
    """Tokens of an optimiser step: rows are taken until they hold so many."""
    micro_tokens: int = Field(default=8_192, gt=0)
    """Tokens computed at once; a longer piece is computed alone. Decides about memory and speed,
    not about the result."""
    learning_rate: float = Field(default=3e-4, gt=0.0)
    """The rate behind the warm-up."""
    schedule: Literal["constant", "linear", "cosine"] = "cosine"
    """How the rate falls from there to the last step."""
    warm_up: float = Field(default=0.03, ge=0.0, lt=1.0)
    """Share of the steps over which the rate rises."""
    final_share: float = Field(default=0.1, ge=0.0, le=1.0)
    """Share of the rate that is left at the end of a linear or cosine schedule."""
    weight_decay: float = Field(default=0.1, ge=0.0)
    """As of ``OptimConfig``."""
    max_grad_norm: float = Field(default=1.0, gt=0.0)
    """As of ``OptimConfig``."""
    next_token_weight: float = Field(default=0.3, ge=0.0)
    """Weight of the loss of the token after the next, for a model with such a layer; 0.3 is what
    DeepSeek-V3 began with (2412.19437, section 4.2)."""
    recompute: bool = False
    """Whether layers are computed again in the backward, for less memory and a third more work."""
    dtype: Literal["float32", "bfloat16", "float64"] = "float32"
    """Type of the weights in memory; in bfloat16, updates below a 256th of a weight are lost."""
    compute_dtype: Literal["float32", "bfloat16"] | None = None
    """Type that layers compute in where weights are cut over several processes, gradients added up
    in float32; None computes in the type of the weights."""
    seed: int = Field(default=0, ge=0)
    """Decides about new weights, the order of rows and what is held out."""
    log_every: int = Field(default=1, gt=0)
    """Steps between two rows of metrics."""
    evaluate_every: int = Field(default=100, gt=0)
    """Steps between two evaluations on what is held out; the first and the last step have one."""
    checkpoint_every: int = Field(default=100, gt=0)
    """Steps between two checkpoints; the last step has one."""
    keep: int = Field(default=2, gt=0)
    """Checkpoints kept, the newest."""
    max_bad_steps: int = Field(default=10, gt=0)
    """Steps in a row that may be refused, for a loss or a gradient that is not finite, before the
    run ends."""
    track: tuple[str, ...] = ()
    """Dashboards beside ``metrics.jsonl``: tensorboard, trackio, wandb."""

    def optim(self, num_steps: int) -> OptimConfig:
        """The optimiser of a run of so many steps."""
        return OptimConfig(
            learning_rate=self.learning_rate,
            schedule=self.schedule,
            warm_up=min(round(self.warm_up * num_steps), num_steps - 1),
            steps=num_steps,
            final_share=self.final_share,
            weight_decay=self.weight_decay,
            max_grad_norm=self.max_grad_norm,
        )
