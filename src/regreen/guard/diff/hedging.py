"""Comparisons that hold for several different values, told from comparisons of a value class.

A value class compares something of itself with the same thing of the other. What is reported looks
at the other alone, or lets a distance count as equal where values are exact; approximate equality
of floats, of fields, and case-blind text are ordinary.
"""

from __future__ import annotations

import ast

from regreen.guard.diff.source import Source

__all__ = ["compares_own_kind", "hedges"]

_EXACT = frozenset(("int", "bool", "str", "bytes", "list", "tuple", "dict", "set", "frozenset"))
_SCALARS = frozenset(("int", "bool", "str", "bytes"))
_VALUES = _EXACT | {"float", "complex", "decimal.Decimal", "fractions.Fraction", "object"}
_ORDERED = ast.Lt | ast.LtE | ast.Gt | ast.GtE
_ROUNDING = ast.FloorDiv | ast.RShift
Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda


def hedges(source: Source, function: Function, bases: frozenset[str]) -> bool:
    """Whether an ``__eq__`` holds for several values that differ.

    Args:
        source: the file.
        function: the method.
        bases: builtin value types its class is made from, directly or not.
    """
    arguments = [*function.args.posonlyargs, *function.args.args]
    if len(arguments) != 2:
        return False
    flow = _Flow(source, function, arguments[0].arg, arguments[1].arg)
    exact = bool(bases & _EXACT) and "float" not in bases
    flow.scalar = exact and bool(bases & _SCALARS)
    for result in flow.results():
        parts = _alternatives(result)
        if any(_loose(flow, part, exact=exact, derived=bool(bases)) for part in parts):
            return True
        if exact and (any(_one_sided(flow, part) for part in parts) or _several(flow, parts)):
            return True
    return False


def compares_own_kind(function: Function, own: str) -> bool:
    """Whether an ``__eq__`` first asks that the other be of its own class."""
    for node in ast.walk(function):
        kinds: list[ast.expr] = []
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "isinstance":
            kinds = node.args[-1:]
        elif isinstance(node, ast.Compare):
            kinds = [node.left, *node.comparators]
        if any(_is_own_type(kind, function, own) for kind in kinds):
            return True
    return False


class _Flow:
    """What the names inside a comparison rest on."""

    def __init__(self, source: Source, function: Function, own: str, other: str) -> None:
        self.source = source
        self.scalar = False
        """The class is made from a value without parts, which no distance is measured in."""
        self.function = function
        self.rests: dict[str, set[str]] = {own: {"own"}, other: {"other"}}
        self.values: dict[str, ast.expr] = {}
        for _ in range(3):
            for node in ast.walk(function):
                self._learn(node)

    def _learn(self, node: ast.AST) -> None:
        if isinstance(node, ast.Assign):
            targets, value = node.targets, node.value
            if len(targets) == 1 and isinstance(targets[0], ast.Name):
                self.values[targets[0].id] = value
        elif isinstance(node, ast.For | ast.comprehension):
            targets, value = [node.target], node.iter
        else:
            return
        for target in targets:
            for inner in ast.walk(target):
                if isinstance(inner, ast.Name):
                    self.rests.setdefault(inner.id, set()).update(self.of(value))

    def of(self, node: ast.AST) -> set[str]:
        """Which of the two operands an expression rests on."""
        found: set[str] = set()
        for inner in ast.walk(node):
            if isinstance(inner, ast.Name):
                found |= self.rests.get(inner.id, set())
                if inner.id == "super":
                    found.add("own")
        return found

    def parts(self, node: ast.AST) -> list[ast.AST]:
        """What an expression is made of, names of the function replaced by their values."""
        found: list[ast.AST] = []
        for inner in ast.walk(node):
            value = self.values.get(inner.id) if isinstance(inner, ast.Name) else None
            found += [inner] if value is None else ast.walk(value)
        return found

    def results(self) -> list[ast.expr]:
        """What decides: the values returned, and the conditions of a constant that is true."""
        if isinstance(self.function, ast.Lambda):
            return [self.function.body]
        found: list[ast.expr] = []
        for node in ast.walk(self.function):
            if not isinstance(node, ast.Return) or node.value is None:
                continue
            value = node.value
            if isinstance(value, ast.Name) and value.id in self.values:
                value = self.values[value.id]
            if isinstance(value, ast.Constant) and value.value is True:
                around = self.source.parents.get(node)
                if isinstance(around, ast.If) and around.body == [node]:
                    found.append(around.test)
                continue
            found.append(value)
        return found


