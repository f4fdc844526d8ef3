"""Calls as statements of a Python block, ``<code>`` to ``</code>``: code that acts.

A block of nothing but calls with literals is read as those calls. Any other block is code, and
code is itself a call where a tool runs code; where none does, it is text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from json.encoder import encode_basestring

from regreen.templates.calls.literals import value
from regreen.templates.calls.python_calls import (
    keyword_at,
    name_at,
    past_call,
    past_name,
    read_call,
)
from regreen.templates.calls.python_write import arguments
from regreen.templates.grammar.parts import CallGrammar
from regreen.templates.grammar.python_calls import code_calls
from regreen.templates.guard import guarded
from regreen.templates.message import ToolCall
from regreen.templates.source import Source, Steps, hold
from regreen.templates.tools import ToolTable

__all__ = ["CodeReader", "CodeSyntax", "code_tool"]

_CODE_KEYS = {"code", "python"}
_ANSWER = "final_answer"


def code_tool(tools: ToolTable) -> tuple[str, str] | None:
    """Name and parameter of the tool that runs code: its only required parameter is the code."""
    for tool in tools.tools:
        keys = list(tool.parameters.get("required") or tool.types)
        if len(keys) == 1 and keys[0] in _CODE_KEYS and tool.type_of(keys[0]).text:
            return tool.name, keys[0]
    return None


@dataclass(frozen=True)
class CodeSyntax:
    """Calls in a block of code; see ``CallSyntax``."""

    block: tuple[str, str] = ("<code>", "</code>")
    """Opening and closing of the block, each on a line of its own."""
    lead: str = "\n"
    """White space between text and the block."""
    quote: str = '"'
    """Quotes of a string that needs no others."""

    @property
    def stems(self) -> tuple[str, ...]:
        """Beginnings of every marker."""
        return self.block

    def write(self, calls: Sequence[ToolCall], tools: ToolTable, *, guarded: bool = False) -> str:
        """The calls as the model writes them; nothing in a literal needs a guard."""
        body = self._code(calls, tools)
        if body is None:
            rows = [f"{call.name}({arguments(call.arguments, self.quote)})" for call in calls]
            body = "\n".join(rows)
        return f"{self.block[0]}\n{body}\n{self.block[1]}"

    def _code(self, calls: Sequence[ToolCall], tools: ToolTable) -> str | None:
        """The code of a call that runs code, where it reads back as it is."""
        runner = code_tool(tools)
        if runner is None or len(calls) != 1 or calls[0].name != runner[0]:
            return None
        code = calls[0].arguments.get(runner[1])
        if not isinstance(code, str) or len(calls[0].arguments) != 1 or self.block[1] in code:
            return None
        if code.endswith(self.block[1][:-1]) or _only_calls(f"{code}\n{self.block[1]}", tools):
            return None
        return code

    def reader(self, tools: ToolTable) -> CodeReader:
        """A reader of such calls; see ``CallSyntax``."""
        return CodeReader(self, tools)

    def structure(self, tools: ToolTable) -> CallGrammar:
        """The grammar; see ``CallSyntax``."""
        return code_calls(self, tools, code_tool(tools))


def _only_calls(text: str, tools: ToolTable) -> bool:
    source = Source()
    source.text = text
    source.end()
    try:
        next(CodeReader(CodeSyntax(), tools).plain(source, 0))
    except StopIteration as stop:
        return bool(stop.value)
    return False


class CodeReader:
    """Reads the calls of one completion; see ``CallReader``.

    Args:
        syntax: the marks of a block.
        tools: the tools offered.
    """

    def __init__(self, syntax: CodeSyntax, tools: ToolTable) -> None:
        self.opening, self.closing = syntax.block
        self.tools = tools
        self.runner = code_tool(tools)
        self.opener = re.compile(f"(?P<G>{guarded(syntax.block)})|{re.escape(self.opening)}")
        self.stems = syntax.stems

    def read(self, source: Source, at: int, *, sure: bool) -> Steps[bool]:
        """Read the block that begins at ``at``; see ``CallReader``."""
        begin = yield from self._line_end(source, at + len(self.opening))
        if begin < 0:
            return False
        if self.runner is not None and not (yield from self.plain(source, begin)):
            source.drop(begin)
            yield from self._code(source, *self.runner)
            return True
        if self.runner is None and not (yield from self._statement(source, begin)):
            return False
        source.drop(begin)
        yield from self._calls(source)
        return True

    def _line_end(self, source: Source, at: int) -> Steps[int]:
        """Index of the next line if nothing else stands on this one, or -1."""
        while True:
            rest = source.text[at : at + 9]
            found = rest.lstrip(" \t\r")
            if found or len(rest) > 8 or source.ended:
                return at + len(rest) - len(found) + 1 if found.startswith("\n") else -1
            yield

    # -- a block of calls -------------------------------------------------------------------

    def plain(self, source: Source, at: int) -> Steps[bool]:
        """Whether the block that goes on at ``at`` is calls of offered tools and nothing else."""
        count = 0
        while True:
            at = yield from source.word(at)
            closes = yield from self._closes(source, at)
            if closes or at == len(source.text):
                return count > 0
            if not (yield from self._statement(source, at)):
                return False
            at = yield from past_call(source, at, named=False)
            if at < 0 or not (yield from self._alone(source, at)):
                return False
            count += 1

    def _statement(self, source: Source, at: int) -> Steps[bool]:
        """Whether a call of an offered tool, or the final answer, may begin at ``at``."""
        at = yield from source.word(at)
        name = yield from name_at(source, at)
        return bool(name) and (self.tools.offers(name) or name == _ANSWER)

    def _alone(self, source: Source, at: int) -> Steps[bool]:
        """Whether nothing else stands on the line behind a call."""
        end = yield from self._line_end(source, at)
        place = yield from source.word(at)
        closes = yield from self._closes(source, place)
        return end >= 0 or closes or place == len(source.text)

    def _closes(self, source: Source, at: int) -> Steps[bool]:
        """Whether the block's end stands at ``at``."""
        while True:
            rest = source.text[at : at + len(self.closing)]
            if rest == self.closing or source.ended or not self.closing.startswith(rest):
                return rest == self.closing
            yield

    def _calls(self, source: Source) -> Steps[None]:
        while True:
            at = yield from source.word(0)
            if (yield from self._closes(source, at)):
                source.drop(at + len(self.closing))
                return
            if not (yield from self._statement(source, at)):
                source.emit("fault", "a block of calls without its end", 0)
                return
            source.drop(at)
            name = yield from name_at(source, 0)
            if name == _ANSWER and name not in self.tools.by_name:
                if not (yield from self._answer(source)):
                    return
                continue
            index = yield from read_call(source, self.tools)
            if index < 0:
                return
            at = yield from source.word(0)
            cut = source.truncated and at == len(source.text)
            bare = source.text[at : at + 1] not in set(".[(")
            if cut or not bare:
                reason = "the text ends before the block does" if cut else "an expression"
                source.emit("incomplete", reason, index)
                return
            source.emit("end", "", index)

    def _answer(self, source: Source) -> Steps[bool]:
        """Read the final answer and give it out as text."""
        at = yield from source.word(past_name(source, 0))
        match = yield from keyword_at(source, at)
        source.drop(match.end() if match else at)
        pieces: list[str] = []
        done = yield from value(source, pieces.append, dialect="python")
        text = "".join(pieces)
        if not done:
            source.emit("fault", "a final answer that is no literal", 0)
            return False
        source.emit("content", json.loads(text) if text.startswith('"') else text)
        at = yield from source.word(0)
        if source.text.startswith(",", at):
            at = yield from source.word(at + 1)
        if source.text.startswith(")", at):
            source.drop(at + 1)
            return True
        return False

    # -- a block of code --------------------------------------------------------------------

    def _code(self, source: Source, name: str, key: str) -> Steps[None]:
        """Read code up to the block's end; a newline in front of that is framing."""
        index, ends = source.calls, ("\n" + self.closing, self.closing)
        source.calls += 1
        source.emit("call", name, index)
        source.emit("arguments", f'{{{encode_basestring(key)}: "', index)
        while True:
            end = source.text.find(self.closing)
            if end >= 0:
                cut = end - 1 if source.text[:end].endswith("\n") else end
                self._give(source, cut, index)
                source.drop(end - cut + len(self.closing))
                source.emit("arguments", '"}', index)
                source.emit("end", "", index)
                return
            self._give(source, hold(source.text, 0, ends), index)
            if source.ended:
                source.drop(len(source.text))
                source.emit("incomplete", "the text ends inside the code", index)
                return
            yield

    def _give(self, source: Source, end: int, index: int) -> None:
        text = encode_basestring(source.text[:end])[1:-1]
        if text:
            source.emit("arguments", text, index)
            source.drop(end)
