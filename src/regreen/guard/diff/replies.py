"""Functions that now return an object with its own idea of equality where they returned a value.

This asks what changed between two versions of a function, so it sees the whole diff at once; the
class may be new in another file.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator

from regreen.guard.diff.hedging import compares_own_kind
from regreen.guard.diff.source import Source

__all__ = ["own_answers"]

Pair = tuple[Source | None, Source | None]
"""A file before and after."""


def own_answers(pairs: Iterable[Pair]) -> Iterator[tuple[int, int]]:
    """The places of such functions.

    Args:
        pairs: the product files of a diff.

    Yields:
        The place of the file in ``pairs`` and the line of the function.
    """
    files = list(pairs)
    known = {name for before, _ in files if before for name in _judging(before)}
    fresh = {name for _, after in files if after for name in _judging(after)} - known
    if not fresh:
        return
    for place, (before, after) in enumerate(files):
        if before is None or after is None:
            continue
        earlier = {name: returned for name, returned, _ in _functions(before)}
        for name, returned, line in _functions(after):
            if name in earlier and returned & fresh and not earlier[name] & fresh:
                yield place, line


def _judging(source: Source) -> Iterator[str]:
    """Classes with an ``__eq__`` that does not ask for its own class first."""
    for node in source.nodes:
        if not isinstance(node, ast.ClassDef):
            continue
        for statement in node.body:
            if isinstance(statement, ast.FunctionDef) and statement.name == "__eq__":
                if not compares_own_kind(statement, node.name):
                    yield node.name
            elif isinstance(statement, ast.Assign) and any(
                isinstance(target, ast.Name) and target.id == "__eq__"
                for target in statement.targets
            ):
                yield node.name


def _functions(source: Source) -> Iterator[tuple[str, frozenset[str], int]]:
    """Qualified names of functions, the names of what they call and return, and their lines."""
    for node in source.nodes:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            owner = source.parents.get(node)
            prefix = f"{owner.name}." if isinstance(owner, ast.ClassDef) else ""
            yield prefix + node.name, _returned(source, node), node.lineno
        elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Lambda | ast.Name):
            value = node.value
            called = _made(value.body, {}) if isinstance(value, ast.Lambda) else frozenset()
            for target in node.targets:
                if isinstance(target, ast.Name | ast.Attribute) and called:
                    yield ast.unparse(target), called, node.lineno


def _returned(source: Source, function: ast.AST) -> frozenset[str]:
    inside = source.inside(function)
    named = {
        node.targets[0].id: node.value
        for node in inside
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    }
    found: set[str] = set()
    for node in inside:
        if isinstance(node, ast.Return | ast.Yield) and node.value is not None:
            found |= _made(node.value, named)
    return frozenset(found)


def _made(node: ast.expr, named: dict[str, ast.expr]) -> frozenset[str]:
    """Classes whose instances an expression holds: ``Money(x)``, ``[Money(x) for ...]``."""
    value = named.get(node.id, node) if isinstance(node, ast.Name) else node
    found = set()
    for inner in ast.walk(value):
        if isinstance(inner, ast.Call):
            name = getattr(inner.func, "attr", "") or getattr(inner.func, "id", "")
            found.add(name)
    return frozenset(found)