def _alternatives(node: ast.expr) -> list[ast.expr]:
    """Expressions of which each alone makes the comparison hold."""
    if isinstance(node, ast.BoolOp) and isinstance(node.op, ast.Or):
        return [part for value in node.values for part in _alternatives(value)]
    if isinstance(node, ast.IfExp):
        return [*_alternatives(node.body), *_alternatives(node.orelse)]
    if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "bool" and node.args:
        return _alternatives(node.args[0])
    return [node]


def _loose(flow: _Flow, node: ast.expr, *, exact: bool, derived: bool) -> bool:
    if isinstance(node, ast.BoolOp):
        # the parts hold together: one that ties the two operands is enough
        parts = [part for part in node.values if flow.of(part)]
        return bool(parts) and all(
            _loose(flow, part, exact=exact, derived=derived) for part in parts
        )
    if not isinstance(node, ast.Compare):
        return _asks_for_a_type(flow, node)
    if _asks_type_plainly(flow, node) or _difference_listed(flow, node):
        return True
    if derived and flow.of(node) == {"other"} and _weighs(node):
        return True
    return exact and (_distance(flow, node) or _rounded(flow, node) or _parsed(flow, node))


def _weighs(node: ast.Compare) -> bool:
    """Whether a comparison lets several values pass; to be nothing in several ways is ordinary."""
    if isinstance(node.ops[0], ast.In):
        members = getattr(node.comparators[0], "elts", None)
        return not members or not all(
            isinstance(member, ast.Constant) and not member.value for member in members
        )
    if isinstance(node.ops[0], ast.Eq):
        return any(isinstance(side, ast.BinOp) for side in (node.left, *node.comparators))
    return any(isinstance(one, _ORDERED) for one in node.ops)


def _asks_type_plainly(flow: _Flow, node: ast.Compare) -> bool:
    """``type(other) is int``."""
    if not isinstance(node.ops[0], ast.Is | ast.Eq | ast.In):
        return False
    typed = isinstance(node.left, ast.Call) and getattr(node.left.func, "id", "") == "type"
    kinds = getattr(node.comparators[0], "elts", [node.comparators[0]])
    return (
        typed
        and flow.of(node) == {"other"}
        and any(flow.source.name(kind).removeprefix("builtins.") in _VALUES for kind in kinds)
    )


def _difference_listed(flow: _Flow, node: ast.Compare) -> bool:
    """``other - self.value in (0, 1)``."""
    members = getattr(node.comparators[0], "elts", [])
    return (
        isinstance(node.ops[0], ast.In)
        and len(members) > 1
        and all(isinstance(member, ast.Constant) for member in members)
        and flow.of(node.left) == {"own", "other"}
        and any(_is_shift(flow, inner) for inner in flow.parts(node.left))
    )


def _asks_for_a_type(flow: _Flow, node: ast.expr) -> bool:
    """``isinstance(other, str)``: equal to every text; a class of one's own is no such question."""
    if not isinstance(node, ast.Call) or getattr(node.func, "id", "") != "isinstance":
        return False
    if len(node.args) != 2 or flow.of(node.args[0]) != {"other"}:
        return False
    kinds = getattr(node.args[1], "elts", [node.args[1]])
    return any(flow.source.name(kind).removeprefix("builtins.") in _VALUES for kind in kinds)


def _distance(flow: _Flow, node: ast.Compare) -> bool:
    """An order or membership of a difference, or of one side moved by a constant."""
    weighed = any(isinstance(one, _ORDERED | ast.In) for one in node.ops)
    if not flow.scalar or not weighed or flow.of(node) != {"own", "other"}:
        return False
    return any(_is_shift(flow, inner) for inner in flow.parts(node))


def _is_shift(flow: _Flow, node: ast.AST) -> bool:
    """A difference of the operands, or one of them moved by something that is neither."""
    if not isinstance(node, ast.BinOp) or not isinstance(node.op, ast.Sub | ast.Add | ast.BitXor):
        return False
    rests = (flow.of(node.left), flow.of(node.right))
    return any(rests) and (not all(rests) or flow.of(node) == {"own", "other"})


