"""Completions that are hard to read: values full of a format's marks, and malformed calls.

Each is written without the renderer's guard, from a format's own wire text, so that any registered
format has them; what is right to make of a malformed one is stated with it.
"""

from __future__ import annotations

import random
import re
import sysconfig
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from regreen.templates import ToolFormat
from regreen.templates.calls.tag_spec import TagSpec
from regreen.templates.message import ToolCall
from regreen.templates.tools import ToolTable

TEXT = {"type": "string"}
WHOLE = {"type": "integer"}
SOURCES = (
    "argparse.py",
    "configparser.py",
    "csv.py",
    "html/parser.py",
    "json/decoder.py",
    "shlex.py",
    "string.py",
    "textwrap.py",
    "xml/dom/minidom.py",
    "xml/sax/saxutils.py",
)
SPLIT = re.compile(r"<[^<>]*>|\n|[^<\n]+|<")


def tool(name: str, **properties: Any) -> dict[str, Any]:
    parameters = {"type": "object", "properties": properties}
    function = {"name": name, "description": f"Use {name}.", "parameters": parameters}
    return {"type": "function", "function": function}


@dataclass(frozen=True)
class Kit:
    """Tools a format can call, and where their long text goes."""

    tools: list[dict[str, Any]]
    main: tuple[str, str]
    """The tool and its text parameter that carries the hostile value."""
    first: dict[str, Any] = field(default_factory=dict)
    """Arguments in front of it."""
    last: dict[str, Any] = field(default_factory=dict)
    """Arguments behind it, in some cases."""
    other: tuple[str, str] | None = None
    """Another offered tool."""
    unknown: tuple[str, str] | None = None
    """A tool that is not offered."""

    dress: Callable[[str], str] = str
    """Makes a text one that the tool takes."""

    def call(self, text: str, *, last: bool = False) -> ToolCall:
        name, key = self.main
        text = self.dress(text)
        return ToolCall(name, {**self.first, key: text, **(self.last if last else {})})


COMMON = Kit(
    tools=[tool("edit", path=TEXT, content=TEXT, line=WHOLE), tool("bash", command=TEXT)],
    main=("edit", "content"),
    first={"path": "src/app.py"},
    last={"line": 12},
    other=("bash", "command"),
    unknown=("deploy", "target"),
)


SHELL = Kit(
    tools=[tool("bash", command=TEXT)],
    main=("bash", "command"),
    dress=lambda text: f"cat > src/app.py <<'END'\n{text}\nEND",
)
KITS = {
    "bash_block": SHELL,
    "swe_agent": SHELL,
    "aider_diff": Kit(
        tools=[tool("edit", path=TEXT, search=TEXT, replace=TEXT)],
        main=("edit", "replace"),
        first={"path": "src/app.py", "search": "x = 1\n"},
        dress=lambda text: text + "\n",
    ),
    "apply_patch": Kit(
        tools=[tool("apply_patch", input=TEXT)],
        main=("apply_patch", "input"),
        dress=lambda text: "\n".join(
            [
                "*** Begin Patch",
                "*** Add File: src/app.py",
                *["+" + line for line in text.split("\n")],
                "*** End Patch",
            ]
        ),
    ),
}
"""Kits of the formats that have a form of their own for one tool, by name."""


@dataclass(frozen=True)
class Case:
    """One completion and what is right to make of it."""

    kind: str
    text: str
    calls: tuple[ToolCall, ...]
    """The calls it means."""
    right: frozenset[str] = frozenset({"exact"})
    """Right outcomes: exact, incomplete (none, or some of them), text."""
    content: str | None = None
    """Text that must come back; None when it does not matter."""
    truncated: bool = False
    newline: bool = False
    """Whether a newline at a value's end was lost with what is missing, so that either is right."""


# -- values -------------------------------------------------------------------------------------


@cache
def sources() -> tuple[list[str], ...]:
    root = Path(sysconfig.get_paths()["stdlib"])
    found = [root / name for name in SOURCES]
    return tuple(path.read_text(encoding="utf-8").splitlines() for path in found if path.exists())


def code(draw: random.Random, most: int = 40) -> list[str]:
    """Some lines of a real file."""
    lines = draw.choice(sources())
    size = draw.randint(3, most)
    start = draw.randrange(max(1, len(lines) - size))
    return lines[start : start + size]


