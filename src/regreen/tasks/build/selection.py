"""Which files and which tests a call of pytest takes, by its arguments and the project's ini.

Only what decides about collection is read: patterns of names, directories left out, ``--ignore``,
``--deselect`` and ``-m``. Defaults are pytest 8's (its reference of configuration options).
"""

from __future__ import annotations

import ast
import os
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from regreen.tasks.repo.discovery import pytest_options
from regreen.tasks.repo.project import Project, inside

__all__ = ["Selection", "select", "test_modules"]

_NOT_ENTERED = ("*.egg", ".*", "_darcs", "build", "CVS", "dist", "node_modules", "venv", "{arch}")
_ALWAYS_LEFT = ("__pycache__", "site-packages")
_VALUED = ("-m", "-c", "-o", "--ignore", "--ignore-glob", "--deselect", "--override-ini", "-k")
_SETS_INI_ASIDE = ("-c", "--config-file")


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """What pytest's configuration says about collection."""

    files: tuple[str, ...] = ("test_*.py", "*_test.py")
    """``python_files``."""
    classes: tuple[str, ...] = ("Test",)
    """``python_classes``."""
    functions: tuple[str, ...] = ("test",)
    """``python_functions``."""
    not_entered: tuple[str, ...] = _NOT_ENTERED
    """``norecursedirs``."""
    ignored: tuple[str, ...] = ()
    """Paths and patterns of ``--ignore``, ``--ignore-glob`` and ``collect_ignore``."""
    deselected: tuple[str, ...] = ()
    """Prefixes of node ids."""
    marks: str = ""
    """The expression of ``-m``."""

    def takes_class(self, name: str) -> bool:
        """Whether a class of this name is a test class by its name."""
        return _starts(name, self.classes)

    def takes_function(self, name: str) -> bool:
        """Whether a function of this name is a test."""
        return _starts(name, self.functions)

    def takes_marks(self, marks: frozenset[str]) -> bool:
        """Whether ``-m`` leaves a test with these marks in; an expression not understood does."""
        try:
            return not self.marks or _holds(ast.parse(self.marks, mode="eval").body, marks)
        except (SyntaxError, ValueError):
            return True


def _starts(name: str, patterns: Sequence[str]) -> bool:
    return any(
        name.startswith(one) or (any(mark in one for mark in "*?[") and fnmatch(name, one))
        for one in patterns
    )


def _holds(expression: ast.expr, marks: frozenset[str]) -> bool:
    match expression:
        case ast.Name():
            return expression.id in marks
        case ast.UnaryOp(op=ast.Not()):
            return not _holds(expression.operand, marks)
        case ast.BoolOp():
            every = isinstance(expression.op, ast.And)
            return (all if every else any)(_holds(one, marks) for one in expression.values)
    raise ValueError


@dataclass(slots=True)
class _Words:
    """Options of a command line, values apart."""

    values: dict[str, list[str]] = field(default_factory=dict)

    def read(self, words: Sequence[str]) -> None:
        waiting = list(words)
        while waiting:
            word = waiting.pop(0)
            name, equals, value = word.partition("=")
            if not equals and word[:2] in ("-m", "-c", "-o", "-k") and len(word) > 2:
                name, value, equals = word[:2], word[2:], "="
            if name in (*_VALUED, *_SETS_INI_ASIDE):
                if not equals and waiting:
                    value = waiting.pop(0)
                self.values.setdefault(name, []).append(value)

    def of(self, *names: str) -> list[str]:
        return [value for name in names for value in self.values.get(name, ())]


