"""Messages as clients send them, and tools that are none: read, or refused with three lines."""

from __future__ import annotations

from typing import Any

import pytest

from regreen.core.errors import UsageError
from regreen.templates import FORMATS, tool_format
from regreen.templates.conversation import normalise
from regreen.templates.tools import tool_table

DEEP = '{"a": ' + "[" * 3000 + "]" * 3000 + "}"


@pytest.mark.parametrize(
    ("message", "words"),
    [
        (None, "no role"),
        ({"role": ["user"]}, "no role"),
        ({"role": "assistant", "tool_calls": "x"}, "no list"),
        ({"role": "assistant", "tool_calls": {"a": 1}}, "no list"),
        ({"role": "assistant", "tool_calls": [None]}, "names no function"),
        ({"role": "assistant", "tool_calls": [{"function": None}]}, "names no function"),
        ({"role": "assistant", "tool_calls": [{"function": {"name": 1}}]}, "names no function"),
        (
            {"role": "assistant", "tool_calls": [{"function": {"name": "a", "arguments": DEEP}}]},
            "no JSON object",
        ),
        (
            {"role": "assistant", "tool_calls": [{"function": {"name": "a", "arguments": [1]}}]},
            "no JSON object",
        ),
    ],
)
def test_a_message_that_cannot_be_read_is_refused(message: Any, words: str) -> None:
    with pytest.raises(UsageError, match=words) as refused:
        normalise([{"role": "user", "content": "a"}, message])
    assert "message 1" in refused.value.what
    assert refused.value.mend


def test_ids_are_text_and_name_the_tool_of_a_result() -> None:
    calls = [{"id": 7, "function": {"name": "run", "arguments": None}}]
    rows = normalise(
        [{"role": "assistant", "tool_calls": calls}, {"role": "tool", "tool_call_id": 7}]
    )

    assert rows[0].calls[0].id == rows[1].call_id == "7"
    assert rows[1].name == "run"


def test_parts_that_are_no_text_are_left_out() -> None:
    parts = ["a", {"type": "text", "text": "b"}, {"type": "image_url"}, None, {"text": 5}]

    assert normalise([{"role": "user", "content": parts}])[0].content == "ab"


@pytest.mark.parametrize(
    "odd",
    [
        "x",
        None,
        5,
        {"type": "function", "function": None},
        {"type": "function", "function": "x"},
        {"type": "namespace", "tools": "x"},
        {"type": ["function"], "name": "x"},
        {"name": ["x"]},
    ],
)
def test_what_declares_no_tool_is_skipped(odd: Any) -> None:
    good = {"type": "function", "function": {"name": "run", "description": 5, "parameters": "x"}}

    (tool,) = tool_table([odd, good]).tools
    assert (tool.name, tool.description, tool.parameters) == ("run", "", {})


@pytest.mark.parametrize("name", sorted(FORMATS))
@pytest.mark.parametrize(
    "odd",
    [
        {"properties": [], "required": 5},
        {"properties": {"a": {"description": ["x"]}}, "required": [None, ["a"], "a"]},
        {"properties": {"a": {"type": "array", "items": {"type": 5, "required": {}}}}},
        {"properties": {"a": {"items": {"properties": 1}}}, "required": True},
        {"properties": {"a": {"type": {}}, "b": None}, "description": 5},
    ],
)
def test_every_format_defines_and_calls_tools_of_odd_schemas(name: str, odd: Any) -> None:
    form, tools = tool_format(name), [{"name": "run", "parameters": odd}]
    call = {"function": {"name": "run", "arguments": {"a": "b"}}}
    messages = [{"role": "user", "content": "c"}, {"role": "assistant", "tool_calls": [call]}]

    text = form.render(messages, tools)
    assert form.parse(form.completion(messages[1], tools), tools).tool_calls[0].name == "run"
    assert "run" in text


def test_a_sound_schema_is_kept_as_it_is() -> None:
    schema = {"properties": {"description": {"type": "string"}, "required": {"type": "array"}}}

    (tool,) = tool_table([{"name": "run", "parameters": schema}]).tools
    assert tool.parameters == schema


@pytest.mark.parametrize("odd", ["x", 5, {"type": "function"}])
def test_what_is_no_list_of_tools_offers_none(odd: Any) -> None:
    assert tool_table(odd).tools == ()
