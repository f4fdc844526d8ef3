"""Numbers, objects and arrays as models spell them in raw text: as JSON does, or as Python does.

Whole texts only; what comes piece by piece is read in ``literals``. Nothing here raises, and
nothing costs more than its input: depth and length are bounded, and what has no JSON form (sets,
bytes, infinity, keys that are no strings) is no value.
"""

from __future__ import annotations

import ast
import json
import math
import re
from decimal import Decimal
from typing import Any

__all__ = ["read_container", "read_number"]

_JSON_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_LOOSE_NUMBER = re.compile(r"[+-]?(?:[0-9]+(\.[0-9]*)?|(\.[0-9]+))([eE][+-]?[0-9]{1,6})?")
_LONGEST_WHOLE = 400
"""Digits of a whole number that is written with an exponent."""
_LONGEST_PYTHON = 200_000
_DEEPEST = 150
"""Containers inside one another; what is deeper may be more than a reader's stack holds."""
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_KNOWN_ESCAPES = frozenset("\n\\'\"abfnrtv01234567xNuU")
_NAMES = {"true": True, "false": False, "null": None}


def read_number(text: str, *, whole: bool, exact: bool) -> int | float | None:
    """The finite number ``text`` spells, None when it is none.

    Args:
        text: without white space around it.
        whole: only whole numbers will do; ``5.0`` and ``1e3`` are then 5 and 1000.
        exact: accept JSON's spelling only, and no fraction for a whole number.
    """
    match = (_JSON_NUMBER if exact else _LOOSE_NUMBER).fullmatch(text)
    if match is None:
        return None
    try:
        if not any(match.groups()):
            return int(text)
        if not whole:
            number = float(text)
            return number if math.isfinite(number) else None
        decimal = Decimal(text)
        if exact or decimal.adjusted() > _LONGEST_WHOLE or decimal != decimal.to_integral_value():
            return None
        return int(decimal)
    except (ValueError, ArithmeticError):  # more digits than Python converts
        return None


def read_container(text: str) -> dict[str, Any] | list[Any] | None:
    """The object or array ``text`` spells, None when it is none."""
    try:
        found = _DECODER.decode(text)
    except (ValueError, RecursionError):
        found = _python(text)
    if not isinstance(found, dict | list) or _too_deep(found, text):
        return None
    return found if "\\" not in text or _encodable(found) else None


def _too_deep(value: Any, text: str) -> bool:
    if text.count("[") + text.count("{") <= _DEEPEST:
        return False
    level = [value]
    for _ in range(_DEEPEST):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, dict | list)
        ]
        if not level:
            return False
    return True


def _encodable(value: Any) -> bool:
    """Whether no half of a surrogate pair was written as an escape."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(text)
    return number


def _no_constant(text: str) -> None:
    raise ValueError(text)


_DECODER = json.JSONDecoder(parse_float=_finite, parse_constant=_no_constant)


def _python(text: str) -> Any:
    if len(text) > _LONGEST_PYTHON or text[:1] not in {"{", "[", "("}:
        return None
    if "\\" in text:  # an escape Python does not know is the two characters, and a warning
        text = _ESCAPE.sub(_known_escape, text)
    try:
        return _value(ast.parse(text, mode="eval").body, 0)
    except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
        return None


def _known_escape(match: re.Match[str]) -> str:
    return match[0] if match[1] in _KNOWN_ESCAPES else "\\" + match[0]


def _value(node: ast.expr, depth: int) -> Any:
    """The JSON value of a Python literal."""
    if depth > _DEEPEST:
        raise ValueError(depth)
    if isinstance(node, ast.List | ast.Tuple):
        return [_value(item, depth + 1) for item in node.elts]
    if isinstance(node, ast.Dict):
        return {
            _key(key): _value(value, depth + 1)
            for key, value in zip(node.keys, node.values, strict=True)
        }
    if isinstance(node, ast.Name) and node.id in _NAMES:
        return _NAMES[node.id]
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        number = _value(node.operand, depth + 1)
        if isinstance(number, int | float) and not isinstance(number, bool):
            return -number
    if isinstance(node, ast.Constant) and _has_json_form(node.value):
        return node.value
    raise ValueError(node)


def _key(node: ast.expr | None) -> str:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    raise ValueError(node)


def _has_json_form(value: object) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    return value is None or isinstance(value, str | int)
