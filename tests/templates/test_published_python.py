"""Gemma's and Llama 4's rendering equals the published chat templates, byte for byte.

Conversations are those that the published template keeps whole; the formats' notes name the rest.
"""

from __future__ import annotations

from typing import Any

import pytest
from tests.templates.test_published_tags import SYSTEM, TOOLS, USER, assistant, published, result

from regreen.templates.formats.gemma4 import FORMAT as GEMMA4
from regreen.templates.formats.llama4_pythonic import FORMAT as LLAMA4

DEEP = {
    "type": "function",
    "function": {
        "name": "deep",
        "description": "Takes all kinds",
        "parameters": {
            "type": "object",
            "properties": {
                "obj": {
                    "type": "object",
                    "description": "An object",
                    "properties": {"b": {"type": "string"}, "A": {"type": ["string", "null"]}},
                    "required": ["b"],
                },
                "open": {"type": "object", "additionalProperties": False},
                "rows": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "properties": {"q": {"type": "integer"}},
                        "required": ["q"],
                    },
                },
                "words": {
                    "type": "array",
                    "items": {"type": ["string", "null"], "default": {"k": [1, None]}},
                },
                "one": {"type": "string", "nullable": True, "enum": ["a", "b"]},
            },
            "required": ["obj", "rows"],
        },
    },
}
ARGUMENTS = {
    "days": 2,
    "City": "Zürich <b>\n",
    "o": {"k": None, "a": [1, "x", True, 1.5, {}]},
    "empty": "",
}
CALL = assistant("", ("get_weather", ARGUMENTS), ("stop", {}))
RESULTS = [result("a\nb"), result('{"t": 1}', 1)]
CONVERSATIONS = {
    "plain": [SYSTEM, USER],
    "turns": [USER, assistant("Hello."), USER, assistant("Bye.")],
    "calls": [SYSTEM, USER, CALL, *RESULTS, assistant("Done."), USER],
    "waiting": [SYSTEM, USER, CALL],
    "answered": [USER, CALL, *RESULTS],
    "again": [USER, CALL, *RESULTS, assistant("", ("stop", {})), result("x")],
    "thought": [USER, assistant("", ("stop", {}), thought="Let me\nsee"), result("x")],
}


@pytest.mark.parametrize("tools", [None, TOOLS, [*TOOLS, DEEP]], ids=["none", "some", "deep"])
@pytest.mark.parametrize("name", CONVERSATIONS)
@pytest.mark.parametrize("generation", [False, True])
def test_gemma4(name: str, tools: Any, generation: bool) -> None:
    messages = CONVERSATIONS[name]
    if generation and name == "waiting":
        pytest.skip("a model is asked to go on behind its own calls")
    want = published(
        "google-gemma-4-E4B-it",
        messages,
        tools,
        add_generation_prompt=generation,
        bos_token="<bos>",
    )
    assert GEMMA4.render(messages, tools, add_generation_prompt=generation) == want


@pytest.mark.parametrize("name", ["plain", "turns"])
def test_llama4_without_tools(name: str) -> None:
    want = published(
        "trl-internal-testing-tiny-Llama4ForCausalLM",
        CONVERSATIONS[name],
        None,
        add_generation_prompt=True,
        bos_token="<|begin_of_text|>",
    )
    assert LLAMA4.render(CONVERSATIONS[name], None, add_generation_prompt=True) == want
