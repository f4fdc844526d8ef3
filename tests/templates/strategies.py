"""Adversarial tools, values and messages for any format, and strict equality of JSON values."""

from __future__ import annotations

import json
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from hypothesis import strategies as st

from regreen.core.errors import UsageError
from regreen.templates.guard import JOINER
from regreen.templates.message import ToolCall
from regreen.templates.registry import FORMATS, tool_format
from regreen.templates.tools import tool_table

Pair = tuple[dict[str, Any], Any]
"""A schema and a value that satisfies it."""


def same(left: Any, right: Any) -> bool:
    """Whether two JSON values are equal with the same types."""
    if type(left) is not type(right):
        return False
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    if isinstance(left, list):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, float):
        return repr(left) == repr(right)
    return bool(left == right)


# -- text ---------------------------------------------------------------------------------------

CHARS = st.characters(exclude_categories=("Cs",))
PLAIN = (
    "",
    " ",
    "\n",
    "\n\n",
    "    indented",
    "x = 1\n",
    "null",
    "None",
    "5",
    "true",
    "{}",
    '["a"]',
    '"',
    "'",
    '"""',
    "\\",
    "\\n",
    "\\u0041",
    "`",
    "```",
    "```python\n",
    "```\n",
    "````",
    "<",
    ">",
    "</",
    "{",
    "}",
    "[",
    "]",
    "(",
    ")",
    "=",
    ",",
    ";",
    ":",
    "#",
    "&amp;",
    "\t",
    "\r\n",
    "é",
    "漢字",
    "😀",
    "\u2028",
    JOINER,
)


def texts(marks: Sequence[str] = (), *, size: int = 6) -> st.SearchStrategy[str]:
    """Texts made of marks, on their own lines too, and of what else is easily read wrongly."""
    piece = st.sampled_from(PLAIN) | st.text(CHARS, max_size=6)
    if marks:
        mark = st.sampled_from(list(marks))
        piece = mark | mark.map("\n{}\n".format) | mark.map(lambda text: text[:-1]) | piece
    return st.lists(piece, max_size=size).map("".join)


@cache
def marks_of(name: str) -> tuple[str, ...]:
    """Everything a text can hold that this format could take for its own."""
    form = tool_format(name)
    found = [*form.calls.stems, *form.chat.stops, *form.chat.specials]
    if form.reasoning is not None:
        found += [form.reasoning.open, form.reasoning.close]
        found += [form.reasoning.open.strip(), form.reasoning.close.strip()]
    found += [mark[0] + JOINER + mark[1:] for mark in form.calls.stems]
    for example in examples(name):
        found += [example, *example.splitlines(), *example.splitlines(keepends=True)]
    return tuple(dict.fromkeys(mark for mark in found if mark))


@cache
def examples(name: str) -> tuple[str, ...]:
    """Whole calls as the format writes them."""
    form, found = tool_format(name), []
    for tools in (EXAMPLE_TOOLS, NATIVE):
        table = tool_table(tools)
        for tool in table.tools:
            text = {key: "a\nb" for key in list(tool.types)[:2]}
            try:
                found.append(form.calls.write([ToolCall(tool.name, text)], table))
            except UsageError:
                continue
    return tuple(dict.fromkeys(found))


@cache
def foreign_examples() -> tuple[str, ...]:
    """Whole calls of every format."""
    return tuple(text for name in FORMATS for text in examples(name)[:1])


# -- schemas and values -------------------------------------------------------------------------

FLOATS = st.floats(allow_nan=False, allow_infinity=False)
WHOLE = st.integers() | st.sampled_from([2**63, -(2**64), 10**30, 0, 1])
ANY_VALUE = st.recursive(
    st.none() | st.booleans() | WHOLE | FLOATS | texts(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts(size=2), inner, max_size=3),
    max_leaves=5,
)


def schemas_and_values(strings: st.SearchStrategy[str] | None = None) -> st.SearchStrategy[Pair]:
    """Schemas of every kind, each with a value that satisfies it."""
    strings = texts() if strings is None else strings
    return st.recursive(_simple(strings), lambda inner: _combined(inner, strings), max_leaves=4)


