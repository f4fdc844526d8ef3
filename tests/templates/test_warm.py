"""Rendering what was rendered before gives what rendering afresh gives."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regreen.templates import FORMATS, tool_format

TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "put",
            "parameters": {
                "type": "object",
                "properties": {"text": {"type": "string"}, "count": {"type": "number"}},
            },
        },
    }
]
values = st.sampled_from([1, True, 1.0, 0, False, None, "1", "true", "a\nb"])


@st.composite
def messages(draw: st.DrawFn) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    if draw(st.booleans()):
        rows.append({"role": "system", "content": draw(st.sampled_from("AB"))})
    for turn in range(draw(st.integers(1, 4))):
        rows.append({"role": "user", "content": draw(st.sampled_from(["do", "go"]))})
        calls = [
            {
                "id": f"call_{turn}_{number}",
                "type": "function",
                "function": {"name": "put", "arguments": {"count": draw(values), "text": "x"}},
            }
            for number in range(draw(st.integers(0, 2)))
        ]
        row: dict[str, Any] = {"role": "assistant", "content": "so", "tool_calls": calls}
        rows.append(row if calls else {"role": "assistant", "content": "done"})
        rows += [
            {"role": "tool", "tool_call_id": call["id"], "content": draw(st.sampled_from("xy"))}
            for call in calls
        ]
    return rows


@pytest.mark.parametrize("name", sorted(FORMATS))
@settings(max_examples=12, deadline=None)
@given(data=st.data())
def test_a_warm_rendering_is_a_fresh_one(name: str, data: st.DataObject) -> None:
    form = replace(tool_format(name))
    for _ in range(4):
        rows = data.draw(messages())
        for end in data.draw(st.lists(st.integers(0, len(rows)), max_size=3)):
            for generation in (False, True):
                warm = form.render(rows[:end], TOOLS, add_generation_prompt=generation)
                fresh = replace(form).render(rows[:end], TOOLS, add_generation_prompt=generation)
                assert warm == fresh


def test_a_message_changed_in_place_is_rendered_anew() -> None:
    form = replace(tool_format("qwen3_coder"))
    call = {"function": {"name": "put", "arguments": {"text": "old"}}}
    rows = [{"role": "assistant", "content": "", "tool_calls": [call]}, {"role": "user"}]
    assert "old" in form.render(rows, TOOLS)
    before = copy.deepcopy(rows)
    call["function"]["arguments"]["text"] = "new"
    assert "old" not in form.render(rows, TOOLS)
    assert "old" in form.render(before, TOOLS)


def test_numbers_that_are_equal_and_differ_as_text_are_told_apart() -> None:
    form = replace(tool_format("qwen3_coder"))
    texts = [
        form.render(
            [
                {
                    "role": "assistant",
                    "tool_calls": [{"function": {"name": "put", "arguments": {"count": value}}}],
                }
            ],
            TOOLS,
        )
        for value in (1, True, 1.0)
    ]
    assert len(set(texts)) == 3
