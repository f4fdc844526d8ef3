"""What the tests themselves say they need: the modules they import, the plugins they use.

A module's name is no proof of a distribution's, so what the project declares anywhere goes before
any table, and a table before the bare name; the result is installed one by one, in the box only.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from packaging.utils import canonicalize_name

from regreen.tasks.repo.discovery import Suite, pytest_options
from regreen.tasks.repo.packages import package_roots
from regreen.tasks.repo.parsing import parsed, remembered
from regreen.tasks.repo.project import Project, inside
from regreen.tasks.repo.requirements import declared_names

__all__ = ["distribution_of", "importable", "imported_modules", "plugins"]

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
_NAMESPACES = {"zope", "google", "ruamel", "backports", "jaraco", "azure", "paste", "repoze"}
"""Packages that several distributions share, each named like its part."""
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


def imported_modules(tree: Path, suite: Suite) -> dict[str, str]:
    """Third-party modules the tests import at their top level, and the distributions to try.

    Imports inside ``try``, ``if`` or a function are left out: the tests live without them.
    """
    local = {Path(one).stem for one in package_roots(tree)}
    local |= {one.stem for one in tree.iterdir()} | {"pytest", "_pytest"}
    declared = declared_names(Project(tree))
    # any test directory may be on the path, so each folder and file of theirs is a module's name
    helpers = (path.relative_to(tree).with_suffix("") for path in sorted(tree.rglob("*.py")))
    local |= {part for one in helpers if suite.is_test_file(f"{one}.py") for part in one.parts}
    found: dict[str, str] = {}
    for named in _test_words(tree, suite):
        for name in named.imports:
            if name not in local and name not in sys.stdlib_module_names:
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
    close = [one for one in names if plain in {one, *one.split("-")}] or [
        one for one in names if "." in module and one.startswith(f"{plain}-")
    ]
    return close[0] if close else plain


def plugins(tree: Path, suite: Suite) -> tuple[str, ...]:
    """Distributions of pytest plugins that the suite uses: by option, ini key, mark or fixture.

    And ``py``, of which a newer pytest brings a small part under the same name.
    """
    options, _ = pytest_options(Project(tree))
    added = options.get("addopts", "")
    words = added if isinstance(added, list) else str(added).split()
    found = {_OPTIONS[one] for one in _OPTIONS for word in words if _option(str(word), one)}
    found |= {_INI[key] for key in _INI if key in options}
    for named in _test_words(tree, suite):
        found |= {_MARKS.get(one, "") for one in named.marks}
        found |= {"py"} & set(named.imports)  # pytest's own stand-in for it lacks most of it
        found |= {_FIXTURES.get(one, "") for one in named.fixtures}
    return tuple(sorted(found - {""}))


def _option(word: str, option: str) -> bool:
    if not option.startswith("--"):
        return word.startswith(option)
    name = word.partition("=")[0]
    return name == option or name.startswith(f"{option}-")


def _is_mark(node: ast.expr) -> bool:
    return isinstance(node, ast.Attribute) and node.attr == "mark"


@dataclass(frozen=True, slots=True)
class _Words:
    """What one file of tests names."""

    imports: tuple[str, ...] = ()
    marks: frozenset[str] = frozenset()
    fixtures: frozenset[str] = frozenset()


@remembered
def _words(text: bytes) -> _Words:
    """Modules imported at the top, marks, and arguments of tests that the file does not define."""
    module = parsed(text)
    if module is None:
        return _Words()
    marks, defined, used = set(), set(), set()
    for node in ast.walk(module):
        if isinstance(node, ast.Attribute) and _is_mark(node.value):
            marks.add(node.attr)
        elif isinstance(node, ast.FunctionDef):
            defined.add(node.name)
            if node.name.startswith("test"):
                used |= {one.arg for one in node.args.args}
    return _Words(tuple(_top_imports(module)), frozenset(marks), frozenset(used - defined))


def _test_words(tree: Path, suite: Suite) -> Iterator[_Words]:
    for path in sorted(tree.rglob("*.py")):
        known = path.name == "conftest.py" or suite.collects(path.relative_to(tree).as_posix())
        if known and inside(tree, path):
            yield _words(path.read_bytes())


def _top_imports(module: ast.Module) -> Iterator[str]:
    for node in module.body:
        if isinstance(node, ast.Import):
            yield from (importable(alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield importable(node.module)


def importable(module: str) -> str:
    """The part of a dotted name that a distribution stands for: two of a shared namespace."""
    parts = module.split(".")
    return ".".join(parts[: 2 if parts[0] in _NAMESPACES else 1])
