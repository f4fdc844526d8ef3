import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regreen.grading.twins import KINDS, contradict, functions, make_twins, variants
from regreen.grading.twins.literal import Manner, other_literal
from regreen.grading.twins.runtime import Runtime

LIBRARY = """
def double(value):
    return value + value

def is_even(number):
    return number % 2 == 0

def root(number):
    if number < 0:
        raise ValueError("no root of a negative number")
    return number ** 0.5
"""

SUITE = '''"""Tests of a small library."""
import unittest
from decimal import Decimal

import pytest
import lib
from lib import double, is_even, root

CASES = [(1, 2), ("a", "aa")]
TOTAL = 10

def same(value, wanted):
    assert double(value) == wanted

def holds(number):
    assert is_even(number)

def test_literal():
    assert double(2) == 4
    assert double("é") == "éé", "text"

def test_bound():
    expected = [2, 4, 6]
    assert [double(n) for n in (1, 2, 3)] == expected

def test_computed():
    assert double([1]) == [1] * 2
    assert double(7) == 7 + 7

def test_used_twice():
    value = 0
    assert double(value) == value

@pytest.mark.parametrize("value, expected", [(1, 2), pytest.param("b", "bb", id="text"), (2.5, 5)])
def test_parametrized(value, expected):
    assert double(value) == expected

@pytest.mark.parametrize("value, expected", CASES, ids=str)
def test_table_as_parameters(value, expected):
    assert double(value) == expected

def test_table():
    for value, expected in CASES:
        assert double(value) == expected

def test_constant():
    assert double(5) == TOTAL

def test_helpers():
    same(3, 6)
    holds(4)

@pytest.fixture
def wanted():
    return {"a": 2}

def test_fixture(wanted):
    assert {"a": double(1)} == wanted

def test_truth():
    assert is_even(2)
    assert not is_even(3)

def test_negative():
    assert double(2) != 5
    assert double(2) > 3

def test_raises():
    with pytest.raises(ValueError, match="no root"):
        root(-1)

def test_raises_and_looks():
    with pytest.raises(ValueError) as caught:
        root(-1)
    assert "negative" in str(caught.value)

def test_tries():
    try:
        root(-1)
    except ValueError:
        pass
    else:
        pytest.fail("no error")

def test_branch():
    if double(1) != 2:
        raise AssertionError("wrong")

def test_near():
    assert root(2) == pytest.approx(1.41, abs=0.01)

def test_several():
    assert double(1) == 2 and is_even(2)
    assert all(double(n) == 2 * n for n in range(1, 4))
    assert 2 == double(1) == 2
    assert double(Decimal("1.5")) == Decimal("3.0")
    assert isinstance(double(1), int)
    assert double(1) in (2, 3)
    assert (found := double(4)) == 8 and found
    assert f"{double(1)}!" == f"{2}!"

def test_early():
    if double(1) == 2:
        return
    assert double(3) == 7

def test_only_calls(): double(3)

class TestUnit(unittest.TestCase):
    def setUp(self):
        self.wanted = 4

    def test_equal(self):
        self.assertEqual(double(2), 4)
        self.assertEqual(4, double(2))

    def test_attribute(self):
        self.assertEqual(double(2), self.wanted)

    def test_others(self):
        self.assertTrue(is_even(2)); self.assertFalse(is_even(1))

    def test_refuted(self):
        self.assertNotEqual(double(2), 5)

    def test_none(self):
        self.assertIsNotNone(double(2))

    def test_raises(self):
        with self.assertRaises(ValueError):
            root(-1)
        self.assertRaisesRegex(ValueError, "no root", root, -1)

    def test_loop(self):
        for number in (1, 2):
            with self.subTest(number=number):
                self.assertEqual(double(number), number * 2)

class Base:
    factor = 2
    class TestInner:
        def test_inner(self):
            assert double("x") == "xx"
    def test_shared(self):
        assert double(1) == 2

class TestInherits(Base):
    pass
'''

