"""Where an expected value comes from: the literals behind an expression, through names and tables.

A name is followed only when nothing but expectations reads it: a value that also goes into the
code under test would change on both sides, and the twin would pass.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import replace

from regreen.grading.twins.bindings import Bindings
from regreen.grading.twins.literal import BUILTIN_TYPES, Manner, other_literal, other_type
from regreen.grading.twins.sites import Site, Sites, called, is_expected
from regreen.grading.twins.text import Source

__all__ = ["Plan", "Scope"]

Plan = list[tuple[ast.expr, str]]
"""Which expressions to write differently, and how; empty when nothing can be."""

_CONTAINERS = frozenset(
    [
        "list",
        "tuple",
        "set",
        "frozenset",
        "dict",
        "OrderedDict",
        "Counter",
        "deque",
        "array",
        "asarray",
        "Series",
        "Index",
        "bytearray",
        "approx",
        "defaultdict",
        "mappingproxy",
        "MappingProxyType",
        "Matrix",
        "tensor",
        "sorted",
        "dedent",
    ]
)
_LOOKS = _CONTAINERS | {"len", "str", "repr", "reversed", "zip", "enumerate", "iter", "copy"}
_DEPTH = 12


class Scope:
    """A function with what its expectations come from."""

    def __init__(self, source: Source, names: Bindings, found: Sites) -> None:
        self.source = source
        self.names = names
        self.found = found
        self._expected = {id(name) for site in found.expectations for name in self._names(site)}

    def chosen(self, site: Site) -> tuple[ast.expr, ...]:
        """The sides of a site that are its expectation."""
        if site.form != "equal" or site.every:
            return site.expected
        manner = Manner("")
        for side in site.expected:
            if self._plan(side, manner, 0, free=True):
                return (side,)
        given = [side for side in site.expected if self._is_given(side)]
        computed = isinstance(site.expected[0], ast.Call | ast.Await)
        return tuple(given[:1]) if computed and given else site.expected[:1]

    def doubtful(self, site: Site) -> bool:
        """Whether either side of a comparison may be the one that the code under test made."""
        if site.whole is None or site.form != "equal" or site.every or site.identity:
            return False
        sides = _operands(site.whole)
        if any(self._plan(side, Manner(""), 0, free=True) for side in sides):
            return False
        return not any(self._is_given(side) or is_expected(side) for side in sides)

    def _is_given(self, side: ast.expr) -> bool:
        """Whether an expression is a name that a parameter or a loop gives its value."""
        if not isinstance(side, ast.Name):
            return False
        loops = self.names.binds.get(side.id, [])
        looped = bool(loops) and all(isinstance(n, ast.For | ast.comprehension) for n in loops)
        return looped or self.names.is_parameter(side.id)

    def _names(self, site: Site) -> Iterator[ast.Name]:
        if site.form in {"equal", "raises"}:
            for side in self.chosen(site):
                yield from _read_names(side)

    def only_expected(self, name: str, depth: int = 0) -> bool:
        """Whether all that reads a name are expectations."""
        known = self._expected | self.found.known
        return depth < _DEPTH and all(
            id(load) in known or self._feeds_expected(load, depth)
            for load in self.names.loads.get(name, [])
        )

    def _feeds_expected(self, load: ast.Name, depth: int) -> bool:
        """Whether a name is only iterated over, into a name that only expectations read."""
        for binds in self.names.binds.values():
            for node in binds:
                if isinstance(node, ast.For | ast.comprehension) and load in ast.walk(node.iter):
                    targets = _iterated(node.target, node.iter, load)
                    return bool(targets) and all(
                        self.only_expected(target, depth + 1) for target in targets
                    )
        return False

    def literals(self, site: Site) -> list[object]:
        """The values of the literals behind an expectation."""
        plans = [self._plan(side, Manner(""), 0, free=True) for side in self.chosen(site)]
        return [node.value for plan in plans for node, _ in plan if isinstance(node, ast.Constant)]

    def plan(self, side: ast.expr, manner: Manner) -> Plan:
        """How to change the literals behind an expectation; empty when there are none to change."""
        return self._plan(side, manner, 0, free=False)

    def _plan(self, node: ast.expr, manner: Manner, depth: int, *, free: bool) -> Plan:
        found: Plan = []
        match node:
            case _ if depth > _DEPTH:
                pass
            case ast.Constant() | ast.JoinedStr():
                found = self._leaf(node, manner)
            case ast.UnaryOp(op=ast.USub() | ast.UAdd(), operand=ast.Constant() as inner):
                found = self._leaf(inner, manner)
            case ast.List() | ast.Tuple() | ast.Set() | ast.Dict():
                found = self._container(node, manner, depth, free=free)
            case ast.BinOp():
                found = self._sum(node, manner, depth, free=free)
            case ast.IfExp(body=body, orelse=orelse):
                parts = [self._plan(part, manner, depth + 1, free=free) for part in (body, orelse)]
                found = parts[0] + parts[1] if all(parts) else []
            case ast.Call():
                found = self._called(node, manner, depth, free=free)
            case ast.Name(id=name):
                found = self._named(node, name, manner, depth, free=free)
        return found

    def _leaf(self, node: ast.Constant | ast.JoinedStr, manner: Manner) -> Plan:
        text = self.source.text(node)
        if isinstance(node, ast.Constant):
            new = other_literal(node, text, manner)
            return [] if new is None else [(node, new)]
        extra = other_literal(ast.copy_location(ast.Constant(""), node), '""', manner)
        return [(node, f"{text} {extra}")] if extra else []

    def _sum(self, node: ast.BinOp, manner: Manner, depth: int, *, free: bool) -> Plan:
        left, right = node.left, node.right
        if isinstance(node.op, ast.Add | ast.Sub):
            return self._plan(right, manner, depth + 1, free=free) or self._plan(
                left, manner, depth + 1, free=free
            )
        sequence = isinstance(left, ast.List | ast.Tuple)
        if isinstance(left, ast.Constant):
            sequence = isinstance(left.value, str | bytes)
        if sequence and isinstance(node.op, ast.Mult | ast.Mod):
            manner = replace(manner, inside=isinstance(node.op, ast.Mod))
            return self._plan(left, manner, depth + 1, free=free)
        return []

    def _container(self, node: ast.expr, manner: Manner, depth: int, *, free: bool) -> Plan:
        draw = manner.random(node).randint(1, 9)
        manner = replace(manner, taken=manner.taken + _constants([node]))
        match node:
            case ast.List(elts=[]):
                return [(node, f"[{draw}]")]
            case ast.Tuple(elts=[]):
                return [(node, f"({draw},)")]
            case ast.Dict(keys=[]):
                return [(node, f"{{{draw}: {draw}}}")]
            case ast.Dict(keys=keys, values=values):
                changed = self._all(values, manner, depth, free=free)
                return changed or self._all(
                    [key for key in keys if key is not None], manner, depth, free=free
                )
            case ast.List(elts=items) | ast.Tuple(elts=items) | ast.Set(elts=items):
                return self._all(items, manner, depth, free=free)
        return []

    def _all(self, nodes: list[ast.expr], manner: Manner, depth: int, *, free: bool) -> Plan:
        plan: Plan = []
        for node in nodes:
            plan += self._plan(node, manner, depth + 1, free=free)
        return plan

    def _called(self, node: ast.Call, manner: Manner, depth: int, *, free: bool) -> Plan:
        name = called(node)
        match node.func:
            case ast.Attribute(value=ast.Constant(value=str() | bytes()) as written) if (
                written.value
            ):
                if name == "format":
                    manner = replace(manner, inside=True)
                if name in {"join", "encode", "decode", "format", "strip", "lstrip", "rstrip"}:
                    return self._plan(written, manner, depth + 1, free=free)
            case ast.Attribute(value=ast.Constant(), attr="join") if node.args:
                return self._plan(node.args[0], manner, depth + 1, free=free)
        wide = manner.but(far=name == "approx")
        if name in _CONTAINERS and node.args and name not in self.names.module.functions:
            argument = node.args[0]
            if isinstance(argument, ast.Constant) and name not in {"approx", "dedent", "array"}:
                return []
            return self._plan(argument, wide, depth + 1, free=free)
        if name in {"dict", "OrderedDict"} and node.keywords:
            return self._all([word.value for word in node.keywords], wide, depth, free=free)
        return []

    def _named(self, node: ast.Name, name: str, manner: Manner, depth: int, *, free: bool) -> Plan:
        if not self.names.known(name):
            kind = name in BUILTIN_TYPES
            return [(node, other_type(name, manner.random(node)))] if kind else []
        if not free and not self.only_expected(name):
            return []
        values = self.names.values_of(name, free=free)
        plan: Plan = []
        if values and len(values) > 1:
            manner = replace(manner, near=_constants(values))
        for value in values or []:
            part = self._plan(value, manner, depth + 1, free=free)
            if not part:
                return []
            plan += part
        return plan


def _constants(nodes: list[ast.expr]) -> tuple[object, ...]:
    """The literals in expressions."""
    every = [inner for node in nodes for inner in ast.walk(node)]
    return tuple(inner.value for inner in every if isinstance(inner, ast.Constant))


def _operands(whole: ast.Compare | ast.Call) -> list[ast.expr]:
    if isinstance(whole, ast.Compare):
        return [whole.left, *whole.comparators]
    return whole.args[:2]


def _read_names(side: ast.expr) -> Iterator[ast.Name]:
    """Names whose value is the expectation or a part of it."""
    match side:
        case ast.Name():
            yield side
        case ast.Call(args=args, keywords=words) if called(side) in _LOOKS:
            for argument in args:
                yield from _read_names(argument)
            for word in words:
                yield from _read_names(word.value)
        case ast.List(elts=items) | ast.Tuple(elts=items) | ast.Set(elts=items):
            for item in items:
                yield from _read_names(item)
        case ast.Dict(values=values):
            for item in values:
                yield from _read_names(item)
        case ast.Subscript(value=inner) | ast.Attribute(value=inner) | ast.Starred(value=inner):
            yield from _read_names(inner)
        case ast.BinOp(left=left, right=right):
            yield from _read_names(left)
            yield from _read_names(right)


def _iterated(target: ast.expr, node: ast.expr, load: ast.Name) -> list[str]:
    """Names of a loop that the values of one iterated name go to."""
    if node is load:
        return [inner.id for inner in ast.walk(target) if isinstance(inner, ast.Name)]
    match node, target:
        case ast.Call(func=ast.Name(id="zip"), args=args), ast.Tuple(elts=items):
            for place, argument in enumerate(args[: len(items)]):
                if load in ast.walk(argument):
                    return _iterated(items[place], argument, load)
        case ast.Call(func=ast.Name(id="enumerate"), args=[inner, *_]), ast.Tuple(elts=[_, item]):
            return _iterated(item, inner, load)
        case ast.Call(func=ast.Attribute(value=inner, attr="values")), _ if inner is load:
            return [each.id for each in ast.walk(target) if isinstance(each, ast.Name)]
    return []
