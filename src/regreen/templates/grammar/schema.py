"""JSON schemas as a grammar engine takes them: one small, sure subset, references kept together.

Engines refuse keywords they do not know, ignore some and misread others (xgrammar reads ``allOf``
as anything). So a schema is rewritten before it is embedded; where it cannot be said in the subset,
the rewritten schema is wider, and whoever executes the call validates the rest. The policy:

- ``$ref`` within the document is kept and its target hoisted into ``$defs`` of what is embedded;
  any other reference, and one that only leads back to itself, is anything;
- ``allOf`` is merged into one schema, ``oneOf`` is ``anyOf``, and keywords beside ``anyOf`` go into
  each branch; ``nullable`` adds null; ``false`` drops the property or the branch;
- objects take the declared properties, in that order, and others only where
  ``additionalProperties`` or ``patternProperties`` says so;
- ``pattern`` is kept when it is anchored at both ends and simple; bounds and ``multipleOf`` for
  integers; dropped are lengths (the engine would forbid escapes), most ``format``, ``not``, ``if``,
  ``uniqueItems``, ``contains``, ``propertyNames`` and everything unknown.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from regreen.templates.shapes import ALIASES, Shapes
from regreen.templates.tools import Tool

__all__ = ["Property", "argument_schema", "branches", "properties"]

Schema = dict[str, Any]
Property = tuple[str, Schema, bool]
"""A parameter's name, its schema, and whether it is required."""

_SAFE = re.compile(
    r"\^(?:[A-Za-z0-9 _,:;/@%=!~#&-]|\\[dws.\-/+*?()\[\]{}^$|]|"
    r"\[(?:[A-Za-z0-9 _,:;/@%=!~#&.+*?()-]|\\[dws.\-/+*?()\[\]{}^$|])+\]|"
    r"[*+?|)]|\{\d{1,3}(?:,\d{0,3})?\}|\((?:\?:)?)*\$"
)
"""Patterns that mean the same to every engine and can match no tag, quote or line."""

_KINDS = frozenset({"string", "integer", "number", "boolean", "array", "object", "null"})
_OF_KIND = {
    "integer": ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
    "string": ("pattern", "format"),
    "array": ("items", "prefixItems", "minItems", "maxItems"),
    "object": ("properties", "required", "additionalProperties"),
}
_FORMATS = frozenset({"date", "time", "date-time", "uuid"})
_DEEPEST = 24


def argument_schema(tool: Tool) -> Schema:
    """Schema of a tool's arguments object, complete in itself."""
    return _Document(tool.parameters).arguments()


def properties(tool: Tool) -> Iterator[Property]:
    """The declared parameters of a tool in order, each schema complete in itself."""
    whole = argument_schema(tool)
    needed = whole.get("required", ())
    for key, schema in whole.get("properties", {}).items():
        yield key, _with_definitions(schema, whole.get("$defs", {})), key in needed


def branches(schema: Schema) -> Iterator[Schema]:
    """The alternatives of a schema, each an enumeration, of one type, or anything."""
    known = schema.get("$defs", {})
    if "anyOf" in schema:
        for branch in schema["anyOf"]:
            yield from branches(_with_definitions(branch, known))
        return
    kinds = schema.get("type")
    for kind in kinds if isinstance(kinds, list) else ():
        keys = (*_OF_KIND.get(kind, ()), "$defs")
        yield {"type": kind, **{key: schema[key] for key in keys if key in schema}}
    if not isinstance(kinds, list):
        yield schema


def _with_definitions(schema: Schema, known: Mapping[str, Schema]) -> Schema:
    """A part of a schema with those of the ``known`` definitions that it refers to.

    A schema that is nothing but a reference becomes its target, so that its type can be seen.
    """
    if "$ref" in schema:
        schema = known[_target(schema)]
    found: dict[str, Schema] = {}
    left = [schema]
    while left:
        for name in _references(left.pop()):
            if name not in found:
                found[name] = known[name]
                left.append(known[name])
    return {**schema, "$defs": found} if found else schema


def _references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield _target(value)
        for key, part in value.items():
            if key not in {"enum", "const", "$defs"}:
                yield from _references(part)
    elif isinstance(value, list):
        for part in value:
            yield from _references(part)


def _target(schema: Mapping[str, Any]) -> str:
    return str(schema["$ref"]).removeprefix("#/$defs/")


