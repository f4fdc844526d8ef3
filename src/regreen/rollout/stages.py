"""The stages of a rollout, each in a box of its own: act, then verify.

Between them the harness takes the diff from the act box's overlay; what an agent printed or
claimed is not consulted. Every failure is attributed here to the party that caused it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import nullcontext, suppress
from typing import TypeVar

from regreen.agents import Agent, TaskView
from regreen.agents.record import Conversation
from regreen.core.errors import AgentError, InfrastructureError, boundary
from regreen.core.task import Task
from regreen.core.verdict import Verdict
from regreen.rollout.base import Phase, Workshop
from regreen.rollout.doors import Door
from regreen.sandbox.base import Sandbox

__all__ = ["act", "again", "verify"]

T = TypeVar("T")


async def act(
    task: Task,
    agent: Agent,
    workshop: Workshop,
    log: Conversation,
    *,
    seconds: float | None,
    phase: Callable[[Phase], None],
    door: Door,
) -> tuple[str, str]:
    """Let the agent work in a fresh box; return its exit status and the diff it left.

    Args:
        task: what to work on; the agent sees its statement only.
        agent: who works.
        workshop: makes the box.
        log: the record of this rollout.
        seconds: when to end an agent that does not keep its own limits.
        phase: told what begins.
        door: what the box may reach.

    Raises:
        BoundaryError: attributed to the box, the agent or its model.
    """
    phase("box")
    with boundary(InfrastructureError, "the act box cannot be made"):
        box = await workshop.act_box(task, wall=door.wall)
    try:
        phase("act")
        view = TaskView(problem_statement=task.problem_statement, repo=task.repo)
        with boundary(AgentError, f"the agent {agent.name} failed"):
            async with door.serving(box, log), asyncio.timeout(seconds):
                status = await agent.act(view, box, log)
        phase("diff")
        with boundary(InfrastructureError, "the diff cannot be taken"):
            return status, await workshop.patch_of(box, task)
    finally:
        await _close(box)


async def _close(box: Sandbox) -> None:
    """Close a box; when we are being cancelled, its failure must not take the place of that."""
    task = asyncio.current_task()
    interrupted = task is not None and task.cancelling() > 0
    with (
        suppress(InfrastructureError) if interrupted else nullcontext(),
        boundary(InfrastructureError, "the act box cannot be closed"),
    ):
        await box.close()


async def verify(task: Task, patch: str, workshop: Workshop) -> Verdict:
    """Judge the diff in a fresh box with the hidden tests.

    Raises:
        BoundaryError: attributed to the task or the box.
    """
    with boundary(InfrastructureError, "the patch cannot be verified"):
        return await workshop.verify_patch(task, patch)


async def again(stage: Callable[[], Awaitable[T]]) -> T:
    """Run a stage, and once more from its beginning when its box failed."""
    try:
        return await stage()
    except InfrastructureError:
        return await stage()
