"""Ids pass untouched; what is no test is dropped, and what is cut is named."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strange_tasks import IDS

from regreen.core.errors import TaskError
from regreen.tasks.exchange.testids import id_list, is_node_id


@given(st.lists(IDS, unique=True, max_size=5))
def test_ids_pass_byte_for_byte_from_lists_and_from_json_text(names: list[str]) -> None:
    for value in (names, json.dumps(names), json.dumps(names, ensure_ascii=False)):
        assert list(id_list(value, "FAIL_TO_PASS", timed=True).names) == names


def test_progress_marks_and_empty_entries_are_no_tests() -> None:
    found = id_list(["[100%]", "t.py::a", "[ 50%]", "[1]", "", " "], "PASS_TO_PASS")

    assert found.names == ("t.py::a",)
    assert found.warnings == ("entries that are no tests dropped: 5 of PASS_TO_PASS",)


def test_a_parameter_that_does_not_end_is_kept_and_named() -> None:
    cut = "astropy/units/tests/test_format.py::test_fail[log(photon"
    found = id_list([cut, "t.py::whole[a b]"], "PASS_TO_PASS")

    assert found.names == (cut, "t.py::whole[a b]")
    assert found.warnings == (f"truncated test ids: 1 of PASS_TO_PASS, first {cut!r}",)


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("it works (12 ms)", "it works"),
        ("it works [0.51s]", "it works"),
        ("t.py::test_a[wait (3s)]", "t.py::test_a[wait (3s)]"),
        ("t.py::test_a[wait [3s]]", "t.py::test_a[wait [3s]]"),
        ("TestX/sub (3 rows)", "TestX/sub (3 rows)"),
    ],
)
def test_times_are_stripped_only_behind_a_name_and_only_on_demand(name: str, plain: str) -> None:
    assert id_list([name], "FAIL_TO_PASS", timed=True).names == (plain,)
    assert id_list([name], "FAIL_TO_PASS").names == (name,)


def test_a_test_listed_twice_counts_once() -> None:
    found = id_list(["t.py::a", "t.py::b", "t.py::a"], "FAIL_TO_PASS")

    assert found.names == ("t.py::a", "t.py::b")
    assert found.warnings == ("tests listed twice: 1 of FAIL_TO_PASS",)


@pytest.mark.parametrize("value", ["not json", "{}", 3, [1], {"a": 1}])
def test_what_is_no_list_of_texts_is_refused(value: object) -> None:
    with pytest.raises(TaskError, match="FAIL_TO_PASS"):
        id_list(value, "FAIL_TO_PASS")


def test_names_of_other_runners_are_no_node_ids() -> None:
    assert is_node_id("tests/test_a.py::TestA::test_b[x::y]")
    assert not is_node_id("test_b (app.tests.TestA)")
    assert not is_node_id("test_b")
    assert not is_node_id("pkg/a_test.go::TestA")
