"""Values and calls as people write them: Python literals, read without running anything.

JSON has no tuple, set, bytes or key that is a number, so a test row that must mean exactly one
value holds it as text: ``"(1, {2: 'a'})"``. Beside literals there are ``inf``, ``nan``, ``set()``,
``frozenset(...)``, ``bytearray(b'...')`` and ``complex(1.0, -0.0)``.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Callable
from typing import Any

from regreen.train.code.box import plain

__all__ = ["NotLiteral", "read_call", "read_value", "value_of", "write_call", "write_value"]

_NAMES = {"inf": math.inf, "nan": math.nan}
_MAKERS: dict[str, Callable[..., Any]] = {
    "set": set,
    "frozenset": frozenset,
    "bytearray": bytearray,
    "complex": complex,
}


class NotLiteral(ValueError):
    """A text, or a part of a program, that is not one fixed value.

    Args:
        what: why not.
        is_test: False when what holds it is no use as a test either.
    """

    def __init__(self, what: str, *, is_test: bool = True) -> None:
        super().__init__(what)
        self.is_test = is_test


def read_value(text: str) -> Any:
    """The value a text stands for.

    Raises:
        NotLiteral: it stands for none.
    """
    return value_of(_parsed(text))


def write_value(value: object) -> str:
    """The text that ``read_value`` reads back as exactly this value.

    Raises:
        NotLiteral: it is no plain data.
    """
    try:
        plain.dumps(value)
    except plain.Unplain as exc:
        raise NotLiteral(str(exc)) from exc
    return _written(value)


def read_call(text: str) -> tuple[str, tuple[Any, ...], dict[str, Any]]:
    """Name, positional and named arguments of ``f(1, x=[2])`` or ``Solution.f(1)``.

    Raises:
        NotLiteral: it is not one call with fixed arguments.
    """
    node = _parsed(text)
    if not isinstance(node, ast.Call) or any(word.arg is None for word in node.keywords):
        what = f"not a call: {text[:80]}"
        raise NotLiteral(what)
    args = tuple(value_of(part) for part in node.args)
    return _dotted(node.func), args, {str(w.arg): value_of(w.value) for w in node.keywords}


def write_call(name: str, args: tuple[Any, ...], kwargs: dict[str, Any] | None = None) -> str:
    """The text that ``read_call`` reads."""
    parts = [write_value(part) for part in args]
    parts += [f"{key}={write_value(part)}" for key, part in (kwargs or {}).items()]
    return f"{name}({', '.join(parts)})"


def _parsed(text: str) -> ast.expr:
    try:
        return ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as exc:
        what = f"not a Python literal: {text[:80]}"
        raise NotLiteral(what) from exc


def _dotted(node: ast.expr) -> str:
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return f"{_dotted(node.value)}.{node.attr}"
    what = "not a name"
    raise NotLiteral(what)


def value_of(node: ast.expr) -> Any:
    """The value of a literal expression.

    Raises:
        NotLiteral: it is none.
    """
    try:
        return _value(node)
    except (TypeError, ValueError, OverflowError, RecursionError) as exc:
        if isinstance(exc, NotLiteral):
            raise
        what = f"not a value: {exc}"
        raise NotLiteral(what) from exc


def _value(node: ast.expr) -> Any:  # noqa: PLR0911 - one line per form
    match node:
        case ast.Constant(value=value) if value is not ...:
            return value
        case ast.Name(id=name) if name in _NAMES:
            return _NAMES[name]
        case ast.List(elts=parts):
            return [_value(part) for part in parts]
        case ast.Tuple(elts=parts):
            return tuple(_value(part) for part in parts)
        case ast.Set(elts=parts):
            return {_value(part) for part in parts}
        case ast.Dict(keys=keys, values=values) if None not in keys:
            pairs = zip(keys, values, strict=True)
            return {_value(key): _value(value) for key, value in pairs if key is not None}
        case ast.UnaryOp(op=ast.USub() | ast.UAdd()):
            return _signed(node)
        case ast.BinOp(op=ast.Add() | ast.Sub()):
            return ast.literal_eval(node)
        case ast.Call(func=ast.Name(id=name), args=parts, keywords=[]) if name in _MAKERS:
            return _MAKERS[name](*(_value(part) for part in parts))
        case _:
            what = f"not a literal: {ast.unparse(node)[:80]}"
            raise NotLiteral(what)


def _signed(node: ast.UnaryOp) -> Any:
    value = _value(node.operand)
    if type(value) not in (int, float, complex):
        what = "a sign before what is no number"
        raise NotLiteral(what)
    return -value if isinstance(node.op, ast.USub) else value


def _written(value: Any) -> str:  # noqa: PLR0911 - one line per type
    kind = type(value)
    if kind is complex:
        return f"complex({_written(value.real)}, {_written(value.imag)})"
    if kind is list:
        return f"[{', '.join(map(_written, value))}]"
    if kind is tuple:
        return f"({', '.join(map(_written, value))}{',' if len(value) == 1 else ''})"
    if kind is set or kind is frozenset:
        inside = ", ".join(sorted(map(_written, value)))
        braces = f"{{{inside}}}" if inside else "set()" if kind is set else ""
        return braces if kind is set else f"frozenset({braces})"
    if isinstance(value, dict):
        inside = ", ".join(f"{_written(key)}: {_written(part)}" for key, part in value.items())
        return f"{{{inside}}}"
    if kind is int:
        return hex(value) if abs(value) >= 1 << 200 else repr(value)  # no limit on digits
    return repr(value)
