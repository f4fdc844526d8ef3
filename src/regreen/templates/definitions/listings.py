"""Tool definitions for readers: Markdown lists, plain sentences, indented keys, attributes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from regreen.templates.definitions.outline import Entry, outline
from regreen.templates.tools import Tool

__all__ = ["attributes", "markdown", "prose", "yaml_like"]


def markdown(tools: Iterable[Tool]) -> str:
    """A heading per tool and a list of its parameters; properties of objects are indented."""
    parts = []
    for tool in tools:
        rows = [f"### `{tool.name}`"]
        rows += [tool.description.strip()] if tool.description.strip() else []
        listed = list(_items(outline(tool), ""))
        parts.append(
            "\n\n".join([*rows, "\n".join(["Parameters:", *listed] if listed else [_NONE])])
        )
    return "\n\n".join(parts)


_NONE = "Takes no parameters."


def _items(entries: Iterable[Entry], indent: str) -> Iterable[str]:
    for entry in entries:
        need = "required" if entry.required else "optional"
        said = ", ".join([entry.words, need, *_limits(entry)])
        text = f": {_hang(entry.description, indent + '  ')}" if entry.description else ""
        yield f"{indent}- `{entry.name}` ({said}){text}"
        yield from _items(entry.members, indent + "  ")


def _limits(entry: Entry) -> list[str]:
    found = [f"one of {', '.join(map(_json, entry.options))}"] if entry.options else []
    return found + [f"{key} {_json(value)}" for key, value in entry.extra.items()]


def prose(tools: Iterable[Tool]) -> str:
    """Sentences: what a tool does, then what it takes."""
    return "\n\n".join(_paragraph(tool) for tool in tools)


def _paragraph(tool: Tool) -> str:
    told = tool.description.strip()
    rows = [f"{tool.name}: {told}" if told else tool.name]
    entries = outline(tool)
    if not entries:
        return "\n".join([*rows, "It needs nothing."])
    needed = [entry.name for entry in entries if entry.required]
    free = [entry.name for entry in entries if not entry.required]
    rows += [f"You must give {_and(needed)}."] if needed else []
    rows += [f"You may give {_and(free)}."] if free else []
    return "\n".join([*rows, *_sentences(entries, "")])


def _sentences(entries: Iterable[Entry], owner: str) -> Iterable[str]:
    for entry in entries:
        name = f"{owner}{entry.name}"
        article = "an" if entry.words[0] in "aeio" else "a"
        limits = "".join(f", {limit}" for limit in _limits(entry))
        need = " It is required there." if owner and entry.required else ""
        text = f" {entry.description}" if entry.description else ""
        yield f"{name} is {article} {entry.words}{limits}.{need}{text}"
        between = "[]." if entry.items else "."
        yield from _sentences(entry.members, f"{name}{between}")


def _and(names: list[str]) -> str:
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


def yaml_like(tools: Iterable[Tool]) -> str:
    """Keys and values by indentation, all that was declared; any YAML reader takes it."""
    rows: list[str] = []
    for tool in tools:
        body = tool.declared.get("function", tool.declared)
        fields = list(_block({"name": tool.name, **_without(body, "name", "type")}, "  "))
        rows += [f"- {fields[0].lstrip()}", *fields[1:]]
    return "\n".join(rows)


def _without(fields: Mapping[str, Any], *keys: str) -> dict[str, Any]:
    return {key: value for key, value in fields.items() if key not in keys}


def _block(value: Any, indent: str) -> Iterable[str]:
    pairs = [(f"{_key(key)}:", item) for key, item in value.items()] if _is_map(value) else []
    pairs = pairs or [("-", item) for item in value]
    for head, item in pairs:
        if isinstance(item, str) and "\n" in item.strip("\n") and _is_plain_block(item):
            yield f"{indent}{head} |-"
            yield from (f"{indent}  {line}".rstrip() for line in item.split("\n"))
        elif _is_map(item) or (isinstance(item, list) and any(map(_is_deep, item))):
            if not item:
                yield f"{indent}{head} {{}}"
                continue
            yield f"{indent}{head}"
            yield from _block(item, indent + "  ")
        else:
            yield f"{indent}{head} {_scalar(item)}"


def _is_map(value: Any) -> bool:
    return isinstance(value, Mapping)


def _is_deep(value: Any) -> bool:
    return isinstance(value, Mapping | list)


def _is_plain_block(text: str) -> bool:
    """Whether a block scalar gives the text back: no margin of its own, nothing to strip."""
    lines = text.split("\n")
    tidy = all(line == line.rstrip() and line.isprintable() for line in lines)
    return tidy and lines[0][:1].strip() != "" and lines[-1] != ""


def _key(key: Any) -> str:
    text = str(key)
    return (
        text
        if re.fullmatch(r"[A-Za-z_$][\w$-]*", text) and text.lower() not in _WORDS
        else _json(text)
    )


_WORDS = {"null", "true", "false", "yes", "no", "on", "off", "y", "n", "~", ""}


def _scalar(value: Any) -> str:
    """A value in one line; text stands bare where nothing in it means anything to YAML."""
    if isinstance(value, str) and value.lower() not in _WORDS:
        bare = re.fullmatch(
            r"[A-Za-z(][^\n\t\r#:{}\[\]&*!|>'\"%@`]*[^\s#:{}\[\]&*!|>'\"%@`,]", value
        )
        return value if bare and value.isprintable() else _json(value)
    return _json(value)


def attributes(tools: Iterable[Tool]) -> str:
    """Elements whose facts are attributes; descriptions are their text."""
    rows: list[str] = []
    for tool in tools:
        rows.append(f'<tool name="{tool.name}">')
        rows += (
            [f"  <description>{tool.description.strip()}</description>"] if tool.description else []
        )
        rows += [*_elements(outline(tool), "  "), "</tool>"]
    return "\n".join(rows)


def _elements(entries: Iterable[Entry], indent: str) -> Iterable[str]:
    for entry in entries:
        need = "true" if entry.required else "false"
        facts = {"name": entry.name, "type": entry.words, "required": need}
        facts |= {"options": "|".join(map(_text, entry.options))} if entry.options else {}
        facts |= {key: _text(value) for key, value in entry.extra.items()}
        listed = " ".join(f'{key}="{_quoted(value)}"' for key, value in facts.items())
        if not entry.members:
            yield f"{indent}<parameter {listed}>{entry.description}</parameter>"
            continue
        yield f"{indent}<parameter {listed}>{entry.description}"
        yield from _elements(entry.members, indent + "  ")
        yield f"{indent}</parameter>"


def _quoted(text: str) -> str:
    return text.replace("&", "&amp;").replace('"', "&quot;")


def _hang(text: str, indent: str) -> str:
    return f"\n{indent}".join(text.splitlines())


def _text(value: Any) -> str:
    return value if isinstance(value, str) else _json(value)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
