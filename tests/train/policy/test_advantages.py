"""Advantages of groups: the estimators' formulas, their invariants, and what stays outside."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from regreen.core.trajectory import ErrorRecord
from regreen.train.policy.advantages import (
    AdvantageConfig,
    Advantages,
    Dropped,
    PassRateConfig,
    group_advantages,
    pass_rate_fault,
    token_advantages,
)
from regreen.train.trace import Group, Played, Trace

FAULT = ErrorRecord(boundary="infrastructure", type="BoxLost", message="gone")


def trace(sampled=(0, 1, 1), penalties=None):
    size = len(sampled)
    return Trace(
        ids=np.arange(size, dtype=np.int32),
        sampled=np.array(sampled, dtype=bool),
        logprobs=np.zeros(size, np.float32),
        penalties=np.array(penalties or [0.0] * size, np.float32),
        versions=np.zeros(size, np.int32),
    )


def played(reward, *, finished=True, fault=None, traces=None):
    rows = (trace(),) if traces is None else traces
    return Played(
        rollout_id="p#0", traces=rows, reward=reward, finished=finished, fault=fault
    )  # fmt: skip


def group(*rollouts):
    rows = tuple(one if isinstance(one, Played) else played(one) for one in rollouts)
    return Group(problem="p", place=0, rollouts=rows)


def values(found):
    assert isinstance(found, Advantages)
    return list(found.values)


# -- formulas -----------------------------------------------------------------------------------


def test_the_estimators_on_numbers_worked_out_by_hand():
    rewards = group(1.0, 0.0, 0.0, 1.0, 1.0)
    mean, deviation = 0.6, math.sqrt(1.2 / 4)
    spread = math.sqrt(1.2 / 5)

    def of(**more):
        return values(group_advantages(rewards, AdvantageConfig(**more)))

    assert of() == pytest.approx(
        [(r - mean) / (deviation + 1e-6) for r in (1, 0, 0, 1, 1)], abs=1e-12
    )
    assert of(ddof=0, epsilon=0)[0] == pytest.approx(0.4 / spread)
    assert of(estimator="centred") == pytest.approx([0.4, -0.6, -0.6, 0.4, 0.4])
    assert of(estimator="leave_one_out") == pytest.approx([0.5, -0.75, -0.75, 0.5, 0.5])


REWARDS = st.lists(st.floats(-1, 1), min_size=2, max_size=12).filter(
    lambda rows: max(rows) - min(rows) > 0.01
)
ESTIMATORS = st.sampled_from(["normalised", "centred", "leave_one_out"])


@given(rewards=REWARDS, estimator=ESTIMATORS, shift=st.floats(-5, 5))
@settings(max_examples=60)
def test_a_constant_on_all_rewards_changes_nothing_and_advantages_sum_to_zero(
    rewards, estimator, shift
):
    config = AdvantageConfig(estimator=estimator)
    plain = values(group_advantages(group(*rewards), config))
    shifted = values(group_advantages(group(*(r + shift for r in rewards)), config))

    assert shifted == pytest.approx(plain, abs=1e-9)
    assert sum(plain) == pytest.approx(0, abs=1e-9)
    order = sorted(range(len(rewards)), key=lambda place: rewards[place])
    ranked = [plain[place] for place in order]
    assert ranked == sorted(ranked)


@given(rewards=REWARDS, scale=st.floats(0.5, 8))
@settings(max_examples=40)
def test_a_factor_on_all_rewards_is_taken_out_by_the_deviation_alone(rewards, scale):
    scaled = group(*(scale * r for r in rewards))
    none = AdvantageConfig(epsilon=0)
    centred = AdvantageConfig(estimator="centred")

    assert values(group_advantages(scaled, none)) == pytest.approx(
        values(group_advantages(group(*rewards), none)), rel=1e-6, abs=1e-9
    )
    assert values(group_advantages(scaled, centred)) == pytest.approx(
        [scale * one for one in values(group_advantages(group(*rewards), centred))], abs=1e-9
    )


# -- what stays outside -------------------------------------------------------------------------


def test_equal_rewards_teach_nothing():
    found = group_advantages(group(0.1 + 0.2, 0.3, 0.3))

    assert isinstance(found, Dropped)
    assert (found.kind, found.reason) == ("uniform", "all 3 rewards are 0.3")


def test_a_uniform_group_can_be_kept_for_its_penalties():
    config = AdvantageConfig(uniform="keep_penalised")
    clumsy = played(0.0, traces=(trace(penalties=[0, 0, 0.5]),))

    assert isinstance(group_advantages(group(0.0, 0.0), config), Dropped)
    assert values(group_advantages(group(0.0, clumsy), config)) == [0, 0]
    assert values(group_advantages(group(0.0, 0.0), AdvantageConfig(uniform="keep"))) == [0, 0]


BROKEN = {
    "infrastructure fault: BoxLost": {"reward": None, "fault": FAULT},
    "no verdict was reached": {"reward": None},
    "the reward is nan": {"reward": math.nan},
    "the reward is -inf": {"reward": -math.inf},
    "the reward 1e+06 is outside -10 to 10": {"reward": 1e6},
    "no token was sampled": {"reward": 1.0, "traces": ()},
    "a penalty is not a finite number": {
        "reward": 1.0, "traces": (trace(penalties=[0, math.nan, 0]),),
    },
}  # fmt: skip


@pytest.mark.parametrize("reason", BROKEN)
def test_what_has_no_verdict_is_named_and_moves_nothing(reason):
    broken = group(1.0, played(**BROKEN[reason]), 0.0, 1.0)
    kept = group_advantages(broken, AdvantageConfig(incomplete="keep"))
    without = values(group_advantages(group(1.0, 0.0, 1.0)))
    gone = group_advantages(broken)

    assert values(kept) == [without[0], None, *without[1:]]
    assert kept.reasons == ("", reason, "", "")
    assert isinstance(gone, Dropped)
    assert (gone.kind, gone.reason) == ("incomplete", "1 of 4 rollouts have no verdict")
    assert gone.reasons[1] == reason


def test_a_fault_counts_even_where_a_reward_came_of_it():
    found = group_advantages(
        group(1.0, 0.0, played(1.0, fault=FAULT)), AdvantageConfig(incomplete="keep")
    )

    assert values(found)[2] is None


def test_one_that_is_left_is_compared_with_nobody():
    lost = played(None, fault=FAULT)
    found = group_advantages(group(1.0, lost, lost), AdvantageConfig(incomplete="keep"))

    assert isinstance(found, Dropped)
    assert found.kind == "too_few"


@pytest.mark.parametrize("reward", [1.0, 0.0, None])
def test_an_unfinished_rollout_is_worth_the_penalty_whatever_its_tests_say(reward):
    cut = played(reward, finished=False)
    found = group_advantages(group(1.0, cut, 0.0))

    assert isinstance(found, Advantages)
    assert found.rewards == (1.0, -0.5, 0.0)
    assert found.values[1] == min(found.values)


def test_an_unfinished_rollout_can_be_masked_or_scored():
    cut = played(1.0, finished=False)
    masked = group_advantages(group(1.0, cut, 0.0), AdvantageConfig(unfinished="mask"))
    scored = group_advantages(group(1.0, cut, 0.0), AdvantageConfig(unfinished="score"))

    assert masked.rewards == (1.0, None, 0.0)
    assert masked.reasons[1] == "not finished"
    assert scored.rewards == (1.0, 1.0, 0.0)


@given(
    st.lists(
        st.tuples(
            st.one_of(st.none(), st.floats(width=32)), st.booleans(), st.sampled_from([None, FAULT])
        ),
        max_size=8,
    ),
    st.sampled_from(["drop", "keep"]),
    st.sampled_from(["penalise", "mask", "score"]),
)
@settings(max_examples=120)
def test_whatever_happens_advantages_are_finite_and_every_absence_has_a_reason(
    rows, incomplete, unfinished
):
    rollouts = [played(reward, finished=done, fault=fault) for reward, done, fault in rows]
    config = AdvantageConfig(incomplete=incomplete, unfinished=unfinished)
    found = group_advantages(group(*rollouts), config)

    assert len(found.rewards) == len(found.reasons) == len(rows)
    for reward, reason in zip(found.rewards, found.reasons, strict=True):
        assert (reward is None) == bool(reason)
    if isinstance(found, Dropped):
        assert found.reason
        return
    for value, reward, (_, _, fault) in zip(found.values, found.rewards, rows, strict=True):
        assert (value is None) == (reward is None)
        assert value is None or (math.isfinite(value) and abs(value) <= len(rows) and not fault)


def test_tokens_that_were_sampled_carry_the_advantage_less_their_penalty():
    row = trace(sampled=(0, 1, 0, 1), penalties=[0, 0.5, 0, 0])
    found = token_advantages(row, 1.25)

    assert found.dtype == np.float32
    assert found.tolist() == [0, 0.75, 0, 1.25]


def test_a_penalty_outside_the_rewards_is_refused():
    with pytest.raises(ValidationError, match="outside reward_range"):
        AdvantageConfig(unfinished_reward=-50)


@pytest.mark.parametrize(
    ("solved", "tried", "reason"),
    [
        (1, 4, ""),
        (0, 8, "the pass rate 0 is not above 0"),
        (8, 8, "the pass rate 1 is not below 1"),
        (1, 3, "3 tries are fewer than 4"),
        (0, 0, "0 tries are fewer than 4"),
        (5, 4, "5 of 4 tries cannot be solved"),
    ],
)
def test_problems_always_or_never_solved_are_not_trained_on(solved, tried, reason):
    assert pass_rate_fault(solved, tried) == reason


def test_the_bounds_of_the_pass_rate_can_be_drawn_closer():
    config = PassRateConfig(above=0.1, below=0.9, min_tries=10)

    assert pass_rate_fault(1, 10, config)
    assert pass_rate_fault(9, 10, config)
    assert not pass_rate_fault(2, 10, config)
