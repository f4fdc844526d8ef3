"""Test modules that only a project's settings make such, found without laying its tree out.

``python_files`` may name a file of the library. No word in its path tells then that it could hold
tests, so the settings at the root are read, and of what they name only the files that differ.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from regreen.tasks.history.change import Change
from regreen.tasks.history.objects import FOLDER, Missing, Objects
from regreen.tasks.repo.discovery import Suite, TestCommand, named_modules
from regreen.tasks.repo.project import Project
from regreen.tasks.repo.semantics import definitions, parsed

__all__ = ["differs_in_named_tests"]

_SETTINGS = ("pytest.toml", ".pytest.toml", "pytest.ini", ".pytest.ini", "pyproject.toml",
             "tox.ini", "setup.cfg")  # fmt: skip
_ABSENT = "000000"


def differs_in_named_tests(change: Change, objects: Objects) -> bool:
    """Whether a module that differs holds tests and is named as a test module.

    Args:
        change: the step.
        objects: reads the settings after it; what cannot be read names nothing.
    """
    python = [one for one in change.files if one.path.endswith(".py") and one.new_mode != _ABSENT]
    try:
        suite = Suite(TestCommand((), "settings"), _patterns(change.commit, objects), ())
        return any(
            suite.collects(one.path) and _holds_tests(objects.read(one.new_blob)) for one in python
        )
    except Missing:
        return False


def _patterns(commit: str, objects: Objects) -> tuple[str, ...]:
    """``python_files`` as pytest would read it in a commit's tree; empty when it is not set."""
    root = objects.folder(objects.commit(commit).tree)
    found = {
        name: objects.read(root[name][1])
        for name in _SETTINGS
        if name in root and root[name][0] not in (FOLDER, "120000", "160000")
    }
    if not any(b"python_files" in data for data in found.values()):
        return ()
    with tempfile.TemporaryDirectory(prefix="regreen-settings-") as scratch:
        for name, data in found.items():
            (Path(scratch) / name).write_bytes(data)
        return named_modules(Project(Path(scratch)))


def _holds_tests(source: bytes) -> bool:
    module = parsed(source)
    return module is None or definitions(module)[0] > 0
