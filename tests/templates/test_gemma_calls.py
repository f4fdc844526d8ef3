"""Gemma's notation: round trips over hostile arguments, every split, and damage."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regreen.templates.formats.gemma4 import FORMAT
from regreen.templates.message import Delta, ParsedMessage, collect

HOSTILE = [
    '<|"|>',
    '<|"|>,b:1',
    '<\u2060|"|>',
    '<|"',
    "<",
    "}<tool_call|>",
    "<|tool_call>call:edit{path:1}<tool_call|>",
    "<turn|>",
    "<|tool_response>",
    "{",
    "]",
    ",",
    ":",
    '"',
    "'",
    "\\",
    "\n",
    "\u2060",
    "é",
    "<|channel>thought\n",
]
TEXTS = st.lists(
    st.one_of(st.sampled_from(HOSTILE), st.text(st.characters(exclude_categories=["Cs"]))),
    max_size=5,
).map("".join)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(-1e30, 1e30) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)
CALLS = st.lists(
    st.tuples(
        st.sampled_from(["edit", "ns.list-all"]),
        st.dictionaries(st.sampled_from(["path", "a b", " x", "", "é"]) | TEXTS, VALUES),
    ),
    max_size=3,
)
SCHEMA = {"type": "object", "properties": {"path": {"type": "string"}}}
TOOLS = [
    {"type": "function", "function": {"name": name, "parameters": SCHEMA}}
    for name in ("edit", "ns.list-all")
]
MODEST = settings(deadline=None, max_examples=100)


def message(text: str, calls: list[tuple[str, dict[str, Any]]]) -> dict[str, Any]:
    rows = [{"function": {"name": name, "arguments": given}} for name, given in calls]
    return {"role": "assistant", "content": text, "tool_calls": rows}


def said(found: ParsedMessage) -> tuple[str, list[tuple[str, dict[str, Any]]]]:
    assert found.incomplete == ()
    return found.content, [(call.name, call.arguments) for call in found.tool_calls]


def streamed(text: str, size: int) -> ParsedMessage:
    parser, deltas = FORMAT.stream(TOOLS), list[Delta]()
    for at in range(0, len(text), size):
        deltas += parser.feed(text[at : at + size])
    return collect([*deltas, *parser.finish()])


@MODEST
@given(CALLS)
def test_what_is_written_is_read(calls: Any) -> None:
    written = FORMAT.completion(message("hi", calls), TOOLS) + FORMAT.chat.stops[0]
    found = FORMAT.parse(written, TOOLS)
    assert said(found) == ("hi", calls)
    assert streamed(written, 1) == found
    assert streamed(written, 3) == found


@MODEST
@given(
    st.lists(st.sampled_from([*HOSTILE, "<|tool_call>", "call:", "edit{", "path:", "1", "[", " "]))
)
def test_garbage_is_read_the_same_at_every_split(pieces: list[str]) -> None:
    text = "".join(pieces)
    whole = FORMAT.parse(text, TOOLS)
    assert streamed(text, 1) == whole
    assert streamed(text, 5) == whole


@pytest.mark.parametrize(
    ("written", "arguments"),
    [
        ('edit{path:<|"|>a <|"|> b<|"|>}', {"path": 'a <|"|> b'}),
        ('edit{"path": "a\\n"}', {"path": "a\n"}),
        ("edit{path:plain text,n:True}", {"path": "plain text", "n": True}),
        ('edit{ path : <|"|>a<|"|> , l : [ 1 , 2 ] }', {"path": "a", "l": [1, 2]}),
        ("edit{}", {}),
    ],
)
def test_calls_are_mended(written: str, arguments: dict[str, Any]) -> None:
    for text in (f"<|tool_call>call:{written}<tool_call|>", f"<|tool_call>{written}"):
        found = FORMAT.parse(text, TOOLS)
        assert said(found) == ("", [("edit", arguments)])
        assert streamed(text, 1) == found


@pytest.mark.parametrize("text", ["the token <|tool_call> opens", "<|tool_call>", "call:edit{}"])
def test_prose_stays_text(text: str) -> None:
    assert said(FORMAT.parse(text, TOOLS)) == (text, [])
    assert streamed(text, 1) == FORMAT.parse(text, TOOLS)


def test_every_cut_of_a_call_is_incomplete_or_text() -> None:
    arguments = {"path": "a\nb", "n": 12, "l": [1, {"k": None}]}
    text = FORMAT.completion(message("", [("edit", arguments)]), TOOLS)
    for end in range(len(text)):
        found = FORMAT.parse(text[:end], TOOLS, truncated=True)
        assert found.tool_calls == () or found.tool_calls[0].arguments == arguments
        assert streamed(text[:end], 1) == FORMAT.parse(text[:end], TOOLS)


def test_text_streams_as_it_comes() -> None:
    parser = FORMAT.stream(TOOLS)
    deltas = parser.feed('<|tool_call>call:edit{path:<|"|>a')
    assert "".join(delta.text for delta in deltas[1:]) == '{"path": "a'
    assert [delta.text for delta in parser.feed("b\n")] == ["b\\n"]
