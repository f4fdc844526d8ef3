"""Every format's grammar takes what the format writes, and what it admits is read back."""

from __future__ import annotations

import random
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
from tests.templates.xgrammar_core import Grammar

from regreen.core.errors import UsageError
from regreen.templates import tool_format
from regreen.templates.calls.tags import TagSyntax
from regreen.templates.registry import FORMATS

each_format = pytest.mark.parametrize("name", sorted(FORMATS))
TEXT = {"type": "string"}
DRAWS = 40


def tool(name: str, required: list[str], properties: dict[str, Any], **more: Any) -> dict[str, Any]:
    schema = {"type": "object", "properties": properties, "required": required, **more}
    return {"type": "function", "function": {"name": name, "parameters": schema}}


TOOLS = [
    tool(
        "write_file",
        ["path", "content"],
        {
            "path": TEXT,
            "content": TEXT,
            "mode": {"enum": ["w", "a"]},
            "lines": {"type": "array", "items": {"type": "integer"}},
        },
    ),
    tool(
        "configure",
        ["level", "settings"],
        {
            "level": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
            "settings": {
                "type": "object",
                "properties": {"flag": {"type": "boolean"}, "tree": {"$ref": "#/$defs/Tree"}},
                "required": ["flag"],
            },
            "ratio": {"type": "number"},
            "force": {"type": "boolean"},
            "label": {"type": "string", "nullable": True},
        },
        **{
            "$defs": {
                "Tree": {
                    "type": "object",
                    "properties": {
                        "name": TEXT,
                        "children": {"type": "array", "items": {"$ref": "#/$defs/Tree"}},
                    },
                    "required": ["name"],
                    "additionalProperties": False,
                }
            }
        },
    ),
    tool("now", [], {}),
]
NATIVE = {
    "bash_block": tool("bash", ["command"], {"command": TEXT}),
    "swe_agent": tool("bash", ["command"], {"command": TEXT}),
    "aider_diff": tool(
        "edit", ["path", "old_str", "new_str"], dict.fromkeys(("path", "old_str", "new_str"), TEXT)
    ),
    "apply_patch": tool("apply_patch", ["input"], {"input": TEXT}),
}
"""The tools of formats that are made for one."""
NATIVE_CALLS = {
    "bash": [
        {"command": "ls -la | head"},
        {"command": "cat <<'EOF' > a.py\nprint(1 << 2)\nEOF\npython a.py"},
    ],
    "python": [{"code": 'for x in [1, 2]:\n    print(x < 2, "</b>")'}],
    "edit": [{"path": "src/a.py", "old_str": "x = 1\n# =======\n", "new_str": ""}],
    "apply_patch": [
        {"input": "*** Begin Patch\n*** Add File: a b\n+x\n*** Delete File: c\n*** End Patch"}
    ],
}
LINES = [
    "x = 1",
    "    if a < b and b > c:",
    'print("it\'s")',
    "",
    "é 漢字 😀",
    "\\n \\",
    "<div>",
    "{}",
    "[1]",
]


def tools_of(name: str) -> list[dict[str, Any]]:
    return [*TOOLS, *([NATIVE[name]] if name in NATIVE else [])]


@cache
def grammar(name: str, **options: Any) -> Grammar:
    return Grammar(tool_format(name).grammar(tools_of(name), **options))


def some_text(rng: random.Random) -> str:
    return "\n".join(rng.choices(LINES, k=rng.randint(1, 4)))


def arguments(called: str, rng: random.Random) -> dict[str, Any]:
    """Valid arguments, in the order of their declaration."""
    if called in NATIVE_CALLS:
        return rng.choice(NATIVE_CALLS[called])
    if called == "now":
        return {}
    if called == "write_file":
        values: dict[str, Any] = {"path": f"src/{rng.randint(0, 9)}.py", "content": some_text(rng)}
        optional: dict[str, Any] = {"mode": rng.choice("wa"), "lines": [1, -2][: rng.randint(0, 2)]}
    else:
        tree = {"name": some_text(rng), "children": [{"name": "leaf"}]}
        values = {
            "level": rng.choice([None, 0, -17, 10**20]),
            "settings": {"flag": True, "tree": tree},
        }
        optional = {
            "ratio": rng.choice([0.5, 3, -1e-07]),
            "force": False,
            "label": rng.choice([None, "x"]),
        }
    return values | {key: value for key, value in optional.items() if rng.random() < 0.6}


