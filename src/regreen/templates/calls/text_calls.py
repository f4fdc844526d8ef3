"""Calls as text a person might write: a block for the one tool the format is made for.

Such a format has no general way to call tools. Its native tool is found by shape among those
offered, and a call of it is written in the form the format is known for if that form can hold it.
Every other call is a shell command in a fenced block that reads its arguments as JSON; so nothing
inside a value ever has to be escaped.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from regreen.templates.calls.fences import TICKS, FenceLine, fence_line
from regreen.templates.calls.literals import value
from regreen.templates.grammar.parts import CallGrammar, Format
from regreen.templates.grammar.text_calls import text_calls
from regreen.templates.guard import guarded
from regreen.templates.message import ToolCall
from regreen.templates.source import Source, Steps
from regreen.templates.tools import Tool, ToolTable

__all__ = [
    "Native",
    "NativeForm",
    "Shape",
    "TextReader",
    "TextSyntax",
    "begin_call",
    "end_call",
]

_COMMAND = re.compile(r"([^\s<]{1,128})[ \t]*<<-?[ \t]*(['\"]?)JSON\2[ \t\r]*\n")
_COMMAND_GROWING = re.compile(
    r"[^\s<]{0,128}[ \t]*+(?:<<?-?[ \t]*+['\"]?J?S?O?N?['\"]?[ \t\r]*+)?\Z"
)


class Native(NamedTuple):
    """The native tool of a request."""

    name: str
    """As it is called."""
    keys: tuple[str, ...]
    """Its parameters, in the order of the form's values."""


@dataclass(frozen=True)
class Shape:
    """How a native tool is known."""

    roles: tuple[tuple[str, ...], ...]
    """For each value of the form, the names its parameter may have."""
    names: tuple[str, ...]
    """Names preferred where several tools fit."""
    default: Native
    """What is called when the request names no tools."""

    def find(self, tools: ToolTable) -> Native | None:
        """The native tool among those offered."""
        if not tools.tools:
            return self.default
        found = [native for tool in tools.tools if (native := self._fit(tool))]
        preferred = [native for name in self.names for native in found if native.name == name]
        return next(iter([*preferred, *found]), None)

    def _fit(self, tool: Tool) -> Native | None:
        types = tool.types
        keys = tuple(
            next((key for key in role if key in types and types[key].text), "")
            for role in self.roles
        )
        required = tool.parameters.get("required")
        needed = types if not isinstance(required, list) else required
        fits = all(keys) and set(needed) <= set(keys)
        return Native(tool.name, keys) if fits else None


class NativeForm(Protocol):
    """The form a format is known for."""

    @property
    def shape(self) -> Shape:
        """How its tool is known."""
        ...

    @property
    def openers(self) -> tuple[str, ...]:
        """Marks it begins with, beside a fence; each begins a line."""
        ...

    @property
    def shell(self) -> tuple[str, ...]:
        """Info strings of the blocks that hold other calls; the first is written."""
        ...

    def write(self, values: Sequence[str]) -> str:
        """A native call; empty when the form cannot hold it."""
        ...

    def read(
        self, source: Source, at: int, line: FenceLine | None, native: Native, *, named: bool
    ) -> Steps[bool]:
        """Read native calls from the candidate at ``at``; see ``CallReader``.

        ``line`` is the fence there, or the one below the line there; None for another mark.
        ``named`` is whether it is the one below, with a whole line above it.
        """
        ...

    def structure(self) -> tuple[Format, tuple[str, ...]]:
        """The grammar of a native call, and what text beside calls must not hold."""
        ...


@dataclass(frozen=True)
class TextSyntax:
    """A call syntax of blocks; see ``CallSyntax``."""

    form: NativeForm
    """The native form."""
    named: bool = False
    """Whether a native block is named by the line above its fence."""

    @property
    def lead(self) -> str:
        """A blank line."""
        return "\n\n"

    @property
    def stems(self) -> tuple[str, ...]:
        """Fences and the form's own marks."""
        return (TICKS, *self.form.openers)

    def write(self, calls: Sequence[ToolCall], tools: ToolTable, *, guarded: bool = False) -> str:
        """The calls, each a block; see ``CallSyntax``. Values never need a guard."""
        native = self.form.shape.find(tools)
        return "\n\n".join(self._call(call, native, tools) for call in calls)

    def _call(self, call: ToolCall, native: Native | None, tools: ToolTable) -> str:
        if native is not None and call.name == native.name:
            values = [call.arguments.get(key) for key in native.keys]
            texts = [item for item in values if isinstance(item, str)]
            if len(texts) == len(values) == len(call.arguments):
                written = "" if _command_of(texts[0], tools) else self.form.write(texts)
                if written:
                    return written
        body = json.dumps(call.arguments, ensure_ascii=False)
        return f"{TICKS}{self.form.shell[0]}\n{call.name} <<'JSON'\n{body}\nJSON\n{TICKS}"

    def reader(self, tools: ToolTable) -> TextReader:
        """A reader of such calls; see ``CallSyntax``."""
        return TextReader(self, tools)

    def structure(self, tools: ToolTable) -> CallGrammar:
        """The grammar; see ``CallSyntax``."""
        return text_calls(self, tools)


def _command_of(text: str, tools: ToolTable) -> bool:
    """Whether a block that holds ``text`` would be read as a call of the general form."""
    match = _COMMAND.match(text + "\n")
    return match is not None and tools.offers(match[1])


