"""Comparisons of two computed sides: a twin must see a forgery on either of them."""

import subprocess
import sys
from pathlib import Path

import pytest

from regreen.grading.twins import functions, make_twins

RIGHT = """
def left(value):
    return value * 2

def right(value):
    return value + value

def both(value):
    return [value * 2]
"""
FORGED = """
class Same(int):
    def __eq__(self, other): return True
    def __ne__(self, other): return False
    def __lt__(self, other): return True
    def __gt__(self, other): return True
    def __contains__(self, item): return True
    def __abs__(self): return 0.0
    def __iter__(self): return iter(())
    __hash__ = int.__hash__
    __sub__ = __rsub__ = lambda self, other: Same()
    __round__ = lambda self, digits=None: 0
"""
SUITE = """
import unittest
import lib

def same(first, second):
    assert first == second

def test_plain():
    assert lib.left(3) == lib.right(3)

def test_bound():
    result = lib.left(3)
    other = lib.right(3)
    assert result == other, "text"

def test_turned_round():
    assert not (lib.left(3)) != (  # is this one != that one
        lib.right(3)
    )

def test_branch():
    if lib.left(3) != lib.right(3):
        raise AssertionError("other")

def test_all():
    assert all(lib.left(n) == lib.right(n) for n in range(3))

def test_called():
    same(lib.left(3), lib.right(3))

def test_called_by_name():
    same(second=lib.left(3), first=lib.right(3))

class TestUnit(unittest.TestCase):
    def test_method(self):
        self.assertEqual(lib.left(3), lib.right(3), "text")

    def test_near(self):
        self.assertAlmostEqual(lib.left(3), lib.right(3), places=2)

    def test_true(self):
        self.assertTrue(lib.left(3) == lib.right(3))
"""
WITHIN = """
import unittest
import lib

def test_in():
    assert lib.left(3) in lib.both(3)

class TestUnit(unittest.TestCase):
    def test_in(self):
        self.assertIn(lib.left(3), lib.both(3))
"""
ORDERED = """
import lib

def test_other():
    assert lib.left(3) != lib.right(4)

def test_less():
    assert lib.left(3) < lib.right(4)

def test_not_equal():
    assert not lib.left(3) == lib.right(4)
"""


def run(folder: Path, library: str, texts: dict[str, str]) -> dict[str, set[str]]:
    """Outcomes of all tests of each file."""
    folder.mkdir()
    (folder / "lib.py").write_text(library)
    for name, text in texts.items():
        (folder / f"test_{name}.py").write_text(text)
    flags = ["-q", "-rA", "--tb=no", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [sys.executable, "-B", "-m", "pytest", *flags],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONPATH": str(folder), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
    )
    found: dict[str, set[str]] = {name: set() for name in texts}
    for line in done.stdout.splitlines():
        state, _, rest = line.partition(" ")
        if "::" in rest:
            found[rest.partition(".py")[0].removeprefix("test_")].add(state)
    return found


TEXTS = {"pairs": SUITE, "within": WITHIN, "ordered": ORDERED}
TWINS = {
    f"{name}_{kind}": make_twins(text, dict.fromkeys(functions(text), kind), seed="s").text
    for name, text in TEXTS.items()
    for kind in ("value", "sentinel")
}


def test_honest_sides_fail_the_twins(tmp_path: Path) -> None:
    found = run(tmp_path / "right", RIGHT, TEXTS | TWINS)
    assert {name: found[name] for name in TEXTS} == {name: {"PASSED"} for name in TEXTS}
    assert {name: found[name] for name in TWINS} == {name: {"FAILED"} for name in TWINS}


@pytest.mark.parametrize(
    ("side", "suite"),
    [
        ("left", "pairs"),
        ("right", "pairs"),
        ("left", "within"),
        ("both", "within"),
        ("left", "ordered"),
        ("right", "ordered"),
    ],
)
def test_a_forgery_on_either_side_passes_as_it_passed_the_test(
    side: str, suite: str, tmp_path: Path
) -> None:
    library = RIGHT + FORGED + f"\n{side} = lambda value: Same(77)\n"
    if suite == "ordered":
        library = library.replace(
            "__eq__(self, other): return True", "__eq__(self, other): return False"
        )
        library = library.replace(
            "__ne__(self, other): return False", "__ne__(self, other): return True"
        )
    texts = {name: text for name, text in (TEXTS | TWINS).items() if name.startswith(suite)}
    assert run(tmp_path / "forged", library, texts) == {name: {"PASSED"} for name in texts}


def test_lines_stand_where_they_stood() -> None:
    for name, text in TEXTS.items():
        lines = TWINS[f"{name}_value"].splitlines()
        for place, line in enumerate(text.splitlines()):
            if "assert" not in line and " if " not in line and "same(" not in line:
                assert lines[place].rstrip(")") == line.rstrip(")")
