"""A script's missing names are found without running it."""

from __future__ import annotations

import pytest

from regreen.tasks.tell.names import unbound


@pytest.mark.parametrize(
    ("code", "missing"),
    [
        ("import a.b\na.b.c(len([1]))", set()),
        ("from a import b as c\nassert c(b)", {"b"}),
        ("def f(x, *rest, k=1):\n    return x + k + g\nf(1)", {"g"}),
        ("g = 1\ndef f():\n    return g", set()),
        ("class A:\n    n = 1\n    m = n\n    def f(self):\n        return n", {"n"}),
        ("[x for x in range(3) if y]", {"y"}),
        ("def f():\n    inner = 1\nassert inner", {"inner"}),
        ("def f():\n    global late\n    late = 1\nf()\nassert late", set()),
        ("try:\n    1\nexcept KeyError as e:\n    print(e)", set()),
        ("with open(p) as handle:\n    handle.read()", {"p"}),
        ("for i in range(2):\n    logger.info(i)", {"logger"}),
        ("f = lambda x: x + z", {"z"}),
        ("if (n := 3) > 2:\n    print(n)", set()),
        ("from bag import *\nassert take(1)", set()),
        ("assert __name__ and __import__", set()),
        ("return wrong", {"return", "wrong"}),
        ("await one()", {"await", "one"}),
        ("one two", {"one", "two"}),
    ],
)
def test_missing_names(code: str, missing: set[str]) -> None:
    assert unbound(code) == missing


def test_nothing_is_run() -> None:
    assert unbound("raise SystemExit(1)") == set()