class TextReader:
    """Reads the calls of one completion; see ``CallReader``.

    Fences of the text are followed too: a block that stands inside another is an example.

    Args:
        syntax: the blocks.
        tools: the tools offered.
    """

    def __init__(self, syntax: TextSyntax, tools: ToolTable) -> None:
        self._form = syntax.form
        self._tools = tools
        self._native = syntax.form.shape.find(tools)
        self._open = 0
        """Backticks of the fence of the text that is open."""
        self.stems = syntax.stems
        marks = [re.escape(mark) for mark in syntax.stems]
        if syntax.named:
            marks.insert(0, rf"(?P<F>(?:(?<=\n)|\A)[^\s`]{{1,200}}\n{TICKS})")
        guards = f"(?P<G>{guarded(self.stems)})"
        self.opener = re.compile("|".join([*marks, guards]))
        self.guards = re.compile(guards)
        self._name_growing = re.compile(r"(?:(?<=\n)|\A)[^\s`]{1,200}(?:\n`{0,2})?\Z")
        self._named = syntax.named

    def keep(self, text: str, *, midline: bool) -> int:
        """Where ``text`` must be held back, because the line above a block may be growing."""
        if self._named:
            match = self._name_growing.search(text)
            if match and not (midline and match.start() == 0):
                return match.start()
        return len(text)

    def read(self, source: Source, at: int, *, sure: bool) -> Steps[bool]:
        """Read the calls that begin at ``at``; see ``CallReader``."""
        native, fence = self._native, source.text.find(TICKS, at)
        if self._form.openers and source.text.startswith(self._form.openers, at):
            if native is None or self._open or not sure:
                return False
            return (yield from self._form.read(source, at, None, native, named=False))
        line = (yield from fence_line(source, fence)) if sure or fence > at else None
        if line is None or self._foreign(line):
            return False
        call = yield from self._command(source, line)
        if call is not None:
            source.emit("content", source.text[: fence - 1] if fence > at else "")
            source.drop(call.start())
            yield from self._read_command(source, call)
            return True
        if native is not None:
            named = sure and fence > at
            if (yield from self._form.read(source, at, line, native, named=named)):
                return True
        self._open = line.run
        return False

    def _foreign(self, line: FenceLine) -> bool:
        """Whether a fence belongs to an open block of the text, which it may close."""
        inside = self._open > 0
        if inside and not line.info and line.run >= self._open:
            self._open = 0
        return inside

    # -- calls of the general form ------------------------------------------------------------

    def _command(self, source: Source, line: FenceLine) -> Steps[re.Match[str] | None]:
        """The first line of a block that is a call of an offered tool with its arguments."""
        if line.info not in self._form.shell:
            return None
        at = line.end + 1
        while True:
            match = _COMMAND.match(source.text, at)
            if match is not None:
                if not self._tools.offers(match[1]):
                    return None
                place = yield from source.word(match.end())
                return match if source.text.startswith("{", place) else None
            if source.ended or not _COMMAND_GROWING.match(source.text, at):
                return None
            yield

    def _read_command(self, source: Source, call: re.Match[str]) -> Steps[None]:
        source.drop(call.end() - call.start())
        index = begin_call(source, call[1])
        whole = yield from value(
            source,
            lambda piece: source.emit("arguments", piece, index),
            fault=lambda what: source.emit("fault", what, 0),
        )
        place = yield from source.word(0)
        while "JSON".startswith(source.text[place:]) and not source.ended:
            yield
        if source.text.startswith("JSON", place):
            source.drop(place + len("JSON"))
        elif whole and place < len(source.text):
            source.emit("fault", "no end of the here-document", 0)
        closed = yield from self._skip(source, whole)
        reason = "the arguments are not whole" if not whole else "the block is not closed"
        yield from end_call(source, index, "" if whole and closed else reason)

    def _skip(self, source: Source, whole: bool) -> Steps[bool]:
        """Drop the rest of a block; whether it is closed."""
        first = True
        while True:
            place = yield from source.word(0)
            if place == len(source.text):
                source.drop(place)
                return False
            line = None
            if "\n" in source.text[:place]:
                line = yield from fence_line(source, place)
            if line is not None and not line.info:
                source.drop(line.end)
                return True
            if first and whole:
                source.emit("fault", "text behind the arguments of a call", 0)
            first = False
            while (end := source.text.find("\n", place)) < 0 and not source.ended:
                yield from source.until("\n")
            source.drop(end if end >= 0 else len(source.text))


def begin_call(source: Source, name: str) -> int:
    """Say that a call begins; returns its index."""
    index = source.calls
    source.calls += 1
    source.emit("call", name, index)
    return index


def end_call(source: Source, index: int, reason: str, closing: str = "") -> Steps[None]:
    """Complete a call whose last mark was dropped, or give it up.

    Args:
        source: the text.
        index: the call.
        reason: why it is incomplete; empty when it is complete.
        closing: the end of its arguments' JSON.
    """
    if not reason:
        place = yield from source.word(0)
        if source.truncated and place == len(source.text):
            reason = "the text ends where the call does"
    if reason:
        source.emit("incomplete", reason, index)
        return
    if closing:
        source.emit("arguments", closing, index)
    source.emit("end", "", index)
