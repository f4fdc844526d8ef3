"""Find a project's tests and its library code in its own files, without importing any of it.

A file is on the test side because the suite's own configuration says so, never because a word in
its path looks like "test": ``click/testing.py`` is source, ``toolz/tests/test_curried.py`` is not.
"""

from __future__ import annotations

import ast
import os
import re
import shlex
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from regreen.core.errors import TaskError
from regreen.tasks.repo.packages import package_roots
from regreen.tasks.repo.parsing import parsed
from regreen.tasks.repo.project import Project, inside

__all__ = [
    "Suite",
    "TestCommand",
    "find_suite",
    "named_modules",
    "source_files",
    "test_arguments",
]

_TEST_FOLDER = re.compile(r"_?tests?_?|testing|(unit|functional|integration)_?tests?|tests?_\w+")
_WITH_VALUE = frozenset(
    (
        *(
            "-c",
            "-k",
            "-m",
            "-n",
            "-o",
            "-p",
            "-r",
            "-W",
            "--config-file",
            "--rootdir",
            "--basetemp",
        ),
        *("--cov", "--cov-report", "--cov-config", "--confcutdir", "--ignore", "--ignore-glob"),
        *("--deselect", "--junitxml", "--junit-xml", "--junit-prefix", "--durations", "--tb"),
        *("--maxfail", "--import-mode", "--override-ini", "--log-level", "--log-file", "--timeout"),
        *("--html", "--numprocesses", "--dist", "--color", "--capture", "--doctest-glob"),
    )
)
"""Options of pytest and of its most used plug-ins whose value may stand in the next word."""
_SKIPPED = {"node_modules", "build", "dist", "venv", "__pycache__", "site-packages"}


@dataclass(frozen=True, slots=True)
class TestCommand:
    """How the suite is started."""

    __test__ = False

    args: tuple[str, ...]
    """Paths for pytest, relative to the root; empty for the whole tree."""
    found_in: str
    """The file and section that say so, or ``layout``."""


@dataclass(frozen=True, slots=True)
class Suite:
    """What belongs to the tests of a tree."""

    command: TestCommand
    """How it is started."""
    python_files: tuple[str, ...]
    """Patterns of test modules, as pytest's option of that name."""
    folders: tuple[str, ...]
    """Directories whose every file is on the test side."""

    def collects(self, path: str) -> bool:
        """Whether pytest would take this module for a test file."""
        return path.endswith(".py") and any(_matches(path, one) for one in self.python_files)

    def is_plainly_test(self, path: str) -> bool:
        """Whether a file is on the test side by its place or by a name that is given to tests."""
        below = any(path.startswith(f"{folder}/") for folder in self.folders)
        named = any(_matches(path, one) for one in self.python_files if "test" in one)
        return below or Path(path).name == "conftest.py" or named

    def is_test_file(self, path: str) -> bool:
        """Whether a file, relative to the root, is on the test side: tests, helpers, data."""
        below = any(path.startswith(f"{folder}/") for folder in self.folders)
        return below or Path(path).name == "conftest.py" or self.collects(path)


def test_arguments(tree: Path) -> TestCommand:
    """How the tests of a tree are started, by the first of these that names something there.

    1. ``testpaths`` of the file pytest itself would choose (pytest.toml, pytest.ini,
       pyproject.toml, tox.ini, setup.cfg);
    2. the pytest command of tox's ``[testenv]``; 3. of a nox session; 4. of a Makefile;
    5. the layout: ``tests``, ``test``, ``testing``, or wherever test files lie.

    Raises:
        TaskError: there are no tests.
    """
    return find_suite(tree).command


test_arguments.__test__ = False  # type: ignore[attr-defined]


def find_suite(tree: Path, *, where: str = "") -> Suite:
    """The suite of a tree; ``where`` names it in errors.

    Files that only unittest would find (``test.py``) count when pytest would find none, and are
    then named one by one.

    Raises:
        TaskError: there are no tests.
    """
    project = Project(tree)
    options, place = pytest_options(project)
    patterns = _words(options.get("python_files")) or ("test_*.py", "*_test.py")
    modules = [one for one in _modules(tree) if any(_matches(one, glob) for glob in patterns)]
    loose = () if modules else tuple(filter(_unittest_like, _modules(tree)))
    if not modules and not loose:
        what = "the source holds no tests that pytest would find"
        mend = "give the project's git repository (source archives often leave tests out)"
        raise TaskError(what, where=where or str(tree), mend=mend)
    if loose:
        command = TestCommand(loose, "layout")
        return Suite(command, (*patterns, *loose), _folders(tree, command, list(loose)))
    command = (
        _existing(project, _words(options.get("testpaths")), f"testpaths in {place}")
        or _from_tox(project)
        or _from_nox(project)
        or _from_makefile(project)
        or _from_layout(tree, modules)
    )
    return Suite(command, patterns, _folders(tree, command, modules))


def source_files(tree: Path, suite: Suite) -> tuple[str, ...]:
    """The library's Python files, relative to the root, sorted; nothing of the test side."""
    roots = package_roots(tree)
    return tuple(
        path
        for path in sorted(_modules(tree))
        if any(path == root or path.startswith(f"{root}/") for root in roots)
        and not suite.is_test_file(path)
    )


def named_modules(project: Project) -> tuple[str, ...]:
    """``python_files`` of a project's pytest settings; empty where they do not say."""
    return _words(pytest_options(project)[0].get("python_files"))


