"""What a module or a class binds when it runs, as far as its source tells without running it.

A definition under a condition that only a run can decide is *possible*, all others are *certain*;
conditions on the Python version and the platform are decided here. Nothing is imported.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

__all__ = ["Binding", "Version", "bindings", "decide", "last_name", "module_skip"]

Version = tuple[int, int]
_COMPARE: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}
_PLATFORM = {"platform": "linux", "name": "posix", "__name__": "module"}


@dataclass(frozen=True, slots=True)
class Binding:
    """What a name stands for."""

    node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.ImportFrom | ast.expr | None
    """Its definition, the statement that imports it, or the expression it was given; None for what
    is bound otherwise."""
    certain: bool = True
    """Whether it is bound in every run."""
    name: str = ""
    """The name in the module it is imported from."""


def bindings(body: Sequence[ast.stmt], python: Version) -> dict[str, Binding]:
    """Names that a module's or a class's statements bind; the last binding of a name counts.

    Star imports stand under ``*N``, numbered.
    """
    found: dict[str, Binding] = {}
    _walk(body, python, found)
    return found


def _walk(body: Sequence[ast.stmt], python: Version, found: dict[str, Binding]) -> None:
    for statement in body:
        match statement:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                found[statement.name] = Binding(statement)
            case ast.ImportFrom():
                for alias in statement.names:
                    key = alias.asname or (alias.name if alias.name != "*" else f"*{len(found)}")
                    found[key] = Binding(statement, name=alias.name)
            case ast.Import():
                for alias in statement.names:
                    found[alias.asname or alias.name.partition(".")[0]] = Binding(None)
            case ast.Assign() | ast.AnnAssign() | ast.AugAssign():
                _assign(statement, found)
            case ast.Delete():
                for target in statement.targets:
                    found.pop(last_name(target), None)
            case ast.With() | ast.AsyncWith():
                _walk(statement.body, python, found)
            case _:
                _branch(statement, python, found)


def _branch(statement: ast.stmt, python: Version, found: dict[str, Binding]) -> None:
    ways: list[Sequence[ast.stmt]] = []
    match statement:
        case ast.If():
            known = decide(statement.test, python)
            if known is not None:
                _walk(statement.body if known else statement.orelse, python, found)
                return
            ways = [statement.body, statement.orelse]
        case ast.Try():
            ways = [[*statement.body, *statement.orelse]]
            ways += [one.body for one in statement.handlers if not _leaves(one.body)]
        case ast.For() | ast.AsyncFor() | ast.While():
            ways = [statement.body, []]
        case ast.Match():
            ways = [*(case.body for case in statement.cases), []]
    _merge(ways, python, found)
    if isinstance(statement, ast.Try):
        _walk(statement.finalbody, python, found)


def _leaves(body: Sequence[ast.stmt]) -> bool:
    return bool(body) and isinstance(body[-1], ast.Raise)


def _merge(ways: Sequence[Sequence[ast.stmt]], python: Version, found: dict[str, Binding]) -> None:
    """Bind what each way binds: certain when every way does, or when it was certain before."""
    results = []
    for body in ways:
        result = dict(found)
        _walk(body, python, result)
        results.append(result)
    for name in dict.fromkeys(name for result in results for name in result):
        bound = [result[name] for result in results if name in result]
        certain = len(bound) == len(results) and all(one.certain for one in bound)
        defined = [one for one in bound if isinstance(one.node, ast.stmt)] or bound
        found[name] = replace(defined[0], certain=certain)


def _assign(
    statement: ast.Assign | ast.AnnAssign | ast.AugAssign, found: dict[str, Binding]
) -> None:
    targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
    for target in targets:
        if isinstance(target, ast.Attribute) and target.attr == "__test__":
            if isinstance(statement.value, ast.Constant) and not statement.value.value:
                found.pop(last_name(target.value), None)
            continue
        for one in ast.walk(target):
            if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Store):
                value = statement.value
                again = value is not None and one.id in _names(value)
                if not (again and one.id in found):  # a name wrapped by itself keeps its definition
                    found[one.id] = Binding(value if isinstance(target, ast.Name) else None)


def _names(expression: ast.expr) -> set[str]:
    return {node.id for node in ast.walk(expression) if isinstance(node, ast.Name)}


def last_name(expression: ast.expr) -> str:
    """``c`` of ``a.b.c``, ``a.b.c(…)`` and ``a.b.c[…]``; empty for anything else."""
    match expression:
        case ast.Name():
            return expression.id
        case ast.Attribute():
            return expression.attr
        case ast.Call():
            return last_name(expression.func)
        case ast.Subscript():
            return last_name(expression.value)
    return ""


def decide(test: ast.expr, python: Version) -> bool | None:
    """Whether a condition holds for a Python on Linux; None when only a run can tell."""
    known: bool | None = None
    match test:
        case ast.Constant():
            known = bool(test.value)
        case ast.Name() | ast.Attribute():
            versions = {"PY2": python[0] == 2, "PY3": python[0] == 3, "TYPE_CHECKING": False}
            known = versions.get(last_name(test))
        case ast.UnaryOp(op=ast.Not()):
            inner = decide(test.operand, python)
            known = None if inner is None else not inner
        case ast.BoolOp():
            each = [decide(one, python) for one in test.values]
            decisive = isinstance(test.op, ast.Or)
            known = decisive if decisive in each else None if None in each else not decisive
        case ast.Compare(ops=[op], comparators=[right]) if type(op) in _COMPARE:
            known = _decide_comparison(test.left, type(op), right, python)
        case ast.Call(
            func=ast.Attribute(attr="startswith", value=ast.Attribute(attr="platform")),
            args=[ast.Constant(value=str(given))],
        ):
            known = "linux".startswith(given)
    return known


def _decide_comparison(
    left: ast.expr, op: type[ast.cmpop], right: ast.expr, python: Version
) -> bool | None:
    try:
        value = ast.literal_eval(right)
    except ValueError:
        return None
    have: object = _PLATFORM.get(last_name(left))
    if last_name(left) == "version_info":
        have, value = _versions(left, value, python)
    try:
        return None if have is None else bool(_COMPARE[op](have, value))
    except TypeError:
        return None


def _versions(left: ast.expr, value: object, python: Version) -> tuple[object, object]:
    """Both sides of a comparison with ``sys.version_info``; None for ours when it is not known."""
    if isinstance(left, ast.Subscript):
        if isinstance(left.slice, ast.Constant):
            return dict(zip("01", python, strict=True)).get(str(left.slice.value)), value
        return (python[: len(value)] if isinstance(value, tuple) else None), value
    if isinstance(value, tuple) and value[:2] == python and len(value) > 2:
        return None, value  # the patch release would decide
    # as three parts, so that 3.11 counts as later than (3, 11) as it does in a run
    return (*python, 0), value


def module_skip(body: Sequence[ast.stmt], python: Version) -> bool | None:
    """Whether a module leaves at import by skipping itself: True, False, or None for perhaps."""
    answer: bool | None = False
    for statement in body:
        if isinstance(statement, ast.If):
            known = decide(statement.test, python)
            taken = statement.body if known else statement.orelse
            inner = module_skip(taken, python)
            if known is None and any(map(_skips, _statements(statement))):
                inner = None
        elif isinstance(statement, ast.Try | ast.With):
            inner = None if any(map(_skips, _statements(statement))) else False
        else:
            inner = _skips(statement)
        if inner is True:
            return True
        answer = None if inner is None else answer
    return answer


def _statements(statement: ast.stmt) -> Iterator[ast.stmt]:
    return (node for node in ast.walk(statement) if isinstance(node, ast.stmt))


def _skips(statement: ast.stmt) -> bool:
    if isinstance(statement, ast.Raise):
        return statement.exc is not None and last_name(statement.exc) == "SkipTest"
    call = statement.value if isinstance(statement, ast.Expr) else None
    if not isinstance(call, ast.Call) or last_name(call) != "skip":
        return False
    return any(one.arg == "allow_module_level" for one in call.keywords)