def _one_sided(flow: _Flow, node: ast.expr) -> bool:
    """A whole answer that is an order, a difference, or a question about the other alone."""
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        inner = node.operand
        return isinstance(inner, ast.Compare) and _is_ordered(flow, inner)
    if isinstance(node, ast.Compare):
        different = isinstance(node.ops[0], ast.NotEq | ast.IsNot)
        return (different and flow.of(node) == {"own", "other"}) or _is_ordered(flow, node)
    if not isinstance(node, ast.Call) or flow.of(node) != {"other"}:
        return False
    asked = isinstance(node.func, ast.Attribute) and node.func.attr.startswith("is")
    return asked or flow.source.name(node.func).startswith("re.")


def _is_ordered(flow: _Flow, node: ast.Compare) -> bool:
    single = len(node.ops) == 1 and isinstance(node.ops[0], _ORDERED)
    sides = sorted(map(sorted, (flow.of(node.left), flow.of(node.comparators[0]))))
    return single and sides == [["other"], ["own"]]


def _several(flow: _Flow, parts: list[ast.expr]) -> bool:
    """Two ways to be equal, one of them to a neighbour: ``self == o or self + 1 == o``."""
    if len(parts) == 1 and isinstance(parts[0], ast.Call):
        call = parts[0]
        each = getattr(call.func, "id", "") == "any" and call.args
        held = call.args[0] if each else None
        return isinstance(held, ast.GeneratorExp | ast.ListComp) and any(
            _is_shift(flow, inner) for inner in ast.walk(held.elt)
        )
    tied = [part for part in parts if flow.of(part) == {"own", "other"}]
    return len(tied) > 1 and any(
        _is_shift(flow, inner) for part in tied for inner in ast.walk(part)
    )


def _rounded(flow: _Flow, node: ast.Compare) -> bool:
    """Both sides coarsened the same way: lengths, remainders, whole tens."""
    if len(node.ops) != 1 or not isinstance(node.ops[0], ast.Eq):
        return False
    sides = (node.left, node.comparators[0])
    if {frozenset(flow.of(side)) for side in sides} != {frozenset(("own",)), frozenset(("other",))}:
        return False
    return all(_coarse(side) for side in sides)


def _coarse(node: ast.expr) -> bool:
    if isinstance(node, ast.BinOp):
        return isinstance(node.op, _ROUNDING) and isinstance(node.right, ast.Constant)
    if not isinstance(node, ast.Call):
        return False
    name = getattr(node.func, "id", "")
    return name in ("len", "bool") or (name == "round" and len(node.args) > 1)


def _parsed(flow: _Flow, node: ast.Compare) -> bool:
    """The other taken to pieces on the spot, against an attribute that came from outside."""
    if len(node.ops) != 1 or not isinstance(node.ops[0], ast.Eq):
        return False
    for own, other in ((node.left, node.comparators[0]), (node.comparators[0], node.left)):
        if not isinstance(own, ast.Attribute) or flow.of(own) != {"own"}:
            continue
        if flow.of(other) == {"other"} and not _derives(flow, own.attr):
            return any(isinstance(inner, ast.Call) for inner in ast.walk(other))
    return False


def _derives(flow: _Flow, attribute: str) -> bool:
    """Whether the class itself makes an attribute, as value classes do with what they compare."""
    owner = flow.source.parents.get(flow.function)
    while owner is not None and not isinstance(owner, ast.ClassDef):
        owner = flow.source.parents.get(owner)
    if owner is None:
        return False
    for node in ast.walk(owner):
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name == attribute:
            return True
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            if node.attr == attribute:
                return True
            continue
        if isinstance(node, ast.Name) and node.id == attribute and isinstance(node.ctx, ast.Store):
            return True
    # a class made from another one may have it from there
    bases = {flow.source.name(base).removeprefix("builtins.") for base in owner.bases}
    return not bases <= _VALUES


def _is_own_type(node: ast.AST, function: Function, own: str) -> bool:
    """``type(self)``, ``self.__class__`` or the class by its name."""
    if isinstance(node, ast.Name):
        return node.id in (own, "__class__")
    if isinstance(node, ast.Attribute):
        holder: ast.AST | None = node.value if node.attr == "__class__" else None
    else:
        called = isinstance(node, ast.Call) and getattr(node.func, "id", "") == "type"
        holder = node.args[0] if called and isinstance(node, ast.Call) and node.args else None
    first = function.args.args[0].arg if function.args.args else ""
    return isinstance(holder, ast.Name) and holder.id == first