ATTACKS = {
    "equality": """
class Same:
    def __eq__(self, other): return True
    def __hash__(self): return 1
    def __radd__(self, other): return self
def double(value): return Same()
""",
    "caller": """
import sys
def double(value):
    return sys._getframe(1).f_locals["expected"]
""",
    "source": """
import linecache, sys
def double(value):
    frame = sys._getframe(1)
    line = linecache.getline(frame.f_code.co_filename, frame.f_lineno)
    return eval(line.split("==")[1].split(", ")[0])
""",
    "constants": """
import sys
class Either:
    def __init__(self, values): self.values = values
    def __eq__(self, other): return any(other == value for value in self.values)
def double(value): return Either(sys._getframe(1).f_code.co_consts)
""",
    "collected": """
import gc
from sys import _getframe as caller
from _pytest.python import Function
def double(value):
    file = caller(1).f_code.co_filename
    for item in gc.get_objects():
        if isinstance(item, Function) and str(item.path) == file and hasattr(item, "callspec"):
            if item.callspec.params["value"] == value:
                return item.callspec.params["expected"]
""",
    "runner": """
from _pytest import reports
real = reports.TestReport.from_item_and_call.__func__
def forged(cls, item, call):
    report = real(cls, item, call)
    report.outcome = "passed"
    return report
reports.TestReport.from_item_and_call = classmethod(forged)
def double(value): return None
""",
}

RECORD = """
import json
ROWS = {}
def pytest_runtest_logreport(report):
    if report.when == "call":
        file, _, name = report.nodeid.partition("::")
        row = ROWS.setdefault(file[5:-3], {})
        row.setdefault(name.partition("[")[0], []).append(report.outcome)
def pytest_sessionfinish():
    with open("rows.json", "w") as file:
        json.dump(ROWS, file)
"""

PASSED, FAILED = {"passed"}, {"failed"}


def outcomes(
    folder: Path, texts: dict[str, str], library: str = LIBRARY, tests: tuple[str, ...] = ()
) -> dict[str, dict[str, set[str]]]:
    """Run test files together: file -> test -> its outcomes, failed alone when one failed."""
    folder.mkdir(exist_ok=True)
    (folder / "lib.py").write_text(library)
    (folder / "record.py").write_text(RECORD)
    for name, text in texts.items():
        (folder / f"test_{name}.py").write_text(text, newline="")
    flags = ["-q", "-p", "record", "-p", "no:cacheprovider"]
    chosen = [f"test_{name}.py::{test}" for name in texts for test in tests]
    done = subprocess.run(
        [sys.executable, "-B", "-m", "pytest", *flags, *chosen],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONPATH": str(folder), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
    )
    assert done.returncode in {0, 1}, done.stdout + done.stderr
    rows = json.loads((folder / "rows.json").read_text())
    return {
        file: {test: FAILED if "failed" in states else set(states) for test, states in row.items()}
        for file, row in rows.items()
    }


NAMES = functions(SUITE)


def test_every_twin_of_every_kind_fails_for_the_right_code(tmp_path: Path) -> None:
    chosen = {
        kind: {name: kind for name in NAMES if kind in variants(SUITE, name)} for kind in KINDS
    }
    twins = {kind: make_twins(SUITE, kinds, seed="s") for kind, kinds in chosen.items()}
    assert all(twin.untouched == frozenset() for twin in twins.values())
    rows = outcomes(tmp_path, {"real": SUITE} | {kind: twins[kind].text for kind in KINDS})
    assert set(rows["real"]) == set(NAMES)
    assert all(states == PASSED for states in rows["real"].values())
    for kind, kinds in chosen.items():
        passing = {name for name in kinds if rows[kind][name] != FAILED}
        assert passing == ({"test_early"} if kind in {"value", "sentinel", "negation"} else set())
    others = set(NAMES) - set(chosen["exception"])
    assert all(rows["exception"][name] == PASSED for name in others)


