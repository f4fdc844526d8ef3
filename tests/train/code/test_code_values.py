"""Values across the border, as text, and compared: nothing lost, nothing passed for another."""

from __future__ import annotations

import math
from collections import Counter, OrderedDict, defaultdict, namedtuple
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regreen.train.code.box import plain
from regreen.train.code.compare import Rule, same, same_output
from regreen.train.code.literals import (
    NotLiteral,
    read_call,
    read_value,
    write_call,
    write_value,
)

KEYS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary()
    | st.integers(min_value=10**300, max_value=10**301),
    lambda inner: st.lists(inner, max_size=3).map(tuple) | st.frozensets(inner, max_size=3),
    max_leaves=5,
)  # fmt: skip
VALUES: st.SearchStrategy[Any] = st.recursive(
    KEYS | st.complex_numbers() | st.binary().map(bytearray),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(KEYS, inner, max_size=4)
        | st.sets(KEYS, max_size=4)
    ),
    max_leaves=12,
)


@settings(max_examples=60, deadline=None)
@given(VALUES)
def test_a_value_crosses_unchanged(value: Any) -> None:
    back = plain.loads(plain.dumps(value))
    assert same(value, back, Rule())
    assert plain.dumps(back) == plain.dumps(value)


@settings(max_examples=60, deadline=None)
@given(VALUES)
def test_a_value_is_written_and_read_as_a_literal(value: Any) -> None:
    assert plain.dumps(read_value(write_value(value))) == plain.dumps(value)


@settings(max_examples=50, deadline=None)
@given(st.lists(VALUES, max_size=3).map(tuple))
def test_a_call_is_written_and_read(args: tuple[Any, ...]) -> None:
    name, back, named = read_call(write_call("Solution.f", args, {"key": args}))
    assert name == "Solution.f"
    assert plain.dumps(back) == plain.dumps(args) == plain.dumps(named["key"])


@settings(max_examples=50, deadline=None)
@given(VALUES, VALUES)
def test_exact_sameness_is_sameness_of_the_text(one: Any, other: Any) -> None:
    texts = [plain.dumps(value).replace('"-0x0.0p+0"', '"0x0.0p+0"') for value in (one, other)]
    if texts[0] == texts[1]:
        assert same(one, other, Rule())
    elif type(one) is not type(other):
        assert not same(one, other, Rule())


class FakesEquality(int):
    def __eq__(self, other: object) -> bool:
        return True

    def __hash__(self) -> int:
        return 0


Point = namedtuple("Point", "x")


@pytest.mark.parametrize(
    "value", [FakesEquality(1), [FakesEquality(1)], {FakesEquality(1)}, Point(1), object(), len,
              iter([]), range(3), {1: object()}, ..., type("str", (str,), {})("a")],
)  # fmt: skip
def test_what_is_no_plain_data_is_refused(value: object) -> None:
    with pytest.raises(plain.Unplain):
        plain.dumps(value)


def test_nesting_and_size_are_bounded() -> None:
    deep: list[Any] = []
    for _ in range(300):
        deep = [deep]
    wide: list[Any] = []
    for _ in range(60):
        wide = [wide, wide]
    for value in (deep, wide):
        with pytest.raises(plain.Unplain):
            plain.dumps(value)
    with pytest.raises(plain.Unplain):
        plain.loads("[" * 100_000)
    with pytest.raises(plain.Unplain):
        plain.loads("[" * 200 + "]" * 200)


@pytest.mark.parametrize(
    "text",
    ["1.5", "NaN", '{"f":"x"}', '{"t":1}', '{"t":[],"s":[]}', '{"s":[[1]]}', '{"q":[]}', "", "[1",
     '{"d":[[1]]}', '{"i":1}', '{"b":"0"}', '{"c":["0x1p0"]}', "9" * 5000, '{"d":{"a":1}}'],
)  # fmt: skip
def test_a_forged_text_is_refused(text: str) -> None:
    with pytest.raises(plain.Unplain):
        plain.loads(text)


