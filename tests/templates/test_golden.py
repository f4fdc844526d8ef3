"""One conversation in every format, to the byte; a change of a golden file is a change of training.

Written anew by ``REGREEN_WRITE_GOLDEN=1 pytest tests/templates/test_golden.py``.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from regreen.templates import FORMATS, tool_format
from regreen.templates.conversion.convert import Rendered, as_text, read_conversation
from regreen.templates.reference import example
from regreen.templates.tools import tool_table

GOLDEN = Path(__file__).parent / "golden"


def conversation(name: str) -> tuple[list[dict[str, Any]], Any]:
    found = example(tool_format(name))
    calls = [
        {
            "id": f"call_{place}",
            "type": "function",
            "function": {"name": call.name, "arguments": call.arguments},
        }
        for place, call in enumerate(found.calls)
    ]
    messages = [
        {"role": "system", "content": "You mend programs."},
        {"role": "user", "content": "Größe & <Farbe> sind falsch: 漢字 🙂\n\nWhere?"},
        {
            "role": "assistant",
            "reasoning_content": "I should look\nat the source.",
            "content": "I look for it.",
            "tool_calls": calls,
        },
        {"role": "tool", "tool_call_id": "call_0", "content": "src/größe.py:3: if a < 10:\n"},
        {"role": "tool", "tool_call_id": "call_1", "content": ""},
        {"role": "assistant", "content": "It is in `src/größe.py`, line 3: a < 10."},
        {"role": "user", "content": "Thank you."},
    ]
    return messages, tool_table(found.tools)


def rendered(name: str) -> Rendered:
    messages, tools = conversation(name)
    return as_text(read_conversation(messages, None, tools), tool_format(name), tools)


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_the_conversation_is_as_recorded(name: str) -> None:
    text = rendered(name).text
    path = GOLDEN / f"{name}.txt"
    if os.environ.get("REGREEN_WRITE_GOLDEN"):
        path.write_bytes(text.encode())
    assert text == path.read_bytes().decode(), "if meant: REGREEN_WRITE_GOLDEN=1"


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_what_is_trained_is_what_the_model_says(name: str) -> None:
    found = rendered(name)
    form = tool_format(name)
    said = [found.text[start:end] for start, end in found.trained]
    answers = [m for m in found.messages if m["role"] == "assistant"]
    _, tools = conversation(name)

    assert len(said) == len(answers)
    for text, answer in zip(said, answers, strict=True):
        read = form.parse(text, tools)
        calls = [call["function"] for call in answer.get("tool_calls") or ()]
        assert [(call.name, call.arguments) for call in read.tool_calls] == [
            (call["name"], call["arguments"]) for call in calls
        ]
        assert read.content.strip() == answer["content"]
    untrained = "".join(
        found.text[end:start]
        for end, start in zip(
            [0, *(end for _, end in found.trained)],
            [*(start for start, _ in found.trained), len(found.text)],
            strict=True,
        )
    )
    for word in ("You mend programs.", "<Farbe> sind falsch: 漢字", "if a < 10:", "Thank you."):
        assert word in untrained
    assert [start for start, *_ in found.spans[1:]] == [end for _, end, *_ in found.spans[:-1]]


def test_no_golden_file_is_left_of_a_format_that_is_gone() -> None:
    assert {path.stem for path in GOLDEN.glob("*.txt")} == set(FORMATS)
