"""Cutting a test file down changes nothing for the tests that stay."""

from __future__ import annotations

import ast

from regreen.grading.slicing import sliced

FILE = '''\
import pytest

TABLE = [(1, 2)]


def helper():
    return test_called()


def test_called():
    return 1


@pytest.mark.parametrize("a", [1,
    2])
def test_gone(a):
    """Text.

    More of it.
    """
    x = """a
  b"""
    assert x


def test_one_line(): assert True


class TestC:
    def setup_method(self):
        self.x = 1

    def test_kept(self):
        assert self.x == 1

    async def test_away(self):
        if True:
            assert False
        # a comment that ends it


@pytest.fixture
def test_client():
    return 1


def test_kept_too(test_client):
    assert TABLE
'''


def test_other_bodies_are_emptied_where_they_stand() -> None:
    cut = sliced(FILE, {"TestC::test_kept", "test_kept_too"})

    old, new = FILE.splitlines(), cut.splitlines()
    assert len(old) == len(new)
    changed = [
        number for number, pair in enumerate(zip(old, new, strict=True), 1) if len(set(pair)) > 1
    ]
    assert changed == [17, 19, 20, 21, 22, 23, 37, 38]
    names = {
        node.name: ast.unparse(node.body[0])
        for node in ast.walk(ast.parse(cut))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    assert names["test_gone"] == names["test_away"] == "pass"
    assert names["test_client"] == names["test_called"] == "return 1"
    assert names["test_kept"] == "assert self.x == 1"


def test_what_cannot_be_cut_stays() -> None:
    assert sliced("def test_a(:\n", {"test_b"}) == "def test_a(:\n"
    text = "def test_a():\n    x = 1\x0c\n    y = 2\n"
    assert ast.parse(sliced(text, {"test_b"}))


def test_a_body_that_begins_with_a_decorator_is_emptied_whole() -> None:
    inner = "    @deco\n    def inner():\n        pass\n    inner()\n"
    text = f"def test_a():\n{inner}\ndef test_b(): pass\n"

    assert sliced(text, {"test_b"}).split("\n")[:3] == ["def test_a():", "    pass", ""]


def test_line_ends_are_kept() -> None:
    text = "def test_a():\r\n    assert 1\r\n    assert 2\r\n\r\ndef test_b():\r\n    assert 3\r\n"

    cut = sliced(text, {"test_b"})

    assert cut == "def test_a():\r\n    pass\r\n\r\n\r\ndef test_b():\r\n    assert 3\r\n"
