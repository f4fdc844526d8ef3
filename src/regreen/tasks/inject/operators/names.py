"""Faults of naming: a variable or attribute of the same scope where another was meant."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from functools import lru_cache
from itertools import pairwise
from typing import ClassVar

import libcst as cst

from regreen.tasks.inject.operators.base import Change
from regreen.tasks.inject.operators.edits import replace, swap
from regreen.tasks.inject.operators.scopes import Scope, read_names, scope_of
from regreen.tasks.inject.operators.view import FileView

__all__ = ["SwapTargets", "WrongAttribute", "WrongVariable", "similar_names"]

_BINDS_INSIDE = (cst.Lambda, cst.ListComp, cst.SetComp, cst.DictComp, cst.GeneratorExp)

_READERS = (
    *(cst.BaseExpression, cst.Return, cst.Assign, cst.Index, cst.ComparisonTarget, cst.Yield),
    *(cst.If, cst.Slice, cst.DictElement, cst.CompIf, cst.WithItem),
)


def similar_names(name: cst.Name, view: FileView) -> list[str]:
    """Other names of the function that could stand here, likeliest first.

    Parameters stand for parameters and assigned names for assigned ones; what is called stands
    only for what is called; some use is shared, and every path to the place binds the other name.
    """
    function = view.function(name)
    if function is None:
        return []
    scope = scope_of(function, view)
    hidden = _hidden(name, view)
    is_param = name.value in scope.params
    if name.value in hidden or not (is_param or name.value in scope.bindings):
        return []
    pool = scope.params if is_param else tuple(scope.bindings)
    uses = scope.uses.get(name.value, frozenset())
    found: list[tuple[float, int, str]] = []
    for place, other in enumerate(pool):
        if other == name.value or other in hidden or other.startswith("_"):
            continue
        theirs = scope.uses.get(other, frozenset())
        if ("called" in uses) != ("called" in theirs) or not _bound(scope, other, name, view):
            continue
        if uses and theirs and not uses & theirs:
            continue
        alike = len(uses & theirs) / max(1, len(uses | theirs))
        found.append((-alike, place, other))
    return [other for _, _, other in sorted(found)]


def _bound(scope: Scope, other: str, name: cst.Name, view: FileView) -> bool:
    if other in scope.params and other in scope.bindings:
        # a parameter that is assigned again may hold anything; still never unbound
        return other not in scope.foreign
    return scope.bound_at(other, name, view)


def _hidden(node: cst.CSTNode, view: FileView) -> set[str]:
    """Names that a lambda or comprehension around the place binds for itself."""
    names: set[str] = set()
    for above in view.ancestors(node):
        if isinstance(above, cst.FunctionDef):
            break
        if isinstance(above, cst.Lambda):
            names.update(n.name.value for n in view.below(above) if isinstance(n, cst.Param))
        elif isinstance(above, _BINDS_INSIDE):
            loops = [n.target for n in view.below(above) if isinstance(n, cst.CompFor)]
            for target in loops:
                inner = (target, *view.below(target))
                names.update(n.value for n in inner if isinstance(n, cst.Name))
    return names


def _is_value(name: cst.Name, view: FileView) -> bool:
    """Whether a name is read as a value rather than bound, called or part of a longer name."""
    parent = view.parent(name)
    found = isinstance(parent, _READERS)
    match parent:
        case cst.Call(func=func):
            found = func is not name
        case cst.For(iter=source) | cst.CompFor(iter=source):
            found = source is name
        case cst.Element():
            found = not _is_target(parent, view)
        case (
            cst.Arg(value=value)
            | cst.Attribute(value=value)
            | cst.NamedExpr(value=value)
            | cst.AugAssign(value=value)
            | cst.AnnAssign(value=value)
        ):
            found = value is name
    return found


def _is_target(element: cst.CSTNode, view: FileView) -> bool:
    for above in view.ancestors(element):
        if isinstance(above, (cst.AssignTarget, cst.Del)):
            return True
        if isinstance(above, (cst.For, cst.CompFor)):
            return element in (above.target, *view.below(above.target))
        if isinstance(above, cst.BaseStatement):
            return False
    return False


class WrongVariable:
    """A local name that is read, where another of the same kind is bound.

    The two likeliest others by the way they are used; in ``while`` conditions with a low weight.
    """

    id: ClassVar[str] = "wrong_variable"
    family: ClassVar[str] = "name"
    summary: ClassVar[str] = "another variable of the scope is used"
    nodes: ClassVar[tuple[type[cst.CSTNode], ...]] = (cst.Name,)

    def changes(self, node: cst.CSTNode, view: FileView) -> Iterator[Change]:
        """At most two changes per place."""
        assert isinstance(node, cst.Name)
        if not _is_value(node, view):
            return
        in_while = isinstance(view.statement(node), cst.While)
        for place, other in enumerate(similar_names(node, view)[:2]):
            weight = 0.2 if in_while else (0.8, 0.7)[place]
            yield replace(view, node, other, f"{node.value} became {other}", weight)


class WrongAttribute:
    """An attribute of ``self`` that is read, where the class sets another one.

    Both are set in methods of the class and used in the same way somewhere.
    """

    id: ClassVar[str] = "wrong_attribute"
    family: ClassVar[str] = "name"
    summary: ClassVar[str] = "another attribute of the object is used"
    nodes: ClassVar[tuple[type[cst.CSTNode], ...]] = (cst.Attribute,)

    def changes(self, node: cst.CSTNode, view: FileView) -> Iterator[Change]:
        """One change per place."""
        assert isinstance(node, cst.Attribute)
        function = view.function(node)
        owner = view.owners.get(function) if function is not None else None
        if not isinstance(owner, cst.ClassDef) or not _is_self(node):
            return
        if isinstance(view.parent(node), (cst.AssignTarget, cst.AugAssign, cst.Del, cst.Call)):
            return
        uses = _attribute_uses(owner, view)
        mine = uses.get(node.attr.value)
        if mine is None or "set" not in mine:
            return
        others = sorted(
            (-len(mine & theirs) / len(mine | theirs), other)
            for other, theirs in uses.items()
            if other != node.attr.value
            and "set" in theirs
            and "called" not in theirs
            # both are always set; something else must be done with both as well
            and len(mine & theirs) > 1
        )
        for _, other in others[:1]:
            note = f"{node.attr.value} became {other}"
            yield replace(view, node.attr, other, note, 0.8)


def _is_self(node: cst.Attribute) -> bool:
    return isinstance(node.value, cst.Name) and node.value.value == "self"


@lru_cache(maxsize=32)
def _attribute_uses(owner: cst.ClassDef, view: FileView) -> dict[str, frozenset[str]]:
    uses: defaultdict[str, set[str]] = defaultdict(set)
    for node in view.below(owner):
        if isinstance(node, cst.Attribute) and _is_self(node):
            parent = view.parent(node)
            if isinstance(parent, cst.AssignTarget) or (
                isinstance(parent, cst.AnnAssign) and parent.target is node
            ):
                uses[node.attr.value].add("set")
            elif isinstance(parent, cst.Call) and parent.func is node:
                uses[node.attr.value].add("called")
            elif isinstance(parent, cst.Attribute):
                uses[node.attr.value].add("." + parent.attr.value)
            else:
                uses[node.attr.value].add(type(parent).__name__)
    return {name: frozenset(kinds) for name, kinds in uses.items()}


class SwapTargets:
    """Two targets that one assignment or loop unpacks into, at least one of them read."""

    id: ClassVar[str] = "swap_targets"
    family: ClassVar[str] = "name"
    summary: ClassVar[str] = "unpacked values land in each other's name"
    nodes: ClassVar[tuple[type[cst.CSTNode], ...]] = (cst.AssignTarget, cst.For, cst.CompFor)

    def changes(self, node: cst.CSTNode, view: FileView) -> Iterator[Change]:
        """One change per pair of neighbours, at most two."""
        assert isinstance(node, (cst.AssignTarget, cst.For, cst.CompFor))
        if not isinstance(node.target, cst.Tuple):
            return
        elements = node.target.elements
        for left, right in list(pairwise(elements))[:2]:
            if not isinstance(left, cst.Element) or not isinstance(right, cst.Element):
                continue
            used = self._is_used(left.value, view), self._is_used(right.value, view)
            if any(used):
                weight = 0.85 if all(used) else 0.65
                yield swap(view, left.value, right.value, "two targets exchanged", weight)

    def _is_used(self, target: cst.BaseExpression, view: FileView) -> bool:
        """Whether a target that is a plain name is read anywhere in the function."""
        function = view.function(target)
        if not isinstance(target, cst.Name) or function is None:
            return True
        return target.value in read_names(function.body, view)
