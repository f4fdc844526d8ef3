"""``harmony_json``: gpt-oss, channels for reasoning, text and calls; TypeScript definitions."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from regreen.templates.calls.harmony import MARKS, HarmonyChannels, HarmonySyntax
from regreen.templates.chat import Chat, Results
from regreen.templates.format import ToolFormat
from regreen.templates.parser import Reasoning
from regreen.templates.tools import Tool, ToolTable

__all__ = ["FORMAT"]

_SYSTEM = """\
<|start|>system<|message|>You are ChatGPT, a large language model trained by OpenAI.
Knowledge cutoff: 2024-06

Reasoning: medium

# Valid channels: analysis, commentary, final. Channel must be included for every message."""
_COMMENTARY = "\nCalls to these tools must go to the commentary channel: 'functions'."


def definitions(tools: ToolTable) -> str:
    """The namespace of functions."""
    listed = "".join(_function(tool) for tool in tools.tools)
    head = "# Tools\n\n## functions\n\nnamespace functions {\n\n"
    return f"{head}{listed}}} // namespace functions"


def _function(tool: Tool) -> str:
    about = f"// {tool.description}\n" if tool.description else ""
    properties = tool.parameters.get("properties")
    if not isinstance(properties, Mapping) or not properties:
        return f"{about}type {tool.name} = () => any;\n\n"
    required = tool.parameters.get("required") or ()
    rows = "".join(_members(properties, required))
    return f"{about}type {tool.name} = (_: {{\n{rows}}}) => any;\n\n"


def _members(properties: Mapping[str, Any], required: Any) -> Iterable[str]:
    for key, given in properties.items():
        schema = given if isinstance(given, Mapping) else {}
        if schema.get("description"):
            yield f"// {schema['description']}\n"
        yield f"{key}{'' if key in required else '?'}: {_type(schema)}"
        if "default" in schema:
            plain = isinstance(schema["default"], str) and schema.get("enum")
            default = schema["default"] if plain else _json(schema["default"])
            yield f", // default: {default}"
        yield ",\n"


_SCALARS = {
    "string": "string",
    "number": "number",
    "integer": "number",
    "boolean": "boolean",
    "object": "object",
}


def _type(schema: Mapping[str, Any]) -> str:
    kind = schema.get("type")
    null = " | null" if schema.get("nullable") else ""
    if kind == "array":
        items = schema.get("items")
        inner = _type(items) if isinstance(items, Mapping) else "any"
        return ("any" if len(inner) > 50 else inner) + "[]" + null
    if isinstance(schema.get("oneOf"), list):
        return " | ".join(_type(each) for each in schema["oneOf"] if isinstance(each, Mapping))
    if kind == "string" and schema.get("enum"):
        return " | ".join(f'"{each}"' for each in schema["enum"])
    if kind == "object" and isinstance(schema.get("properties"), Mapping):
        return "{\n" + "".join(_members(schema["properties"], schema.get("required") or ())) + "}"
    if isinstance(kind, list):
        return " | ".join(map(str, kind))
    return _SCALARS.get(str(kind), "any") + (null if kind == "string" else "")


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


FORMAT = ToolFormat(
    name="harmony_json",
    title="gpt-oss: channels for reasoning, text and calls, TypeScript definitions",
    definitions=definitions,
    calls=HarmonySyntax(),
    results=Results(
        each=("<|start|>functions.{name} to=assistant<|channel|>commentary<|message|>", "<|end|>"),
        role="tool",
    ),
    chat=Chat(
        turns={
            "system": ("<|start|>developer<|message|>", "<|end|>"),
            "user": ("<|start|>user<|message|>", "<|end|>"),
            "assistant": ("<|start|>assistant", "<|return|>"),
            "tool": ("", ""),
        },
        stops=("<|return|>", "<|call|>", "<|end|>"),
        start=f"{_SYSTEM}<|end|>",
        start_with_tools=f"{_SYSTEM}{_COMMENTARY}<|end|>",
        around_system=("# Instructions\n\n", "\n\n"),
        called="<|call|>",
        specials=MARKS,
    ),
    reasoning=Reasoning("<|channel|>analysis<|message|>", "<|end|><|start|>assistant"),
    join_system="",
    channels=HarmonyChannels(),
    source="OpenAI's harmony format, chat template of openai/gpt-oss-120b",
    notes=(
        "Calls are written as the model samples them, recipient behind the channel; the published "
        "template puts it into the role's header and leaves `<|constrain|>` out. Both are read.",
        "The published template encodes results once more as JSON, renders one call per message "
        "and drops reasoning and text of turns that are over; here nothing is encoded twice and "
        "nothing is dropped.",
        "A turn that ends stands as it was sampled, with `<|return|>`; the published template "
        "changes it to `<|end|>` when the conversation goes on.",
        "The line with the current date is left out, so that rendering needs no clock.",
    ),
)
