"""A library with one real change, as a git repository, and rows that other projects would make."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

from regreen.grading.patch import text_patch

WRONG = "def add(a, b):\n    return a - b\n\n\ndef zero():\n    return 0\n"
RIGHT = WRONG.replace("a - b", "a + b")
OLD_TESTS = "import calc\n\n\ndef test_zero():\n    assert calc.zero() == 0\n"
NEW_TESTS = """\
import calc
import pytest


def test_zero():
    assert calc.zero() == 0


@pytest.mark.parametrize("a, b", [pytest.param(2, 3, id="two and three"), pytest.param(1, 1)])
def test_add(a, b):
    assert calc.add(a, b) == a + b
"""
CHECKS = "import calc\n\n\ndef test_both():\n    assert calc.add(1, calc.zero() + 1) == 2\n"
FIX = text_patch("calc.py", WRONG, RIGHT)
TEST_PATCH = text_patch("tests/test_calc.py", OLD_TESTS, NEW_TESTS) + text_patch(
    "tests/test_both.py", None, CHECKS
)
FAIL_TO_PASS = [
    "tests/test_calc.py::test_add[two and three]",
    "tests/test_calc.py::test_add[1-1]",
    "tests/test_both.py::test_both",
]
PASS_TO_PASS = ["tests/test_calc.py::test_zero"]


def write_files(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)


def git(repository: Path, *arguments: str, stdin: str = "") -> str:
    command = ["git", "-C", str(repository), "-c", "user.name=me", "-c", "user.email=me@here"]
    done = subprocess.run(
        [*command, *arguments], check=True, capture_output=True, text=True, input=stdin
    )
    return done.stdout.strip()


def make_history(clones: Path) -> Path:
    """``clones/me/calc`` with the wrong commit and the one that mends it."""
    root = clones / "me" / "calc"
    write_files(root, {"calc.py": WRONG, "tests/test_calc.py": OLD_TESTS})
    git(root, "init", "-q", ".")
    git(root, "add", "-A")
    git(root, "commit", "-qm", "wrong")
    git(root, "apply", stdin=FIX + TEST_PATCH)
    git(root, "add", "-A")
    git(root, "commit", "-qm", "right")
    return root


def classic_row(root: Path) -> dict[str, Any]:
    """The change as a SWE-bench row."""
    return {
        "repo": "me/calc",
        "instance_id": "me__calc-1",
        "base_commit": git(root, "rev-parse", "HEAD~1"),
        "patch": FIX,
        "test_patch": TEST_PATCH,
        "problem_statement": "add(2, 3) should be 5",
        "hints_text": "",
        "created_at": "2024-05-06T07:08:09Z",
        "version": "1",
        "FAIL_TO_PASS": FAIL_TO_PASS,
        "PASS_TO_PASS": PASS_TO_PASS,
        "environment_setup_commit": "",
    }


def bug_row(root: Path) -> dict[str, Any]:
    """The same mistake as a SWE-smith row: put into the right commit."""
    commit = git(root, "rev-parse", "HEAD")
    return {
        "instance_id": f"me__calc.{commit[:8]}.func_pm_op_change__x1y2",
        "repo": f"swesmith/me__calc.{commit[:8]}",
        "patch": text_patch("calc.py", RIGHT, WRONG),
        "problem_statement": "add(1, 0) should be 1",
        "FAIL_TO_PASS": ["tests/test_both.py::test_both"],
        "PASS_TO_PASS": ["tests/test_calc.py::test_zero"],
        "image_name": "swesmith.x86_64.me_1776_calc",
    }
