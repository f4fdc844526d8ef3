"""Whether a call's arguments fit the tool's schema, as far as a tool itself would notice.

Only what is plainly wrong is named: a missing or unknown parameter, a value of another type or
outside an enumeration, at any depth that is written without references. Formats, patterns and
ranges are left to the tool, which answers with an error of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from regreen.templates.shapes import Shapes, kind_of

__all__ = ["argument_fault"]


def argument_fault(schema: Mapping[str, Any], arguments: Mapping[str, Any]) -> str:
    """What is wrong with a call's arguments; empty when nothing is.

    Args:
        schema: JSON schema of the tool's parameters.
        arguments: as read from the call.
    """
    shapes = Shapes(schema)
    return _object(shapes, schema, shapes.properties(), arguments, "")


def _object(
    shapes: Shapes,
    schema: Mapping[str, Any],
    declared: Mapping[str, Any],
    value: Mapping[str, Any],
    path: str,
) -> str:
    required = schema.get("required")
    for name in required if isinstance(required, list) else ():
        if isinstance(name, str) and name not in value:
            return f"{path}{name} is missing"
    for name, inner in value.items():
        if name in declared:
            found = _value(shapes, declared[name], inner, f"{path}{name}")
            if found:
                return found
        elif schema.get("additionalProperties") is False and "patternProperties" not in schema:
            return f"{path}{name} is no parameter"
    return ""


def _value(shapes: Shapes, schema: Any, value: Any, path: str) -> str:
    found = _kind_fault(shapes, schema, value)
    if found:
        return f"{path} {found}"
    if isinstance(value, Mapping) and isinstance(schema, Mapping):
        properties = schema.get("properties")
        declared = properties if isinstance(properties, Mapping) else {}
        return _object(shapes, schema, declared, value, f"{path}.")
    items = schema.get("items") if isinstance(schema, Mapping) else None
    if isinstance(value, list) and isinstance(items, Mapping):
        rows = (_value(shapes, items, one, f"{path}[{n}]") for n, one in enumerate(value))
        return next(filter(None, rows), "")
    return ""


def _kind_fault(shapes: Shapes, schema: Any, value: Any) -> str:
    """Whether a value's own type or the value is refused, whatever is in it."""
    shape, kind = shapes.of(schema), kind_of(value)
    if not shape:
        return ""  # a schema that cannot be read refuses nothing
    if kind == "number" and kind not in shape and float(value).is_integer():
        kind = "integer"  # JSON schema calls 3.0 one
    if kind not in shape:
        return f"is of type {kind}, not {' or '.join(shape)}"
    listed = shape[kind]
    return "is none of the values it may have" if listed and value not in listed else ""
