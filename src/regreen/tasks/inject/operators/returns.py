"""Faults of a result: another value returned or yielded than was worked out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import libcst as cst

from regreen.tasks.inject.operators.base import Change
from regreen.tasks.inject.operators.edits import negated, replace, swap
from regreen.tasks.inject.operators.names import similar_names
from regreen.tasks.inject.operators.scopes import scope_of
from regreen.tasks.inject.operators.view import FileView

__all__ = ["WrongReturn", "WrongYield"]

_TRUTHS = (cst.Comparison, cst.BooleanOperation)
_CONSTANTS = ("None", "True", "False", "NotImplemented", "self", "cls")


class WrongReturn:
    """A ``return`` with a value that is not a bare constant.

    A truth value is negated, a pair turned round, a result replaced by what the function was
    given or by another local of the same kind, and a value by ``None``.
    """

    id: ClassVar[str] = "wrong_return"
    family: ClassVar[str] = "return"
    summary: ClassVar[str] = "another value is returned"
    nodes: ClassVar[tuple[type[cst.CSTNode], ...]] = (cst.Return,)

    def changes(self, node: cst.CSTNode, view: FileView) -> Iterator[Change]:
        """At most three changes per statement."""
        assert isinstance(node, cst.Return)
        value = node.value
        if value is None or isinstance(value, (cst.SimpleString, cst.Integer, cst.Float)):
            return
        if isinstance(value, cst.Name) and value.value in _CONSTANTS:
            return
        is_not = isinstance(value, cst.UnaryOperation) and isinstance(value.operator, cst.Not)
        if isinstance(value, _TRUTHS) or is_not:
            yield replace(view, value, negated(view, value), "result negated", 0.9)
        if isinstance(value, cst.Tuple) and len(value.elements) > 1:
            left, right = value.elements[0], value.elements[1]
            if isinstance(left, cst.Element) and isinstance(right, cst.Element):
                yield swap(view, left.value, right.value, "two results exchanged", 0.9)
        for other in _others(value, view)[:1]:
            yield replace(view, value, other, f"{other} is returned", 0.85)
        yield replace(view, value, "None", "None is returned", 0.85)


def _others(value: cst.BaseExpression, view: FileView) -> list[str]:
    if value.lpar:
        return []
    if isinstance(value, cst.Name):
        function = view.function(value)
        params = scope_of(function, view).params if function is not None else ()
        given = [name for name in params[:1] if name != value.value]
        return [*similar_names(value, view), *given]
    if isinstance(value, cst.Call) and value.args:
        first = value.args[0]
        if isinstance(first.value, cst.Name) and not first.star and first.keyword is None:
            return [] if first.value.value in _CONSTANTS else [first.value.value]
    return []


class WrongYield:
    """A ``yield`` of a pair, of a local name, or of everything another iterable has."""

    id: ClassVar[str] = "wrong_yield"
    family: ClassVar[str] = "return"
    summary: ClassVar[str] = "another value is yielded"
    nodes: ClassVar[tuple[type[cst.CSTNode], ...]] = (cst.Yield,)

    def changes(self, node: cst.CSTNode, view: FileView) -> Iterator[Change]:
        """At most two changes per expression."""
        assert isinstance(node, cst.Yield)
        value = node.value
        if isinstance(value, cst.From):
            start, end = view.span(value)[0], view.outer(value.item)[0]
            yield Change(start, end, "", "yields the iterable, not its items", 0.9)
        elif isinstance(value, cst.Tuple) and len(value.elements) > 1:
            left, right = value.elements[0], value.elements[1]
            if isinstance(left, cst.Element) and isinstance(right, cst.Element):
                yield swap(view, left.value, right.value, "two values exchanged", 0.9)
        elif isinstance(value, cst.Name):
            for other in similar_names(value, view)[:1]:
                yield replace(view, value, other, f"{other} is yielded", 0.85)
