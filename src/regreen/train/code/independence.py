"""Which solutions count as independent: those that differ in more than names, notes and layout.

Samples of one model often repeat each other, and a copied mistake would then outvote the rest. So
of solutions with one normal form only the first has a vote. Different texts may still share their
author's mistake; that no text can show.
"""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterable

__all__ = ["independent", "normal_form"]

_KEPT = frozenset(dir(builtins))
_DOCUMENTED = (ast.Module, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def normal_form(program: str, keep: Iterable[str] = ()) -> str:
    """The tree with own names numbered, without annotations, docstrings and unread constants.

    Args:
        program: Python source.
        keep: names with a meaning outside, such as the entry point's.

    Raises:
        SyntaxError: it is no Python.
    """
    try:
        tree = ast.parse(program)
    except (ValueError, RecursionError, MemoryError) as exc:
        raise SyntaxError(str(exc)) from exc
    kept = frozenset(keep) | _KEPT
    return ast.dump(_Normal(kept).visit(_Used(kept | _read(tree)).visit(tree)))


def independent(programs: Iterable[str], keep: Iterable[str] = ()) -> list[str]:
    """The programs of which none repeats an earlier one; what is no Python is left out."""
    names = frozenset(keep)
    found: dict[str, str] = {}
    for program in programs:
        try:
            found.setdefault(normal_form(program, names), program)
        except (SyntaxError, RecursionError):
            continue
    return list(found.values())


def _read(tree: ast.AST) -> set[str]:
    """Names that are used for more than a constant's place, attributes included."""
    found = set[str]()
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            found.add(node.attr)
        elif isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name):
            found.add(node.target.id)
        elif isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Store):
            found.add(node.id)
    return found


class _Used(ast.NodeTransformer):
    """Drops ``name = constant`` where the name is never read."""

    def __init__(self, read: frozenset[str]) -> None:
        self._read = read

    def visit_Assign(self, node: ast.Assign) -> ast.Assign | None:
        names = {target.id if isinstance(target, ast.Name) else "" for target in node.targets}
        dead = isinstance(node.value, ast.Constant) and not names & {"", *self._read}
        return None if dead else node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST | None:
        if node.value is None or not node.simple:
            return node
        return self.visit_Assign(ast.copy_location(ast.Assign([node.target], node.value), node))


class _Normal(ast.NodeTransformer):
    def __init__(self, kept: frozenset[str]) -> None:
        self._kept = kept
        self._names: dict[str, str] = {}

    def _name(self, name: str) -> str:
        if name in self._kept:
            return name
        return self._names.setdefault(name, f"n{len(self._names)}")

    def generic_visit(self, node: ast.AST) -> ast.AST:
        if isinstance(node, _DOCUMENTED) and ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:] or [ast.Pass()]
        for field in ("annotation", "returns", "type_comment"):
            if getattr(node, field, None) is not None:
                setattr(node, field, None)
        for field in ("id", "arg", "name", "asname"):
            name = getattr(node, field, None)
            outside = isinstance(node, ast.alias | ast.keyword) and field in ("name", "arg")
            if isinstance(name, str) and not outside:
                setattr(node, field, self._name(name))
        if isinstance(node, ast.alias):
            self._kept |= {(node.asname or node.name).partition(".")[0]}
        if isinstance(node, ast.AnnAssign):
            node.annotation = ast.Constant(None)
        return super().generic_visit(node)
