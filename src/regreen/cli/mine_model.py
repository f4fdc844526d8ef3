"""What a model does for ``regreen tasks mine``: it tells, it judges, it builds what no rule can."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from regreen.core.errors import UsageError
from regreen.tasks.builder.settings import BuilderSettings
from regreen.tasks.mine.handing import AgentJob

if TYPE_CHECKING:
    from regreen.inference import ChatClient

__all__ = ["ModelFlags", "agent_job", "check_model"]


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class ModelFlags:
    """Flags about the model."""

    base_url: str | None = None
    """Endpoint of a model that writes the problem statements and judges the quality of tasks,
    ending in /v1; rules alone do when not given."""
    model: str | None = None
    """Name of the model as the endpoint knows it."""
    agent: Annotated[bool, Parameter(negative="")] = False
    """Hand changes that no strategy builds, or that came without tests, to the model with a box and
    a shell: it writes a script that tells the two states apart (table [builder] of the settings).
    Its conversations go to OUT.agent."""
    agent_changes: int | None = None
    """Changes handed to it, at most, the newest first (default 20)."""


def check_model(flags: ModelFlags) -> None:
    """Refuse flags that cannot go together.

    Raises:
        UsageError: they cannot.
    """
    if flags.agent and not (flags.base_url and flags.model):
        msg = "there is no model that could build"
        raise UsageError(msg, where="--agent", mend="add --base-url and --model")
    if flags.agent_changes is None:
        return
    if not flags.agent:
        msg = "nothing is handed to an agent"
        raise UsageError(msg, where="--agent-changes", mend="add --agent")
    if flags.agent_changes < 1:
        msg = f"--agent-changes {flags.agent_changes} hands over none"
        raise UsageError(msg, where="--agent-changes", mend="give 1 or more")


def agent_job(
    flags: ModelFlags, client: ChatClient | None, settings: BuilderSettings, out: Path
) -> AgentJob | None:
    """What the agent is given; None where it was not asked for."""
    if client is None or not flags.agent:
        return None
    made = AgentJob(client=client, settings=settings, logs=out.with_name(f"{out.name}.agent"))
    return replace(made, changes=flags.agent_changes) if flags.agent_changes else made
