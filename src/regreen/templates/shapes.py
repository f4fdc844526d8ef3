"""JSON schemas reduced to what raw text needs: which types a value can have, and its literals.

A shape is the least solution of the schema's unions, intersections and references, found by going
round until nothing grows; so recursive schemas need no special case, and malformed parts add
nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import unquote

__all__ = ["ALIASES", "KINDS", "Shape", "Shapes", "kind_of"]

KINDS = ("null", "boolean", "integer", "number", "object", "array", "string")
"""JSON's types, a whole number apart; ``number`` admits ``integer`` too."""

Shape = dict[str, tuple[Any, ...] | None]
"""The types a value can have, each with its only values; None for any."""

ALIASES = {
    "int": "integer",
    "float": "number",
    "double": "number",
    "str": "string",
    "text": "string",
    "bool": "boolean",
    "dict": "object",
    "list": "array",
    "tuple": "array",
    "None": "null",
}
"""Names of types that schemas use in place of JSON's."""
_IMPLIED = {
    "object": ("properties", "additionalProperties", "required", "patternProperties"),
    "array": ("items", "prefixItems", "minItems", "maxItems"),
    "string": ("minLength", "maxLength", "pattern"),
    "number": ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
}
_ROUNDS = 32


def kind_of(value: Any) -> str:
    """The JSON type of a value."""
    if value is None:
        return "null"
    for kind, types in _PYTHON:
        if isinstance(value, types):
            return kind
    return "object"


_PYTHON: tuple[tuple[str, type | tuple[type, ...]], ...] = (
    ("string", str),
    ("boolean", bool),
    ("integer", int),
    ("number", float),
    ("array", (list, tuple)),
)


class Shapes:
    """Shapes of the schemas inside one document.

    Args:
        root: the document that references point into.
    """

    def __init__(self, root: Mapping[str, Any]) -> None:
        self._root = root
        self._referred: dict[str, Shape] = {}
        self._visited: set[str] = set()

    def of(self, schema: Any) -> Shape:
        """The shape of a schema; empty when it admits nothing or cannot be read."""
        shape: Shape = {}
        try:
            for _ in range(_ROUNDS):
                before = dict(self._referred)
                self._visited = set()
                shape = self._shape(schema)
                if self._referred == before:
                    break
        except RecursionError:
            return {}
        return shape

    def properties(self) -> Mapping[str, Any]:
        """Every property the document declares, through references and combinations."""
        found: dict[str, Any] = {}
        waiting: list[Any] = [self._root]
        seen: set[int] = set()
        while waiting:
            schema = waiting.pop()
            if not isinstance(schema, Mapping) or id(schema) in seen:
                continue
            seen.add(id(schema))
            properties = schema.get("properties")
            for key, value in properties.items() if isinstance(properties, Mapping) else ():
                found.setdefault(key, value)
            if isinstance(schema.get("$ref"), str):
                waiting.append(self._target(schema["$ref"]))
            for word in ("oneOf", "anyOf", "allOf"):
                waiting += reversed(_list(schema.get(word)))
        return found

    def _shape(self, schema: Any) -> Shape:
        if schema is True:
            return dict.fromkeys(KINDS)
        if not isinstance(schema, Mapping):
            return {}
        shape = _declared(schema)
        if "$ref" in schema:
            shape = _both(shape, self._reference(schema["$ref"]))
        for word in ("anyOf", "oneOf"):
            if branches := _list(schema.get(word)):
                shape = _both(shape, _either(self._shape(branch) for branch in branches))
        for branch in _list(schema.get("allOf")):
            shape = _both(shape, self._shape(branch))
        if isinstance(schema.get("enum"), list):
            shape = _both(shape, _listed(schema["enum"]))
        if "const" in schema:
            shape = _both(shape, _listed([schema["const"]]))
        if schema.get("nullable") is True and shape:
            shape = {**shape, "null": None}
        return shape

    def _reference(self, pointer: Any) -> Shape:
        if not isinstance(pointer, str):
            return {}
        if pointer not in self._visited:
            self._visited.add(pointer)
            self._referred[pointer] = self._shape(self._target(pointer))
        return self._referred.get(pointer, {})

    def _target(self, pointer: str) -> Any:
        """What a reference points at; None when it is not in the document."""
        if not pointer.startswith("#"):
            return None
        place: Any = self._root
        for step in pointer[1:].split("/")[1:]:
            name = unquote(step).replace("~1", "/").replace("~0", "~")
            if isinstance(place, Mapping):
                place = place.get(name)
            elif isinstance(place, list) and name.isdecimal() and int(name) < len(place):
                place = place[int(name)]
            else:
                return None
        return place


def _declared(schema: Mapping[str, Any]) -> Shape:
    """What ``type`` says; without it what other keywords imply, and anything without those."""
    if "type" in schema:
        names = schema["type"]
        found = [ALIASES.get(name, name) for name in _list(names) or [names] if _named(name)]
    elif {"$ref", "anyOf", "oneOf", "allOf", "enum", "const"} & schema.keys():
        found = []  # they say it
    else:
        found = [kind for kind, words in _IMPLIED.items() if not schema.keys().isdisjoint(words)]
    if not found and "type" not in schema:
        return dict.fromkeys(KINDS)
    kinds = set(found) | ({"integer"} if "number" in found else set())
    return {kind: None for kind in KINDS if kind in kinds}


def _named(name: Any) -> bool:
    return isinstance(name, str)


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _listed(values: Iterable[Any]) -> Shape:
    shape: Shape = {}
    for value in values:
        kind = kind_of(value)
        shape[kind] = (*(shape.get(kind) or ()), value)
        if kind == "number" and value.is_integer():  # 5.0 may be written 5
            shape["integer"] = (*(shape.get("integer") or ()), value)
    return shape


def _either(shapes: Iterable[Shape]) -> Shape:
    found: Shape = {}
    for shape in shapes:
        for kind, values in shape.items():
            old = found.get(kind, ())
            found[kind] = None if values is None or old is None else (*old, *values)
    return found


def _both(left: Shape, right: Shape) -> Shape:
    found: Shape = {}
    for kind, values in left.items():
        if kind not in right:
            continue
        others = right[kind]
        if values is None or others is None:
            found[kind] = others if values is None else values
        else:
            found[kind] = tuple(value for value in values if value in others)
        if found[kind] == ():
            del found[kind]
    return found
