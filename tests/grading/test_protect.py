"""Which changed paths reach the tests, and which are put back first."""

from __future__ import annotations

import pytest

from regreen.core.task import Task
from regreen.grading.protect import Protection

TASK = Task(
    instance_id="t",
    repo="r",
    base_commit="0" * 40,
    patch="--- a/conftest.py\n+++ b/conftest.py\n@@ -1 +1 @@\n-a\n+b\n",
    test_patch="--- /dev/null\n+++ b/tests/test_a.py\n@@ -0,0 +1 @@\n+x\n",
    problem_statement="",
    FAIL_TO_PASS=("tests/test_a.py::f",),
    PASS_TO_PASS=("tests/test_b.py::p",),
)


@pytest.mark.parametrize(
    ("path", "covered"),
    [
        ("tests/test_a.py", True),
        ("tests/test_b.py", True),
        ("sub/conftest.py", True),
        ("conftest.py", False),  # the gold patch itself touches it
        ("pytest.ini", True),
        ("pkg/evil.pth", True),
        ("pkg/__pycache__/m.cpython-311.pyc", True),
        ("pkg/m.py", False),
        ("tests/test_new.py", True),  # among the expected tests: harmless, so put back
    ],
)
def test_what_a_patch_may_not_decide(path: str, covered: bool) -> None:
    assert Protection.of_task(TASK).covers(path) is covered
