"""Changed values stay among the values that the code under test may give."""

import ast
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regreen.grading.twins import make_twins
from regreen.grading.twins.literal import Manner, other_literal

ROMAN = """
import pytest
from lib import roman, slug, colour, year

@pytest.mark.parametrize("number, expected", [(1, "I"), (4, "IV"), (9, "IX"), (90, "XC")])
def test_table(number, expected):
    assert roman(number) == expected

def test_one():
    assert roman(9) == "IX"

def test_none():
    assert roman(2) == "II"

def test_words():
    assert slug("Hello Old World") == "hello-old-world"

def test_colours():
    assert colour(1) == "red"
    assert colour(2) == "green"
    assert colour(9) == "Not one colour!"

def test_year():
    assert year("x") == 1987
    assert year("y") == -23
    assert year("z") == 0

def test_list():
    assert sorted(roman([1, 4])) == ["I", "IV"]
    assert {*roman([1, 2, 3])} == {1, 2, 3}

def test_filled():
    assert slug("a") == "%s-%s" % ("b", "c")
    assert slug("a") == "{}-x-{}".format("b", "c")

def test_lines():
    assert slug("a") == '''one
two'''
"""
SEEDS = [f"seed{number}" for number in range(40)]


def twin(name: str, seed: str, attempts: dict[str, int] | None = None) -> str:
    text = make_twins(ROMAN, {name: "value"}, seed=seed, attempts=attempts).text
    assert len(text.splitlines()) == len(ROMAN.splitlines())
    return text


def expected(text: str, pattern: str) -> list[object]:
    return [ast.literal_eval(found) for found in re.findall(pattern, text)]


@pytest.mark.parametrize("seed", SEEDS)
def test_a_column_keeps_to_its_own_values(seed: str) -> None:
    rows = ast.literal_eval(re.findall(r"expected\", (\[.*\])\)", twin("test_table", seed))[0])
    assert [number for number, _ in rows] == [1, 4, 9, 90]
    for (_, new), old in zip(rows, ["I", "IV", "IX", "XC"], strict=True):
        assert new in {"I", "IV", "IX", "XC"} - {old}


@pytest.mark.parametrize("name", ["test_one", "test_none"])
@pytest.mark.parametrize("seed", SEEDS[:15])
def test_a_text_becomes_one_of_its_own_letters(name: str, seed: str) -> None:
    number, old = {"test_one": (9, "IX"), "test_none": (2, "II")}[name]
    (new,) = expected(twin(name, seed), rf"assert roman\({number}\) == (.*)")
    assert set(str(new)) <= set("IVXLC")
    assert new != old


@pytest.mark.parametrize("seed", SEEDS[:15])
def test_words_stay_words_of_the_file(seed: str) -> None:
    (slugged,) = expected(twin("test_words", seed), r"World\"\) == (.*)")
    assert slugged != "hello-old-world"
    assert sorted(str(slugged).split("-")) == ["hello", "old", "world"]
    first, second, _ = expected(twin("test_colours", seed), r"colour\(.\) == (.*)")
    assert first in {"green", "Not one colour!"}
    assert second in {"red", "Not one colour!"}


@pytest.mark.parametrize("seed", SEEDS[:15])
def test_numbers_keep_their_digits_and_their_sign(seed: str) -> None:
    large, negative, zero = expected(twin("test_year", seed), r"year\(.*\) == (.*)")
    assert isinstance(large, int)
    assert isinstance(negative, int)
    assert 1000 <= large <= 9999
    assert large != 1987
    assert -99 <= negative <= -10
    assert negative != -23
    assert zero in range(1, 10)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_container_is_never_only_put_in_another_order(seed: str) -> None:
    text = twin("test_list", seed)
    (listed,) = expected(text, r"sorted.* == (.*)")
    (held,) = expected(text, r"\{\*.* == (.*)")
    assert not {"I", "IV"} & set(listed)  # type: ignore[call-overload]
    assert not {1, 2, 3} & set(held)  # type: ignore[call-overload]


@pytest.mark.parametrize("seed", SEEDS[:15])
def test_places_to_be_filled_and_lines_stay(seed: str) -> None:
    text = twin("test_filled", seed)
    made = [eval(found) for found in re.findall(r"slug\(\"a\"\) == (\".*)", text)]
    assert len(made) == 2
    assert made[0] != "b-c"
    assert made[1] != "b-x-c"
    old, new = ROMAN.splitlines()[-2:], twin("test_lines", seed).splitlines()[-2:]
    assert sum(one != other for one, other in zip(old, new, strict=True)) == 1


def test_the_same_words_give_the_same_twin_and_another_attempt_gives_another() -> None:
    assert twin("test_one", "s") == twin("test_one", "s", {"test_one": 0})
    tries = {twin("test_one", "s", {"test_one": number}) for number in range(6)}
    assert len(tries) > 1
    assert twin("test_words", "s", {"test_one": 5}) == twin("test_words", "s")


VALUES = st.integers(min_value=0) | st.text(max_size=8) | st.binary(max_size=8)


@given(
    VALUES, st.lists(VALUES, max_size=4), st.lists(VALUES, max_size=4), st.text("ab", max_size=2)
)
@settings(max_examples=300, deadline=None)
def test_a_value_is_of_the_old_type_and_none_of_those_taken(
    value: object, near: list[object], taken: list[object], seed: str
) -> None:
    node = ast.parse(repr(value), mode="eval").body
    assert isinstance(node, ast.Constant)
    manner = Manner(seed, near=tuple(near), file=tuple(near), taken=tuple(taken))
    new = other_literal(node, repr(value), manner)
    assert new is not None
    made = ast.literal_eval(new)
    assert type(made) is type(value)
    assert made != value
    if isinstance(value, int):
        assert made not in taken
