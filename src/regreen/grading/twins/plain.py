"""The strict form of a test file: what the code under test returns is compared as a plain copy.

A value of its own class can hedge: equal the expected value and one near it, or look at the other
side before it claims equality; then it fails a twin as honest code does. Its plain copy cannot.

The copy is made by calls into C that a subclass cannot override (``str.__getnewargs__``,
``list.__iter__``). Types come from literals and not from ``builtins``, since the helper stands at
the file's end and is defined after the product was imported. What remains possible: patching the
helper in the test module, once it is known which function it is; ``builtins.id`` replaced before
the file is imported; values in containers that are not builtins (arrays of objects, mapping
proxies, dataclasses); where nothing literal stands on the other side, a class of its own; and a
class that says it comes from one of the standard library's value modules, whose objects may well
equal a literal.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from random import Random

from regreen.grading.twins.names import AnyFunction, Function, Module
from regreen.grading.twins.sites import called
from regreen.grading.twins.text import Edits, Source
from regreen.grading.twins.vocabulary import EQUAL, REFUTED, TRUTH

__all__ = ["strict"]

_DEPTH = 3
_FIRST = ("bare", "direct", "inner", "common", "simple", "usual", "final", "short")
_SECOND = ("form", "view", "shape", "content", "record", "result", "side", "entry")
_HELPER = """

def {name}(value, met=False, seen=None, deep=0, *, kind="".__class__.__class__, where=id,
           leaves=("".__class__, b"".__class__, (0).__class__, (0.0).__class__),
           whole=(True.__class__, None.__class__, 0j.__class__),
           groups=([].__class__, ().__class__, {{}}.__class__, {{0}}.__class__,
                   (lambda x: x in {{0}}).__code__.co_consts[-1].__class__)):
    own = kind(value)
    for base in whole:
        if own is base:
            return value
    for base in leaves:
        if own is base:
            return value
        if kind.__subclasscheck__(base, own):
            return base.__getnewargs__(value)[0]
    if kind.__subclasscheck__(whole[2], own):
        return whole[2].__pos__(value)
    seen = {{}} if seen is None else seen
    mark = where(value)
    if deep > 50 or mark in seen:
        return seen[mark][1] if mark in seen else value
    seen[mark] = (value, value)
    foreign = True
    for base in groups:
        if own is base or kind.__subclasscheck__(base, own):
            items = base.items(value) if base is groups[2] else base.__iter__(value)
            pairs = [(item, {name}(item, met, seen, deep + 1)) for item in items]
            foreign = False
            if own is not base or [1 for old, new in pairs if old is not new]:
                try:
                    seen[mark] = (value, base([new for old, new in pairs]))
                except TypeError:
                    foreign = own is not base
            break
    if met and foreign and kind.__dict__["__module__"].__get__(own) not in (
        "fractions", "decimal", "datetime", "pathlib", "uuid", "ipaddress"
    ):
        written = (kind.__dict__["__flags__"].__get__(own) >> 8) & 3 == 2
        if written or kind.__dict__["__name__"].__get__(own) in (
            "mappingproxy", "weakproxy", "weakcallableproxy"
        ):
            return kind.__base__()
    return seen[mark][1]
