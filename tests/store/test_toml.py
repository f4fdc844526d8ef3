from __future__ import annotations

import math
import tomllib
from datetime import UTC, date, datetime, time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regreen.core.errors import UsageError
from regreen.store.toml import dump_toml

text = st.text(st.characters(codec="utf-8")) | st.sampled_from(
    ["\x7f\x00\u2028", '"\\\n', "a.b", ""]
)
scalars = (
    text
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.datetimes(timezones=st.just(UTC))
    | st.dates()
    | st.times()
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=10,
)


@given(st.dictionaries(text, values, max_size=5))
def test_what_is_written_is_read_back(table):
    assert tomllib.loads(dump_toml(table)) == table


def test_it_reads_like_a_file_a_person_wrote():
    table = {"sampling": {"temperature": 0.7}, "agent": "mini", "limits": [1, 2], "odd key": True}
    assert dump_toml(table).splitlines() == [
        'agent = "mini"',
        "limits = [1, 2]",
        '"odd key" = true',
        "",
        "[sampling]",
        "temperature = 0.7",
    ]


def test_none_is_left_out_and_nan_stays():
    found = tomllib.loads(dump_toml({"a": None, "b": [None, 1], "c": {"d": None}, "e": math.nan}))
    assert math.isnan(found.pop("e"))
    assert found == {"b": [1], "c": {}}


@pytest.mark.parametrize("value", [object(), b"bytes", {1, 2}])
def test_a_type_toml_lacks_is_refused_by_its_key(value):
    with pytest.raises(UsageError, match="has no TOML form") as caught:
        dump_toml({"a": {"b": [value]}})
    assert caught.value.where == "a.b"


@pytest.mark.parametrize("table", [{"a": "\ud800"}, {"\ud800": 1}])
def test_text_that_is_no_unicode_is_refused(table):
    with pytest.raises(UsageError, match="lone surrogate") as caught:
        dump_toml(table)
    assert len(caught.value.lines()) == 3


def test_dates_and_times():
    table = {
        "a": datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC),
        "b": date(2026, 1, 2),
        "c": time(3, 4),
    }
    assert tomllib.loads(dump_toml(table)) == table
