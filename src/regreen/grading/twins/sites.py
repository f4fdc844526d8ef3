"""Where a function states what it expects: comparisons, conditions, exceptions to come.

A site says which expressions are expectations; it does not say how they change. Of two sides of a
comparison the literal one is the expectation, then the one whose name says so, then the right one.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from regreen.grading.twins.names import AnyFunction
from regreen.grading.twins.vocabulary import (
    CALLED_WITH,
    EQUAL,
    OPPOSITE,
    PREDICATES,
    RAISES,
    REFUTED,
    TRUTH,
)

__all__ = ["Negation", "Site", "Sites", "called", "is_expected", "last_call", "sites_of"]

_EXPECTED = re.compile(
    r"(?i)expect|want|correct|desired|truth|^exp(_|$)|_exp$|^answer|should|^ref_"
)
_IDENTITY = frozenset(["assertIs", "is_", "assert_is"])
_ONE_SIDED = frozenset(
    ["assertIsInstance", "assert_is_instance", "assertRegex", "assertRegexpMatches"]
)


@dataclass(frozen=True)
class Site:
    """One expectation."""

    form: Literal["equal", "truth", "raises", "method", "call"]
    """A comparison, a condition, an exception to come, a method of unittest that is to be another,
    or a call that is only to succeed."""
    expected: tuple[ast.expr, ...]
    """Sides that may be the expectation, likeliest first; one condition; one exception type; a
    method and its arguments; one call."""
    lines: tuple[int, int]
    """First and last line of the statement."""
    every: bool = False
    """All of ``expected`` are expectations, and any one changed is enough."""
    wanted: bool = True
    """The truth a condition must have."""
    far: bool = False
    """Tolerances apply."""
    long: bool = False
    """The expectation is searched for, or is a pattern."""
    identity: bool = False
    """Compared with ``is``: only the singletons can be written instead."""
    match: ast.expr | None = None
    """The pattern an exception's message must have."""
    alias: str = ""
    """The name the caught exception is bound to."""
    warns: bool = False
    """The exception is a warning."""
    whole: ast.Compare | ast.Call | None = None
    """The comparison, or the call whose first two arguments are compared, when it has two sides."""
    direct: bool = True
    """Stands in the test itself and not in a function it calls."""


@dataclass(frozen=True)
class Negation:
    """A condition that can be turned round."""

    condition: ast.expr
    """The condition, or the attribute that names a method."""
    lines: tuple[int, int]
    """First and last line of the statement."""
    method: str = ""
    """The opposite method's name, for a method."""


@dataclass
class Sites:
    """All expectations of a function."""

    expectations: list[Site] = field(default_factory=list)
    negations: list[Negation] = field(default_factory=list)
    calls: list[tuple[ast.Call, tuple[int, int]]] = field(default_factory=list)
    """Calls that are no assertion we know; they may lead to a function of the file."""
    known: set[int] = field(default_factory=set)
    """Identities of expressions that may hold an expectation's name without using it as input."""


def called(node: ast.Call) -> str:
    """The last part of a called function's name."""
    match node.func:
        case ast.Name(id=name):
            return name
        case ast.Attribute(attr=name):
            return name
    return ""


def sites_of(function: AnyFunction, local: frozenset[str]) -> Sites:
    """Find the expectations in a function.

    Args:
        function: The definition; functions inside it count as parts of it.
        local: Names of functions that the file defines, which are read and not guessed.
    """
    found = Sites()
    for statement in function.body:
        for node in _inside(statement):
            _read(node, found, local)
    return found


def last_call(function: AnyFunction) -> Site | None:
    """The last call that stands alone in a function: what a test without assertions tries."""
    calls = [
        node
        for node in ast.walk(function)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call | ast.Await)
    ]
    if not calls:
        return None
    last = max(calls, key=lambda node: node.lineno)
    return Site("call", (last.value,), _lines(last))


def _inside(statement: ast.stmt) -> Iterator[ast.AST]:
    for node in ast.walk(statement):
        if isinstance(node, ast.stmt):
            yield node


