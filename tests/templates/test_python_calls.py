"""Python calls in a list: round trips over hostile arguments, every split, prose, and damage."""

from __future__ import annotations

import ast
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regreen.templates.calls.python_write import arguments, literal
from regreen.templates.format import ToolFormat
from regreen.templates.formats.llama4_pythonic import FORMAT as LLAMA4
from regreen.templates.formats.toolace import FORMAT as TOOLACE
from regreen.templates.message import Delta, ParsedMessage, collect


def tool(name: str, **properties: str) -> dict[str, Any]:
    fields = {key: {"type": kind} for key, kind in properties.items()}
    schema = {"type": "object", "properties": fields}
    return {"type": "function", "function": {"name": name, "parameters": schema}}


TOOLS = [
    tool("write_file", path="string", body="string", mode="integer", extra="object"),
    tool("_list.all"),
    tool("get-weather", city="string"),
]
HOSTILE = [
    "[write_file(path='a')]",
    "<|python_start|>[write_file(path='a')]<|python_end|>",
    "<|python_end|>",
    "<|eot|>",
    "```",
    "\n```\n",
    "'''",
    '"""',
    "'",
    '"',
    "\\",
    "\n",
    "\t",
    "\r",
    "\0",
    ")]",
    "), ",
    "[",
    "\u2060",
    "é",
    "\U0001f600",
    "\\N{BULLET}",
    "\\u00e9",
    "f(x)",
    "_list.all()",
]
TEXTS = st.lists(
    st.one_of(st.sampled_from(HOSTILE), st.text(st.characters(exclude_categories=["Cs"]))),
    max_size=5,
).map("".join)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(-1e9, 1e9) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=5,
)
KEYS = st.sampled_from(["path", "body", "mode", "class", "a b", "2x", "'"]) | TEXTS
CALLS = st.lists(
    st.tuples(
        st.sampled_from(["write_file", "_list.all", "get-weather"]),
        st.dictionaries(KEYS, VALUES, max_size=4),
    ),
    max_size=3,
)
FORMATS = pytest.mark.parametrize("form", [LLAMA4, TOOLACE], ids=lambda form: form.name)
MODEST = settings(deadline=None, max_examples=80)


def message(text: str, calls: list[tuple[str, dict[str, Any]]]) -> dict[str, Any]:
    rows = [{"function": {"name": name, "arguments": given}} for name, given in calls]
    return {"role": "assistant", "content": text, "tool_calls": rows}


def said(found: ParsedMessage) -> tuple[str, list[tuple[str, dict[str, Any]]]]:
    assert found.incomplete == ()
    return found.content, [(call.name, call.arguments) for call in found.tool_calls]


def streamed(form: ToolFormat, text: str, size: int, tools: Any = TOOLS) -> ParsedMessage:
    parser, deltas = form.stream(tools), list[Delta]()
    for at in range(0, len(text), size):
        deltas += parser.feed(text[at : at + size])
    return collect([*deltas, *parser.finish()])


@FORMATS
@MODEST
@given(TEXTS.filter(lambda text: "```" not in text), CALLS)
def test_what_is_written_is_read(form: ToolFormat, text: str, calls: Any) -> None:
    written = form.completion(message(text, calls), TOOLS)
    found = form.parse(written + form.chat.stops[0], TOOLS)
    assert said(found) == (text, calls)
    assert found.faults == ()
    for size in (1, 3):
        assert streamed(form, written + form.chat.stops[0], size) == found


@MODEST
@given(st.lists(st.sampled_from([*HOSTILE, "write_file(", "path=", "1", "(", "]", " "])))
def test_garbage_is_read_the_same_at_every_split(pieces: list[str]) -> None:
    text = "".join(pieces)
    for tools in (TOOLS, None):
        whole = LLAMA4.parse(text, tools)
        assert streamed(LLAMA4, text, 1, tools) == whole
        assert streamed(LLAMA4, text, 5, tools) == whole


@MODEST
@given(VALUES)
def test_literals_are_python(x: Any) -> None:
    for quote in ("'", '"'):
        written = literal(x, quote)
        # what Python reads, and so every parser that uses it
        assert ast.literal_eval(written.replace("\0", "\\0")) == x


