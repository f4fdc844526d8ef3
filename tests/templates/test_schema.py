"""Raw text by schema: every row of the coercion table, and values of random schemas."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.templates.strategies import same, schemas_and_values, texts

from regreen.templates.guard import JOINER
from regreen.templates.schema import TEXT, ParamType, param_types

OBJECT = {"type": "object"}
ARRAY = {"type": "array"}
NULLABLE = {"type": ["string", "null"]}
TREE = {
    "type": "object",
    "properties": {
        "tree": {"$ref": "#/$defs/Node"},
        "size": {"$ref": "#/definitions/Size"},
        "maybe": {"anyOf": [{"$ref": "#/$defs/Maybe"}, {"type": "null"}]},
        "self": {"$ref": "#/$defs/Self"},
        "mutual": {"$ref": "#/$defs/Left"},
        "gone": {"$ref": "#/$defs/Gone"},
        "far": {"$ref": "https://example.org/schema.json"},
        "escaped": {"$ref": "#/$defs/a~1b%20c"},
        "with_more": {"$ref": "#/definitions/Size", "description": "with a sibling"},
    },
    "$defs": {
        "Node": {
            "type": "object",
            "properties": {"next": {"anyOf": [{"$ref": "#/$defs/Node"}, {"type": "null"}]}},
        },
        "Maybe": {"anyOf": [{"type": "integer"}, {"$ref": "#/$defs/Maybe"}]},
        "Self": {"$ref": "#/$defs/Self"},
        "Left": {"anyOf": [{"type": "null"}, {"$ref": "#/$defs/Right"}]},
        "Right": {"anyOf": [{"type": "integer"}, {"$ref": "#/$defs/Left"}]},
        "a/b c": {"type": "boolean"},
    },
    "definitions": {"Size": {"type": "integer"}},
}


def kind(schema: Any) -> ParamType:
    return param_types({"type": "object", "properties": {"key": schema}})["key"]


@pytest.mark.parametrize(
    ("schema", "text", "value"),
    [
        # strings are verbatim
        ({"type": "string"}, "null", "null"),
        ({"type": "string"}, "5", "5"),
        ({"type": "string"}, " padded\n", " padded\n"),
        ({"type": "string"}, "", ""),
        ({"type": "string", "enum": ["1", "true"]}, "1", "1"),
        # a string or null
        (NULLABLE, "null", None),
        (NULLABLE, "None", None),
        (NULLABLE, "NULL", "NULL"),
        (NULLABLE, " null", " null"),
        (NULLABLE, "", ""),
        (NULLABLE, '"null"', '"null"'),
        ({"type": "string", "nullable": True}, "null", None),
        # integers
        ({"type": "integer"}, "5", 5),
        ({"type": "integer"}, " -5\n", -5),
        ({"type": "integer"}, "+5", 5),
        ({"type": "integer"}, "007", 7),
        ({"type": "integer"}, "5.0", 5),
        ({"type": "integer"}, "1e3", 1000),
        ({"type": "integer"}, "1e22", 10**22),
        ({"type": "integer"}, "-0.0", 0),
        ({"type": "integer"}, "5.5", "5.5"),
        ({"type": "integer"}, "1e999999", "1e999999"),
        ({"type": "integer"}, "1_000", "1_000"),
        ({"type": "integer"}, "٣", "٣"),
        ({"type": "integer"}, str(2**64 + 1), 2**64 + 1),
        ({"type": "integer"}, str(2**64 + 1) + ".0", 2**64 + 1),
        ({"type": "integer"}, "9" * 5000, "9" * 5000),
        ({"type": "integer"}, "five", "five"),
        ({"type": "integer"}, "", ""),
        ({"type": "integer"}, "null", "null"),
        ({"type": "integer"}, "true", "true"),
        # numbers
        ({"type": "number"}, "5", 5),
        ({"type": "number"}, "5.0", 5.0),
        ({"type": "number"}, "5.", 5.0),
        ({"type": "number"}, ".5", 0.5),
        ({"type": "number"}, "1e3", 1000.0),
        ({"type": "number"}, "-1.5E-3", -0.0015),
        ({"type": "number"}, str(-(2**70)), -(2**70)),
        ({"type": "number"}, "inf", "inf"),
        ({"type": "number"}, "NaN", "NaN"),
        ({"type": "number"}, "-Infinity", "-Infinity"),
        ({"type": "number"}, "1e999", "1e999"),
        # booleans
        ({"type": "boolean"}, "true", True),
        ({"type": "boolean"}, "False", False),
        ({"type": "boolean"}, " TRUE ", True),
        ({"type": "boolean"}, "1", True),
        ({"type": "boolean"}, "0", False),
        ({"type": "boolean"}, "yes", "yes"),
        ({"type": ["boolean", "integer"]}, "1", 1),
        ({"type": ["boolean", "string"]}, "1", "1"),
        ({"type": ["boolean", "string"]}, "TRUE", "TRUE"),
        ({"type": ["boolean", "string"]}, "True", True),
        # objects and arrays
        (OBJECT, '{"a": [1, null, true]}', {"a": [1, None, True]}),
        (OBJECT, "{'a': (1, None, True)}", {"a": [1, None, True]}),
        (OBJECT, "{'a': true, 'b': null}", {"a": True, "b": None}),
        (OBJECT, '{"a": 1,}', {"a": 1}),
        (OBJECT, "{'a': '\\d\\n'}", {"a": "\\d\n"}),
        (OBJECT, '{"a": "\\ud83d\\ude00"}', {"a": "😀"}),
        (OBJECT, '{"a": "\\ud83d"}', '{"a": "\\ud83d"}'),
        (OBJECT, "{'a': '\\ud83d'}", "{'a': '\\ud83d'}"),
        (OBJECT, "", {}),
        (OBJECT, " \n", {}),
        (OBJECT, "[1]", "[1]"),
        (OBJECT, "{1: 2}", "{1: 2}"),
        (OBJECT, '{"a": NaN}', '{"a": NaN}'),
        (OBJECT, '{"a": 1e999}', '{"a": 1e999}'),
        (OBJECT, "{'a': -1e999}", "{'a': -1e999}"),
        (OBJECT, "{'a': {1, 2}}", "{'a': {1, 2}}"),
        (OBJECT, "{'a': f()}", "{'a': f()}"),
        (OBJECT, '{"a": 1} and more', '{"a": 1} and more'),
        (OBJECT, '"text"', '"text"'),
        (ARRAY, "[1, 2.5]", [1, 2.5]),
        (ARRAY, "(1, 'two')", [1, "two"]),
        (ARRAY, "\n[-1]\n", [-1]),
        (ARRAY, "", []),
        (ARRAY, "{}", "{}"),
        (ARRAY, "a, b", "a, b"),
        (ARRAY, f"[{2**80}]", [2**80]),
        ({"type": ["object", "null"]}, "None", None),
        ({"type": ["object", "null"]}, "", {}),
        ({"type": ["array", "object"]}, "", {}),
        # unions: the most specific first, the string last
        ({"anyOf": [{"type": "string"}, {"type": "integer"}]}, "5", 5),
        ({"anyOf": [{"type": "string"}, {"type": "integer"}]}, "5.0", "5.0"),
        ({"anyOf": [{"type": "string"}, {"type": "integer"}]}, " 5", " 5"),
        ({"anyOf": [{"type": "string"}, {"type": "integer"}]}, "05", "05"),
        ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, "5.0", 5),
        ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, "None", None),
        ({"oneOf": [{"type": "string"}, ARRAY]}, '["a"]', ["a"]),
        ({"oneOf": [{"type": "string"}, ARRAY]}, "['a']", ["a"]),
        ({"oneOf": [{"type": "string"}, ARRAY]}, "[link](url)", "[link](url)"),
        ({"oneOf": [{"type": "string"}, ARRAY]}, '["a"]\n', '["a"]\n'),
        ({"oneOf": [{"type": "string"}, ARRAY]}, "", ""),
        ({"oneOf": [{"type": "string"}, OBJECT]}, "[1]", "[1]"),
        ({"type": ["number", "integer"]}, "5.0", 5.0),
        ({"allOf": [{"type": ["string", "integer"]}, {"type": ["integer", "null"]}]}, "x", "x"),
        ({"allOf": [{"type": ["string", "integer"]}, {"type": ["integer", "null"]}]}, "5.0", 5),
        ({"allOf": [{"type": "number"}, {"type": "integer"}]}, "5.0", 5),
        ({"type": "string", "anyOf": [{"pattern": "a"}, {"pattern": "b"}]}, "5", "5"),
        # literals
        ({"const": 5}, "5", 5),
        ({"const": "5"}, "5", "5"),
        ({"const": None}, "null", None),
        ({"enum": [1, 2.5, True, None, "a"]}, "2.5", 2.5),
        ({"enum": [1, 2.5, True, None, "a"]}, "True", True),
        ({"enum": [1, 2.5, True, None, "a"]}, "None", None),
        ({"enum": [1, 2.5, True, None, "a"]}, "a", "a"),
        ({"enum": ["1", 5]}, "1", "1"),
        ({"enum": ["1", 5]}, "5", 5),
        ({"enum": ["null", 5]}, "null", "null"),
        ({"enum": [{"a": 1}, "x"]}, '{"a": 1}', {"a": 1}),
        ({"anyOf": [{"const": "auto"}, {"type": "integer"}]}, "auto", "auto"),
        ({"anyOf": [{"const": "5"}, {"type": "integer"}]}, "5", 5),
        # nothing said
        ({}, "5", 5),
        ({"description": "anything"}, "text", "text"),
        (True, "null", None),
        ({"properties": {"a": {}}}, "{}", {}),
        ({"items": {}}, "[]", []),
        ({"minLength": 2}, "55", "55"),
        # names that are no JSON types
        ({"type": "int"}, "5", 5),
        ({"type": "dict"}, "{}", {}),
        ({"type": "any"}, "5", "5"),
        # malformed schemas read as text
        ({"type": 5}, "5", "5"),
        ({"type": []}, "5", "5"),
        ({"type": [[], {}]}, "5", "5"),
        ({"type": {"a": 1}}, "5", "5"),
        (False, "5", "5"),
        (None, "5", "5"),
        ([1], "5", "5"),
        ({"enum": 5}, "5", 5),
        ({"anyOf": 5}, "5", 5),
        ({"anyOf": [5, {"type": "integer"}]}, "5", 5),
        ({"$ref": 5}, "5", "5"),
        ({"allOf": [{"type": "integer"}, {"type": "null"}]}, "5", "5"),
    ],
)
def test_reads_text_by_its_schema(schema: Any, text: str, value: Any) -> None:
    assert same(kind(schema).value(text), value)


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("tree", '{"next": null}', {"next": None}),
        ("size", "5.0", 5),
        ("maybe", "5", 5),
        ("maybe", "None", None),
        ("maybe", "x", "x"),
        ("self", "5", "5"),
        ("mutual", "null", None),
        ("mutual", "7", 7),
        ("gone", "5", "5"),
        ("far", "5", "5"),
        ("escaped", "TRUE", True),
        ("with_more", "5", 5),
        ("unknown", "5", "5"),
    ],
)
def test_follows_references(key: str, text: str, value: Any) -> None:
    assert same(param_types(TREE).get(key, TEXT).value(text), value)


def test_references_that_double_cost_no_more_than_their_number() -> None:
    definitions: dict[str, Any] = {
        f"d{level}": {"anyOf": [{"$ref": f"#/$defs/d{level + 1}"}] * 2} for level in range(40)
    }
    definitions["d40"] = {"type": "integer"}
    schema = {"properties": {"key": {"$ref": "#/$defs/d0"}}, "$defs": definitions}
    assert param_types(schema)["key"].value("5.0") == 5


@pytest.mark.parametrize(
    "schema",
    [{}, {"properties": [1]}, {"properties": None}, {"$ref": "#/x"}, {"$ref": "#"}, {"anyOf": 3}],
)
def test_a_document_without_properties_has_no_types(schema: dict[str, Any]) -> None:
    assert param_types(schema) == {}


def test_properties_are_found_through_references_and_combinations() -> None:
    schema = {
        "$ref": "#/$defs/Args",
        "allOf": [{"properties": {"b": {"type": "boolean"}}}],
        "$defs": {"Args": {"properties": {"a": {"type": "integer"}}, "$ref": "#/$defs/Args"}},
    }
    types = param_types(schema)
    assert (types["a"].value("1.0"), types["b"].value("True")) == (1, True)


@pytest.mark.parametrize(
    "unit", ["[", "{'a':", "(", "-", "1+", "not ", "f(", "[0]", "'a' ", "lambda:"]
)
def test_deep_and_long_text_is_read_or_stays_text(unit: str) -> None:
    for text in ("[" + unit * 40_000, "[" + unit * 40_000 + "1]", "{" + unit * 40_000 + "}"):
        for name in ("array", "object"):
            found = kind({"type": name}).value(text)
            assert found == text or isinstance(found, list)


def test_depth_is_bounded_in_both_spellings() -> None:
    for depth, read in ((140, True), (160, False), (900, False)):
        for opening, closing in (("[", "]"), ('{"a":[', "]}"), ("{'a':[", "]}")):
            levels = depth // (1 if opening == "[" else 2)
            text = opening * levels + closing * levels
            name = "array" if opening == "[" else "object"
            found = kind({"type": name}).value(text)
            assert isinstance(found, str) is not read
            json.dumps(found)


def test_a_schema_too_deep_to_follow_reads_as_text() -> None:
    schema: dict[str, Any] = {"type": "integer"}
    for _ in range(sys.getrecursionlimit() * 2):
        schema = {"anyOf": [schema]}
    assert kind(schema).value("5") == "5"


@given(schemas_and_values())
@settings(max_examples=150, deadline=None)
def test_a_value_is_read_from_its_text(pair: tuple[dict[str, Any], Any]) -> None:
    schema, value = pair
    found = kind(schema)
    if isinstance(value, str):
        if same(found.value(value), value):
            return
        assert not found.text  # a joiner in front says that it is text
        assert found.value(JOINER + value) == JOINER + value
        return
    for written in (json.dumps(value), json.dumps(value, ensure_ascii=False), str(value)):
        assert same(found.value(written), value), written


@given(
    schemas_and_values(), texts(["null", "None", "true", "5", "-1.5e3", "{", "[", '"', "'", " "])
)
@settings(max_examples=150, deadline=None)
def test_what_is_certainly_text_stays_so(pair: tuple[dict[str, Any], Any], text: str) -> None:
    found = kind(pair[0])
    certain = False
    for end in range(len(text) + 1):
        now = not found.undecided(text[:end])
        assert now or not certain, "once certain, always certain"
        certain = now
        if certain:
            assert same(found.value(text[:end]), text[:end])


@pytest.mark.parametrize(
    ("schema", "prefix", "undecided"),
    [
        ({"type": "string"}, "", False),
        ({"type": "integer"}, "five", True),  # degrades at its end
        (NULLABLE, "", True),
        (NULLABLE, "nul", True),
        (NULLABLE, "nullable", False),
        (NULLABLE, "5", False),
        ({"type": ["string", "number"]}, "-12.5e", True),
        ({"type": ["string", "number"]}, "12 apples", False),
        ({"type": ["string", "array"]}, '["a", ', True),
        ({"type": ["string", "array"]}, "[tool", False),
        ({"type": ["string", "array"]}, "[t", True),
        ({"type": ["string", "object"]}, '{"a"', True),
        ({"type": ["string", "object"]}, "{% if", False),
        ({"type": ["string", "object"]}, "[", False),
        ({"type": ["string", "object"]}, "import re", False),
    ],
)
def test_says_when_a_text_is_certain(schema: Any, prefix: str, undecided: bool) -> None:
    assert kind(schema).undecided(prefix) is undecided


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=4),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    [
                        "type",
                        "anyOf",
                        "oneOf",
                        "allOf",
                        "enum",
                        "const",
                        "$ref",
                        "properties",
                        "nullable",
                        "items",
                        "$defs",
                        "pattern",
                    ]
                ),
                inner,
                max_size=4,
            )
        ),
    ),
    st.text(max_size=6),
)
@settings(max_examples=150, deadline=None)
def test_no_schema_and_no_text_raises(schema: Any, text: str) -> None:
    kind(schema).value(text)
    if isinstance(schema, dict):
        for found in param_types(schema).values():
            found.value(text)
