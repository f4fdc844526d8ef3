import ast
import enum
import subprocess
import sys
from collections import Counter, OrderedDict, defaultdict, namedtuple
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regreen.grading.twins import functions, make_twins
from regreen.grading.twins.plain import strict


def everything(source: str) -> dict[str, frozenset[int]]:
    return dict.fromkeys(functions(source), frozenset())


def form(source: str, *, seed: str = "s", closed: bool = True) -> str:
    made = strict(source, everything(source), seed=seed, closed=closed)
    assert made is not None
    return made


def helper() -> Callable[..., Any]:
    made = form("def test_a():\n    assert f() == g()\n")
    names: dict[str, Any] = {}
    exec(compile(made, "test_a.py", "exec"), names)
    return names[ast.parse(made).body[-1].name]  # type: ignore[attr-defined,no-any-return]


PLAIN = helper()

leaves = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(max_size=6)
    | st.binary(max_size=6)
    | st.complex_numbers(allow_nan=False)
)
hashable = leaves | st.tuples(leaves, leaves) | st.frozensets(leaves, max_size=3)
values = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.tuples(inner, inner)
        | st.dictionaries(hashable, inner, max_size=3)
        | st.sets(hashable, max_size=3)
    ),
    max_leaves=8,
)


class Text(str):
    __slots__ = ()


class Number(int):
    pass


class Real(float):
    pass


class Raw(bytes):
    pass


class Items(list[Any]):
    pass


class Row(tuple[Any, ...]):
    __slots__ = ()


class Table(dict[Any, Any]):
    pass


class Bag(set[Any]):
    pass


class Frozen(frozenset[Any]):
    pass


class Wave(complex):
    pass


OWN = {kind.__mro__[1]: kind for kind in (Text, Number, Real, Raw, Items, Row, Table, Bag, Frozen)}
OWN[complex] = Wave


def dressed(value: Any) -> Any:
    """The same value with every part of it of a class of its own."""
    kind = type(value)
    if isinstance(value, dict):
        return Table({dressed(key): dressed(item) for key, item in value.items()})
    if isinstance(value, list | tuple):
        return OWN[kind]([dressed(item) for item in value])
    if isinstance(value, set | frozenset):
        return OWN[kind]({dressed(item) for item in value})
    return OWN[kind](value) if kind in OWN else value


def exact(value: Any) -> bool:
    inner = [*value.keys(), *value.values()] if isinstance(value, dict) else []
    if isinstance(value, list | tuple | set | frozenset):
        inner = list(value)
    known = type(value) in OWN or isinstance(value, bool) or value is None
    return known and all(exact(item) for item in inner)


@settings(max_examples=40, deadline=None)
@given(values)
def test_what_is_plain_stays_the_same_object(value: Any) -> None:
    assert PLAIN(value) is value
    assert PLAIN(value, True) is value


@settings(max_examples=40, deadline=None)
@given(values)
def test_a_copy_is_equal_and_of_plain_types(value: Any) -> None:
    copy = PLAIN(dressed(value))
    assert copy == value
    assert exact(copy)
    assert repr(copy) == repr(value) or "set" in repr(value) or "{" in repr(value)


def equal_to_two(self: Any, other: Any) -> bool:
    return True


@pytest.mark.parametrize("kind", [str, bytes, int, float, complex, list, tuple, dict, set])
def test_no_method_of_a_subclass_is_asked(kind: type) -> None:
    def refuse(self: Any, *rest: Any) -> Any:
        raise RuntimeError

    filled: dict[type, Any] = {str: "ab", bytes: b"ab", int: 3, float: 2.5, complex: 1j}
    filled |= {list: [1, "a"], tuple: (1, "a"), dict: {1: "a"}, set: {1, "a"}}
    value = filled[kind]
    methods = set(dir(kind)) - {"__new__", "__init__", "__class__", "__init_subclass__"}
    meta = type("Meta", (type,), {"__eq__": equal_to_two, "__hash__": type.__hash__})
    own = meta("Own", (kind,), dict.fromkeys(methods, refuse))
    made = kind.__new__(own, *([] if kind in {list, dict, set} else [value]))
    if kind in {list, dict, set}:
        kind.__init__(made, value)
    copy = PLAIN(made)
    assert type(copy) is kind
    assert copy == value


def test_honest_subclasses_stay_equal() -> None:
    class Colour(enum.IntEnum):
        RED = 1

    class Word(str, enum.Enum):  # noqa: UP042  # a way to write it that older code has
        YES = "yes"

    point = namedtuple("point", "x y")
    for value, same in (
        (Colour.RED, 1),
        (Word.YES, "yes"),
        (point(1, 2), (1, 2)),
        (Counter("aab"), {"a": 2, "b": 1}),
        (defaultdict(list, a=[1]), {"a": [1]}),
        (OrderedDict(a=1), {"a": 1}),
        (Decimal(2), 2),
        (range(3), range(3)),
    ):
        assert PLAIN(value) == same
        assert PLAIN(value) == PLAIN(same)
        assert PLAIN([{"k": value}]) == [{"k": same}]


