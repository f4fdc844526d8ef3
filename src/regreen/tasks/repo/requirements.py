"""What a suite needs beyond the library, as the project's files declare it: a ladder of rungs.

What speaks of tests wins over what speaks of development, which drags in linters and documentation
builders that no test needs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from regreen.tasks.repo.hints import Hints, installable, nox_and_ci_hints, tox_hints
from regreen.tasks.repo.project import Project

__all__ = ["REQUIREMENT_FILES", "Requirements", "declared_names", "test_requirements"]

_TEST_NAMES = ("test", "tests", "testing", "unittest", "unittests", "pytest")
_DEVELOP_NAMES = ("dev", "develop", "development", "devel", "all")
_LINTERS = {
    *(
        "mypy",
        "ruff",
        "ty",
        "pep8",
        "pycodestyle",
        "pyright",
        "basedpyright",
        "black",
        "flake8",
        "isort",
        "pylint",
    ),
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
_NAME = re.compile(r"[A-Za-z0-9][\w.-]*")
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
    """Requirements named elsewhere: tox, hatch, ``tests_require``, nox, CI."""

    @property
    def rung(self) -> str:
        """What it holds, in words: ``extras and groups``, ``files`` … or ``plain``."""
        held = [one for one in ("extras", "groups", "files", "names") if getattr(self, one)]
        return " and ".join(held) or "plain"


def test_requirements(tree: Path) -> tuple[Requirements, ...]:
    """The rungs of a tree, fullest first; rungs that would repeat the one above are left out.

    Where nothing speaks of tests, what nox or CI install before running them serves; else what is
    listed for development, less the tools that no test needs and that would make the environment
    ten times as large.
    """
    project = Project(tree)
    found = tox_hints(project)
    declared = _extras(project)
    found.extras += [one for one in declared if one.lower() in _TEST_NAMES]
    tables = project.table("dependency-groups")
    found.groups += [one for one in tables if one.lower() in _TEST_NAMES]
    found.files += [one for one in _FILES if project.text(one)]
    found.names += _named(project)
    if not found:
        found = nox_and_ci_hints(project) or Hints(names=_for_development(project))
        found.names = [one for one in found.names if _is_no_linter(one, project)]
    extras = tuple(dict.fromkeys(filter(_NAME.fullmatch, found.extras)))
    groups = tuple(dict.fromkeys(one for one in found.groups if one in tables))
    files = tuple(dict.fromkeys(found.files))
    named = tuple(dict.fromkeys(filter(installable, found.names)))
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
    hints = [*tox_hints(project).names, *nox_and_ci_hints(project).names]
    lines += [*project.dependencies, *_named(project), *hints]
    return tuple(Requirement(one).name for one in lines if installable(one))


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
    return [row for row in rows if installable(row)]


def _is_no_linter(row: str, project: Project) -> bool:
    return canonicalize_name(Requirement(row).name) not in {
        *_LINTERS,
        canonicalize_name(project.name),
    }


def _named(project: Project) -> Iterator[str]:
    yield from _strings(project.setup_py.get("tests_require"))
    yield from project.setup_cfg.get("options", "tests_require", fallback="").splitlines()
    for name in ("hatch-test", *_TEST_NAMES, "default"):
        table = project.table("tool", "hatch", "envs", name)
        yield from _strings(table.get("dependencies"))
        yield from _strings(table.get("extra-dependencies"))
    for name in _TEST_NAMES:
        yield from _strings(project.table("tool", "pdm", "dev-dependencies").get(name))
        yield from project.table("tool", "poetry", "group", name, "dependencies")


def _strings(value: Any) -> list[str]:
    if isinstance(value, str):
        return value.splitlines()
    return [one for one in value if isinstance(one, str)] if isinstance(value, list | tuple) else []