def pytest_options(project: Project) -> tuple[dict[str, Any], str]:  # INI and TOML edge
    """The project's pytest options and the file they stand in, by pytest's own precedence."""
    for name in ("pytest.toml", ".pytest.toml"):
        if inside(project.tree, project.tree / name):
            return project.toml(name).get("pytest", {}), name
    for name in ("pytest.ini", ".pytest.ini"):
        if inside(project.tree, project.tree / name):
            return _section(project, name, "pytest"), name
    tool = project.table("tool", "pytest")
    if tool:
        return project.table("tool", "pytest", "ini_options") or tool, "pyproject.toml"
    for name, section in (
        ("tox.ini", "pytest"),
        ("setup.cfg", "tool:pytest"),
        ("setup.cfg", "pytest"),
    ):
        if found := _section(project, name, section):
            return found, name
    return {}, ""


def _section(project: Project, name: str, section: str) -> dict[str, Any]:
    parser = project.ini(name)
    return dict(parser[section]) if parser.has_section(section) else {}


def _words(value: Any) -> tuple[str, ...]:
    if isinstance(value, list):
        return tuple(str(one) for one in value)
    return tuple(str(value or "").split())


def _matches(path: str, pattern: str) -> bool:
    """As pytest matches: a pattern without a slash looks at the name only."""
    return fnmatch(path, f"*{pattern}") if "/" in pattern else fnmatch(Path(path).name, pattern)


def _modules(tree: Path) -> Iterator[str]:
    for folder, names, files in os.walk(tree):
        names[:] = sorted(
            name for name in names if name not in _SKIPPED and not name.startswith(".")
        )
        for name in sorted(files):
            if name.endswith(".py"):
                yield Path(folder, name).relative_to(tree).as_posix()


def _unittest_like(path: str) -> bool:
    name = Path(path).name
    return name in {"test.py", "tests.py"} or (
        fnmatch(name, "test*.py") and bool(_test_folder(path))
    )


def _existing(project: Project, words: tuple[str, ...], found_in: str) -> TestCommand | None:
    """The words that are paths of the tree, patterns expanded; None when none is."""
    paths: list[str] = []
    for before, word in zip(("", *words), words, strict=False):
        if before in _WITH_VALUE:
            continue
        plain = word.partition("::")[0].strip("/").removeprefix("./") or "."
        if plain.startswith("-") or ".." in plain.split("/") or plain.startswith("/"):
            continue
        with suppress(OSError, ValueError):  # no file is named so, and no pattern written so
            paths += _matching(project.tree, plain)
    return TestCommand(tuple(dict.fromkeys(paths)), found_in) if paths else None


def _matching(tree: Path, plain: str) -> list[str]:
    if any(mark in plain for mark in "*?["):
        return sorted(one.relative_to(tree).as_posix() for one in tree.glob(plain))
    if (tree / plain).exists():
        return [plain]
    dotted = plain.replace(".", "/")  # after --pyargs
    return [dotted] if (tree / dotted).is_dir() else []


def _from_tox(project: Project) -> TestCommand | None:
    tox = project.ini("tox.ini")
    commands = tox.get("testenv", "commands", fallback="")
    inner = project.ini_text(str(project.table("tool", "tox").get("legacy_tox_ini", "")))
    commands = commands or inner.get("testenv", "commands", fallback="")
    text = re.sub(r"\{posargs:?([^}]*)\}", r"\1", commands.replace("\\\n", " "))
    text = text.replace("{toxinidir}/", "").replace("{tox_root}/", "")
    return _from_lines(project, text.splitlines(), "commands in tox.ini [testenv]")


def _from_makefile(project: Project) -> TestCommand | None:
    lines = project.text("Makefile").replace("\\\n", " ").splitlines()
    return _from_lines(project, [one for one in lines if one.startswith("\t")], "Makefile")


def _from_lines(project: Project, lines: list[str], found_in: str) -> TestCommand | None:
    for line in lines:
        try:
            words = shlex.split(line, comments=True)
        except ValueError:
            continue
        runner = [i for i, word in enumerate(words) if Path(word).name in {"pytest", "py.test"}]
        if runner and (found := _existing(project, tuple(words[runner[-1] + 1 :]), found_in)):
            return found
    return None


def _from_nox(project: Project) -> TestCommand | None:
    module = parsed(project.text("noxfile.py"))
    for call in ast.walk(module) if module else ():
        if isinstance(call, ast.Call):
            constants = [one.value for one in call.args if isinstance(one, ast.Constant)]
            words = [str(one) for one in constants]
            if "pytest" in words:
                after = tuple(words[words.index("pytest") + 1 :])
                if found := _existing(project, after, "noxfile.py"):
                    return found
    return None


def _from_layout(tree: Path, modules: list[str]) -> TestCommand:
    for name in ("tests", "test", "testing"):
        if any(module.startswith(f"{name}/") for module in modules):
            return TestCommand((name,), "layout")
    folders = {_test_folder(module) or module for module in modules}
    return TestCommand(tuple(sorted(folders)), "layout")


def _test_folder(module: str) -> str:
    """The outermost folder above a test module that is named like one for tests."""
    parts = module.split("/")[:-1]
    for depth, part in enumerate(parts, 1):
        if _TEST_FOLDER.fullmatch(part):
            return "/".join(parts[:depth])
    return ""


def _folders(tree: Path, command: TestCommand, modules: list[str]) -> tuple[str, ...]:
    """Test directories: named like one and holding tests, or given and apart from the library."""
    named = {_test_folder(module) for module in modules} - {""}
    roots = package_roots(tree)
    given = {
        path
        for path in command.args
        if path != "." and (tree / path).is_dir() and not any(_overlap(path, one) for one in roots)
    }
    return tuple(sorted(named | given))


def _overlap(one: str, other: str) -> bool:
    return one == other or one.startswith(f"{other}/") or other.startswith(f"{one}/")
