"""Calls in JSON: what is well-formed, what is mended, what is given up, and what stays text."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.templates.strategies import tool

from regreen.templates import ParsedMessage, tool_format
from regreen.templates.message import Delta, collect

TOOLS = [
    tool("bash", {"command": {"type": "string"}}),
    tool("edit", {"path": {"type": "string"}, "content": {"type": "string"}}),
]
FAMILY = [
    "deepseekr1",
    "deepseekv3",
    "deepseekv31",
    "hermes",
    "kimik2",
    "llama3_json",
    "minimax_m1",
    "mistral3",
    "qwen25_coder",
    "xlam_qwen",
]
CALL = '{"name": "bash", "arguments": {"command": "ls"}}'
LS = [("bash", {"command": "ls"})]


def read(name: str, text: str, *, tools: Any = TOOLS, truncated: bool = False) -> ParsedMessage:
    """A text, parsed; its stream of single characters must say the same."""
    form = tool_format(name)
    found = form.parse(text, tools, truncated=truncated)
    parser = form.stream(tools)
    deltas: list[Delta] = []
    for char in text:
        deltas += parser.feed(char)
    assert collect([*deltas, *parser.finish(truncated=truncated)]) == found
    return found


def calls(found: ParsedMessage) -> list[tuple[str, dict[str, Any]]]:
    return [(call.name, call.arguments) for call in found.tool_calls]


def message(*arguments: dict[str, Any], text: str = "") -> dict[str, Any]:
    rows = [{"function": {"name": "bash", "arguments": one}} for one in arguments]
    return {"role": "assistant", "content": text, "tool_calls": rows}


# -- well-formed --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FAMILY)
def test_well_formed_calls_are_read_without_a_fault(name: str) -> None:
    form = tool_format(name)
    first, second = {"command": 'echo "</tool_call>"\n```\n}'}, {"a": [1, {"name": "edit"}]}
    text = form.completion(message(first, second, text="Look."), TOOLS)
    found = read(name, text + form.chat.stops[0])
    assert calls(found) == [("bash", first), ("bash", second)]
    assert (found.content, found.faults, found.incomplete) == ("Look.", (), ())


@pytest.mark.parametrize("name", FAMILY)
def test_a_string_is_given_out_as_it_comes(name: str) -> None:
    form = tool_format(name)
    text = form.completion(message({"command": "x" * 1000}), TOOLS)
    parser = form.stream(TOOLS)
    begin = text.index("xxx")
    deltas = parser.feed(text[:begin])
    assert [delta.kind for delta in deltas if delta.kind == "call"] == ["call"]
    given = "".join(d.text for d in parser.feed(text[begin : begin + 500]) if d.kind == "arguments")
    assert given.count("x") == 500


@pytest.mark.parametrize("name", FAMILY)
def test_a_cut_call_is_incomplete_wherever_it_is_cut(name: str) -> None:
    form = tool_format(name)
    text = form.completion(message({"command": "rm -rf /tmp/x"}), TOOLS)
    for cut in range(text.index("command") + 9, len(text)):
        found = read(name, text[:cut], truncated=True)
        assert not found.tool_calls or calls(found) == [("bash", {"command": "rm -rf /tmp/x"})]
        assert len(found.tool_calls) + len(found.incomplete) == 1
        if cut <= text.index("/x"):
            assert found.incomplete[0].name == "bash"
            assert found.content == ""


@pytest.mark.parametrize("name", FAMILY)
def test_a_call_of_an_unknown_tool_is_read_only_when_it_is_whole(name: str) -> None:
    form = tool_format(name)
    text = form.completion(message({"command": "ls"}), TOOLS).replace("bash", "other")
    bare = form.calls.stems[0] == "{" or name in {"llama3_json", "xlam_qwen"}
    assert calls(read(name, text)) == ([] if bare else [("other", {"command": "ls"})])
    cut = text[: text.index("ls")]
    found = read(name, cut)
    assert (found.content, found.tool_calls, found.incomplete) == (cut, (), ())


@pytest.mark.parametrize("name", FAMILY)
def test_without_tools_any_name_is_read(name: str) -> None:
    text = tool_format(name).completion(message({"command": "ls"}), TOOLS)
    assert calls(read(name, text, tools=None)) == LS


@pytest.mark.parametrize("name", FAMILY)
def test_prose_about_the_marks_is_text(name: str) -> None:
    form = tool_format(name)
    for mark in form.calls.stems:
        text = f"Write {mark} in front, then go on as usual.\n{mark}\nLike this: {mark} and so on."
        found = read(name, text)
        assert (found.content, found.tool_calls, found.incomplete) == (text, (), ())


# -- mended -------------------------------------------------------------------------------------

MENDED = {
    "single quotes": (
        "<tool_call>\n{'name': 'bash', 'arguments': {'command': 'ls'}}\n</tool_call>",
        LS,
    ),
    "raw newline": (
        '<tool_call>\n{"name": "bash", "arguments": {"command": "a\nb"}}\n</tool_call>',
        [("bash", {"command": "a\nb"})],
    ),
    "Python's words and a comma too many": (
        '<tool_call>\n{"name": "bash", "arguments": {"a": True, "b": None,}}\n</tool_call>',
        [("bash", {"a": True, "b": None})],
    ),
    "arguments as a string": (
        '<tool_call>\n{"name": "bash", "arguments": "{\\"command\\": \\"ls\\"}"}\n</tool_call>',
        LS,
    ),
    "no opening": (f"{CALL}\n</tool_call>", LS),
    "no opening behind text": (f"Look:\n{CALL}\n</tool_call>", LS),
    "no closing before another": (
        f"<tool_call>\n{CALL}\n<tool_call>\n{CALL}\n</tool_call>",
        LS * 2,
    ),
    "closing twice": (f"<tool_call>\n{CALL}\n</tool_call>\n</tool_call>", LS),
    "a brace too few": (f"<tool_call>\n{CALL[:-1]}\n</tool_call>", LS),
    "a brace too many": (f"<tool_call>\n{CALL}}}\n</tool_call>", LS),
    "inside reasoning": (f"<think>\nHm.\n<tool_call>\n{CALL}\n</tool_call>", LS),
}


@pytest.mark.parametrize("case", MENDED)
def test_what_is_clear_is_mended_and_reported(case: str) -> None:
    text, want = MENDED[case]
    found = read("hermes", text)
    assert calls(found) == want
    assert found.faults
    assert "{" not in found.content
    assert "<" not in found.content


ACCEPTED = {
    "no closing at the end": (f"<tool_call>\n{CALL}", LS),
    "one line": (f"<tool_call>{CALL}</tool_call>", LS),
    "an array": (f"<tool_call>\n[{CALL}, {CALL}]\n</tool_call>", LS * 2),
    "lines": (f"<tool_call>\n{CALL}\n{CALL}\n</tool_call>", LS * 2),
    "arguments first": (
        '<tool_call>\n{"arguments": {"command": "ls", "name": "edit"}, "name": "bash"}\n'
        "</tool_call>",
        [("bash", {"command": "ls", "name": "edit"})],
    ),
    "other keys": (
        '<tool_call>\n{"type": "function", "id": {"a": 1}, "name": "bash", "parameters": '
        '{"command": "ls"}, "more": [1, 2]}\n</tool_call>',
        LS,
    ),
    "null": ('<tool_call>\n{"name": "bash", "arguments": null}\n</tool_call>', [("bash", {})]),
    "no arguments": ('<tool_call>\n{"name": "bash"}\n</tool_call>', [("bash", {})]),
    "an empty object": (
        '<tool_call>\n{"name": "bash", "arguments": {}}\n</tool_call>',
        [("bash", {})],
    ),
    "behind a call": (
        f"<tool_call>\n{CALL}\n</tool_call>\n\n<tool_call>{CALL}</tool_call>",
        LS * 2,
    ),
}


@pytest.mark.parametrize("case", ACCEPTED)
def test_other_ways_to_write_a_call(case: str) -> None:
    text, want = ACCEPTED[case]
    found = read("hermes", text)
    assert (calls(found), found.content, found.incomplete) == (want, "", ())


def test_text_behind_a_call_stays() -> None:
    found = read("hermes", f"Look.\n<tool_call>\n{CALL}\n</tool_call>\nDone, {{x}}.")
    assert (calls(found), found.content) == (LS, "Look.\nDone, {x}.")


# -- given up -----------------------------------------------------------------------------------

GIVEN_UP = {
    "arguments are a list": '<tool_call>\n{"name": "bash", "arguments": [1]}\n</tool_call>',
    "arguments are text": '<tool_call>\n{"name": "bash", "arguments": "ls"}\n</tool_call>',
    "quotes inside a string": (
        '<tool_call>\n{"name": "bash", "arguments": {"command": "echo "hi" x"}}\n</tool_call>'
    ),
    "text in place of the closing": f"<tool_call>\n{CALL}\nI am done.",
    "cut in the object": '<tool_call>\n{"name": "bash", "arguments": {"command": "ls"}',
    "cut behind the name": '<tool_call>\n{"name": "bash", "argum',
}


@pytest.mark.parametrize("case", GIVEN_UP)
def test_what_is_not_clear_is_incomplete(case: str) -> None:
    found = read("hermes", GIVEN_UP[case])
    assert found.tool_calls == ()
    (call,) = found.incomplete
    assert call.name == "bash"
    assert call.reason
    assert "{" not in found.content


@pytest.mark.parametrize(
    "broken",
    [
        GIVEN_UP["quotes inside a string"],
        '<tool_call>\n{"name": "bash", <what> "arguments": {}}\n</tool_call>',
        '<tool_call>\n{"name": "bash", "arguments": {"a": <what>}}\n</tool_call>',
        '<tool_call>\n{"name": "bash", "arguments": {}, "x": <what>}\n</tool_call>',
    ],
)
def test_a_call_is_read_behind_one_given_up(broken: str) -> None:
    found = read("hermes", f"{broken}\n<tool_call>\n{CALL}\n</tool_call>")
    assert (calls(found), len(found.incomplete), found.content) == (LS, 1, "")


# -- text ---------------------------------------------------------------------------------------

ANSWERS = [
    '{"result": [1, 2], "name": "bash"}',
    '{"name": "other", "parameters": {"command": "ls"}}',
    '{"name": "bash"}',
    'The call {"name": "bash", "parameters": {"command": "ls"}} would do.',
    '```json\n{"name": "other", "parameters": {}}\n```\nSo.',
    "[1, 2, 3]\n[x] done\n{ not json",
    'f() {\n  "use strict"\n}',
]


@pytest.mark.parametrize("name", ["llama3_json", "xlam_qwen", "hermes", "qwen25_coder"])
@pytest.mark.parametrize("text", ANSWERS)
def test_json_that_is_no_call_is_the_answer(name: str, text: str) -> None:
    found = read(name, text)
    assert (found.content, found.tool_calls, found.incomplete) == (text, (), ())


def test_a_call_in_a_closed_fence_is_an_example() -> None:
    text = f"So:\n```\n{CALL}\n```\nand\n```\n<tool_call>\n{CALL}\n</tool_call>\n```\n"
    for name in ("llama3_json", "hermes"):
        found = read(name, text)
        assert (found.content, found.tool_calls) == (text, ())


# -- single formats -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        f"<tools>\n{CALL}\n</tools>",
        f"```json\n{CALL}\n```",
        f"Look:\n```json\n{CALL}\n```\n",
    ],
)
def test_qwen25_coder_answers_in_other_marks(text: str) -> None:
    assert calls(read("qwen25_coder", text)) == LS


@pytest.mark.parametrize(
    "text",
    [
        f"[{CALL}]",
        f"```json\n[{CALL}]\n```",
        f"<tool_call>[{CALL}]</tool_call>",
        f"[TOOL_CALLS] [{CALL}]",
        f"<think>\nHm.\n</think>\n\n[{CALL}]",
        CALL,
    ],
)
def test_xlam_opens_calls_in_many_ways(text: str) -> None:
    found = read("xlam_qwen", text)
    assert (calls(found), found.content) == (LS, "")


def test_llama_separates_calls_by_semicolons_and_may_mark_them() -> None:
    one = '{"name": "bash", "parameters": {"command": "ls"}}'
    assert calls(read("llama3_json", f"<|python_tag|>{one}; {one}<|eom_id|>")) == LS * 2


def test_kimi_counts_calls_through_the_conversation() -> None:
    form = tool_format("kimik2")
    user = {"role": "user", "content": "Go."}
    answer = {"role": "tool", "tool_call_id": "c1", "content": "ok"}
    first = message({"command": "a"}, {"command": "b"})
    first["tool_calls"][0]["id"], first["tool_calls"][1]["id"] = "c0", "c1"
    own = message({"command": "c"})
    own["tool_calls"][0]["id"] = "functions.bash:7"
    text = form.render(
        [user, first, answer, message({}), own, {**answer, "tool_call_id": ""}], None
    )
    found = [text.index(f"functions.bash:{place}<") for place in (0, 1, 2, 7)]
    assert found == sorted(found)
    assert "<|im_system|>bash<|im_middle|>## Return of functions.bash:1\nok<|im_end|>" in text
    assert "## Return of functions.bash:7\nok" in text


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("functions.bash:3", "bash"),
        ("bash:3", "bash"),
        ("bash", "bash"),
        ("functions.a.b:1", "a.b"),
    ],
)
def test_kimi_reads_ids_in_every_form(written: str, name: str) -> None:
    text = f"<|tool_call_begin|>{written}<|tool_call_argument_begin|>{{}}<|tool_call_end|>"
    (call,) = read("kimik2", text, tools=None).tool_calls
    assert (call.name, call.id, call.arguments) == (name, written, {})


@pytest.mark.parametrize(
    "text",
    [
        '[TOOL_CALLS]bash[ARGS]{"command": "ls"}</s>',
        '[TOOL_CALLS]bash[CALL_ID]abcdef123[ARGS]{"command": "ls"}',
        f"[TOOL_CALLS] [{CALL}]",
    ],
)
def test_mistral_reads_its_older_versions(text: str) -> None:
    assert calls(read("mistral3", text)) == LS


@pytest.mark.parametrize(
    "text",
    [
        '<｜tool▁call▁begin｜>function<｜tool▁sep｜>bash\n```json\n{"command": "ls"}\n```'
        "<｜tool▁call▁end｜>",
        '<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>bash\n{"command": "ls"}<｜tool▁call▁end｜>',
    ],
)
def test_deepseek_may_leave_out_what_says_nothing(text: str) -> None:
    found = read("deepseekv3", text)
    assert (calls(found), found.content) == (LS, "")


def test_arguments_survive_every_number_and_character() -> None:
    arguments = {"n": 10**40, "x": 1e-300, "s": "\x00\x7f\u2028\U0001f600\\u0041", "o": {"": [[]]}}
    for name in FAMILY:
        text = tool_format(name).completion(message(arguments), TOOLS)
        assert json.dumps(read(name, text).tool_calls[0].arguments) == json.dumps(arguments)