def _simple(strings: st.SearchStrategy[str]) -> st.SearchStrategy[Pair]:
    scalars = {
        "string": strings,
        "integer": WHOLE,
        "number": FLOATS | WHOLE,
        "boolean": st.booleans(),
        "null": st.none(),
        "object": st.dictionaries(strings, ANY_VALUE, max_size=3),
        "array": st.lists(ANY_VALUE, max_size=3),
    }
    plain = st.sampled_from(list(scalars)).flatmap(
        lambda kind: st.tuples(st.just({"type": kind}), scalars[kind])
    )
    text = st.tuples(st.just({"type": "string"}), strings)
    return text | plain | st.tuples(st.just({}), ANY_VALUE)


def _combined(
    inner: st.SearchStrategy[Pair], strings: st.SearchStrategy[str]
) -> st.SearchStrategy[Pair]:
    branches = st.lists(inner, min_size=1, max_size=3)
    union = st.tuples(branches, st.sampled_from(["anyOf", "oneOf"])).map(
        lambda drawn: ({drawn[1]: [pair[0] for pair in drawn[0]]}, drawn[0][-1][1])
    )
    nullable = st.tuples(strings, st.booleans()).map(
        lambda drawn: ({"type": ["string", "null"]}, drawn[0] if drawn[1] else None)
    )
    literals = st.lists(ANY_VALUE, min_size=1, max_size=4).map(
        lambda values: ({"enum": values}, values[0])
    )
    constant = ANY_VALUE.map(lambda value: ({"const": value}, value))
    narrowed = inner.map(lambda pair: ({"allOf": [pair[0], {"description": "more"}]}, pair[1]))
    array = st.lists(inner, min_size=1, max_size=2).map(
        lambda pairs: (
            {"type": "array", "items": {"anyOf": [pair[0] for pair in pairs]}},
            [pair[1] for pair in pairs],
        )
    )
    record = st.dictionaries(KEYS, inner, max_size=2).map(
        lambda pairs: (
            {"type": "object", "properties": {key: pair[0] for key, pair in pairs.items()}},
            {key: pair[1] for key, pair in pairs.items()},
        )
    )
    return union | nullable | literals | constant | narrowed | array | record


NAME_CHARS = string.ascii_lowercase + string.digits + "_"
KEYS = st.sampled_from(["path", "command", "content", "old_str", "new_str", "a", "key"]) | st.text(
    NAME_CHARS, max_size=8
).map(lambda text: "p" + text)
NAMES = st.sampled_from(["bash", "edit", "write_file", "f"]) | st.text(NAME_CHARS, max_size=8).map(
    lambda text: "t" + text
)


