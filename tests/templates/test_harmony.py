"""gpt-oss's channels: what models write in place of what they should, streamed and whole."""

from __future__ import annotations

from typing import Any

import pytest

from regreen.templates import ParsedMessage, tool_format
from regreen.templates.message import collect

FORM = tool_format("harmony_json")
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "bash",
            "parameters": {"type": "object", "properties": {"command": {"type": "string"}}},
        },
    }
]
LIST = [("bash", {"command": "ls"})]
CALL = '<|channel|>commentary to=functions.bash <|constrain|>json<|message|>{"command": "ls"}'


def read(text: str, *, truncated: bool = False, in_reasoning: bool = False) -> ParsedMessage:
    """The message of a text, read in every way that it can come."""
    whole = FORM.parse(text, TOOLS, truncated=truncated, in_reasoning=in_reasoning)
    splits = [[text[:at], text[at:]] for at in range(1, len(text))]
    for pieces in (list(text), *splits):
        parser = FORM.stream(TOOLS, in_reasoning=in_reasoning)
        deltas = [delta for piece in pieces for delta in parser.feed(piece)]
        assert collect([*deltas, *parser.finish(truncated=truncated)]) == whole, pieces
    return whole


def calls(found: ParsedMessage) -> list[tuple[str, dict[str, Any]]]:
    return [(call.name, call.arguments) for call in found.tool_calls]


def test_reasoning_preamble_and_call() -> None:
    found = read(
        "<|channel|>analysis<|message|>Look first.<|end|><|start|>assistant"
        f"<|channel|>commentary<|message|>I look.<|end|><|start|>assistant{CALL}<|call|>"
    )
    assert (found.reasoning, found.content, calls(found)) == ("Look first.", "I look.", LIST)
    assert not found.faults


@pytest.mark.parametrize(
    "header",
    [
        " to=functions.bash<|channel|>commentary json<|message|>",
        " to=functions.bash<|channel|>commentary <|constrain|>json<|message|>",
        "<|channel|>commentary to=functions.bash<|message|>",
        "<|channel|>commentary to=functions.bash json<|message|>",
        "<|channel|>commentary to=bash <|constrain|>json<|message|>",
        "<|channel|>analysis to=functions.bash <|constrain|>json<|message|>",
        "<|start|>assistant to=functions.bash<|channel|>commentary<|message|>",
    ],
)
def test_headers_that_models_and_templates_write(header: str) -> None:
    found = read(header + '{"command": "ls"}<|call|>')
    assert calls(found) == LIST
    assert not found.content


def test_the_final_channel_is_content() -> None:
    found = read("<|channel|>final<|message|>Done.<|return|>")
    assert (found.content, found.faults) == ("Done.", ())


def test_text_without_a_channel_is_content() -> None:
    assert read("Done, to=day.<|return|>").content == "Done, to=day."
    assert read("<|message|>Done.").content == "Done."
    assert read("<|channel|>comment<|message|>Done.").content == "Done."


def test_several_calls_and_texts() -> None:
    found = read(
        f"<|channel|>commentary<|message|>One.<|end|><|start|>assistant{CALL}<|call|>"
        f"<|start|>assistant{CALL}<|call|><|start|>assistant<|channel|>final<|message|>Two."
    )
    assert calls(found) == LIST * 2
    assert found.content == "One.\n\nTwo."


def test_the_prompt_may_have_opened_the_reasoning() -> None:
    found = read(f"Look.<|end|><|start|>assistant{CALL}", in_reasoning=True)
    assert (found.reasoning, calls(found)) == ("Look.", LIST)


@pytest.mark.parametrize("end", ["<|call|>", "<|end|>", "<|return|>", "", "<|call|><|call|>"])
def test_any_end_completes_a_call(end: str) -> None:
    assert calls(read(CALL + end)) == LIST


def test_marks_inside_a_string_are_text() -> None:
    body = CALL.replace("ls", "a <|call|> <|end|><|start|>assistant<|channel|>final<|message|>b")
    (call,) = read(body + "<|call|>").tool_calls
    assert call.arguments["command"].startswith("a <|call|> <|end|>")
    assert call.arguments["command"].endswith("<|message|>b")


def test_a_cut_call_is_incomplete() -> None:
    for at in range(CALL.index("{"), len(CALL) + 1):
        found = FORM.parse(CALL[:at], TOOLS, truncated=True)
        assert found.tool_calls == ()
        assert [call.name for call in found.incomplete] == ["bash"]
    assert calls(read(CALL + "<|call|>", truncated=True)) == LIST


@pytest.mark.parametrize(
    ("body", "arguments"),
    [
        ('"{\\"command\\": \\"ls\\"}"', {"command": "ls"}),
        ("{'command': 'ls'}", {"command": "ls"}),
        ('{"command": "ls",}', {"command": "ls"}),
        ('{"command": "ls"} and so', {"command": "ls"}),
        ("", {}),
    ],
)
def test_arguments_that_can_be_mended(body: str, arguments: dict[str, Any]) -> None:
    found = read(CALL[: CALL.index("{")] + body + "<|call|>")
    assert calls(found) == [("bash", arguments)]
    assert found.faults


@pytest.mark.parametrize("body", ["ls -l", "[1]", '"ls"', '{"command": '])
def test_arguments_that_are_no_object(body: str) -> None:
    found = read(CALL[: CALL.index("{")] + body + "<|call|>")
    assert found.tool_calls == ()
    assert [call.name for call in found.incomplete] == ["bash"]


def test_a_string_argument_streams_as_it_comes() -> None:
    parser = FORM.stream(TOOLS)
    first = parser.feed(CALL[: CALL.index("ls")])
    assert [delta.kind for delta in first][:1] == ["call"]
    assert "".join(delta.text for delta in parser.feed("echo one")).endswith("echo one")


def test_another_role_ends_what_is_the_assistants() -> None:
    found = read(f"{CALL}<|call|><|start|>functions.bash to=assistant<|message|>made up<|end|>")
    assert calls(found) == LIST
    assert not found.content


def test_a_header_without_end_is_text() -> None:
    text = "<|channel|>" + "x" * 500
    assert FORM.parse(text, TOOLS).content.startswith("<|channel|>xxx")


def test_guarded_marks_behind_arguments_hide_no_message() -> None:
    found = read(f"{CALL}<\u2060|start|><\u2060|start|>{CALL}")
    assert calls(found) == LIST * 2
