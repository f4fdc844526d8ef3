"""Faults of error handling: the wrong type raised or caught, an error nobody hears of."""

from __future__ import annotations

import builtins
from collections.abc import Iterator
from functools import lru_cache
from typing import ClassVar

import libcst as cst

from regreen.tasks.inject.operators.base import Change
from regreen.tasks.inject.operators.edits import delete, delete_item, is_removable, replace
from regreen.tasks.inject.operators.view import FileView
from regreen.tasks.inject.operators.zones import dotted

__all__ = ["SwallowException", "WrongException", "WrongHandler"]

_NEIGHBOURS = {
    "ValueError": "TypeError",
    "TypeError": "ValueError",
    "KeyError": "IndexError",
    "IndexError": "KeyError",
    "AttributeError": "TypeError",
    "RuntimeError": "ValueError",
    "OSError": "RuntimeError",
    "IOError": "RuntimeError",
    "FileNotFoundError": "PermissionError",
    "PermissionError": "FileNotFoundError",
    "FileExistsError": "FileNotFoundError",
    "StopIteration": "IndexError",
    "StopAsyncIteration": "IndexError",
    "LookupError": "ValueError",
    "ZeroDivisionError": "OverflowError",
    "OverflowError": "ZeroDivisionError",
    "UnicodeDecodeError": "UnicodeEncodeError",
    "UnicodeEncodeError": "UnicodeDecodeError",
    "UnicodeError": "TypeError",
    "TimeoutError": "ConnectionError",
    "ConnectionError": "TimeoutError",
    "Exception": "LookupError",
    "RecursionError": "MemoryError",
    "NameError": "AttributeError",
    "ArithmeticError": "LookupError",
    "SyntaxError": "ValueError",
    "EOFError": "ValueError",
}
_IMPORTS = ("ImportError", "ModuleNotFoundError")


def _neighbour(name: str, view: FileView) -> str | None:
    """An exception that neither is ``name`` nor is related to it."""
    if name in _IMPORTS or not name:
        return None
    if name in _NEIGHBOURS:
        return _NEIGHBOURS[name]
    if hasattr(builtins, name):
        return None
    known = _exceptions(view)
    others = [n for n in sorted(known) if n != name and not _related(n, name, known)]
    # the next in the alphabet rather than the first, or one type would stand for all others
    later = [n for n in others if n > name]
    return (later or others or ["RuntimeError"])[0]


@lru_cache(maxsize=8)
def _exceptions(view: FileView) -> dict[str, tuple[str, ...]]:
    """Exception classes the file defines, with the names of their bases."""
    return {
        node.name.value: tuple(dotted(base.value) for base in node.bases)
        for node in view.nodes
        if isinstance(node, cst.ClassDef)
        and node.name.value.endswith(("Error", "Exception"))
        and view.owners[node] is None
    }


def _related(name: str, other: str, known: dict[str, tuple[str, ...]]) -> bool:
    return other in _line(name, known) or name in _line(other, known)


def _line(name: str, known: dict[str, tuple[str, ...]]) -> set[str]:
    found, todo = set[str](), [name]
    while todo:
        current = todo.pop()
        if current not in found:
            found.add(current)
            todo += known.get(current, ())
    return found


class WrongException:
    """A ``raise`` of a builtin with a sibling, or of a class of the file's own.

    The other type is never a parent or child, for a test that expects the parent would pass;
    ``NotImplementedError`` and re-raises stay.
    """

    id: ClassVar[str] = "wrong_exception"
    family: ClassVar[str] = "exception"
    summary: ClassVar[str] = "another type of exception is raised"
    nodes: ClassVar[tuple[type[cst.CSTNode], ...]] = (cst.Raise,)

    def changes(self, node: cst.CSTNode, view: FileView) -> Iterator[Change]:
        """One change per statement."""
        assert isinstance(node, cst.Raise)
        call = node.exc
        kind = call.func if isinstance(call, cst.Call) else call
        name = dotted(kind)
        if kind is None or not name.rpartition(".")[2].endswith(
            ("Error", "Exception", "Iteration")
        ):
            return
        if isinstance(call, cst.Call) and any(arg.keyword for arg in call.args):
            return
        new = _neighbour(name, view)
        if new is not None:
            yield replace(view, kind, new, f"raises {new}, not {name}", 0.75)


class WrongHandler:
    """An ``except`` with a type: another type, or one of several left out.

    Handlers of import errors stay. The line that counts as reached is the ``except`` itself,
    which only runs when an exception came that far.
    """

    id: ClassVar[str] = "wrong_handler"
    family: ClassVar[str] = "exception"
    summary: ClassVar[str] = "a handler does not catch what it should"
    nodes: ClassVar[tuple[type[cst.CSTNode], ...]] = (cst.ExceptHandler,)

    def changes(self, node: cst.CSTNode, view: FileView) -> Iterator[Change]:
        """One change for one type, one per type of a tuple."""
        assert isinstance(node, cst.ExceptHandler)
        if isinstance(node.type, cst.Tuple):
            elements = node.type.elements
            if len(elements) == 2:
                for kept in elements:
                    note = f"catches {view.text(kept)} only"
                    start, end = view.outer(node.type)
                    yield Change(start, end, view.text(kept), note, 0.6)
            elif len(elements) > 2:
                for place, element in enumerate(elements[:3]):
                    note = f"no longer catches {view.text(element)}"
                    yield delete_item(view, elements, place, note, 0.5)
            return
        name = dotted(node.type)
        new = _neighbour(name, view)
        if node.type is not None and new is not None:
            yield replace(view, node.type, new, f"catches {new}, not {name}", 0.7)


class SwallowException:
    """A ``raise`` that ends an exception handler.

    Where the handler does more, the statement goes; where it stands alone, the handler becomes
    ``pass``, or ``return None`` in a function that returns values, as careless code does.
    """

    id: ClassVar[str] = "swallow_exception"
    family: ClassVar[str] = "exception"
    summary: ClassVar[str] = "a handler keeps an error to itself"
    nodes: ClassVar[tuple[type[cst.CSTNode], ...]] = (cst.Raise,)

    def changes(self, node: cst.CSTNode, view: FileView) -> Iterator[Change]:
        """One change per handler."""
        line = view.statement(node)
        block = view.parent(line) if line is not None else None
        if line is None or not isinstance(view.parent(block or line), cst.ExceptHandler):
            return
        note = "the handler swallows the exception"
        if is_removable(view, line):
            yield delete(view, line, note, 0.75)
            return
        function = view.function(node)
        returns = function is not None and any(
            isinstance(n, cst.Return) and n.value is not None for n in view.own(function)
        )
        yield replace(view, node, "return None" if returns else "pass", note, 0.75)