class _Document:
    """One schema document; references point into it."""

    def __init__(self, root: Mapping[str, Any]) -> None:
        self.root = root
        self.names: dict[str, str] = {}
        self.definitions: dict[str, Schema] = {}

    def arguments(self) -> Schema:
        """Schema of the whole document as an object; properties of branches are optional."""
        merged = self.merged(self.flat(self.root), 0)
        declared = Shapes(self.root).properties()
        free = merged.get("additionalProperties")
        whole = {"type": "object", "properties": declared, "required": merged.get("required")}
        if not declared and free not in (None, False):
            del whole["properties"]
        if free is not None:
            whole["additionalProperties"] = free
        plain = self.plain(whole)
        return {**plain, "$defs": self.definitions} if self.definitions else plain

    # -- references -------------------------------------------------------------------------

    def follow(self, schema: Any) -> tuple[str, Any]:
        """Pointer and content of the last reference in a chain; no pointer for a dead end."""
        pointer, seen = "", set()
        while isinstance(schema, Mapping) and isinstance(schema.get("$ref"), str):
            pointer = schema["$ref"]
            if pointer in seen:
                return "", {}
            seen.add(pointer)
            schema = self.lookup(pointer)
            if schema is None:
                return "", {}
        return pointer, schema

    def lookup(self, pointer: str) -> Any:
        """What a pointer leads to in this document; None when nothing."""
        if not pointer.startswith("#"):
            return None
        place: Any = self.root
        for part in pointer.split("/")[1:]:
            key = part.replace("~1", "/").replace("~0", "~")
            if isinstance(place, list) and key.isdigit() and int(key) < len(place):
                place = place[int(key)]
            elif isinstance(place, Mapping) and key in place:
                place = place[key]
            else:
                return None
        return place

    def reference(self, schema: Mapping[str, Any], depth: int) -> Schema:
        pointer, target = self.follow(schema)
        if not pointer:
            return {}
        name = self.names.get(pointer)
        if name is None:
            name = self.names[pointer] = f"r{len(self.names)}"
            self.definitions[name] = {}
            found = self.rewrite(target, depth + 1)
            self.definitions[name] = {} if found is None else found
        return {"$ref": f"#/$defs/{name}"}

    # -- rewriting --------------------------------------------------------------------------

    def rewrite(self, schema: Any, depth: int = 0) -> Schema | None:
        """The schema in the subset; None when nothing satisfies it."""
        if schema is False:
            return None
        if not isinstance(schema, Mapping) or depth > _DEEPEST:
            return {}
        if "$ref" in schema:
            found = self.reference(schema, depth)
            null = schema.get("nullable") is True and found
            return {"anyOf": [found, {"type": "null"}]} if null else found
        return self.plain(schema, depth)

    def plain(self, schema: Mapping[str, Any], depth: int = 0) -> Schema:
        """A schema that is no reference, in the subset."""
        merged = self.merged(schema, depth)
        branches = merged.pop("anyOf", None)
        if isinstance(branches, list) and branches:
            return self.branches(merged, branches, depth)
        literals = _literals(merged)
        if literals is not None:
            return {"enum": literals}
        kinds = _kinds(merged)
        out: Schema = {}
        if kinds:
            out["type"] = kinds[0] if len(kinds) == 1 else kinds
        for kind in kinds:
            for key in _OF_KIND.get(kind, ()):
                if key in merged:
                    out.update(self.keyword(key, merged, depth))
        if "object" in kinds and "patternProperties" in merged and "properties" not in out:
            out.pop("additionalProperties", None)
        elif "object" in kinds and "patternProperties" in merged:
            out["additionalProperties"] = True
        return out

    def branches(self, base: Schema, branches: list[Any], depth: int) -> Schema:
        base.pop("description", None)
        base.pop("title", None)
        base.pop("default", None)
        nullable = base.pop("nullable", None) is True
        found: list[Schema] = []
        for branch in branches:
            whole = _merge(self.flat(branch), base) if base and branch is not False else branch
            rewritten = self.rewrite(whole, depth + 1)
            if rewritten is not None and rewritten not in found:
                found.append(rewritten)
        if nullable and {"type": "null"} not in found:
            found.append({"type": "null"})
        return found[0] if len(found) == 1 else {"anyOf": found} if found else {}

    def flat(self, schema: Any) -> Schema:
        target = self.follow(schema)[1]
        return dict(target) if isinstance(target, Mapping) else {}

    def merged(self, schema: Mapping[str, Any], depth: int) -> Schema:
        """The schema with its ``allOf`` merged in and ``oneOf`` read as ``anyOf``."""
        out = {key: value for key, value in schema.items() if key not in {"allOf", "$defs"}}
        parts = schema.get("allOf")
        for part in parts if isinstance(parts, list) and depth <= _DEEPEST else ():
            out = _merge(out, self.merged(self.flat(part), depth + 1))
        if isinstance(out.get("oneOf"), list):
            one = out.pop("oneOf")
            out.setdefault("anyOf", one)
        return out

    def keyword(self, key: str, schema: Schema, depth: int) -> Schema:
        """One keyword in the subset; nothing when it cannot be kept."""
        value = schema[key]
        if key in {"properties", "required"}:
            return self.members(schema, depth) if key == "properties" else {}
        if key == "additionalProperties":
            found = self.rewrite(value, depth + 1)
            return {key: found if isinstance(value, Mapping) and found else value is not False}
        if key in {"items", "prefixItems"}:
            return self.elements(key, value, depth)
        fits = {
            "minItems": isinstance(value, int) and value >= 0,
            "maxItems": isinstance(value, int) and value >= 0,
            "pattern": isinstance(value, str) and _SAFE.fullmatch(value) and _compiles(value),
            "format": str(value) in _FORMATS and "pattern" not in schema,
        }
        return _bound(key, schema) if key not in fits else {key: value} if fits[key] else {}

    def members(self, schema: Schema, depth: int) -> Schema:
        declared = schema["properties"]
        if not isinstance(declared, Mapping):
            return {}
        kept = {key: self.rewrite(value, depth + 1) for key, value in declared.items()}
        found = {key: value for key, value in kept.items() if value is not None}
        required = schema.get("required")
        needed = [key for key in found if key in required] if isinstance(required, list) else []
        return {"properties": found, **({"required": needed} if needed else {})}

    def elements(self, key: str, value: Any, depth: int) -> Schema:
        if isinstance(value, list):
            found = [self.rewrite(part, depth + 1) for part in value]
            return {"prefixItems": [{} if part is None else part for part in found]}
        one = self.rewrite(value, depth + 1)
        if key == "prefixItems":
            return {}
        return {"maxItems": 0} if one is None else {"items": one}


