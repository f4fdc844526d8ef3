"""Tool definitions in plain words, for formats that have no tool section of their own."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from regreen.templates.tools import Tool, ToolTable

__all__ = ["block_rules", "plain_list", "shell_rules"]


def plain_list(tools: Iterable[Tool]) -> str:
    """Each tool as a list item, with its parameters as items below it."""
    return "\n".join("\n".join(_tool(tool)) for tool in tools)


def block_rules(tools: ToolTable, native: str, native_rules: str, info: str) -> str:
    """The tools of a format that writes one of them in a form of its own.

    Args:
        tools: all that are offered.
        native: the tool with a form of its own; empty when none is offered.
        native_rules: how that one is called.
        info: what stands behind the fence of the others' commands.
    """
    rules = [native_rules] if native else []
    others = [tool.name for tool in tools.tools if tool.name != native]
    if others:
        rules.append(shell_rules(info, others))
    return "\n\n".join(["# Tools", plain_list(tools.tools), *rules])


def shell_rules(info: str, names: Iterable[str]) -> str:
    """How the tools that have no form of their own are called.

    Args:
        info: what stands behind the opening fence.
        names: the tools; the first is the example's.
    """
    every = list(names)
    listed = ", ".join(f"`{name}`" for name in every)
    return (
        f"The other tools ({listed}) are commands that read their arguments from standard input, "
        "as one JSON object:\n\n"
        f'```{info}\n{every[0]} <<\'JSON\'\n{{"parameter": "value"}}\nJSON\n```'
    )


def _tool(tool: Tool) -> Iterable[str]:
    about = _line(tool.description)
    yield f"- `{tool.name}`" + (f": {about}" if about else "")
    for key, schema, needed in _parameters(tool):
        kind = ", ".join(part for part in (_kind(schema), "" if needed else "optional") if part)
        about = _line(schema.get("description"))
        yield f"  - `{key}` ({kind})" + (f": {about}" if about else "")


def _parameters(tool: Tool) -> Iterable[tuple[str, Mapping[str, Any], bool]]:
    """Key, schema and whether it must be given."""
    properties = tool.parameters.get("properties")
    required = tool.parameters.get("required")
    for key, schema in properties.items() if isinstance(properties, Mapping) else ():
        needed = isinstance(required, list) and key in required
        yield key, schema if isinstance(schema, Mapping) else {}, needed


def _line(text: Any) -> str:
    return " ".join(str(text or "").split())


def _kind(schema: Mapping[str, Any]) -> str:
    """What a parameter holds, in words where they say all, else its schema."""
    kind = schema.get("type")
    shown = {key: item for key, item in schema.items() if key not in {"description", "title"}}
    if shown.keys() <= {"type", "default"} and isinstance(kind, str):
        words = kind
    elif shown.keys() <= {"type", "enum", "default"} and isinstance(schema.get("enum"), list):
        words = "one of " + ", ".join(_json(item) for item in schema["enum"])
    elif shown.keys() == {"type", "items"} and set(schema["items"]) == {"type"}:
        words = f"array of {schema['items']['type']}"
    elif not shown:
        return "any value"
    else:
        return f"schema {_json(shown)}"
    return f"{words}, {_json(schema['default'])} by default" if "default" in schema else words


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
