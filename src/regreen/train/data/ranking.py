"""Answers to the same question in order, from what was decided between two and two of them.

The order is Copeland's (1951): a win counts 1, a tie a half, divided by the pairs that were
decided. It needs no model of strengths, and answers with the same score share a rank.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, NamedTuple

from regreen.train.data.candidates import Candidate, said

__all__ = ["Pairing", "Ranking", "Standing", "groups", "pairs", "rank"]


class Pairing(NamedTuple):
    """What two answers are to each other."""

    one: int
    """Index of a candidate in its group."""
    other: int
    """Index of another, larger."""
    winner: int | None
    """The better of them; None for a tie, and where nothing was decided."""
    decided: bool
    """Whether both orders could be read."""
    swayed: bool
    """Whether the judge named the same place in both orders."""


class Standing(NamedTuple):
    """Where a candidate ended."""

    candidate: int
    """Index in its group."""
    rank: int
    """From 1; candidates with the same score share it. 0 where no pair was decided."""
    score: float
    """Copeland's, from 0 to 1."""
    wins: int
    """Pairs won."""
    ties: int
    """Pairs tied."""
    losses: int
    """Pairs lost."""
    tied: bool
    """Whether others have its rank."""


@dataclass(frozen=True)
class Ranking:
    """The answers to one question in order."""

    group: list[Candidate]
    """Distinct answers, in the order of the file."""
    standings: list[Standing]
    """The best first."""
    pairings: list[Pairing]
    """Every pair."""

    def told(self) -> dict[str, Any]:
        """As JSON."""
        rows = [
            {"row": self.group[each.candidate].name, **each._asdict()} for each in self.standings
        ]
        for row in rows:
            del row["candidate"]
        return {
            "candidates": rows,
            "pairs": len(self.pairings),
            "decided": sum(pairing.decided for pairing in self.pairings),
            "swayed": sum(pairing.swayed for pairing in self.pairings),
        }

    def preferences(self) -> list[dict[str, Any]]:
        """Each decided pair with a winner, as a row of a preference data set."""
        found = []
        for pairing in self.pairings:
            if pairing.winner is not None:
                loser = pairing.one + pairing.other - pairing.winner
                won, lost = self.group[pairing.winner], self.group[loser]
                found.append(
                    {
                        "prompt": list(won.prompt),
                        "chosen": [won.answer],
                        "rejected": [lost.answer],
                        "rows": [won.name, lost.name],
                    }
                )
        return found


def groups(candidates: Sequence[Candidate]) -> list[list[Candidate]]:
    """Candidates with the same conversation in front of their answers, in the order of the file.

    Answers that say the same are one candidate: the first of them.
    """
    found: dict[str, dict[str, Candidate]] = {}
    for candidate in candidates:
        prompt = json.dumps(candidate.prompt, sort_keys=True)
        found.setdefault(prompt, {}).setdefault(said(candidate.answer), candidate)
    return [list(group.values()) for group in found.values()]


def pairs(count: int) -> Iterator[tuple[int, int]]:
    """All pairs of that many candidates."""
    return combinations(range(count), 2)


def rank(count: int, pairings: Sequence[Pairing]) -> list[Standing]:
    """The order of a group, the best first; equals in the order of the file.

    Args:
        count: candidates.
        pairings: what was decided and what was not.
    """
    wins, ties, losses = [0] * count, [0] * count, [0] * count
    for pairing in pairings:
        if not pairing.decided:
            continue
        if pairing.winner is None:
            ties[pairing.one] += 1
            ties[pairing.other] += 1
        else:
            wins[pairing.winner] += 1
            losses[pairing.one + pairing.other - pairing.winner] += 1
    decided = [sum(three) for three in zip(wins, ties, losses, strict=True)]
    scores = [
        (win + tie / 2) / all_of if all_of else -1.0
        for win, tie, all_of in zip(wins, ties, decided, strict=True)
    ]
    order = sorted(range(count), key=lambda one: (-scores[one], one))
    return [
        Standing(
            candidate=one,
            rank=1 + sum(score > scores[one] for score in scores) if decided[one] else 0,
            score=max(0.0, scores[one]),
            wins=wins[one],
            ties=ties[one],
            losses=losses[one],
            tied=bool(decided[one]) and scores.count(scores[one]) > 1,
        )
        for one in order
    ]
