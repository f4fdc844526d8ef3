"""Failing tests reduced to scripts: each must fail on the broken library and pass on the sound."""

from __future__ import annotations

import subprocess
import sys
from xml.etree import ElementTree

import pytest

from regreen.agents.statement import read_statement
from regreen.tasks.tell.describe import Symptom, describe, symptom
from regreen.tasks.tell.reproduce import reduce_test

SOUND = """\
class Stack:
    def __init__(self, items=()):
        self.items = list(items)
    def push(self, item):
        self.items.append(item)
    def pop(self):
        if not self.items:
            raise ValueError("empty")
        return self.items.pop()
    def __len__(self):
        return len(self.items)
def double(value):
    return value * 2
"""
BROKEN = (
    SOUND.replace("raise ValueError", "return ValueError")
    .replace("self.items.append(item)", "self.items.insert(0, item)")
    .replace("value * 2", "value + 2")
)
TESTS = """\
import unittest
from pathlib import Path
import pytest
from shelf import Stack, double
LIMIT = 3
def filled(count):
    made = Stack()
    for number in range(count):
        made.push(number)
    return made
@pytest.fixture
def limit():
    return LIMIT
@pytest.fixture(params=[Stack, list])
def kind(request):
    return request.param
@pytest.fixture
def stack(kind, limit):
    made = kind()
    made.push(limit)
    made.push(4)
    yield made
    made.items = []
def test_plain():
    assert double(5) == 10
@pytest.mark.parametrize(("value", "wanted"), [("ab", "abab"), (7, 14)])
def test_parameters(value, wanted):
    result = double(value)
    assert result == wanted, "doubling"
def test_many_lines():
    unused = [1]
    assert unused
    assert [
        double(3),
        double(4),
    ] == [6, 8]
def test_helper_and_constant():
    stack = filled(LIMIT)
    assert stack.pop() == 2
def test_looks_that_change():
    stack = filled(4)
    assert stack.pop() in (0, 3)
    assert len(stack) == 3
    assert stack.pop() == 2
def test_loop():
    for value in (2, 3):
        result = double(value)
        assert result == value + value
def test_raises():
    stack = Stack()
    with pytest.raises(ValueError):
        stack.pop()
def test_raises_looked_at():
    with pytest.raises(ValueError) as info:
        Stack().pop()
    assert "empty" in str(info.value)
def test_fixture(stack):
    assert stack.pop() == 4
def test_path(tmp_path):
    target = tmp_path / "out"
    target.write_text("x")
    assert double(len(target.read_text())) == 2
class Base:
    size = 2
    def make(self):
        return filled(self.size)
    def test_inherited(self):
        assert self.make().pop() == self.size - 1
class TestDerived(Base):
    size = 4
class TestCase(unittest.TestCase):
    def setUp(self):
        self.stack = Stack([1])
        self.stack.push(5)
    def test_equal(self):
        self.stack.push(6)
        self.assertEqual(self.stack.pop(), 6)
    def test_raises(self):
        self.stack.items.clear()
        with self.assertRaises(ValueError):
            self.stack.pop()
"""


@pytest.fixture(scope="module")
def symptoms(tmp_path_factory) -> dict[str, Symptom]:
    """Real reports of a broken library, by the test's name."""
    root = tmp_path_factory.mktemp("shelf")
    (root / "shelf.py").write_text(BROKEN)
    (root / "test_shelf.py").write_text(TESTS)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--junitxml=r.xml"]
    subprocess.run(command, cwd=root, capture_output=True, check=False)
    found = {}
    for case in ElementTree.parse(root / "r.xml").iter("testcase"):
        for failure in case.iter("failure"):
            made = symptom(failure.text or "", {"test_shelf.py": TESTS})
            assert made is not None
            name = f"{case.get('classname')}.{case.get('name')}".removeprefix("test_shelf.")
            found[name] = made
    return found


