import ast

import pytest

from regreen.core.errors import UsageError
from regreen.tasks.inject.operators import OPERATORS, apply, describe, enumerate_sites, overlaps

SOURCE = """\
def clamp(value, low=0, high=9):
    if value < low and low >= 0:
        return low
    elif value > high:
        return high
    else:
        value = value - low
    return value + 1
"""


def test_sites_change_the_tree_once_each():
    sites = enumerate_sites("a.py", SOURCE)
    texts = [apply(SOURCE, [site]) for site in sites]
    assert len(set(texts)) == len(texts) > 15
    assert all(ast.dump(ast.parse(t)) != ast.dump(ast.parse(SOURCE)) for t in texts)


def test_one_operator_at_a_time():
    sites = enumerate_sites("a.py", SOURCE, operators=["invert_condition"])
    assert {site.operator for site in sites} == {"invert_condition"}
    assert [site.line for site in sites] == [2, 4]
    assert [site.reach for site in sites] == [(2,), (4,)]
    assert "elif value <= high:" in apply(SOURCE, [sites[1]])


def test_unknown_operator_is_refused():
    with pytest.raises(UsageError, match="no fault class named nonsense"):
        enumerate_sites("a.py", SOURCE, operators=["nonsense"])


def test_text_that_is_not_python_is_refused():
    with pytest.raises(UsageError, match="not readable as Python"):
        enumerate_sites("a.py", "def f(:\n")


def test_several_sites_at_once_and_overlap():
    first, second = enumerate_sites("a.py", SOURCE, operators=["invert_condition"])
    assert not overlaps(first, second)
    both = apply(SOURCE, [second, first])
    assert both == apply(apply(SOURCE, [second]), [first])
    with pytest.raises(UsageError, match="cannot be applied together"):
        apply(SOURCE, [first, first])


def test_every_operator_is_described():
    infos = describe()
    assert [info.id for info in infos] == list(OPERATORS)
    assert all(info.summary and info.conditions and info.family for info in infos)


def test_constants_count_as_reached_where_functions_read_them():
    source = """\
import re

__version_info__ = (1, 2)
LIMIT = 10
WORD = re.compile(r"^a+$")
UNUSED = 3


class A:
    size = 4

    def f(self, x):
        if WORD.match(x) and len(x) < LIMIT:
            return x[: self.size]
        return None
"""
    operators = ["change_constant", "wrong_regex", "wrong_text"]
    found = enumerate_sites("a.py", source, operators=operators)
    sites = [s for s in found if s.import_time]
    wanted = {
        ("change_constant", "<module>", 4, (13,)),
        ("wrong_regex", "<module>", 5, (13,)),
        ("change_constant", "A", 10, (14,)),
    }
    assert {(s.operator, s.function, s.line, s.reach) for s in sites} == wanted
