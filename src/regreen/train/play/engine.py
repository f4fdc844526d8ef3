"""How the policy is sampled."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["EngineConfig"]


class EngineConfig(BaseModel):
    """How the policy is sampled."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    temperature: float = Field(default=1.0, ge=0.001)
    """Divides the logits; nothing is filtered out, so that the policy that is trained is the one
    that was sampled."""
    max_context: int = Field(default=32_768, ge=2)
    """Tokens of a rollout."""
    max_tokens: int = Field(default=4096, ge=1)
    """Tokens of one completion."""
    patience: float | None = Field(default=0.05, ge=0.0)
    """Seconds that the batch waits for rollouts whose tool runs; None waits for all of them, and
    then what is computed does not depend on how fast tools are."""
    experts: bool = False
    """Record the routers' choices, for router replay."""
