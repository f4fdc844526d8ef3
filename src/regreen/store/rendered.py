"""Rows that conversion writes: a conversation as text or token ids, and what could not be one."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from regreen.core.trajectory import Trajectory
from regreen.core.verdict import Reward

__all__ = ["AsideRow", "RenderedRow", "RenderedSpan"]


class _Row(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class RenderedSpan(_Row):
    """A stretch that comes from one place."""

    start: int
    """First character or token."""
    end: int
    """One past the last."""
    role: str
    """Role of the message it belongs to."""
    kind: str
    """``frame``, ``tools``, ``text``, ``reasoning``, ``calls``, ``result`` or ``end``."""
    message: int
    """Index of the message as rendered; -1 for none."""


class RenderedRow(_Row):
    """A training row: one segment of a trajectory in one format."""

    schema_name: Literal["regreen.rendered"] = "regreen.rendered"
    """Name of this format."""
    schema_version: Literal[1] = 1
    """Version of this format."""
    rollout_id: str
    """The trajectory it comes from."""
    task: str
    """Its task."""
    agent: str
    """Its agent."""
    model: str = ""
    """Its model."""
    segment: int = 0
    """Which segment of the trajectory."""
    tool_format: str
    """The format, as drawn: ``regreen.templates.diversity.Draw`` reads it."""
    unit: Literal["characters", "tokens"]
    """What spans and ranges count."""
    text: str = ""
    """The conversation; empty when ``ids`` hold it."""
    ids: tuple[int, ...] = ()
    """Its token ids; empty when ``text`` holds it."""
    spans: tuple[RenderedSpan, ...] = ()
    """Where each stretch comes from, in order, without gaps."""
    trained: tuple[tuple[int, int], ...] = ()
    """Ranges to train on: what the model wrote, ends of turns included."""
    resolved: bool | None = None
    """The verdict; None without one."""
    rewards: tuple[Reward, ...] = ()
    """The trajectory's scores."""


class AsideRow(_Row):
    """A row that could not be converted, whole, with the reason."""

    schema_name: Literal["regreen.aside"] = "regreen.aside"
    """Name of this format."""
    schema_version: Literal[1] = 1
    """Version of this format."""
    rollout_id: str
    """The trajectory; file and line where the row names none."""
    reason: str
    """Why, in words that are counted."""
    details: str = ""
    """Where, and what exactly."""
    trajectory: Trajectory | None = None
    """As it was read; None when the row is no trajectory."""
    row: dict[str, Any] = {}
    """The row itself, when it is no trajectory."""
