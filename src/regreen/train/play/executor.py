"""Who plays groups: this process, or workers that come and go, here or on other machines.

The trainer hands out jobs and takes what comes back; it does not know how many play. A job is given
to one worker at a time and goes to another when that one is lost, so a group is played whole or not
at all, and a worker that was killed costs time and nothing else.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from regreen.inference.engine.lockstep import LockStep
from regreen.train.play.rollouts import Job, Player, outcome_of
from regreen.train.trace import Group, Played, Purpose

__all__ = ["Event", "Executor", "Finished", "Here", "Lost", "Told"]


@dataclass(frozen=True, slots=True)
class Finished:
    """A group was played to its end."""

    group: Group
    """The group."""


@dataclass(frozen=True, slots=True)
class Told:
    """A rollout ended; its group goes on."""

    rollout_id: str
    """Its name."""
    outcome: str
    """``resolved``, ``failed``, ``unfinished`` or ``fault``."""
    purpose: Purpose = "train"
    """What it was played for."""


@dataclass(frozen=True, slots=True)
class Lost:
    """A worker is gone; its jobs were given to others."""

    worker: str
    """Which."""
    why: str
    """As far as it is known."""
    jobs: int
    """Groups that begin anew."""


Event = Finished | Told | Lost


class Executor(Protocol):
    """Where jobs are played."""

    own_weights: bool
    """Whether it samples by the trainer's own weights, so that none need be written."""

    def publish(self, folder: Path | None, version: int) -> None:
        """Sample jobs that are handed out from now on by these weights.

        Args:
            folder: a checkpoint that every worker can read; None where ``own_weights``.
            version: its number.
        """
        ...

    def submit(self, jobs: Sequence[Job]) -> None:
        """Hand out jobs; those of one call are played together."""
        ...

    def next(self, timeout: float | None = None) -> Event | None:
        """What happened next; None when nothing did in ``timeout`` seconds.

        Raises:
            InfrastructureError: nobody is left to play.
        """
        ...

    def close(self) -> None:
        """End all workers; calling it twice is harmless."""
        ...


class Here:
    """Plays in this process, by the very weights that are trained; nothing overlaps.

    Args:
        build: makes the player from ``settings`` and ``told``; its engine is a ``LockStep`` over
            the trainer's model.
        settings: its keyword arguments.
    """

    own_weights = True

    def __init__(self, build: Callable[..., Player], settings: Mapping[str, Any]) -> None:
        self._player = build(told=self._told, **settings)
        self._runner = asyncio.Runner()
        self._events: asyncio.Queue[Event | Exception] = asyncio.Queue()
        self._playing: set[asyncio.Task[None]] = set()
        self._open = False

    def publish(self, folder: Path | None, version: int) -> None:
        """See ``Executor``; the weights are those of the trainer already."""
        engine = self._player.engine
        assert isinstance(engine, LockStep)
        engine.updated(version)

    def submit(self, jobs: Sequence[Job]) -> None:
        """See ``Executor``; they are played while ``next`` waits."""
        self._runner.run(self._begin(jobs))

    def next(self, timeout: float | None = None) -> Event | None:
        """See ``Executor``."""
        found = self._runner.run(self._event(timeout))
        if isinstance(found, Exception):
            raise found
        return found

    def close(self) -> None:
        """See ``Executor``."""
        if self._open:
            self._runner.run(self._end())
            self._open = False
        self._runner.close()

    async def _begin(self, jobs: Sequence[Job]) -> None:
        if not self._open:
            self._open = True  # what a failing open has opened is closed, too
            await self._player.stage.open()
        for job in jobs:
            task = asyncio.create_task(self._play(job))
            self._playing.add(task)
            task.add_done_callback(self._playing.discard)

    async def _play(self, job: Job) -> None:
        try:
            self._events.put_nowait(Finished(await self._player.group(job)))
        except Exception as error:  # handed to whoever waits
            self._events.put_nowait(error)

    async def _event(self, timeout: float | None) -> Event | Exception | None:
        try:
            return await asyncio.wait_for(self._events.get(), timeout)
        except TimeoutError:
            return None

    async def _end(self) -> None:
        playing = list(self._playing)
        for task in playing:
            task.cancel()
        await asyncio.gather(*playing, return_exceptions=True)
        await self._player.engine.close()
        await self._player.stage.close()

    def _told(self, job: Job, played: Played) -> None:
        self._events.put_nowait(Told(played.rollout_id, outcome_of(played), job.purpose))
