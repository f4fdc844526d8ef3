from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from regreen.core.task import Task

ids = st.lists(st.text(), max_size=4)


def a_task(**changes):
    row = {
        "instance_id": "t",
        "repo": "r",
        "base_commit": "c",
        "patch": "",
        "test_patch": "",
        "problem_statement": "",
        "FAIL_TO_PASS": [],
        "PASS_TO_PASS": [],
    }
    return Task.model_validate({**row, **changes})


@given(ids)
def test_test_ids_are_read_as_list_and_as_json_string(names):
    as_list = a_task(FAIL_TO_PASS=names)
    as_string = a_task(FAIL_TO_PASS=json.dumps(names))
    assert as_list == as_string
    assert tuple(names) == as_list.FAIL_TO_PASS
    assert as_list.model_dump(mode="python")["FAIL_TO_PASS"] == tuple(names)


def test_ids_with_spaces_brackets_and_newlines_are_untouched():
    names = ["a.py::t[x y]", "a.py::t[\n]", "a.py::t[\u2028-é]", "a.py::t [100%]"]
    assert tuple(names) == a_task(PASS_TO_PASS=names).PASS_TO_PASS


@pytest.mark.parametrize("value", ["[", '"text"', "5", "{}", [1], None, "[1]", "null"])
def test_what_is_no_list_of_ids_is_refused(value):
    with pytest.raises(ValidationError):
        a_task(FAIL_TO_PASS=value)


def test_an_unknown_column_is_refused():
    with pytest.raises(ValidationError, match="log_parser"):
        a_task(log_parser="x")


@pytest.mark.parametrize(("key", "value"), [("schema_version", 2), ("schema_name", "other")])
def test_another_schema_is_refused(key, value):
    with pytest.raises(ValidationError):
        a_task(**{key: value})


def test_a_task_does_not_change():
    with pytest.raises(ValidationError):
        a_task().repo = "other"