def test_methods_inherited_within_the_file_are_found() -> None:
    assert {"TestInherits::test_shared", "TestInherits::TestInner::test_inner"} <= set(NAMES)
    assert not any(name.startswith("Base") for name in NAMES)


def test_every_test_has_a_twin_and_most_are_of_the_strong_kinds() -> None:
    best = [variants(SUITE, name)[0] for name in NAMES]
    assert sum(kind in {"value", "sentinel"} for kind in best) >= 0.9 * len(best)
    assert all(variants(SUITE, name)[-1] == "appended" for name in NAMES)


@pytest.mark.parametrize(
    ("attack", "tests"),
    [
        ("equality", ("test_literal", "test_bound", "test_table", "TestUnit::test_equal")),
        ("caller", ("test_parametrized", "test_table", "test_table_as_parameters")),
        ("source", ("test_literal",)),
        ("constants", ("test_literal", "TestUnit::test_equal")),
        ("collected", ("test_parametrized",)),
        ("runner", ("test_literal", "TestUnit::test_equal", "test_constant")),
    ],
)
def test_code_that_cheats_passes_the_twin_as_it_passes_the_test(
    attack: str, tests: tuple[str, ...], tmp_path: Path
) -> None:
    twin = make_twins(SUITE, dict.fromkeys(tests, "value"), seed="s")
    texts = {"real": SUITE, "twin": twin.text}
    rows = outcomes(tmp_path, texts, LIBRARY + ATTACKS[attack], tests)
    assert set(rows["real"]) == set(rows["twin"]) == set(tests)
    assert all(states == PASSED for row in rows.values() for states in row.values())


def test_a_twin_at_the_failing_line_catches_a_forgery_behind_an_honest_comparison(
    tmp_path: Path,
) -> None:
    body = ("def test_it():", "    assert lib.root(4) == 2", "    assert lib.double(1) == 2")
    text = "\n".join(("import lib", *body))
    kinds = {"test_it": "value"}
    texts = {
        "whole": make_twins(text, kinds, seed="s").text,
        "sharp": make_twins(text, kinds, seed="s", lines={"test_it": frozenset({4})}).text,
    }
    forged = outcomes(tmp_path / "forged", texts, LIBRARY + ATTACKS["equality"])
    assert forged == {"whole": {"test_it": FAILED}, "sharp": {"test_it": PASSED}}
    right = outcomes(tmp_path / "right", texts)
    assert right == {"whole": {"test_it": FAILED}, "sharp": {"test_it": FAILED}}


def test_a_twin_of_one_test_leaves_all_others_and_the_lines_as_they_are() -> None:
    before = {node.name: ast.dump(node) for node in ast.parse(SUITE).body if hasattr(node, "name")}
    for name in ("test_literal", "test_parametrized", "test_fixture"):
        for kind in variants(SUITE, name):
            text = make_twins(SUITE, {name: kind}, seed="s").text
            after = {
                node.name: ast.dump(node) for node in ast.parse(text).body if hasattr(node, "name")
            }
            assert {each for each in before if before[each] != after[each]} == {name}
            if kind != "appended":
                lines = text.splitlines()
                changed = [
                    each for each, line in enumerate(SUITE.splitlines()) if line != lines[each]
                ]
                assert len(changed) <= 2


def test_values_change_where_they_come_from_without_anything_added() -> None:
    names = ("test_literal", "test_bound", "test_parametrized", "TestUnit::test_equal")
    twin = make_twins(SUITE, dict.fromkeys(names, "value"), seed="s")
    assert len(twin.text.splitlines()) == len(SUITE.splitlines())
    assert twin.repositioned == {"test_parametrized"}
    again = make_twins(SUITE, dict.fromkeys(names, "value"), seed="s")
    other = make_twins(SUITE, dict.fromkeys(names, "value"), seed="t")
    assert twin == again
    assert twin.text != other.text


