"""Classes whose comparisons lie: equal to everything, or numbers and texts with their own rules."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from regreen.guard.diff.hedging import hedges
from regreen.guard.diff.source import Finding, Source

__all__ = ["equality_findings"]

_NUMBERS_AND_TEXTS = frozenset(
    (
        "int",
        "float",
        "complex",
        "str",
        "bytes",
        "bytearray",
        "bool",
        "decimal.Decimal",
        "fractions.Fraction",
    )
)
_CONTAINERS = frozenset(("list", "tuple", "dict", "set", "frozenset"))
_JUDGING = frozenset(("__eq__", "__ne__", "__bool__", "__lt__", "__le__", "__gt__", "__ge__"))
_INVERTED = frozenset(("__ne__", "__lt__", "__le__", "__gt__", "__ge__"))
_EQUALS = {"__eq__": True, "__ne__": False}
_SILENT = frozenset(("__hash__", "__lt__", "__le__", "__gt__", "__ge__", "__contains__"))
_BUILTIN = _NUMBERS_AND_TEXTS | _CONTAINERS
_TYPE_CHECKS = frozenset(("__instancecheck__", "__subclasscheck__", "__subclasshook__"))
Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda


def equality_findings(source: Source) -> Iterator[Finding]:
    """Comparisons, truth tests and type checks that a file defines in a telling way."""
    functions = {node.name: node for node in source.nodes if isinstance(node, ast.FunctionDef)}
    kinds = _value_types(source)
    for node in source.nodes:
        match node:
            case ast.ClassDef():
                yield from _class(source, node, functions, kinds.get(node.name, frozenset()))
            case ast.Assign() if isinstance(node.targets[0], ast.Attribute):
                name = node.targets[0].attr
                value = _resolve(node.value, functions)
                owner = source.name(node.targets[0].value)
                yield from _method(name, value, node.lineno)
                yield from _judged(source, name, value, node.lineno, kinds.get(owner, frozenset()))
            case ast.Call():
                yield from _call(source, node, functions, kinds)
            case _:
                pass


def _value_types(source: Source) -> dict[str, frozenset[str]]:
    """Per class of the file, the builtin value types it is made from, directly or not."""
    found: dict[str, frozenset[str]] = {}
    for _ in range(3):
        for node in source.nodes:
            if isinstance(node, ast.ClassDef):
                bases = {source.name(base).removeprefix("builtins.") for base in node.bases}
                inherited = {kind for base in bases for kind in found.get(base, ())}
                found[node.name] = frozenset(
                    found.get(node.name, frozenset()) | ((bases | inherited) & _BUILTIN)
                )
                for base in bases & found.keys():
                    # what is mixed into a text compares as a text
                    found[base] |= found[node.name] if bases & _BUILTIN else frozenset()
    return found


def _class(
    source: Source,
    node: ast.ClassDef,
    functions: dict[str, ast.FunctionDef],
    bases: frozenset[str],
) -> Iterator[Finding]:
    for statement in node.body:
        if isinstance(statement, ast.Assign) and _inverted(statement):
            yield Finding("equality_hedged", "__eq__", statement.lineno)
        for name, value, line in _methods(statement, functions):
            yield from _method(name, value, line)
            yield from _judged(source, name, value, line, bases)
            if name == "__class__":
                yield Finding("type_check_overridden", name, line)


def _methods(
    statement: ast.stmt, functions: dict[str, ast.FunctionDef]
) -> Iterator[tuple[str, Function | None, int]]:
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
        yield statement.name, statement, statement.lineno
    elif isinstance(statement, ast.Assign):
        for target in statement.targets:
            if isinstance(target, ast.Name):
                yield target.id, _resolve(statement.value, functions), statement.lineno


def _judged(
    source: Source, name: str, value: Function | None, line: int, bases: frozenset[str]
) -> Iterator[Finding]:
    """A comparison of a class, weighed by what the class is made from."""
    asked = name in _JUDGING or (name == "__contains__" and _careless(value))
    if asked and bases:
        yield Finding("comparison_overridden", f"{sorted(bases)}.{name}", line)
    if name == "__eq__" and _hedged(source, value, bases):
        yield Finding("equality_hedged", name, line)


def _hedged(source: Source, value: Function | None, bases: frozenset[str]) -> bool:
    """Whether a comparison that is no constant holds for several values."""
    return value is not None and _answers(value) is None and hedges(source, value, bases)


def _inverted(statement: ast.Assign) -> bool:
    """``__eq__ = int.__le__``: equality that is another comparison's answer."""
    named = any(isinstance(item, ast.Name) and item.id == "__eq__" for item in statement.targets)
    return (
        named and isinstance(statement.value, ast.Attribute) and (statement.value.attr in _INVERTED)
    )


