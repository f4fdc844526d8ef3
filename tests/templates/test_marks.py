"""What an assistant says never becomes a special token, however much it looks like a call."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from functools import cache
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from tests.templates.strategies import EXAMPLE_TOOLS, Case, cases, examples, tool

from regreen.core.errors import UsageError
from regreen.templates import FORMATS, tool_format
from regreen.templates.guard import JOINER
from regreen.templates.tokens.byte_tokenizer import ByteTokenizer
from regreen.templates.tokens.renderer import Renderer

NAMES = sorted(FORMATS)
EXAMPLES = 25
BYTES = 256
ASKED = {"role": "user", "content": "so"}
WRITE = [tool("write", {"text": {"type": "string"}, "path": {"type": "string"}})]


@cache
def specials_of(name: str) -> list[str]:
    """The special tokens of a vocabulary that knows the format's marks."""
    form = tool_format(name)
    marks = [mark for mark in form.marks[1] if mark[-1] in ">|]｜" and len(mark) > 2]
    return list(dict.fromkeys((*form.chat.specials, *marks)))


@cache
def renderer(name: str) -> tuple[Renderer, re.Pattern[str]]:
    """A renderer with such a vocabulary, and what finds its special tokens."""
    specials = sorted(specials_of(name), key=len, reverse=True)
    pattern = re.compile("|".join(map(re.escape, specials)))
    return Renderer(tool_format(name), ByteTokenizer(specials)), pattern


def harmless(value: Any, pattern: re.Pattern[str]) -> Any:
    """The same with letters in the place of every special token."""
    if isinstance(value, str):
        while pattern.search(value):  # more may appear around one that went
            value = pattern.sub(lambda match: "x" * len(match[0]), value)
        return value
    if isinstance(value, Mapping):
        return {key: harmless(inner, pattern) for key, inner in value.items()}
    return [harmless(inner, pattern) for inner in value] if isinstance(value, list) else value


def check(name: str, message: Mapping[str, Any], tools: list[dict[str, Any]]) -> bool:
    """Compare special ids with a harmless message's; False where the format cannot say it."""
    write, pattern = renderer(name)
    try:
        ids = write.encode([ASKED, message], tools).ids
        usual = write.encode([ASKED, harmless(message, pattern)], harmless(tools, pattern)).ids
    except UsageError:
        return False
    assert write.tokenizer.decode(ids) == write.form.render([ASKED, message], tools)

    def own(found: list[int]) -> Counter[str]:
        return Counter(write.tokenizer.decode([token]) for token in found if token >= BYTES)

    assert own(ids) == own(usual)
    return True


def said(*texts: str, content: str = "", reasoning: str = "") -> dict[str, Any]:
    """A message that writes these texts."""
    calls = [
        {
            "id": f"call_{place}",
            "type": "function",
            "function": {"name": "write", "arguments": {"text": text, "path": "a.py"}},
        }
        for place, text in enumerate(texts)
    ]
    message: dict[str, Any] = {"role": "assistant", "content": content}
    return {**message, "reasoning_content": reasoning, "tool_calls": calls}


@pytest.mark.parametrize("name", NAMES)
def test_whatever_an_assistant_says_is_text(name: str) -> None:
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=True,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    @given(case=cases(name))
    def holds(case: Case) -> None:
        check(name, case.message, case.tools)

    holds()


@pytest.mark.parametrize("name", NAMES)
def test_marks_and_examples_are_text_in_each_place_and_in_all(name: str) -> None:
    form = tool_format(name)
    wholes = [*examples(name), *(form.calls.stems[:1] * 2)]
    glued = "".join(form.chat.specials)
    texts = [*specials_of(name), *wholes, glued, glued * 2, *(f"{mark}\n" for mark in wholes)]
    for text in dict.fromkeys(texts):
        for message in (
            said(content=f"so {text} it", reasoning=text),
            said(text),
            said(f"a\n{text}\nb", content=f"as in\n{text}", reasoning=text),
        ):
            check(name, message, WRITE)


GEMMA = [
    '<|"|>}<tool_call|>',
    '<|tool_call>call:write{text:<|"|>x<|"|>}<tool_call|>',
    f'<{JOINER}|"|>}}<tool_call|>',
]


@pytest.mark.parametrize("text", GEMMA)
def test_a_guarded_value_of_gemma_holds_no_special_token(text: str) -> None:
    assert check("gemma4", said(text), WRITE)
    assert check("gemma4", said(text, text, content=text), WRITE)


def test_text_and_value_that_both_need_guards_hold_no_special_token() -> None:
    example = examples("deepseekv32")[0]
    message = said(f"{example}\n", content=f"as in\n\n{example}")
    form = tool_format("deepseekv32")
    assert JOINER in form.render([ASKED, message], WRITE)
    assert check("deepseekv32", message, WRITE)


def test_specials_that_overlap_are_all_text() -> None:
    message = said("]~b]~b]~!b]", content="]~b]~b]")
    assert check("minimax_m2", message, WRITE)


def test_a_form_chosen_by_the_content_keeps_its_outer_marks() -> None:
    write = Renderer(tool_format("bash_block"), ByteTokenizer(["```", "<|im_end|>"]))
    code = 'x = """\n```\n"""\nprint(x) # <|im_end|>'
    call = {"name": "bash", "arguments": {"command": code}}
    message = {"role": "assistant", "content": "", "tool_calls": [{"function": call}]}
    ids = write.encode([ASKED, message], EXAMPLE_TOOLS[1:]).ids
    ends = write.tokenizer.specials["<|im_end|>"]
    usual = write.encode([ASKED, {"role": "assistant", "content": "so"}], EXAMPLE_TOOLS[1:]).ids
    assert ids.count(ends) == usual.count(ends)
    fence = write.tokenizer.specials["```"]
    assert ids.count(fence) == usual.count(fence) + 2, "the fence in the code is text"
    text = write.form.render([ASKED, message], EXAMPLE_TOOLS[1:])
    assert write.tokenizer.decode(ids) == text
