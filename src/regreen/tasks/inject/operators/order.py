"""Faults of place: two statements the wrong way round, a statement at the wrong depth."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import libcst as cst

from regreen.tasks.inject.operators.base import Change
from regreen.tasks.inject.operators.edits import exits, swap_statements
from regreen.tasks.inject.operators.scopes import bound_names, scope_of
from regreen.tasks.inject.operators.view import FileView
from regreen.tasks.inject.operators.zones import dotted, is_docstring

__all__ = ["ReorderStatements", "WrongIndent"]


def _touched(node: cst.CSTNode, view: FileView) -> tuple[set[str], set[str]]:
    """Dotted names a statement changes, and names it reads."""
    changed: set[str] = set()
    read: set[str] = set()
    for inner in view.below(node):
        changed.update(bound_names(inner))
        match inner:
            case cst.AssignTarget(target=target) | cst.AugAssign(target=target):
                base = target.value if isinstance(target, cst.Subscript) else target
                changed.add(dotted(base))
            case cst.Call(func=cst.Attribute(value=value)) if _is_effect(inner, view):
                changed.add(dotted(value))
            case cst.Del(target=target):
                base = target.value if isinstance(target, cst.Subscript) else target
                changed.add(dotted(base))
            case cst.Name() | cst.Attribute():
                if not isinstance(view.parent(inner), cst.AssignTarget):
                    read.add(dotted(inner))
    return changed - {""}, read - {""}


def _is_effect(call: cst.CSTNode, view: FileView) -> bool:
    parent = view.parent(call)
    return isinstance(parent, (cst.Expr, cst.Await))


class ReorderStatements:
    """Two neighbouring simple statements, one of which changes what the other uses.

    Not where the first binds a name that has no value before it, and not before a return.
    """

    id: ClassVar[str] = "reorder_statements"
    family: ClassVar[str] = "order"
    summary: ClassVar[str] = "two statements have changed places"
    nodes: ClassVar[tuple[type[cst.CSTNode], ...]] = (cst.SimpleStatementLine,)

    def changes(self, node: cst.CSTNode, view: FileView) -> Iterator[Change]:
        """One change per pair, made at its first statement."""
        assert isinstance(node, cst.SimpleStatementLine)
        if not isinstance(view.parent(node), cst.IndentedBlock) or is_docstring(node):
            return
        siblings = view.siblings(node)
        place = siblings.index(node)
        function = view.function(node)
        if place + 1 == len(siblings) or function is None:
            return
        after = siblings[place + 1]
        if not isinstance(after, cst.SimpleStatementLine) or exits(after) or exits(node):
            return
        (changed, read), (other_changed, other_read) = _touched(node, view), _touched(after, view)
        needed = changed & (other_read | other_changed)
        if not needed and not read & other_changed:
            return
        scope = scope_of(function, view)
        plain = [name for name in changed & other_read if "." not in name]
        if not all(scope.bound_at(name, node, view) for name in plain):
            return
        in_while = any(isinstance(n, cst.While) for n in view.ancestors(node))
        note = "two statements exchanged"
        shared = (changed & (other_read | other_changed)) | (read & other_changed)
        # of two changes to an object the order often shows only to a second observer
        weight = (
            0.3 if in_while else 0.8 if any("." not in name for name in shared - {"self"}) else 0.5
        )
        yield swap_statements(view, node, after, note, weight)


class WrongIndent:
    """A simple statement right after a ``for`` loop, or the last one inside it.

    The first kind slips into the loop, the second out of it; names stay bound either way as
    long as the loop runs once. A plain assignment slips in only where the loop uses its target.
    """

    id: ClassVar[str] = "wrong_indent"
    family: ClassVar[str] = "order"
    summary: ClassVar[str] = "a statement stands inside a loop or behind it by mistake"
    nodes: ClassVar[tuple[type[cst.CSTNode], ...]] = (cst.For,)

    def changes(self, node: cst.CSTNode, view: FileView) -> Iterator[Change]:
        """At most two changes per loop."""
        assert isinstance(node, cst.For)
        body = node.body
        if node.orelse is not None or not isinstance(body, cst.IndentedBlock):
            return
        siblings = view.siblings(node)
        if node not in siblings:
            return
        place = siblings.index(node)
        inner_indent = view.indent(body.body[0])
        after = siblings[place + 1] if place + 1 < len(siblings) else None
        if self._may_slip_in(after, node, view) and not exits(body.body[-1]):
            assert isinstance(after, cst.SimpleStatementLine)
            start, end = view.whole_lines(after)
            loop_end = view.line_end(view.span(node)[1] - 1)
            text = view.render([after.with_changes(leading_lines=())], inner_indent)
            text = text if view.code[start:end].endswith(("\n", "\r")) else text.rstrip("\r\n")
            note = "a statement slipped into the loop"
            yield Change(loop_end, end, text, note, 0.85, reach=view.reach(node))
        last = body.body[-1]
        if len(body.body) > 1 and isinstance(last, cst.SimpleStatementLine) and not exits(last):
            start, end = view.whole_lines(last)
            text = view.render([last.with_changes(leading_lines=())], view.indent(node))
            text = text if view.code[start:end].endswith(("\n", "\r")) else text.rstrip("\r\n")
            note = "a statement slipped out of the loop"
            yield Change(start, end, text, note, 0.85, reach=view.reach(last))

    def _may_slip_in(self, after: cst.CSTNode | None, loop: cst.For, view: FileView) -> bool:
        if not isinstance(after, cst.SimpleStatementLine):
            return False
        if not isinstance(after.body[0], (cst.Assign, cst.AnnAssign)):
            return True
        changed, _ = _touched(after, view)
        return bool(changed & set().union(*_touched(loop.body, view)))
