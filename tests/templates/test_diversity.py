"""Draws: fixed by seed and id, even, never a held-out format, and readable again."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from regreen.core.errors import UsageError
from regreen.templates import FORMATS, tool_format
from regreen.templates.definitions.outline import outline
from regreen.templates.diversity.draw import (
    STYLES,
    DiversityConfig,
    Draw,
    draw,
    drawn_format,
    permits,
)
from regreen.templates.diversity.families import family, hold_out, shown_alike
from regreen.templates.diversity.probes import native
from regreen.templates.diversity.schema_style import SCHEMA_STYLES, restyle
from regreen.templates.diversity.statistics import draw_statistics, entropy
from regreen.templates.diversity.wording import RESULTS, WORDINGS
from regreen.templates.reference import reference_page
from regreen.templates.tools import tool_table

TOOLS: list[dict[str, Any]] = [
    {
        "type": "function",
        "function": {
            "name": name,
            "description": f"Does {name}.",
            "parameters": {
                "type": "object",
                "properties": {
                    "path": {"type": "string", "description": f"Where to {name}."},
                    "options": {
                        "type": "object",
                        "properties": {"depth": {"type": "integer", "description": "How far."}},
                        "required": ["depth"],
                    },
                },
                "required": ["path"],
            },
        },
    }
    for name in ("bash", "view", "edit", "search", "submit")
]
IDS = [f"task-{number}#agent#0" for number in range(300)]


def test_a_draw_depends_on_seed_and_id_only() -> None:
    config = DiversityConfig(seed=3)
    forward = [draw(config, one) for one in IDS]
    backward = [draw(config, one) for one in reversed(IDS)]

    assert forward == backward[::-1]
    assert forward != [draw(DiversityConfig(seed=4), one) for one in IDS]


def test_another_process_draws_the_same() -> None:
    code = (
        "from regreen.templates.diversity.draw import *\n"
        "print([str(draw(DiversityConfig(seed=1), f't{i}')) for i in range(20)])"
    )
    said = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout

    assert said.strip() == str([str(draw(DiversityConfig(seed=1), f"t{i}")) for i in range(20)])


def test_the_order_of_names_in_the_configuration_does_not_matter() -> None:
    names = {"native": 1.0, "yaml": 2.0, "prose": 3.0}
    one = DiversityConfig(definitions=names)
    other = DiversityConfig(definitions=dict(reversed(names.items())))

    assert [draw(one, name) for name in IDS] == [draw(other, name) for name in IDS]


def test_every_axis_varies_and_weights_are_kept() -> None:
    config = DiversityConfig(formats={"qwen3_coder": 1.0}, definitions={"native": 1, "yaml": 3})
    found = draw_statistics((draw(config, one), 7) for one in IDS)

    assert found.total == len(IDS)
    assert 0.65 < found.axes["definitions"]["yaml"] / found.total < 0.85
    assert set(found.axes["schema"]) == set(SCHEMA_STYLES)
    assert set(found.axes["results"]) == {"native", *RESULTS}
    assert set(found.axes["chat"]) == {"native", "chatml"}
    assert found.axes["order"] == {"shuffled": len(IDS)}
    assert found.sizes == {"qwen3_coder": 7 * len(IDS)}
    assert sum(found.pairs["definitions x schema"].values()) == found.total
    assert json.loads(json.dumps(found.as_json()))["entropy_bits"]["order"] == 0
    assert {row[0] for row in found.table()} == set(found.axes)


def test_entropy_is_in_bits() -> None:
    assert entropy({"a": 4, "b": 4, "c": 4, "d": 4}) == pytest.approx(2)
    assert entropy({"a": 9}) == 0


def test_held_out_formats_are_never_drawn() -> None:
    if len(FORMATS) < 2:
        pytest.skip("one format only")
    held = hold_out(FORMATS, 0.3)
    wrappers = dict.fromkeys(["native", *FORMATS], 1.0)
    config = DiversityConfig(held_out=held, results=wrappers)
    for one in IDS:
        choice = draw(config, one)
        assert choice.calls not in held
        assert choice.results not in held


def test_a_name_is_held_out_whatever_stands_beside_it() -> None:
    names = [f"format{number}" for number in range(60)]
    held = set(hold_out(names, 0.25, str))

    assert 5 <= len(held) <= 25
    assert set(hold_out(names[:40], 0.25, str)) == held & set(names[:40])
    assert hold_out(["a", "b"], 0.0, str) == ()
    assert len(hold_out(["a", "b"], 1e-9, str)) == 1
    assert len(hold_out(["a", "b"], 1.0, str)) == 1


@pytest.mark.parametrize("share", [1.5, -0.1, float("nan"), float("inf")])
def test_what_is_no_share_is_refused(share: float) -> None:
    with pytest.raises(UsageError, match="no share") as refused:
        hold_out(FORMATS, share)
    assert len(refused.value.lines()) == 3


def test_formats_with_the_same_calls_are_one_family() -> None:
    families: dict[str, set[str]] = {}
    for name in FORMATS:
        families.setdefault(family(name), set()).add(name)

    assert {frozenset(names) for names in families.values() if len(names) > 1} == {
        frozenset({"qwen3_coder", "qwen3_coder_next", "qwen3_xml_mixed"}),
        frozenset({"glm46", "glm47"}),
        frozenset({"hermes", "qwen25_coder"}),
        frozenset({"deepseekr1", "deepseekv3"}),
        frozenset({"llama4_pythonic", "toolace"}),
    }
    assert family("glm45") == "glm46"
    assert family("regreen.templates.formats.glm47:FORMAT") == "glm46"


@pytest.mark.parametrize("share", [0.1, 0.2, 0.4, 0.6, 0.8])
def test_a_share_holds_out_whole_families(share: float) -> None:
    held = set(hold_out(FORMATS, share))

    assert not {family(name) for name in held} & {family(name) for name in set(FORMATS) - held}


@pytest.mark.parametrize("held", ["qwen3_xml_mixed", "hermes", "swe_agent", "react", "deepseekv32"])
def test_nothing_that_a_held_out_format_teaches_is_drawn(held: str) -> None:
    config = DiversityConfig(held_out=(held,))
    words = shown_alike(tool_format(held).results)
    for one in IDS:
        choice = draw(config, one)
        assert family(choice.calls) != family(held)
        assert shown_alike(drawn_format(str(choice)).results) != words


def test_a_wrapper_that_is_held_out_is_kept_where_nothing_else_may_be_drawn() -> None:
    config = DiversityConfig(
        formats={"glm46": 1}, held_out=("hermes",), results={"native": 1, "tool_response": 1}
    )

    assert {draw(config, one).results for one in IDS} == {"native"}


def test_a_wrapper_without_words_belongs_to_nobody() -> None:
    config = DiversityConfig(formats={"mistral3": 1}, held_out=("llama3_json",))

    assert "native" in {draw(config, one).results for one in IDS}


@pytest.mark.parametrize(
    "wrong",
    [
        {"formats": {"no_such_format": 1}},
        {"held_out": ("no_such_format",)},
        {"definitions": {"runes": 1}},
        {"schemas": {"full": -1}},
        {"results": {"native": 0}},
        {"wordings": {999: 1}},
        {"held_out": tuple(FORMATS)},
        {"formats": {"qwen3_coder": 1}, "held_out": ("qwen3_xml_mixed",)},
        {"held_out": ("hermes",), "results": {"hermes": 1}},
        {"held_out": ("hermes",), "results": {"tool_response": 1, "native": 0}},
        {"results": {}},
        {"chats": {"native": float("nan")}},
        {"formats": {"hermes": float("inf")}},
        {"formats": {"hermes": 1e308, "glm46": 1e308}},
        {"wordings": {0: float("nan"), 1: 1.0}},
    ],
)
def test_a_configuration_that_cannot_be_drawn_from_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        DiversityConfig(**wrong)


@pytest.mark.parametrize("text", ["", "x[y=1]", "x[wording=no]", "x[schema=full", "x[]]"])
def test_what_names_no_draw_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        Draw.read(text)


@pytest.mark.parametrize(
    "text",
    [
        "qwen3_coder[definitions=runes]",
        "qwen3_coder[schema=runes]",
        "qwen3_coder[results=runes]",
        "qwen3_coder[chat=runes]",
        "qwen3_coder[wording=99]",
        f"qwen3_coder[definitions=yaml,wording={len(WORDINGS)}]",
    ],
)
def test_an_unknown_choice_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=rf"runes|there is no wording {len(WORDINGS)}|wording 99"):
        drawn_format(text)


DRAWS = st.builds(
    Draw,
    calls=st.sampled_from(sorted(FORMATS)),
    definitions=st.sampled_from(["native", *STYLES]),
    wording=st.integers(0, len(WORDINGS) - 1),
    schema=st.sampled_from(sorted(SCHEMA_STYLES)),
    order=st.integers(0, 1 << 20),
    results=st.sampled_from(["native", *RESULTS]),
    chat=st.sampled_from(["native", "chatml"]),
)


@settings(deadline=None, max_examples=200)
@given(choice=DRAWS)
def test_a_draw_is_read_back_from_its_text(choice: Draw) -> None:
    assert Draw.read(str(choice)) == choice


@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 10_000), number=st.integers(0, 1000))
def test_calls_of_a_drawn_format_read_back_and_its_block_names_the_tools(
    seed: int, number: int
) -> None:
    choice = draw(DiversityConfig(seed=seed), f"task-{number}")
    form = drawn_format(str(choice))
    if not permits(choice.calls).definitions:
        assert choice.definitions == "native"
        return
    call = {"path": "a\nb", "options": {"depth": 3}}
    message = {
        "role": "assistant",
        "content": "Now.",
        "tool_calls": [{"id": "call_0", "function": {"name": "edit", "arguments": call}}],
    }
    tools = tool_table(TOOLS)
    read = form.parse(form.completion(message, tools) + form.chat.stops[0], tools)
    assert [(one.name, one.arguments) for one in read.tool_calls] == [("edit", call)]
    block = form.definitions(tools)
    assert all(tool.name in block for tool in tools.tools)
    text = form.render([{"role": "user", "content": "Mend it."}, message], tools)
    assert "Mend it." in text
    assert block in text


def test_a_registered_name_is_the_format_itself() -> None:
    assert drawn_format("qwen3_coder") is tool_format("qwen3_coder")
    assert Draw.read("qwen3_xml").calls == "qwen3_coder"


def test_tools_are_shuffled_by_the_seed_of_the_draw() -> None:
    tools = tool_table(TOOLS)
    orders = set()
    for order in range(1, 30):
        block = drawn_format(str(Draw("qwen3_coder", order=order))).definitions(tools)
        orders.add(tuple(sorted((t.name for t in tools.tools), key=lambda n: block.find(f">{n}<"))))

    assert len(orders) > 15


@pytest.mark.parametrize("style", SCHEMA_STYLES)
def test_a_schema_style_keeps_names_and_types(style: str) -> None:
    tools = tool_table(TOOLS)
    for tool, shown in zip(tools.tools, restyle(tools, style).tools, strict=True):
        assert shown.name == tool.name
        kinds = {entry.name: entry.kinds for entry in outline(shown)}
        assert kinds == {entry.name: entry.kinds for entry in outline(tool)}
        text = json.dumps(shown.declared)
        assert "path" in text
        assert "depth" in text
        assert ("How far." in text) is (style not in {"undescribed", "bare"})
        assert (shown.parameters.get("required") == ["path"]) is (style != "required_in_prose")


def test_every_wording_stands_around_the_tools_and_an_example() -> None:
    tools = tool_table(TOOLS)
    blocks = {
        drawn_format(str(Draw("qwen3_coder", definitions="markdown", wording=i))).definitions(tools)
        for i in range(len(WORDINGS))
    }

    assert len(blocks) == len(WORDINGS)
    assert all("### `bash`" in block for block in blocks)
    assert all("<function=example_tool>\n<parameter=first>" in block for block in blocks)


def test_formats_with_a_form_for_one_kind_of_call_keep_their_definitions() -> None:
    kinds = {name: probe.calls[0].name for name in FORMATS if (probe := native(tool_format(name)))}

    assert kinds["bash_block"] == "bash"
    assert kinds["aider_diff"] == "edit"
    assert kinds["apply_patch"] == "apply_patch"
    assert not {"qwen3_coder", "hermes", "glm46", "kimik2", "gemma4", "toolace"} & set(kinds)
    for name in FORMATS:
        assert permits(name).definitions is (name not in kinds)
    config = DiversityConfig(formats={"bash_block": 1}, definitions={"yaml": 1})
    choice = draw(config, "one")
    assert (choice.definitions, choice.schema, choice.order) == ("native", "full", 0)


def test_the_shown_configuration_can_be_drawn_from() -> None:
    page = reference_page().partition("```toml\n")[2].partition("```")[0]
    config = DiversityConfig.model_validate(tomllib.loads(page)["diversity"])

    assert {draw(config, one).definitions for one in IDS} == {"native", "markdown"}
    shown = reference_page().rpartition("`hermes[")[2].partition("`")[0]
    assert Draw.read(f"hermes[{shown}").definitions == "markdown"


def test_nothing_is_called_optional_that_prose_calls_required() -> None:
    config = DiversityConfig(schemas={"required_in_prose": 1})
    seen = set()
    for one in IDS:
        choice = draw(config, one)
        block = drawn_format(str(choice)).definitions(tool_table(TOOLS))
        seen.add(choice.schema)
        if choice.schema == "required_in_prose":
            assert "Required: path." in block
            assert "optional" not in block.partition("How far.")[0]
            assert "path?" not in block
            assert 'required="false"' not in block
            assert "path: str = ..." not in block

    assert seen == {"full", "required_in_prose"}
