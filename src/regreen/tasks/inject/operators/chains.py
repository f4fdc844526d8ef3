"""A link of a chain gone: an operand, a method call, one side of a range check."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import ClassVar

import libcst as cst

from regreen.tasks.inject.operators.base import Change
from regreen.tasks.inject.operators.view import FileView

__all__ = ["BreakChain"]

_SAME_KIND = re.compile(
    r"l?strip|rstrip|lower|upper|casefold|title|capitalize|swapcase|replace|removeprefix"
    r"|removesuffix|expanduser|resolve|absolute|encode|decode|normalize"
)


class BreakChain:
    """A chain of three operands, of method calls, or of comparisons.

    ``a + b + c`` loses its middle, ``a < b < c`` one side, ``x.strip().lower()`` one call.
    """

    id: ClassVar[str] = "break_chain"
    family: ClassVar[str] = "operator"
    summary: ClassVar[str] = "a chained expression lacks a link"
    nodes: ClassVar[tuple[type[cst.CSTNode], ...]] = (
        cst.BinaryOperation,
        cst.Comparison,
        cst.Call,
    )

    def changes(self, node: cst.CSTNode, view: FileView) -> Iterator[Change]:
        """One change per link that can go."""
        if isinstance(node, cst.BinaryOperation):
            yield from self._operands(node, view)
        elif isinstance(node, cst.Comparison):
            yield from self._comparisons(node, view)
        elif isinstance(node, cst.Call):
            yield from self._call(node, view)

    def _operands(self, node: cst.BinaryOperation, view: FileView) -> Iterator[Change]:
        for side in (node.left, node.right):
            if not isinstance(side, cst.BinaryOperation):
                continue
            note = "an operand of the chain lost"
            start, end = view.outer(side)
            if side is node.left:
                yield Change(start, end, view.text(side.left), note, 0.85)
            else:
                yield Change(start, end, view.text(side.right), note, 0.8)

    def _comparisons(self, node: cst.Comparison, view: FileView) -> Iterator[Change]:
        if len(node.comparisons) < 2:
            return
        last = node.comparisons[-1]
        before = node.comparisons[-2]
        end = view.outer(last.comparator)[1]
        yield Change(view.outer(before.comparator)[1], end, "", "upper bound lost", 0.6)
        start, first = view.outer(node.left)[0], view.outer(node.comparisons[0].comparator)[0]
        yield Change(start, first, "", "lower bound lost", 0.6)

    def _call(self, node: cst.Call, view: FileView) -> Iterator[Change]:
        if not isinstance(node.func, cst.Attribute):
            return
        if not _SAME_KIND.fullmatch(node.func.attr.value):
            return
        end = view.span(node)[1]
        statement = view.parent(node)
        if isinstance(statement, cst.Expr):
            return
        note = f".{node.func.attr.value}() lost"
        weight = 0.45 if node.func.attr.value in ("decode", "encode") else 0.6
        yield Change(view.outer(node.func.value)[1], end, "", note, weight)
