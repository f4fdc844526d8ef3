"""Reading tags around raw values: each rule of recovery, and that none beats a faultless reading.

Every text here is read whole, one character at a time and in two pieces at many places; all must
agree.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regreen.templates import ParsedMessage, tool_format
from regreen.templates.calls.tags import TagSyntax
from regreen.templates.guard import JOINER
from regreen.templates.message import collect


def tool(name: str, **kinds: str) -> dict[str, Any]:
    properties = {key: {"type": kind} for key, kind in kinds.items()}
    parameters = {"type": "object", "properties": properties}
    return {"type": "function", "function": {"name": name, "parameters": parameters}}


TOOLS = [
    tool("edit", path="string", content="string", line="integer"),
    tool("bash", command="string"),
    tool("stop"),
]
EDIT = ("edit", {"path": "a.py", "content": "x = 1\n    y = 2\n"})
BASH = ("bash", {"command": "ls"})

FAMILY = [
    *("qwen3_coder", "qwen3_coder_next", "qwen3_xml_mixed", "glm46", "glm47", "minimax_m2"),
    *("deepseekv32", "anthropic_xml", "openhands_xml", "xml_cline", "xml_aone", "harmony_xml"),
    "continue_block",
]
CLOSED = [name for name in FAMILY if tool_format(name).calls.call[1]]  # type: ignore[attr-defined]
WRAPPED = [name for name in FAMILY if tool_format(name).calls.wrap[0]]  # type: ignore[attr-defined]
each = pytest.mark.parametrize("name", FAMILY)


def syntax(name: str) -> TagSyntax:
    found = tool_format(name).calls
    assert isinstance(found, TagSyntax)
    return found


def message(*calls: tuple[str, dict[str, Any]], text: str = "", thought: str = "") -> Any:
    found = [{"function": {"name": name, "arguments": arguments}} for name, arguments in calls]
    return {
        "role": "assistant", "content": text, "reasoning_content": thought, "tool_calls": found,
    }  # fmt: skip


def written(name: str, *calls: tuple[str, dict[str, Any]], **more: str) -> str:
    return tool_format(name).completion(message(*calls, **more), TOOLS)


def read(name: str, text: str, *, truncated: bool = False, **more: Any) -> ParsedMessage:
    """The message of a text, read in every way that it can come."""
    form, tools = tool_format(name), more.pop("tools", TOOLS)
    whole = form.parse(text, tools, truncated=truncated, **more)
    splits = [[text[:at], text[at:]] for at in range(1, len(text), 1 + len(text) // 60)]
    for pieces in (list(text), *splits):
        parser = form.stream(tools, **more)
        deltas = [delta for piece in pieces for delta in parser.feed(piece)]
        found = collect([*deltas, *parser.finish(truncated=truncated)])
        assert found == whole, pieces
    return whole


def calls(found: ParsedMessage) -> list[tuple[str, dict[str, Any]]]:
    return [(call.name, call.arguments) for call in found.tool_calls]


def closer(name: str, group: str) -> str:
    """The tag that closes a parameter of EDIT, a call of it, or the wrapper."""
    tags = {"p": syntax(name).param[1], "c": syntax(name).call[1], "w": syntax(name).wrap[1]}
    return tags[group].strip().replace("{key}", "content").replace("{name}", "edit")


# -- well-formed --------------------------------------------------------------------------------


@each
def test_a_call_is_read_without_a_fault(name: str) -> None:
    found = read(name, written(name, EDIT, text="I edit.", thought="Where?"))
    assert (found.content, found.reasoning, calls(found)) == ("I edit.", "Where?", [EDIT])
    assert not found.faults
    assert not found.incomplete


@each
def test_a_call_without_arguments(name: str) -> None:
    found = read(name, written(name, ("stop", {})))
    assert calls(found) == [("stop", {})]
    assert found.faults == ()


@each
def test_several_calls(name: str) -> None:
    found = read(name, written(name, EDIT, BASH, ("stop", {})))
    assert calls(found) == [EDIT, BASH, ("stop", {})]
    assert found.faults == ()


@each
def test_text_behind_a_call_is_content(name: str) -> None:
    found = read(name, written(name, EDIT) + "\n\nDone.")
    assert calls(found) == [EDIT]
    assert found.content.strip() == "Done."


@each
def test_carriage_returns_are_kept(name: str) -> None:
    call = ("edit", {"path": "a.py", "content": "a\r\nb\r\n"})
    assert calls(read(name, written(name, call))) == [call]


@each
def test_a_value_that_holds_a_whole_call(name: str) -> None:
    call = ("edit", {"path": "a.md", "content": f"So:\n\n{written(name, BASH)}\n\nand so on\n"})
    text = written(name, call)
    assert calls(read(name, text)) == [call]
    assert JOINER not in text


@each
def test_a_value_whose_lines_are_closing_tags(name: str) -> None:
    for group in "pcw":
        tag = closer(name, group)
        if tag:
            call = ("edit", {"path": "a.md", "content": f"before\n{tag}\nbehind\n"})
            assert calls(read(name, written(name, call))) == [call]


# -- recovery -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", WRAPPED)
def test_a_missing_wrapper_around_the_call(name: str) -> None:
    text = written(name, EDIT)
    bare = text.replace(syntax(name).wrap[0].strip() + "\n", "", 1)
    found = read(name, bare)
    assert calls(found) == [EDIT]
    assert found.faults


@each
@pytest.mark.parametrize("group", ["p", "c", "w"])
def test_a_missing_closing_tag(name: str, group: str) -> None:
    tag = closer(name, group)
    text = written(name, EDIT)
    if not tag:
        pytest.skip("the format has no such tag")
    head, _, tail = text.rpartition(tag)
    found = read(name, (head.rstrip("\n") + "\n" + tail.lstrip("\n")).rstrip("\n"))
    if syntax(name).wrap[0] and syntax(name).call[1]:
        assert [call for call, _ in calls(found)] == ["edit"]
        content = found.tool_calls[0].arguments["content"]
        assert content.strip("\n") == EDIT[1]["content"].strip("\n")
        assert found.faults or group == "p"
    else:  # with two kinds of closing tags a missing one leaves too little
        assert all(call == EDIT for call in calls(found)) or group == "p"


@each
@pytest.mark.parametrize("group", ["p", "c", "w"])
def test_a_closing_tag_twice(name: str, group: str) -> None:
    tag = closer(name, group)
    if not tag or (group == "p" and syntax(name).named):
        pytest.skip("the format has no such tag, or its last one wins")
    head, _, tail = written(name, EDIT).rpartition(tag)
    found = read(name, f"{head}{tag}\n{tag}{tail}")
    assert [call for call, _ in calls(found)] == ["edit"]
    assert found.incomplete == ()


@pytest.mark.parametrize("name", CLOSED)
def test_a_call_that_is_not_closed_before_another(name: str) -> None:
    first = written(name, BASH)
    tag = syntax(name).call[1].strip().replace("{name}", "bash")
    cut = first[: first.rindex(tag)]
    empty = tool_format(name).reasoning.empty  # type: ignore[union-attr]
    found = read(name, cut + written(name, EDIT).removeprefix(empty).lstrip("\n"))
    names = [call for call, _ in calls(found)] + [call.name for call in found.incomplete]
    assert "bash" in names
    for call in calls(found):
        assert call in (BASH, EDIT)


@each
def test_a_call_in_reasoning_is_text_if_the_reasoning_is_closed(name: str) -> None:
    form = tool_format(name)
    assert form.reasoning is not None
    thought = f"I could write\n{written(name, BASH).strip()}\nbut no"
    found = read(name, written(name, EDIT, thought=thought))
    assert calls(found) == [EDIT]
    assert found.reasoning == thought


@each
def test_a_call_in_reasoning_that_is_never_closed_is_real(name: str) -> None:
    form = tool_format(name)
    assert form.reasoning is not None
    opening = form.reasoning.open
    text = form.completion(message(BASH), TOOLS).removeprefix(form.reasoning.empty).lstrip("\n")
    found = read(name, f"{opening}I list.\n{text}")
    assert calls(found) == [BASH]
    assert found.reasoning.strip() == "I list."
    assert "a call inside reasoning that is never closed" in found.faults
    assert read(name, f"{opening}I list.\n{text}", truncated=True).tool_calls == ()


@pytest.mark.parametrize("name", [name for name in FAMILY if name != "continue_block"])
def test_a_call_in_a_code_fence_is_an_example(name: str) -> None:
    call = written(name, BASH).strip()
    empty = tool_format(name).reasoning.empty  # type: ignore[union-attr]
    call = call.removeprefix(empty.strip()).strip()
    found = read(name, f"{empty}Like this:\n```xml\n{call}\n```\n")
    assert found.tool_calls == ()
    assert call in found.content
    unclosed = read(name, f"{empty}Like this:\n```xml\n{call}\n")
    assert calls(unclosed) == [BASH]


@each
def test_a_call_of_an_unknown_tool_is_read_if_it_is_closed(name: str) -> None:
    other = [tool("other", a="string")]
    if tool_format(name).name == "xml_cline":
        pytest.skip("any tag could be a tool; only those offered are")
    found = read(name, written(name, BASH), tools=other)
    assert calls(found) == [BASH]


@each
def test_prose_about_the_format_does_not_silence_the_stream(name: str) -> None:
    form, opening = tool_format(name), syntax(name).wrap[0].strip() or "<function="
    parser = form.stream(TOOLS)
    parser.feed(form.reasoning.empty)  # type: ignore[union-attr]
    deltas = parser.feed(f"Calls begin with {opening} and then go on. " + "And on. " * 20)
    shown = "".join(delta.text for delta in deltas)
    assert "And on. And on." in shown
    assert opening in shown


# -- attributes and framing ---------------------------------------------------------------------


@pytest.mark.parametrize("name", ["minimax_m2", "deepseekv32", "anthropic_xml", "harmony_xml"])
@pytest.mark.parametrize("quote", ["'", ""])
def test_attributes_in_other_quotes(name: str, quote: str) -> None:
    text = written(name, BASH).replace('"', quote)
    assert calls(read(name, text)) == [BASH]


@pytest.mark.parametrize("name", ["minimax_m2", "deepseekv32", "anthropic_xml", "harmony_xml"])
def test_white_space_in_attributes(name: str) -> None:
    text = written(name, BASH).replace(' name="', '  name="').replace(' to="', '\t to="')
    assert calls(read(name, text)) == [BASH]


@pytest.mark.parametrize("name", ["qwen3_coder", "openhands_xml", "xml_cline", "xml_aone"])
def test_a_value_without_framing_newlines(name: str) -> None:
    opening, closing = syntax(name).param
    opening, closing = (tag.replace("{key}", "command").strip() for tag in (opening, closing))
    text = written(name, ("bash", {"command": "ls\npwd"}))
    one = text.replace(f"{opening}\nls\npwd\n{closing}", f"{opening}ls{closing}")
    assert one != text
    assert calls(read(name, one)) == [BASH]
    several = text.replace(f"{opening}\nls\npwd\n{closing}", f"{opening}ls\npwd{closing}")
    assert calls(read(name, several)) == [("bash", {"command": "ls\npwd"})]


@pytest.mark.parametrize("name", ["qwen3_coder", "glm46", "minimax_m2"])
def test_one_newline_on_each_side_is_all_that_framing_takes(name: str) -> None:
    call = ("bash", {"command": "\n\n  ls  \n\n"})
    assert calls(read(name, written(name, call))) == [call]


# -- ends ---------------------------------------------------------------------------------------


@each
def test_a_cut_call_is_never_complete_with_other_arguments(name: str) -> None:
    text = written(name, EDIT, BASH)
    for at in range(len(text)):
        found = tool_format(name).parse(text[:at], TOOLS, truncated=True)
        assert calls(found) == [EDIT, BASH][: len(found.tool_calls)], text[:at]
        assert len(found.tool_calls) < 2
    assert calls(tool_format(name).parse(text, TOOLS))[-1:] == [BASH]


@pytest.mark.parametrize("cut", ["</function", ""])
def test_a_stop_word_may_have_taken_the_closing_tag(cut: str) -> None:
    text = written("openhands_xml", EDIT).replace("</function>", cut)
    assert calls(read("openhands_xml", text)) == [EDIT]
    found = read("openhands_xml", text, truncated=True)
    assert found.tool_calls == ()
    assert [call.name for call in found.incomplete] == ["edit"]


def test_a_stop_word_inside_a_value_completes_nothing() -> None:
    text = written("openhands_xml", EDIT)
    found = read("openhands_xml", text[: text.index("    y")] + "</function")
    assert found.tool_calls == ()


# -- names as tags ------------------------------------------------------------------------------


def test_the_last_closing_tag_of_a_file_wins() -> None:
    content = "<path>\n<content>\nx\n</content>\n</path>\n</content>\n"
    call = ("edit", {"path": "a.xml", "content": content})
    text = written("xml_cline", call)
    assert JOINER not in text
    assert calls(read("xml_cline", text)) == [call]


def test_markup_in_prose_is_no_call() -> None:
    for tools in (TOOLS, None):
        found = read("xml_cline", "Use <b>bold</b> and\n<div>\n<p>text</p>\n", tools=tools)
        assert not found.tool_calls
        assert not found.incomplete


def test_continue_reads_a_block_without_its_fence() -> None:
    text = written("continue_block", EDIT)
    found = read("continue_block", text.removeprefix("```tool\n").removesuffix("```"))
    assert calls(found) == [EDIT]


# -- properties ---------------------------------------------------------------------------------


def own_text(name: str) -> st.SearchStrategy[str]:
    """Text made of a format's tags, of example calls, of newlines and joiners."""
    marks = [tag.strip() for pair in (syntax(name).wrap, syntax(name).call, syntax(name).param)
             for tag in pair if tag]  # fmt: skip
    filled = [
        tag.replace("{name}", tool_name).replace("{key}", key).replace("{string}", "true")
        for tag in marks
        for tool_name, key in (("edit", "content"), ("bash", "command"), ("no", "x"))
    ]
    example = written(name, ("edit", {"path": "p", "content": "a\nb"}))
    pieces = [*filled, *marks, example, "\n", "\n\n", " ", "x", "```", JOINER, "<", "text\n"]
    guarded = [mark[0] + JOINER + mark[1:] for mark in filled]
    return st.lists(st.sampled_from([*pieces, *guarded]), max_size=9).map("".join)


