"""Faults of control flow: a condition turned round, branches exchanged, a clause lost."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import libcst as cst

from regreen.tasks.inject.operators.base import Change
from regreen.tasks.inject.operators.edits import invert, keep_part, replace
from regreen.tasks.inject.operators.view import FileView
from regreen.tasks.inject.operators.zones import dotted

__all__ = ["BreakContinue", "DropClause", "InvertCondition", "NoneCheck", "ShuffleBranches"]


class InvertCondition:
    """An ``if``, ``elif``, conditional expression or comprehension filter.

    Loops' conditions are left alone (they would run for ever or never), so are checks of the
    interpreter or platform. A comparison takes its opposite operator, ``not x`` loses the
    ``not``, everything else gains one.
    """

    id: ClassVar[str] = "invert_condition"
    family: ClassVar[str] = "control"
    summary: ClassVar[str] = "a condition means its opposite"
    nodes: ClassVar[tuple[type[cst.CSTNode], ...]] = (cst.If, cst.IfExp, cst.CompIf)

    def changes(self, node: cst.CSTNode, view: FileView) -> Iterator[Change]:
        """One change per condition."""
        assert isinstance(node, (cst.If, cst.IfExp, cst.CompIf))
        yield invert(view, node.test, "condition inverted", 0.9)


class ShuffleBranches:
    """An ``if`` with an ``else`` or an ``elif``, or a conditional expression.

    The bodies change places, the conditions stay. Bodies of one line after the colon and
    branches with equal text are left alone.
    """

    id: ClassVar[str] = "shuffle_branches"
    family: ClassVar[str] = "control"
    summary: ClassVar[str] = "two branches stand under each other's condition"
    nodes: ClassVar[tuple[type[cst.CSTNode], ...]] = (cst.If, cst.IfExp)

    def changes(self, node: cst.CSTNode, view: FileView) -> Iterator[Change]:
        """One change per pair of neighbouring branches."""
        if isinstance(node, cst.IfExp):
            (start, body_end), (other_start, end) = view.outer(node.body), view.outer(node.orelse)
            middle = view.code[body_end:other_start]
            text = view.text(node.orelse) + middle + view.text(node.body)
            yield Change(start, end, text, "the two values exchanged", 0.9)
            return
        assert isinstance(node, cst.If)
        other = node.orelse
        if other is None:
            return
        first, second = node.body, other.body
        if not isinstance(first, cst.IndentedBlock) or not isinstance(second, cst.IndentedBlock):
            return
        (start, first_end), (second_start, end) = view.span(first), view.span(second)
        if view.indent(first.body[0]) != view.indent(second.body[0]):
            return
        middle = view.code[first_end:second_start]
        text = view.code[second_start:end] + middle + view.code[start:first_end]
        yield Change(start, end, text, "two branches exchanged", 0.85)


class BreakContinue:
    """A ``continue``, or a ``break`` of a ``for`` loop.

    ``break`` of a ``while`` loop stays, for it may be its only end.
    """

    id: ClassVar[str] = "break_continue"
    family: ClassVar[str] = "control"
    summary: ClassVar[str] = "a loop ends where it should go on, or goes on"
    nodes: ClassVar[tuple[type[cst.CSTNode], ...]] = (cst.Break, cst.Continue)

    def changes(self, node: cst.CSTNode, view: FileView) -> Iterator[Change]:
        """One change per statement."""
        loops = (n for n in view.ancestors(node) if isinstance(n, (cst.For, cst.While)))
        loop = next(loops, None)
        if isinstance(node, cst.Continue):
            yield replace(view, node, "break", "continue became break", 0.6)
        elif isinstance(loop, cst.For):
            yield replace(view, node, "continue", "break became continue", 0.5)


class DropClause:
    """One operand of an ``and`` or ``or`` that decides something.

    Applies in conditions and returned values; in ``while`` loops only with a low weight.
    """

    id: ClassVar[str] = "drop_clause"
    family: ClassVar[str] = "control"
    summary: ClassVar[str] = "one part of a joint condition is missing"
    nodes: ClassVar[tuple[type[cst.CSTNode], ...]] = (cst.BooleanOperation,)

    def changes(self, node: cst.CSTNode, view: FileView) -> Iterator[Change]:
        """Two changes per operation: without its right and without its left part."""
        assert isinstance(node, cst.BooleanOperation)
        in_while = any(
            isinstance(n, cst.While) and n.test in (node, *view.ancestors(node))
            for n in view.ancestors(node)
        )
        weight = 0.2 if in_while else 0.55
        yield keep_part(view, node, node.left, "right part of the condition lost", weight)
        guards = _guards(node, view)
        note = "left part of the condition lost"
        yield keep_part(view, node, node.right, note, weight + 0.15 * guards)


def _guards(node: cst.BooleanOperation, view: FileView) -> bool:
    """Whether the left part protects the right one, as in ``x is not None and x.y``."""
    name = node.left.left if isinstance(node.left, cst.Comparison) else node.left
    name = name.expression if isinstance(name, cst.UnaryOperation) else name
    return bool(dotted(name)) and dotted(name) in view.text(node.right)


class NoneCheck:
    """A comparison with ``None``, or a truth test of a plain name.

    ``x is None`` becomes ``not x`` and the other way round, so that empty values are taken for
    absent ones; only as a whole condition or as part of a joint one.
    """

    id: ClassVar[str] = "none_check"
    family: ClassVar[str] = "control"
    summary: ClassVar[str] = "None and empty values are confused"
    nodes: ClassVar[tuple[type[cst.CSTNode], ...]] = (cst.Comparison, cst.If, cst.BooleanOperation)

    def changes(self, node: cst.CSTNode, view: FileView) -> Iterator[Change]:
        """One change per test."""
        if isinstance(node, cst.Comparison):
            yield from self._from_none(node, view)
        elif isinstance(node, cst.If):
            yield from self._from_truth(node.test, view)
        elif isinstance(node, cst.BooleanOperation) and isinstance(node.operator, cst.And):
            for part in (node.left, node.right):
                yield from self._from_truth(part, view)

    def _from_none(self, node: cst.Comparison, view: FileView) -> Iterator[Change]:
        if len(node.comparisons) != 1 or not dotted(node.left):
            return
        target = node.comparisons[0]
        if dotted(target.comparator) != "None":
            return
        parent = view.parent(node)
        if not isinstance(parent, (cst.If, cst.IfExp, cst.BooleanOperation, cst.CompIf)):
            return
        note = "a None check became a truth test"
        name = view.text(node.left)
        if isinstance(target.operator, cst.Is):
            yield replace(view, node, f"not {name}", note, 0.25)
        elif isinstance(target.operator, cst.IsNot):
            yield replace(view, node, name, note, 0.25)

    def _from_truth(self, test: cst.BaseExpression, view: FileView) -> Iterator[Change]:
        note = "a truth test became a None check"
        if isinstance(test, cst.UnaryOperation) and isinstance(test.operator, cst.Not):
            if dotted(test.expression):
                yield replace(view, test, f"{view.text(test.expression)} is None", note, 0.4)
        elif dotted(test) not in ("", "True", "False", "None"):
            yield replace(view, test, f"{dotted(test)} is not None", note, 0.4)