def select(tree: Path, options: Sequence[str] = ()) -> Selection:
    """The selection of a tree's own configuration and of further options of the call.

    Args:
        tree: the repository's files.
        options: arguments that every run gets, for example ``-c /dev/null``, which sets the
            project's configuration aside.
    """
    given = _Words()
    given.read(options)
    ini: dict[str, Any] = {} if given.of(*_SETS_INI_ASIDE) else pytest_options(Project(tree))[0]
    ini = dict(ini) | dict(
        one.split("=", 1) for one in given.of("-o", "--override-ini") if "=" in one
    )
    words = _Words()
    words.read(_list(ini.get("addopts"), shell=True))
    words.read(options)
    standard = Selection()
    return Selection(
        files=_listed(ini, "python_files", standard.files),
        classes=_listed(ini, "python_classes", standard.classes),
        functions=_listed(ini, "python_functions", standard.functions),
        not_entered=_listed(ini, "norecursedirs", standard.not_entered),
        ignored=(
            *(one.removeprefix("./").strip("/") for one in words.of("--ignore", "--ignore-glob")),
            *_collect_ignore(tree),
        ),
        deselected=tuple(words.of("--deselect")),
        marks=(words.of("-m") or [""])[-1],
    )


def _listed(ini: dict[str, Any], name: str, standard: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(_list(ini[name])) if name in ini else standard


def _list(value: Any, *, shell: bool = False) -> list[str]:  # INI and TOML edge
    if isinstance(value, list):
        return [str(one) for one in value]
    text = str(value or "")
    if not shell:
        return text.split()
    try:
        return shlex.split(text, comments=True)
    except ValueError:
        return text.split()


def _collect_ignore(tree: Path) -> Iterator[str]:
    """What any ``conftest.py`` leaves out, also under a condition: nobody can demand it then."""
    for path in sorted(tree.rglob("conftest.py")):
        folder = path.parent.relative_to(tree).as_posix()
        try:
            module = ast.parse(path.read_bytes() if inside(tree, path) else b"")
        except (SyntaxError, ValueError):
            continue
        for node in ast.walk(module):
            if isinstance(node, ast.Assign | ast.AugAssign | ast.Expr) and any(
                isinstance(name, ast.Name) and name.id in ("collect_ignore", "collect_ignore_glob")
                for name in ast.walk(node)
            ):
                for one in ast.walk(node):
                    if isinstance(one, ast.Constant) and isinstance(one.value, str):
                        yield one.value if folder == "." else f"{folder}/{one.value}"


def test_modules(tree: Path, selection: Selection, paths: Sequence[str]) -> list[str]:
    """Python files that pytest would import as test modules, relative to the tree, sorted.

    Args:
        tree: the repository's files.
        selection: its patterns.
        paths: arguments of the call: files, directories or node ids; the whole tree when empty.
    """
    found: set[str] = set()
    for word in paths or (".",):
        plain = word.partition("::")[0].removeprefix("./").rstrip("/") or "."
        start = tree / plain
        if start.is_file():
            found.add(plain)
        elif start.is_dir():
            found.update(_below(tree, start, selection))
    return sorted(found)


test_modules.__test__ = False  # type: ignore[attr-defined]


def _below(tree: Path, start: Path, selection: Selection) -> Iterator[str]:
    for folder, names, files in os.walk(start):
        here = Path(folder).relative_to(tree)
        names[:] = [
            name
            for name in names
            if not _left_out(here / name, selection)
            and name not in _ALWAYS_LEFT
            and not any(_matches(here / name, one) for one in selection.not_entered)
            and not (Path(folder, name) / "pyvenv.cfg").is_file()
        ]
        for name in files:
            path = here / name
            taken = name.endswith(".py") and any(_matches(path, one) for one in selection.files)
            if taken and not _left_out(path, selection):
                yield path.as_posix()


def _matches(path: Path, pattern: str) -> bool:
    return fnmatch(path.as_posix() if "/" in pattern else path.name, pattern.lstrip("/")) or (
        "/" in pattern and fnmatch(path.as_posix(), f"*/{pattern.lstrip('/')}")
    )


def _left_out(path: Path, selection: Selection) -> bool:
    name = path.as_posix()
    return any(name == one or fnmatch(name, one) for one in selection.ignored)
