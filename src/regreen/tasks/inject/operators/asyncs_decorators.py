"""Faults of what wraps a function or its result: an await or a decorator forgotten."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import ClassVar

import libcst as cst

from regreen.tasks.inject.operators.base import Change
from regreen.tasks.inject.operators.classes import class_reach
from regreen.tasks.inject.operators.edits import replace
from regreen.tasks.inject.operators.view import FileView
from regreen.tasks.inject.operators.zones import dotted

__all__ = ["DropAwait", "DropDecorator"]

_SILENT = re.compile(r"final|override|deprecated|type_check_only|runtime_checkable|no_type_check")
_SPEED = re.compile(r"(lru_)?cache|cached_property|n?jit|profile|total_ordering|wraps|unique|curry")
_SHAPING = frozenset(
    ("property", "staticmethod", "classmethod", "setter", "contextmanager", "dataclass")
)


class DropAwait:
    """An ``await``, or the ``async`` of a loop, a ``with`` or a comprehension.

    Awaiting a bare sleep has a low weight.
    """

    id: ClassVar[str] = "drop_await"
    family: ClassVar[str] = "async"
    summary: ClassVar[str] = "an await is missing"
    nodes: ClassVar[tuple[type[cst.CSTNode], ...]] = (cst.Await, cst.For, cst.With, cst.CompFor)

    def changes(self, node: cst.CSTNode, view: FileView) -> Iterator[Change]:
        """One change per place."""
        if isinstance(node, cst.Await):
            text = view.text(node.expression)
            weight = 0.3 if "sleep" in text else 0.85
            yield replace(view, node, text, "await lost", weight)
        elif isinstance(node, (cst.For, cst.With, cst.CompFor)) and node.asynchronous:
            start = view.span(node)[0]
            match = re.compile(r"async\s+").match(view.code, start)
            if match:
                yield Change(start, match.end(), "", "async lost", 0.85)


class DropDecorator:
    """A decorator that does something at run time.

    Marks for type checkers, overloads and abstract methods stay; caches and compilers have a
    low weight. The lines that count as reached are those of the functions it wraps.
    """

    id: ClassVar[str] = "drop_decorator"
    family: ClassVar[str] = "async"
    summary: ClassVar[str] = "a decorator is missing"
    nodes: ClassVar[tuple[type[cst.CSTNode], ...]] = (cst.Decorator,)

    def changes(self, node: cst.CSTNode, view: FileView) -> Iterator[Change]:
        """One change per decorator."""
        assert isinstance(node, cst.Decorator)
        wrapped = view.parent(node)
        target = node.decorator
        name = dotted(target.func if isinstance(target, cst.Call) else target)
        last = name.rpartition(".")[2]
        if _SILENT.fullmatch(last) or not isinstance(wrapped, (cst.FunctionDef, cst.ClassDef)):
            return
        if isinstance(wrapped, cst.ClassDef):
            reach = class_reach(wrapped, view)
        else:
            reach = view.body_reach(wrapped)
        weight = 0.9 if last in _SHAPING else 0.3 if _SPEED.fullmatch(last) else 0.65
        start, end = view.span(node)
        yield Change(
            view.line_start(start),
            view.line_end(end - 1),
            "",
            f"decorator {name} lost",
            weight,
            reach=reach,
            import_time=True,
        )
