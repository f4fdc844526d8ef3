"""``gemma4``: the notation of Gemma 4, with tokens for quotes and for every region.

The text of the declarations is the published template's, to the byte, so it leaves out of a schema
what that leaves out; the rest departs where the published one would not keep what was said.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from regreen.templates.calls.gemma_calls import GemmaSyntax, notation
from regreen.templates.chat import Chat, Results
from regreen.templates.format import ToolFormat
from regreen.templates.parser import Reasoning
from regreen.templates.tools import Tool, ToolTable

__all__ = ["CALLS", "CHAT", "FORMAT"]

_QUOTE = '<|"|>'
_STANDARD = {"description", "type", "properties", "required", "nullable"}

CALLS = GemmaSyntax()

CHAT = Chat(
    turns={
        "system": ("<|turn>system\n", "<turn|>\n"),
        "user": ("<|turn>user\n", "<turn|>\n"),
        "assistant": ("<|turn>model\n", "<turn|>\n"),
        "tool": ("", ""),
    },
    stops=("<turn|>", "<|tool_response>"),
    start="<bos>",
    resumed="",
    called="<|tool_response>",
    specials=(
        *("<bos>", "<|turn>", "<turn|>", "<|channel>", "<channel|>", "<|think|>", _QUOTE),
        *("<|tool>", "<tool|>", "<|tool_call>", "<tool_call|>"),
        *("<|tool_response>", "<tool_response|>"),
    ),
)


def definitions(tools: ToolTable) -> str:
    """One declaration per tool, nothing between them."""
    return "".join(f"<|tool>{_declaration(tool)}<tool|>" for tool in tools.tools)


def _declaration(tool: Tool) -> str:
    schema = tool.parameters
    parts = [f"description:{_quoted(tool.description)}"]
    if schema:
        inner = []
        if schema.get("properties"):
            inner.append(f"properties:{{{_parameters(schema['properties'])}}}")
        if schema.get("required"):
            inner.append(_required(schema["required"]))
        if schema.get("type"):
            inner.append(f"type:{_quoted(_upper(schema['type']))}")
        parts.append(f"parameters:{{{','.join(inner)}}}")
    return f"declaration:{tool.name}{{{','.join(parts)}}}".strip()


def _parameters(properties: Mapping[str, Any], skip: Iterable[str] = ()) -> str:
    rows = []
    for key, given in sorted(properties.items(), key=lambda item: item[0].lower()):
        if key not in skip:
            fields = given if isinstance(given, Mapping) else {}
            rows.append(f"{key}:{{{','.join(_fields(fields))}}}")
    return ",".join(rows)


def _fields(fields: Mapping[str, Any]) -> Iterable[str]:
    kind = _upper(fields.get("type", ""))
    if fields.get("description"):
        yield f"description:{_quoted(fields['description'])}"
    if kind == "STRING" and fields.get("enum"):
        yield f"enum:{notation(fields['enum'])}"
    if kind == "ARRAY" and isinstance(fields.get("items"), Mapping) and fields["items"]:
        rows = sorted(fields["items"].items(), key=lambda item: item[0].lower())
        yield f"items:{{{','.join(_item(*row) for row in rows if row[1] is not None)}}}"
    if fields.get("nullable"):
        yield "nullable:true"
    if kind == "OBJECT":
        inner = fields.get("properties")
        listed = (
            _parameters(inner) if isinstance(inner, Mapping) else _parameters(fields, _STANDARD)
        )
        yield f"properties:{{{listed}}}"
        if fields.get("required"):
            yield _required(fields["required"])
    yield f"type:{_quoted(kind)}"


def _item(key: str, given: Any) -> str:
    if key == "properties":
        return f"properties:{{{_parameters(given) if isinstance(given, Mapping) else ''}}}"
    if key == "required":
        return _required(given)
    if key == "type":
        kinds = _upper(given) if isinstance(given, str) else list(map(_upper, given))
        return f"type:{notation(kinds)}"
    return f"{key}:{notation(given)}"


def _required(keys: Iterable[str]) -> str:
    return f"required:[{','.join(map(_quoted, keys))}]"


def _upper(kind: Any) -> str:
    return str(kind).upper()


def _quoted(text: str) -> str:
    return _QUOTE + text + _QUOTE


FORMAT = ToolFormat(
    name="gemma4",
    title="Gemma 4: a notation with quote tokens, calls and results inside one turn",
    definitions=definitions,
    calls=CALLS,
    results=Results(
        each=(f"response:{{name}}{{value:{_QUOTE}", f"{_QUOTE}}}<tool_response|>"),
        between="<|tool_response>",
        role="tool",
    ),
    chat=CHAT,
    reasoning=Reasoning("<|channel>thought\n", "\n<channel|>"),
    join_system="",
    source="chat templates of google/gemma-4-E4B-it and google/gemma-4-26B-A4B-it",
    notes=(
        "Keys of arguments are sorted, as published; keys that the notation cannot hold bare stand"
        " between quote tokens.",
        "The published template prints the text of a calling message behind the results; here it"
        " stands in front of the calls, where it was said.",
        "Reasoning is kept in every turn; published, it is dropped before the last question.",
        "A generation prompt never holds an empty thought, which would not be there afterwards.",
        "A turn that calls ends in <|tool_response>, the token that hands over to the tools.",
        "Declarations leave out defaults, bounds and further keys of a schema, as published.",
    ),
)
