"""What a suite needs beyond the library: declared first, then read off the tests themselves.

Declarations form a ladder, fullest rung first. Names guessed from imports are kept apart, because a
module's name is no proof of a distribution's: they are tried one by one, inside the box only.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from regreen.tasks.discovery import Suite, pytest_options
from regreen.tasks.packages import package_roots
from regreen.tasks.project import Project, inside

__all__ = [
    "Requirements",
    "declared_names",
    "distribution_of",
    "imported_modules",
    "plugins",
    "test_requirements",
]

_TEST_NAMES = ("test", "tests", "testing", "unittest", "unittests", "pytest")
_DEVELOP_NAMES = ("dev", "develop", "development", "devel", "all")
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
_DISTRIBUTIONS = {
    **{"yaml": "PyYAML", "PIL": "Pillow", "cv2": "opencv-python-headless", "bs4": "beautifulsoup4"},
    **{"dateutil": "python-dateutil", "sklearn": "scikit-learn", "attr": "attrs", "zmq": "pyzmq"},
    **{"OpenSSL": "pyOpenSSL", "Crypto": "pycryptodome", "dotenv": "python-dotenv", "jwt": "PyJWT"},
    **{"git": "GitPython", "serial": "pyserial", "docx": "python-docx", "magic": "python-magic"},
    **{
        "pkg_resources": "setuptools<81",
        "markdown": "Markdown",
        "socks": "PySocks",
        "mock": "mock",
    },
    **{"google.protobuf": "protobuf", "ruamel": "ruamel.yaml", "slugify": "python-slugify"},
    **{"freezegun": "freezegun", "_pytest": "pytest", "pythonjsonlogger": "python-json-logger"},
}
_FIXTURES = {
    **{"mocker": "pytest-mock", "benchmark": "pytest-benchmark", "freezer": "pytest-freezer"},
    **{"httpserver": "pytest-httpserver", "httpbin": "pytest-httpbin", "datadir": "pytest-datadir"},
    **{"requests_mock": "requests-mock", "respx_mock": "respx", "snapshot": "syrupy"},
    **{"faker": "Faker", "subtests": "pytest-subtests", "data_regression": "pytest-regressions"},
    **{
        "xprocess": "pytest-xprocess",
        "httpx_mock": "pytest-httpx",
        "aiohttp_client": "pytest-aiohttp",
    },
}
_MARKS = {
    **{"asyncio": "pytest-asyncio", "trio": "pytest-trio", "timeout": "pytest-timeout"},
    **{"django_db": "pytest-django", "flaky": "flaky", "benchmark": "pytest-benchmark"},
    **{"anyio": "anyio", "freeze_time": "pytest-freezer", "dependency": "pytest-dependency"},
}
_OPTIONS = {
    **{"--cov": "pytest-cov", "--no-cov": "pytest-cov", "-n": "pytest-xdist"},
    **{"--numprocesses": "pytest-xdist", "--dist": "pytest-xdist", "--timeout": "pytest-timeout"},
    **{
        "--benchmark": "pytest-benchmark",
        "--reruns": "pytest-rerunfailures",
        "--html": "pytest-html",
    },
    **{
        "--doctest-plus": "pytest-doctestplus",
        "--flake8": "pytest-flake8",
        "--mypy": "pytest-mypy",
    },
    **{
        "--random-order": "pytest-random-order",
        "--isort": "pytest-isort",
        "--black": "pytest-black",
    },
    **{"--asyncio-mode": "pytest-asyncio", "--ds": "pytest-django", "--ruff": "pytest-ruff"},
}
_INI = {
    **{"asyncio_mode": "pytest-asyncio", "timeout": "pytest-timeout", "env": "pytest-env"},
    **{"DJANGO_SETTINGS_MODULE": "pytest-django", "trio_mode": "pytest-trio"},
    **{"mypy_ini_file": "pytest-mypy-plugins", "xfail_strict_plugins": ""},
}


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

    Names that speak of tests win over those that speak of development, which drag in linters.
    """
    project = Project(tree)
    extras = _chosen(_extras(project))
    groups = _chosen(project.table("dependency-groups"))
    files = tuple(one for one in _FILES if project.text(one))
    names = tuple(dict.fromkeys(filter(_installable, _named(project))))
    if not (files or extras or groups):
        files = tuple(one for one in _DEVELOP_FILES if project.text(one))[:1]
    rungs = (
        Requirements(extras, groups, files, names),
        Requirements(extras, (), files, names),
        Requirements((), (), files, names),
        Requirements(),
    )
    return tuple(dict.fromkeys(rungs))


test_requirements.__test__ = False  # type: ignore[attr-defined]


