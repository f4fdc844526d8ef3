"""Faults of one operator: another of its family, or its operands the wrong way round."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import libcst as cst

from regreen.tasks.inject.operators.base import Change
from regreen.tasks.inject.operators.edits import replace, swap
from regreen.tasks.inject.operators.view import FileView

__all__ = [
    "ChangeArithmetic",
    "ChangeBitwise",
    "ChangeBoolean",
    "ChangeComparison",
    "SwapOperands",
]

_ARITHMETIC: dict[type[cst.CSTNode], tuple[str, ...]] = {
    cst.Add: ("-",),
    cst.Subtract: ("+",),
    cst.Multiply: ("+", "//"),
    cst.Divide: ("//", "*"),
    cst.FloorDivide: ("/", "%"),
    cst.Modulo: ("//",),
    cst.Power: ("*",),
    cst.MatrixMultiply: ("*",),
    cst.AddAssign: ("-=",),
    cst.SubtractAssign: ("+=",),
    cst.MultiplyAssign: ("+=",),
    cst.DivideAssign: ("*=",),
    cst.FloorDivideAssign: ("%=",),
    cst.ModuloAssign: ("//=",),
}
_BITWISE: dict[type[cst.CSTNode], tuple[str, ...]] = {
    cst.BitAnd: ("|",),
    cst.BitOr: ("&",),
    cst.BitXor: ("|",),
    cst.LeftShift: (">>",),
    cst.RightShift: ("<<",),
    cst.BitAndAssign: ("|=",),
    cst.BitOrAssign: ("&=",),
    cst.BitXorAssign: ("|=",),
    cst.LeftShiftAssign: (">>=",),
    cst.RightShiftAssign: ("<<=",),
}
_COMPARISON: dict[type[cst.CSTNode], str] = {
    cst.LessThan: ">",
    cst.LessThanEqual: ">=",
    cst.GreaterThan: "<",
    cst.GreaterThanEqual: "<=",
    cst.Equal: "!=",
    cst.NotEqual: "==",
    cst.Is: "is not",
    cst.IsNot: "is",
    cst.In: "not in",
    cst.NotIn: "in",
}
_ORDERED = (cst.Subtract, cst.Divide, cst.FloorDivide, cst.Modulo, cst.Power, cst.MatrixMultiply)
_SHIFTS = (cst.LeftShift, cst.RightShift)
_TEXTS = (cst.SimpleString, cst.FormattedString, cst.ConcatenatedString)
_SEQUENCES = (*_TEXTS, cst.List, cst.Tuple)


def _is_text(node: cst.BaseExpression) -> bool:
    """Whether an operand is text or a sequence, for which few operators have a meaning."""
    if isinstance(node, cst.BinaryOperation) and isinstance(node.operator, cst.Add):
        return _is_text(node.left) or _is_text(node.right)
    return isinstance(node, _SEQUENCES)


def _steps_a_loop(node: cst.CSTNode, view: FileView) -> bool:
    """Whether a ``while`` loop may depend on this step for its end."""
    for above in view.ancestors(node):
        if isinstance(above, (cst.For, cst.FunctionDef)):
            return False
        if isinstance(above, cst.While):
            return True
    return False


class ChangeArithmetic:
    """A binary or augmented ``+ - * / // % ** @`` on operands that are not plainly text.

    A step inside a ``while`` loop has a low weight: the loop may not end.
    """

    id: ClassVar[str] = "change_arithmetic"
    family: ClassVar[str] = "operator"
    summary: ClassVar[str] = "an arithmetic operator is another one"
    nodes: ClassVar[tuple[type[cst.CSTNode], ...]] = (cst.BinaryOperation, cst.AugAssign)

    def changes(self, node: cst.CSTNode, view: FileView) -> Iterator[Change]:
        """One or two changes per operator."""
        assert isinstance(node, (cst.BinaryOperation, cst.AugAssign))
        operands = (node.left, node.right) if isinstance(node, cst.BinaryOperation) else ()
        if any(_is_text(operand) for operand in operands):
            return
        if isinstance(node, cst.AugAssign) and _is_text(node.value):
            return
        weight = 0.2 if _steps_a_loop(node, view) else 0.9
        for new in _ARITHMETIC.get(type(node.operator), ()):
            note = f"{view.text(node.operator)} became {new}"
            yield replace(view, node.operator, new, note, weight)


class ChangeBitwise:
    """A binary or augmented ``& | ^ << >>``; types joined by ``|`` are annotations and stay."""

    id: ClassVar[str] = "change_bitwise"
    family: ClassVar[str] = "operator"
    summary: ClassVar[str] = "a bitwise or set operator is another one"
    nodes: ClassVar[tuple[type[cst.CSTNode], ...]] = (cst.BinaryOperation, cst.AugAssign)

    def changes(self, node: cst.CSTNode, view: FileView) -> Iterator[Change]:
        """One change per operator."""
        assert isinstance(node, (cst.BinaryOperation, cst.AugAssign))
        for new in _BITWISE.get(type(node.operator), ()):
            note = f"{view.text(node.operator)} became {new}"
            yield replace(view, node.operator, new, note, 0.8)


class ChangeComparison:
    """A comparison operator: an order is turned round, an equality or membership negated.

    What inverting a whole condition already makes is not made again. ``while`` conditions have
    a low weight.
    """

    id: ClassVar[str] = "change_comparison"
    family: ClassVar[str] = "operator"
    summary: ClassVar[str] = "a comparison operator is another one"
    nodes: ClassVar[tuple[type[cst.CSTNode], ...]] = (cst.Comparison,)

    def changes(self, node: cst.CSTNode, view: FileView) -> Iterator[Change]:
        """One change per operator of the comparison."""
        assert isinstance(node, cst.Comparison)
        in_while = isinstance(view.statement(node), cst.While)
        for target in node.comparisons:
            new = _COMPARISON.get(type(target.operator))
            if new is not None:
                note = f"{view.text(target.operator)} became {new}"
                yield replace(view, target.operator, new, note, 0.2 if in_while else 0.85)


class ChangeBoolean:
    """An ``and`` or ``or``; in ``while`` conditions with a low weight."""

    id: ClassVar[str] = "change_boolean"
    family: ClassVar[str] = "operator"
    summary: ClassVar[str] = "and became or, or the other way round"
    nodes: ClassVar[tuple[type[cst.CSTNode], ...]] = (cst.BooleanOperation,)

    def changes(self, node: cst.CSTNode, view: FileView) -> Iterator[Change]:
        """One change per operator."""
        assert isinstance(node, cst.BooleanOperation)
        weight = 0.2 if isinstance(view.statement(node), cst.While) else 0.8
        new = "or" if isinstance(node.operator, cst.And) else "and"
        note = f"{view.text(node.operator)} became {new}"
        yield replace(view, node.operator, new, note, weight)


class SwapOperands:
    """The operands of an operator for which their order matters.

    ``- / // % ** @ << >>`` always, ``+`` only when an operand is text or a sequence, and never
    ``%`` on text.
    """

    id: ClassVar[str] = "swap_operands"
    family: ClassVar[str] = "operator"
    summary: ClassVar[str] = "two operands have changed places"
    nodes: ClassVar[tuple[type[cst.CSTNode], ...]] = (cst.BinaryOperation,)

    def changes(self, node: cst.CSTNode, view: FileView) -> Iterator[Change]:
        """One change per operation."""
        assert isinstance(node, cst.BinaryOperation)
        left, right, operator = node.left, node.right, node.operator
        if isinstance(operator, cst.Add):
            if not (_is_text(left) or _is_text(right)):
                return
        elif not isinstance(operator, (*_ORDERED, *_SHIFTS)) or _is_text(left):
            return
        weight = 0.2 if _steps_a_loop(node, view) else 0.9
        change = swap(view, left, right, "operands exchanged", weight)
        if isinstance(left, cst.BinaryOperation) and not left.lpar:
            # without its own parentheses the left part would bind to the other operator
            middle = view.code[view.outer(left)[1] : view.outer(right)[0]]
            text = f"{view.text(right)}{middle}({view.text(left)})"
            change = Change(change.start, change.end, text, change.note, weight)
        yield change