def said(*calls: tuple[str, dict[str, Any]], **more: Any) -> dict[str, Any]:
    """An assistant's message."""
    listed = [
        {"id": f"call_{at}", "type": "function", "function": {"name": called, "arguments": given}}
        for at, (called, given) in enumerate(calls)
    ]
    return {"role": "assistant", "content": "", "tool_calls": listed, **more}


def messages(name: str) -> Iterator[dict[str, Any]]:
    """Messages a format can hold, without any of its marks in the texts."""
    form, rng = tool_format(name), random.Random(7)
    names = [each["function"]["name"] for each in tools_of(name)]
    for called in names:
        for content in ("", "I look.\n\n```python\nx = 1\n```\nNow:"):
            yield said((called, arguments(called, rng)), content=content)
    yield {"role": "assistant", "content": "Done: a < b, [1, 2] and {}."}
    if form.parallel:
        yield said(*((called, arguments(called, rng)) for called in [*names, names[0]]))
    if form.reasoning is not None:
        yield said(("now", {}), reasoning_content="Which?\nThat one.", content="Now.")


# -- what a format writes -----------------------------------------------------------------------


@each_format
def test_what_a_format_writes_is_accepted(name: str) -> None:
    form, found = tool_format(name), grammar(name)
    for message in messages(name):
        text = form.completion(message, tools_of(name))
        assert found.accepts(text), found.refused_at(text)
        half = text[: len(text) // 2]
        if message.get("tool_calls") and form.parse(half, tools_of(name)).incomplete:
            assert not found.accepts(half), half


WRONG = [
    pytest.param("launch", {"path": "a", "content": "b"}, id="unknown tool"),
    pytest.param("write_file", {"path": "a"}, id="missing parameter"),
    pytest.param("write_file", {"path": "a", "content": "b", "mode": "x"}, id="not in the enum"),
    pytest.param("write_file", {"path": "a", "content": "b", "lines": ["x"]}, id="wrong item"),
    pytest.param("write_file", {"path": "a", "content": "b", "more": 1}, id="unknown parameter"),
    pytest.param("configure", {"level": "high", "settings": {"flag": True}}, id="wrong type"),
    pytest.param("configure", {"level": 1, "settings": {"flag": "yes"}}, id="wrong inside"),
    pytest.param("configure", {"level": 1, "settings": {}}, id="missing inside"),
    pytest.param("now", {"zone": "UTC"}, id="arguments for none"),
]


@each_format
@pytest.mark.parametrize(("called", "given"), WRONG)
def test_wrong_calls_are_refused(name: str, called: str, given: dict[str, Any]) -> None:
    form, found = tool_format(name), grammar(name)
    for content in ("", "Look."):
        try:
            text = form.completion(said((called, given), content=content), tools_of(name))
        except UsageError:
            return
        if found.accepts(text):  # as prose, where a call of no offered tool is none
            assert form.parse(text, tools_of(name)).tool_calls == (), text


# -- what a grammar admits ----------------------------------------------------------------------


def fits(value: Any, schema: dict[str, Any], root: dict[str, Any]) -> bool:
    """Whether a value satisfies the part of JSON schema that the tools above use."""
    if "$ref" in schema:
        return fits(value, root["$defs"][schema["$ref"].rsplit("/")[-1]], root)
    if "anyOf" in schema:
        return any(fits(value, branch, root) for branch in schema["anyOf"])
    if "enum" in schema:
        return value in schema["enum"]
    if value is None and schema.get("nullable"):
        return True
    kind = schema["type"]
    if kind == "object":
        known = schema.get("properties", {})
        return (
            isinstance(value, dict)
            and set(schema.get("required", ())) <= value.keys() <= known.keys()
            and all(fits(part, known[key], root) for key, part in value.items())
        )
    if kind == "array":
        return isinstance(value, list) and all(fits(part, schema["items"], root) for part in value)
    types = {
        "string": str,
        "integer": int,
        "number": (int, float),
        "boolean": bool,
        "null": type(None),
    }
    return isinstance(value, types[kind]) and (kind == "boolean" or not isinstance(value, bool))


def pieces(name: str) -> tuple[list[str], list[str]]:
    """Texts worth trying when drawing: marks, and beginnings and ends of what the format writes."""
    form = tool_format(name)
    words = [*form.calls.stems, "```", "\n```\n", "\n", "now", "path"]
    for stem in form.calls.stems:
        words += [stem[0] + "/" + stem[1:], f"\n{stem}", stem[:-1], stem[0] + "\u2060" + stem[1:]]
    ends = list(form.chat.specials)
    for message in messages(name):
        text = form.completion(message, tools_of(name))
        for length in (2, 4, 8, 12, 16, 24, 40):
            words += [text[:length], "\n" + text[:length], text[-length:]]
            ends.append(text[-length:])
    words += form.chat.specials
    return sorted(set(words)), sorted(set(ends))


@each_format
def test_what_a_grammar_admits_is_read_without_a_fault(name: str) -> None:
    form, found, (words, ends) = tool_format(name), grammar(name), pieces(name)
    schemas = {each["function"]["name"]: each["function"]["parameters"] for each in tools_of(name)}
    drawn, calls = 0, 0
    for seed in range(DRAWS):
        text = found.draw(random.Random(seed), words, ends, length=160)
        if text is None:
            continue
        drawn += 1
        read = form.parse(text, tools_of(name))
        assert (read.incomplete, read.faults) == ((), ()), text
        for call in read.tool_calls:
            assert fits(call.arguments, schemas[call.name], schemas[call.name]), (text, call)
        calls += len(read.tool_calls)
        if isinstance(form.calls, TagSyntax) and read.tool_calls and not read.reasoning:
            begin = text.index((form.calls.wrap[0] or form.calls.call[0].split("{")[0]).strip())
            opened = text.count(form.calls.param[0].split("{")[0], begin)
            given = sum(len(call.arguments) for call in read.tool_calls)
            assert form.calls.named or opened == given, text
    assert drawn >= DRAWS * 0.7
    assert calls >= 5


# -- what a request may ask ---------------------------------------------------------------------

some_formats = pytest.mark.parametrize("name", ["qwen3_coder", "hermes", "llama4_pythonic"])


@some_formats
def test_a_request_may_choose(name: str) -> None:
    form = tool_format(name)
    prose = form.completion({"role": "assistant", "content": "Well."}, TOOLS)
    now, both = (
        form.completion(said(*calls), TOOLS)
        for calls in ([("now", {})], [("now", {}), ("now", {})])
    )
    write = form.completion(said(("write_file", {"path": "a", "content": "b"})), TOOLS)
    named = {"type": "function", "function": {"name": "now"}}
    taken = {
        choice: [
            Grammar(form.grammar(TOOLS, **options)).accepts(text)
            for text in (prose, now, both, write)
        ]
        for choice, options in {
            "auto": {},
            "none": {"tool_choice": "none"},
            "required": {"tool_choice": "required"},
            "named": {"tool_choice": named},
            "one": {"parallel": False},
        }.items()
    }
    assert taken == {
        "auto": [True, True, True, True],
        "none": [True, False, False, False],
        "required": [False, True, True, True],
        "named": [False, True, True, False],
        "one": [True, True, False, True],
    }


def test_reasoning_that_the_prompt_has_opened_must_be_closed() -> None:
    found = grammar("hermes", in_reasoning=True)
    assert found.accepts("So <tool_call> it is.\n</think>\n\nDone.")
    assert not found.accepts("Done.")


@pytest.mark.parametrize(
    ("choice", "tools"),
    [("any", TOOLS), ({"type": "function", "function": {"name": "no"}}, TOOLS), ("required", None)],
)
def test_a_choice_that_cannot_be_met_is_refused(choice: Any, tools: Any) -> None:
    with pytest.raises(UsageError):
        tool_format("hermes").grammar(tools, tool_choice=choice)


def test_without_tools_there_are_no_calls() -> None:
    found = Grammar(tool_format("hermes").grammar(None))
    assert found.accepts("Hello.")
    assert not found.accepts('<tool_call>\n{"name": "now", "arguments": {}}\n</tool_call>')


def test_a_marker_can_be_written_guarded() -> None:
    found = grammar("qwen3_coder")
    call = "<tool_call>\n<function=write_file>\n<parameter=path>\na\n</parameter>\n"
    call += "<parameter=content>\n"
    close = "\n</parameter>\n</function>\n</tool_call>"
    assert not found.accepts(f"{call}<parameter=x>{close}")
    assert found.accepts(f"{call}<\u2060parameter=x>{close}")
    assert found.accepts(f"{call}</function> </tool_call>{close}")


def test_code_is_a_call_where_a_tool_runs_it() -> None:
    tools = [*TOOLS, tool("python", ["code"], {"code": TEXT})]
    form, found = tool_format("code_act"), Grammar(tool_format("code_act").grammar(tools))
    text = form.completion(said(("python", {"code": "for x in [1, 2]:\n    print(x)"})), tools)
    assert found.accepts(text)
    assert not grammar("code_act").accepts(text)
