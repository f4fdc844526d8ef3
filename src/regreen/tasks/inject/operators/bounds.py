"""Off by one: a bound, an index or a slice end beside where it should be."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import libcst as cst

from regreen.tasks.inject.operators.base import Change
from regreen.tasks.inject.operators.edits import replace
from regreen.tasks.inject.operators.view import FileView
from regreen.tasks.inject.operators.zones import dotted

__all__ = ["OffByOne"]

_EDGE: dict[type[cst.CSTNode], str] = {
    cst.LessThan: "<=",
    cst.LessThanEqual: "<",
    cst.GreaterThan: ">=",
    cst.GreaterThanEqual: ">",
}


class OffByOne:
    """An order comparison, a range, a slice bound, a constant index, a ``+ 1`` or ``- 1``.

    Version checks and ``while`` conditions that compare with a bare name keep a low weight, the
    middle of a chained comparison too.
    """

    id: ClassVar[str] = "off_by_one"
    family: ClassVar[str] = "constant"
    summary: ClassVar[str] = "a bound, an index or a slice is one beside"
    nodes: ClassVar[tuple[type[cst.CSTNode], ...]] = (
        cst.Comparison,
        cst.Call,
        cst.Slice,
        cst.Index,
        cst.BinaryOperation,
    )

    def changes(self, node: cst.CSTNode, view: FileView) -> Iterator[Change]:
        """The changes of one place, by its kind."""
        match node:
            case cst.Comparison():
                yield from self._edges(node, view)
            case cst.Call():
                yield from self._range(node, view)
            case cst.Slice():
                yield from self._slice(node, view)
            case cst.Index():
                yield from self._index(node, view)
            case cst.BinaryOperation():
                yield from self._step(node, view)

    def _edges(self, node: cst.Comparison, view: FileView) -> Iterator[Change]:
        for target in node.comparisons:
            new = _EDGE.get(type(target.operator))
            if new is None:
                continue
            literal = isinstance(target.comparator, cst.Integer) or isinstance(
                node.left, cst.Integer
            )
            weight = 0.65 if literal or "len(" in view.text(node) else 0.4
            if isinstance(view.statement(node), cst.While):
                weight = 0.35
            note = f"{view.text(target.operator)} became {new}"
            yield replace(view, target.operator, new, note, weight)

    def _range(self, node: cst.Call, view: FileView) -> Iterator[Change]:
        name = dotted(node.func)
        if name == "range" and 1 <= len(node.args) <= 2 and not node.args[-1].star:
            stop = node.args[-1].value
            text = view.text(stop)
            loose = isinstance(stop, (cst.IfExp, cst.BooleanOperation, cst.Comparison))
            text = f"({text})" if loose and not stop.lpar else text
            yield replace(view, stop, f"{text} - 1", "the range ends one early", 0.85)
            if len(node.args) == 1:
                yield replace(view, stop, f"1, {view.text(stop)}", "the range starts at 1", 0.85)
        elif name == "enumerate" and len(node.args) == 1 and not node.args[0].star:
            at = view.span(node.args[0])[1]
            yield Change(at, at, ", 1", "counting starts at 1", 0.85)

    def _slice(self, node: cst.Slice, view: FileView) -> Iterator[Change]:
        for bound in (node.lower, node.upper):
            if bound is None:
                continue
            side = "start" if bound is node.lower else "end"
            value = _integer(bound)
            if value is not None:
                step = 1 if value >= 0 else -1
                near = value - step if value - step else value + step
                note = f"slice {side} {value} became {near}"
                yield replace(view, bound, str(near), note, 0.85)
            elif isinstance(bound, (cst.Name, cst.Attribute, cst.Call)):
                text = (
                    f"{view.text(bound)} + 1" if bound is node.lower else f"{view.text(bound)} - 1"
                )
                yield replace(view, bound, text, f"slice {side} one beside", 0.8)

    def _index(self, node: cst.Index, view: FileView) -> Iterator[Change]:
        value = _integer(node.value)
        if value is None or node.star is not None:
            return
        near = {0: 1, -1: -2, 1: 0}.get(value, value - 1 if value > 0 else value + 1)
        yield replace(view, node.value, str(near), f"index {value} became {near}", 0.85)

    def _step(self, node: cst.BinaryOperation, view: FileView) -> Iterator[Change]:
        if not isinstance(node.operator, (cst.Add, cst.Subtract)):
            return
        if _integer(node.right) != 1:
            return
        sign = view.text(node.operator)
        end = view.outer(node.right)[1]
        yield Change(view.outer(node.left)[1], end, "", f"{sign} 1 lost", 0.85)


def _integer(node: cst.BaseExpression) -> int | None:
    if isinstance(node, cst.Integer) and node.value.isdecimal():
        return int(node.value)
    if isinstance(node, cst.UnaryOperation) and isinstance(node.operator, cst.Minus):
        value = _integer(node.expression)
        return None if value is None else -value
    return None
