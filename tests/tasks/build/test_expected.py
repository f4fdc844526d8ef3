"""What is expected of a tree, held against what pytest itself collects there."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from regreen.tasks.build.expected import Expected, expected_tests, function_of

INI = "[pytest]\naddopts = -m 'not slow' --ignore=tests/broken\n"
FILES = {
    "pytest.ini": INI,
    "tests/conftest.py": "collect_ignore = ['test_ignored.py']\n"
    "def pytest_configure(config): config.addinivalue_line('markers', 'slow: x')\n",
    "tests/__init__.py": "",
    "tests/test_ignored.py": "def test_never(): pass\n",
    "tests/broken/test_b.py": "import absent\ndef test_b(): pass\n",
    "tests/bases.py": "import unittest\n"
    "class Shared(unittest.TestCase):\n"
    "    def test_inherited(self): pass\n"
    "class TestPlainBase:\n"
    "    def test_plain(self): pass\n"
    "class Mixin:\n"
    "    def test_mixed_in(self): pass\n"
    "def test_helper(): pass\n",
    "tests/test_forms.py": """
import asyncio, os, sys, unittest, functools
import pytest
from .bases import *
from tests import bases
from tests.bases import Mixin as Mixed, test_helper as test_renamed

class NotNamedLikeATest(unittest.TestCase):
    def test_method(self): pass
    def helper(self): pass

class Derived(bases.Shared):
    def test_own(self): pass

class TestMixed(Mixed):
    test_not_one = None
    def test_in_class(self): pass
    class TestInner:
        def test_deep(self): pass
    @staticmethod
    def test_static(): pass
    @property
    def test_property(self): return 1

class TestOff(Mixed):
    __test__ = False
    def test_x(self): pass

class TestAgain(TestOff):
    __test__ = True

class TestWithInit:
    def __init__(self): pass
    def test_x(self): pass

class OnlyRun(unittest.TestCase):
    def runTest(self): pass

@pytest.mark.parametrize("x", ["a b", "c]::d[", "ü"])
def test_many(x): pass

async def test_async(): pass

@pytest.fixture
def test_fixture(): return 1

@pytest.mark.slow
def test_slow(): pass

def decorated(function): return functools.wraps(function)(lambda: None)
def test_wrapped(): pass
test_wrapped = decorated(test_wrapped)
def test_gone(): pass
del test_gone
def test_rebound(): pass
test_rebound = 3

if sys.version_info >= (3, 3):
    def test_modern(): pass
else:
    def test_old(): pass
if sys.platform.startswith("win"):
    def test_windows(): pass
if os.environ.get("NEVER_SET_ANYWHERE"):
    def test_perhaps(): pass
    def test_both(): pass
else:
    def test_both(): pass
try:
    import absent
    def test_with_absent(): pass
except ImportError:
    pass
if __name__ == "__main__":
    def test_main(): pass
""",
    "tests/test_left.py": "import pytest\npytest.skip('no', allow_module_level=True)\n"
    "def test_x(): pass\n",
    "tests/test_marked.py": "import pytest\npytestmark = [pytest.mark.slow]\ndef test_x(): pass\n",
    "build/test_output.py": "def test_x(): pass\n",
    "lib.py": "def test_of_the_library(): pass\n",
}


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def collected(tree: Path, *words: str) -> set[str]:
    """What pytest collects, by function, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--collect-only", "-qq", "--verbosity=-1", "-p",
         "no:cacheprovider", "-p", "no:xdist", *words],
        cwd=tree, capture_output=True, text=True, check=False,
        env={"PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1"},
    )  # fmt: skip
    assert done.returncode in (0, 5), done.stdout + done.stderr
    return {function_of(line) for line in done.stdout.splitlines() if "::" in line}


def hold(expected: Expected, seen: set[str]) -> None:
    assert set(expected.functions) - seen == set(), "expected, but pytest does not collect it"
    assert seen - set(expected.functions) - set(expected.possible) == set(), "not foreseen"


def test_every_form_is_foreseen_as_pytest_collects_it(tmp_path: Path) -> None:
    tree = write(tmp_path, FILES)
    expected = expected_tests(tree)

    hold(expected, collected(tree))
    inside = {one.partition("::")[2] for one in expected.functions}
    assert {"test_many", "Derived::test_inherited", "TestMixed::TestInner::test_deep"} <= inside
    assert {"TestMixed::test_mixed_in", "test_wrapped", "test_both", "OnlyRun::runTest"} <= inside
    assert "test_renamed" in inside
    assert {one.rpartition("::")[2] for one in expected.possible} == {
        "test_perhaps",
        "test_with_absent",
    }


