"""A tool's parameters as an outline: what every readable style of definitions shows.

JSON Schema says one thing in many ways; a style should not have to know them. References are
followed, unions and lists are put in words, and a definition that contains itself ends there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from regreen.templates.tools import Tool

__all__ = ["Entry", "outline"]

_SAID = frozenset({
    "type", "title", "description", "properties", "required", "items", "enum", "const",
    "anyOf", "oneOf", "allOf", "$ref", "$defs", "definitions", "additionalProperties", "$schema",
})  # fmt: skip


@dataclass(frozen=True)
class Entry:
    """One parameter, or one property of an object in it."""

    name: str
    """Its key."""
    kinds: tuple[str, ...]
    """JSON types it admits, as the schema orders them; ``any`` when it says nothing."""
    required: bool
    """Whether it must be given."""
    description: str
    """Empty when there is none."""
    options: tuple[Any, ...]
    """The only values allowed; empty when any of its types will do."""
    items: Entry | None
    """What an array holds, when that is said; its name is empty."""
    inner: tuple[Entry, ...]
    """Properties of an object."""
    extra: Mapping[str, Any]
    """Every other key of its schema: default, limits, pattern, format."""

    @property
    def words(self) -> str:
        """Its type in words, for example ``array of string or null``."""
        named = dict.fromkeys(
            f"array of {self.items.words}" if kind == "array" and self.items else kind
            for kind in self.kinds
        )
        return " or ".join(named)

    @property
    def members(self) -> tuple[Entry, ...]:
        """Properties of the object it is, or of the objects in the array it is."""
        return self.inner or (self.items.members if self.items else ())


def outline(tool: Tool) -> tuple[Entry, ...]:
    """The parameters of a tool, in the order of its schema."""
    return _entries(tool.parameters, tool.parameters, frozenset())


def _entries(
    schema: Mapping[str, Any], root: Mapping[str, Any], within: frozenset[str]
) -> tuple[Entry, ...]:
    properties, required = schema.get("properties"), schema.get("required")
    if not isinstance(properties, Mapping):
        return ()
    needed = set(required) if isinstance(required, list) else set()
    return tuple(
        _entry(str(key), value, root, within, required=key in needed)
        for key, value in properties.items()
    )


def _entry(
    name: str, given: Any, root: Mapping[str, Any], within: frozenset[str], *, required: bool
) -> Entry:
    schema, through = _whole(given, root)
    again = bool(through & within)  # a definition inside itself: its name has been told
    within |= through
    options = schema.get("enum")
    if not isinstance(options, list):
        options = [schema["const"]] if "const" in schema else []
    branches = [
        _entry("", branch, root, within, required=False)
        for key in ("anyOf", "oneOf")
        for branch in _listed(schema.get(key))
        if not again
    ]
    stated = schema.get("type")
    kinds = [stated] if isinstance(stated, str) else [str(kind) for kind in _listed(stated)]
    kinds += [kind for branch in branches for kind in branch.kinds]
    items = None
    if isinstance(schema.get("items"), Mapping) and not again:
        items = _entry("", schema["items"], root, within, required=False)
    inner = () if again else _entries(schema, root, within)
    return Entry(
        name=name,
        kinds=tuple(dict.fromkeys(kinds or [_kind(value) for value in options] or ["any"])),
        required=required,
        description=str(schema.get("description") or "").strip(),
        options=tuple(options) or _all_options(branches),
        items=items or next((branch.items for branch in branches if branch.items), None),
        inner=inner or tuple(entry for branch in branches for entry in branch.inner),
        extra={key: value for key, value in schema.items() if key not in _SAID},
    )


def _all_options(branches: Iterable[Entry]) -> tuple[Any, ...]:
    """The options of a union, when every branch but null lists its own."""
    listed = [branch for branch in branches if branch.kinds != ("null",)]
    if not listed or not all(branch.options for branch in listed):
        return ()
    return tuple(option for branch in listed for option in branch.options)


def _whole(given: Any, root: Mapping[str, Any]) -> tuple[Mapping[str, Any], frozenset[str]]:
    """A schema with references followed and ``allOf`` merged, and the references followed."""
    schema = given if isinstance(given, Mapping) else {}
    through: set[str] = set()
    while isinstance(schema.get("$ref"), str) and schema["$ref"] not in through:
        through.add(schema["$ref"])
        beside = {key: value for key, value in schema.items() if key != "$ref"}
        schema = {**_referred(schema["$ref"], root), **beside}
    merged: dict[str, Any] = {}
    for part in _listed(schema.get("allOf")):
        if isinstance(part, Mapping):
            found = part
            if isinstance(part.get("$ref"), str):
                through.add(part["$ref"])
                found = {**_referred(part["$ref"], root), **part}
            merged.update(found)
    return ({**merged, **schema} if merged else schema), frozenset(through)


def _referred(reference: str, root: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Any = root
    for step in reference.removeprefix("#").strip("/").split("/"):
        found = found.get(step) if isinstance(found, Mapping) and step else found
    return found if isinstance(found, Mapping) and found is not root else {}


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _kind(value: Any) -> str:
    names = {str: "string", bool: "boolean", int: "integer", float: "number", list: "array"}
    return "null" if value is None else names.get(type(value), "object")
