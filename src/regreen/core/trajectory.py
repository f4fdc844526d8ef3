"""A trajectory: the record of one rollout, messages stored once.

Turns point into the messages by span; token ids, when an engine returns them, are kept for the
new tokens of a turn only, so the record grows linearly with the conversation.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from regreen.core.verdict import Reward, Verdict

__all__ = [
    "ErrorRecord",
    "Incident",
    "Observation",
    "Sampling",
    "Trajectory",
    "Turn",
    "Usage",
]


class _Row(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Usage(_Row):
    """Tokens as the endpoint counts them."""

    prompt_tokens: int = 0
    """Tokens of the prompt."""
    completion_tokens: int = 0
    """Tokens sampled."""


class Sampling(_Row):
    """How the model was sampled."""

    temperature: float | None = None
    """None leaves the endpoint's default."""
    top_p: float | None = None
    """None leaves the endpoint's default."""
    max_tokens: int | None = None
    """Longest completion of one turn."""


class Observation(_Row):
    """What one tool call did, beside the text the model was shown."""

    call_id: str
    """``tool_call_id`` of the message that holds the text."""
    tool: str
    """Name of the tool as called."""
    exit_code: int | None = None
    """Exit status, for tools that run a command."""
    seconds: float = 0.0
    """Wall seconds in the box."""
    error: bool = False
    """True when the call could not be carried out; a command that merely fails is no error."""


class Turn(_Row):
    """One model call and what its actions returned."""

    start: int
    """Index of the assistant message in ``messages``."""
    end: int
    """One past the last message of the turn (its observations included)."""
    finish_reason: str = ""
    """As the endpoint said."""
    usage: Usage = Usage()
    """Tokens of this call."""
    model_seconds: float = 0.0
    """Wall seconds in the model call."""
    tool_seconds: float = 0.0
    """Wall seconds in the box."""
    observations: tuple[Observation, ...] = ()
    """One per tool call, in the order of the calls."""
    prompt_len: int | None = None
    """Prompt length in tokens when ids are known."""
    completion_ids: tuple[int, ...] | None = None
    """Ids the model sampled in this turn, when the engine returns them."""
    logprobs: tuple[float, ...] | None = None
    """Log-probability of each of ``completion_ids`` under the behaviour policy."""


class Incident(_Row):
    """One thing the guard stopped or flagged."""

    rule: str
    """Identifier of the rule."""
    message: str
    """What was seen."""
    turn: int | None = None
    """Index of the turn, when it belongs to one."""
    blocked: bool = False
    """True when the action was refused, False when only flagged."""
    layer: Literal["wall", "block", "monitor", "grade"] = "block"
    """Which defence noticed it."""
    confirmed: bool = True
    """Whether it counts as hacking; False for what is only worth a look."""
    call_id: str = ""
    """``tool_call_id`` of the call, when it belongs to one."""
    span: tuple[int, int] | None = None
    """Characters of the turn's assistant message, as its text or its call's arguments, that a
    penalty falls on; None is the whole turn."""
    penalty: float = 0.0
    """Subtracted from the reward of the tokens in ``span``; 0 leaves them."""


class ErrorRecord(_Row):
    """A failure as data: whose it was, its type and its words."""

    boundary: Literal["infrastructure", "agent", "task", "model"]
    """The party the failure is attributed to."""
    type: str
    """Class name of the exception."""
    message: str
    """Its text."""


class Trajectory(_Row):
    """The record of one rollout."""

    schema_name: Literal["regreen.trajectory"] = "regreen.trajectory"
    """Name of this format."""
    schema_version: Literal[1] = 1
    """Version of this format."""
    rollout_id: str
    """Unique within a run: ``<instance_id>#<agent>#<attempt>``."""
    task: str
    """``instance_id`` of the task."""
    agent: str
    """Name of the agent."""
    model: str = ""
    """Model as named to the endpoint; empty for agents without one."""
    sampling: Sampling = Sampling()
    """How it was sampled."""
    tool_format: str = ""
    """The shape of ``messages``: a tool-calling format when calls stand in their text, ``openai``
    when they are structured. Agents that prompt a format themselves read the calls and record them
    structured, so theirs is ``openai`` too; which format they prompted is in the run's
    ``config.toml``."""
    tools: tuple[dict[str, Any], ...] = ()
    """What the model was offered, in OpenAI shape; empty when that was not recorded."""
    seed: int = 0
    """Seed of this rollout."""
    messages: tuple[dict[str, Any], ...] = ()
    """The conversation in OpenAI chat shape, each message once."""
    turns: tuple[Turn, ...] = ()
    """Spans into ``messages``."""
    segments: tuple[tuple[int, int], ...] = ()
    """Message spans to train on, a new one wherever history was rewritten."""
    exit_status: str = ""
    """How the act ended: ``submitted``, ``turn_limit`` … or an exception's class name."""
    patch: str = ""
    """The diff of the box's overlay against its lowers."""
    verdict: Verdict | None = None
    """Result of the verify stage; None when it was not reached."""
    rewards: tuple[Reward, ...] = ()
    """Named scores; empty when a failure was not the agent's."""
    incidents: tuple[Incident, ...] = ()
    """What the guard saw."""
    error: ErrorRecord | None = None
    """Set when a boundary failed."""
    cost: float = 0.0
    """Money, in the endpoint's currency, when it reports any."""
    started_at: str = ""
    """ISO 8601, UTC."""
    seconds: dict[str, float] = {}
    """Wall seconds per stage: ``act``, ``verify``."""
