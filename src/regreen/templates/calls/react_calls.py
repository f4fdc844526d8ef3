"""Calls as the lines ``Action:`` and ``Action Input:``, as the ReAct paper's prompts write them.

The arguments are JSON, so nothing inside them can be taken for a line of the format. What counts
as a call is both lines together; ``Action:`` alone is prose.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

from regreen.templates.calls.literals import skip, unwrapped, value
from regreen.templates.calls.text_calls import begin_call, end_call
from regreen.templates.grammar.parts import CallGrammar
from regreen.templates.grammar.text_calls import react_calls
from regreen.templates.guard import guarded
from regreen.templates.message import ToolCall
from regreen.templates.source import Source, Steps
from regreen.templates.tools import ToolTable

__all__ = ["ANSWER", "OBSERVATION", "ReactReader", "ReactSyntax"]

ANSWER, OBSERVATION = "Final Answer:", "Observation:"
_ACTION, _INPUT = "Action:", "Action Input:"
_NAME = re.compile(r"Action:[ \t]*+(\S(?:[^\n]{0,198}\S)?)[ \t\r]*+\n\s*")
_NAME_GROWING = re.compile(r"Action:[^\n]{0,210}(?:\n\s*)?\Z")
_FENCE = re.compile(r"\s*```(?:json)?[ \t\r]*\n\s*")
_FENCE_GROWING = re.compile(r"\s*(?:`{0,2}|```[json]{0,4}[ \t\r]*)\Z")


@dataclass(frozen=True)
class ReactSyntax:
    """The call syntax; see ``CallSyntax``."""

    lead: str = "\n"
    """A newline."""
    stems: tuple[str, ...] = (_ACTION, OBSERVATION, ANSWER)
    """Beginnings of the lines."""

    def write(self, calls: Sequence[ToolCall], tools: ToolTable, *, guarded: bool = False) -> str:
        """The calls, two lines each; see ``CallSyntax``."""
        return "\n".join(
            f"{_ACTION} {call.name}\n{_INPUT} {json.dumps(call.arguments, ensure_ascii=False)}"
            for call in calls
        )

    def reader(self, tools: ToolTable) -> ReactReader:
        """A reader of such calls; see ``CallSyntax``."""
        return ReactReader(self, tools)

    def structure(self, tools: ToolTable) -> CallGrammar:
        """The grammar; see ``CallSyntax``."""
        return react_calls(self, tools)


class ReactReader:
    """Reads the calls of one completion; see ``TextCallReader``.

    Args:
        syntax: the lines.
        tools: the tools offered.
    """

    def __init__(self, syntax: ReactSyntax, tools: ToolTable) -> None:
        self._tools = tools
        self._over = False
        """Whether the model has gone on with an observation of its own making."""
        self.stems = syntax.stems
        guards = f"(?P<G>{guarded(self.stems)})"
        self.opener = re.compile("|".join([*map(re.escape, self.stems), guards]))
        self.guards = re.compile(guards)

    def keep(self, text: str, *, midline: bool) -> int:
        """Nothing beside the stems; see ``TextCallReader``."""
        return len(text)

    def read(self, source: Source, at: int, *, sure: bool) -> Steps[bool]:
        """Read the call that begins at ``at``; see ``CallReader``."""
        text = source.text
        if not sure or self._over:
            return False
        if text.startswith(OBSERVATION, at):
            while not source.ended and not source.text[at + len(OBSERVATION) :].strip():
                yield
            self._over = source.calls > 0 and bool(source.text[at + len(OBSERVATION) :].strip())
            if self._over:
                source.emit("fault", "an observation the model wrote; the rest is text", 0)
            return False
        if text.startswith(ANSWER, at):
            yield from self._answer(source, at)
            return True
        return (yield from self._action(source, at))

    def _answer(self, source: Source, at: int) -> Steps[None]:
        """Drop the mark in front of an answer that stands behind a thought."""
        if not source.calls:
            source.emit("content", source.text[:at])
        source.drop(at + len(ANSWER))
        while not source.text and not source.ended:
            yield
        source.drop(source.text.startswith(" "))

    def _action(self, source: Source, at: int) -> Steps[bool]:
        while not source.ended and _NAME_GROWING.match(source.text, at):
            yield
        named = _NAME.match(source.text, at)
        if named is None:
            return False
        end, name = named.end(), named[1].strip("`*'\"")
        while not source.ended and _INPUT.startswith(source.text[end:]):
            if source.text.startswith(_INPUT, end):
                break
            yield
        if not source.text.startswith(_INPUT, end):
            return False
        end += len(_INPUT)
        while not source.ended and _FENCE_GROWING.match(source.text, end):
            yield
        fence = _FENCE.match(source.text, end)
        place = yield from source.word(fence.end() if fence else end)
        if not self._tools.offers(name) and (yield from skip(source, place)) < 0:
            return False
        source.drop(place)
        index = begin_call(source, name)
        reason = yield from self._input(source, index)
        if fence:
            yield from self._close_fence(source)
        yield from end_call(source, index, reason)
        return True

    def _input(self, source: Source, index: int) -> Steps[str]:
        """Read the arguments; why they are incomplete."""
        quoted: list[str] = []
        if source.text.startswith('"'):
            if not (yield from value(source, quoted.append)):
                return "the arguments are not whole"
            inner = unwrapped("".join(quoted))
            if inner is None:
                return "the arguments are no JSON object"
            source.emit("fault", "arguments as a string of JSON", 0)
            source.emit("arguments", inner, index)
            return ""
        if not source.text.startswith("{"):
            return "the arguments are no JSON object"
        whole = yield from value(
            source,
            lambda piece: source.emit("arguments", piece, index),
            fault=lambda what: source.emit("fault", what, 0),
        )
        return "" if whole else "the arguments are not whole"

    def _close_fence(self, source: Source) -> Steps[None]:
        place = yield from source.word(0)
        while "```".startswith(source.text[place:]) and not source.ended:
            if source.text.startswith("```", place):
                break
            yield
        if source.text.startswith("```", place):
            source.drop(place + 3)