def test_dicts_of_the_standard_library_are_the_dict_they_equal() -> None:
    for value in (Counter("aab"), defaultdict(int, {"a": 2, "b": 1}), OrderedDict(a=2, b=1)):
        assert plain.loads(plain.dumps(value)) == {"a": 2, "b": 1}


@pytest.mark.parametrize(
    ("one", "other", "rule", "equal"),
    [
        (1, True, Rule(), False),
        (1, True, Rule(numbers="value"), False),
        ([True], [1], Rule(numbers="value", sequences="value"), False),
        ({1: "a"}, {True: "a"}, Rule(numbers="value"), False),
        ({1}, {True}, Rule(numbers="value"), False),
        (2, 2.0, Rule(), False),
        (2, 2.0, Rule(numbers="value"), True),
        ({2: 1}, {2.0: 1.0}, Rule(numbers="value"), True),
        ({2: 1}, {2.0: 1.0}, Rule(), False),
        ((1, 2), [1, 2], Rule(), False),
        ((1, 2), [1, 2], Rule(sequences="value"), True),
        ({(1, 2)}, {(1, 2)}, Rule(), True),
        (0.1 + 0.2, 0.3, Rule(), False),
        (0.1 + 0.2, 0.3, Rule(tolerance=1e-9), True),
        ([1e9], [1e9 + 1], Rule(tolerance=1e-6), True),
        (1000000, 1000001, Rule(tolerance=1e-3), False),
        (math.nan, math.nan, Rule(), True),
        (math.inf, -math.inf, Rule(tolerance=1.0), False),
        (10**400, 1.0, Rule(numbers="value", tolerance=0.1), False),
        ("a", b"a", Rule(), False),
        (b"a", bytearray(b"a"), Rule(), False),
        ({1, 2}, frozenset({1, 2}), Rule(), False),
        ({"a": [1]}, {"a": [1], "b": 2}, Rule(), False),
        (None, 0, Rule(numbers="value"), False),
        (complex(1, 2), complex(1, 2), Rule(), True),
        ("nan", math.nan, Rule(), False),
    ],
)
def test_sameness(one: Any, other: Any, rule: Rule, equal: bool) -> None:
    assert same(one, other, rule) is equal
    assert same(other, one, rule) is equal


@pytest.mark.parametrize(
    ("one", "other", "rule", "equal"),
    [
        ("1 2\n3\n", "1 2  \n3", Rule(), True),
        ("1 2\n3\n", "1  2\n3", Rule(), False),
        ("1 2\n3\n", "1  2 3", Rule(output="tokens"), True),
        ("1\n", "1", Rule(output="exact"), False),
        ("0.333333\n", "0.333334", Rule(tolerance=1e-4), True),
        ("7\n", "7.00001", Rule(tolerance=1e-2), False),
        ("1\n2", "1 2", Rule(tolerance=1e-4), False),
        ("a", "", Rule(), False),
        ("", "\n", Rule(), True),
        ("a \r\nb\r\n", "a\nb", Rule(), True),
        *((f"a{mark}b", "a\nb", Rule(), False) for mark in "\f\v\x1c\x85\u2028"),
        ("a\fb", "a\nb", Rule(tolerance=1e-4), False),
    ],
)
def test_outputs(one: str, other: str, rule: Rule, equal: bool) -> None:
    assert same_output(one, other, rule) is equal


@pytest.mark.parametrize(
    "text", ["x", "f()", "__import__('os')", "[*a]", "{**a}", "1 +", "lambda: 1", "f'a'",
             "'a' + 'b'", "...", "-True", "{[]: 1}", "bytearray('a')", "(" * 5000],
)  # fmt: skip
def test_only_literals_are_read(text: str) -> None:
    with pytest.raises(NotLiteral):
        read_value(text)
