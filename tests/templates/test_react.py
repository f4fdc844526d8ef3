"""Labelled lines: thoughts, actions, answers, and observations nobody made."""

from __future__ import annotations

import pytest
from tests.templates.text_formats import SEARCH, TOOLS, made, message, read

from regreen.templates.registry import tool_format

CALL = 'Action: search\nAction Input: {"query": "q"}'
MADE = [("search", {"query": "q"})]


def test_the_lines_of_a_conversation() -> None:
    rows = [
        {"role": "user", "content": "Go"},
        message("I look.", *MADE),
        {"role": "tool", "content": "5"},
        message("It is 5."),
    ]
    text = tool_format("react").render(rows, [SEARCH])
    assert f"assistant\nThought: I look.\n{CALL}<|im_end|>" in text
    assert "user\nObservation: 5<|im_end|>" in text
    assert "assistant\nFinal Answer: It is 5.<|im_end|>" in text


@pytest.mark.parametrize(
    ("text", "content"),
    [
        ("plain", "plain"),
        ("Final Answer: 42", "42"),
        ("Final Answer:\n42", "\n42"),
        ("Thought: I know.\nFinal Answer: 42", "I know.\n42"),
        ("Thought: no more", "no more"),
        ("Observation:", ""),
        ("The Action: label\nis a word", "The Action: label\nis a word"),
        ("Action: think\nhard", "Action: think\nhard"),
    ],
)
def test_a_completion_without_an_action_is_an_answer(text: str, content: str) -> None:
    parsed = read("react", text)
    assert parsed.content == content
    assert not parsed.tool_calls
    assert not parsed.incomplete


@pytest.mark.parametrize(
    "text",
    [
        CALL,
        f"Thought: x\n\n{CALL}\n",
        f"{CALL}\nObservation:",
        'Action: `search`\nAction Input:\n```json\n{"query": "q"}\n```',
        "Action: search\n\nAction Input: {'query': 'q',}",
        'Action: search\nAction Input: "{\\"query\\": \\"q\\"}"',
    ],
)
def test_an_action_is_a_call(text: str) -> None:
    assert made(read("react", text)) == MADE


def test_text_behind_an_action_is_content() -> None:
    parsed = read("react", f"{CALL}\nI wait.")
    assert made(parsed) == MADE
    assert parsed.content == "\nI wait."


def test_actions_behind_an_observation_of_its_own_are_text() -> None:
    behind = f"\nObservation: 5\n{CALL}"
    parsed = read("react", CALL + behind)
    assert made(parsed) == MADE
    assert parsed.content == behind
    assert parsed.faults


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('Action: search\nAction Input: {"query": "q', "the arguments are not whole"),
        ("Action: search\nAction Input: q", "the arguments are no JSON object"),
        ("Action: search\nAction Input:", "the arguments are no JSON object"),
    ],
)
def test_a_malformed_action_is_incomplete(text: str, reason: str) -> None:
    parsed = read("react", text)
    assert not parsed.tool_calls
    assert [call.reason for call in parsed.incomplete] == [reason]


def test_an_unknown_tool_is_called_once_its_arguments_are_whole() -> None:
    assert made(read("react", "Action: nope\nAction Input: {}")) == [("nope", {})]
    assert read("react", "Action: nope\nAction Input: {").incomplete == ()


def test_a_cut_at_the_very_end_is_no_call() -> None:
    assert not tool_format("react").parse(CALL, TOOLS, truncated=True).tool_calls


@pytest.mark.parametrize("text", ['"', '"{', '"{\\"command\\": 1', '"\\', '"\\u12'])
def test_quoted_arguments_that_are_cut_are_an_incomplete_call(text):
    parsed = tool_format("react").parse(f"Action: bash\nAction Input: {text}", None)
    assert not parsed.tool_calls
    assert parsed.incomplete
