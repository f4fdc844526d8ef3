"""What a change of Python means, for code of every kind and depth."""

from __future__ import annotations

import pytest

from regreen.tasks.repo.semantics import (
    changed_tests,
    definitions,
    meaning,
    parsed,
    property_tests,
)

DEEP = b"x = " + b" + ".join([b"a"] * 700) + b"\n"
TOO_DEEP = b"x = " + b"-" * 100_000 + b"1\n"
LONG_NUMBER = b"x = 0x" + b"f" * 6000 + b"\n"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"x = 1\n", b"# one\nx  =  1"),
        (b"def f(): pass\n", b'def f():\n    """Do."""\n    pass\n'),
        (b"def f(a): return a\n", b"def f(a: int) -> int: return a\n"),
        (b"x = 1\n", b"x: int = 1\n"),
        (b"x = 1\n", b"x = 1\r\n"),
        (None, b"# nothing\n"),
    ],
)
def test_what_does_not_run_means_nothing(before, after):
    assert meaning(before, after) == meaning(after, before) == "none"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"x = 1\n", b"x = 2\n"),
        (b"x = 'a'\n", b"x = 'b'\n"),
        (None, b"x = 1\n"),
        (b"class A:\n    x = 1\n", b"class A:\n    x: int = 1\n"),
        (b"class A:\n    x: int\n", b"class A:\n    x: str\n"),
        (b"class A:\n    x: int\n    y: int\n", b"class A:\n    y: int\n    x: int\n"),
        (b"def (\n", b"def f(\n"),
        (b"x = 1\n", b"\xff\n"),
    ],
)
def test_what_runs_or_cannot_be_parsed_is_a_program(before, after):
    assert meaning(before, after) == meaning(after, before) == "program"


def test_a_version_number_is_known():
    assert meaning(b"__version__ = '1'\n", b"__version__ = '2'\n") == "version"
    assert meaning(b"__version__ = '1'\n", b"__version__ = '2'\nx = 1\n") == "program"


@pytest.mark.parametrize("data", [DEEP, TOO_DEEP, LONG_NUMBER, b"x = 1\0\n", b"# coding: no\n"])
def test_code_beyond_any_limit_is_a_program(data):
    assert meaning(b"x = 1\n", data) == meaning(data, b"x = 1\n") == "program"


TESTS = b"def test_a():\n    assert 1\n\n\nclass TestB:\n    def test_c(self):\n        assert 2\n"


@pytest.mark.parametrize(
    ("old", "new", "names"),
    [
        (b"assert 1", b"assert 3", ("test_a",)),
        (b"assert 2", b"assert 3", ("TestB::test_c",)),
        (b"class TestB", b"X = 1\n\n\nclass TestB", ("test_a", "TestB::test_c")),
        (b"assert 1", b"assert  1  # one", ()),
        (b"class TestB:", b"class TestB(X):", ("test_a", "TestB::test_c")),
    ],
)
def test_the_changed_tests_are_named(old, new, names):
    assert changed_tests(TESTS, TESTS.replace(old, new)) == names


@pytest.mark.parametrize(
    "data",
    [
        b"if True:\n    def test_a():\n        assert 1\n",
        b"class A:\n    class TestB:\n        def test_c(self): pass\n",
        b"from shared import *\n",
        b"def (\n",
        DEEP,
        LONG_NUMBER,
    ],
)
def test_tests_that_no_name_tells_may_have_changed(data):
    assert changed_tests(None, data) is None


@pytest.mark.parametrize("data", [DEEP, LONG_NUMBER])
def test_definitions_are_counted_in_deep_code(data):
    module = parsed(data + b"def test_a():\n    " + data + b"def f(): pass\n")
    assert module is not None
    assert definitions(module) == (1, 1)


def test_property_tests_are_known_under_decorators_of_any_depth():
    deep = b"@a" + b".b" * 700 + b"\n"
    given = b"@given(x)\ndef test_a(): pass\n@h.given(x)\ndef test_b(): pass\n"
    assert property_tests(given + deep + b"def test_c(): pass\n") == ("test_a", "test_b")
    assert property_tests(b"def (") == ()