def _read(node: ast.AST, found: Sites, local: frozenset[str]) -> None:
    lines = _lines(node)
    match node:
        case ast.Assert(test=test, msg=message):
            _condition(test, wanted=True, lines=lines, found=found)
            if not isinstance(test, ast.Constant):
                found.negations.append(Negation(test, lines))
            _know(message, found)
        case ast.If(test=test, body=body, orelse=orelse) if _fails(body) or _fails(orelse):
            _condition(test, wanted=not _fails(body), lines=lines, found=found)
            found.negations.append(Negation(test, lines))
        case ast.Try(body=body, handlers=handlers, orelse=orelse):
            types = [handler.type for handler in handlers if handler.type is not None]
            for kind in types if _fails(body) or _fails(orelse) else []:
                found.expectations.append(Site("raises", (kind,), (kind.lineno, kind.lineno)))
    for call in _own_calls(node):
        _call(call, lines, found, local, _alias(node, call))


def _alias(node: ast.AST, call: ast.Call) -> str:
    for item in node.items if isinstance(node, ast.With | ast.AsyncWith) else []:
        if item.context_expr is call and isinstance(item.optional_vars, ast.Name):
            return item.optional_vars.id
    return ""


def _lines(node: ast.AST) -> tuple[int, int]:
    where = node.__dict__
    body = where.get("body")
    if isinstance(body, list) and body and isinstance(body[0], ast.stmt):
        return where["lineno"], max(where["lineno"], body[0].lineno - 1)
    return where["lineno"], where["end_lineno"]


