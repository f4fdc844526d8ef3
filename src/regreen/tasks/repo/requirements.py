"""What a suite needs beyond the library, as the project's files declare it: a ladder of rungs.

What speaks of tests wins over what speaks of development, which drags in linters and documentation
builders that no test needs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from regreen.tasks.repo.project import Project

__all__ = ["REQUIREMENT_FILES", "Requirements", "declared_names", "test_requirements"]

_TEST_NAMES = ("test", "tests", "testing", "unittest", "unittests", "pytest")
_DEVELOP_NAMES = ("dev", "develop", "development", "devel", "all")
_LINTERS = {
    *("mypy", "ruff", "ty", "pyright", "basedpyright", "black", "flake8", "isort", "pylint"),
    *("bandit", "codespell", "pre-commit", "tox", "nox", "sphinx", "twine", "build", "wheel"),
    *("codecov", "coveralls", "mkdocs", "furo", "autopep8", "yapf", "pip-tools", "bump2version"),
}
_FILES = (
    *("requirements-test.txt", "requirements-tests.txt", "requirements-testing.txt"),
    *("test-requirements.txt", "test_requirements.txt", "tests_requirements.txt"),
    *("requirements_test.txt", "requirements_tests.txt"),
    *("requirements/test.txt", "requirements/tests.txt", "requirements/testing.txt"),
    *("tests/requirements.txt", "test/requirements.txt", "ci/requirements.txt"),
)
_DEVELOP_FILES = (
    *("requirements-dev.txt", "dev-requirements.txt", "requirements_dev.txt"),
    *("requirements/dev.txt", "requirements/develop.txt", "requirements.txt"),
)
REQUIREMENT_FILES = _FILES + _DEVELOP_FILES
"""Requirements files that are looked for, relative to the root."""


@dataclass(frozen=True, slots=True)
class Requirements:
    """One rung of the ladder: what to install with the project."""

    extras: tuple[str, ...] = ()
    """Extras of the project."""
    groups: tuple[str, ...] = ()
    """Dependency groups (PEP 735) of its ``pyproject.toml``."""
    files: tuple[str, ...] = ()
    """Requirements files, relative to the root."""
    names: tuple[str, ...] = ()
    """Requirements named elsewhere: tox, hatch, ``tests_require``."""

    @property
    def rung(self) -> str:
        """What it holds, in words: ``extras and groups``, ``files`` … or ``plain``."""
        held = [one for one in ("extras", "groups", "files", "names") if getattr(self, one)]
        return " and ".join(held) or "plain"


def test_requirements(tree: Path) -> tuple[Requirements, ...]:
    """The rungs of a tree, fullest first; rungs that would repeat the one above are left out.

    Where nothing speaks of tests, what is listed for development serves, less the tools that no
    test needs and that would make the environment ten times as large.
    """
    project = Project(tree)
    extras = tuple(one for one in _extras(project) if one.lower() in _TEST_NAMES)
    groups = tuple(one for one in project.table("dependency-groups") if one.lower() in _TEST_NAMES)
    files = tuple(one for one in _FILES if project.text(one))
    names = [*_named(project), *([] if files or extras or groups else _for_development(project))]
    named = tuple(dict.fromkeys(filter(_installable, names)))
    rungs = (
        Requirements(extras, groups, files, named),
        Requirements(extras, (), files, named),
        Requirements((), (), files, named),
        Requirements(),
    )
    return tuple(dict.fromkeys(rungs))


test_requirements.__test__ = False  # type: ignore[attr-defined]


def declared_names(project: Project) -> tuple[str, ...]:
    """Names of everything the project's files list as a dependency of any kind."""
    tables = [project.table("project", "optional-dependencies"), project.table("dependency-groups")]
    lines = [one for table in tables for value in table.values() for one in _strings(value)]
    lines += [one for value in project.setup_extras.values() for one in _strings(value)]
    for name in (*_FILES, *_DEVELOP_FILES):
        lines += project.text(name).splitlines()
    lines += [*project.dependencies, *_named(project)]
    return tuple(Requirement(one).name for one in lines if _installable(one))


def _extras(project: Project) -> dict[str, list[str]]:
    """Extras and what they list, as far as it is declared and not computed."""
    found = {name: _strings(rows) for name, rows in project.setup_extras.items()}
    found |= {name: [] for name in project.table("tool", "poetry", "extras")}
    declared = project.table("project", "optional-dependencies")
    return found | {name: _strings(rows) for name, rows in declared.items()}


def _for_development(project: Project) -> list[str]:
    """The first list for developers: a group, an extra or a file; without what only lints."""
    groups = {name: _strings(rows) for name, rows in project.table("dependency-groups").items()}
    extras = _extras(project)
    lists = [*(groups.get(name) for name in _DEVELOP_NAMES)]
    lists += [extras.get(name) for name in _DEVELOP_NAMES]
    lists += [project.text(name).splitlines() for name in _DEVELOP_FILES]
    rows = next((one for one in lists if one), [])
    left_out = {*_LINTERS, canonicalize_name(project.name)}
    return [
        row
        for row in rows
        if _installable(row) and canonicalize_name(Requirement(row).name) not in left_out
    ]


def _named(project: Project) -> Iterator[str]:
    lines = project.ini("tox.ini").get("testenv", "deps", fallback="").splitlines()
    yield from (line.strip() for line in lines if "{" not in line)
    yield from _strings(project.setup_py.get("tests_require"))
    yield from project.setup_cfg.get("options", "tests_require", fallback="").splitlines()
    for name in ("hatch-test", *_TEST_NAMES, "default"):
        table = project.table("tool", "hatch", "envs", name)
        yield from _strings(table.get("dependencies"))
        yield from _strings(table.get("extra-dependencies"))
    for name in _TEST_NAMES:
        yield from _strings(project.table("tool", "pdm", "dev-dependencies").get(name))
        yield from project.table("tool", "poetry", "group", name, "dependencies")


def _installable(text: str) -> bool:
    """A plain requirement: no path, link, option or tox factor."""
    try:
        return Requirement(text).url is None
    except InvalidRequirement:
        return False


def _strings(value: Any) -> list[str]:
    if isinstance(value, str):
        return value.splitlines()
    return [one for one in value if isinstance(one, str)] if isinstance(value, list | tuple) else []