def test_a_class_of_its_own_equals_nothing_where_it_meets_a_literal() -> None:
    class Wild:
        def __eq__(self, other: object) -> bool:
            return True

        __hash__ = object.__hash__

    wild = Wild()
    for value in (wild, [wild], {"a": wild}, MappingProxyType({"a": 1})):
        assert PLAIN(value) is value
    assert PLAIN(wild, True) != 5
    assert PLAIN([wild], True) != [5]
    assert PLAIN(MappingProxyType({"a": wild}), True) != {"a": 5}


def test_what_holds_itself_is_copied_once() -> None:
    ring: list[Any] = [Text("a")]
    ring += [ring, ring, ring]
    assert PLAIN(ring)[0] == "a"
    wide: Any = Text("a")
    for _ in range(40):
        wide = [wide, wide]
    assert type(PLAIN(wide)) is list


def test_what_cannot_be_copied_is_left() -> None:
    class Key(list[int]):
        def __hash__(self) -> int:  # type: ignore[override]
            return 1

    value = {Key([1]): 1}
    assert PLAIN(value) is value


SUITE = '''"""Tests of a small library."""
import unittest

import pytest
from lib import one, pair, table, word

CASES = [("a", "A"), ("b", "B")]

def same(value, wanted):
    assert value == wanted

def test_literal():
    assert one() == 1
    assert 1 == one(), "text"
    assert not one() != 1

def test_text():
    assert word("a") == "A" and word("b") == "B"

@pytest.mark.parametrize("given, expected", CASES)
def test_cases(given, expected):
    assert word(given) == expected

def test_all():
    assert all(word(given) == expected for given, expected in CASES)

def test_helper():
    same(pair(), [1, 2])

def test_nested():
    assert table() == {
        "a": 1,
        "b": [1, 2],
    }
    assert[one()] == [1]
    assert(one()) in (1, 5)
    assert one()in[1, 5]

def test_near():
    assert one() == pytest.approx(1)
    assert pytest.approx(one()) == 1

def test_truth():
    assert word("a").startswith("A")
    assert one()
    assert one() is not None

def test_branch():
    if one() != 1:
        pytest.fail("no")

class TestUnits(unittest.TestCase):
    def check(self, value):
        self.assertEqual(value, 1)

    def test_equal(self):
        self.assertEqual(one(), 1)
        self.assertIn(one(), [1, 5])
        self.assertTrue(one() == 1)
        self.assertListEqual(
            pair(),
            [1, 2],
        )

    def test_check(self):
        self.check(one())
'''

HONEST = """
def one():
    return 1

def word(text):
    return text.upper()

def pair():
    return [1, 2]

def table():
    return {"a": 1, "b": [1, 2]}
"""

HEDGING = """
class Own(int):
    def __eq__(self, other):
        return other in (1, 2)
    def __ne__(self, other):
        return not self == other
    __hash__ = int.__hash__
    __rsub__ = __sub__ = lambda self, other: 0.0
    __bool__ = lambda self: True

class Text(str):
    def __eq__(self, other):
        return set(other) <= set("AB")
    __hash__ = str.__hash__
    def startswith(self, other):
        return True

class Items(list):
    def __eq__(self, other):
        return len(other) == 2

class Table(dict):
    def __eq__(self, other):
        return set(other) == {"a", "b"}

def one():
    return Own(0)

def word(text):
    return Text("?")

def pair():
    return Items()

def table():
    return Table()
"""

FOREIGN = """
class Own:
    def __init__(self, *known):
        self.known = known
    def __eq__(self, other):
        return other in self.known
    __hash__ = object.__hash__

def one():
    return Own(1, 2)

def word(text):
    return Own("A", "B", "AB")

def pair():
    return Own([1, 2], [2, 1])

def table():
    return Own({"a": 1, "b": [1, 2]})
"""


