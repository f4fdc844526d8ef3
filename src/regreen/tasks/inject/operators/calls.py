"""Faults of a call: an argument lost or misplaced, a neighbour function, a conversion forgotten."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from functools import lru_cache
from itertools import pairwise
from typing import ClassVar

import libcst as cst

from regreen.tasks.inject.operators.base import Change
from regreen.tasks.inject.operators.edits import delete_item, replace, swap
from regreen.tasks.inject.operators.view import FileView
from regreen.tasks.inject.operators.zones import dotted

__all__ = ["DropArgument", "DropConversion", "SwapArguments", "WrongFunction", "WrongOption"]

# builtins and methods that do without their last argument, with the fewest they need
_OPTIONAL = {
    "getattr": 2,
    "next": 1,
    "sum": 1,
    "int": 1,
    "round": 1,
    "enumerate": 1,
    ".get": 1,
    ".pop": 1,
    ".setdefault": 1,
    ".split": 1,
    ".rsplit": 1,
    ".replace": 2,
    ".strip": 0,
    ".lstrip": 0,
    ".rstrip": 0,
    ".splitlines": 0,
    ".startswith": 1,
    ".find": 1,
    ".index": 1,
}
_COMMUTATIVE = frozenset(
    ("min", "max", "print", "gcd", "zip", "isclose", "or_", "and_", "add", "eq", "chain", "partial")
)
_SIBLINGS = {
    "min": "max",
    "max": "min",
    "any": "all",
    "all": "any",
    "floor": "ceil",
    "ceil": "floor",
    "map": "filter",
    "filter": "map",
    "takewhile": "dropwhile",
    "dropwhile": "takewhile",
    "filterfalse": "filter",
    "bisect_left": "bisect_right",
    "bisect_right": "bisect_left",
    ".keys": "values",
    ".values": "keys",
    ".append": "extend",
    ".extend": "append",
    ".appendleft": "append",
    ".popleft": "pop",
    ".union": "intersection",
    ".intersection": "union",
    ".difference": "symmetric_difference",
    ".issubset": "issuperset",
    ".issuperset": "issubset",
    ".is_dir": "is_file",
    ".is_file": "is_dir",
    ".isdir": "isfile",
    ".isfile": "isdir",
    ".add": "discard",
}
_CONVERSIONS = {
    "sorted": 0.8,
    "reversed": 0.85,
    "abs": 0.75,
    "int": 0.7,
    "float": 0.5,
    "round": 0.75,
    "str": 0.5,
    "bytes": 0.6,
    "set": 0.6,
    "frozenset": 0.5,
    "tuple": 0.5,
    "list": 0.65,
    "iter": 0.6,
    "len": 0.9,
}
_ATOMS = (
    *(cst.Name, cst.Attribute, cst.Call, cst.Subscript, cst.Integer, cst.SimpleString),
    *(cst.List, cst.Dict, cst.Set, cst.ListComp, cst.SetComp, cst.DictComp),
)


def _name(call: cst.Call) -> str:
    """``f`` for a plain call, ``.f`` for a method or a function of a module."""
    if isinstance(call.func, cst.Attribute):
        return "." + call.func.attr.value
    return dotted(call.func)


class DropArgument:
    """An argument the call can do without.

    Keyword arguments, ``*args`` and ``**kwargs``; the last positional one when the function is
    defined in the same file with a default for it, or is a builtin that allows it. Arguments of
    exceptions, log calls and type helpers stay.
    """

    id: ClassVar[str] = "drop_argument"
    family: ClassVar[str] = "call"
    summary: ClassVar[str] = "an argument of a call is missing"
    nodes: ClassVar[tuple[type[cst.CSTNode], ...]] = (cst.Call,)

    def changes(self, node: cst.CSTNode, view: FileView) -> Iterator[Change]:
        """One change per argument that can go."""
        assert isinstance(node, cst.Call)
        for place, arg in enumerate(node.args):
            value = dotted(arg.value)
            if arg.keyword is not None:
                weight = 0.3 if value in ("None", "False") else 0.65
                note = f"argument {arg.keyword.value} lost"
            elif arg.star:
                weight, note = 0.65, f"argument {arg.star}{value} lost"
            elif place + 1 == len(node.args) and len(node.args) > _needed(node, view):
                weight, note = 0.3 if value in ("None", "False") else 0.75, "last argument lost"
            else:
                continue
            yield delete_item(view, node.args, place, note, weight)


def _needed(call: cst.Call, view: FileView) -> int:
    """How many positional arguments the called function needs, as far as the file tells."""
    name = _name(call)
    defined = _definitions(view).get(name.lstrip("."), ())
    if len(defined) == 1:
        params = [*defined[0].params.posonly_params, *defined[0].params.params]
        bound = bool(params) and params[0].name.value in ("self", "cls")
        return sum(param.default is None for param in params[bound:])
    return _OPTIONAL.get(name, len(call.args))


@lru_cache(maxsize=8)
def _definitions(view: FileView) -> dict[str, list[cst.FunctionDef]]:
    found: defaultdict[str, list[cst.FunctionDef]] = defaultdict(list)
    for node in view.nodes:
        if isinstance(node, cst.FunctionDef):
            found[node.name.value].append(node)
    return found


class SwapArguments:
    """Two neighbouring positional arguments with different texts.

    Functions for which the order means nothing (``min``, ``zip`` in a set, ``print`` …) stay.
    """

    id: ClassVar[str] = "swap_arguments"
    family: ClassVar[str] = "call"
    summary: ClassVar[str] = "two arguments have changed places"
    nodes: ClassVar[tuple[type[cst.CSTNode], ...]] = (cst.Call,)

    def changes(self, node: cst.CSTNode, view: FileView) -> Iterator[Change]:
        """One change per pair of neighbours."""
        assert isinstance(node, cst.Call)
        if _name(node).lstrip(".") in _COMMUTATIVE:
            return
        plain = [arg.value for arg in node.args if arg.keyword is None and not arg.star]
        for left, right in pairwise(plain):
            yield swap(view, left, right, "two arguments exchanged", 0.85)


class WrongFunction:
    """A call of a function or method that has a well-known neighbour, such as min and max."""

    id: ClassVar[str] = "wrong_function"
    family: ClassVar[str] = "call"
    summary: ClassVar[str] = "a neighbour of the function is called"
    nodes: ClassVar[tuple[type[cst.CSTNode], ...]] = (cst.Call,)

    def changes(self, node: cst.CSTNode, view: FileView) -> Iterator[Change]:
        """One change per call."""
        assert isinstance(node, cst.Call)
        name = _name(node)
        new = _SIBLINGS.get(name)
        place = node.func.attr if isinstance(node.func, cst.Attribute) else node.func
        if new is None and isinstance(node.func, cst.Attribute):
            new = _SIBLINGS.get(name.lstrip(".")) if dotted(node.func.value) == "math" else None
        if name == ".pop" and not node.args:
            at = view.span(node)[1] - 1
            yield Change(at, at, "0", "pop takes the first instead of the last", 0.75)
        elif new is not None:
            if new in ("filter", "map") and len(node.args) != 2:
                return
            yield replace(view, place, new, f"{view.text(place)} became {new}", 0.85)


class DropConversion:
    """A call that only brings a value into shape, such as sorted, abs, int, str, set or len.

    Not where a loop would not notice (``for x in tuple(y)``) and not in an f-string.
    """

    id: ClassVar[str] = "drop_conversion"
    family: ClassVar[str] = "call"
    summary: ClassVar[str] = "a value is used without its conversion"
    nodes: ClassVar[tuple[type[cst.CSTNode], ...]] = (cst.Call,)

    def changes(self, node: cst.CSTNode, view: FileView) -> Iterator[Change]:
        """One change per call."""
        assert isinstance(node, cst.Call)
        weight = _CONVERSIONS.get(dotted(node.func))
        name = dotted(node.func)
        if weight is None or not node.args or node.args[0].star or node.args[0].keyword:
            return
        if len(node.args) > 1 and name not in ("sorted", "round", "int"):
            return
        parent = view.parent(node)
        if isinstance(parent, (cst.For, cst.CompFor)) and name not in ("sorted", "reversed", "set"):
            return
        if isinstance(parent, (cst.FormattedStringExpression, cst.Expr)):
            return
        value = node.args[0].value
        if name == "list" and dotted(value):
            return  # a lost copy, which is a class of its own
        text = view.text(value)
        if not value.lpar and not isinstance(value, _ATOMS):
            text = f"({text})"
        yield replace(view, node, text, f"{name}() lost", weight)


class WrongOption:
    """A keyword argument whose value is written as a truth value or a number."""

    id: ClassVar[str] = "wrong_option"
    family: ClassVar[str] = "call"
    summary: ClassVar[str] = "an option of a call has another value"
    nodes: ClassVar[tuple[type[cst.CSTNode], ...]] = (cst.Arg,)

    def changes(self, node: cst.CSTNode, view: FileView) -> Iterator[Change]:
        """One change per argument."""
        assert isinstance(node, cst.Arg)
        if node.keyword is None:
            return
        new = {"True": "False", "False": "True"}.get(dotted(node.value))
        if isinstance(node.value, cst.Integer) and node.value.value.isdecimal():
            value = int(node.value.value)
            new = str(value + 1 if value < 2 else value - 1)
        if new is not None:
            note = f"{node.keyword.value} became {new}"
            yield replace(view, node.value, new, note, 0.65)
