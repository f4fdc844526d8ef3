"""What a rollout needs from its surroundings: a workshop that makes boxes and judges patches."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, Protocol

from regreen.core.task import Task
from regreen.core.trajectory import Trajectory
from regreen.core.verdict import Verdict
from regreen.sandbox.base import BoxSpec, Sandbox

__all__ = ["Phase", "Watcher", "Workshop"]

Phase = Literal["box", "act", "diff", "verify"]
"""What a running rollout is at."""


class Workshop(Protocol):
    """Makes the boxes of a task's stages; no two stages share one."""

    async def act_box(
        self, task: Task, *, wall: Callable[[BoxSpec], BoxSpec] | None = None
    ) -> Sandbox:
        """A box with the task's broken tree, without its hidden tests and without a network.

        Args:
            task: whose box it is.
            wall: sets what the box may reach; nothing when None.

        Raises:
            InfrastructureError: it could not be made.
        """
        ...

    async def patch_of(self, sandbox: Sandbox, task: Task) -> str:
        """What was changed in an act box, as a diff of its upper layer against its lowers."""
        ...

    async def verify_patch(self, task: Task, patch: str) -> Verdict:
        """Judge a patch by the hidden tests, in a fresh box.

        Raises:
            TaskError: the task itself is broken.
            InfrastructureError: the box was.
        """
        ...


class Watcher(Protocol):
    """Told what goes on, for a progress display."""

    def phase(self, rollout_id: str, phase: Phase) -> None:
        """A rollout begins with a phase."""
        ...

    def finished(self, trajectory: Trajectory) -> None:
        """A rollout is done and on disk."""
        ...
