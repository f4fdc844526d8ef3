"""Numbers of a batch: the grader's reward beside what the advantages are made from."""

from __future__ import annotations

import numpy as np
import pytest

from regreen.train.policy.advantages import AdvantageConfig
from regreen.train.rl.metrics import rates
from regreen.train.trace import Group, Played, Trace


def played(reward: float | None, *, finished: bool = True) -> Played:
    nought = np.zeros(2, np.float32)
    trace = Trace(
        ids=np.arange(2, dtype=np.int32), sampled=np.array([False, True]), logprobs=nought,
        penalties=nought, versions=np.array([-1, 0], np.int32),
    )  # fmt: skip
    return Played(rollout_id="", traces=(trace,), reward=reward, finished=finished)


ROLLOUTS = (played(1.0), played(0.0), played(1.0, finished=False), played(None))


@pytest.mark.parametrize(
    ("unfinished", "priced"),
    [("penalise", (1.0 + 0.0 - 0.5) / 3), ("mask", 1 / 2), ("score", 2 / 3)],
)
@pytest.mark.parametrize("apart", [False, True])
def test_the_mean_of_rewards_is_told_before_and_after_unfinished_ones_are_priced(
    unfinished: str, priced: float, apart: bool
) -> None:
    config = AdvantageConfig.model_validate({"unfinished": unfinished})
    together = [ROLLOUTS] if not apart else [(one,) for one in ROLLOUTS]
    groups = [Group(problem="a", place=0, rollouts=rollouts) for rollouts in together]

    found = rates(groups, config)

    assert found["reward"] == pytest.approx(2 / 3)
    assert found["reward_priced"] == pytest.approx(priced)
    assert found["unscored"] == 0.25
