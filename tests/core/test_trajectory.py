from __future__ import annotations

import pytest
from pydantic import ValidationError

from regreen.core.trajectory import ErrorRecord, Trajectory, Turn


def test_three_names_make_a_trajectory():
    trajectory = Trajectory(rollout_id="t#a#0", task="t", agent="a")
    assert trajectory.verdict is None
    assert trajectory.error is None
    assert Trajectory.model_validate_json(trajectory.model_dump_json()) == trajectory


def test_two_trajectories_share_no_default():
    one, other = (Trajectory(rollout_id=n, task="t", agent="a") for n in "ab")
    one.seconds["act"] = 1.0
    assert other.seconds == {}


@pytest.mark.parametrize("party", ["grader", "", "Agent"])
def test_an_unknown_party_is_refused(party):
    with pytest.raises(ValidationError):
        ErrorRecord(boundary=party, type="X", message="")


@pytest.mark.parametrize("key", ["reward", "n_turns"])
def test_an_unknown_field_is_refused(key):
    with pytest.raises(ValidationError):
        Trajectory.model_validate({"rollout_id": "a", "task": "t", "agent": "a", key: 1})


def test_absent_ids_are_not_no_ids():
    assert Turn(start=0, end=1).completion_ids is None
    assert Turn(start=0, end=1, completion_ids=()).completion_ids == ()
