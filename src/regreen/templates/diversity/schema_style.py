"""Other ways to show a tool's parameters; what the model is told, never how calls are read.

Reading a call uses the client's own schema. A style changes only the copy that the definitions are
written from.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from regreen.templates.definitions.outline import Entry, outline
from regreen.templates.tools import Tool, ToolTable

__all__ = ["SCHEMA_STYLES", "restyle"]


def restyle(tools: ToolTable, style: str) -> ToolTable:
    """The tools as a style of ``SCHEMA_STYLES`` shows them."""
    if style == "full":
        return tools
    return ToolTable(tuple(SCHEMA_STYLES[style](tool) for tool in tools.tools))


def _full(tool: Tool) -> Tool:
    return tool


def _undescribed(tool: Tool) -> Tool:
    """Parameters without their descriptions; the tool keeps its own."""
    return _with(tool, tool.description, _stripped(tool.parameters, {"description", "title"}))


def _bare(tool: Tool) -> Tool:
    """Names, types and what is required; no descriptions, defaults or limits."""
    kept = {
        "type", "properties", "required", "items", "enum", "const", "anyOf", "oneOf", "allOf",
        "$ref", "$defs", "definitions",
    }  # fmt: skip
    return _with(tool, "", _stripped(tool.parameters, set(), kept))


def _required_in_prose(tool: Tool) -> Tool:
    """What is required is said in the tool's description, not in the schema."""
    needed = tool.parameters.get("required")
    parameters = {key: value for key, value in tool.parameters.items() if key != "required"}
    names = ", ".join(map(str, needed)) if isinstance(needed, list) else ""
    said = f"Required: {names}." if names else "Nothing is required."
    return _with(tool, f"{tool.description}\n{said}".strip(), parameters)


def _flattened(tool: Tool) -> Tool:
    """Properties of nested objects are told in their owner's description."""
    properties = tool.parameters.get("properties")
    if not isinstance(properties, Mapping):
        return tool
    flat = {entry.name: _flat(entry) for entry in outline(tool)}
    rest = {
        key: value for key, value in tool.parameters.items() if key not in {"$defs", "definitions"}
    }
    return _with(tool, tool.description, {**rest, "properties": flat})


def _flat(entry: Entry) -> dict[str, Any]:
    kinds = [kind for kind in entry.kinds if kind != "any"]
    shown: dict[str, Any] = {"type": kinds[0] if len(kinds) == 1 else kinds} if kinds else {}
    if entry.options:
        shown["enum"] = list(entry.options)
    told = [entry.description] if entry.description else []
    told += [f"It is {entry.words}."] if entry.items else []
    told += _told(entry, "")
    if told:
        shown["description"] = "\n".join(told)
    return {**shown, **entry.extra}


def _told(entry: Entry, owner: str) -> list[str]:
    rows = []
    for inner in entry.members:
        name = f"{owner}{inner.name}"
        need = "required" if inner.required else "optional"
        text = f": {inner.description}" if inner.description else ""
        rows.append(f"Field {name} ({inner.words}, {need}){text}")
        rows += _told(inner, f"{name}.")
    return rows


SCHEMA_STYLES: Mapping[str, Callable[[Tool], Tool]] = {
    "full": _full,
    "undescribed": _undescribed,
    "bare": _bare,
    "required_in_prose": _required_in_prose,
    "flattened": _flattened,
}
"""Styles by name."""


def _stripped(schema: Any, without: set[str], only: set[str] | None = None) -> Any:
    """A schema without some keys; names of properties and definitions are no keys of a schema."""
    if not isinstance(schema, Mapping):
        return [_stripped(item, without, only) for item in schema] if _is_list(schema) else schema
    found = {}
    for key, value in schema.items():
        if key in without or (only is not None and key not in only):
            continue
        if key in {"properties", "$defs", "definitions"} and isinstance(value, Mapping):
            found[key] = {name: _stripped(inner, without, only) for name, inner in value.items()}
        elif key in {"enum", "const", "required", "default", "examples"}:
            found[key] = value
        else:
            found[key] = _stripped(value, without, only)
    return found


def _is_list(value: Any) -> bool:
    return isinstance(value, list)


def _with(tool: Tool, description: str, parameters: Mapping[str, Any]) -> Tool:
    body = {"name": tool.name, "description": description, "parameters": dict(parameters)}
    if not description:
        del body["description"]
    declared = {"type": "function", "function": body}
    return Tool(tool.name, description, parameters, declared)
