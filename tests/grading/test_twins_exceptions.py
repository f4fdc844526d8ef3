"""Twins of tests that expect an exception of the library's own, which the library could forge."""

import subprocess
import sys
from pathlib import Path

import pytest

from regreen.grading.twins import functions, make_twins

LIBRARY = """
class Error(Exception):
    pass

def fail():
    raise Error("bad")
"""
FORGED = {
    "metaclass": """
class Any(type):
    def __subclasscheck__(cls, other): return True
    def __instancecheck__(cls, other): return True
class Error(Exception, metaclass=Any):
    pass
def fail():
    raise KeyError("bad")
""",
    "all at once": """
import builtins
class Error(Exception):
    pass
kinds = [each for each in vars(builtins).values() if isinstance(each, type)]
kinds = [each for each in kinds if issubclass(each, Exception)]
kinds = [k for k in kinds if not any(o is not k and issubclass(o, k) for o in kinds)]
class Group(Error):
    pass
def fail():
    made = Group
    for kind in kinds:
        try: made = type("Made", (made, kind), {})
        except TypeError: pass
    raise made()
""",
}
SUITE = """
import unittest
import pytest
import lib
from lib import Error

def test_name():
    with pytest.raises(Error):
        lib.fail()

def test_attribute():
    with pytest.raises(lib.Error) as caught:
        lib.fail()

class TestUnit(unittest.TestCase):
    def test_method(self):
        self.assertRaises(lib.Error, lib.fail)
"""
TWIN = make_twins(SUITE, dict.fromkeys(functions(SUITE), "exception"), seed="s").text


def states(library: str, text: str, folder: Path) -> set[str]:

    (folder / "lib.py").write_text(library)
    (folder / "test_it.py").write_text(text)
    done = subprocess.run(
        [sys.executable, "-B", "-m", "pytest", "-q", "-rA", "--tb=no", "-p", "no:cacheprovider"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONPATH": str(folder), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
    )
    return {line.split()[0] for line in done.stdout.splitlines() if " test_it.py::" in line}


def test_honest_exceptions_pass_the_test_and_fail_the_twin(tmp_path: Path) -> None:
    assert states(LIBRARY, SUITE, tmp_path) == {"PASSED"}
    assert states(LIBRARY, TWIN, tmp_path) == {"FAILED"}


@pytest.mark.parametrize("name", FORGED)
def test_exceptions_that_are_everything_pass_both(name: str, tmp_path: Path) -> None:
    assert states(FORGED[name], SUITE, tmp_path) == {"PASSED"}
    assert states(FORGED[name], TWIN, tmp_path) == {"PASSED"}


def test_the_lines_stay_and_built_in_types_are_only_exchanged() -> None:
    assert len(TWIN.splitlines()) == len(SUITE.splitlines())
    text = SUITE.replace("lib.Error", "ValueError").replace("(Error)", "(OSError)")
    twin = make_twins(text, dict.fromkeys(functions(text), "exception"), seed="s").text
    assert "type(" not in twin
    assert "ValueError" not in twin
