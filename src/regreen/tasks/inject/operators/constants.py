"""Faults of a written value: a constant in the code, or the default of a parameter."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import libcst as cst

from regreen.tasks.inject.operators.base import Change
from regreen.tasks.inject.operators.edits import replace
from regreen.tasks.inject.operators.view import FileView

__all__ = ["ChangeConstant", "ChangeDefault"]

_NEAR_TEXT = {"''": "' '", '""': '" "', "' '": "''", '" "': '""'}
_NUMBERS = (cst.BinaryOperation, cst.Comparison, cst.ComparisonTarget, cst.Assign, cst.AnnAssign)
_HOLDERS = (*_NUMBERS, cst.AugAssign, cst.Return, cst.Arg, cst.Yield, cst.IfExp, cst.Element)


class ChangeConstant:
    """A number or truth value in the body of a function, or a constant that functions read.

    Indices and slice bounds belong to ``off_by_one``; a number that multiplies or is added is
    left alone when the result would be the same, a step in a ``while`` loop has a low weight.
    """

    id: ClassVar[str] = "change_constant"
    family: ClassVar[str] = "constant"
    summary: ClassVar[str] = "a constant has another value"
    nodes: ClassVar[tuple[type[cst.CSTNode], ...]] = (cst.Integer, cst.Float, cst.Name)

    def changes(self, node: cst.CSTNode, view: FileView) -> Iterator[Change]:
        """One change per constant."""
        parent = view.parent(node)
        if not isinstance(parent, (*_HOLDERS, cst.DictElement)):
            return
        if isinstance(parent, cst.Arg) and parent.keyword is not None:
            return
        assert isinstance(node, (cst.Integer, cst.Float, cst.Name))
        new = _other_value(node)
        if new is None:
            return
        in_while = any(isinstance(n, cst.While) for n in view.ancestors(node))
        weight = 0.3 if in_while and not isinstance(node, cst.Name) else 0.85
        yield replace(view, node, new, f"{node.value} became {new}", weight)


class ChangeDefault:
    """A parameter's default that is a number, a truth value or a short string.

    ``None`` stays: what stands for it is decided in the body. Defaults of private helpers that
    every caller overrides survive their tests, hence the moderate weight.
    """

    id: ClassVar[str] = "change_default"
    family: ClassVar[str] = "constant"
    summary: ClassVar[str] = "a parameter has another default"
    nodes: ClassVar[tuple[type[cst.CSTNode], ...]] = (cst.Param,)

    def changes(self, node: cst.CSTNode, view: FileView) -> Iterator[Change]:
        """One change per default."""
        assert isinstance(node, cst.Param)
        holder = view.parent(view.parent(node) or node)
        if node.default is None or not isinstance(holder, cst.FunctionDef):
            return
        new = _other_value(node.default)
        if new is None and isinstance(node.default, cst.SimpleString):
            new = _NEAR_TEXT.get(node.default.value)
            body = node.default.raw_value
            if new is None and len(body) > 1 and node.default.prefix == "":
                quote = node.default.quote
                new = f"{quote}{quote}"
        if new is None:
            return
        change = replace(view, node.default, new, f"default of {node.name.value} became {new}", 0.7)
        yield Change(
            change.start,
            change.end,
            new,
            change.note,
            change.weight,
            reach=view.body_reach(holder),
            import_time=True,
        )


def _other_value(node: cst.BaseExpression) -> str | None:
    """A value of the same kind that a person could have typed instead."""
    if isinstance(node, cst.Name):
        return {"True": "False", "False": "True"}.get(node.value)
    if isinstance(node, cst.Integer) and node.value.isdecimal():
        value = int(node.value)
        return str(value + 1) if value < 2 else str(value - 1)
    if isinstance(node, cst.Float) and node.value.replace(".", "", 1).isdecimal():
        value_f = float(node.value)
        return str(value_f * 2) if value_f else "1.0"
    return None
