"""The seam between a message and the calls in it: what every call syntax must give.

One object writes calls, reads them back and describes them to a constrained decoder, so that the
three cannot drift apart.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Protocol

from regreen.templates.grammar.parts import CallGrammar
from regreen.templates.message import ToolCall
from regreen.templates.source import Source, Steps
from regreen.templates.tools import ToolTable

__all__ = ["CallReader", "CallSyntax"]


class CallReader(Protocol):
    """Reads the calls of one completion."""

    opener: re.Pattern[str]
    """Finds where a call may begin in text; of its groups, if any, G is a guarded marker, B a
    beginning without any marker, which is text inside reasoning and whose reader looks at
    ``Source.fenced`` itself, and T a token that no fence can hold."""
    stems: tuple[str, ...]
    """Beginnings of what ``opener`` finds, to be held back while they may still grow."""

    def read(self, source: Source, at: int, *, sure: bool) -> Steps[bool]:
        """Try to read calls from the candidate at index ``at`` of ``source.text``.

        On success everything up to the end of the calls has been dropped from the source, their
        deltas are out, and the result is True. On False nothing has been dropped or emitted: the
        candidate is text.

        Args:
            source: where the text comes from.
            at: index of what ``opener`` found; text before it has been dealt with.
            sure: True when a line or a message begins at ``at``; weaker evidence asks for
                stronger shape.
        """
        ...


class CallSyntax(Protocol):
    """How calls are written in a format."""

    @property
    def lead(self) -> str:
        """White space between text and the first call, framing and not content."""
        ...

    @property
    def stems(self) -> tuple[str, ...]:
        """Beginnings of every marker, for guarding text that would be mistaken for one."""
        ...

    def write(self, calls: Sequence[ToolCall], tools: ToolTable, *, guarded: bool = False) -> str:
        """The calls as the model writes them, without ``lead``.

        Args:
            calls: at least one.
            tools: gives the parameters' types.
            guarded: whether markers inside values are guarded, see ``guard``.
        """
        ...

    def reader(self, tools: ToolTable) -> CallReader:
        """A reader for completions of a request that offers ``tools``."""
        ...

    def structure(self, tools: ToolTable) -> CallGrammar:
        """The grammar of calls of these tools, at least one."""
        ...