@dataclass(frozen=True)
class Wire:
    """A format's marks, taken from calls as it writes them."""

    form: ToolFormat
    kit: Kit
    table: ToolTable

    def write(self, *calls: ToolCall) -> str:
        return self.form.calls.write(calls, self.table, guarded=False)

    def example(self, which: tuple[str, str], text: str) -> str:
        name, key = which
        call = self.kit.call(text) if which == self.kit.main else ToolCall(name, {key: text})
        return self.write(call)

    @property
    def head(self) -> str:
        """Everything in front of the text of a short call of the main tool."""
        return self.write(self.kit.call("VALUE")).partition("VALUE")[0]

    @property
    def tail(self) -> str:
        """Everything behind it."""
        return self.write(self.kit.call("VALUE")).partition("VALUE")[2]

    @property
    def plain(self) -> bool:
        """Whether text stands beside calls as it is, without marks of its own."""
        return "<|channel|>" not in self.head

    @property
    def closers(self) -> list[str]:
        """The marks of the tail, one by one."""
        return self._marks(self.tail)

    @property
    def openers(self) -> list[str]:
        """The marks of the head, one by one."""
        return self._marks(self.head)

    def _marks(self, text: str) -> list[str]:
        tags = [mark for mark in SPLIT.findall(text) if re.fullmatch("<.+>", mark)]
        stems = [stem for stem in self.form.calls.stems if stem in text]
        return tags or stems or [line for line in text.splitlines() if line.strip()]


def insert(draw: random.Random, lines: list[str], block: list[str], where: str) -> str:
    at = {"start": 0, "end": len(lines)}.get(where, draw.randint(1, max(1, len(lines) - 1)))
    return "\n".join([*lines[:at], *block, *lines[at:]])


PLACES = ("start", "middle", "end")


def closer_on_its_line(draw: random.Random, wire: Wire) -> str:
    mark = draw.choice(wire.closers).strip()
    pad = draw.choice(("", "", "    "))
    return insert(draw, code(draw), [pad + mark], draw.choice(PLACES))


def closers_on_their_lines(draw: random.Random, wire: Wire) -> str:
    block = wire.tail.strip("\n").splitlines()
    return insert(draw, code(draw), block[: draw.randint(1, len(block))], draw.choice(PLACES))


def mention(draw: random.Random, wire: Wire) -> str:
    lines = code(draw)
    for _ in range(draw.randint(1, 4)):
        mark = draw.choice([*wire.closers, *wire.openers]).strip()
        note = draw.choice(("# a value ends at {}", 'MARK = "{}"', "    text.split('{}')  # why"))
        lines.insert(draw.randrange(len(lines)), note.replace("{}", mark))
    return "\n".join(lines)


def fragment(draw: random.Random, wire: Wire) -> str:
    """The beginning or the rest of a call, without its counterpart."""
    block = draw.choice((wire.head, wire.tail)).strip("\n").splitlines()
    if draw.random() < 0.5:
        at = draw.randrange(len(block))
        block = draw.choice((block[: at + 1], block[at:]))
    return insert(draw, code(draw), block, draw.choice(PLACES))


def opener_last(draw: random.Random, wire: Wire) -> str:
    block = wire.head.strip("\n").splitlines()
    return insert(draw, code(draw), block[: draw.randint(1, len(block))], "end")


def example_of(pick: Callable[[Kit], tuple[str, str] | None]) -> Callable[..., str]:
    def made(draw: random.Random, wire: Wire) -> str:
        which = pick(wire.kit) or wire.kit.main
        block = wire.example(which, "\n".join(code(draw, 5))).splitlines()
        if draw.random() < 0.4:
            block = ["```xml", *block, "```"]
        return insert(draw, code(draw), block, draw.choice(PLACES))

    return made


def document(draw: random.Random, wire: Wire) -> str:
    """A page that explains the format."""
    example = wire.write(wire.kit.call("print('hello')", last=True))
    marks = ", ".join(f"`{mark.strip()}`" for mark in [*wire.openers, *wire.closers])
    rows = ["# Calling tools", "", f"The marks are {marks}.", "", "```", example, "```", ""]
    rows += ["A longer example:", "", "````md", "```", *code(draw, 8), "```", example, "````"]
    return "\n".join(rows)


