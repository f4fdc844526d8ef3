"""What the names of a function stand for: its assignments, loops, parameters and tables.

Only what is written out is followed; a name that a statement binds in any other way is unknown.
"""

from __future__ import annotations

import ast

from regreen.grading.twins.names import AnyFunction, Function, Module
from regreen.grading.twins.sites import called

__all__ = ["Bindings"]

Path = tuple[int, ...]
Values = list[ast.expr] | None
"""All expressions something may be; None when they cannot all be seen."""

_DEPTH = 12


class Bindings:
    """The names a function binds and reads."""

    def __init__(self, module: Module, function: Function, closed: frozenset[str]) -> None:
        self.module = module
        self.function = function
        self.closed = closed
        """Names of constants and parameters that must not be changed where they stand."""
        self.parameters = _parameters(function.node)
        self.loads: dict[str, list[ast.Name]] = {}
        self.binds: dict[str, list[ast.AST]] = {}
        for node in ast.walk(function.node):
            self._note(node)

    def is_parameter(self, name: str) -> bool:
        """Whether a name is an argument of the function and never bound again."""
        return name in self.parameters and name not in self.binds

    def known(self, name: str) -> bool:
        """Whether the function or its file binds a name."""
        return name in self.binds or name in self.parameters or name in self.module.values

    def _note(self, node: ast.AST) -> None:
        match node:
            case ast.Name(id=name, ctx=ast.Load()):
                self.loads.setdefault(name, []).append(node)
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
                self.binds.setdefault(name, []).append(node)
            case ast.Global(names=names) | ast.Nonlocal(names=names):
                for name in names:
                    self.binds.setdefault(name, []).append(node)

    def _bind(self, target: ast.AST, node: ast.AST) -> None:
        for inner in ast.walk(target):
            if isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Store):
                self.binds.setdefault(inner.id, []).append(node)

    def values_of(self, name: str, *, free: bool = False) -> list[ast.expr] | None:
        """Every expression a name may stand for; None when they cannot all be seen."""
        if name in self.binds:
            if name in self.parameters:
                return None
            values: list[ast.expr] = []
            for node in self.binds[name]:
                found = self._bound_by(node, name)
                if found is None:
                    return None
                values += found
            return values
        if name in self.closed and not free:
            return None
        if name in self.parameters:
            return self._parametrized(name)
        constant = self.module.constant(name)
        return None if constant is None else [constant]

    def _bound_by(self, node: ast.AST, name: str) -> Values:
        match node:
            case ast.Assign(targets=[target], value=ast.expr() as value):
                path = _path(target, name)
                inner = None if path is None else self._descend(value, path)
                return None if inner is None else [inner]
            case ast.AnnAssign(target=ast.Name(), value=ast.expr() as value):
                return [value]
            case ast.For() | ast.comprehension():
                path = _path(node.target, name)
                return None if path is None else self.elements(node.iter, path)
        return None

    def elements(self, node: ast.expr, path: Path, depth: int = 0) -> Values:
        """What stands at a place of each element of an iterable that is written out."""
        match node:
            case ast.List(elts=items) | ast.Tuple(elts=items) | ast.Set(elts=items):
                return self._each(items, path)
            case ast.Dict(keys=keys) if path == () and None not in keys:
                return [key for key in keys if key is not None]
            case ast.BinOp(left=left, op=ast.Add(), right=right):
                parts = [self.elements(side, path, depth + 1) for side in (left, right)]
                return None if parts[0] is None or parts[1] is None else parts[0] + parts[1]
            case ast.Name() if (inner := self._constant(node)) is not node and depth < _DEPTH:
                return self.elements(inner, path, depth + 1)
            case ast.Call():
                return self._yielded(node, path, depth)
        return None

    def _yielded(self, node: ast.Call, path: Path, depth: int) -> Values:
        match node:
            case ast.Call(func=ast.Attribute(value=inner, attr="items")) if path:
                table = self._constant(inner)
                if isinstance(table, ast.Dict) and path[0] in {0, 1} and None not in table.keys:
                    keys = [key for key in table.keys if key is not None]
                    return self._each(table.values if path[0] else keys, path[1:])
            case ast.Call(func=ast.Name(id="enumerate"), args=[inner, *_]) if path[:1] == (1,):
                return self.elements(inner, path[1:], depth + 1)
            case ast.Call(func=ast.Name(id="zip"), args=args) if path and path[0] < len(args):
                return self.elements(args[path[0]], path[1:], depth + 1)
            case ast.Call(func=ast.Name(id="list" | "tuple" | "iter"), args=[inner]):
                return self.elements(inner, path, depth + 1)
        return None

    def _each(self, items: list[ast.expr], path: Path) -> Values:
        found = [self._descend(item, path) for item in items]
        whole = [item for item in found if item is not None]
        return whole if len(whole) == len(found) else None

    def _constant(self, node: ast.expr) -> ast.expr:
        if isinstance(node, ast.Name):
            if node.id in self.parameters:
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


def _argument_names(node: ast.expr | None) -> list[str]:
    match node:
        case ast.Constant(value=str() as names):
            return [name.strip() for name in names.split(",") if name.strip()]
        case ast.Tuple(elts=items) | ast.List(elts=items):
            return [str(item.value) for item in items if isinstance(item, ast.Constant)]
    return []