"""
_ANSWERS = frozenset(["isinstance", "issubclass", "hasattr", "callable"])
_PARTS = frozenset(["startswith", "endswith"])
_NO_PAIR = re.compile(r"(?i)^assert_?is|^is_$|raises|warn|log|call|await|regex")


@dataclass(frozen=True)
class _Value:
    """A value that is compared, or whose truth is asked for."""

    node: ast.expr
    """The expression."""
    lines: tuple[int, int]
    """First and last line of its statement."""
    met: bool = False
    """It is compared for equality with something written out, which no object of a class of its
    own equals unless that class says so."""


def strict(
    source: str, functions: Mapping[str, frozenset[int]], *, seed: str, closed: bool = True
) -> str | None:
    """Compare plain copies in some tests of a file; no line moves.

    Args:
        source: Text of a test file, the original or a twin made from it.
        functions: Test function (``test_x`` or ``TestC::test_y``) -> lines; only what is compared
            in statements on these lines is copied, unless nothing is or no line is given.
        seed: Decides, with the functions, the helper's name.
        closed: Where the other side is written out, an object of a class of its own, and no
            subclass of a builtin, equals nothing. Honest code that returns such objects fails; try
            ``closed=False`` for it.

    Returns:
        The strict form; None when nothing is to be copied or the text is no Python of this
        interpreter's version. Whether honest code passes it must be tried out.
    """
    try:
        text = Source(source)
    except (SyntaxError, ValueError):
        return None
    module = Module(text.tree)
    name = _name(text.tree, seed, functions)
    edits = Edits(text)
    for function, lines in functions.items():
        found = module.find(function)
        values = [] if found is None else list(_reached(module, found))
        near = [value for value in values if _on(value.lines, lines)]
        for value in near or values:
            _wrap(text, edits, value, name, closed=closed)
    if not edits:
        return None
    changed = edits.applied()
    helper = _HELPER.format(name=name).replace("\n", text.newline)
    changed += (text.newline if changed[-1:] not in {"\n", "\r"} else "") + helper
    return changed if _parses(changed) else None


def _parses(text: str) -> bool:
    try:
        ast.parse(text.removeprefix("\ufeff"))
    except (SyntaxError, ValueError):
        return False
    return True


def _name(tree: ast.Module, seed: str, functions: Mapping[str, frozenset[int]]) -> str:
    """A name the file does not use; literals do not count, for they differ in a twin."""
    used = {
        getattr(node, field, None) for node in ast.walk(tree) for field in ("id", "name", "arg")
    }
    names = [f"_{first}_{second}" for first in _FIRST for second in _SECOND]
    Random(f"{seed}:{sorted(functions)}:strict").shuffle(names)
    return next((name for name in names if name not in used), names[0] + "_2")


def _wrap(text: Source, edits: Edits, value: _Value, name: str, *, closed: bool) -> None:
    start = text.span(value.node)[0]
    glued = re.match(rb"\w", text.raw[start - 1 : start]) is not None
    end = ", True)" if value.met and closed else ")"
    edits.wrap(value.node, (" " if glued else "") + name + "(", end)


def _on(where: tuple[int, int], lines: frozenset[int]) -> bool:
    return not lines or any(where[0] <= line <= where[1] for line in lines)


def _reached(module: Module, test: Function) -> Iterator[_Value]:
    """What a test compares, itself or in functions of its file that it calls."""
    known: set[AnyFunction] = set()
    waiting = [(test, 0)]
    while waiting:
        function, depth = waiting.pop()
        if function.node in known:
            continue
        known.add(function.node)
        for statement in ast.walk(function.node):
            if not isinstance(statement, ast.stmt) or statement is function.node:
                continue
            lines = _lines(statement)
            yield from _stated(statement, lines)
            for call in _own_calls(statement):
                helper = _helper(module, call, function)
                if helper is None:
                    yield from _asserted(call, lines)
                elif depth < _DEPTH:
                    waiting.append((helper, depth + 1))


def _lines(statement: ast.stmt) -> tuple[int, int]:
    body = getattr(statement, "body", None)
    last = statement.end_lineno or statement.lineno
    if isinstance(body, list) and body:
        last = max(statement.lineno, body[0].lineno - 1)
    return statement.lineno, last


def _own_calls(statement: ast.stmt) -> Iterator[ast.Call]:
    if isinstance(statement, AnyFunction | ast.ClassDef):
        return
    for child in ast.iter_child_nodes(statement):
        if not isinstance(child, ast.stmt | ast.ExceptHandler | ast.match_case):
            yield from (node for node in ast.walk(child) if isinstance(node, ast.Call))


def _helper(module: Module, call: ast.Call, function: Function) -> Function | None:
    match call.func:
        case ast.Name(id=name) if name in module.functions:
            return Function(module.functions[name])
        case ast.Attribute(value=ast.Name(id="self" | "cls"), attr=name) if function.classes:
            method = module.method(function.classes[-1], name)
            return None if method is None else Function(method, function.classes)
    return None


def _stated(statement: ast.stmt, lines: tuple[int, int]) -> Iterator[_Value]:
    match statement:
        case ast.Assert(test=test):
            yield from _condition(test, lines)
        case ast.If(test=test, body=body, orelse=orelse) if _fails([*body, *orelse]):
            yield from _condition(test, lines)


def _fails(body: list[ast.stmt]) -> bool:
    for statement in body:
        match statement:
            case ast.Raise() | ast.Assert(test=ast.Constant()):
                return True
            case ast.Expr(value=ast.Call() as call) if called(call) == "fail":
                return True
    return False


def _condition(test: ast.expr, lines: tuple[int, int]) -> Iterator[_Value]:
    match test:
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            yield from _condition(operand, lines)
        case ast.BoolOp(values=values):
            for value in values:
                yield from _condition(value, lines)
        case ast.Compare():
            yield from _comparison(test, lines)
        case ast.Call(args=[ast.GeneratorExp(elt=inner) | ast.ListComp(elt=inner)]) if called(
            test
        ) in {"all", "any"}:
            yield from _condition(inner, lines)
        case ast.Call(func=ast.Attribute(value=inner, attr=name)) if name in _PARTS:
            yield from _side(inner, lines)
        case ast.Call() if called(test) in _ANSWERS:
            return
        case _:
            yield from _side(test, lines)


def _comparison(test: ast.Compare, lines: tuple[int, int]) -> Iterator[_Value]:
    sides = [test.left, *test.comparators]
    for place, side in enumerate(sides):
        beside = [
            (test.ops[at], sides[other], at == place)
            for at, other in ((place - 1, place - 1), (place, place + 1))
            if 0 <= at < len(test.ops)
        ]
        # No class has a say in identity, and a copy is not the same object.
        if any(isinstance(operator, ast.Is | ast.IsNot) for operator, _, _ in beside):
            continue
        met = any(
            _written(other)
            and (
                isinstance(operator, ast.Eq | ast.NotEq)
                or (isinstance(operator, ast.In | ast.NotIn) and left)
            )
            for operator, other, left in beside
        )
        yield from _side(side, lines, met=met)


def _asserted(call: ast.Call, lines: tuple[int, int]) -> Iterator[_Value]:
    name, arguments = called(call), call.args
    if name in TRUTH and arguments and not isinstance(arguments[0], ast.Starred):
        yield from _condition(arguments[0], lines)
    elif name == "assert_that" and arguments:
        yield from _side(arguments[0], lines)
    elif name in EQUAL or name in REFUTED or name.lower().startswith("assert"):
        pair = arguments[:2]
        if _NO_PAIR.search(name) or len(pair) < 2:
            return
        equal = name.lower().endswith(("equal", "equals", "eq_"))
        for side, other in (pair, pair[::-1]):
            yield from _side(side, lines, met=equal and _written(other))


def _side(node: ast.expr, lines: tuple[int, int], *, met: bool = False) -> Iterator[_Value]:
    if isinstance(node, ast.Call) and called(node) == "approx" and node.args:
        node, met = node.args[0], False
    skipped = ast.Starred | ast.Yield | ast.YieldFrom | ast.GeneratorExp | ast.Lambda
    if not isinstance(node, skipped) and not _literal(node):
        yield _Value(node, lines, met)


def _written(node: ast.expr) -> bool:
    """Whether the other side is written out, be it within a tolerance."""
    if isinstance(node, ast.Call) and called(node) == "approx" and node.args:
        return _literal(node.args[0])
    return _literal(node)


def _literal(node: ast.expr | None) -> bool:
    match node:
        case ast.Constant():
            return True
        case ast.UnaryOp(operand=inner):
            return _literal(inner)
        case ast.BinOp(left=left, right=right):
            return _literal(left) and _literal(right)
        case ast.List(elts=items) | ast.Tuple(elts=items) | ast.Set(elts=items):
            return all(_literal(item) for item in items)
        case ast.Dict(keys=keys, values=values):
            return all(_literal(item) for item in (*keys, *values))
    return False
