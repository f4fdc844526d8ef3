"""Lets the teacher play puzzles, and keeps what it did as any run keeps its rollouts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from regreen.agents.policy import PolicyModel
from regreen.agents.record import Conversation
from regreen.core.errors import InfrastructureError
from regreen.core.together import together
from regreen.core.trajectory import Trajectory
from regreen.core.verdict import Reward
from regreen.store.run import RunDirectory
from regreen.train.learn.scripted import mediocre
from regreen.train.learn.stage import LearnStage, puzzle_of
from regreen.train.play.rollouts import Outcome
from regreen.train.stop import Asked

__all__ = ["teach"]

_AT_ONCE = 64
_TRIES = 3
"""Times a rollout is played whose box died."""


def teach(
    stage: LearnStage,
    names: Sequence[str],
    run: RunDirectory,
    *,
    seed: int,
    peeks: float,
    told: Callable[[str, str], None],
    asked: Asked,
) -> list[Trajectory]:
    """Play every puzzle once; what a run holds already is not played again.

    Args:
        stage: where.
        names: the puzzles.
        run: keeps the trajectories.
        seed: of the teacher's whims.
        peeks: share of rollouts in which it looks for the answer.
        told: is told of every rollout and its outcome.
        asked: is looked at before every rollout; what was played by then is kept.
    """
    return asyncio.run(_Lessons(stage, run, seed, peeks, told, asked).all(names))


@dataclass(frozen=True)
class _Lessons:
    stage: LearnStage
    run: RunDirectory
    seed: int
    peeks: float
    told: Callable[[str, str], None]
    asked: Asked

    async def all(self, names: Sequence[str]) -> list[Trajectory]:
        known = {row.rollout_id: row for row in self.run.trajectories()}
        room = asyncio.Semaphore(_AT_ONCE)

        async def one(place: int, name: str) -> Trajectory | None:
            rollout_id = f"{name}#teacher#{place}"
            if rollout_id in known:
                return known[rollout_id]
            async with room:
                return None if self.asked.stop else await self._one(rollout_id, place, name)

        await self.stage.open()
        try:
            played = await together(one(place, name) for place, name in enumerate(names))
        finally:
            await self.stage.close()
        rows = [row for row in played if row is not None]
        self.run.replace(rows)  # in the order of the puzzles
        return rows

    async def _one(self, rollout_id: str, place: int, name: str) -> Trajectory:
        whim = self.seed * 1_000_003 + place
        log, outcome = await self._played(rollout_id, whim, name)
        row = Trajectory(
            rollout_id=rollout_id,
            task=name,
            agent="teacher",
            tool_format="openai",
            tools=log.tools,
            seed=whim,
            messages=tuple(log.messages),
            turns=log.turns(),
            segments=((0, len(log.messages)),),
            exit_status=outcome.exit_status,
            verdict=outcome.verdict,
            rewards=(Reward(name="reward", score=outcome.reward or 0.0),),
            incidents=outcome.incidents,
            started_at=log.started_at,
        )
        await asyncio.to_thread(self.run.append, row)
        self.told(rollout_id, "resolved" if outcome.resolved else "failed")
        return row

    async def _played(self, rollout_id: str, whim: int, name: str) -> tuple[Conversation, Outcome]:
        """One rollout; another box where one has died."""
        model = PolicyModel(lambda _: mediocre(whim, peeks=self.peeks))
        for _ in range(_TRIES - 1):
            log = Conversation(rollout_id=rollout_id)
            try:
                return log, await self.stage.at_desk(puzzle_of(name), model, log)
            except InfrastructureError:
                self.told(rollout_id, "fault")
        log = Conversation(rollout_id=rollout_id)
        return log, await self.stage.at_desk(puzzle_of(name), model, log)
