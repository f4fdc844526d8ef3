"""What the building agent may spend."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from regreen.agents.base import Limits

__all__ = ["BuilderSettings"]


class BuilderSettings(BaseModel):
    """Budget of one change, and how its scripts are tried."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    limits: Limits = Limits(turns=100, seconds=3600.0, command_seconds=600.0)
    """Of the agent's loop: turns, sampled tokens, wall seconds, seconds of one command."""
    submissions: int = Field(default=8, ge=1)
    """Scripts that may be handed in; the last one that is refused ends the work."""
    script_seconds: float = Field(default=300.0, gt=0)
    """Wall seconds of one run of a script; a run that needs more counts as one that fails."""
    repeats: int = Field(default=3, ge=1)
    """Runs on each state that must agree."""
    tool_format: str = ""
    """Ask the model in this tool-calling format's text; empty where the endpoint reads calls."""
    seed: int = 0
    """Sampling seed, for endpoints that honour one."""
