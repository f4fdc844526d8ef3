"""Blocks of code: calls as lines of it, code as a call, prose as text."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regreen.templates.formats.code_act import FORMAT
from regreen.templates.message import Delta, ParsedMessage, collect

HOSTILE = [
    "<code>\n",
    "\n</code>",
    "</code>",
    "</cod",
    "\n```\n",
    "'''",
    '"""',
    '"',
    "'",
    "\\",
    "\n",
    'search(query="x")',
    "python(code='1')",
    "final_answer(1)",
    "print(1)\n",
    "\u2060",
    "é",
    ")",
]
TEXTS = st.lists(
    st.one_of(st.sampled_from(HOSTILE), st.text(st.characters(exclude_categories=["Cs"]))),
    max_size=6,
).map("".join)


def tool(name: str, key: str, *more: str) -> dict[str, Any]:
    fields = {field: {"type": "string"} for field in (key, *more)}
    schema = {"type": "object", "properties": fields, "required": [key]}
    return {"type": "function", "function": {"name": name, "parameters": schema}}


SEARCH = tool("search", "query", "where")
RUN = tool("python", "code")
BOTH, ALONE = [SEARCH, RUN], [SEARCH]
CALLS = st.lists(
    st.one_of(
        st.tuples(st.just("search"), st.dictionaries(st.sampled_from(["query", "a b"]), TEXTS)),
        st.tuples(st.just("python"), st.dictionaries(st.just("code"), TEXTS, min_size=1)),
    ),
    max_size=3,
)
MODEST = settings(deadline=None, max_examples=120)


def message(text: str, calls: list[tuple[str, dict[str, Any]]]) -> dict[str, Any]:
    rows = [{"function": {"name": name, "arguments": given}} for name, given in calls]
    return {"role": "assistant", "content": text, "tool_calls": rows}


def said(found: ParsedMessage) -> tuple[str, list[tuple[str, dict[str, Any]]]]:
    assert found.incomplete == ()
    return found.content, [(call.name, call.arguments) for call in found.tool_calls]


def streamed(text: str, size: int, tools: Any) -> ParsedMessage:
    parser, deltas = FORMAT.stream(tools), list[Delta]()
    for at in range(0, len(text), size):
        deltas += parser.feed(text[at : at + size])
    return collect([*deltas, *parser.finish()])


@MODEST
@given(CALLS)
def test_what_is_written_is_read(calls: Any) -> None:
    written = FORMAT.completion(message("So:", calls), BOTH) + FORMAT.chat.stops[0]
    found = FORMAT.parse(written, BOTH)
    assert said(found) == ("So:", calls)
    assert streamed(written, 1, BOTH) == found
    assert streamed(written, 3, BOTH) == found


@MODEST
@given(st.lists(st.sampled_from([*HOSTILE, "search(", "query=", "1", " "])))
def test_garbage_is_read_the_same_at_every_split(pieces: list[str]) -> None:
    text = "".join(pieces)
    for tools in (BOTH, ALONE, None):
        whole = FORMAT.parse(text, tools)
        assert streamed(text, 1, tools) == whole
        assert streamed(text, 5, tools) == whole


def test_code_is_written_as_code() -> None:
    code = "for x in range(3):\n    print(x)"
    written = FORMAT.completion(message("", [("python", {"code": code})]), BOTH)
    assert written == f"<code>\n{code}\n</code>"
    assert "python(code=" in FORMAT.completion(message("", [("python", {"code": "</code>"})]), BOTH)


@pytest.mark.parametrize(
    ("text", "tools", "want"),
    [
        ("<code>\nsearch('x')\nsearch(query='y')\n</code>", ALONE, ["x", "y"]),
        ("<code>\nsearch('x')\nsearch(query='y')\n</code>", BOTH, ["x", "y"]),
        ("<code>  \nsearch('x')</code>", BOTH, ["x"]),
        ("<code>\nsearch('x')", ALONE, ["x"]),
    ],
)
def test_lines_of_calls_are_calls(text: str, tools: Any, want: list[str]) -> None:
    found = FORMAT.parse(text, tools)
    assert said(found) == ("", [("search", {"query": query}) for query in want])
    assert streamed(text, 1, tools) == found


@pytest.mark.parametrize("code", ["x = search('a')\nprint(x)", "search(x)", "search('a').b", ""])
def test_other_code_goes_to_the_tool_that_runs_code(code: str) -> None:
    text = f"Let me see.\n<code>\n{code}\n</code>\n"
    assert said(FORMAT.parse(text, BOTH)) == ("Let me see.", [("python", {"code": code})])
    assert streamed(text, 1, BOTH) == FORMAT.parse(text, BOTH)


@pytest.mark.parametrize(
    "text",
    [
        "Use <code>search('x')</code> here",
        "<code>x</code>",
        "<code>\nprint(1)\n</code>",
        "the tag <code>",
    ],
)
def test_without_such_a_tool_it_is_text(text: str) -> None:
    assert said(FORMAT.parse(text, ALONE)) == (text, [])
    assert streamed(text, 1, ALONE) == FORMAT.parse(text, ALONE)


def test_a_final_answer_is_text() -> None:
    text = '<code>\nfinal_answer("It\'s done\\n")\n</code>'
    for tools in (BOTH, ALONE):
        assert said(FORMAT.parse(text, tools)) == ("It's done\n", [])
        assert streamed(text, 1, tools) == FORMAT.parse(text, tools)


def test_code_without_its_end_is_incomplete() -> None:
    found = FORMAT.parse("<code>\nimport os\nos.remove('/tmp", BOTH)
    assert found.tool_calls == ()
    assert found.incomplete[0].arguments == '{"code": "import os\\nos.remove(\'/tmp'


def test_calls_stream_where_no_tool_runs_code() -> None:
    parser = FORMAT.stream(ALONE)
    deltas = parser.feed("<code>\nsearch(query='a")
    assert "".join(delta.text for delta in deltas[1:]) == '{"query": "a'
    assert [delta.text for delta in parser.feed("b")] == ["b"]