def test_code_stays_readable() -> None:
    code = 'def f():\n\treturn "it\'s"\n'
    assert literal(code) == "'''" + code + "'''"
    assert literal("it's") == '"it\'s"'
    assert literal("'''\"\n'") == '"""\'\'\'\\"\n\'"""' or ast.literal_eval(literal("'''\"\n'"))
    assert arguments({"a": True, "b c": None}) == "a=True, **{'b c': None}"


@pytest.mark.parametrize(
    "text",
    [
        "- [ ] write_file\n- [x] done",
        "[1] and [2]",
        "[foo(x=1)]",
        "see [write_file(path='x')] now",
        "Call [write_file(path, body)] for this",
        "xs[write_file(1) + 2]",
        "[write_file](https://example.com/write_file(1))",
        "the list [write_file(path='it is",
        "```py\n[write_file(path='x')]\n```\n",
        "[write_file(path) or nothing]",
    ],
)
def test_prose_stays_text(text: str) -> None:
    found = LLAMA4.parse(text, TOOLS)
    assert said(found) == (text, [])
    assert streamed(LLAMA4, text, 1) == found


def test_prose_does_not_silence_the_stream() -> None:
    parser = LLAMA4.stream(TOOLS)
    said_so_far = ""
    for char in "as in [write_file(path='x of the text\nGo on. ":
        said_so_far += "".join(delta.text for delta in parser.feed(char))
    assert said_so_far.endswith("Go on. ")


@pytest.mark.parametrize(
    ("text", "calls"),
    [
        ("[write_file(path='x')]", [("write_file", {"path": "x"})]),
        ("[write_file('x', \"y\")]", [("write_file", {"path": "x", "body": "y"})]),
        ("[\n  write_file(\n    path='x',\n  ),\n]", [("write_file", {"path": "x"})]),
        ("<|python_start|>[foo(x=true)]<|python_end|>", [("foo", {"x": True})]),
        ("<|python_start|>_list.all()<|python_end|>", [("_list.all", {})]),
        ("[_list.all()", [("_list.all", {})]),
        (
            "[_list.all() get-weather(city='B')]",
            [("_list.all", {}), ("get-weather", {"city": "B"})],
        ),
        ("[get-weather(city=('a'\n 'b'))]", [("get-weather", {"city": "ab"})]),
        ("[get-weather(**{'city': 'B'})]", [("get-weather", {"city": "B"})]),
    ],
)
def test_calls_are_recovered(text: str, calls: Any) -> None:
    found = LLAMA4.parse(text, TOOLS)
    assert said(found) == ("", calls)
    assert streamed(LLAMA4, text, 1) == found


def test_a_list_behind_text_on_its_line_is_read() -> None:
    found = LLAMA4.parse("Let me look: [get-weather(city='B')]\nand wait", TOOLS)
    assert said(found) == ("Let me look: \nand wait", [("get-weather", {"city": "B"})])


def test_without_tools_a_list_that_ends_its_line_is_read() -> None:
    assert said(LLAMA4.parse("[f(a=1)]", None)) == ("", [("f", {"a": 1})])
    assert said(LLAMA4.parse("[f(a)]", None)) == ("[f(a)]", [])


@pytest.mark.parametrize(
    "text",
    [
        "[write_file(path='rm -rf /tmp",
        "[write_file(path='a', ",
        "[write_file(path=os.sep)]",
        "[write_file(path='a' + 'b')]",
        "[write_file(path='a').then()]",
        "[write_file(path='a'",
        "[write_file(path=[1, 2",
    ],
)
def test_a_call_that_is_not_whole_is_incomplete(text: str) -> None:
    found = LLAMA4.parse(text, TOOLS)
    assert found.tool_calls == ()
    assert [call.name for call in found.incomplete] == ["write_file"]
    assert streamed(LLAMA4, text, 1) == found


def test_every_cut_of_a_call_is_incomplete_or_text() -> None:
    text = LLAMA4.completion(message("hi", [("write_file", {"path": "a\nb", "mode": 3})]), TOOLS)
    for end in range(len(text)):
        assert LLAMA4.parse(text[:end], TOOLS, truncated=True).tool_calls == ()


def test_strings_stream_as_they_come() -> None:
    parser = LLAMA4.stream(TOOLS)
    deltas = parser.feed("[write_file(path='a")
    assert [delta.kind for delta in deltas][:1] == ["call"]
    assert "".join(delta.text for delta in deltas[1:]) == '{"path": "a'
    assert [delta.text for delta in parser.feed("bc")] == ["bc"]
    assert [delta.text for delta in parser.feed("\\n")] == ["\\n"]
