"""Schemas rewritten for a grammar engine: what becomes of each keyword."""

from __future__ import annotations

from typing import Any

import pytest
from tests.templates.xgrammar_core import Grammar

from regreen.templates.grammar.parts import schema
from regreen.templates.grammar.schema import argument_schema
from regreen.templates.tools import tool_table


def rewritten(parameters: dict[str, Any]) -> dict[str, Any]:
    tool = {"type": "function", "function": {"name": "f", "parameters": parameters}}
    return argument_schema(tool_table([tool]).tools[0])


def engine(value: Any, **more: Any) -> Grammar:
    """The engine's grammar of an object with one required parameter ``a``."""
    whole = rewritten({"type": "object", "properties": {"a": value}, "required": ["a"], **more})
    return Grammar({"type": "structural_tag", "format": schema(whole)})


INTEGER = {"type": "integer"}
CASES = [
    pytest.param({"type": "string", "nullable": True}, ['"x"', "null"], ["1"], id="nullable"),
    pytest.param({"oneOf": [INTEGER, {"type": "null"}]}, ["1", "null"], ['"x"'], id="oneOf"),
    pytest.param(
        {"allOf": [{"type": "object", "properties": {"b": INTEGER}}, {"required": ["b"]}]},
        ['{"b": 1}'],
        ["{}", '{"b": "1"}', "1"],
        id="allOf",
    ),
    pytest.param({"allOf": [{"minimum": 2}, {**INTEGER, "minimum": 5}]}, ["5"], ["4"], id="bounds"),
    pytest.param({"anyOf": [False, INTEGER]}, ["1"], ['"x"'], id="false branch"),
    pytest.param({"type": "int"}, ["1"], ['"1"'], id="alias"),
    pytest.param({"type": "date"}, ["1", '"x"', "[]"], [], id="unknown type"),
    pytest.param({"type": "string", "pattern": "^[a-z]{2}$"}, ['"ab"'], ['"abc"'], id="pattern"),
    pytest.param({"type": "string", "pattern": "b"}, ['"abc"', '"c"'], [], id="search pattern"),
    pytest.param({"type": "string", "pattern": "^(?=a).*$"}, ['"b"'], [], id="lookahead"),
    pytest.param({"type": "string", "minLength": 3}, [r'"a\nb"', '"a"'], [], id="length"),
    pytest.param({"enum": ["a", 1, None], "not": {}}, ['"a"', "1", "null"], ['"b"'], id="enum"),
    pytest.param({"type": "string", "enum": ["a", 1]}, ['"a"'], ["1"], id="enum of a type"),
    pytest.param({"const": {"x": [1]}}, ['{"x": [1]}', '{"x":[1]}'], ['{"x": [2]}'], id="const"),
    pytest.param({"type": ["integer", "null"]}, ["1", "null"], ["true"], id="type list"),
    pytest.param({"$ref": "https://example.org/x"}, ["1", '"x"'], [], id="foreign reference"),
    pytest.param({"$ref": "#/properties/a"}, ["1", "{}"], [], id="reference to itself"),
    pytest.param(
        {"type": "array", "items": INTEGER, "uniqueItems": True}, ["[1]"], ['["x"]'], id="array"
    ),
    pytest.param({"type": "array", "items": [INTEGER]}, ["[1]"], ['["x"]'], id="tuple"),
    pytest.param(
        {"type": "object", "additionalProperties": INTEGER}, ['{"x": 1}'], ['{"x": "y"}'], id="map"
    ),
    pytest.param({"type": "object"}, ["{}", '{"x": [null]}'], ["[]"], id="free object"),
    pytest.param({"exclusiveMinimum": True, "minimum": 1, **INTEGER}, ["2"], ["1"], id="draft 4"),
]


@pytest.mark.parametrize(("value", "taken", "refused"), CASES)
def test_the_engine_takes_what_the_schema_means(
    value: Any, taken: list[str], refused: list[str]
) -> None:
    found = engine(value)
    if value.get("const") is not None:
        taken = taken[:1] if found.accepts(f'{{"a": {taken[0]}}}') else taken[1:]
    for text in taken:
        assert found.accepts(f'{{"a": {text}}}'), text
    for text in refused:
        assert not found.accepts(f'{{"a": {text}}}'), text


def test_references_are_hoisted_and_may_recurse() -> None:
    tree = {
        "type": "object",
        "properties": {"next": {"anyOf": [{"$ref": "#/$defs/T"}, {"type": "null"}]}},
        "required": ["next"],
    }
    found = engine({"$ref": "#/$defs/T"}, **{"$defs": {"T": tree}})
    assert found.accepts('{"a": {"next": {"next": null}}}')
    assert not found.accepts('{"a": {"next": {"next": 1}}}')


@pytest.mark.parametrize(
    "parameters", [{}, {"type": "object"}, {"type": "object", "properties": {}}]
)
def test_a_tool_without_parameters_takes_none(parameters: dict[str, Any]) -> None:
    found = Grammar({"type": "structural_tag", "format": schema(rewritten(parameters))})
    assert found.accepts("{}")
    assert not found.accepts('{"x": 1}')


@pytest.mark.parametrize(
    "spoilt",
    [
        {"type": 5},
        {"properties": [], "type": "object"},
        {"type": "object", "required": "a"},
        {"enum": "abc"},
        {"allOf": [{"required": 1}, {"required": ["x"]}, {"minimum": "a"}, {"minimum": 2}]},
        {"anyOf": {}},
        {"type": "array", "items": 3, "minItems": -1},
        {"type": []},
        "string",
        None,
    ],
)
def test_spoilt_schemas_never_raise_and_compile(spoilt: Any) -> None:
    engine(spoilt)
