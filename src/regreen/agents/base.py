"""What an agent is: the protocol, what it is told and what it may use.

An agent sees a ``TaskView`` and a box. The gold patch, the hidden tests and the reward are not in
its reach; ``oracle`` is handed the gold patch because its class asks for it by name.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Literal, Protocol

from pydantic import BaseModel, ConfigDict, Field

if TYPE_CHECKING:
    from collections.abc import Sequence

    from regreen.agents.record import Conversation
    from regreen.guard.blocker import Blocker
    from regreen.inference.completion import Completion
    from regreen.inference.messages import Message, MessageList
    from regreen.sandbox.base import Sandbox

__all__ = ["Agent", "Limits", "Model", "Need", "Setting", "TaskView"]

Need = Literal["model", "gold"]
"""What an agent's class may ask for: an endpoint, or the gold patch."""


class Limits(BaseModel):
    """What one rollout of an agent may spend."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    turns: int = Field(default=250, ge=1)
    """Model calls."""
    completion_tokens: int | None = Field(default=None, ge=1)
    """Tokens sampled over all turns; None leaves them to the other limits."""
    seconds: float = Field(default=3600.0, gt=0)
    """Wall seconds of the whole act; a command still running then is killed."""
    command_seconds: float = Field(default=60.0, gt=0)
    """Wall seconds of one command; its whole process tree is killed at the end of them."""
    repeated_errors: int = Field(default=3, ge=1)
    """Turns in a row in which no call could be carried out."""
    output_characters: int = Field(default=10_000, ge=100)
    """Longest observation; the middle of a longer one is cut out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskView:
    """What an agent is told."""

    problem_statement: str
    """What is wrong."""
    repo: str = ""
    """Name of the project."""
    workdir: str = "/testbed"
    """Where its repository lies in the box."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What an agent is constructed with, once for each rollout."""

    limits: Limits = field(default_factory=Limits)
    """What it may spend."""
    seed: int = 0
    """Seed of this rollout."""
    client: Model | None = None
    """The model, for agents that need one."""
    tool_format: str = ""
    """Ask the model in this tool-calling format's text; empty where the endpoint reads calls."""
    blocker: Blocker | None = None
    """Judges every call before it runs; None lets all of them run."""
    gold_patch: str = ""
    """Filled only for agents whose ``needs`` name it."""


class Model(Protocol):
    """What answers: an endpoint's client, or a policy without a model."""

    async def complete(
        self,
        messages: MessageList,
        tools: Sequence[Message],
        *,
        seed: int | None = None,
        max_tokens: int | None = None,
    ) -> Completion:
        """The next assistant message.

        Raises:
            ModelError: there is none.
        """
        ...


class Agent(Protocol):
    """The loop that works on a task in a box; its class is called with a ``Setting``."""

    name: str
    needs: ClassVar[frozenset[Need]]

    async def act(self, task: TaskView, box: Sandbox, log: Conversation) -> str:
        """Work until done and return the exit status, for example ``submitted``.

        The answer is what stands in the box afterwards; nothing printed or returned counts.

        Raises:
            BoundaryError: somebody else's failure, for example the model's.
        """
        ...