def _bound(key: str, schema: Schema) -> Schema:
    """A bound of an integer; draft 4 wrote exclusive bounds as a flag beside the bound."""
    value = schema[key]
    kinds = _kinds(schema)
    if "number" in kinds:
        return {}
    if value is True and key.startswith("exclusive"):
        value = schema.get(key.removeprefix("exclusive").lower())
    if isinstance(value, bool) or not isinstance(value, int | float) or int(value) != value:
        return {}
    if schema.get("exclusive" + key[:1].upper() + key[1:]) is True:
        return {}
    return {key: int(value)} if key != "multipleOf" or value > 0 else {}


def _kinds(schema: Mapping[str, Any]) -> list[str]:
    """JSON types the schema names, or those its keywords speak of; none when it is anything."""
    named = schema.get("type")
    listed = named if isinstance(named, list) else [named]
    words = [ALIASES.get(word, word) for word in listed if isinstance(word, str)]
    kinds = [kind for kind in dict.fromkeys(words) if kind in _KINDS]
    if len(kinds) < len(set(words)):
        return []
    if not kinds and isinstance(schema.get("properties"), Mapping):
        kinds = ["object"]
    elif not kinds and ("items" in schema or "prefixItems" in schema):
        kinds = ["array"]
    if "integer" in kinds and "number" in kinds:
        kinds.remove("integer")
    if kinds and schema.get("nullable") is True and "null" not in kinds:
        kinds.append("null")
    return kinds


def _literals(schema: Mapping[str, Any]) -> list[Any] | None:
    """The values an enumeration admits; None when the schema is none."""
    listed = [schema["const"]] if "const" in schema else schema.get("enum")
    if not isinstance(listed, list) or not listed:
        return None
    kinds = _kinds(schema)
    found = [value for value in listed if not kinds or _is(value, kinds)]
    if schema.get("nullable") is True and None not in found:
        found.append(None)
    return found or list(listed)


def _is(value: Any, kinds: list[str]) -> bool:
    if value is None:
        return "null" in kinds
    if isinstance(value, bool):
        return "boolean" in kinds
    if isinstance(value, int):
        return "integer" in kinds or "number" in kinds
    if isinstance(value, float):
        return "number" in kinds or ("integer" in kinds and value.is_integer())
    names = ((str, "string"), (list, "array"), (dict, "object"))
    return any(isinstance(value, kind) and name in kinds for kind, name in names)


def _merge(left: Mapping[str, Any], right: Mapping[str, Any]) -> Schema:
    """A schema that asks for what both ask, as far as the subset can say it."""
    out = dict(left)
    for key, value in right.items():
        if type(out.get(key)) is not type(value) and key != "type":
            out.setdefault(key, value)  # a spoilt keyword
        elif key == "properties" and isinstance(value, Mapping):
            both = {
                name: {"allOf": [out[key][name], value[name]]} for name in value if name in out[key]
            }
            out[key] = {**out[key], **value, **both}
        elif key == "required" and isinstance(value, list):
            out[key] = [*out[key], *value]
        elif key == "enum" and isinstance(value, list):
            out[key] = [one for one in out[key] if one in value] or value
        elif key in {"minimum", "exclusiveMinimum", "minItems"} and not isinstance(value, str):
            out[key] = max(out[key], value)
        elif key in {"maximum", "exclusiveMaximum", "maxItems"} and not isinstance(value, str):
            out[key] = min(out[key], value)
        elif key == "type":
            out.setdefault(key, value)
            mine, theirs = _kinds({"type": out[key]}), _kinds({"type": value})
            out[key] = [kind for kind in mine if kind in theirs] or value
        elif key == "additionalProperties" and value is False:
            out[key] = False
    return out


def _compiles(pattern: str) -> bool:
    try:
        re.compile(pattern)
    except re.error:
        return False
    return True
