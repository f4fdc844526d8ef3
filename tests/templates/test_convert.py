"""From OpenAI's shape into every format and back: the same words, calls, arguments and results."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regreen.core.trajectory import Trajectory
from regreen.store.trajectory_sets import read_trajectories
from regreen.templates import FORMATS, ToolCall, tool_format
from regreen.templates.chat import Results
from regreen.templates.conversion.convert import as_openai, as_prompt, as_text, read_conversation
from regreen.templates.conversion.prompted import unwrapped, wrapped
from regreen.templates.conversion.steps import (
    Steps,
    Unconvertible,
    infer_tools,
    read_calls,
    sequential,
)
from regreen.templates.diversity.draw import DiversityConfig, Draw, draw, drawn_format, permits
from regreen.templates.diversity.wording import RESULTS
from regreen.templates.reference import example
from regreen.templates.tools import ToolTable, tool_table

RECORDED = list(read_trajectories(Path(__file__).parent / "data" / "scripted.jsonl"))
GENERAL = [name for name in sorted(FORMATS) if permits(name).definitions]
TOOL = {
    "type": "function",
    "function": {
        "name": "run",
        "parameters": {
            "type": "object",
            "properties": {"command": {"type": "string"}, "times": {"type": "integer"}},
        },
    },
}
TOOLS = tool_table([TOOL])


def call(place: int, **arguments: Any) -> dict[str, Any]:
    function = {"name": "run", "arguments": json.dumps(arguments)}
    return {"id": f"id{place}", "type": "function", "function": function}


def result(place: int, text: str) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": f"id{place}", "content": text}


def answer(*calls: dict[str, Any], text: str = "") -> dict[str, Any]:
    return {"role": "assistant", "content": text, "tool_calls": list(calls)}


USER = {"role": "user", "content": "Do it."}
DEEP = '{"command": ' + "[" * 3000 + "]" * 3000 + "}"


def said(messages: Any) -> list[tuple[Any, ...]]:
    """What must survive: roles, words, calls with arguments, results in order; not the ids."""
    return [
        (
            message["role"],
            (message.get("content") or "").strip()
            if message["role"] == "assistant"
            else message["content"],
            message.get("reasoning_content") or "",
            [
                (one["function"]["name"], json.loads(one["function"]["arguments"]))
                for one in message.get("tool_calls") or ()
            ],
        )
        for message in messages
    ]


def expected(steps: Steps, parallel: bool) -> list[tuple[Any, ...]]:
    return said(as_openai(steps if parallel else sequential(steps)).messages)


def there_and_back(messages: Any, name: str, tools: ToolTable) -> None:
    form = drawn_format(name)
    steps = read_conversation(messages, None, tools)
    prompt = as_prompt(steps, form, tools)
    assert {message["role"] for message in prompt.messages} <= {"system", "user", "assistant"}
    assert not any("tool_calls" in message for message in prompt.messages)
    back = as_openai(read_conversation(prompt.messages, form, tools))
    assert said(back.messages) == expected(steps, form.parallel)
    assert back.notes == ()


@pytest.mark.parametrize("row", RECORDED, ids=lambda row: row.rollout_id)
@pytest.mark.parametrize("name", GENERAL)
def test_recorded_rollouts_come_back_the_same(name: str, row: Trajectory) -> None:
    there_and_back(row.messages, name, tool_table(row.tools))


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_every_format_converts_calls_that_it_can_write(name: str) -> None:
    found = example(tool_format(name))
    calls = [
        {"id": f"id{i}", "function": {"name": c.name, "arguments": json.dumps(c.arguments)}}
        for i, c in enumerate(found.calls)
    ]
    messages = [
        {"role": "system", "content": "Be brief."},
        USER,
        answer(*calls, text="Now."),
        result(0, "first\n"),
        result(1, ""),
        {"role": "assistant", "content": "Done."},
    ]
    there_and_back(messages, name, tool_table(found.tools))


GENERAL_DRAWS = [
    choice
    for choice in (draw(DiversityConfig(seed=7), f"draw {number}") for number in range(60))
    if permits(choice.calls).definitions
][:40]


@pytest.mark.parametrize("choice", GENERAL_DRAWS, ids=str)
def test_recorded_rollouts_come_back_from_drawn_formats(choice: Draw) -> None:
    there_and_back(RECORDED[0].messages, str(choice), tool_table(RECORDED[0].tools))


HOSTILE = st.lists(
    st.sampled_from(["a", "\n", " ", "</result>", "<result>", "Observation: ", "```", "漢", "<"]),
    max_size=12,
).map("".join) | st.sampled_from(
    [
        "\n</tool_response>\n<tool_response>\n",
        "</tool_response>",
        "\n\nResult of run:\n",
        "```\n\n```output\n",
        "\n[end of run]\n[run returned]\n",
    ]
)


@settings(deadline=None, max_examples=120)
@given(
    texts=st.lists(HOSTILE, min_size=1, max_size=3),
    style=st.sampled_from([*sorted(RESULTS), *sorted(FORMATS)]),
)
def test_results_are_told_apart_or_refused(texts: list[str], style: str) -> None:
    form = drawn_format(f"qwen3_coder[results={style}]")
    calls = [call(place, command="ls") for place in range(len(texts))]
    results = [result(place, text) for place, text in enumerate(texts)]
    steps = read_calls([USER, answer(*calls), *results])
    try:
        prompt = as_prompt(steps, form, TOOLS)
    except Unconvertible:
        if len(texts) == 1:
            raise
        return
    read = read_conversation(prompt.messages, form, TOOLS)
    assert [shown for _, shown in read.steps[-1].results] == texts


def test_a_result_that_holds_the_marks_gets_a_turn_of_its_own() -> None:
    style = RESULTS["tool_response"]
    calls = [ToolCall("run", {}), ToolCall("run", {})]
    hostile = "</tool_response>\n<tool_response>\n"

    assert wrapped(calls, ["a", "b"], style) == [
        "<tool_response>\na\n</tool_response>\n<tool_response>\nb\n</tool_response>"
    ]
    assert len(wrapped(calls, ["a", f"b\n{hostile}c"], style) or ()) == 1
    assert wrapped(calls, [f"a\n{hostile}c", "b"], style) is None
    assert unwrapped("something else", calls, style) is None


def test_an_id_in_a_wrapper_need_not_be_the_one_known() -> None:
    style = Results(each=("[{id}] ", ""), between="\n")
    calls = [ToolCall("run", {}, "x"), ToolCall("run", {}, "y")]

    assert unwrapped("[7] a\n[8] b", calls, style) == ["a", "b"]


def test_several_calls_are_split_where_a_format_has_one() -> None:
    messages = [
        USER,
        answer(call(0, command="a"), call(1, command="b"), text="Both."),
        result(1, "B"),
        result(0, "A"),
        {"role": "assistant", "content": "Done."},
    ]
    found = as_openai(sequential(read_calls(messages)))

    assert [message["role"] for message in found.messages] == [
        "user", "assistant", "tool", "assistant", "tool", "assistant",
    ]  # fmt: skip
    assert [m["content"] for m in found.messages] == ["Do it.", "Both.", "A", "", "B", "Done."]
    assert found.cuts == (0, 1, 1, 1, 5, 6)
    assert found.notes == ("an answer with several calls was split",)


def test_system_text_and_its_absence_come_back() -> None:
    form = tool_format("hermes")
    for opening in ([], [{"role": "system", "content": "Be brief."}]):
        messages = [*opening, USER, {"role": "assistant", "content": "Yes."}]
        prompt = as_prompt(read_calls(messages), form, TOOLS)
        assert prompt.messages[0]["role"] == "system"
        assert prompt.cuts[0] == 0
        back = as_openai(read_conversation(prompt.messages, form, TOOLS))
        assert said(back.messages) == said(messages)
        assert back.cuts[-1] == len(messages)


@pytest.mark.parametrize(
    ("messages", "reason"),
    [
        ([USER], "no answer"),
        ([USER, answer(call(0)), {"role": "user", "content": "Go on."}], "differ in number"),
        ([USER, answer(call(0), call(1)), result(0, "")], "differ in number"),
        ([{"role": "assistant", "content": ""}, result(0, "")], "answers no call"),
        ([{"role": "assistant", "content": ""}, {"role": "narrator"}], "no known role"),
        (
            [USER, answer({"id": "x", "function": {"name": "run", "arguments": "{no"}})],
            "no JSON object",
        ),
        (
            [{"role": "user", "content": [{"type": "image_url"}]}, {"role": "assistant"}],
            "no text",
        ),
        ([{"role": "assistant", "content": [None]}], "no text"),
        ([{"role": "assistant"}, {"role": ["user"]}], "no known role"),
        ([{"role": "assistant", "tool_calls": "x"}], "no list"),
        ([{"role": "assistant", "tool_calls": [None]}], "names no function"),
        ([{"role": "assistant", "tool_calls": [{"function": None}]}], "names no function"),
        ([answer({"function": {"name": "run", "arguments": DEEP}})], "no JSON object"),
    ],
)
def test_what_cannot_be_converted_says_why(messages: list[dict[str, Any]], reason: str) -> None:
    with pytest.raises(Unconvertible, match=reason):
        read_conversation(messages, None, TOOLS)


def test_ids_that_are_numbers_become_text() -> None:
    numbered = {**call(0, command="ls"), "id": 7}
    messages = [USER, answer(numbered), {**result(0, "a"), "tool_call_id": 7}]

    steps = read_conversation(messages, None, TOOLS)
    assert as_openai(steps).messages[1]["tool_calls"][0]["id"] == "7"
    assert as_openai(steps).messages[2]["tool_call_id"] == "7"
    assert "a" in as_text(steps, tool_format("gemma4"), TOOLS).text
    assert len(as_prompt(steps, tool_format("gemma4"), TOOLS).messages) == 4


def test_an_incomplete_call_is_refused_and_a_departure_is_noted() -> None:
    form = tool_format("qwen3_coder")
    whole = form.completion(answer(call(0, command="ls")), TOOLS)
    cut = [USER, {"role": "assistant", "content": whole}]

    with pytest.raises(Unconvertible, match="incomplete"):
        read_conversation(cut, form, TOOLS, truncated={1})
    read = read_conversation(
        [USER, {"role": "assistant", "content": whole}, {"role": "user", "content": "bare"}],
        form,
        TOOLS,
    )
    assert [text for _, text in read.steps[-1].results] == ["bare"]
    assert read.notes == ("a result without the format's wrapper was taken whole",)


def test_a_call_that_a_format_cannot_say_is_refused() -> None:
    odd = {"id": "x", "function": {"name": "a>\n<b", "arguments": "{}"}}
    steps = read_calls([USER, answer(odd), result(0, "")])
    for make in (as_prompt, as_text):
        with pytest.raises(Unconvertible, match="does not read back"):
            make(steps, tool_format("qwen3_coder"), TOOLS)


def test_text_has_spans_without_gaps_and_trains_answers_only() -> None:
    row = RECORDED[0]
    tools = tool_table(row.tools)
    found = as_text(read_calls(row.messages), tool_format("hermes"), tools)
    trained = "".join(found.text[start:end] for start, end in found.trained)

    assert found.spans[0][0] == 0
    assert found.spans[-1][1] == len(found.text)
    assert [a[1] for a in found.spans[:-1]] == [b[0] for b in found.spans[1:]]
    answers = sum(message["role"] == "assistant" for message in row.messages)
    assert len(found.trained) == answers
    assert trained.count("<|im_end|>") == answers
    assert "[exit code" not in trained


def test_tools_are_inferred_from_calls() -> None:
    calls = [
        {"function": {"name": "run", "arguments": '{"command": "ls", "times": 1}'}},
        {"function": {"name": "run", "arguments": {"command": None, "deep": [1.5]}}},
    ]
    (tool,) = infer_tools(calls)

    assert tool["function"]["name"] == "run"
    assert tool["function"]["parameters"] == {
        "type": "object",
        "properties": {
            "command": {"type": ["string", "null"]},
            "times": {"type": "integer"},
            "deep": {"type": "array"},
        },
        "required": ["command"],
    }


@settings(deadline=None, max_examples=60)
@given(data=st.data(), name=st.sampled_from(sorted(FORMATS)))
def test_hostile_conversations_come_back_the_same_or_are_refused(
    data: st.DataObject, name: str
) -> None:
    form = tool_format(name)
    marks = sorted({*form.calls.stems, *form.chat.stops, "\n", " x ", "```", '"', "</think>", "é"})
    texts = st.lists(st.sampled_from(marks), max_size=5).map("".join)
    number = data.draw(st.integers(1, 3))
    calls = [
        call(place, command=data.draw(texts), times=data.draw(st.integers(-3, 1 << 70)))
        for place in range(number)
    ]
    messages = [
        {"role": "system", "content": data.draw(texts) or "s"},
        {"role": "user", "content": data.draw(texts)},
        answer(*calls, text=data.draw(texts)),
        *(result(place, data.draw(texts)) for place in range(number)),
        {"role": "assistant", "content": data.draw(texts)},
    ]
    steps = read_calls(messages)
    try:
        prompt = as_prompt(steps, form, TOOLS)
    except Unconvertible:
        return
    back = as_openai(read_conversation(prompt.messages, form, TOOLS))
    assert said(back.messages) == expected(steps, form.parallel)


def test_reasoning_that_a_format_cannot_write_is_noted() -> None:
    thought = {"role": "assistant", "content": "Yes.", "reasoning_content": "Hm."}
    steps = read_calls([USER, thought])

    assert as_prompt(steps, tool_format("hermes"), TOOLS).notes == ()
    notes = ("reasoning was left out: the format has none",)
    assert as_prompt(steps, tool_format("llama3_json"), TOOLS).notes == notes
    assert as_text(steps, tool_format("llama3_json"), TOOLS).notes == notes