def _own_calls(node: ast.AST) -> Iterator[ast.Call]:
    """Calls in a statement that are in no statement below it."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.stmt | ast.ExceptHandler | ast.match_case):
            continue
        if isinstance(node, AnyFunction | ast.ClassDef):
            continue
        for inner in ast.walk(child):
            if isinstance(inner, ast.Call):
                yield inner


def _fails(body: list[ast.stmt]) -> bool:
    for statement in body[-2:]:
        match statement:
            case ast.Raise(exc=ast.expr() as error) if "AssertionError" in ast.unparse(error):
                return True
            case ast.Assert(test=ast.Constant(value=value)) if not value:
                return True
            case ast.Expr(value=ast.Call() as call) if called(call) in {"fail", "xfail"}:
                return called(call) == "fail"
    return False


def _know(node: ast.AST | None, found: Sites) -> None:
    if node is not None:
        found.known |= {id(inner) for inner in ast.walk(node)}


def _condition(test: ast.expr, *, wanted: bool, lines: tuple[int, int], found: Sites) -> None:
    match test:
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            _condition(operand, wanted=not wanted, lines=lines, found=found)
        case ast.BoolOp(values=values):
            for value in values:
                _condition(value, wanted=wanted, lines=lines, found=found)
        case ast.Compare():
            found.expectations.append(_comparison(test, wanted, lines))
        case ast.Call(args=[ast.GeneratorExp(elt=inner) | ast.ListComp(elt=inner)]) if called(
            test
        ) in {"all", "any"}:
            _condition(inner, wanted=wanted, lines=lines, found=found)
        case ast.Call(args=args) if wanted and len(args) > PREDICATES.get(called(test), 99):
            name = called(test)
            close = name in {"allclose", "isclose"}
            searched = name in {"search", "fullmatch", "startswith", "endswith", "hasattr"}
            sides: tuple[ast.expr, ...] = (args[PREDICATES[name]],)
            both = name in {"allclose", "isclose", "array_equal"} and _two(test)
            if both:
                sides = _ranked(args[:2])
            whole = test if both and isinstance(test, ast.Call) else None
            site = Site("equal", sides, lines, far=close, long=searched, whole=whole)
            found.expectations.append(site)
        case ast.Constant():
            return
        case _:
            found.expectations.append(Site("truth", (test,), lines, wanted=wanted))


def _comparison(test: ast.Compare, wanted: bool, lines: tuple[int, int]) -> Site:
    sides = [test.left, *test.comparators]
    operator = test.ops[-1]
    negative = isinstance(operator, ast.NotEq | ast.IsNot | ast.NotIn)
    if len(test.ops) > 1:
        if wanted and all(isinstance(each, ast.Eq | ast.Is) for each in test.ops):
            return Site("equal", _ranked(sides), lines)
    elif negative != wanted:
        if isinstance(operator, ast.Eq | ast.NotEq):
            near = "approx" in ast.unparse(test)
            return Site("equal", _ranked(sides), lines, far=near, whole=test)
        if isinstance(operator, ast.Is | ast.IsNot):
            return Site("equal", _ranked(sides), lines, identity=True)
        if isinstance(operator, ast.In | ast.NotIn):
            return Site("equal", (sides[_among(sides)],), lines, long=True, whole=test)
    # what no value is to itself
    own = ast.NotEq | ast.Lt | ast.Gt if wanted else ast.Eq | ast.LtE | ast.GtE
    strict = isinstance(operator, own) and len(test.ops) == 1
    return Site("truth", (test,), lines, wanted=wanted, whole=test if strict else None)


def _among(sides: list[ast.expr]) -> bool:
    """Whether the second of two sides is written out, and the first is computed."""
    written = isinstance(sides[1], ast.List | ast.Tuple | ast.Set | ast.Dict)
    return written and not _plain(sides[0])


def _ranked(sides: list[ast.expr], default: int = -1) -> tuple[ast.expr, ...]:
    last = default % len(sides)

    def rank(place: int) -> tuple[int, int]:
        side = sides[place]
        if _plain(side):
            return (0, place != last)
        return (1 if is_expected(side) else 2, place != last)

    return tuple(sides[place] for place in sorted(range(len(sides)), key=rank))


def is_expected(side: ast.expr) -> bool:
    """Whether an expression is a name that says that it is what is expected."""
    name = side.id if isinstance(side, ast.Name) else getattr(side, "attr", "")
    return bool(_EXPECTED.search(name))


def _plain(node: ast.expr) -> bool:
    """Whether nothing but literals and their containers stands in an expression."""
    allowed = (ast.Constant, ast.List, ast.Tuple, ast.Set, ast.Dict, ast.UnaryOp, ast.JoinedStr)
    match node:
        case ast.List(elts=items) | ast.Tuple(elts=items) | ast.Set(elts=items):
            return not items or any(_plain(item) for item in items)
        case ast.Call(args=[inner, *_]) if called(node) == "approx":
            return _plain(inner)
    return isinstance(node, allowed)


def _call(
    call: ast.Call, lines: tuple[int, int], found: Sites, local: frozenset[str], alias: str
) -> None:
    name = called(call)
    positional = [argument for argument in call.args if not isinstance(argument, ast.Starred)]
    if isinstance(call.func, ast.Attribute) and name in OPPOSITE:
        found.negations.append(Negation(call.func, lines, OPPOSITE[name]))
    if isinstance(call.func, ast.Name) and name in local:
        found.calls.append((call, lines))
    elif name in EQUAL and len(positional) >= 2:
        found.expectations.append(_pair(call, positional[:2], lines))
        for extra in positional[2:]:
            _know(extra, found)
    elif name in TRUTH and positional:
        _condition(positional[0], wanted=TRUTH[name], lines=lines, found=found)
        for extra in positional[1:]:
            _know(extra, found)
    elif name in RAISES and positional:
        match = next((word.value for word in call.keywords if word.arg == "match"), None)
        if "Regex" in name and len(positional) > 1:
            match = positional[1]
        warns = "warn" in name.lower()
        site = Site("raises", (positional[0],), lines, match=match, alias=alias, warns=warns)
        found.expectations.append(site)
    elif name in REFUTED and isinstance(call.func, ast.Attribute):
        _refuted(call, positional, lines, found)
    elif name in CALLED_WITH and (call.args or call.keywords):
        values = (*positional, *(word.value for word in call.keywords))
        found.expectations.append(Site("equal", values, lines, every=True))
    else:
        found.calls.append((call, lines))


def _two(call: ast.expr) -> bool:
    """Whether the first two arguments of a call are written out."""
    given = call.args[:2] if isinstance(call, ast.Call) else []
    return len(given) == 2 and not any(isinstance(each, ast.Starred) for each in given)


def _pair(call: ast.Call, pair: list[ast.expr], lines: tuple[int, int]) -> Site:
    name = called(call)
    sides = tuple(pair[:1]) if EQUAL[name] == 0 else _ranked(pair, EQUAL[name])
    if name in {"assertIsInstance", "assertRegex"} or (EQUAL[name] == 0 and _among(pair)):
        sides = tuple(pair[1:])
    return Site(
        "equal",
        sides,
        lines,
        far=bool(re.search(r"(?i)almost|close|approx|frame|series", name)),
        long=name in {"assertIn", "assert_in", "assertRegex"},
        identity=name in _IDENTITY,
        whole=call if _two(call) and name not in _IDENTITY | _ONE_SIDED else None,
    )


def _refuted(
    call: ast.Call, positional: list[ast.expr], lines: tuple[int, int], found: Sites
) -> None:
    enough = 1 + REFUTED[called(call)][1]
    if len(positional) >= enough and not call.keywords:
        found.expectations.append(Site("method", (call.func, *positional[:2]), lines))
