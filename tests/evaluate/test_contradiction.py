"""Changed expectations: one literal of one statement, in a file that still parses."""

from __future__ import annotations

import ast
import difflib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regreen.evaluate.contradiction import KINDS, contradictions

HEAD = "import calc\n\n\ndef test_it(self=None):\n"


def changes(body: str, function: str = "test_it", head: str = HEAD) -> list[tuple[str, str]]:
    return [(c.before, c.after) for c in contradictions(head + body, function, seed="s")]


@pytest.mark.parametrize(
    "body",
    [
        "    assert calc.add(2, 3) == 5\n",
        "    assert 5 == calc.add(2, 3)\n",
        "    assert calc.add(2, 3) == -5  # why\n",
        "    assert calc.name() == 'grün' and calc.ok\n",
        "    assert calc.none() == None\n",
        "    assert calc.rows() == []\n",
        "    assert calc.rows() == {'a': [1, 2.5], 'b': None}\n",
        "    assert calc.rows() == Wrapped({1: 2})\n",
        "    self.assertEqual(calc.add(2, 3), 5)\n",
        "    with calc.lock():\n        assert calc.add(2, 3) == 5\n",
        "    assert calc.text() == (\n        'one '\n        'two'\n    )\n",
        "    expected = {(2, 2), (None, 3)}\n    assert calc.join() == expected\n",
        "    assert calc.ok() is True\n",
        "    assert calc.ok(3)\n",
        "    assert not calc.ok(3)\n",
        "    self.assertTrue(calc.ok())\n",
        "    self.assertIn(calc.f(), calc.g())\n",
        "    assert calc.add(2, 3) == calc.other()\n",
        "    assert 'x' not in calc.f()\n",
        "    assert all(calc.f()) and calc.g\n",
        "    assert calc.add(2, 3) == 5 or calc.broken\n",
        "    assert calc.text() == f'{x} 3'\n",
    ],
)
def test_an_expected_value_is_changed_and_nothing_else(body: str) -> None:
    source = HEAD + body
    found = list(contradictions(source, "test_it", seed="s"))
    assert found
    for each in found:
        for kind in KINDS:
            ast.parse(each.text(kind))
        old, new = source.splitlines(), each.one_off.splitlines()
        removed = [line for line in difflib.ndiff(old, new) if line.startswith("- ")]
        assert removed
        kept = [line for line in old if f"- {line}" not in removed]
        assert all(line in new for line in kept)
        both = each.conflicting.splitlines()
        assert [line for line in both if line in old][: len(old)] == old


@pytest.mark.parametrize(
    "body",
    [
        "    assert 1 == 1\n",
        "    assert True\n",
        "    x = 1; assert calc.add(2, 3) == 5\n",
        "    if x: assert calc.add(2, 3) == 5\n",
        "    calc.add(2, 3)\n",
    ],
)
def test_what_cannot_be_changed_by_itself_is_left(body: str) -> None:
    assert changes(body) == []


def test_an_input_is_never_changed() -> None:
    body = "    assert calc.f() == list(calc.Reader(open('x'), start=0.5))\n"
    ((_, after),) = changes(body)
    assert after == body.strip().replace("==", "!=")


def test_values_come_before_truth() -> None:
    body = "    assert calc.ok()\n    assert calc.add(2, 3) == 5\n"
    assert [before for before, _ in changes(body)][:2] == [
        "assert calc.add(2, 3) == 5",
        "assert calc.ok()",
    ]


def test_quotes_stay_as_they_were_and_methods_are_found() -> None:
    source = 'class TestIt:\n    def test_a(self):\n        assert calc.f() == "abc"\n'
    ((_, after), _) = changes(source, "TestIt::test_a", head="")
    assert after.startswith('assert calc.f() == "')
    assert changes(source, "test_a", head="") == []
    assert changes("def (:\n", "test_a", head="") == []
    heir = f"{source}\n\nclass TestHeir(TestIt):\n    x = 1\n"
    assert len(changes(heir, "TestHeir::test_a", head="")) == 2


def test_a_last_line_without_an_end_can_be_doubled() -> None:
    found, _ = contradictions(HEAD + "    assert calc.f() == 1", "test_it", seed="s")
    assert found.conflicting.count("assert calc.f()") == 2


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text() | st.binary(),
        lambda inner: st.lists(inner) | st.tuples(inner) | st.dictionaries(st.text(), inner),
        max_leaves=6,
    )
)
def test_the_new_value_is_another_one(value: object) -> None:
    source = f"{HEAD}    assert calc.f() == {value!r}\n"
    for found in contradictions(source, "test_it", seed="s"):
        (_, other) = (ast.parse(text).body[0] for text in (found.before, found.after))
        assert isinstance(other, ast.Assert)
        assert isinstance(other.test, ast.Compare)
        if isinstance(other.test.ops[0], ast.NotEq):
            continue
        new = ast.literal_eval(other.test.comparators[0])
        assert (new, repr(new)) != (value, repr(value))
        assert new != value or type(new) is not type(value)