@each
@settings(max_examples=40, deadline=None, derandomize=True, database=None)
@given(data=st.data())
def test_values_of_the_formats_own_tags_come_back(name: str, data: st.DataObject) -> None:
    text = own_text(name)
    arguments = {"path": data.draw(text), "content": data.draw(text), "line": 7}
    said = data.draw(st.just("") | text)
    second = {"command": data.draw(text)}
    sent = message(("edit", arguments), ("bash", second), text=said)
    form = tool_format(name)
    found = form.parse(form.completion(sent, TOOLS) + form.chat.stops[0], TOOLS)
    assert calls(found) == [("edit", arguments), ("bash", second)]
    assert found.content == (said.strip() if form.trims else said)


@each
@settings(max_examples=25, deadline=None, derandomize=True, database=None)
@given(data=st.data())
def test_any_order_of_tags_streams_as_it_is_read(name: str, data: st.DataObject) -> None:
    text = written(name, BASH) + data.draw(own_text(name))
    at = data.draw(st.integers(0, len(text)))
    read(name, data.draw(own_text(name))[:120], truncated=data.draw(st.booleans()))
    form = tool_format(name)
    parser = form.stream(TOOLS)
    deltas = [*parser.feed(text[:at]), *parser.feed(text[at:]), *parser.finish()]
    assert collect(deltas) == form.parse(text, TOOLS)
