"""Agents whose model is asked in a format's own text, over a real socket and in a real box."""

from __future__ import annotations

from typing import Any

import pytest

from regreen.agents.tools import BASH, SUBMIT
from regreen.inference import Reply, say
from regreen.templates import FORMATS, tool_format

TOOLS = [BASH.schema(), SUBMIT.schema()]
FIX = "sed -i 's/a - b/a + b/' calc.py && cat calc.py # </parameter> ``` ]"


def answer(name: str, tool: str, **arguments: Any) -> str:
    call = {"id": "x", "type": "function", "function": {"name": tool, "arguments": arguments}}
    message = {"role": "assistant", "content": "So:", "tool_calls": [call]}
    return tool_format(name).completion(message, TOOLS)


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_an_agent_works_in_every_format(run_agent, name):
    seen: list[list[dict[str, Any]]] = []

    def script(messages: list[dict[str, Any]]) -> Reply:
        seen.append(messages)
        turn = sum(message["role"] == "assistant" for message in messages)
        steps = [answer(name, "bash", command=FIX), answer(name, "submit", message="done")]
        return say(steps[turn])

    acted = run_agent("mini", script, tool_format=name)
    assert acted.status == "submitted"
    assert "a + b" in acted.files["calc.py"]
    assert "return a + b" in acted.observations[0]
    first, second = seen
    assert second[: len(first)] == first
    assert second[len(first)]["content"] == answer(name, "bash", command=FIX)
    assert acted.observations[0].strip() in second[-1]["content"]
    assert {message["role"] for message in second} == {"system", "user", "assistant"}


def test_an_answer_without_a_call_gets_a_reminder(run_agent):
    replies = [say("I think."), say(answer("qwen3_coder", "submit"))]
    acted = run_agent("mini", replies, tool_format="qwen3_coder")
    assert acted.status == "submitted"
    assert any("called no tool" in str(message["content"]) for message in acted.log.messages)


def test_a_cut_answer_is_not_carried_out(run_agent):
    cut = answer("qwen3_coder", "bash", command="rm calc.py")[:-14]
    replies = [
        Reply(content=cut, finish_reason="length"),
        say(answer("qwen3_coder", "submit")),
    ]
    acted = run_agent("mini", replies, tool_format="qwen3_coder")
    assert "a - b" in acted.files["calc.py"]
    assert len(acted.observations) == 1
