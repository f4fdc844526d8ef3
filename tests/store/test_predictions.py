from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from regreen.core.errors import UsageError
from regreen.core.trajectory import Trajectory
from regreen.store.predictions import (
    Prediction,
    read_predictions,
    to_predictions,
    write_predictions,
)

text = st.text(st.characters())
predictions = st.builds(Prediction, instance_id=text, model_name_or_path=text, model_patch=text)


@pytest.mark.parametrize("name", ["preds.json", "preds.jsonl"])
@settings(
    max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
@given(items=st.lists(predictions, max_size=4, unique_by=lambda item: item.instance_id))
def test_predictions_come_back(tmp_path, name, items):
    write_predictions(tmp_path / name, items)
    assert read_predictions(tmp_path / name) == items


def test_a_trajectory_is_named_by_its_model_or_agent():
    a = Trajectory(rollout_id="1", task="t", agent="mini", model="qwen", patch="diff")
    b = Trajectory(rollout_id="2", task="u", agent="oracle")
    assert [p.model_dump() for p in to_predictions([a, b])] == [
        {"instance_id": "t", "model_name_or_path": "qwen", "model_patch": "diff"},
        {"instance_id": "u", "model_name_or_path": "oracle", "model_patch": ""},
    ]


def test_two_attempts_at_one_task_are_refused(tmp_path):
    twice = to_predictions([Trajectory(rollout_id=n, task="t", agent="a") for n in "12"])
    with pytest.raises(UsageError, match="two predictions for t"):
        write_predictions(tmp_path / "preds.json", twice)
    assert not list(tmp_path.iterdir())


def test_a_json_list_is_read(tmp_path):
    row = {"instance_id": "t", "model_name_or_path": "m", "model_patch": ""}
    (tmp_path / "preds.json").write_text(json.dumps([row]))
    assert len(read_predictions(tmp_path / "preds.json")) == 1


@pytest.mark.parametrize(
    "content", ["{", "5", "[5]", '{"a": 5}', '[{"instance_id": "a"}]', '[{"x": 1}]']
)
def test_what_is_no_prediction_is_refused(tmp_path, content):
    (tmp_path / "preds.json").write_text(content)
    with pytest.raises(UsageError) as caught:
        read_predictions(tmp_path / "preds.json")
    assert len(caught.value.lines()) == 3
