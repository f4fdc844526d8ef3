"""What a path says: a test, a scratch file, or part of the product."""

from __future__ import annotations

import re
from collections.abc import Iterable
from fnmatch import fnmatchcase

__all__ = ["in_any", "in_tree", "is_product", "is_test", "tail"]

_TEST_DIRECTORIES = {"test", "tests", "testing", "__tests__", "spec", "specs", "e2e"}
_TEST_NAME = re.compile(
    r"(?:test_.*|.*_tests?|.*[._-](?:test|spec)|.*Tests?|tests?|conftest)\.\w+$"
)
_SCRATCH = re.compile(
    r"(?:repro|reproduce|debug|scratch|demo|check|verify|tmp|temp|try|final|simple|quick|example"
    r"|minimal|comprehensive|edge|bug|fix|patch|validate|run)[\w-]*\.\w+$|.*\.(?:diff|patch|log|txt|md|rst)$",
    re.I,
)
_ROOT = re.compile(r"^/(?:testbed|repo|app|src|workspace/[^/]+|home/[^/]+/[^/]+|[^/]+)/")


def tail(path: str) -> str:
    """A path below the repository's root, as well as an absolute one tells it."""
    path = path.strip().strip("'\"").removeprefix("./")
    return _ROOT.sub("", path) if path.startswith("/") and not path.startswith("/tmp/") else path


def in_tree(path: str) -> bool:
    """Whether a path lies in the repository rather than elsewhere in the box."""
    outside = path.startswith(("~", "../", "/proc/", "/usr/", "/opt/", "/etc/", "/root/", "/tmp/"))
    return not outside and not {"site-packages", "dist-packages", "node_modules", ".git"} & set(
        path.split("/")
    )


def is_test(path: str) -> bool:
    """Whether a path is a test's or its support's."""
    *directories, name = tail(path).split("/")
    return bool(_TEST_NAME.match(name)) or bool(_TEST_DIRECTORIES & set(directories))


def is_product(path: str) -> bool:
    """Whether a path is neither a test's nor scratch: what a patch is judged by."""
    if not path or is_test(path) or path.startswith(("/tmp/", "/var/tmp/", "/dev/")):
        return False
    directory, _, name = tail(path).rpartition("/")
    return bool(directory) or not _SCRATCH.match(name)


def in_any(path: str, globs: Iterable[str]) -> bool:
    """Whether a path matches one of some globs, as given or below the repository's root."""
    for glob in globs:
        if glob == "@tests":
            if is_test(path):
                return True
        elif glob == "@product":
            if is_product(path):
                return True
        elif fnmatchcase(path, glob) or fnmatchcase(tail(path), glob):
            return True
    return False
