"""Statements from failure texts: readable, runnable, the same every time, and silent on the fix."""

from __future__ import annotations

import ast
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regreen.agents.statement import read_statement
from regreen.tasks.tell.describe import Symptom, describe, safest, symptom

SOURCE = """\
from bag import Bag, merge
import pytest

class TestBag:
    def test_take(self):
        bag = Bag([1, 2])
        assert bag.take() == 1

def test_merge():
    with pytest.raises(TypeError):
        merge(1)
"""
COMPARISON = """\
self = <test_bag.TestBag object at 0x7f00aa11bb22>

    def test_take(self):
        bag = Bag([1, 2])
>       assert bag.take() == 1
E       assert 2 == 1
E        +  where 2 = take()
E        +    where take = <bag.Bag object at 0x7f00aa11bb33>.take

tests/test_bag.py:7: AssertionError"""
ESCAPED = """\
self = <test_bag.TestBag object at 0x7f00aa11bb22>

    def test_take(self):
        bag = Bag([1, 2])
>       assert bag.take() == 1
               ^^^^^^^^^^

tests/test_bag.py:7:
_ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _

self = <bag.Bag object at 0x7f00aa11bb33>

    def take(self):
>       return self.items.pop(len(self.items))
E       IndexError: pop index out of range

bag.py:9: IndexError"""
DID_NOT_RAISE = """\
def test_merge():
>       with pytest.raises(TypeError):
E       Failed: DID NOT RAISE <class 'TypeError'>

tests/test_bag.py:10: Failed"""
WRONG_TYPE = """\
def test_merge():
        with pytest.raises(TypeError):
>           merge(1)

tests/test_bag.py:11:
_ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _
bag.py:30: in merge
    raise KeyError(value)
E   KeyError: 1

bag.py:30: KeyError"""
INSIDE = """\
def test_merge():
>       merge(1)

tests/test_bag.py:11:
_ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _

value = 1

    def merge(value):
>       assert value
E       AssertionError

bag.py:30: AssertionError"""
SOURCES = {"tests/test_bag.py": SOURCE}


def read(message: str) -> Symptom:
    found = symptom(message, SOURCES)
    assert found is not None
    return found


def test_a_failed_comparison():
    assert describe([read(COMPARISON)], name="bag", key="0") == (
        "bag: We hit this in production and could reduce it to a few lines:\n\n"
        "```python\nfrom bag import Bag\nbag = Bag([1, 2])\n```\n\n"
        "What should be true:\n```python\nbag.take() == 1\n```\n\n"
        "What happens instead:\n\n    2 == 1\n    where 2 = take()\n\n"
        "Please find the cause and repair it without changing what works.\n"
    )


def test_an_error_is_told_by_its_last_words_and_never_by_the_library_s_source():
    item = read(ESCAPED)
    assert (item.error, item.observed) == ("IndexError", ("IndexError: pop index out of range",))
    text = describe([item], name="bag", key="0")
    assert "assert bag.take() == 1" in text
    assert "self.items" not in text
    assert "bag.py" not in text


def test_a_missing_exception():
    text = describe([read(DID_NOT_RAISE)], name="bag", key="0")
    assert "    no TypeError is raised" in text
    assert "except TypeError:" in text


def test_a_wrong_exception():
    item = read(WRONG_TYPE)
    assert (item.error, item.observed) == ("KeyError", ("KeyError: 1",))
    assert "except TypeError:" in item.failing


def test_an_assertion_of_the_library_s_own_is_an_error():
    assert read(INSIDE).error == "AssertionError"


def test_without_sources_the_report_s_own_code_is_read():
    item = symptom(COMPARISON)
    assert item is not None
    assert (item.steps, item.failing, item.complete) == (
        ("bag = Bag([1, 2])",),
        "bag.take() == 1",
        False,
    )


def test_a_report_that_lost_its_beginning_quotes_no_code():
    item = read(ESCAPED[ESCAPED.index("self = <bag.Bag") :])
    text = describe([item], name="bag", key="0")
    assert "IndexError: pop index out of range" in text
    assert "self.items" not in text
    assert "```" not in text


