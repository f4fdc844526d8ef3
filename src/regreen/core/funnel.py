"""A funnel: how many candidates entered a stage, how many left it, and why the rest did not."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

__all__ = ["Funnel", "OperatorRow"]


class OperatorRow(BaseModel):
    """One operator's part of a funnel."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    operator: str
    """Fault class."""
    candidates: int
    """Mutations proposed."""
    screened: int
    """Those that passed the screen before any full run."""
    verified: int
    """Those that became tasks."""
    seconds: float
    """CPU seconds spent."""


class Funnel(BaseModel):
    """What became of the candidates of one injection or mining."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    """What was searched, for example the repository."""
    steps: tuple[tuple[str, int], ...]
    """Label and count of each step, in order, for example ``("candidates", 120)``."""
    rejected: dict[str, int] = {}
    """Count by reason; the reasons add up to the first step less the last."""
    by_operator: tuple[OperatorRow, ...] = ()
    """One row per operator."""
    cpu_seconds: float = 0.0
    """CPU seconds of the whole."""
    cpu_seconds_per_candidate: float = 0.0
    """The same divided by the candidates examined."""
