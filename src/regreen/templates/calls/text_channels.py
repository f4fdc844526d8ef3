"""Messages whose calls are text: a parser that leaves the text's own fences to the reader of calls.

The usual parser takes any mark inside an open fence of the text for an example. Where calls are
fences themselves only their reader can tell which fence closes which. Reasoning is full of fences
and labels too, so no call is looked for in it, even if it is never closed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from regreen.templates.conversation import Message
from regreen.templates.guard import guard
from regreen.templates.parser import FENCE, THINK, Reasoning, StreamParser
from regreen.templates.source import Steps
from regreen.templates.syntax import CallReader, CallSyntax
from regreen.templates.tools import ToolTable
from regreen.templates.write import Piece

__all__ = ["TextCallReader", "TextCallSyntax", "TextChannels", "TextParser"]


class TextCallReader(CallReader, Protocol):
    """A reader that follows the text between calls too."""

    guards: re.Pattern[str]
    """Finds guarded markers, as group G."""

    def keep(self, text: str, *, midline: bool) -> int:
        """Where ``text`` must be held back, beside what may become a stem.

        Args:
            text: what has come and was not given out.
            midline: whether it goes on with a line whose beginning was given out.
        """
        ...


class TextCallSyntax(CallSyntax, Protocol):
    """A syntax with such a reader."""

    def reader(self, tools: ToolTable) -> TextCallReader:
        """A reader for completions of a request that offers ``tools``."""
        ...


class TextParser(StreamParser):
    """A parser whose reader follows the fences of the text itself.

    Args:
        reader: reads the calls.
        lead: framing between text and the first call.
        stops: marks that end the turn.
        reasoning: how reasoning is marked.
        in_reasoning: whether the prompt has opened the reasoning already.
        prefaces: marks of which one may stand in front of the text, and is no part of it.
    """

    def __init__(
        self,
        reader: TextCallReader,
        *,
        lead: str,
        stops: Sequence[str],
        reasoning: Reasoning,
        in_reasoning: bool,
        prefaces: Sequence[str] = (),
    ) -> None:
        self._blocks = reader
        self._prefaces = tuple(prefaces)
        super().__init__(
            reader, lead=lead, stops=stops, reasoning=reasoning, in_reasoning=in_reasoning
        )

    @property
    def _opener_in_reasoning(self) -> re.Pattern[str]:
        return self._blocks.guards

    def _text(self) -> Steps[None]:
        if self._prefaces:
            yield from self._preface()
        yield from super()._text()

    def _preface(self) -> Steps[None]:
        source = self._source
        at = yield from source.word(0)
        while not source.ended and any(
            mark.startswith(source.text[at:]) for mark in self._prefaces
        ):
            yield
        for mark in self._prefaces:
            bare = mark.rstrip()
            if source.text.startswith(bare, at):
                source.drop(at + len(bare) + source.text.startswith(mark, at))
                return

    def _keep(self, text: str, stems: tuple[str, ...]) -> int:
        keep = self._blocks.keep(text, midline=self._midline)
        return min(super()._keep(text, stems), keep)

    def _plain(self, end: int) -> None:
        super()._plain(end)
        self._fence = False


@dataclass(frozen=True)
class TextChannels:
    """Messages of a format whose calls are text; see ``Channels``."""

    calls: TextCallSyntax
    """The calls."""
    stops: tuple[str, ...]
    """Marks that end a turn."""
    reasoning: Reasoning = THINK
    """How reasoning is marked."""
    thought: str = ""
    """In front of text beside calls."""
    answer: str = ""
    """In front of text without calls."""

    def write(
        self, message: Message, tools: ToolTable, index: int, *, guarded: bool
    ) -> list[Piece]:
        """A message; see ``Channels``."""
        opening, closing = self.reasoning.open, self.reasoning.close
        marks = (*self.calls.stems, *self.stops, opening.strip(), closing.strip(), FENCE)
        out: list[Piece] = []
        if message.reasoning:
            thought = guard(message.reasoning, marks) if guarded else message.reasoning
            out.append(Piece(opening + thought + closing, "assistant", "reasoning", index, True))
        if message.content:
            front = self.thought if message.calls else self.answer
            text = guard(message.content, marks) if guarded else message.content
            lead = self.calls.lead if message.calls else ""
            out.append(Piece(front + text + lead, "assistant", "text", index, True))
        if message.calls:
            written = self.calls.write(message.calls, tools)
            out.append(Piece(written, "assistant", "calls", index, True))
        return out

    def parser(self, tools: ToolTable, *, in_reasoning: bool) -> StreamParser:
        """A parser of one completion."""
        return TextParser(
            self.calls.reader(tools),
            lead=self.calls.lead,
            stops=self.stops,
            reasoning=self.reasoning,
            in_reasoning=in_reasoning,
            prefaces=[mark for mark in (self.thought, self.answer) if mark],
        )
