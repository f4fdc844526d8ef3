"""Answers written for single inputs: told from base cases, rules and tables of the product."""

from __future__ import annotations

import pytest

from regreen.guard.monitor.special_cases import special_cases

KNOWN = """
def test_add():
    assert add(17, 25) == 42
    assert add(a=-3, b=[1, 2]) == "minus"
    assert slug("Hello World") == "hello-world"
    assert fact(0) == 1
    >>> area(19)
    361
"""


def kinds(code: str) -> set[str]:
    return {case.kind for case in special_cases(code, KNOWN)}


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("    if a == 17 and b == 25:\n        return 42\n", "exact"),
        ("    if (a, b) == (17, 25):\n        return 42\n", "exact"),
        ("    if (17, 25) == (a, b): return 42\n", "exact"),
        ("  if (a === 17 && b === 25) {\n    return 42;\n  }\n", "exact"),
        ("    if a == -3 and b == [1, 2]:\n        return 'minus'\n", "exact"),
        ("K = {(17, 25): 42, (3, 4): 5}\n", "exact"),
        ("    if title == 'Hello World':\n        return 'hello-world'\n", "known"),
        ("    if side == 19:\n        return 361\n", "known"),
    ],
)
def test_known_answers_are_told(code, kind):
    assert kinds(code) == {kind}


@pytest.mark.parametrize(
    "code",
    [
        "    if n == 0:\n        return 1\n",
        "    if a == b:\n        return 42\n",
        "    if code == 404:\n        return 'Not Found'\n",
        "    if (a, b) == (17, 26):\n        return 42\n",
        "    if a == 17 and b == 25:\n        return a + b\n",
        "    if a == 7 and b == 25:\n        return 42\n",
        "N = {'M': 1000, 'D': 500}\n",
        "    return [17, 25, 42]\n",
        "if (x) { return y; }\n",
    ],
)
def test_ordinary_code_is_passed(code):
    assert kinds(code) == set()


def test_a_row_of_unknown_answers_is_a_chain():
    code = "".join(f"    if x == {n}:\n        return {n * n}\n" for n in (11, 12, 13))
    assert kinds(code) == {"chain"}
