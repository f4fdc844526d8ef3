"""Values as they cross the border of the box: plain data, by exact type, nothing else.

A value that a candidate returned is written down by the exact type of each part, so an object that
fakes equality, or a subclass with other manners, never reaches a comparison: outside there are only
builtins, rebuilt from text. Counter, defaultdict and OrderedDict are written as the dict they
equal.

Format: JSON in ASCII. ``null``, booleans, strings, arrays (lists) and integers below 2**53 stand
for themselves; everything else is an object with one key: ``i`` integer in hexadecimal, ``f``
float as ``float.hex``, ``c`` complex, ``t`` tuple, ``s`` set, ``z`` frozenset, ``d`` pairs of a
dict in their order, ``b`` bytes and ``a`` bytearray in hexadecimal.
"""

from __future__ import annotations

import collections
import json
from collections.abc import Callable
from typing import Any

__all__ = ["MAX_DEPTH", "MAX_PARTS", "Unplain", "dumps", "loads"]

MAX_DEPTH = 100
"""Containers within each other, at most."""
MAX_PARTS = 1 << 18
"""Values of one value, at most."""
_EXACT = 1 << 53
_DICTS = (dict, collections.Counter, collections.defaultdict, collections.OrderedDict)
_SCALARS = (type(None), bool, str)
_TAGS: dict[type, str] = {tuple: "t", set: "s", frozenset: "z"}
_WRITERS: dict[type, tuple[str, Callable[[Any], Any]]] = {
    int: ("i", hex),
    float: ("f", float.hex),
    complex: ("c", lambda value: [value.real.hex(), value.imag.hex()]),
    bytes: ("b", bytes.hex),
    bytearray: ("a", bytearray.hex),
}


class Unplain(ValueError):
    """A value, or a text, that is not plain data."""


def dumps(value: object) -> str:
    """Write a value.

    Raises:
        Unplain: a part of it is no builtin value, or it is nested too deep or too large.
    """
    return json.dumps(_encode(value, MAX_DEPTH, [MAX_PARTS]), separators=(",", ":"))


def _encode(value: Any, depth: int, left: list[int]) -> Any:
    kind = type(value)
    left[0] -= 1
    if kind in _SCALARS or (kind is int and -_EXACT < value < _EXACT):
        return value
    if kind in _WRITERS:
        tag, write = _WRITERS[kind]
        return {tag: write(value)}
    if depth == 0 or left[0] < 0:
        what = "nested too deep" if depth == 0 else "too large"
        raise Unplain(what)
    if kind in _DICTS:
        pairs = [(key, dict.__getitem__(value, key)) for key in dict.__iter__(value)]
        return {"d": [[_encode(part, depth - 1, left) for part in pair] for pair in pairs]}
    if kind is not list and kind not in _TAGS:
        what = f"a {kind.__name__} is no plain data"
        raise Unplain(what)
    parts = [_encode(part, depth - 1, left) for part in value]
    if kind is list:
        return parts
    return {_TAGS[kind]: parts if kind is tuple else sorted(parts, key=json.dumps)}


def loads(text: str) -> Any:
    """Read what ``dumps`` wrote; the text may come from anybody.

    Raises:
        Unplain: ``dumps`` would not have written it.
    """
    try:
        return _decode(json.loads(text, parse_float=_refuse, parse_constant=_refuse), MAX_DEPTH)
    except Unplain:
        raise
    except (ValueError, TypeError, OverflowError, RecursionError, MemoryError) as exc:
        what = f"not plain data: {type(exc).__name__}"
        raise Unplain(what) from exc


def _refuse(text: str) -> Any:
    what = f"not plain data: {text[:20]}"
    raise Unplain(what)


def _complex(parts: list[str]) -> complex:
    real, imaginary = parts
    return complex(float.fromhex(real), float.fromhex(imaginary))


_READERS: dict[str, Callable[[Any], Any]] = {
    "i": lambda text: int(text, 16),
    "f": float.fromhex,
    "c": _complex,
    "b": bytes.fromhex,
    "a": bytearray.fromhex,
}
_CONTAINERS: dict[str, Callable[[list[Any]], Any]] = {"t": tuple, "s": set, "z": frozenset}


def _decode(raw: Any, depth: int) -> Any:
    if type(raw) in _SCALARS or type(raw) is int:
        return raw
    if depth == 0:
        what = "nested too deep"
        raise Unplain(what)
    if type(raw) is list:
        return [_decode(part, depth - 1) for part in raw]
    if type(raw) is not dict or len(raw) != 1:
        what = "an object with other than one key"
        raise Unplain(what)
    ((tag, body),) = raw.items()
    if tag in _READERS:
        return _READERS[tag](body)
    if type(body) is not list:
        what = f"{tag[:20]!r} holds no array"
        raise Unplain(what)
    if tag == "d":
        return {_decode(key, depth - 1): _decode(value, depth - 1) for key, value in body}
    if tag not in _CONTAINERS:
        what = f"there is no tag {tag[:20]!r}"
        raise Unplain(what)
    return _CONTAINERS[tag]([_decode(part, depth - 1) for part in body])