def imported_modules(tree: Path, suite: Suite) -> dict[str, str]:
    """Third-party modules the tests import at their top level, and the distributions to try.

    Imports inside ``try``, ``if`` or a function are left out: the tests live without them.
    """
    local = {Path(one).stem for one in package_roots(tree)}
    local |= {one.stem for one in tree.iterdir()} | {"pytest", "_pytest"}
    declared = declared_names(Project(tree))
    modules = list(_test_modules(tree, suite))
    # a test directory may be on the path itself, so every folder above a test counts as a module
    local |= {part for path, _ in modules for part in path.relative_to(tree).with_suffix("").parts}
    found: dict[str, str] = {}
    for path, module in modules:
        beside = {one.stem for one in path.parent.iterdir()}
        for name in _top_imports(module):
            if name not in local | beside and name not in sys.stdlib_module_names:
                found[name] = distribution_of(name, declared)
    return dict(sorted(found.items()))


def distribution_of(module: str, declared: Iterable[str] = ()) -> str:
    """The distribution to try for a module.

    One the project itself declares, in whatever extra, under the module's name or a longer one;
    else a well-known one; else one of the module's name.
    """
    plain = canonicalize_name(module)
    names = sorted({canonicalize_name(one) for one in declared}, key=len)
    if module in _DISTRIBUTIONS and plain not in names:
        return _DISTRIBUTIONS[module]
    close = [one for one in names if plain in {one, *one.split("-")}]
    return close[0] if close else plain


def declared_names(project: Project) -> tuple[str, ...]:
    """Names of everything the project's files list as a dependency of any kind."""
    tables = [project.table("project", "optional-dependencies"), project.table("dependency-groups")]
    lines = [one for table in tables for value in table.values() for one in _strings(value)]
    if project.setup_cfg.has_section("options.extras_require"):
        for value in project.setup_cfg["options.extras_require"].values():
            lines += value.splitlines()
    for name in (*_FILES, *_DEVELOP_FILES):
        lines += project.text(name).splitlines()
    lines += [*project.dependencies, *_named(project)]
    return tuple(Requirement(one).name for one in lines if _installable(one))


def plugins(tree: Path, suite: Suite) -> tuple[str, ...]:
    """Distributions of pytest plugins that the suite uses: by option, ini key, mark or fixture."""
    options, _ = pytest_options(Project(tree))
    added = options.get("addopts", "")
    words = added if isinstance(added, list) else str(added).split()
    found = {_OPTIONS[one] for one in _OPTIONS for word in words if _option(str(word), one)}
    found |= {_INI[key] for key in _INI if key in options}
    for _, module in _test_modules(tree, suite):
        own = {one.name for one in ast.walk(module) if isinstance(one, ast.FunctionDef)}
        for node in ast.walk(module):
            if isinstance(node, ast.Attribute) and _is_mark(node.value):
                found.add(_MARKS.get(node.attr, ""))
            elif isinstance(node, ast.FunctionDef) and node.name.startswith("test"):
                used = {one.arg for one in node.args.args} - own
                found |= {_FIXTURES[one] for one in used & _FIXTURES.keys()}
    return tuple(sorted(found - {""}))


def _option(word: str, option: str) -> bool:
    if not option.startswith("--"):
        return word.startswith(option)
    name = word.partition("=")[0]
    return name == option or name.startswith(f"{option}-")


def _is_mark(node: ast.expr) -> bool:
    return isinstance(node, ast.Attribute) and node.attr == "mark"


def _test_modules(tree: Path, suite: Suite) -> Iterator[tuple[Path, ast.Module]]:
    for path in sorted(tree.rglob("*.py")):
        if suite.is_test_file(path.relative_to(tree).as_posix()) and inside(tree, path):
            try:
                yield path, ast.parse(path.read_bytes())
            except (SyntaxError, ValueError):
                continue


def _top_imports(module: ast.Module) -> Iterator[str]:
    for node in module.body:
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]


def _extras(project: Project) -> Iterable[str]:
    yield from project.table("project", "optional-dependencies")
    yield from project.table("tool", "poetry", "extras")
    if project.setup_cfg.has_section("options.extras_require"):
        yield from project.setup_cfg["options.extras_require"]
    literal = project.setup_py.get("extras_require")
    yield from literal if isinstance(literal, dict) else ()


def _chosen(names: Iterable[str]) -> tuple[str, ...]:
    """Those that speak of tests, else the first that speaks of development."""
    known = dict.fromkeys(names)
    tests = tuple(one for one in known if one.lower() in _TEST_NAMES)
    return tests or tuple(one for one in _DEVELOP_NAMES if one in known)[:1]


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
