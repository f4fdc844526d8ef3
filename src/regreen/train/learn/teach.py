"""Lets the teacher play puzzles, and keeps what it did as any run keeps its rollouts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from regreen.agents.policy import PolicyModel
from regreen.agents.record import Conversation
from regreen.core.errors import InfrastructureError
from regreen.core.together import together
from regreen.core.trajectory import Trajectory
from regreen.core.verdict import Reward
from regreen.store.run import RunDirectory
from regreen.train.learn.scripted import mediocre
from regreen.train.learn.stage import LearnStage, puzzle_of
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
    known = {row.rollout_id: row for row in run.trajectories()}
    work = _teach(stage, names, run, known, seed=seed, peeks=peeks, told=told, asked=asked)
    return asyncio.run(work)


async def _teach(
    stage: LearnStage,
    names: Sequence[str],
    run: RunDirectory,
    known: dict[str, Trajectory],
    *,
    seed: int,
    peeks: float,
    told: Callable[[str, str], None],
    asked: Asked,
) -> list[Trajectory]:
    room = asyncio.Semaphore(_AT_ONCE)

    async def one(place: int, name: str) -> Trajectory | None:
        rollout_id = f"{name}#teacher#{place}"
        if rollout_id in known:
            return known[rollout_id]
        whim = seed * 1_000_003 + place
        async with room:
            if asked.stop:
                return None
            for left in reversed(range(_TRIES)):
                log = Conversation(rollout_id=rollout_id)
                model = PolicyModel(lambda _: mediocre(whim, peeks=peeks))
                try:
                    outcome = await stage.at_desk(puzzle_of(name), model, log)
                    break
                except InfrastructureError:
                    told(rollout_id, "fault")
                    if not left:
                        raise
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
        run.append(row)
        told(rollout_id, "resolved" if outcome.resolved else "failed")
        return row

    await stage.open()
    try:
        played = await together(one(place, name) for place, name in enumerate(names))
    finally:
        await stage.close()
    rows = [row for row in played if row is not None]
    run.replace(rows)
    return rows
