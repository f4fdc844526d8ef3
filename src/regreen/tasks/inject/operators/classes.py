"""Faults of a class: a base, a method or the call of the parent's method gone."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import ClassVar

import libcst as cst

from regreen.tasks.inject.operators.base import Change
from regreen.tasks.inject.operators.edits import delete, delete_item, is_removable
from regreen.tasks.inject.operators.view import FileView
from regreen.tasks.inject.operators.zones import dotted

__all__ = ["DropSuperCall", "RemoveBase", "RemoveMethod", "class_reach"]

_TYPING_BASES = re.compile(r"(.*\.)?(object|Protocol|Generic|ABC|NamedTuple|TypedDict)")


def class_reach(node: cst.ClassDef, view: FileView) -> tuple[int, ...]:
    """Lines that run when something of the class is used.

    The first line of every method; for a class without methods, the statements in functions of
    the file that name it.
    """
    lines: set[int] = set()
    for inner in view.below(node):
        if isinstance(inner, cst.FunctionDef):
            lines.update(view.body_reach(inner))
    if not lines:
        for name in view.nodes:
            used = isinstance(name, cst.Name) and name.value == node.name.value
            if used and view.function(name) is not None:
                lines.update(view.reach(name))
    return tuple(sorted(lines))


class RemoveBase:
    """A base class that gives the class behaviour; typing helpers, ``ABC`` and ``object`` stay."""

    id: ClassVar[str] = "remove_base"
    family: ClassVar[str] = "class"
    summary: ClassVar[str] = "a base class is missing"
    nodes: ClassVar[tuple[type[cst.CSTNode], ...]] = (cst.ClassDef,)

    def changes(self, node: cst.CSTNode, view: FileView) -> Iterator[Change]:
        """One change per base."""
        assert isinstance(node, cst.ClassDef)
        reach = class_reach(node, view)
        if not reach:
            return
        for place, base in enumerate(node.bases):
            name = dotted(base.value)
            if not name or _TYPING_BASES.fullmatch(name):
                continue
            change = delete_item(view, [*node.bases, *node.keywords], place, "", 0.7)
            start, end = change.start, change.end
            if len(node.bases) + len(node.keywords) == 1:
                start = view.code.rindex("(", 0, start)
                end = view.code.index(")", end) + 1
            note = f"base {name} lost"
            yield Change(start, end, "", note, 0.7, reach=reach, import_time=True)


class RemoveMethod:
    """A method that nothing in the class body names and that is not the only statement there."""

    id: ClassVar[str] = "remove_method"
    family: ClassVar[str] = "class"
    summary: ClassVar[str] = "a method is missing"
    nodes: ClassVar[tuple[type[cst.CSTNode], ...]] = (cst.FunctionDef,)

    def changes(self, node: cst.CSTNode, view: FileView) -> Iterator[Change]:
        """One change per method."""
        assert isinstance(node, cst.FunctionDef)
        owner = view.owners.get(node)
        if not isinstance(owner, cst.ClassDef) or not is_removable(view, node):
            return
        name = node.name.value
        if name in _mentioned(owner, view):
            return
        change = delete(view, node, f"method {name} lost", 0.85)
        start = change.start
        # the blank lines that set the method off go with it
        siblings = view.siblings(node)
        floor = view.line_end(view.span(siblings[siblings.index(node) - 1])[1] - 1)
        while siblings[0] is not node and start > floor:
            above = view.line_start(start - 1)
            if above < floor or view.code[above:start].strip():
                break
            start = above
        reach = view.body_reach(node)
        # the parent's own does nearly as well for these
        weight = 0.5 if name in ("__str__", "__hash__", "__ne__", "__bool__") else 0.85
        yield Change(start, change.end, "", change.note, weight, reach=reach, import_time=True)


@lru_cache(maxsize=32)
def _mentioned(owner: cst.ClassDef, view: FileView) -> frozenset[str]:
    """Names that something refers to plainly (not as attributes) as the class is made."""
    found: set[str] = set()
    for node in view.below(owner):
        if isinstance(node, cst.Decorator):
            found.add(dotted(node.decorator).partition(".")[0])
        elif isinstance(node, (cst.Assign, cst.Arg)):
            found.add(dotted(node.value))
    return frozenset(found)


class DropSuperCall:
    """A statement that calls the parent's method; where no parent is named, with a low weight."""

    id: ClassVar[str] = "drop_super_call"
    family: ClassVar[str] = "class"
    summary: ClassVar[str] = "the parent's method is not called"
    nodes: ClassVar[tuple[type[cst.CSTNode], ...]] = (cst.SimpleStatementLine,)

    def changes(self, node: cst.CSTNode, view: FileView) -> Iterator[Change]:
        """One change per statement."""
        assert isinstance(node, cst.SimpleStatementLine)
        only = node.body[0]
        value = only.value if isinstance(only, cst.Expr) else None
        if isinstance(value, cst.Await):
            value = value.expression
        match value:
            case cst.Call(func=cst.Attribute(value=cst.Call(func=cst.Name(value="super")))):
                function = view.function(node)
                owner = view.owners.get(function) if function is not None else None
                bare = isinstance(owner, cst.ClassDef) and not owner.bases
                if is_removable(view, node):
                    yield delete(view, node, "super() call lost", 0.15 if bare else 0.5)
