"""What part a file plays: product code, a test, a tool for testing, or a script beside the product.

The same line means different things: ``import pytest`` belongs into a test and not into a parser.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from enum import StrEnum
from pathlib import PurePosixPath

__all__ = ["Part", "is_runner_repository", "part_of"]


class Part(StrEnum):
    """The part a file plays."""

    PRODUCT = "product"
    TEST = "test"
    TESTING = "testing"  # test tools the product offers to others
    SCRIPT = "script"  # documentation, build and one-off files that the product does not import


_TEST_DIRECTORIES = frozenset(
    ("test", "tests", "spec", "specs", "__tests__", "e2e", "unittests", "testdata", "regtests")
)
_TEST_NAME = re.compile(r"^(test_.+|.+_tests?|tests|conftest|.+\.(test|spec)|.+_spec)$")
_TESTING = re.compile(
    r"(^|_)(test(ing|er|s|case|utils?|tools?|runner|suite)?|pytest|unittest|doctest|mock|fixtures?)(_|$)"
    r"|pytest|unittest",
    re.IGNORECASE,
)
_SCRIPT_DIRECTORIES = frozenset(
    ("doc", "docs", "example", "examples", "script", "scripts", "tool", "tools", "benchmark",
     "benchmarks", "bench", "ci", ".github", ".circleci", "asv_bench", "demo", "demos", "misc",
     "release", "tutorials", "galleries", "samples", "notebooks", "admin", "utils")
)  # fmt: skip
_SCRIPT_NAMES = frozenset(
    ("setup.py", "noxfile.py", "tasks.py", "fabfile.py", "dodo.py", "runtests.py", "versioneer.py",
     "manage.py", "wscript", "SConstruct")
)  # fmt: skip
_PLUGIN_FILES = ("pyproject.toml", "setup.cfg", "setup.py")


def is_runner_repository(read: Callable[[str], bytes | None]) -> bool:
    """Whether the repository is a test runner or a plug-in of one."""
    if read("src/_pytest/__init__.py") is not None or read("src/pluggy/__init__.py") is not None:
        return True
    return any(b"pytest11" in (read(name) or b"") for name in _PLUGIN_FILES)


def part_of(
    path: str,
    *,
    new: bool,
    read: Callable[[str], bytes | None],
    imported: Iterable[str],
) -> Part:
    """The part a Python file plays.

    Args:
        path: of the file.
        new: the file is absent in the base tree; a new name proves nothing about its part.
        read: bytes of a path in the base tree.
        imported: modules that changed product files import, as paths without a suffix; what
            they import is product.
    """
    pure = PurePosixPath(path)
    folders = pure.parts[:-1]
    named = _is_imported(pure, frozenset(imported))
    packaged = bool(folders) and read(f"{folders[0]}/__init__.py") is not None
    if named and (new or not folders):
        return Part.TESTING if not new and _TESTING.search(pure.stem) else Part.PRODUCT
    if _TEST_NAME.match(pure.stem) or "tests" in folders:
        return Part.TEST
    if any(name.lower() in _TEST_DIRECTORIES for name in folders):
        # a package named test may be a tool the product offers, as django.test is
        return Part.TESTING if packaged else Part.TEST
    if any(map(_TESTING.search, (*folders, pure.stem))):
        return Part.TESTING
    script = (
        (folders[0] in _SCRIPT_DIRECTORIES and not packaged)
        if folders
        else (new or pure.name in _SCRIPT_NAMES)
    )
    return Part.SCRIPT if script else Part.PRODUCT


def _is_imported(path: PurePosixPath, imported: frozenset[str]) -> bool:
    """Whether some import means this file, under the repository or under ``src`` or ``lib``."""
    whole = str(path.with_suffix("")).removesuffix("/__init__")
    return any(
        whole.removeprefix(root) in imported
        for root in ("", "src/", "lib/")
        if whole.startswith(root)
    )