def holds(check: str, library: str) -> bool:
    module = f"import sys, types\nm = types.ModuleType('shelf')\nexec({library!r}, m.__dict__)\n"
    text = f"{module}sys.modules['shelf'] = m\nexec({check!r}, {{'__name__': 'check'}})"
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, check=False)
    return done.returncode == 0


COMPLETE = (
    "test_plain",
    "test_parameters[ab-abab]",
    "test_parameters[7-14]",
    "test_many_lines",
    "test_helper_and_constant",
    "test_looks_that_change",
    "test_loop",
    "test_raises",
    "test_raises_looked_at",
    "test_fixture[Stack]",
    "test_path",
    "TestDerived.test_inherited",
    "TestCase.test_equal",
    "TestCase.test_raises",
)


@pytest.mark.parametrize("name", COMPLETE)
def test_the_script_tells_the_broken_library_from_the_sound(symptoms, name):
    item = symptoms[name]
    assert item.complete
    text = describe([item], name="shelf", key="k")
    (check,) = read_statement(text).checks
    assert not holds(check, BROKEN), text
    assert holds(check, SOUND), text


def test_nothing_of_the_test_itself_is_quoted(symptoms):
    for name in COMPLETE:
        text = describe([symptoms[name]], name="shelf", key="k")
        assert "self." not in text.replace("self.items", "")
        assert "def test_" not in text
        assert "AssertionError:" not in text


def test_parameters_become_assignments(symptoms):
    assert symptoms["test_parameters[7-14]"].steps[:3] == (
        "from shelf import double",
        "value = 7",
        "wanted = 14",
    )


def test_a_loop_keeps_its_frame_and_loses_what_is_not_needed(symptoms):
    item = symptoms["test_loop"]
    assert not item.condition
    assert item.failing.splitlines() == [
        "for value in (2, 3):",
        "    result = double(value)",
        "    assert result == value + value",
    ]


def test_what_is_not_needed_is_left_out(symptoms):
    assert symptoms["test_many_lines"].steps == ("from shelf import double",)


def test_an_expected_exception_is_told_without_the_test_tool(symptoms):
    text = describe([symptoms["test_raises"]], name="shelf", key="k")
    assert "pytest" not in text
    assert "no ValueError is raised" in text


def test_unknown_parameters_are_admitted():
    source = "def test_it(client):\n    assert client.get() == 1\n"
    script = reduce_test(source, 2, arguments={"client": "<Client>"})
    assert script is not None
    assert not script.complete
    assert script.steps == ("# client is <Client>",)


def test_tests_are_no_part_of_a_script():
    source = "def test_a(n=1):\n    return n\ndef test_b():\n    assert test_a(2) == 3\n"
    script = reduce_test(source, 4)
    assert script is not None
    assert not script.complete
    assert script.steps == ()


def test_relative_imports_are_resolved_and_imports_of_tests_are_not_used():
    source = (
        "from ..core import add\nfrom .helpers import two\ndef test_a():\n    assert add(two)\n"
    )
    script = reduce_test(source, 4, path="src/lib/tests/test_a.py")
    assert script is not None
    assert script.steps == ("from lib.core import add",)
    assert not script.complete


def test_what_a_fixture_returns_can_fail_too():
    source = "import lib\n\n@fixture\ndef made():\n    return lib.make()\n"
    script = reduce_test(source, 5)
    assert script is not None
    assert (script.steps, script.failing) == (("import lib",), "lib.make()")


@pytest.mark.parametrize("source", ["def broken(:", "x = 1\n", ""])
def test_what_is_no_test_is_not_reduced(source):
    assert reduce_test(source, 1) is None


def test_long_settings_are_not_quoted():
    rows = "\n".join(f"    {i}," for i in range(80))
    source = f"DATA = [\n{rows}\n]\ndef test_a():\n    assert sum(DATA) == 1\n"
    script = reduce_test(source, 84)
    assert script is not None
    assert (script.steps, script.complete) == ((), False)
