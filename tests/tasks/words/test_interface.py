"""Signatures of what hidden tests need: what is new and used, and nothing more."""

from __future__ import annotations

import textwrap

import pytest

from regreen.tasks.words.interface import interface

BEFORE = """
LIMIT = 3
def take(items, n=1):
    return items[:n]
class Bag:
    def add(self, item): ...
"""
AFTER = '''
LIMIT = 3
DEPTH = 4
def take(items, n=1, *, default=None):
    return items[:n]
def drop(items: list[int], n: int = 1) -> list[int]:
    """Leave out the first items.

    Long explanation.
    """
    return items[n:]
async def fetch(): ...
class Bag:
    def add(self, item): ...
    def size(self): return 1
    def index(self, item): ...
class Box(Bag):
    """A bag
    of two lines."""
    def __init__(self, depth=DEPTH): self.depth = depth
    @property
    def full(self): return True
    def secret(self): ...
'''


def shown(tests: str, before: str = BEFORE, after: str = AFTER) -> str:
    return interface(
        {"src/bag/core.py": before},
        {"src/bag/core.py": after},
        [textwrap.dedent(tests)],
        root="src",
    )


@pytest.mark.parametrize(
    ("tests", "lines"),
    [
        ("from bag.core import take\ntake([])", ""),
        (
            "from bag import drop",
            "# bag\ndef drop(items: list[int], n: int=1) -> list[int]: ..."
            "  # Leave out the first items.",
        ),
        ("import bag.core\nbag.core.fetch()", "# bag.core\nasync def fetch(): ..."),
        ("from bag.core import DEPTH", "# bag.core\nDEPTH = ..."),
        (
            "from bag.core import take\ntake([], default=3)",
            "# bag.core\ndef take(items, n=1, *, default=None): ...",
        ),
        (
            "from bag.core import Bag\nBag().size()",
            "# bag.core\nclass Bag:\n    def size(self): ...",
        ),
        ("[].index(1)", ""),
        (
            "from bag.core import Bag\nBag().index(1)",
            "# bag.core\nclass Bag:\n    def index(self, item): ...",
        ),
        (
            "from bag.core import Box\nassert Box().full",
            "# bag.core\nclass Box(Bag):\n    def __init__(self, depth=DEPTH): ...\n"
            "    @property\n    def full(self): ...",
        ),
        ("def broken(:", ""),
    ],
)
def test_what_is_new_and_used_is_shown(tests: str, lines: str) -> None:
    assert shown(tests) == lines


def test_no_body_and_no_value_is_shown() -> None:
    text = shown("from bag.core import *\nDEPTH; drop; Box; fetch\nBox().secret()")
    assert "return" not in text
    assert "4" not in text


def test_a_long_default_is_left_out() -> None:
    after = f"TABLE = 1\ndef f(a={'x' * 3!r}, b={'y' * 60!r}): ..."
    assert shown("from bag.core import f", "", after) == "# bag.core\ndef f(a='xxx', b=...): ..."


def test_a_base_that_this_python_cannot_read_is_searched_for_names() -> None:
    old = BEFORE + "\nprint 'old'\ndef drop(x): pass"
    assert shown("from bag.core import drop, take", old) == ""
    assert "class Box" in shown("from bag.core import Box", old)


def test_definitions_under_conditions_count() -> None:
    after = "try:\n    import x\nexcept ImportError:\n    def f(): ...\nelse:\n    def g(a): ..."
    text = shown("from bag.core import f, g", "", after)
    assert text == "# bag.core\ndef f(): ...\n\ndef g(a): ..."


def test_a_new_module_is_all_new() -> None:
    assert interface({}, {"bag.py": "def f(): ..."}, ["import bag\nbag.f()"]) == (
        "# bag\ndef f(): ..."
    )


def test_a_name_that_another_module_only_binds_is_shown_once() -> None:
    after = {"bag/core.py": "def f(a): ...", "bag/curried.py": "f = curry(core.f)"}
    assert interface({}, after, ["from bag.core import f"]) == "# bag.core\ndef f(a): ..."
