"""Tool definitions: how a model is told what it may call.

A style turns tools into text and is independent of how calls are written, so that training data
can vary the two separately.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from regreen.templates.tools import Tool

__all__ = ["json_array", "json_functions", "json_lines", "nested_xml"]


def json_lines(tools: Iterable[Tool]) -> str:
    """One JSON object per line, as the client declared the tool."""
    return "\n".join(json.dumps(tool.declared, ensure_ascii=False) for tool in tools)


def json_array(tools: Iterable[Tool]) -> str:
    """One indented JSON array of name, description and parameters, without the wrapper."""
    bodies = [dict(tool.declared.get("function", tool.declared)) for tool in tools]
    for body in bodies:
        body.pop("type", None)
    return json.dumps(bodies, ensure_ascii=False, indent=2)


def json_functions(tools: Iterable[Tool], *, each: tuple[str, str] = ("", "")) -> str:
    """One JSON object per line, without the wrapper that names its kind.

    Args:
        tools: the tools.
        each: in front of one object and behind it.
    """
    before, behind = each
    bodies = [tool.declared.get("function", tool.declared) for tool in tools]
    return "\n".join(before + json.dumps(body, ensure_ascii=False) + behind for body in bodies)


def nested_xml(tools: Iterable[Tool], *, python_scalars: bool = False) -> str:
    """Elements for name, description and parameters; every other schema key becomes an element.

    Args:
        tools: the tools.
        python_scalars: write scalars of extra keys as Python does (``True``), not as JSON.
    """
    rows: list[str] = []
    for tool in tools:
        body = tool.declared.get("function", tool.declared)
        rows += ["<function>", f"<name>{tool.name}</name>"]
        if "description" in body:
            rows.append(f"<description>{_trimmed(body['description'])}</description>")
        rows.append("<parameters>")
        properties = tool.parameters.get("properties")
        for key, schema in properties.items() if isinstance(properties, Mapping) else ():
            rows += ["<parameter>", f"<name>{key}</name>"]
            fields = schema if isinstance(schema, Mapping) else {}
            if "type" in fields:
                rows.append(f"<type>{fields['type']}</type>")
            if "description" in fields:
                rows.append(f"<description>{_trimmed(fields['description'])}</description>")
            rows += _extra(fields, {"name", "type", "description"}, python_scalars)
            rows.append("</parameter>")
        rows += _extra(tool.parameters, {"type", "properties"}, python_scalars)
        rows.append("</parameters>")
        rows += _extra(body, {"type", "name", "description", "parameters"}, python_scalars)
        rows.append("</function>")
    return "\n".join(rows)


def _trimmed(text: Any) -> str:
    return str(text).strip()


def _extra(fields: Any, handled: set[str], python_scalars: bool) -> Iterable[str]:
    for key, value in fields.items() if isinstance(fields, Mapping) else ():
        if key in handled:
            continue
        plain = isinstance(value, str) or (python_scalars and not isinstance(value, dict | list))
        text = str(value) if plain else json.dumps(value, ensure_ascii=False)
        yield f"<{key}>{text}</{key}>"
