"""``ToolFormat``: one specification, and the five faces made from it.

A format is a choice on four axes that vary separately: how tools are defined, how calls are
written, how results are wrapped, and the chat framing. ``render`` is the concatenation of
``pieces``, and the loss mask is a property of the pieces, so text, mask and spans cannot disagree.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from regreen.templates.chat import CHATML, Chat, Results
from regreen.templates.conversation import CallId, normalise, numbered
from regreen.templates.grammar.message import ToolChoice, chosen, message
from regreen.templates.message import ParsedMessage, collect
from regreen.templates.parser import THINK, Reasoning, StreamParser
from regreen.templates.syntax import CallSyntax
from regreen.templates.tools import ToolTable, tool_table
from regreen.templates.warm import Warm
from regreen.templates.write import Channels, Piece, completion, write

__all__ = ["ToolFormat"]

Messages = Sequence[Mapping[str, Any]]
Tools = Iterable[Mapping[str, Any]] | ToolTable | None


@dataclass(frozen=True)
class ToolFormat:
    """One tool-calling format."""

    name: str
    """Its id."""
    title: str
    """What it is and whose, one line."""
    definitions: Callable[[ToolTable], str]
    """The text that tells the model its tools and how to call them."""
    calls: CallSyntax
    """How calls are written and read."""
    results: Results
    """How results are shown."""
    chat: Chat = CHATML
    """What stands around the messages."""
    reasoning: Reasoning | None = THINK
    """How reasoning is marked."""
    parallel: bool = True
    """Whether the format has a way to write several calls in one turn."""
    trims: bool = False
    """Whether text beside calls loses the white space around it, as its published template does."""
    leads: bool = False
    """Whether the white space in front of the calls is written without text before it too."""
    call_id: CallId | None = None
    """The ids it writes with calls and results; None where it writes none, or the client's."""
    channels: Channels | None = None
    """How whole messages are written and read, where reasoning and text are marked like calls."""
    join_system: str = "\n\n"
    """Between the system text and the tools."""
    source: str = ""
    """Where the format is defined."""
    notes: tuple[str, ...] = ()
    """What a reader of the reference should know: traps, our readings."""

    @cached_property
    def marks(self) -> tuple[str, tuple[str, ...]]:
        """Everything that text could be mistaken for: first characters, and the marks' stems."""
        marks = dict.fromkeys((*self.calls.stems, *self.chat.stops))
        if self.reasoning is not None:
            marks |= dict.fromkeys((self.reasoning.open.strip(), self.reasoning.close.strip()))
        return "".join(dict.fromkeys(mark[0] for mark in marks)), tuple(marks)

    def render(
        self, messages: Messages, tools: Tools, *, add_generation_prompt: bool = False
    ) -> str:
        """A conversation as the text a model is given or trained on.

        Args:
            messages: in OpenAI chat shape; arguments of calls as objects or JSON text.
            tools: in OpenAI shape; None for none.
            add_generation_prompt: end with the opening of an assistant's turn.

        Raises:
            UsageError: a message that has no place in the format; says which and why.
        """
        return self._warm.render(messages, tool_table(tools), generation=add_generation_prompt)

    @cached_property
    def _warm(self) -> Warm:
        return Warm(self)

    def pieces(
        self, messages: Messages, tools: Tools, *, add_generation_prompt: bool = False
    ) -> list[Piece]:
        """What ``render`` concatenates, with where each piece comes from."""
        rows = numbered(normalise(messages), self.call_id)
        return write(self, rows, tool_table(tools), add_generation_prompt)

    def completion(self, message: Mapping[str, Any], tools: Tools) -> str:
        """What a model writes to say ``message``, up to the mark that ends its turn."""
        (only,) = numbered(normalise([message]), self.call_id)
        return "".join(piece.text for piece in completion(self, only, tool_table(tools)))

    def parse(
        self,
        text: str,
        tools: Tools,
        *,
        truncated: bool | None = None,
        in_reasoning: bool = False,
    ) -> ParsedMessage:
        """Read a completion.

        Never raises: what cannot be read as a call is text, or an incomplete call.

        Args:
            text: what the model wrote behind the generation prompt, end mark included or not.
            tools: the tools offered; None accepts any name and reads values as text.
            truncated: whether the endpoint cut the completion, see ``StreamParser.finish``.
            in_reasoning: the prompt has opened the reasoning.
        """
        parser = self.stream(tools, in_reasoning=in_reasoning)
        return collect([*parser.feed(text), *parser.finish(truncated=truncated)])

    def stream(self, tools: Tools, *, in_reasoning: bool = False) -> StreamParser:
        """A parser for one completion as it is sampled; see ``parse``."""
        if self.channels is not None:
            return self.channels.parser(tool_table(tools), in_reasoning=in_reasoning)
        return StreamParser(
            self.calls.reader(tool_table(tools)),
            lead=self.calls.lead,
            stops=self.chat.stops,
            reasoning=self.reasoning,
            in_reasoning=in_reasoning,
        )

    def grammar(
        self,
        tools: Tools,
        *,
        tool_choice: ToolChoice = "auto",
        parallel: bool = True,
        in_reasoning: bool = False,
    ) -> dict[str, Any]:
        """A structural tag (xgrammar's JSON form) that completions of this format satisfy.

        Whatever satisfies it is read without a fault, up to what the format's notes say: free text,
        then calls of offered tools with arguments by their schemas, then the end of the turn.

        Args:
            tools: the tools offered.
            tool_choice: ``auto``, ``none``, ``required`` (at least one call, text may stand in
                front), or OpenAI's object that names the one function to call.
            parallel: whether there may be several calls, where the format has a way to write them.
            in_reasoning: the prompt has opened the reasoning.

        Raises:
            UsageError: a choice that cannot be met.
        """
        table, choice = chosen(tool_table(tools), tool_choice)
        form = message(
            self.calls.structure(table),
            choice,
            reasoning=self.reasoning,
            in_reasoning=in_reasoning,
            parallel=parallel and self.parallel,
        )
        return {"type": "structural_tag", "format": form}

    def within(self, chat: Chat) -> ToolFormat:
        """The same tools, calls and results in another chat framing."""
        return replace(self, chat=chat)
