"""The tools of a request, read once: names, parameters and their types.

Clients send the list with every request, so tables are kept by its content; the key is its
marshalled form, which is exact for JSON data and costs microseconds.
"""

from __future__ import annotations

import marshal
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from regreen.templates.schema import TEXT, ParamType, param_types

__all__ = ["Tool", "ToolTable", "tool_table"]

_KEPT = 64


@dataclass(frozen=True)
class Tool:
    """One function tool."""

    name: str
    """As the model calls it."""
    description: str
    """Empty when there is none."""
    parameters: Mapping[str, Any]
    """JSON schema of its arguments, as given."""
    declared: Mapping[str, Any] = field(repr=False)
    """The declaration as the client sent it."""

    @cached_property
    def types(self) -> Mapping[str, ParamType]:
        """Type of each declared parameter."""
        return param_types(self.parameters)

    @cached_property
    def required(self) -> frozenset[str]:
        """Parameters that a call must have."""
        named = self.parameters.get("required")
        return (
            frozenset(key for key in named if isinstance(key, str))
            if isinstance(named, list)
            else frozenset()
        )

    def type_of(self, key: str) -> ParamType:
        """Type of a parameter; text when nothing is known of it."""
        return self.types.get(key, TEXT)


@dataclass(frozen=True)
class ToolTable:
    """The tools offered."""

    tools: tuple[Tool, ...]
    """In the client's order."""

    @cached_property
    def by_name(self) -> Mapping[str, Tool]:
        """Tools by name."""
        return {tool.name: tool for tool in self.tools}

    def offers(self, name: str) -> bool:
        """Whether a call of ``name`` is to be expected; without tools any name is."""
        return not self.tools or name in self.by_name

    def type_of(self, name: str, key: str) -> ParamType:
        """Type of a parameter; text when the tool or the parameter is unknown."""
        tool = self.by_name.get(name)
        return TEXT if tool is None else tool.type_of(key)

    def required(self, name: str) -> frozenset[str]:
        """Parameters that a call of a tool must have; none when it is unknown."""
        tool = self.by_name.get(name)
        return frozenset() if tool is None else tool.required

    def keys(self, name: str) -> Sequence[str]:
        """Declared parameters of a tool; none when it is unknown."""
        tool = self.by_name.get(name)
        return () if tool is None else tuple(tool.types)


_tables: dict[bytes, ToolTable] = {}


def tool_table(tools: Iterable[Mapping[str, Any]] | ToolTable | None) -> ToolTable:
    """The table of a client's tools; never raises.

    Args:
        tools: in OpenAI shape, wrapped in ``{"type": "function", ...}`` or bare. Namespaces are
            flattened; tools of other types, and what declares no tool at all, are skipped, because
            no format can call them.
    """
    if isinstance(tools, ToolTable):
        return tools
    rows = list(tools) if isinstance(tools, Iterable) else []
    try:
        key = marshal.dumps(rows, 2)
    except ValueError:  # not plain JSON data: nothing to find it by
        return ToolTable(tuple(_functions(rows)))
    found = _tables.pop(key, None)
    if found is None:
        # Of a copy: the caller may change its own later, and other callers share the table.
        found = ToolTable(tuple(_functions(marshal.loads(key))))
        while len(_tables) >= _KEPT:
            _tables.pop(next(iter(_tables), b""), None)
    _tables[key] = found  # again as the newest
    return found


def _functions(rows: Iterable[Any]) -> Iterable[Tool]:
    for row in rows:
        if not isinstance(row, Mapping):
            continue
        if row.get("type") == "namespace":
            inner = row.get("tools")
            yield from _functions(inner if isinstance(inner, list | tuple) else ())
            continue
        body = row.get("function", row)
        if not isinstance(body, Mapping) or row.get("type", "function") != "function":
            continue
        if isinstance(body.get("name"), str):
            schema, description = body.get("parameters"), body.get("description")
            yield Tool(
                body["name"],
                description if isinstance(description, str) else "",
                _sound(schema) if isinstance(schema, Mapping) else {},
                row,
            )


def _sound(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """The schema itself where its words have the types they must have, else without the others."""
    found: dict[str, Any] = {}
    for key, value in schema.items():
        if key == "properties":
            if isinstance(value, Mapping):
                found[key] = {
                    name: _sound(inner) if isinstance(inner, Mapping) else inner
                    for name, inner in value.items()
                }
        elif key == "required":
            if isinstance(value, list):
                found[key] = [name for name in value if isinstance(name, str)]
        elif key == "description":
            if isinstance(value, str):
                found[key] = value
        elif key == "type":
            if isinstance(value, str | list):
                found[key] = value
        else:
            found[key] = _sound(value) if key == "items" and isinstance(value, Mapping) else value
    return schema if found == schema else found
