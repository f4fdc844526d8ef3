"""The order of strategies, and how a change's date dates its packages."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regreen.tasks.build.interpreters import Interpreter, as_of
from regreen.tasks.mine.ladder import dated, of_the_age, of_the_language, rungs


def interpreter(version: str) -> Interpreter:
    return Interpreter(version, Path("/opt/python", version), Path("/opt/python", version, "bin/x"))


RUNNING = interpreter("3.11.7")
OTHERS = tuple(interpreter(one) for one in ("2.7.18", "3.6.15", "3.8.18", "3.12.1"))
dates = st.datetimes(datetime(1970, 1, 2), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


def names(date: datetime, **options: bool) -> list[str]:
    return [one.name for one in rungs(date, RUNNING, OTHERS, **options)]


def test_old_changes_are_tried_on_the_pythons_of_their_time():
    found = names(datetime(2013, 5, 1, tzinfo=UTC))
    assert found[:3] == ["python 3.11", "python 3.11, adapted", "python 2.7"]
    assert found[3:] == ["python 3.6", "python 3.6, adapted"]


def test_python_2_is_tried_beside_3_while_both_were_in_use():
    assert names(datetime(2018, 5, 1, tzinfo=UTC))[2:] == [
        "python 3.6",
        "python 3.6, adapted",
        "python 2.7",
    ]
    assert "python 2.7" not in names(datetime(2020, 5, 1, tzinfo=UTC))


def test_foreign_code_is_not_adapted():
    found = names(datetime(2013, 5, 1, tzinfo=UTC), foreign=True)
    assert found == ["python 3.11", "python 2.7", "python 3.6"]


def test_an_installed_environment_is_adapted_at_most():
    found = names(datetime(2013, 5, 1, tzinfo=UTC), installed=True)
    assert found == ["python 3.11, installed", "python 3.11, installed, adapted"]


@given(date=dates, foreign=st.booleans())
def test_the_running_python_comes_first_and_no_strategy_twice(date, foreign):
    found = names(date, foreign=foreign)
    assert found[0] == "python 3.11"
    assert len(found) == len(set(found)) <= 6


@given(date=dates, python=st.sampled_from([RUNNING, *OTHERS]))
def test_changes_of_a_quarter_share_a_date_that_their_python_knows(date, python):
    first = date.replace(month=3 * ((date.month - 1) // 3) + 1, day=1, hour=0, minute=0)
    first = first.replace(second=0, microsecond=0)
    assert dated(date, python) == dated(first, python)
    assert as_of(dated(date, python), python) == as_of(first, python)


@pytest.mark.parametrize("year", [1970, 2100])
def test_strange_years_have_a_ladder(year):
    assert names(datetime(year, 1, 1, tzinfo=UTC))[0] == "python 3.11"


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        ("SyntaxError: Missing parentheses in call to 'print'. Did you mean print(...)?", True),
        ("ImportError: cannot import name 'Mapping' from 'collections' (/usr/lib/x.py)", True),
        ("ImportError: cannot import name 'soft_unicode' from 'markupsafe' (/opt/env/x.py)", False),
        ("ModuleNotFoundError: No module named 'hypothesis'", False),
        ("TypeError: code expected at least 16 arguments, got 14", False),
    ],
)
def test_what_no_package_cures_is_told_from_what_one_might(error, expected):
    assert of_the_language(error) is expected


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        ("['t.py::test']: AttributeError: module 'inspect' has no attribute 'formatargspec'", True),
        ("['t.py::test']: DeprecationWarning: use that", True),
        ("['t.py::test']: AssertionError: assert 1 == 2", False),
        ("['t.py::test']: TypeError: unhashable type: 'Query'", False),
    ],
)
def test_only_what_age_may_explain_is_tried_adapted(error, expected):
    assert of_the_age(error) is expected
