"""What every registered format must keep, over adversarial messages."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st
from tests.templates.strategies import Case, cases, conversations, garbage, same

from regreen.core.errors import UsageError
from regreen.templates import ParsedMessage, ToolFormat, tool_format
from regreen.templates.message import Delta, collect
from regreen.templates.registry import FORMATS

NAMES = sorted(FORMATS)
DEPTHS = [
    pytest.param(20, id="quick"),
    pytest.param(1500, id="deep", marks=pytest.mark.slow),
]
each_format = pytest.mark.parametrize("name", NAMES)
each_depth = pytest.mark.parametrize("examples", DEPTHS)


def check(examples: int, strategy: st.SearchStrategy[Any], body: Callable[..., None]) -> None:
    """Try a property; the quick run always tries the same examples."""
    setup = settings(
        max_examples=examples,
        deadline=None,
        derandomize=examples < 100,
        database=None,
        phases=(Phase.explicit, Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )

    def tried(drawn: Any) -> None:
        body(*drawn)

    setup(given(strategy)(tried))()


def completion(form: ToolFormat, case: Case) -> str:
    """What a model writes to say it; a message that has no place in the format is skipped."""
    try:
        return form.completion(case.message, case.tools)
    except UsageError:
        assume(False)
        raise


def said(form: ToolFormat, message: dict[str, Any]) -> tuple[str, str]:
    """Text and reasoning that must come back."""
    content = message.get("content") or ""
    if message.get("tool_calls") and form.trims:
        content = content.strip()
    reasoning = message.get("reasoning_content") or ""
    return content, reasoning if form.reasoning is not None else ""


def expect(form: ToolFormat, case: Case, read: ParsedMessage, text: str) -> None:
    """The message came back whole."""
    found = [[call.name, call.arguments] for call in read.tool_calls]
    wanted = [list(call) for call in case.calls]
    assert same(found, wanted), f"{text!r} was read as {read}"
    assert (read.content, read.reasoning) == said(form, case.message), (
        f"{text!r} was read as {read}"
    )
    assert read.incomplete == ()


def streamed(
    form: ToolFormat, text: str, tools: Any, sizes: Iterable[int], *, truncated: bool = False
) -> list[Delta]:
    """The deltas of a text that comes in pieces of these sizes."""
    parser, at, deltas = form.stream(tools), 0, []
    for size in sizes:
        if at >= len(text):
            break
        deltas += parser.feed(text[at : at + size])
        at += size
    return deltas + parser.finish(truncated=truncated)


def ones() -> Iterator[int]:
    while True:
        yield 1


def some(seed: int) -> Iterator[int]:
    draws = random.Random(seed)
    while True:
        yield draws.choice((1, 2, 3, 4, 4, 4, 7, 16, 64))


def orderly(deltas: list[Delta]) -> None:
    """Calls open in order, one at a time, and their arguments are whole JSON objects at the end."""
    opened, pieces = -1, ""
    closed = True
    for delta in deltas:
        if delta.kind == "call":
            assert closed
            assert delta.call == opened + 1
            opened, pieces, closed = delta.call, "", False
        elif delta.kind in {"arguments", "end", "incomplete"}:
            assert delta.call == opened
            assert not closed
            closed = delta.kind != "arguments"
            pieces += delta.text if delta.kind == "arguments" else ""
            if delta.kind == "end":
                assert isinstance(json.loads(pieces or "{}"), dict)
        else:
            assert delta.text
    assert closed


@each_format
@each_depth
def test_a_message_is_read_back(name: str, examples: int) -> None:
    form = tool_format(name)

    def body(case: Case, end: bool) -> None:
        text = completion(form, case)
        if end:
            text += form.chat.stops[0]
        expect(form, case, form.parse(text, case.tools), text)

    check(examples * 2, st.tuples(cases(name), st.booleans()), body)


@each_format
@each_depth
def test_a_stream_is_read_as_the_whole(name: str, examples: int) -> None:
    form = tool_format(name)

    def body(case: Case, seed: int, cut: int) -> None:
        text = completion(form, case) + form.chat.stops[0]
        for part, truncated in ((text, False), (text[:cut], False), (text[:cut], True)):
            whole = form.parse(part, case.tools, truncated=truncated)
            for sizes in (ones(), some(seed)):
                deltas = streamed(form, part, case.tools, sizes, truncated=truncated)
                orderly(deltas)
                assert collect(deltas) == whole, repr(part)

    drawn = st.tuples(cases(name, min_calls=1), st.integers(0, 99), st.integers(0, 300))
    check(examples, drawn, body)


@each_format
@each_depth
def test_a_truncated_call_is_never_complete_with_other_arguments(name: str, examples: int) -> None:
    form = tool_format(name)

    def body(case: Case, seed: int) -> None:
        text = completion(form, case)
        cuts = range(len(text))
        if len(cuts) > 80:
            cuts = sorted(random.Random(seed).sample(cuts, 80))
        for cut in cuts:
            read = form.parse(text[:cut], case.tools, truncated=True)
            found = [[call.name, call.arguments] for call in read.tool_calls]
            wanted = [list(call) for call in case.calls[: len(found)]]
            assert same(found, wanted), f"{text[:cut]!r} of {text!r} was read as {read}"

    check(examples, st.tuples(cases(name, min_calls=1), st.integers(0, 99)), body)


@each_format
@each_depth
def test_no_text_raises_and_its_stream_says_the_same(name: str, examples: int) -> None:
    form = tool_format(name)

    def body(case: Case, text: str, seed: int, truncated: bool) -> None:
        for tools in (case.tools, None):
            whole = form.parse(text, tools, truncated=truncated)
            for sizes in (ones(), some(seed)):
                deltas = streamed(form, text, tools, sizes, truncated=truncated)
                orderly(deltas)
                assert collect(deltas) == whole, repr(text)

    drawn = st.tuples(cases(name), garbage(name), st.integers(0, 99), st.booleans())
    check(examples * 2, drawn, body)


@each_format
@each_depth
def test_a_prompt_is_the_beginning_of_what_follows(name: str, examples: int) -> None:
    form = tool_format(name)

    def body(messages: list[dict[str, Any]], case: Case) -> None:
        try:
            prompt = form.render(messages, case.tools, add_generation_prompt=True)
            whole = form.render([*messages, case.message], case.tools)
        except UsageError:
            assume(False)
            raise
        assert whole.startswith(prompt), f"{prompt!r} does not begin {whole!r}"

    check(examples, conversations(name), body)


@each_format
@each_depth
def test_what_is_trained_is_what_the_model_writes(name: str, examples: int) -> None:
    form = tool_format(name)
    ends = {mark.strip() for mark in (*form.chat.stops, form.chat.called, "")}

    def body(messages: list[dict[str, Any]], case: Case) -> None:
        spoken = completion(form, case)
        talk = [*[row for row in messages if row["role"] in {"system", "user"}][:2], case.message]
        pieces = form.pieces(talk, case.tools)
        assert "".join(piece.text for piece in pieces) == form.render(talk, case.tools)
        trained = "".join(piece.text for piece in pieces if piece.trained)
        assert trained.startswith(spoken)
        assert trained[len(spoken) :].strip() in ends

    check(examples, conversations(name), body)
