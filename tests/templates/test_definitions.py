"""Every style of definitions tells the model all there is to know of a tool."""

from __future__ import annotations

import ast
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regreen.templates.definitions.listings import attributes, markdown, prose, yaml_like
from regreen.templates.definitions.outline import outline
from regreen.templates.definitions.signatures import python_signatures, typescript
from regreen.templates.definitions.styles import json_array, json_lines, nested_xml
from regreen.templates.tools import tool_table

STYLES = [
    json_lines,
    json_array,
    nested_xml,
    attributes,
    markdown,
    prose,
    yaml_like,
    typescript,
    python_signatures,
]
TOOL: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "edit_file",
        "description": "Change a file.\nEvery edit is exact.",
        "parameters": {
            "type": "object",
            "properties": {
                "path": {"type": "string", "description": "Where: it is «relative»."},
                "mode": {"type": "string", "enum": ["once", "all"], "default": "once"},
                "edits": {
                    "type": "array",
                    "description": "What to change.",
                    "items": {"$ref": "#/$defs/Edit"},
                },
                "line": {"anyOf": [{"type": "integer"}, {"type": "null"}], "minimum": 1},
                "dry": {"type": "boolean"},
            },
            "required": ["path", "edits"],
            "$defs": {
                "Edit": {
                    "type": "object",
                    "properties": {
                        "old": {"type": "string", "description": "Text that stands there."},
                        "next": {"$ref": "#/$defs/Edit"},
                    },
                    "required": ["old"],
                }
            },
        },
    },
}
PLAIN = {"type": "function", "function": {"name": "submit", "description": "", "parameters": {}}}


@pytest.mark.parametrize("style", STYLES, ids=lambda style: style.__name__)
def test_a_style_says_names_types_options_and_nesting(style: Any) -> None:
    text = style(tool_table([TOOL, PLAIN]).tools)

    for word in ("edit_file", "submit", "path", "edits", "old", "mode", "once", "all", "line"):
        assert word in text, word
    for line in ("Change a file.", "Every edit is exact.", "it is «relative».", "What to change."):
        assert line in text, line
    assert "Text that stands there." in text
    assert "integer" in text or "int" in text
    assert "null" in text or "None" in text


def test_what_must_be_given_is_told_from_what_may() -> None:
    table = tool_table([TOOL]).tools

    assert "- `path` (string, required): Where" in markdown(table)
    assert '- `mode` (string, optional, one of "once", "all", default "once")' in markdown(table)
    assert "  - `old` (string, required)" in markdown(table)
    assert "You must give path and edits." in prose(table)
    assert "edits[].old is a string. It is required there." in prose(table)
    assert '  mode?: "once" | "all", // default: "once"' in typescript(table)
    assert "  path: string," in typescript(table)
    assert "line?: number | null, // minimum: 1, integer" in typescript(table)
    assert 'name="path" type="string" required="true"' in attributes(table)
    assert 'name="edits" type="array of object" required="true"' in attributes(table)


def test_python_signatures_are_python() -> None:
    text = python_signatures(tool_table([TOOL, PLAIN]).tools)
    first, second = ast.parse(text).body

    assert isinstance(first, ast.FunctionDef)
    assert isinstance(second, ast.FunctionDef)
    assert [argument.arg for argument in first.args.args][:2] == ["path", "edits"]
    assert len(first.args.defaults) == 3
    assert "Every edit is exact." in (ast.get_docstring(first) or "")
    assert "mode: Literal['once', 'all'] = 'once'" in text


def test_a_recursive_definition_ends() -> None:
    (edits,) = [entry for entry in outline(tool_table([TOOL]).tools[0]) if entry.name == "edits"]
    depth, entry = 0, edits
    while entry.members:
        depth += 1
        entry = entry.members[-1]

    assert depth == 1
    assert entry.words == "object"
    assert edits.words == "array of object"


def test_a_whole_description_is_json() -> None:
    table = tool_table([TOOL, PLAIN])

    assert json.loads(json_array(table.tools))[0] == TOOL["function"]
    assert [json.loads(line) for line in json_lines(table.tools).splitlines()] == [TOOL, PLAIN]


NAMES = st.from_regex(r"[a-z][a-z_0-9]{0,12}", fullmatch=True)
WORDS = st.text(
    st.sampled_from("abcxyz XYZ019 .,;:!?'()[]{}<>#-_*`$%&@~^|äß漢🙂\n"), max_size=60
).map(str.strip)
KINDS = st.sampled_from(["string", "integer", "number", "boolean", "null"])
LEAF = st.fixed_dictionaries({"type": KINDS}, optional={"description": WORDS})


def _object(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    properties = st.dictionaries(NAMES, inner, max_size=4)
    return st.fixed_dictionaries(
        {"type": st.just("object"), "properties": properties, "required": st.just([])}
    )


def _array(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.fixed_dictionaries({"type": st.just("array"), "items": inner})


SCHEMA = st.recursive(LEAF, lambda inner: _object(inner) | _array(inner), max_leaves=6)


TOOLS = st.lists(
    st.builds(
        lambda name, text, schema: {
            "type": "function",
            "function": {"name": name, "description": text, "parameters": schema},
        },
        NAMES,
        WORDS,
        _object(SCHEMA),
    ),
    max_size=3,
)


def _names_and_texts(schema: dict[str, Any]) -> list[str]:
    found = []
    for key, value in (schema.get("properties") or {}).items():
        found += [key, value.get("description", ""), *_names_and_texts(value)]
    return found + (_names_and_texts(schema["items"]) if "items" in schema else [])


@settings(deadline=None, max_examples=40)
@given(tools=TOOLS)
def test_every_name_and_description_occurs(tools: list[dict[str, Any]]) -> None:
    words: list[str] = []
    for tool in tools:
        function = tool["function"]
        words += [function["name"], function["description"]]
        words += _names_and_texts(function["parameters"])
    lines = [part.strip() for word in words for part in word.splitlines() if part.strip()]
    table = tool_table(tools).tools
    for style in STYLES:
        text = style(table)
        for line in lines:
            quoted = json.dumps(line, ensure_ascii=False)[1:-1]
            assert line in text or quoted in text, (style.__name__, line, text)