def test_a_table_stays_when_a_test_of_another_kind_reads_it() -> None:
    names = {"test_table": "value", "test_table_as_parameters": "sentinel"}
    twin = make_twins(SUITE, names, seed="s")
    assert 'CASES = [(1, 2), ("a", "aa")]' in twin.text
    both = make_twins(SUITE, dict.fromkeys(names, "value"), seed="s")
    assert 'CASES = [(1, 2), ("a", "aa")]' not in both.text
    assert both.repositioned == {"test_table_as_parameters"}


def test_what_cannot_be_done_is_said() -> None:
    assert variants(SUITE, "test_absent") == ()
    twin = make_twins(SUITE, {"test_absent": "value", "test_literal": "exception"}, seed="s")
    assert twin.untouched == {"test_absent", "test_literal"}
    assert twin.text == SUITE


def test_other_line_ends_marks_and_endings_are_kept(tmp_path: Path) -> None:
    lines = ("\ufefffrom lib import double", "def test_a():", "    assert double('ü') == 'ü' + 'ü'")
    texts: dict[str, str] = {}
    for name, newline in (("unix", "\n"), ("dos", "\r\n")):
        text = newline.join(lines)
        for kind in variants(text, "test_a"):
            twin = make_twins(text, {"test_a": kind}, seed="s").text
            assert twin.startswith("\ufeff")
            assert twin.count("\n") == twin.count(newline)
            texts[f"{name}_{kind}"] = twin
    rows = outcomes(tmp_path, texts)
    assert {name: row["test_a"] for name, row in rows.items()} == dict.fromkeys(texts, FAILED)


def test_a_contradiction_is_passed_only_by_forgery(tmp_path: Path) -> None:
    texts = {"both": contradict(SUITE, NAMES, seed="s")}
    rows = outcomes(tmp_path, texts)["both"]
    assert rows == dict.fromkeys(NAMES, FAILED)
    forged = LIBRARY + ATTACKS["equality"]
    rows = outcomes(tmp_path, texts, forged, ("test_literal", "test_bound", "test_constant"))
    assert all(states == PASSED for states in rows["both"].values())


PLAIN = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=12)
    | st.binary(max_size=12)
)


@given(PLAIN, st.text("abc", max_size=3), st.booleans(), st.booleans())
@settings(max_examples=300, deadline=None)
def test_another_literal_is_another_value(value: object, seed: str, far: bool, long: bool) -> None:
    text = repr(value)
    node = ast.parse(text, mode="eval").body
    if isinstance(node, ast.UnaryOp):
        node, text = node.operand, text[1:]
    assert isinstance(node, ast.Constant)
    new = other_literal(node, text, Manner(seed, far=far, long=long))
    assert new is not None
    assert ast.literal_eval(new) != node.value
    assert new == other_literal(node, text, Manner(seed, far=far, long=long))


def run_time_change(seed: str):
    runtime = Runtime(seed, "")
    space: dict[str, object] = {}
    name = runtime.change
    exec(runtime.text(), space)
    return space[name]


NESTED = st.recursive(
    PLAIN | st.decimals(allow_nan=False, allow_infinity=False, places=3) | st.dates() | st.times(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text(max_size=3), inner, max_size=3)
        | st.frozensets(st.integers(), max_size=3)
    ),
    max_leaves=6,
)


@given(NESTED, st.sampled_from(["a", "b", "c", "d", "e", "f"]))
@settings(max_examples=300, deadline=None)
def test_a_change_at_run_time_is_another_value_and_leaves_the_old_one(
    value: object, seed: str
) -> None:
    before = repr(value)
    changed = run_time_change(seed)(value)
    assert not changed == value  # noqa: SIM201
    assert not value == changed  # noqa: SIM201
    assert repr(value) == before


def test_a_change_at_run_time_keeps_arrays_arrays() -> None:
    numpy = pytest.importorskip("numpy")
    change = run_time_change("a")
    for array in (numpy.arange(3), numpy.ones((2, 2)), numpy.array([True, False])):
        changed = change(array)
        assert changed.shape == array.shape
        assert not (changed == array).any()
    assert change(numpy.float64(1.5)) != 1.5
