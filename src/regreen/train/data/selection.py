"""Rows to fewer rows, by a simulated user or by comparing the answers to the same question.

What no judge has decided is left out and counted apart: it is neither good nor bad. A box or a call
that fails leaves its row undecided and unrecorded, so that a resumed job asks again; an endpoint
that refuses or does not answer at all ends the job.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from regreen.core.errors import BoundaryError
from regreen.core.together import together
from regreen.inference.errors import EndpointRefused, EndpointUnreachable
from regreen.store.judgements import UNREADABLE
from regreen.train.data.candidates import Candidate
from regreen.train.data.pairwise import PairJudge
from regreen.train.data.ranking import Pairing, Ranking, groups, pairs, rank
from regreen.train.data.simulated_user import SimulatedUser

__all__ = ["PairConfig", "Selection", "by_pairs", "by_user"]

T = TypeVar("T")
Tell = Callable[[str, str], None]
"""Is given each row that is done, and what became of it."""

_FAILED = "undecided: the endpoint or a box failed"


class PairConfig(BaseModel):
    """What is kept of compared answers."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    top: int = Field(1, ge=1)
    """Answers kept of each question; equals at the border are taken in the order of the file."""


@dataclass
class Selection:
    """What became of the rows."""

    kept: list[Candidate] = field(default_factory=list)
    """In the order of the file."""
    counts: Counter[str] = field(default_factory=Counter)
    """Rows by what became of them."""
    rankings: list[Ranking] = field(default_factory=list)
    """Order of the answers to each question, where answers were compared."""


async def by_user(
    candidates: Sequence[Candidate], user: SimulatedUser, *, workers: int, tell: Tell
) -> Selection:
    """Keep the rows whose answer helped a simulated user.

    Args:
        candidates: the rows.
        user: who tries them.
        workers: boxes at work at once.
        tell: see ``Tell``.

    Raises:
        ModelError: the endpoint refuses, or cannot be reached.
    """
    slots = asyncio.Semaphore(workers)

    async def one(candidate: Candidate) -> str:
        async with slots:
            judgement = await _survived(user.judge(candidate))
        verdict = judgement.verdict if judgement else ""
        tell(candidate.name, verdict or "failed")
        return verdict

    verdicts = await together(map(one, candidates))
    found = Selection()
    names = {"": _FAILED, "useless": "did not help", UNREADABLE: "undecided: no verdict"}
    for candidate, verdict in zip(candidates, verdicts, strict=True):
        if verdict == "helped":
            found.kept.append(candidate)
        found.counts[names.get(verdict, verdict)] += 1
    return found


async def by_pairs(
    candidates: Sequence[Candidate],
    judge: PairJudge,
    config: PairConfig,
    *,
    workers: int,
    tell: Tell,
) -> Selection:
    """Keep the best answers to each question; a question with one answer keeps it.

    Args:
        candidates: the rows.
        judge: who compares them.
        config: how many are kept.
        workers: pairs at work at once.
        tell: see ``Tell``.

    Raises:
        ModelError: the endpoint refuses, or cannot be reached.
    """
    slots = asyncio.Semaphore(workers)

    async def pair(group: list[Candidate], one: int, other: int) -> Pairing:
        async with slots:
            found = await _survived(judge.compare(group, one, other))
        return found or Pairing(one, other, None, decided=False, swayed=False)

    async def whole(group: list[Candidate]) -> Ranking:
        found = await together(pair(group, *two) for two in pairs(len(group)))
        for candidate in group:
            tell(candidate.name, "ranked")
        return Ranking(group, rank(len(group), found), found)

    found = Selection(rankings=await together(map(whole, groups(candidates))))
    place = {candidate.name: number for number, candidate in enumerate(candidates)}
    for ranking in found.rankings:
        kept = _best(ranking, config.top, found.counts)
        found.kept += [ranking.group[index] for index in kept]
    found.kept.sort(key=lambda candidate: place[candidate.name])
    same = len(candidates) - sum(len(ranking.group) for ranking in found.rankings)
    found.counts["the same answer as another row"] += same
    found.counts = +found.counts  # without what did not occur
    return found


def _best(ranking: Ranking, top: int, counts: Counter[str]) -> list[int]:
    """The candidates to keep of one question."""
    if len(ranking.group) == 1:
        counts["alone: nothing to compare with"] += 1
        return [0]
    ranked = [each for each in ranking.standings if each.rank]
    kept, left = ranked[:top], ranked[top:]
    counts["kept"] += len(kept)
    counts["below the best"] += len(left)
    counts["undecided: no pair could be read"] += len(ranking.standings) - len(ranked)
    if kept and left and kept[-1].rank == left[0].rank:
        counts["kept before an equal, by the order of the file"] += 1
    return [each.candidate for each in kept]


async def _survived(work: Coroutine[Any, Any, T]) -> T | None:
    """What the work gives; None where its own call or box failed and others may still succeed."""
    try:
        return await work
    except (EndpointRefused, EndpointUnreachable):
        raise
    except BoundaryError:
        return None