def fences(draw: random.Random, wire: Wire) -> str:
    mark = draw.choice(wire.closers).strip()
    inner = ["```python", *code(draw, 6), mark, "```"]
    return insert(draw, code(draw, 10), ["````", *inner, "````", "```"], draw.choice(PLACES))


def dressed(draw: random.Random, wire: Wire) -> str:
    """Examples in examples."""
    inner = wire.write(wire.kit.call("\n".join(code(draw, 4))))
    return "\n".join([*code(draw, 5), wire.write(wire.kit.call(inner)), *code(draw, 5)])


def test_of_parser(draw: random.Random, wire: Wire) -> str:
    """Python that holds calls in strings."""
    example = wire.write(wire.kit.call("x = 1"))
    rows = [*code(draw, 6), 'EXAMPLE = """\\', example, '"""', "", f"CLOSERS = {wire.closers!r}"]
    return "\n".join([*rows, *code(draw, 6), ""])


VALUES: dict[str, Callable[[random.Random, Wire], str]] = {
    "a closing mark on its line": closer_on_its_line,
    "closing marks on their lines": closers_on_their_lines,
    "marks in a line": mention,
    "part of a call": fragment,
    "an opening at the end": opener_last,
    "a call of the same tool": example_of(lambda kit: kit.main),
    "a call of another tool": example_of(lambda kit: kit.other),
    "a call of an unknown tool": example_of(lambda kit: kit.unknown),
    "a page about the format": document,
    "fences in fences": fences,
    "calls in calls": dressed,
    "tests of a parser": test_of_parser,
}


def hostile(wire: Wire, draw: random.Random, count: int) -> Iterator[Case]:
    """Well-formed completions whose values hold the format's marks."""
    form = wire.form
    for number in range(count):
        kind = list(VALUES)[number % len(VALUES)]
        make = VALUES[kind]
        many = 2 if form.parallel and draw.random() < 0.25 else 1
        calls = tuple(
            wire.kit.call(make(draw, wire), last=draw.random() < 0.5) for _ in range(many)
        )
        said = draw.choice(("", "I will write the file.")) if wire.plain else ""
        front = said + form.calls.lead if said or form.leads else ""
        end = draw.choice((form.chat.stops[0], ""))
        yield Case(kind, front + wire.write(*calls) + end, calls, content=said)


# -- malformed ----------------------------------------------------------------------------------

EXACT = frozenset({"exact"})
INCOMPLETE = frozenset({"incomplete", "text"})
EITHER = EXACT | INCOMPLETE
LITERAL = frozenset({"text"})


def malformed(wire: Wire, draw: random.Random, count: int) -> Iterator[Case]:
    """Calls with one thing wrong."""
    makers = [every_format]
    if isinstance(wire.form.calls, TagSpec):
        makers.append(tag_formats)
    elif '": "' in wire.head:
        makers.append(json_formats)
    made = 0
    while made < count:
        value = "\n".join(code(draw, 12)).strip("\n")
        for maker in makers:
            for case in maker(wire, draw, value):
                yield case
                made += 1


def every_format(wire: Wire, draw: random.Random, value: str) -> Iterator[Case]:
    form, call = wire.form, wire.kit.call(value)
    text = wire.write(call)
    one = (call,)
    for _ in range(6):
        cut = draw.randrange(1, len(text))
        yield Case("cut anywhere", text[:cut], one, EITHER, truncated=True)
    cut = len(text) - draw.randrange(1, len(wire.tail))
    yield Case("cut in the closing marks", text[:cut], one, EITHER, truncated=True)
    if not wire.plain:
        return
    yield Case("text behind the call", f"{text}\n\nI wrote it.", one)
    if form.reasoning is not None:
        opening, closing = form.reasoning.open, form.reasoning.close
        inside = f"{opening}I could write\n{text}\nbut no.{closing}Done."
        yield Case("in closed reasoning", inside, (), LITERAL, content="Done.")
        yield Case("in open reasoning", f"{opening}I will write it.\n{text}", one)
    if form.parallel:
        second = wire.kit.call("\n".join(code(draw, 6)))
        both = text + "\nNow the other.\n" + wire.write(second)
        yield Case("text between calls", both, (call, second))
    mark = draw.choice([*wire.openers, *wire.closers]).strip()
    prose = f"Use {mark} for that, and no tool here.\nIt is `{wire.openers[0].strip()}`."
    yield Case("marks in prose", prose, (), LITERAL, content=prose)


