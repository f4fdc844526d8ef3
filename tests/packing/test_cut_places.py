"""Cuts stand between messages, hold what fits together, and never fall into a call."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.packing.corpus import CONVERSATIONS, TOOLS, messages

from regreen.packing.cut_places import cut_places, head_length, text_places
from regreen.templates.conversion.steps import Unconvertible
from regreen.templates.registry import FORMATS, tool_format
from regreen.templates.tokens.byte_tokenizer import ByteTokenizer
from regreen.templates.tokens.renderer import Renderer
from regreen.templates.tokens.spans import Rendered

RENDERERS = {
    name: Renderer(form, ByteTokenizer(form.chat.specials))
    for name in ("qwen3_coder", "glm46", "mistral3", "deepseekv3", "harmony_json", "hermes")
    for form in [tool_format(name)]
}
STEPS = [("said", [("one", "r" * 50), ("two", "s" * 40)])] * 3


def rendered(name: str, rows: list[dict[str, Any]]) -> tuple[Rendered, int, bool]:
    found = RENDERERS[name].encode(rows, TOOLS, close=True)
    return found, head_length(found.spans), RENDERERS[name].form.chat.ends_with_next


def text(name: str, ids: list[int]) -> str:
    return RENDERERS[name].tokenizer.decode(ids)


@given(CONVERSATIONS, st.sampled_from(sorted(RENDERERS)), st.integers(60, 400))
@settings(max_examples=60)
def test_no_stretch_is_longer_than_the_room_and_no_call_is_cut(
    rows: list[dict[str, Any]], name: str, room: int
) -> None:
    found, head, shared = rendered(name, rows)
    calls = [(span.start, span.end) for span in found.spans if span.kind == "calls"]
    longest = max([end - start for start, end in calls], default=0)
    try:
        places = cut_places(found.spans, head, room, shared_ends=shared).places.tolist()
    except Unconvertible:
        assert longest + 2 > room  # a mark that opens the next turn may go with it
        return
    edges = [head, *places, len(found.ids)]

    assert all(0 < end - start <= room for start, end in pairwise(edges))
    assert not any(start < place < end for place in places for start, end in calls)


def test_the_head_is_the_system_turn_with_the_tools() -> None:
    for name in RENDERERS:
        found, head, _ = rendered(name, messages("Be brief.", "The task.", STEPS))

        assert "Be brief." in text(name, found.ids[:head])
        assert "Runs a command." in text(name, found.ids[:head])
        assert "The task." not in text(name, found.ids[:head])
        assert "The task." in text(name, found.ids[head : head + 60])


def pieces(name: str, room: int) -> list[str]:
    found, head, shared = rendered(name, messages("Be brief.", "The task.", STEPS))
    places = cut_places(found.spans, head, room, shared_ends=shared).places.tolist()
    edges = [head, *places, len(found.ids)]
    return [text(name, found.ids[start:end]) for start, end in pairwise(edges)]


def test_an_answer_stays_with_its_results_where_it_can() -> None:
    assert [piece.split("\n")[0] for piece in pieces("qwen3_coder", 600)] == [
        "<|im_start|>user",
        *["<|im_start|>assistant"] * 3,
    ]


def test_a_step_that_is_too_long_is_cut_before_its_results() -> None:
    starts = [piece.split("\n")[:2] for piece in pieces("qwen3_coder", 240)]

    assert starts[1][0] == "<|im_start|>assistant"
    assert starts[2] == ["<|im_start|>user", "<tool_response>"]
    # what closes several results is no message
    assert {first for first, *_ in starts} <= {
        "<|im_start|>user",
        "<|im_start|>assistant",
        "<tool_response>",
        "",
    }


def test_a_mark_that_ends_one_turn_and_opens_the_next_goes_with_the_next() -> None:
    starts = [piece.split("\n")[0] for piece in pieces("glm46", 400)]

    assert starts[1:] == ["<|assistant|>"] * 3
    rows = [*messages("", "One", [("said", [])]), *messages("", "Two", [("more", [])])]
    found, head, shared = rendered("glm46", rows)
    places = cut_places(found.spans, head, 40, shared_ends=shared).places.tolist()
    assert [text("glm46", found.ids[place:])[:8] for place in places][1] == "<|user|>"


def test_a_message_longer_than_a_row_is_divided_and_a_call_refused() -> None:
    found, head, _ = rendered("hermes", messages("", "t" * 900, [("said", [])]))
    divided = cut_places(found.spans, head, 300)
    assert divided.inside
    assert not cut_places(found.spans, head, 2000).inside

    found, head, _ = rendered("hermes", messages("", "task", [("", [("x" * 900, "")])]))
    with pytest.raises(Unconvertible, match="calls of an answer are longer"):
        cut_places(found.spans, head, 300)
    with pytest.raises(Unconvertible, match="fills a row"):
        cut_places(found.spans, head, 0)


def test_every_format_opens_with_its_head() -> None:
    for name in FORMATS:
        form = tool_format(name)
        renderer = Renderer(form, ByteTokenizer(form.chat.specials))
        found = renderer.encode(messages("Be brief.", "The task.", [("said", [])]), None)
        head = head_length(found.spans)

        assert all(span.role == "system" for span in found.spans if span.end <= head), name
        assert renderer.tokenizer.decode(found.ids[:head]).count("Be brief.") == 1, name


@given(st.integers(1, 10_000), st.integers(1, 5_000))
def test_a_text_can_be_cut_so_that_rows_are_full(length: int, capacity: int) -> None:
    edges = [0, *text_places(length, capacity).tolist(), length]

    assert all(0 < end - start <= max(1, capacity / 2048) for start, end in pairwise(edges))