def test_no_report_no_symptom():
    assert symptom("", SOURCES) is None
    text = describe([], name="bag", key="0")
    assert text.startswith("bag: A part of the library's documented behaviour no longer holds.")


def test_symptoms_a_reader_can_run_come_alone():
    vague = Symptom(failing="client.get() == 1", condition=True, observed=("2 == 1",))
    text = describe([vague, read(COMPARISON)], name="bag", key="0")
    assert "client" not in text
    assert "client" in describe([vague], name="bag", key="0")


def test_at_most_three_and_no_more_than_fits():
    many = [
        Symptom(failing=f"f({i}) == {i}", condition=True, observed=("x",), complete=True)
        for i in range(9)
    ]
    assert describe(many, name="bag", key="0").count("```python") == 3
    long = [
        Symptom(steps=tuple("a" for _ in range(25)), failing=f"f({i})", observed=("x",))
        for i in range(3)
    ]
    assert describe(long, name="bag", key="0").count("```python") == 1


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("AssertionError: assert 1 == 2", "1 == 2"),
        ("assert 1 == 2", "1 == 2"),
        ("AssertionError: 1 != 2", "1 != 2"),
        ("AssertionError: ValueError not raised by f", "no ValueError is raised"),
        ("Failed: DID NOT RAISE <class 'a.b.BadData'>", "no BadData is raised"),
        ("Failed: DID NOT RAISE BadData", "no BadData is raised"),
        ("AssertionError", "the check fails"),
        ("+  where 2 = f(1)", "where 2 = f(1)"),
    ],
)
def test_assertions_are_put_in_plain_words(said, shown):
    item = Symptom(failing="f()", observed=(said,))
    assert f"\n    {shown}\n" in describe([item], name="bag", key="0")


def test_the_safest_statement_leaves_out_the_symptom_that_leaks():
    text = safest(
        [read(COMPARISON), read(DID_NOT_RAISE)],
        name="bag",
        key="0",
        leaky=lambda text: "merge" in text,
    )
    assert "take" in text
    assert "merge" not in text


def test_the_safest_statement_falls_back_to_names_then_to_nothing():
    items = [read(COMPARISON)]
    named = safest(items, name="bag", key="0", leaky=lambda text: "take" in text)
    assert named.startswith("bag: `Bag` no longer behave")
    silent = safest(items, name="bag", key="0", leaky=lambda text: "`" in text)
    assert silent == describe([], name="bag", key="0")


lines = st.text(alphabet=st.characters(codec="utf-8", categories=["L", "N", "P", "S"]), max_size=30)
drawn = st.builds(
    Symptom,
    steps=st.lists(st.just("x = 1"), max_size=3).map(tuple),
    failing=lines,
    condition=st.booleans(),
    observed=st.lists(lines, max_size=3).map(tuple),
    error=st.sampled_from(["", "KeyError"]),
    complete=st.booleans(),
)


@given(st.lists(drawn, max_size=5), st.text(max_size=8))
def test_the_same_key_gives_the_same_text_whatever_the_order(symptoms, key):
    text = describe(symptoms, name="bag", key=key)
    assert text == describe(symptoms, name="bag", key=key)
    assert text.startswith("bag: ")
    assert text.endswith("\n")


@given(st.integers(), st.lists(st.integers(), max_size=5))
def test_the_scripted_agent_reads_what_is_written(number, values):
    item = Symptom(
        steps=("from bag import f", f"values = {values}"),
        failing=f"f(values) == {number}",
        condition=True,
        observed=(f"Bag([]) == {number}", "where Bag = f(values)"),
        complete=True,
    )
    (check,) = read_statement(describe([item], name="bag", key=str(number))).checks
    assert ast.dump(ast.parse(check)) == ast.dump(
        ast.parse(f"from bag import f\nvalues = {values}\nassert f(values) == {number}")
    )


@given(st.lists(st.sampled_from([COMPARISON, ESCAPED, DID_NOT_RAISE, WRONG_TYPE, INSIDE])))
def test_statements_hold_no_address_and_no_test_name(messages):
    text = describe(map(read, messages), name="bag", key="k")
    assert not re.search(r"0x[0-9a-f]+|test_\w+|TestBag|\.py\b", text)
