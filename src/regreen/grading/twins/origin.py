"""Where an expected value comes from: the literals behind an expression, through names and tables.

A name is followed only when nothing but expectations reads it: a value that also goes into the
code under test would change on both sides, and the twin would pass.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from regreen.grading.twins.literal import BUILTIN_TYPES, Manner, other_literal, other_type
from regreen.grading.twins.names import AnyFunction, Function, Module
from regreen.grading.twins.sites import Site, Sites, called
from regreen.grading.twins.text import Source

__all__ = ["Plan", "Scope"]

Plan = list[tuple[ast.expr, str]]
"""Which expressions to write differently, and how; empty when nothing can be."""
Path = tuple[int, ...]

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
    """A function with the names it binds."""

    def __init__(
        self,
        source: Source,
        module: Module,
        function: Function,
        found: Sites,
        closed: frozenset[str],
    ) -> None:
        self.source = source
        self.module = module
        self.function = function
        self.found = found
        self.closed = closed
        """Names of the file's constants that must not be changed where they stand."""
        self.moved_parameters = False
        self._loads: dict[str, list[ast.Name]] = {}
        self._binds: dict[str, list[ast.AST]] = {}
        for node in ast.walk(function.node):
            self._note(node)
        self._parameters = _parameters(function.node)
        self._expected = {id(name) for site in found.expectations for name in self._names(site)}

    def _note(self, node: ast.AST) -> None:
        match node:
            case ast.Name(id=name, ctx=ast.Load()):
                self._loads.setdefault(name, []).append(node)
            case ast.Assign(targets=targets):
                for target in targets:
                    self._bind(target, node)
            case ast.AnnAssign(target=target) | ast.AugAssign(target=target):
                self._bind(target, node)
            case ast.NamedExpr(target=target):
                self._bind(target, node)
            case ast.For(target=target) | ast.AsyncFor(target=target):
                self._bind(target, node)
            case ast.comprehension(target=target):
                self._bind(target, node)
            case ast.withitem(optional_vars=ast.expr() as target):
                self._bind(target, node)
            case ast.ExceptHandler(name=str() as name):
                self._binds.setdefault(name, []).append(node)
            case ast.Global(names=names) | ast.Nonlocal(names=names):
                for name in names:
                    self._binds.setdefault(name, []).append(node)

    def _bind(self, target: ast.AST, node: ast.AST) -> None:
        for inner in ast.walk(target):
            if isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Store):
                self._binds.setdefault(inner.id, []).append(node)

    # which side, which names

    def chosen(self, site: Site) -> tuple[ast.expr, ...]:
        """The sides of a site that are its expectation."""
        if site.form != "equal" or site.every:
            return site.expected
        manner = Manner("")
        for side in site.expected:
            if self._plan(side, manner, 0, free=True):
                return (side,)
        return site.expected[:1]

    def _names(self, site: Site) -> Iterator[ast.Name]:
        if site.form == "equal":
            for side in self.chosen(site):
                yield from _read_names(side)

    def only_expected(self, name: str, depth: int = 0) -> bool:
        """Whether all that reads a name are expectations."""
        known = self._expected | self.found.known
        return depth < _DEPTH and all(
            id(load) in known or self._feeds_expected(load, depth)
            for load in self._loads.get(name, [])
        )

    def _feeds_expected(self, load: ast.Name, depth: int) -> bool:
        """Whether a name is only iterated over, into a name that only expectations read."""
        for binds in self._binds.values():
            for node in binds:
                if isinstance(node, ast.For | ast.comprehension) and load in ast.walk(node.iter):
                    targets = _iterated(node.target, node.iter, load)
                    return bool(targets) and all(
                        self.only_expected(target, depth + 1) for target in targets
                    )
        return False

    # literals

    def plan(self, side: ast.expr, manner: Manner) -> Plan:
        """How to change the literals behind an expectation; empty when there are none to change."""
        return self._plan(side, manner, 0, free=False)

    def _plan(self, node: ast.expr, manner: Manner, depth: int, *, free: bool) -> Plan:
        if depth > _DEPTH:
            return []
        text = self.source.text
        match node:
            case ast.Constant():
                new = other_literal(node, text(node), manner)
                return [] if new is None else [(node, new)]
            case ast.UnaryOp(op=ast.USub() | ast.UAdd(), operand=ast.Constant() as inner):
                new = other_literal(inner, text(inner), Manner(manner.seed, far=manner.far))
                return [] if new is None else [(inner, new)]
            case ast.JoinedStr():
                extra = other_literal(ast.copy_location(ast.Constant(""), node), '""', manner)
                return [(node, f"{text(node)} {extra}")] if extra else []
            case ast.List() | ast.Tuple() | ast.Set() | ast.Dict():
                return self._container(node, manner, depth, free=free)
            case ast.BinOp(left=left, op=ast.Add() | ast.Sub(), right=right):
                return self._plan(right, manner, depth + 1, free=free) or self._plan(
                    left, manner, depth + 1, free=free
                )
            case ast.BinOp(left=ast.List() | ast.Tuple() | ast.Constant() as left, op=operator):
                text_like = not isinstance(left, ast.Constant) or isinstance(
                    left.value, str | bytes
                )
                if text_like and isinstance(operator, ast.Mult | ast.Mod):
                    return self._plan(left, manner, depth + 1, free=free)
            case ast.IfExp(body=body, orelse=orelse):
                parts = [self._plan(part, manner, depth + 1, free=free) for part in (body, orelse)]
                return parts[0] + parts[1] if all(parts) else []
            case ast.Call():
                return self._called(node, manner, depth, free=free)
            case ast.Name(id=name):
                return self._named(node, name, manner, depth, free=free)
        return []

    def _container(self, node: ast.expr, manner: Manner, depth: int, *, free: bool) -> Plan:
        draw = manner.random(node).randint(1, 9)
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
                if name in {"join", "encode", "decode", "format", "strip", "lstrip", "rstrip"}:
                    return self._plan(written, manner, depth + 1, free=free)
            case ast.Attribute(value=ast.Constant(), attr="join") if node.args:
                return self._plan(node.args[0], manner, depth + 1, free=free)
        wide = manner.but(far=name == "approx")
        if name in _CONTAINERS and node.args and name not in self.module.functions:
            argument = node.args[0]
            if isinstance(argument, ast.Constant) and name not in {"approx", "dedent", "array"}:
                return []
            return self._plan(argument, wide, depth + 1, free=free)
        if name in {"dict", "OrderedDict"} and node.keywords:
            return self._all([word.value for word in node.keywords], wide, depth, free=free)
        return []

    def _named(self, node: ast.Name, name: str, manner: Manner, depth: int, *, free: bool) -> Plan:
        bound = name in self._binds or name in self._parameters
        if not bound and name in BUILTIN_TYPES and not self.module.values.get(name):
            return [(node, other_type(name, manner.random(node)))]
        if not free and (bound or name in self.module.values) and not self.only_expected(name):
            return []
        values = self.values_of(name, free=free)
        plan: Plan = []
        for value in values or []:
            part = self._plan(value, manner, depth + 1, free=free)
            if not part:
                return []
            plan += part
        return plan

    # bindings

    def values_of(self, name: str, *, free: bool = False) -> list[ast.expr] | None:
        """Every expression a name may stand for; None when they cannot all be seen."""
        if name in self._binds:
            if name in self._parameters:
                return None
            values: list[ast.expr] = []
            for node in self._binds[name]:
                found = self._bound_by(node, name)
                if found is None:
                    return None
                values += found
            return values
        if name in self._parameters:
            return self._parametrized(name)
        if name in self.closed and not free:
            return None
        constant = self.module.constant(name)
        return None if constant is None else [constant]

    def _bound_by(self, node: ast.AST, name: str) -> list[ast.expr] | None:
        match node:
            case ast.Assign(targets=[ast.Name()], value=value):
                return [value]
            case ast.AnnAssign(target=ast.Name(), value=ast.expr() as value):
                return [value]
            case ast.Assign(targets=[target], value=value):
                path = _path(target, name)
                inner = None if path is None else self._descend(value, path)
                return None if inner is None else [inner]
            case ast.For(target=target, iter=iterated):
                path = _path(target, name)
                return None if path is None else self.elements(iterated, path)
            case ast.comprehension(target=target, iter=iterated):
                path = _path(target, name)
                return None if path is None else self.elements(iterated, path)
        return None

    def elements(self, node: ast.expr, path: Path, depth: int = 0) -> list[ast.expr] | None:
        """What stands at a place of each element of an iterable that is written out."""
        if depth > _DEPTH:
            return None
        match node:
            case ast.List(elts=items) | ast.Tuple(elts=items) | ast.Set(elts=items):
                found = [self._descend(item, path) for item in items]
                return None if None in found else [item for item in found if item is not None]
            case ast.Dict(keys=keys) if path == () and None not in keys:
                return [key for key in keys if key is not None]
            case ast.Call(func=ast.Attribute(value=inner, attr="items")) if path:
                table = self._constant(inner)
                if isinstance(table, ast.Dict) and path[0] in {0, 1} and None not in table.keys:
                    side = [key for key in table.keys if key] if path[0] == 0 else table.values
                    found = [self._descend(item, path[1:]) for item in side]
                    return None if None in found else [item for item in found if item is not None]
            case ast.Call(func=ast.Name(id="enumerate"), args=[inner, *_]) if path[:1] == (1,):
                return self.elements(inner, path[1:], depth + 1)
            case ast.Call(func=ast.Name(id="zip"), args=args) if path and path[0] < len(args):
                return self.elements(args[path[0]], path[1:], depth + 1)
            case ast.Call(func=ast.Name(id="list" | "tuple" | "iter"), args=[inner]):
                return self.elements(inner, path, depth + 1)
            case ast.BinOp(left=left, op=ast.Add(), right=right):
                parts = [self.elements(side, path, depth + 1) for side in (left, right)]
                return None if parts[0] is None or parts[1] is None else parts[0] + parts[1]
            case ast.Name():
                inner = self._constant(node)
                return None if inner is node else self.elements(inner, path, depth + 1)
        return None

    def _constant(self, node: ast.expr) -> ast.expr:
        if isinstance(node, ast.Name):
            if node.id in self._parameters:
                return node
            values = self.values_of(node.id)
            if values and len(values) == 1:
                return values[0]
        return node

    def _descend(self, node: ast.expr, path: Path) -> ast.expr | None:
        node = self._constant(node) if path else node
        if not path:
            return node
        match node:
            case ast.Tuple(elts=items) | ast.List(elts=items):
                fixed = not any(isinstance(item, ast.Starred) for item in items)
                return (
                    self._descend(items[path[0]], path[1:])
                    if fixed and path[0] < len(items)
                    else None
                )
            case ast.Call(args=args) if called(node) == "param" and path[0] < len(args):
                return self._descend(args[path[0]], path[1:])
        return None

    def _parametrized(self, name: str) -> list[ast.expr] | None:
        holders = [self.function.node, *reversed(self.function.classes)]
        for holder in holders:
            for decorator in holder.decorator_list:
                if not (isinstance(decorator, ast.Call) and called(decorator) == "parametrize"):
                    continue
                words = {word.arg: word.value for word in decorator.keywords}
                arguments = decorator.args
                written = arguments[0] if arguments else words.get("argnames")
                names = _argument_names(written)
                data = arguments[1] if len(arguments) > 1 else words.get("argvalues")
                if name in names and data is not None:
                    if "indirect" in words:
                        return None
                    single = isinstance(written, ast.Constant) and len(names) == 1
                    return self._sets(data, names.index(name), single=single)
        return None

    def _sets(self, data: ast.expr, place: int, *, single: bool) -> list[ast.expr] | None:
        if not single:
            return self.elements(data, (place,))
        found = self.elements(data, ())
        if found is None:
            return None
        return [
            item.args[0]
            if isinstance(item, ast.Call) and called(item) == "param" and item.args
            else item
            for item in found
        ]

    def is_parameter(self, name: str) -> bool:
        """Whether a name is an argument of the function and never bound again."""
        return name in self._parameters and name not in self._binds

    def bindings(self, name: str) -> list[ast.AST]:
        """The statements and comprehensions that bind a name."""
        return self._binds.get(name, [])


def _parameters(function: AnyFunction) -> frozenset[str]:
    arguments = function.args
    every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    return frozenset(argument.arg for argument in every) - {"self", "cls"}


def _path(target: ast.expr, name: str) -> Path | None:
    if isinstance(target, ast.Name):
        return () if target.id == name else None
    if isinstance(target, ast.Tuple | ast.List):
        for place, item in enumerate(target.elts):
            if isinstance(item, ast.Starred):
                return None
            inner = _path(item, name)
            if inner is not None:
                return (place, *inner)
    return None


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


def _argument_names(node: ast.expr | None) -> list[str]:
    match node:
        case ast.Constant(value=str() as names):
            return [name.strip() for name in names.split(",") if name.strip()]
        case ast.Tuple(elts=items) | ast.List(elts=items):
            return [str(item.value) for item in items if isinstance(item, ast.Constant)]
    return []
