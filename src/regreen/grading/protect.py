"""What a submitted patch may not decide: the tests, their support files and the runner's settings.

These files are put back, or removed when they are new, after a patch is applied and before the
tests run. Exceptions a gold patch needs are given as ``allowed``.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import PurePosixPath

from regreen.core.task import Task
from regreen.grading.patch import patch_paths

__all__ = ["Protection"]

_SETTINGS = frozenset(
    (
        "conftest.py",
        "pytest.ini",
        ".pytest.ini",
        "pytest.toml",
        ".pytest.toml",
        "tox.ini",
        "setup.cfg",
        "pyproject.toml",
        "sitecustomize.py",
        "usercustomize.py",
        ".coveragerc",
    )
)
_SUFFIXES = frozenset((".pyc", ".pyo", ".pth", ".so", ".pyd", ".egg-link"))


class Protection:
    """Decides which paths of a patch are ignored when it is graded.

    Args:
        tests: files that hold the tests to be run.
        allowed: paths the gold patch itself touches.
    """

    def __init__(self, tests: Collection[str], *, allowed: Collection[str] = ()) -> None:
        self.tests = frozenset(tests)
        self.allowed = frozenset(allowed)

    @classmethod
    def of_task(cls, task: Task) -> Protection:
        """For the tests a task names, allowing what its gold patch touches."""
        ids = (*task.FAIL_TO_PASS, *task.PASS_TO_PASS)
        tests = {name.partition("::")[0] for name in ids} | patch_paths(task.test_patch)
        return cls(tests, allowed=patch_paths(task.patch) - tests)

    def covers(self, path: str) -> bool:
        """Whether a change of ``path`` is undone before the tests run."""
        if path in self.allowed:
            return False
        name = PurePosixPath(path)
        return (
            path in self.tests
            or name.name in _SETTINGS
            or name.suffix in _SUFFIXES
            or name.parts[0] == ".git"
        )
