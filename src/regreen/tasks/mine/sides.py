"""Which side of a change a file is on: source, tests, or neither.

What belongs to the tests is what the project's own suite says it is. Documentation, changelogs,
packaging and the settings of services are on neither side: no behaviour is asked for by them.
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import Literal

from regreen.tasks.repo.discovery import Suite

__all__ = ["BESIDE", "Side", "maybe_test", "side_of"]

Side = Literal["source", "test", "aside"]

_DOCUMENT = re.compile(
    r"\.(md|rst|mkd|markdown|adoc|txt|tex|pdf|svg|png|jpe?g|gif|ico|ipynb|bib|po|pot)$", re.I
)
_DOCUMENT_NAMES = re.compile(
    r"(readme|changes|changelog|history|news|authors|contributors|contributing|copying|license"
    r"|licence|notice|todo|thanks|credits|install|security|code_of_conduct|releases?|maintainers)"
    r"([-_.].*)?$",
    re.IGNORECASE,
)
_DOCUMENT_FOLDERS = frozenset(
    ("doc", "docs", "documentation", "changelog.d", "changelog", "newsfragments", "news", "changes")
)
_PACKAGING = re.compile(
    r"(setup\.(py|cfg)|pyproject\.toml|manifest(\.in)?|pipfile(\.lock)?|poetry\.lock|pdm\.lock"
    r"|uv\.lock|[\w.-]*requirements[\w.-]*\.(txt|in|pip)|tox\.ini|pytest\.(ini|toml)|noxfile\.py"
    r"|fabfile\.py|tasks\.py|dodo\.py|makefile|justfile|environment\.ya?ml|conda[\w.-]*\.ya?ml"
    r"|dockerfile|codecov\.ya?ml|appveyor\.ya?ml|azure-pipelines[\w.-]*|mypy\.ini|release\.py"
    r"|ez_setup\.py|distribute_setup\.py|versioneer\.py|build\.py|bootstrap\.py)$",
    re.IGNORECASE,
)
BESIDE = frozenset(
    ("requirements", "ci", "examples", "example", "benchmarks", "benchmark", "perf", "bench")
) | {"scripts", "tools", "demo", "demos", "samples", "debian"}
"""Folders that belong neither to the library nor to its tests."""
_MAYBE_TEST = re.compile(r"test|conftest|spec|check", re.IGNORECASE)


def maybe_test(path: str) -> bool:
    """Whether a path could be on the test side, before the suite is known."""
    return bool(_MAYBE_TEST.search(path))


def side_of(path: str, suite: Suite, library: tuple[str, ...]) -> Side:
    """The side of one changed file.

    Args:
        path: relative to the root.
        suite: of the repaired tree.
        library: top-level packages and modules, as :func:`package_roots` gives them.
    """
    if suite.is_test_file(path):
        return "test"
    inside = any(path == root or path.startswith(f"{root}/") for root in library)
    pure = PurePosixPath(path)
    if inside:
        document = _DOCUMENT_NAMES.fullmatch(pure.name) and pure.suffix != ".py"
        return "aside" if document else "source"
    folders = {part.lower() for part in pure.parts[:-1]}
    if pure.parts[0].startswith(".") or folders & (_DOCUMENT_FOLDERS | BESIDE):
        return "aside"
    if _PACKAGING.fullmatch(pure.name) or _DOCUMENT_NAMES.fullmatch(pure.name):
        return "aside"
    return "aside" if _DOCUMENT.search(pure.name) else "source"
