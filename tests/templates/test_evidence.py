"""What a mended call must show, and names and values that are odd but declared."""

from __future__ import annotations

import copy
import time
from typing import Any

import pytest

from regreen.templates import FORMATS, tool_format


def tool(name: str, *keys: str, required: bool = True) -> dict[str, Any]:
    schema = {
        "type": "object",
        "properties": {key: {"type": "string"} for key in keys},
        "required": list(keys) if required else [],
    }
    return {"type": "function", "function": {"name": name, "parameters": schema}}


EDIT, BASH = tool("edit", "path", "old", "new"), tool("bash", "command")
TAGS = ["qwen3_coder", "minimax_m2", "anthropic_xml", "glm46", "openhands_xml"]


def write(form: str, tools: list[dict[str, Any]], call: str, /, **arguments: Any) -> str:
    body = {"function": {"name": call, "arguments": arguments}}
    return tool_format(form).completion({"role": "assistant", "tool_calls": [body]}, tools)


def without(text: str, *marks: str) -> str:
    for mark in marks:
        text = text.replace(mark, "")
    return text


def test_a_mended_call_needs_what_its_tool_requires() -> None:
    text = without(write("qwen3_coder", [EDIT], "edit", path="a.py"), "</function>\n")
    read = tool_format("qwen3_coder").parse(text, [EDIT])
    assert not read.tool_calls
    assert read.incomplete[0].arguments == '{"path": "a.py"'
    assert "required" in read.incomplete[0].reason


def test_a_mended_call_at_the_end_of_a_cut_text_is_incomplete() -> None:
    text = without(write("qwen3_coder", [BASH], "bash", command="ls"), "</function>\n")
    form = tool_format("qwen3_coder")
    assert form.parse(text, [BASH]).tool_calls
    assert not form.parse(text, [BASH], truncated=True).tool_calls


@pytest.mark.parametrize("name", ["glm46", "xml_cline", "openhands_xml"])
def test_the_last_closing_tag_may_be_missing_when_the_model_ended_itself(name: str) -> None:
    whole = write(name, [BASH], "bash", command="ls")
    text = whole[: whole.rindex("<")]
    form = tool_format(name)
    assert form.parse(text, [BASH], truncated=False).tool_calls[0].arguments == {"command": "ls"}
    assert not form.parse(text, [BASH], truncated=True).tool_calls


@pytest.mark.parametrize("name", ["qwen3_coder", "minimax_m2"])
def test_an_undeclared_parameter_behind_a_value_of_several_lines_is_one(name: str) -> None:
    text = write(name, [BASH], "bash", command="ls\npwd", description="list")
    read = tool_format(name).parse(text, [BASH])
    assert read.tool_calls[0].arguments == {"command": "ls\npwd", "description": "list"}


@pytest.mark.parametrize("name", ["qwen3_coder", "minimax_m2"])
def test_of_a_parameter_given_twice_the_last_one_counts(name: str) -> None:
    text = write(name, [EDIT], "edit", path="a", old="x", new="y").replace("old", "path")
    read = tool_format(name).parse(text, [EDIT])
    assert read.tool_calls[0].arguments == {"path": "x", "new": "y"}
    assert "a parameter twice" in read.faults


@pytest.mark.parametrize("quote", ['"', "'"])
def test_quotes_around_names_are_taken_away(quote: str) -> None:
    text = write("qwen3_coder", [BASH], "bash", command="ls")
    text = text.replace("=bash", f"={quote}bash{quote}").replace(
        "=command", f"={quote}command{quote}"
    )
    assert tool_format("qwen3_coder").parse(text, [BASH]).tool_calls[0].arguments == {
        "command": "ls"
    }


ODD = [
    (tool("search", "search"), {"search": "x"}),
    (tool("view", "path", "view"), {"path": "p", "view": "q"}),
    (tool("run", "a", "arguments", "tool_name"), {"a": "x", "arguments": "-la", "tool_name": "y"}),
    (tool("invoke", "name", "arguments"), {"name": "bash", "arguments": "{}"}),
    (tool("f", "first name", "@type", "$ref", "0", "a>b"), {"first name": "1", "a>b": "2"}),
    (tool("f", "type", "", "日本"), {"type": "x", "": "e", "日本": "j"}),
]


@pytest.mark.parametrize("name", sorted(FORMATS))
@pytest.mark.parametrize(("declared", "arguments"), ODD)
def test_odd_names_that_are_declared_come_back(
    name: str, declared: dict[str, Any], arguments: dict[str, str]
) -> None:
    form = tool_format(name)
    text = write(name, [declared], declared["function"]["name"], **arguments)
    (call,) = form.parse(text + form.chat.stops[0], [declared]).tool_calls
    assert call.arguments == arguments
    parser = form.stream([declared])
    deltas = [delta for char in text for delta in parser.feed(char)] + parser.finish()
    assert [delta.text for delta in deltas if delta.kind == "call"] == [call.name]


def test_tools_that_a_caller_changes_later_are_not_anothers() -> None:
    mine = copy.deepcopy([BASH])
    form = tool_format("qwen3_coder")
    before = form.render([{"role": "user", "content": "x"}], mine)
    mine[0]["function"]["parameters"]["properties"]["command"]["type"] = "integer"
    assert form.render([{"role": "user", "content": "x"}], copy.deepcopy([BASH])) == before
    read = form.parse(write("qwen3_coder", [BASH], "bash", command="5"), copy.deepcopy([BASH]))
    assert read.tool_calls[0].arguments == {"command": "5"}


SHAPES = {
    "ticks": "`",
    "newlines in reasoning": "\n",
    "openers": "<tool_call>",
    "opened calls": "<tool_call>\n<function=unknown>\n<parameter=x>\n",
    "end marks": "<|im_end|>",
}


@pytest.mark.parametrize("name", ["qwen3_coder", "hermes"])
@pytest.mark.parametrize("shape", sorted(SHAPES))
def test_a_text_four_times_as_long_costs_no_square(name: str, shape: str) -> None:
    def cost(size: int) -> float:
        text = "<think>" * ("reasoning" in shape) + SHAPES[shape] * (size // len(SHAPES[shape]))
        best = 1e9
        for _ in range(3):
            parser = tool_format(name).stream([BASH])
            start = time.process_time()
            for at in range(0, len(text), 4):
                parser.feed(text[at : at + 4])
            parser.finish()
            best = min(best, time.process_time() - start)
        return best

    assert cost(24_000) < 10 * cost(6_000) + 0.01


def test_a_mark_that_reasoning_mentions_leaves_it_reasoning() -> None:
    read = tool_format("qwen3_coder").parse("<think>\nuse the <tool_call> tag", [BASH])
    assert (read.reasoning, read.content) == ("use the <tool_call> tag", "")


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_what_render_adds_behind_a_generation_prompt_is_read(name: str) -> None:
    form = tool_format(name)
    before = [{"role": "user", "content": "go"}]
    call = {
        "id": "c",
        "type": "function",
        "function": {"name": "bash", "arguments": {"command": "ls"}},
    }
    answer = {"role": "assistant", "content": "", "tool_calls": [call]}
    prompt = form.render(before, [BASH], add_generation_prompt=True)
    text = form.render([*before, answer], [BASH])
    assert text.startswith(prompt)
    assert [c.arguments for c in form.parse(text[len(prompt) :], [BASH]).tool_calls] == [
        {"command": "ls"}
    ]
