"""Which side a path is on, for paths that look like another."""

from __future__ import annotations

import pytest

from regreen.tasks.mine.sides import maybe_test, side_of
from regreen.tasks.repo.discovery import Suite, TestCommand

SUITE = Suite(TestCommand(("tests",), "layout"), ("test_*.py", "*_test.py"), ("tests",))
LIBRARY = ("src/p", "single.py")


@pytest.mark.parametrize(
    ("path", "side"),
    [
        ("src/p/core.py", "source"),
        ("src/p/testing.py", "source"),
        ("src/p/table.json", "source"),
        ("src/p/docs/render.py", "source"),
        ("single.py", "source"),
        *((f"src/p/{name}.py", "source") for name in ("history", "install", "news", "security")),
        *((f"src/p/{name}.py", "source") for name in ("changes", "release", "todo_list")),
        ("src/p/README.md", "aside"),
        ("src/p/LICENSE", "aside"),
        ("src/p/CHANGES.txt", "aside"),
        ("src/p/test_core.py", "test"),
        ("src/p/conftest.py", "test"),
        ("tests/data/a b.json", "test"),
        ("tests/README.md", "test"),
        ("CHANGES.rst", "aside"),
        ("docs/conf.py", "aside"),
        ("examples/use.py", "aside"),
        ("setup.py", "aside"),
        ("requirements-dev.txt", "aside"),
        (".github/workflows/test.yml", "aside"),
        ("-x.py", "source"),
        ("a\nb.py", "source"),
        ("\udcff.py", "source"),
    ],
)
def test_the_side_of_a_path(path, side):
    assert side_of(path, SUITE, LIBRARY) == side


@pytest.mark.parametrize("path", ["tests/a.txt", "p/conftest.py", "p/Test.py", "spec/a.py"])
def test_what_may_be_a_test_is_seen_before_the_suite(path):
    assert maybe_test(path)


def test_plain_source_is_not_taken_for_a_test():
    assert not maybe_test("src/p/core.py")
