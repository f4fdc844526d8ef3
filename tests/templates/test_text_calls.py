"""Calls as blocks of text: what is native, what is not, and that nothing is lost."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.templates.text_formats import (
    BLOCK,
    NAMES,
    PATCHER,
    SEARCH,
    SHELL,
    TOOLS,
    calls,
    function,
    made,
    message,
    read,
    streamed,
    texts,
)

from regreen.templates.registry import tool_format

each = pytest.mark.parametrize("name", NAMES)
some = settings(max_examples=25, deadline=None)


@each
@some
@given(content=texts, thought=texts, wanted=st.lists(calls, max_size=3), offered=st.booleans())
def test_a_message_is_read_back(
    name: str, content: str, thought: str, wanted: list[Any], offered: bool
) -> None:
    form, tools = tool_format(name), TOOLS if offered else None
    text = form.completion(message(content, *wanted, reasoning=thought), tools) + "<|im_end|>"
    parsed = form.parse(text, tools)
    assert (parsed.content, parsed.reasoning, made(parsed)) == (content, thought, wanted)
    assert not parsed.incomplete
    assert streamed(form, text, tools) == parsed


@each
@some
@given(text=texts, size=st.integers(1, 9))
def test_a_stream_is_read_as_the_whole(name: str, text: str, size: int) -> None:
    form = tool_format(name)
    assert streamed(form, text, TOOLS, size) == form.parse(text, TOOLS)


@each
@settings(max_examples=5, deadline=None)
@given(wanted=st.lists(calls, min_size=1, max_size=2))
def test_no_cut_makes_another_call(name: str, wanted: list[Any]) -> None:
    form = tool_format(name)
    text = form.completion(message("Go on.", *wanted), TOOLS)
    for cut in range(len(text)):
        found = made(form.parse(text[:cut], TOOLS))
        assert found == wanted[: len(found)]
        assert not form.parse(text[:cut], TOOLS, truncated=True).tool_calls[len(wanted) - 1 :]


@each
def test_the_native_tool_is_found_by_shape(name: str) -> None:
    form = tool_format(name)
    runner = function("run", ["cmd"], cmd="string")
    text = form.completion(message("", ("run", {"cmd": "ls"})), [SEARCH, runner])
    native = name in {"bash_block", "swe_agent"}
    assert ("\nls\n```" in text) == native
    assert made(form.parse(text, [SEARCH, runner])) == [("run", {"cmd": "ls"})]


def test_a_preferred_name_wins_over_the_order() -> None:
    script = function("script", ["script"], script="string")
    parsed = read("bash_block", f"{BLOCK}ls\n```", [script, SHELL])
    assert made(parsed) == [("bash", {"command": "ls"})]


def test_other_arguments_are_written_as_json() -> None:
    form = tool_format("bash_block")
    text = form.completion(message("", ("bash", {"command": "ls", "timeout": 3})), TOOLS)
    assert text == f"{BLOCK}bash <<'JSON'\n" + '{"command": "ls", "timeout": 3}\nJSON\n```'


def test_a_command_that_looks_like_another_call_is_written_as_json() -> None:
    form, command = tool_format("bash_block"), "search <<'JSON'\n{}\nJSON"
    text = form.completion(message("", ("bash", {"command": command})), TOOLS)
    assert text.startswith(f"{BLOCK}bash <<'JSON'\n")
    plain = form.completion(message("", ("bash", {"command": "cat <<'JSON'\n{}\nJSON"})), TOOLS)
    assert plain.startswith(f"{BLOCK}cat <<'JSON'\n")


@pytest.mark.parametrize(
    ("behind", "reason"),
    [
        ('{"query": "q"', "the arguments are not whole"),
        ('{"query": "q"\n```', "the arguments are not whole"),
        ('{"query": "q"}\nJSON', "the block is not closed"),
    ],
)
def test_a_json_block_cut_short_is_incomplete(behind: str, reason: str) -> None:
    parsed = read("apply_patch", f"```bash\nsearch <<'JSON'\n{behind}")
    assert not parsed.tool_calls
    assert [call.reason for call in parsed.incomplete] == [reason]


def test_what_is_clear_in_a_json_block_is_mended() -> None:
    parsed = read("apply_patch", "```bash\nsearch <<JSON\n{'query': 'q'}\n```\nDone")
    assert made(parsed) == [("search", {"query": "q"})]
    assert "no end of the here-document" in parsed.faults
    assert parsed.content == "\nDone"


def test_without_a_native_tool_a_native_block_is_text() -> None:
    text = f"{BLOCK}ls\n```"
    assert read("bash_block", text, [SEARCH]).content == text
    assert not read("bash_block", text, [SEARCH]).tool_calls


def test_a_block_of_an_unknown_tool_is_text() -> None:
    text = "```bash\nnope <<'JSON'\n{}\nJSON\n```"
    assert read("apply_patch", text, [PATCHER]).content == text
    assert made(read("apply_patch", text, None)) == [("nope", {})]


@each
def test_ordinary_messages_hold_no_joiner(name: str) -> None:
    form = tool_format(name)
    prose = "Use `ls`, or:\n\n```python\nprint(1)\n```\n\nThe ``` fence and *** stars."
    assert "\u2060" not in form.completion(message(prose, ("bash", {"command": "ls"})), TOOLS)


@each
def test_a_prompt_is_a_prefix_of_its_answer(name: str) -> None:
    form = tool_format(name)
    rows: list[dict[str, Any]] = [{"role": "user", "content": "Go"}]
    answer = message("I look.", ("bash", {"command": "ls"}))
    result = {"role": "tool", "content": "a.py"}
    for extra in (answer, result, message("Done.")):
        prompt = form.render(rows, TOOLS, add_generation_prompt=True)
        if extra["role"] == "assistant":
            assert form.render([*rows, extra], TOOLS).startswith(prompt)
        rows.append(extra)
    assert "a.py" in form.render(rows, TOOLS)
    assert "`search`" in form.render(rows, TOOLS)


@pytest.mark.parametrize("name", NAMES)
def test_a_long_argument_streams_at_a_flat_cost(name: str) -> None:
    form, tool = tool_format(name), function("run", ["command"], command="string")

    def cost(lines: int) -> float:
        """Seconds of this process for a character."""
        text = form.completion(message("", ("run", {"command": "x = 1  # some\n" * lines})), [tool])
        best = float("inf")
        for _ in range(3):
            parser, begun = form.stream([tool]), time.process_time()
            for at in range(0, len(text), 4):
                parser.feed(text[at : at + 4])
            best = min(best, (time.process_time() - begun) / len(text))
        return best

    assert cost(2000) < 3 * cost(200)