def tag_formats(wire: Wire, draw: random.Random, value: str) -> Iterator[Case]:
    spec = wire.form.calls
    assert isinstance(spec, TagSpec)
    name, key = wire.kit.main
    call = wire.kit.call(value, last=True)
    text = wire.write(call)
    param = spec.param[1].replace("{key}", key).strip("\n")
    close = spec.call[1].replace("{name}", name).strip("\n")
    around = spec.wrap[0].strip("\n"), spec.wrap[1].strip("\n")
    one = (call,)
    if around[0]:
        yield Case("no opening wrapper", text.replace(around[0], "", 1).lstrip("\n"), one)
        yield Case("no closing wrapper", cut_last(text, around[1]), one)
        yield Case("closing wrapper twice", text + "\n" + around[1], one)
    if close:
        lenient = EXACT if around[1] else EITHER  # else nothing says that the call is over
        yield Case("no closing tag of the call", cut_last(text, close), one, lenient)
        yield Case("closing tag of the call twice", double_last(text, close), one)
        if around[1]:
            bare = cut_last(cut_last(text, around[1]), close)
            yield Case("neither closing tag of the call", bare, one, EITHER)
        opening = spec.call[0].replace("{name}", name).strip("\n")
        if opening != around[0]:
            yield Case("no opening tag of the call", text.replace(opening, "", 1), (), INCOMPLETE)
    yield Case("closing tag of a parameter twice", text.replace(param, f"{param}\n{param}", 1), one)
    yield Case("no closing tag of the last parameter", cut_last(text, param), one, newline=True)
    middle = cut_nth(text, param, 1)
    yield Case("no closing tag of a parameter", middle, one, newline=True)
    rest = cut_last(cut_last(text, param), close) if close else cut_last(text, param)
    rest = cut_last(rest, around[1]) if around[1] else rest
    yield Case("no closing tag at all", rest, one, INCOMPLETE)
    if wire.form.parallel and close and not spec.grouped:
        second = wire.kit.call("\n".join(code(draw, 6)))
        ends = cut_last(cut_last(text, around[1]) if around[1] else text, close).rstrip("\n")
        yield Case("an open call, then another", ends + "\n" + wire.write(second), (call, second))
    if '"' in spec.param[0] + spec.call[0]:
        for mark in ("'", ""):
            loose = re.sub(r'(name)="([^"<>]*)"', rf"\1={mark}\2{mark}", text)
            yield Case("other quotes", loose, one)


def json_formats(wire: Wire, draw: random.Random, value: str) -> Iterator[Case]:
    call = wire.kit.call(value, last=True)
    text = wire.write(call)
    one = (call,)
    at = text.rindex("}")
    yield Case("a comma behind the last argument", text.replace("12}", "12,}", 1), one)
    yield Case("a missing brace", text[:at] + text[at + 1 :], one, EITHER)
    yield Case("a brace too many", text[:at] + "}" + text[at:], one, EITHER)
    yield Case("an open string", text.replace('", "line"', ', "line"', 1), one, INCOMPLETE)
    yield Case("Python's quotes", text.replace('"line"', "'line'"), one, EITHER)
    lines = re.sub(r"(?<!\\)\\n", "\n", text)
    yield Case("newlines in a string", lines, one, EITHER)


def cut_last(text: str, mark: str) -> str:
    """``text`` without the last ``mark`` and the line it leaves empty."""
    before, _, behind = text.rpartition(mark)
    return before + (behind.removeprefix("\n") if before.endswith("\n") else behind)


def cut_nth(text: str, mark: str, place: int) -> str:
    parts = text.split(mark)
    before, behind = mark.join(parts[: place + 1]), mark.join(parts[place + 1 :])
    return before + (behind.removeprefix("\n") if before.endswith("\n") else behind)


def double_last(text: str, mark: str) -> str:
    before, _, behind = text.rpartition(mark)
    return f"{before}{mark}\n{mark}{behind}"
