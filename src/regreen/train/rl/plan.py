"""Which problem is played at which place of a run; a function of the seed, so a resume draws alike.

Problems come in seeded permutations, one after the other: each is played once before any is played
again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from regreen.core.errors import UsageError
from regreen.train.play.rollouts import Job

__all__ = ["Plan", "evaluation"]


@dataclass(frozen=True, slots=True)
class Plan:
    """The order of a run's groups."""

    problems: tuple[str, ...]
    """Names of all problems."""
    size: int
    """Rollouts of a group."""
    seed: int
    """Of the run."""

    def __post_init__(self) -> None:
        if not self.problems:
            what = "there is no problem to train on"
            raise UsageError(what, mend="give more tasks, or widen pass_rate")

    def job(self, place: int) -> Job:
        """The group at a place, from 0."""
        epoch, at = divmod(place, len(self.problems))
        order = np.random.Generator(np.random.Philox(key=[self.seed, epoch]))
        problem = self.problems[int(order.permutation(len(self.problems))[at])]
        return Job(problem=problem, place=place, size=self.size, seed=self.seed)

    def screening(self, tries: int) -> list[Job]:
        """Every problem once, to measure its pass rate."""
        return [
            Job(problem=name, place=place, size=tries, seed=self.seed, purpose="screen")
            for place, name in enumerate(self.problems)
        ]


def evaluation(problems: Sequence[str], count: int, seed: int, step: int) -> list[Job]:
    """Held-out problems once each; the same ones and seeds at every step.

    Args:
        problems: all of them.
        count: how many are played; 0 for all.
        seed: of the run.
        step: batches trained on.
    """
    chosen = problems[:count] if count else problems
    return [
        Job(problem=name, place=place, size=1, seed=seed, purpose="evaluate", step=step)
        for place, name in enumerate(chosen)
    ]
