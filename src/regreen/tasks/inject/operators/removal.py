"""Faults of omission: a loop, a condition, a check, a wrapper, a step or a whole body missing."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import ClassVar

import libcst as cst

from regreen.tasks.inject.operators.base import Change
from regreen.tasks.inject.operators.edits import delete, exits, is_removable, replace_lines
from regreen.tasks.inject.operators.scopes import bound_names, scope_of
from regreen.tasks.inject.operators.view import FileView
from regreen.tasks.inject.operators.zones import dotted, hides_arguments, is_docstring

__all__ = [
    "DropCheck",
    "EmptyBody",
    "RemoveCall",
    "RemoveCondition",
    "RemoveEarlyReturn",
    "RemoveLoop",
    "RemoveWrapper",
]

_ADVANCES = re.compile(r"pop|popleft|popitem|next|read|readline|advance|get|append|add|skip|seek")
_QUIET = re.compile(r".*(lock|mutex|semaphore|timer|catch_warnings|nullcontext).*", re.IGNORECASE)


def _in_while(node: cst.CSTNode, view: FileView) -> bool:
    return any(isinstance(above, cst.While) for above in view.ancestors(node))


def _stands_alone(node: cst.CSTNode, view: FileView) -> bool:
    """Whether a compound statement is one of a block, which an ``elif`` is not."""
    return isinstance(view.parent(node), cst.IndentedBlock)


def _leaves_unbound(node: cst.CSTNode, statement: cst.CSTNode, view: FileView) -> bool:
    """Whether code after ``statement`` reads a name that only ``node`` binds."""
    function = view.function(statement)
    if function is None:
        return True
    bound = {name for inner in view.below(node) for name in bound_names(inner)}
    if isinstance(node, cst.For):
        bound.update(bound_names(node))
    scope = scope_of(function, view)
    open_names = {name for name in bound if not scope.bound_at(name, statement, view)}
    if not open_names:
        return False
    first, last = view.index[node], view.ends[node]
    outside = (*view.nodes[view.index[function] : first], *view.nodes[last : view.ends[function]])
    return any(isinstance(n, cst.Name) and n.value in open_names for n in outside)


def _last_yield(node: cst.CSTNode, view: FileView) -> bool:
    """Whether a generator would stop being one without ``node``."""
    function = view.function(node)
    if function is None:
        return True
    inside = sum(isinstance(n, cst.Yield) for n in view.own(node))
    return inside > 0 and inside == sum(isinstance(n, cst.Yield) for n in view.own(function))


def _can_go(node: cst.CSTNode, statement: cst.CSTNode, view: FileView) -> bool:
    return not _leaves_unbound(node, statement, view) and not _last_yield(node, view)


def _lost(view: FileView, node: cst.If | cst.For | cst.While, note: str, weight: float) -> Change:
    """Take a compound statement out; only a test that enters its body can miss it."""
    change = delete(view, node, note, weight)
    return replace(change, reach=view.reach(node.body.body[0]))


class RemoveLoop:
    """A ``for`` or ``while`` without ``else`` whose names nobody needs afterwards."""

    id: ClassVar[str] = "remove_loop"
    family: ClassVar[str] = "removal"
    summary: ClassVar[str] = "a loop is missing"
    nodes: ClassVar[tuple[type[cst.CSTNode], ...]] = (cst.For, cst.While)

    def changes(self, node: cst.CSTNode, view: FileView) -> Iterator[Change]:
        """One change per loop."""
        assert isinstance(node, (cst.For, cst.While))
        if node.orelse is not None or not is_removable(view, node):
            return
        if not _can_go(node, node, view):
            return
        weight = 0.2 if _in_while(node, view) else 0.9
        yield _lost(view, node, "a loop lost", weight)


class RemoveCondition:
    """An ``if`` that guards ordinary work.

    Without ``else``: the statement goes, or its body runs always. With ``else``: that goes.
    Bodies that leave the block are early returns and checks, which are classes of their own.
    """

    id: ClassVar[str] = "remove_condition"
    family: ClassVar[str] = "removal"
    summary: ClassVar[str] = "a case is not provided for, or its condition is missing"
    nodes: ClassVar[tuple[type[cst.CSTNode], ...]] = (cst.If,)

    def changes(self, node: cst.CSTNode, view: FileView) -> Iterator[Change]:
        """One or two changes per statement."""
        assert isinstance(node, cst.If)
        if not isinstance(node.body, cst.IndentedBlock):
            return
        weight = 0.2 if _in_while(node, view) else 0.8
        other = node.orelse
        has_else = isinstance(other, cst.Else) and isinstance(other.body, cst.IndentedBlock)
        if other is not None and has_else and _can_go(other, node, view):
            start, end = view.span(other)
            start, end = view.line_start(start), view.line_end(end - 1)
            reach = view.reach(other.body.body[0])
            yield Change(start, end, "", "the other case lost", weight, reach=reach)
        if other is not None or exits(node.body.body[-1]) or not _stands_alone(node, view):
            return
        if not isinstance(node.test, cst.NamedExpr):
            body = [node.body.body[0].with_changes(leading_lines=()), *node.body.body[1:]]
            yield replace_lines(view, node, body, "a condition lost", weight)
        if is_removable(view, node) and _can_go(node, node, view):
            yield _lost(view, node, "a case lost", weight)


def _guard(node: cst.CSTNode, view: FileView) -> cst.CSTNode | None:
    """The statement that ends a plain guarding ``if``, None for any other."""
    if not isinstance(node, cst.If) or node.orelse is not None or not _stands_alone(node, view):
        return None
    last = node.body.body[-1]
    if not is_removable(view, node) or _leaves_unbound(node, node, view):
        return None
    if isinstance(node.body, cst.SimpleStatementSuite):
        return last
    if not exits(last):
        return None
    return last.body[-1] if isinstance(last, cst.SimpleStatementLine) else None


class RemoveEarlyReturn:
    """An ``if`` that ends in return, continue or break, with more statements after it.

    In a ``while`` loop with a low weight, for it may be what ends the loop.
    """

    id: ClassVar[str] = "remove_early_return"
    family: ClassVar[str] = "removal"
    summary: ClassVar[str] = "a special case is no longer handled first"
    nodes: ClassVar[tuple[type[cst.CSTNode], ...]] = (cst.If,)

    def changes(self, node: cst.CSTNode, view: FileView) -> Iterator[Change]:
        """One change per guard."""
        last = _guard(node, view)
        if not isinstance(last, (cst.Return, cst.Continue, cst.Break)):
            return
        if view.siblings(node)[-1] is node or _last_yield(node, view):
            return
        assert isinstance(node, cst.If)
        weight = 0.2 if _in_while(node, view) else 0.75
        yield _lost(view, node, "an early exit lost", weight)


class DropCheck:
    """An ``if`` that only refuses something, by ``raise``."""

    id: ClassVar[str] = "drop_check"
    family: ClassVar[str] = "removal"
    summary: ClassVar[str] = "a value is no longer checked"
    nodes: ClassVar[tuple[type[cst.CSTNode], ...]] = (cst.If,)

    def changes(self, node: cst.CSTNode, view: FileView) -> Iterator[Change]:
        """One change per check."""
        last = _guard(node, view)
        if isinstance(last, cst.Raise) and not _last_yield(node, view):
            assert isinstance(node, cst.If)
            yield _lost(view, node, "a check lost", 0.75)


class RemoveWrapper:
    """A ``with`` whose value has no name, or a ``try`` without ``else``; the body stays.

    A ``try`` counts as reached when one of its handlers runs. Locks and the like have a low
    weight, for tests seldom contend.
    """

    id: ClassVar[str] = "remove_wrapper"
    family: ClassVar[str] = "removal"
    summary: ClassVar[str] = "a with or try around the work is missing"
    nodes: ClassVar[tuple[type[cst.CSTNode], ...]] = (cst.With, cst.Try)

    def changes(self, node: cst.CSTNode, view: FileView) -> Iterator[Change]:
        """One change per wrapper."""
        assert isinstance(node, (cst.With, cst.Try))
        body = node.body
        if not isinstance(body, cst.IndentedBlock):
            return
        reach = view.reach(node)
        if isinstance(node, cst.With):
            if any(item.asname is not None for item in node.items):
                return
            quiet = all(_QUIET.fullmatch(view.text(item)) for item in node.items)
            weight, note = 0.15 if quiet else 0.65, "with lost"
        else:
            if node.orelse is not None or self._catches_imports(node):
                return
            weight, note = 0.65, "try lost"
            if node.handlers:
                reach = tuple(view.line(view.span(h)[0]) for h in node.handlers)
        change = replace_lines(view, node, body.body, note, weight)
        yield Change(change.start, change.end, change.replacement, note, weight, reach=reach)

    def _catches_imports(self, node: cst.Try) -> bool:
        return any(dotted(handler.type) == "ImportError" for handler in node.handlers)


class RemoveCall:
    """A call, awaited or not, made for its effect.

    Not log or ``print`` calls and not ``super()``; in a ``while`` loop what may advance it has a
    low weight.
    """

    id: ClassVar[str] = "remove_call"
    family: ClassVar[str] = "removal"
    summary: ClassVar[str] = "a step is missing"
    nodes: ClassVar[tuple[type[cst.CSTNode], ...]] = (cst.SimpleStatementLine,)

    def changes(self, node: cst.CSTNode, view: FileView) -> Iterator[Change]:
        """One change per statement."""
        assert isinstance(node, cst.SimpleStatementLine)
        only = node.body[0]
        value = only.value if isinstance(only, cst.Expr) else None
        if isinstance(value, cst.Await):
            value = value.expression
        if not isinstance(value, cst.Call) or not is_removable(view, node):
            return
        name = dotted(value.func) or view.text(value.func)
        if hides_arguments(value) or name in ("print", "super") or name.startswith("super()"):
            return
        last = name.rpartition(".")[2]
        held = _in_while(node, view) and _ADVANCES.fullmatch(last)
        weight = 0.15 if held else 0.3 if last in ("close", "flush", "gc", "collect") else 0.75
        yield delete(view, node, f"call of {last} lost", weight)


class EmptyBody:
    """A function with at least two statements besides its docstring.

    What stays is ``raise NotImplementedError``: it reads as a stub somebody left for later,
    which is what such a task asks to be filled in, and it fails where it is called.
    """

    id: ClassVar[str] = "empty_body"
    family: ClassVar[str] = "removal"
    summary: ClassVar[str] = "a function is not implemented"
    nodes: ClassVar[tuple[type[cst.CSTNode], ...]] = (cst.FunctionDef,)

    def changes(self, node: cst.CSTNode, view: FileView) -> Iterator[Change]:
        """One change per function."""
        assert isinstance(node, cst.FunctionDef)
        if not isinstance(node.body, cst.IndentedBlock):
            return
        work = [s for s in node.body.body if not is_docstring(s)]
        if (
            sum(1 for s in work for n in (s, *view.below(s)) if isinstance(n, cst.BaseStatement))
            < 2
        ):
            return
        start = view.whole_lines(work[0])[0]
        end = view.line_end(view.span(work[-1])[1] - 1)
        tail = view.newline if view.code[start:end].endswith(("\n", "\r")) else ""
        text = f"{view.indent(work[0])}raise NotImplementedError{tail}"
        yield Change(start, end, text, "body lost", 0.95, reach=view.body_reach(node))