def test_patterns_of_the_project_count_and_can_be_set_aside(tmp_path: Path) -> None:
    files = {
        "pyproject.toml": "[tool.pytest.ini_options]\npython_files = ['check_*.py']\n"
        "python_classes = ['*Suite', 'Check']\npython_functions = 'check'\n",
        "check_a.py": "def check_one(): pass\ndef test_two(): pass\n"
        "class MySuite:\n    def check_in(self): pass\n    def test_in(self): pass\n"
        "class TestX:\n    def check_in(self): pass\n",
        "test_b.py": "def test_b(): pass\n",
    }
    tree = write(tmp_path, files)

    assert expected_tests(tree).functions == (
        "check_a.py::MySuite::check_in",
        "check_a.py::check_one",
    )
    hold(expected_tests(tree), collected(tree))
    aside = expected_tests(tree, options=("-c", "/dev/null"))
    assert aside.functions == ("test_b.py::test_b",)
    overridden = expected_tests(tree, options=("-o", "python_functions=test"))
    assert overridden.functions == ("check_a.py::MySuite::test_in", "check_a.py::test_two")


def test_paths_files_and_deselected_tests(tmp_path: Path) -> None:
    tree = write(tmp_path, {"tests/test_a.py": "def test_a(): pass\n", "odd.py": "def test(): 0\n"})

    assert expected_tests(tree, paths=("tests",)).functions == ("tests/test_a.py::test_a",)
    assert expected_tests(tree, paths=("odd.py",)).functions == ("odd.py::test",)
    gone = expected_tests(tree, options=("--deselect", "tests/test_a.py::test_a"))
    assert gone.functions == ()


@pytest.mark.parametrize(
    ("python", "wanted"), [("2.7.18", "test_two"), ("3.8.1", "test_three"), ("3.12", "test_new")]
)
def test_conditions_on_the_version_are_decided_for_the_interpreter(
    tmp_path: Path, python: str, wanted: str
) -> None:
    text = (
        "import sys\nPY2 = sys.version_info[0] == 2\nif PY2:\n    def test_two(): pass\n"
        "elif sys.version_info[:2] < (3, 12):\n    def test_three(): pass\n"
        "elif sys.version_info > (3, 12):\n    def test_new(): pass\n"
        "if sys.version_info >= (3, 12, 4):\n    def test_patch(): pass\n"
    )
    tree = write(tmp_path, {"test_a.py": text})
    expected = expected_tests(tree, python=python)

    assert expected.functions == (f"test_a.py::{wanted}",)
    assert bool(expected.possible) is (python == "3.12")


def test_a_file_of_another_python_is_read_line_by_line(tmp_path: Path) -> None:
    text = (
        "import unittest\nprint 'two'\ndef test_a(): pass\ndef helper(): pass\n"
        "class Old(unittest.TestCase):\n    def test_in(self):\n        print 1\n"
        "class Other:\n    def test_not(self): pass\n"
    )
    tree = write(tmp_path, {"test_old.py": text})
    expected = expected_tests(tree)

    assert expected.functions == ("test_old.py::Old::test_in", "test_old.py::test_a")
    assert expected.unread == ("test_old.py",)


def test_the_own_tests_are_foreseen_exactly() -> None:
    tree = Path(__file__).parents[3]
    seen = collected(tree, "tests/core")

    hold(expected_tests(tree, paths=("tests/core",)), seen)
    assert len(seen) > 50


def test_loops_of_imports_and_odd_files_end(tmp_path: Path) -> None:
    files = {
        "test_a.py": "from test_b import *\nfrom test_b import TestB\nclass TestA(TestB): pass\n",
        "test_b.py": "from test_a import *\nfrom test_a import TestA\nclass TestB(TestA): pass\n"
        "class TestSelf(TestSelf):\n    def test_x(self): pass\n",
        "test_empty.py": "",
    }
    tree = write(tmp_path, files)
    (tree / "test_bytes.py").write_bytes(b"def test_a(): '\xff'\n")
    (tree / "test_nul.py").write_bytes(b"def test_a(): pass\n\0")
    outside = tmp_path.with_name("outside.py")
    outside.write_text("def test_of_somebody_else(): pass\n")
    (tree / "test_link.py").symlink_to(outside)

    expected = expected_tests(tree)
    assert not any("somebody_else" in one for one in expected.functions)
    assert set(expected.unread) == {"test_bytes.py", "test_nul.py", "test_link.py"}
    assert "test_b.py::TestSelf::test_x" in (*expected.functions, *expected.possible)
