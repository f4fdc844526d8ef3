"""The text a model is trained on is the tokens it is trained on, ends of turns included."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from tests.templates.strategies import EXAMPLE_TOOLS, NATIVE

from regreen.core.errors import UsageError
from regreen.templates import FORMATS, tool_format
from regreen.templates.conversion.convert import as_text, read_conversation
from regreen.templates.format import ToolFormat
from regreen.templates.tokens.byte_tokenizer import ByteTokenizer
from regreen.templates.tokens.dialogue import Dialogue
from regreen.templates.tokens.renderer import Renderer
from regreen.templates.tools import tool_table

NAMES = sorted(FORMATS)
WITH_NEXT = ["glm46", "glm47"]
"""Formats whose turns end in the mark that opens the next."""
Messages = list[dict[str, Any]]


def call(number: int, name: str, **arguments: str) -> dict[str, Any]:
    function = {"name": name, "arguments": arguments}
    return {"id": f"call_{number}", "type": "function", "function": function}


def talk(form: ToolFormat) -> Messages:
    """Calls, plain answers between questions, and a plain answer last."""
    count = 2 if form.parallel else 1
    rows: Messages = [{"role": "user", "content": "list"}]
    for start in (0, count):
        calls = [call(start + place, "bash", command=f"ls {place}") for place in range(count)]
        rows.append({"role": "assistant", "content": "so", "tool_calls": calls})
        rows += [{"role": "tool", "tool_call_id": one["id"], "content": "a"} for one in calls]
    rows += [{"role": "assistant", "content": "one file"}, {"role": "user", "content": "and?"}]
    return [*rows, {"role": "assistant", "content": "no more", "reasoning_content": "hm"}]


def tools_of(form: ToolFormat) -> Sequence[Mapping[str, Any]]:
    for tools in (EXAMPLE_TOOLS, NATIVE):
        try:
            form.render(talk(form), tools)
        except UsageError:
            continue
        return tools
    raise AssertionError(form.name)


def trained(renderer: Renderer, messages: Messages, *, close: bool = False) -> str:
    """Text of the tokens that are trained."""
    rendered = renderer.encode(messages, tools_of(renderer.form), close=close)
    mask = rendered.loss_mask()
    return renderer.tokenizer.decode(
        [token for token, on in zip(rendered.ids, mask, strict=True) if on]
    )


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("known", [True, False])
def test_pieces_text_spans_and_tokens_train_the_same(name: str, *, known: bool) -> None:
    form = tool_format(name)
    renderer = Renderer(form, ByteTokenizer(form.chat.specials if known else ()))
    whole, tools = talk(form), tools_of(form)
    for count in range(2, len(whole) + 1):
        pieces = form.pieces(whole[:count], tools)
        said = "".join(piece.text for piece in pieces if piece.trained)
        assert said == trained(renderer, whole[:count])
        assert "".join(piece.text for piece in pieces) == form.render(whole[:count], tools)
    steps = read_conversation(whole, form, tool_table(tools))
    written = as_text(steps, form, tool_table(tools))
    said = "".join(written.text[start:end] for start, end in written.trained)
    pieces = form.pieces(written.messages, tools)
    assert said == "".join(piece.text for piece in pieces if piece.trained)


@pytest.mark.parametrize("name", NAMES)
def test_every_answer_but_the_last_ends_in_a_trained_stop(name: str) -> None:
    form = tool_format(name)
    rows = talk(form)
    ends = {
        piece.message: piece.text
        for piece in form.pieces(rows, tools_of(form))
        if piece.kind == "end" and piece.trained
    }
    spoken = [index for index, row in enumerate(rows) if row["role"] == "assistant"]
    assert set(ends.values()) <= set(form.chat.stops)
    assert sorted(ends) == (spoken[:-1] if name in WITH_NEXT else spoken)


@pytest.mark.parametrize("name", NAMES)
def test_closing_trains_what_a_model_samples(name: str) -> None:
    form = tool_format(name)
    renderer = Renderer(form, ByteTokenizer(form.chat.specials))
    rows, tools = talk(form), tools_of(form)
    for end in (2, len(rows)):
        closed = renderer.encode(rows[:end], tools, close=True)
        sampled = renderer.completion(rows[end - 1], tools, before=rows[: end - 1])
        mask = closed.loss_mask(last_only=True)
        assert [token for token, on in zip(closed.ids, mask, strict=True) if on] == sampled
        more = renderer.tokenizer.decode(closed.ids).removeprefix(form.render(rows[:end], tools))
        mark = "<|observation|>" if end == 2 else "<|user|>"
        assert more == (mark if name in WITH_NEXT else "")


@pytest.mark.parametrize("name", WITH_NEXT)
def test_a_dialogue_trains_what_the_whole_trains(name: str) -> None:
    form = tool_format(name)
    renderer, tools = Renderer(form, ByteTokenizer(form.chat.specials)), tools_of(form)
    dialogue = Dialogue(renderer, tools)
    rows = talk(form)
    for place, row in enumerate(rows):
        if row["role"] != "assistant":
            dialogue.append(row)
            continue
        dialogue.sampled(renderer.completion(row, tools, before=rows[:place]))
    whole = renderer.encode(rows, tools, close=True)
    assert dialogue.ids == whole.ids
    assert dialogue.loss_mask == whole.loss_mask()
