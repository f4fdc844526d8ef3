"""Where a run of reinforcement learning stands: what a checkpoint keeps of the loop."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["Where", "where_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Where:
    """The loop between two batches."""

    step: int = 0
    """Batches trained on, which is also the version of the weights."""
    seconds: float = 0.0
    """Time spent until the last batch, in all processes."""
    tokens: int = 0
    """Tokens computed by the trainer."""
    bad: int = 0
    """Batches in a row that could move nothing."""
    kept: tuple[str, ...] = ()
    """Problems that the screening keeps; none before or without it."""
    pending: tuple[int, ...] = ()
    """Places of the plan that were handed out and not trained on."""
    place: int = 0
    """Places of the plan that were handed out: all below."""
    evaluations: tuple[dict[str, float], ...] = ()
    """Every evaluation, first to last."""


def where_of(extra: Mapping[str, Any]) -> Where:
    """Read what a checkpoint kept."""
    values: dict[str, Any] = dict(extra)
    values |= {name: tuple(values[name]) for name in ("kept", "pending", "evaluations")}
    return Where(**values)
