"""Tests that may come out otherwise are told by their words."""

from __future__ import annotations

import pytest

from regreen.grading.patch import FileState
from regreen.tasks.mine.chance import draws_lots
from regreen.tasks.mine.split import Split

TESTS = b"""import random


def test_plain(x):
    assert x


class TestAll:
    async def test_lucky(self):
        assert random.random() < 0.5

    def test_after(self):
        assert True
"""
NAMES = [
    "tests/t.py::test_plain[a]",
    "tests/t.py::test_plain[b]",
    "tests/t.py::TestAll::test_lucky",
]


def split(patch: str) -> Split:
    state = FileState(TESTS, executable=False, symlink=False)
    return Split(
        source={},
        tests={"tests/t.py": (None, state)},
        aside=(),
        test_files=("tests/t.py",),
        touched={},
        patch=patch,
        test_patch="",
    )


@pytest.mark.parametrize(
    ("patch", "found"),
    [("+x = 1\n", NAMES[2:]), (" import random\n+x = 1\n", NAMES[2:]), ("+time.sleep(1)\n", NAMES)],
)
def test_what_speaks_of_chance_is_named(patch: str, found: list[str]) -> None:
    others = ["tests/t.py::TestAll::test_after", "tests/other.py::test_lucky"]
    expected = [*NAMES, *others] if found == NAMES else found

    assert draws_lots(split(patch), [*NAMES, *others]) == expected
