"""Tool definitions as code: TypeScript types in a namespace, Python functions with docstrings."""

from __future__ import annotations

import json
from collections.abc import Iterable

from regreen.templates.definitions.outline import Entry, outline
from regreen.templates.tools import Tool

__all__ = ["python_signatures", "typescript"]

_PYTHON = {
    "string": "str",
    "integer": "int",
    "number": "float",
    "boolean": "bool",
    "object": "dict",
    "array": "list",
    "null": "None",
    "any": "Any",
}


def typescript(tools: Iterable[Tool]) -> str:
    """Function types in ``namespace functions``; descriptions and limits are comments."""
    rows = ["namespace functions {", ""]
    for tool in tools:
        rows += _comments("", tool.description)
        entries = outline(tool)
        if not entries:
            rows += [f"type {tool.name} = () => any;", ""]
            continue
        rows.append(f"type {tool.name} = (_: {{")
        rows += _members(entries, "  ")
        rows += ["}) => any;", ""]
    return "\n".join([*rows, "} // namespace functions"])


def _members(entries: Iterable[Entry], indent: str) -> Iterable[str]:
    for entry in entries:
        yield from _comments(indent, entry.description)
        kind = _typescript(entry, indent)
        mark = "" if entry.required else "?"
        notes = [f"{key}: {_json(value)}" for key, value in entry.extra.items()]
        notes += ["integer"] if "integer" in entry.kinds else []
        behind = f" // {', '.join(notes)}" if notes else ""
        yield f"{indent}{entry.name}{mark}: {kind},{behind}"


def _typescript(entry: Entry, indent: str) -> str:
    if entry.options:
        parts = [_json(option) for option in entry.options]
        parts += ["null"] if "null" in entry.kinds and "null" not in parts else []
        return " | ".join(parts)
    parts = []
    for kind in entry.kinds:
        if kind == "object" and entry.inner:
            body = "\n".join(_members(entry.inner, indent + "  "))
            parts.append(f"{{\n{body}\n{indent}}}")
        elif kind == "array":
            inner = _typescript(entry.items, indent) if entry.items else "any"
            parts.append(f"({inner})[]" if " | " in inner else f"{inner}[]")
        else:
            parts.append("number" if kind == "integer" else kind)
    return " | ".join(dict.fromkeys(parts))


def _comments(indent: str, text: str) -> Iterable[str]:
    for line in text.strip().splitlines():
        yield f"{indent}// {line}".rstrip()


def python_signatures(tools: Iterable[Tool]) -> str:
    """Function signatures with type hints; docstrings list the arguments."""
    return "\n\n\n".join(_function(tool) for tool in tools)


def _function(tool: Tool) -> str:
    entries = sorted(outline(tool), key=lambda entry: not entry.required)
    head = ", ".join(
        f"{entry.name}: {_python(entry)}{'' if entry.required else ' = ' + _default(entry)}"
        for entry in entries
    )
    rows = [f"def {tool.name}({head}):"]
    told = [f"    {line}".rstrip() for line in tool.description.strip().splitlines()]
    body = list(_arguments(entries, "        "))
    if body:
        told += ["", "    Args:", *body] if told else ["    Args:", *body]
    if not told:
        return "\n".join([*rows, "    ..."])
    told[0] = f'    """{told[0].lstrip()}'
    return "\n".join([*rows, *told, '    """'])


def _arguments(entries: Iterable[Entry], indent: str, *, nested: bool = False) -> Iterable[str]:
    for entry in entries:
        lines = entry.description.splitlines()
        notes = [f"{key}: {_json(value)}" for key, value in entry.extra.items() if key != "default"]
        if entry.members or notes or lines or nested:
            need = ", optional" if nested and not entry.required else ""
            kind = f" ({_python(entry)}{need})" if entry.members or nested else ""
            first = f"{indent}{entry.name}{kind}: {lines[0] if lines else ''}".rstrip()
            yield first + (f" ({', '.join(notes)})" if notes else "")
            yield from (f"{indent}    {line}".rstrip() for line in lines[1:])
        yield from _arguments(entry.members, indent + "    ", nested=True)


def _python(entry: Entry) -> str:
    if entry.options:
        listed = [repr(option) for option in entry.options]
        listed += ["None"] if "null" in entry.kinds and "None" not in listed else []
        return f"Literal[{', '.join(listed)}]"
    parts = []
    for kind in entry.kinds:
        inside = f"[{_python(entry.items)}]" if kind == "array" and entry.items else ""
        parts.append(_PYTHON.get(kind, kind) + inside)
    return " | ".join(dict.fromkeys(parts))


def _default(entry: Entry) -> str:
    return repr(entry.extra["default"]) if "default" in entry.extra else "..."


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
