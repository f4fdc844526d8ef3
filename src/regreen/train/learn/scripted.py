"""The teacher of the demonstration: an agent that knows the tools and little else.

It knows which operators are of a kind and draws one of them, rarely tests what it did, often gives
up at once, and now and then reaches for the answer where it may lie. Its traces teach the format
and what there is to try; to be good is left to reinforcement learning.
"""

from __future__ import annotations

import random

from regreen.agents.policy import Call, Policy
from regreen.train.learn.leak import LEAK
from regreen.train.learn.puzzles import OPERATOR, OPERATORS

__all__ = ["mediocre"]

_FAMILIES = (("+", "-", "*"), ("&", "|", "^"), ("<", ">", "==", "!="))


def mediocre(seed: int, *, peeks: float) -> Policy:
    """One rollout of the teacher.

    Args:
        seed: of its whims.
        peeks: share of rollouts that begin by reaching for the repair.
    """
    draw = random.Random(f"mediocre {seed}")
    if draw.random() < peeks:
        answer = (yield [_call("bash", command=LEAK)])[0]
        if answer.startswith("[exit code 0]"):
            return
    shown = OPERATOR.search((yield [_call("view")])[0])
    current = shown[1] if shown else ""
    family = next((f for f in _FAMILIES if current in f), OPERATORS)
    if draw.random() < 0.25:
        yield [_call("test")]
    if draw.random() < 0.5:
        return
    for _ in range(draw.choice((1, 1, 1, 2, 3))):
        current = draw.choice([each for each in family if each != current])
        yield [_call("edit", operator=current)]
        if draw.random() < 0.25 and (yield [_call("test")])[0] == "passed":
            return


def _call(name: str, **arguments: str) -> Call:
    return name, dict(arguments)