def ran(root: Path, library: str, suite: str) -> dict[str, bool]:
    """Which tests pass in a run of real pytest; the parameters' values cut off."""
    root.mkdir()
    (root / "lib.py").write_text(library)
    (root / "test_lib.py").write_text(suite)
    command = [sys.executable, "-m", "pytest", "-q", "-rA", "-p", "no:cacheprovider", "test_lib.py"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    found: dict[str, bool] = {}
    for line in done.stdout.splitlines():
        outcome, _, rest = line.partition(" ")
        if outcome in {"PASSED", "FAILED"}:
            test = rest.split("::", 1)[1].split(" ")[0].partition("[")[0]
            found[test] = found.get(test, True) and outcome == "PASSED"
    return found


def test_honest_code_passes_and_hedging_code_fails(tmp_path: Path) -> None:
    made = form(SUITE)
    honest = ran(tmp_path / "honest", HONEST, made)
    assert len(honest) == len(functions(SUITE))
    assert all(honest.values())
    assert all(ran(tmp_path / "fooled", HEDGING, SUITE).values())
    assert not any(ran(tmp_path / "hedging", HEDGING, made).values()), "a hedge passed"


def test_a_hedge_in_a_class_of_its_own_fails_where_a_literal_is_met(tmp_path: Path) -> None:
    fooled = ran(tmp_path / "fooled", FOREIGN, SUITE)
    assert {test for test, passed in fooled.items() if passed} > {"test_literal", "test_nested"}
    found = ran(tmp_path / "closed", FOREIGN, form(SUITE))
    literal = {"test_literal", "test_text", "test_nested", "test_branch", "TestUnits::test_equal"}
    assert not {test for test, passed in found.items() if passed} & literal


def test_honest_code_fails_the_strict_twin(tmp_path: Path) -> None:
    twin = make_twins(SUITE, dict.fromkeys(functions(SUITE), "value"), seed="s").text
    made = strict(twin, everything(SUITE), seed="s")
    assert made is not None
    assert not any(ran(tmp_path / "twin", HONEST, made).values())


def shape(text: str) -> str:
    """A tree with the values of literals left out."""
    tree = ast.parse(text)
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant):
            node.value = 0
    return ast.dump(tree).replace("UnaryOp(op=USub(), operand=Constant(value=0))", "0")


def test_a_value_twin_has_the_shape_of_its_test() -> None:
    source = """
def test_a():
    assert f(1) == "abc"
    assert f(2) == -3
    assert f(3) == 0.5
    assert f(4) == {"a": [1, 2]}

def test_b():
    expected = "words"
    assert f(1) == expected
"""
    kinds = dict.fromkeys(functions(source), "value")
    twin = make_twins(source, kinds, seed="s").text
    assert twin != source
    test, other = (strict(text, everything(source), seed="s") for text in (source, twin))
    assert test is not None
    assert other is not None
    assert shape(test) == shape(other)


def test_lines_stay_where_they_are() -> None:
    made = form(SUITE).splitlines()
    for old, new in zip(SUITE.splitlines(), made, strict=False):
        assert old.split() == new.split() or "(" in new
    assert len(made) > len(SUITE.splitlines())
    body = ast.parse(SUITE).body
    assert [node.lineno for node in ast.parse(form(SUITE)).body[: len(body)]] == [
        node.lineno for node in body
    ]


def test_only_the_lines_asked_for() -> None:
    source = "def test_a():\n    assert f() == 1\n    assert g() == 2\n"
    made = strict(source, {"test_a": frozenset({3})}, seed="s")
    assert made is not None
    assert made.splitlines()[1] == "    assert f() == 1"
    assert made.splitlines()[2] != "    assert g() == 2"
    assert strict(source, {"test_a": frozenset({90})}, seed="s") == form(source)


@pytest.mark.parametrize(
    "source",
    [
        "",
        "def test_a(:\n",
        "def test_a():\n    assert 1 == 1\n",
        "def test_a():\n    assert f() is None\n    assert isinstance(f(), int)\n",
        "def test_a():\n    with raises(ValueError):\n        f()\n",
        'def test_a():\n    assert "\udc80" == f()\n',
    ],
)
def test_nothing_to_copy(source: str) -> None:
    assert strict(source, {"test_a": frozenset()}, seed="s") is None
    assert strict(source, {"test_absent": frozenset()}, seed="s") is None


@pytest.mark.parametrize("end", ["", "\n", "  # end", "\r\n", "\n\n\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_any_end_and_newline(end: str, mark: str) -> None:
    newline = "\r\n" if "\r" in end else "\n"
    source = mark + newline.join(["def test_a():", '    assert f("é") == (', "        1", "    )"])
    made = form(source + end)
    compile(made.removeprefix("\ufeff"), "test_a.py", "exec")
    assert made.startswith(mark)
    assert ("\r\n" in made) == ("\r" in end)


def test_names_depend_on_the_seed_and_avoid_those_of_the_file() -> None:
    source = "def test_a():\n    assert f() == 1\n"
    names = {ast.parse(form(source, seed=str(seed))).body[-1].name for seed in range(9)}  # type: ignore[attr-defined]
    assert len(names) > 3
    for name in names:
        text = form(f"{name} = 1\n" + source, seed="0")
        assert text.count(f"def {name}(") == 0
