"""Which tests are run more often than others."""

from __future__ import annotations

import pytest

from regreen.grading.patch import FileState
from regreen.tasks.mine.chance import depends_on_hash, draws_lots
from regreen.tasks.mine.split import Split

TESTS = b"""\
import random


class TestDraw:
    def test_lots(self, seed):
        if seed:

            assert random.random() < seed

    def test_plain(self):
        assert 1


def test_waits():
    time.sleep(1)


def test_last(): assert 1
"""


def split(patch: str) -> Split:
    tests = {"tests/test_a.py": (None, FileState(TESTS))}
    return Split(source={}, tests=tests, aside=(), test_files=(), touched={}, patch=patch,
                 test_patch="")  # fmt: skip


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("TestDraw::test_lots[0.5]", True),
        ("TestDraw::test_plain", False),
        ("test_waits", True),
        ("test_last", False),
        ("test_elsewhere", False),
    ],
)
def test_tests_that_speak_of_chance_draw_lots(name: str, expected: bool) -> None:
    assert draws_lots(split("+x = 1\n"), f"tests/test_a.py::{name}") is expected


def test_a_repair_that_speaks_of_chance_makes_all_its_tests_suspect() -> None:
    assert draws_lots(split("+    self.lock = threading.Lock()\n"), "tests/test_b.py::test_x")
    assert not draws_lots(split("-    random.shuffle(rows)\n"), "tests/test_b.py::test_x")


def test_what_hashes_is_told_by_its_words() -> None:
    assert depends_on_hash(split("-return set(x)\n"))
    assert not depends_on_hash(split(" return set(x)\n+return x\n"))
