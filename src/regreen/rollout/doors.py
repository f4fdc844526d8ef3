"""The act box's doors: what it may reach while an agent works, by the walls' policy.

Without one there is a loopback interface and nothing else. A door to a package index is made for
each act box anew, with a token of its own, and closed with it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

from regreen.agents.record import Conversation
from regreen.core.task import Task
from regreen.grading.interpreter import version_of
from regreen.grading.place import ENV
from regreen.guard.doors.forwarding import forwarding
from regreen.guard.index.proxy import IndexGrant, IndexProxy
from regreen.guard.index.screen import gold_screen
from regreen.guard.subject import subject_of
from regreen.guard.walls import WallPolicy, spec_for
from regreen.rollout.installer import pip_layer
from regreen.sandbox.base import BoxSpec, Sandbox
from regreen.sandbox.layers import Layer, LayerStore

__all__ = ["Door", "Doors"]

_OLDEST_FOR_PIP = (3, 9)
"""What the pip beside regreen runs on; an older environment keeps the one it was made with."""


@dataclass(frozen=True, kw_only=True)
class Door:
    """The way out of one act box; closed when it has no grant."""

    grant: IndexGrant | None = None
    """Access to the index, for this box alone."""
    installer: Layer | None = None
    """Laid over /opt/env, so that there is something to ask the index with."""

    def wall(self, spec: BoxSpec) -> BoxSpec:
        """The box with its walls set and its door bound in."""
        if self.grant is None:
            return spec_for("act", spec)
        if self.installer is not None:
            mounts = tuple(
                replace(mount, lowers=(self.installer.path, *mount.lowers))
                if mount.target == ENV
                else mount
                for mount in spec.mounts
            )
            spec = replace(spec, mounts=mounts)
        return spec_for("act", spec, WallPolicy(index="proxy"), self.grant)

    @asynccontextmanager
    async def serving(self, box: Sandbox, log: Conversation) -> AsyncIterator[None]:
        """Keep the door working; refusals are told with the next observation, and recorded."""
        if self.grant is None:
            yield
            return
        log.news = self.grant.news
        try:
            async with forwarding(box, self.grant):
                yield
        finally:
            for incident in self.grant.incidents():
                log.incident(incident)


@dataclass(frozen=True, kw_only=True)
class Doors:
    """Makes the doors of a run."""

    index: IndexProxy | None = None
    """Serves packages; None opens no door."""
    store: LayerStore | None = None
    """Takes the installer's layer; None lends no installer."""

    @asynccontextmanager
    async def open(self, task: Task, rollout_id: str) -> AsyncIterator[Door]:
        """The door of one act box, closed at the end of the block."""
        if self.index is None:
            yield Door()
            return
        grant = await self.index.grant(
            rollout_id,
            subject_of(task).distributions,
            before=task.created_at or None,
            screen=gold_screen(task.patch),
        )
        installer = None
        python = task.environment.python if task.environment else ""
        if self.store is not None and version_of(python) >= _OLDEST_FOR_PIP:
            installer = pip_layer(self.store, python)
        async with grant:
            yield Door(grant=grant, installer=installer)
