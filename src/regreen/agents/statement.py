"""What a problem statement says in code: checks that can be run, and the names they use.

Statements of injected tasks quote code in fences: steps, then a condition that should hold or the
error that came. Whatever parses and mentions a name is taken at its word; the rest is prose.
"""

from __future__ import annotations

import ast
import builtins
import re
from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["Quoted", "read_statement"]

_FENCE = re.compile(r"^```\w*\n(.*?)^```", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Quoted:
    """The code in a statement."""

    checks: tuple[str, ...]
    """Scripts that raise as long as the report holds."""
    undefined: tuple[str, ...]
    """Names the checks use without defining them."""
    called: tuple[str, ...]
    """Names of functions and methods called, those of the last check's end first."""


def read_statement(text: str) -> Quoted:
    """Take the checks out of a statement."""
    blocks = [tree for code in _FENCE.findall(text) if (tree := _parse(code))]
    checks = list(_checks(blocks))
    trees = [ast.parse(check) for check in checks]
    loaded = _names(trees, ast.Load)
    stored = _names(trees, ast.Store) | {
        name for tree in trees for node in ast.walk(tree) for name in _bound(node)
    }
    called = [
        node.func.attr if isinstance(node.func, ast.Attribute) else node.func.id
        for tree in reversed(trees)
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute | ast.Name)
    ]
    return Quoted(
        checks=tuple(checks),
        undefined=tuple(sorted(loaded - stored - set(dir(builtins)))),
        called=tuple(dict.fromkeys(name for name in called if name not in dir(builtins))),
    )


def _bound(node: ast.AST) -> Iterator[str]:
    """Names a node defines otherwise than by assignment."""
    match node:
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
            yield node.name
        case ast.arg():
            yield node.arg
        case ast.ExceptHandler() if node.name:
            yield node.name
        case ast.Import() | ast.ImportFrom():
            yield from (a.asname or a.name.partition(".")[0] for a in node.names)


def _names(trees: list[ast.Module], context: type[ast.expr_context]) -> set[str]:
    return {
        node.id
        for tree in trees
        for node in ast.walk(tree)
        if isinstance(node, ast.Name) and isinstance(node.ctx, context)
    }


def _parse(code: str) -> ast.Module | None:
    """The block as code; None for prose, bare values and ``KeyError: 'x'``."""
    try:
        tree = ast.parse(code)
    except (SyntaxError, ValueError):
        return None
    says_nothing = all(isinstance(node, ast.Expr | ast.AnnAssign) for node in tree.body)
    is_error = len(tree.body) == 1 and isinstance(tree.body[0], ast.AnnAssign)
    return None if is_error or (says_nothing and not _names([tree], ast.Load)) else tree


def _checks(blocks: list[ast.Module]) -> Iterator[str]:
    """Join steps with the condition that follows them."""
    steps: list[ast.stmt] = []
    for tree in blocks:
        last = tree.body[-1]
        if len(tree.body) == 1 and isinstance(last, ast.Expr):
            condition = ast.Assert(test=last.value, msg=None)
            yield _source([*steps, condition])
            steps = []
        elif steps:
            yield _source(steps)
            steps = tree.body
        else:
            steps = tree.body
    if steps:
        yield _source(steps)


def _source(statements: list[ast.stmt]) -> str:
    return ast.unparse(ast.fix_missing_locations(ast.Module(body=statements, type_ignores=[])))