def _resolve(node: ast.expr, functions: dict[str, ast.FunctionDef]) -> Function | None:
    if isinstance(node, ast.Lambda):
        return node
    return functions.get(node.id) if isinstance(node, ast.Name) else None


def _method(name: str, value: Function | None, line: int) -> Iterator[Finding]:
    if value is None:
        return
    if name in _EQUALS:
        if _answers(value) is _EQUALS[name]:
            yield Finding("always_equal", name, line)
    elif name in _SILENT and _answers(value) is not None:
        yield Finding("constant_answer", name, line)
    elif name in _TYPE_CHECKS and _answers(value) is True:
        yield Finding("type_check_overridden", name, line)


def _call(
    source: Source,
    node: ast.Call,
    functions: dict[str, ast.FunctionDef],
    kinds: dict[str, frozenset[str]],
) -> Iterator[Finding]:
    """``type("X", (int,), {"__eq__": ...})`` and ``setattr(X, "__eq__", ...)``."""
    name = source.name(node.func)
    if name == "type" and len(node.args) == 3 and isinstance(node.args[2], ast.Dict):
        bases = {source.name(base) for base in getattr(node.args[1], "elts", ())}
        for key, value in zip(node.args[2].keys, node.args[2].values, strict=True):
            method = source.fold(key) if key else ""
            yield from _method(method or "", _resolve(value, functions), node.lineno)
            function = _resolve(value, functions)
            if method is None and bases & _BUILTIN and function is not None:
                if len(function.args.args) == 2 and _answers(function) is True:
                    yield Finding("always_equal", "type", node.lineno)
            elif method == "__eq__" and _hedged(source, function, frozenset(bases & _BUILTIN)):
                yield Finding("equality_hedged", method, node.lineno)
            if method in _EQUALS and bases & _BUILTIN:
                yield Finding("comparison_overridden", method or "", node.lineno)
    elif name in ("setattr", "type.__setattr__") and len(node.args) == 3:
        method = source.fold(node.args[1]) or ""
        owner = kinds.get(source.name(node.args[0]), frozenset())
        function = _resolve(node.args[2], functions)
        yield from _method(method, function, node.lineno)
        yield from _judged(source, method, function, node.lineno, owner)


def _answers(function: Function) -> bool | None:
    """The one truth value a function can answer; None where it depends or is unknown."""
    if isinstance(function, ast.Lambda):
        return _truth(function.body)
    returns = []
    known = {
        node.targets[0].id: _truth(node.value)
        for node in ast.walk(function)
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    }
    for node in ast.walk(function):
        if isinstance(node, ast.Raise | ast.Yield | ast.YieldFrom):
            return None
        if isinstance(node, ast.Return):
            named = isinstance(node.value, ast.Name) and known.get(node.value.id)
            returns.append(named or (_truth(node.value) if node.value else None))
    return returns[0] if returns and len(set(returns)) == 1 else None


def _truth(node: ast.expr) -> bool | None:
    found: bool | None = None
    match node:
        case ast.Constant():
            found = bool(node.value) if node.value is not None else None
        case ast.UnaryOp(op=ast.Not()):
            inner = _truth(node.operand)
            found = None if inner is None else not inner
        case ast.BoolOp(op=ast.Or()):
            found = True if any(_truth(value) is True for value in node.values) else None
        case ast.BoolOp(op=ast.And()):
            found = False if any(_truth(value) is False for value in node.values) else None
        case ast.Compare(left=left, ops=[operator], comparators=[right]):
            found = _compared(left, operator, right)
        case ast.Call(func=ast.Name(id="isinstance"), args=[_, ast.Name(id="object")]):
            found = True
        case ast.Call(func=ast.Name(id="bool"), args=[value]):
            found = _truth(value)
        case _:
            pass
    return found


def _compared(left: ast.expr, operator: ast.cmpop, right: ast.expr) -> bool | None:
    """A thing compared with itself."""
    if ast.dump(left) != ast.dump(right):
        return None
    if isinstance(operator, ast.Eq | ast.Is | ast.LtE | ast.GtE):
        return True
    return False if isinstance(operator, ast.NotEq | ast.IsNot) else None


def _careless(function: Function | None) -> bool:
    """Whether a comparison never looks at what it compares with."""
    if function is None:
        return False
    arguments = function.args.args
    if len(arguments) < 2:
        return True
    other = arguments[1].arg
    return not any(isinstance(node, ast.Name) and node.id == other for node in ast.walk(function))