def tool(name: str, properties: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    """A tool in OpenAI shape."""
    parameters = {"type": "object", "properties": dict(properties), **more}
    function = {"name": name, "description": f"The tool {name}.", "parameters": parameters}
    return {"type": "function", "function": function}


EXAMPLE_TOOLS = [
    tool(
        "edit",
        {"path": {"type": "string"}, "content": {"type": "string"}, "line": {"type": "integer"}},
    ),
    tool("bash", {"command": {"type": "string"}}),
]

NATIVE = [
    tool("bash", {"command": {"type": "string"}}),
    tool("python", {"code": {"type": "string"}}),
    tool("apply_patch", {"input": {"type": "string"}}),
    tool(
        "str_replace",
        {"path": {"type": "string"}, "old_str": {"type": "string"}, "new_str": {"type": "string"}},
    ),
    tool("write_file", {"path": {"type": "string"}, "content": {"type": "string"}}),
]
"""Tools that some formats have a form of their own for."""

PATCH = "*** Begin Patch\n*** Update File: a.py\n@@\n-x\n+y\n*** Add File: b\n+\n*** End Patch"
USUAL = {
    "command": ["ls -la", "cat <<'EOF'\n```\nEOF", "echo a\necho b\n"],
    "code": ["print(1)", 'x = """\n```\n"""\nprint(x)'],
    "input": [PATCH, PATCH + "\n", "*** Begin Patch\n*** Delete File: a\n*** End Patch"],
    "path": ["a.py", "src/a b.py", "/tmp/é.txt"],
    "old_str": ["x = 1\n", "", "    a\n    b"],
    "new_str": ["x = 2\n", "", "<<<<<<< SEARCH\n=======\n>>>>>>> REPLACE\n"],
    "content": ["x = 1\n", "# no newline"],
}
"""Values such a form is made for, and some that it is not."""


# -- messages -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Case:
    """Tools and an assistant's message that may call them."""

    tools: list[dict[str, Any]]
    message: dict[str, Any]

    @property
    def calls(self) -> list[tuple[str, dict[str, Any]]]:
        """Names and arguments, as sent."""
        functions = [call["function"] for call in self.message.get("tool_calls") or ()]
        return [(function["name"], function["arguments"]) for function in functions]


@cache
def strings_of(name: str, strange: bool) -> st.SearchStrategy[str]:
    """Texts that hold the marks of a format, or calls of every format."""
    return texts((*marks_of(name), *(foreign_examples() if strange else ()))) | texts()


@cache
def _parameters(name: str, strange: bool) -> st.SearchStrategy[dict[str, Pair]]:
    return st.dictionaries(KEYS, schemas_and_values(strings_of(name, strange)), max_size=3)


@st.composite
def cases(draw: st.DrawFn, name: str, *, min_calls: int = 0) -> Case:
    """A message with adversarial text, reasoning and arguments for a format."""
    form, strange = tool_format(name), draw(st.booleans())
    strings = strings_of(name, strange)
    tools, arguments = [], []
    if draw(st.integers(0, 3)) == 0:
        tools = [draw(st.sampled_from(NATIVE))]
        keys = tools[0]["function"]["parameters"]["properties"]
        arguments = [{key: draw(st.sampled_from(USUAL[key]) | strings) for key in keys}]
    else:
        for called in draw(st.lists(NAMES, min_size=1, max_size=2, unique=True)):
            pairs = draw(_parameters(name, strange))
            tools.append(_declared(draw, called, pairs))
            values = {key: pair[1] for key, pair in pairs.items()}
            if not pairs and draw(st.booleans()):  # beside declared ones it may be text of a value
                values["undeclared"] = draw(strings)
            arguments.append(values)
    most = 3 if form.parallel else 1
    picked = draw(st.lists(st.integers(0, len(tools) - 1), min_size=min_calls, max_size=most))
    calls = []
    for number, place in enumerate(picked):
        function = {"name": tools[place]["function"]["name"], "arguments": arguments[place]}
        calls.append({"id": f"call_{number}", "type": "function", "function": function})
    message: dict[str, Any] = {"role": "assistant", "content": draw(st.just("") | strings)}
    if form.reasoning is not None and draw(st.booleans()):
        message["reasoning_content"] = draw(strings)
    if calls:
        message["tool_calls"] = calls
    return Case(tools, message)


def _declared(draw: st.DrawFn, name: str, pairs: Mapping[str, Pair]) -> dict[str, Any]:
    """A tool with these parameters, some behind a reference."""
    properties: dict[str, Any] = {}
    definitions: dict[str, Any] = {}
    for key, (schema, _) in pairs.items():
        if draw(st.integers(0, 4)) == 0:
            definitions[key] = schema
            properties[key] = {"$ref": f"#/$defs/{key}"}
        else:
            properties[key] = schema
    return tool(name, properties, **({"$defs": definitions} if definitions else {}))


@cache
def garbage(name: str) -> st.SearchStrategy[str]:
    """Text made of the format's marks in any order."""
    return texts((*marks_of(name), '{"name": "edit", "arguments": {"path": "x"}}'), size=14)


@st.composite
def conversations(draw: st.DrawFn, name: str) -> tuple[list[dict[str, Any]], Case]:
    """Messages that end where an assistant speaks, and what it says."""
    case = draw(cases(name))
    said = strings_of(name, False)
    messages: list[dict[str, Any]] = []
    if draw(st.booleans()):
        messages.append({"role": "system", "content": draw(said)})
    messages.append({"role": "user", "content": draw(said)})
    for _ in range(draw(st.integers(0, 2))):
        messages.append(_as_sent(case.message))
        calls = case.message.get("tool_calls") or ()
        messages += [
            {"role": "tool", "tool_call_id": call["id"], "content": draw(said)} for call in calls
        ]
        if not calls or draw(st.booleans()):
            messages.append({"role": "user", "content": draw(said)})
    return messages, case


def _as_sent(message: Mapping[str, Any]) -> dict[str, Any]:
    """The message with its arguments as JSON text, as clients send them."""
    calls = [
        {
            **call,
            "function": {
                **call["function"],
                "arguments": json.dumps(call["function"]["arguments"]),
            },
        }
        for call in message.get("tool_calls") or ()
    ]
    return {**message, **({"tool_calls": calls} if calls else {})}
