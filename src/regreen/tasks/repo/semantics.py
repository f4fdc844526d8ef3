"""What a change of Python text means: nothing, a version number, or another program.

Comments, docstrings, annotations and layout are not part of the program. Text that the running
Python cannot parse is taken to mean something: it may be older than the parser.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from itertools import zip_longest
from typing import Literal

from regreen.tasks.repo.parsing import dumped, parsed, remembered

__all__ = ["Meaning", "changed_tests", "definitions", "meaning", "parsed", "property_tests"]

Meaning = Literal["none", "version", "program"]
_FIELD = ast.AnnAssign
_ENCODING = re.compile(rb"coding[:=](?!\s*utf-?8\b)", re.IGNORECASE)
_VERSION = re.compile(r"__version(?:_info)?__|version(?:_info|_tuple)?|__date__|__build__", re.I)


def meaning(before: bytes | None, after: bytes | None) -> Meaning:
    """What changed between two versions of a module; None is an absent file."""
    versions = _Version(before or b""), _Version(after or b"")
    if any(one.module is None for one in versions):
        return "program"
    old, new = (ast.Module(body, []) for body in _differing(*versions))
    try:
        _Bare().visit(old)
        _Bare().visit(new)
    except RecursionError:
        return "program"
    if _equal(old, new):
        return "none"
    for module in (old, new):
        module.body = [node for node in module.body if not _is_version(node)]
    return "version" if _equal(old, new) else "program"


class _Version:
    """A module with its text: what is word for word the same need not be compared as a tree."""

    def __init__(self, text: bytes) -> None:
        self.module = parsed(text)
        self._lines = re.split(rb"\r\n|\r|\n", text)
        self._plain = not _ENCODING.search(b"\n".join(self._lines[:2]))

    def words(self, node: ast.stmt) -> object:
        """The lines of a statement; something unique where they do not decide what it says.

        That is so for one that was made here, and in a file that declares an encoding.
        """
        begin = getattr(node, "lineno", None)
        if begin is None or not self._plain:
            return node
        begin = min([begin, *(one.lineno for one in getattr(node, "decorator_list", ()))])
        return node.col_offset, node.end_col_offset, *self._lines[begin - 1 : node.end_lineno]


def _differing(old: _Version, new: _Version) -> tuple[list[ast.stmt], list[ast.stmt]]:
    """Statements of both without those with which both begin and end."""
    first, second = ([*version.module.body] for version in (old, new) if version.module)
    for at in (0, -1):
        while first and second and old.words(first[at]) == new.words(second[at]):
            del first[at], second[at]
    return first, second


def _equal(one: ast.AST, other: ast.AST) -> bool:
    """Whether two trees are known to be equal."""
    text = dumped(one)
    return text is not None and text == dumped(other)


class _Bare(ast.NodeTransformer):
    """Takes out what does not run: docstrings, annotations, bare strings."""

    def generic_visit(self, node: ast.AST) -> ast.AST:
        super().generic_visit(node)
        body = getattr(node, "body", None)
        if isinstance(body, list):
            node.body = [one for one in body if not _is_text(one)]  # type: ignore[attr-defined]
        return node

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        """Annotated fields stay as they are: data classes read them."""
        fields = {place: one for place, one in enumerate(node.body) if isinstance(one, _FIELD)}
        node.body = [ast.Pass() if place in fields else one for place, one in enumerate(node.body)]
        self.generic_visit(node)
        node.body += fields.values()
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST | None:
        """``x: int = 1`` means what ``x = 1`` does; without a value it means nothing here."""
        if node.value is None:
            return ast.copy_location(ast.Expr(node.target), node)
        self.generic_visit(node)
        return ast.copy_location(ast.Assign([node.target], node.value), node)

    def visit_arg(self, node: ast.arg) -> ast.AST:
        node.annotation = None
        node.type_comment = None
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.returns = None
        return self.generic_visit(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        node.returns = None
        return self.generic_visit(node)


def _is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _is_version(node: ast.stmt) -> bool:
    return isinstance(node, ast.Assign) and all(
        isinstance(target, ast.Name) and _VERSION.fullmatch(target.id) for target in node.targets
    )


def changed_tests(before: bytes | None, after: bytes | None) -> tuple[str, ...] | None:
    """Test functions that are new or differ, as ``name`` or ``Class::name``.

    Returns:
        None when that cannot be told: the running Python cannot parse the file, or what differs
        in it stands beside no test that has a name. Every test of the file when something outside
        its tests differs, such as a fixture or a table.
    """
    old, new = _Version(before or b""), _Version(after or b"")
    if old.module is None or new.module is None:
        return None

    def same(one: ast.stmt | None, other: ast.stmt | None) -> bool:
        if one is None or other is None:
            return False
        return old.words(one) == new.words(other) or ast.dump(one) == ast.dump(other)

    known, found = dict(_tests(old.module)), dict(_tests(new.module))
    pairs = zip_longest(_rest(old.module), _rest(new.module))
    try:
        if not all(same(one, other) for one, other in pairs):
            return tuple(found) or None
        return tuple(name for name, node in found.items() if not same(known.get(name), node))
    except (RecursionError, ValueError):
        return None


@remembered
def property_tests(text: bytes) -> tuple[str, ...]:
    """Tests that Hypothesis draws examples for, named like :func:`changed_tests` names them."""
    found: list[str] = []
    module = parsed(text)
    for node in module.body if module else ():
        holders = node.body if isinstance(node, ast.ClassDef) else [node]
        prefix = f"{node.name}::" if isinstance(node, ast.ClassDef) else ""
        found += [
            f"{prefix}{name}"
            for one in holders
            if (name := _test_name(one)) and any(map(_draws, getattr(one, "decorator_list", ())))
        ]
    return tuple(found)


def _draws(decorator: ast.expr) -> bool:
    called = decorator.func if isinstance(decorator, ast.Call) else decorator
    name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
    return name == "given"


def definitions(module: ast.Module) -> tuple[int, int]:
    """How many tests a module defines, and how many functions and classes that are none."""
    tests = len(list(_tests(module)))
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    holders = {name.partition("::")[0] for name, _ in _tests(module)}
    others = sum(isinstance(node, kinds) and node.name not in holders for node in module.body)
    return tests, others


def _tests(module: ast.Module) -> Iterator[tuple[str, ast.stmt]]:
    for node in module.body:
        if name := _test_name(node):
            yield name, node
        elif isinstance(node, ast.ClassDef):
            for inner in node.body:
                if name := _test_name(inner):
                    yield f"{node.name}::{name}", inner


def _test_name(node: ast.stmt) -> str:
    """Name of a test function; empty for anything else."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test"):
        return node.name
    return ""


def _rest(module: ast.Module) -> Iterator[ast.stmt]:
    """Everything but the tests, docstrings aside."""
    for node in module.body:
        if _test_name(node) or _is_text(node):
            continue
        if isinstance(node, ast.ClassDef):
            kept = [one for one in node.body if not _test_name(one) and not _is_text(one)]
            yield ast.ClassDef(node.name, node.bases, node.keywords, kept, node.decorator_list)
        else:
            yield node
