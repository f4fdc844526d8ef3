"""What is known about the names of one function: where each is bound, and how it is used.

Only straight-line knowledge: a name counts as bound at a place when every path there passes its
binding, so that a fault built on it is a wrong value and not a ``NameError``.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import libcst as cst

from regreen.tasks.inject.operators.view import FileView

__all__ = ["Scope", "bound_names", "read_names", "scope_of"]

_SIMPLE_USES: dict[type[cst.CSTNode], str] = {
    cst.BinaryOperation: "arithmetic",
    cst.Comparison: "compared",
    cst.ComparisonTarget: "compared",
    cst.Index: "index",
}
_SELF = frozenset(("self", "cls", "_"))


@dataclass(frozen=True, slots=True)
class Scope:
    """Names of one function."""

    node: cst.FunctionDef
    """The function."""
    params: tuple[str, ...]
    """Parameter names without ``self`` and ``cls``, in order."""
    bindings: dict[str, tuple[cst.CSTNode, ...]]
    """Per local name, the nodes that bind it."""
    uses: dict[str, frozenset[str]]
    """Per name, the kinds of place it is read in, for example ``called``."""
    foreign: frozenset[str]
    """Names declared global or nonlocal, or deleted somewhere: never offered."""
    is_generator: bool
    """Whether the function yields."""

    def bound_at(self, name: str, node: cst.CSTNode, view: FileView) -> bool:
        """Whether every path to ``node`` binds ``name`` first."""
        if name in self.foreign:
            return False
        if name in self.params:
            return True
        return any(_dominates(b, node, view) for b in self.bindings.get(name, ()))


@lru_cache(maxsize=128)
def scope_of(function: cst.FunctionDef, view: FileView) -> Scope:
    """Collect the facts of ``function``."""
    bindings: defaultdict[str, list[cst.CSTNode]] = defaultdict(list)
    uses: defaultdict[str, set[str]] = defaultdict(set)
    foreign: set[str] = set()
    yields = False
    for node in view.own(function):
        if isinstance(node, (cst.Global, cst.Nonlocal)):
            foreign.update(item.name.value for item in node.names)
        elif isinstance(node, cst.Del):
            foreign.update(n.value for n in view.below(node) if isinstance(n, cst.Name))
        elif isinstance(node, cst.Yield):
            yields = True
        elif isinstance(node, cst.Name):
            uses[node.value].add(_use(node, view))
        for name in bound_names(node):
            bindings[name].append(node)
    return Scope(
        node=function,
        params=tuple(_params(function)),
        bindings={name: tuple(nodes) for name, nodes in bindings.items()},
        uses={name: frozenset(kinds - {""}) for name, kinds in uses.items()},
        foreign=frozenset(foreign),
        is_generator=yields,
    )


def bound_names(node: cst.CSTNode) -> Iterator[str]:
    """Plain names that one node binds (not what lies below it)."""
    match node:
        case cst.AssignTarget(target=target) | cst.AugAssign(target=target):
            yield from _target_names(target)
        case cst.AnnAssign(target=target, value=value) if value is not None:
            yield from _target_names(target)
        case cst.NamedExpr(target=target):
            yield from _target_names(target)
        case cst.For(target=target):
            yield from _target_names(target)
        case cst.AsName(name=target):
            yield from _target_names(target)


def read_names(node: cst.CSTNode, view: FileView) -> set[str]:
    """Plain names read at or below ``node``, nested functions included."""
    found: set[str] = set()
    for inner in (node, *view.below(node)):
        if isinstance(inner, cst.Name) and _is_read(inner, view):
            found.add(inner.value)
    return found


def _is_read(name: cst.Name, view: FileView) -> bool:
    parent = view.parent(name)
    match parent:
        case cst.Attribute(value=value):
            return value is name
        case cst.Arg(value=value):
            return value is name
        case cst.Element() | cst.For() | cst.CompFor():
            return not _is_target(name, view)
        case cst.Param() | cst.FunctionDef() | cst.ClassDef() | cst.AssignTarget():
            return isinstance(parent, cst.Param) and parent.default is name
        case cst.AsName() | cst.ImportAlias():
            return False
    return True


def _is_target(name: cst.Name, view: FileView) -> bool:
    inner: cst.CSTNode = name
    for above in view.ancestors(name):
        if isinstance(above, (cst.For, cst.CompFor)):
            return above.target is inner
        if isinstance(above, (cst.AssignTarget, cst.NamedExpr)):
            return above.target is inner if isinstance(above, cst.NamedExpr) else True
        if not isinstance(above, (cst.Tuple, cst.List, cst.Element, cst.StarredElement)):
            return False
        inner = above
    return False


def _target_names(target: cst.CSTNode) -> Iterator[str]:
    match target:
        case cst.Name(value=name):
            yield name
        case cst.Tuple(elements=elements) | cst.List(elements=elements):
            for element in elements:
                yield from _target_names(element.value)


def _params(function: cst.FunctionDef) -> Iterator[str]:
    params = function.params
    plain = (*params.posonly_params, *params.params, *params.kwonly_params)
    for param in plain:
        if param.name.value not in _SELF:
            yield param.name.value
    if isinstance(params.star_arg, cst.Param):
        yield params.star_arg.name.value
    if params.star_kwarg is not None:
        yield params.star_kwarg.name.value


def _dominates(binding: cst.CSTNode, node: cst.CSTNode, view: FileView) -> bool:
    if isinstance(binding, cst.NamedExpr):
        return False
    above = {id(node), *(id(n) for n in view.ancestors(node))}
    if isinstance(binding, cst.For):
        return id(binding.body) in above
    if isinstance(binding, cst.AsName):
        holder = view.parent(binding)
        if isinstance(holder, cst.WithItem):
            holder = view.parent(holder)
        body = holder.body if isinstance(holder, (cst.With, cst.ExceptHandler)) else None
        return body is not None and id(body) in above
    statement = view.statement(binding)
    if statement is None or id(view.parent(statement)) not in above:
        return False
    return view.span(statement)[1] <= view.span(node)[0]


def _use(name: cst.Name, view: FileView) -> str:
    parent = view.parent(name)
    use = _SIMPLE_USES.get(type(parent or name), "")
    match parent:
        case cst.Call(func=func) if func is name:
            use = "called"
        case cst.Attribute(value=value) if value is name:
            use = "attribute:" + parent.attr.value
        case cst.Subscript(value=value) if value is name:
            use = "subscripted"
        case cst.For(iter=source) | cst.CompFor(iter=source) if source is name:
            use = "iterated"
        case cst.Arg():
            call = view.parent(parent)
            use = "passed:" + view.text(call.func) if isinstance(call, cst.Call) else ""
    return use
