"""Calls whose arguments are JSON: what stands around them, as data, and writing them.

JSON escapes its own quotes, so a marker inside an argument is harmless and needs no guard; only a
message's text does. Marks are in ``json_marks``, reading in
``json_reader``.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from regreen.templates.calls.json_marks import Patterns, patterns
from regreen.templates.calls.json_reader import JsonReader
from regreen.templates.grammar.json_calls import json_calls
from regreen.templates.grammar.parts import CallGrammar
from regreen.templates.message import ToolCall
from regreen.templates.tools import ToolTable

__all__ = ["JsonSyntax"]


@dataclass(frozen=True)
class JsonSyntax:
    """Calls as JSON between marks; see ``CallSyntax``."""

    call: tuple[str, str] = ("", "")
    """Opening and closing of one call."""
    wrap: tuple[str, str] = ("", "")
    """Opening and closing around all calls of a message."""
    between: str = "\n"
    """What stands between two calls."""
    lead: str = "\n"
    """White space between text and the first call."""
    keys: tuple[str, str] = ("name", "arguments")
    """Keys of the call's object; the usual others are read too."""
    header: tuple[str, str] = ("", "")
    """Around a name that stands in front of the arguments' JSON instead of in an object."""
    footer: str = ""
    """Behind such arguments."""
    header_pattern: str = ""
    """Finds such a header: group ``name``, and ``id`` where it holds one."""
    named_by_id: bool = False
    """Whether the header holds the call's id, which holds the name."""
    also: tuple[tuple[str, str], ...] = ()
    """More openings and closings that models write, read at the beginning of a line."""
    bare: bool = False
    """Whether calls stand in the text without any mark."""
    tokens: bool = False
    """Whether the marks are tokens, which prose and code do not hold."""

    @cached_property
    def patterns(self) -> Patterns:
        """What finds the marks."""
        return patterns(
            (self.wrap, self.call),
            self.also,
            footer=self.footer,
            header=self.header_pattern,
            bare=self.bare,
            tokens=self.tokens,
        )

    @property
    def stems(self) -> tuple[str, ...]:
        """Beginnings of every mark, and of what is read as a call without one."""
        return self.patterns.guards

    def write(self, calls: Sequence[ToolCall], tools: ToolTable, *, guarded: bool = False) -> str:
        """The calls as the model writes them; see ``CallSyntax``."""
        opening, closing = self.call
        written = [opening + self._call(call) + closing for call in calls]
        return self.wrap[0] + self.between.join(written) + self.wrap[1]

    def _call(self, call: ToolCall) -> str:
        arguments = json.dumps(call.arguments, ensure_ascii=False)
        if self.header_pattern:
            name = (call.id if self.named_by_id else "") or call.name
            return self.header[0] + name + self.header[1] + arguments + self.footer
        name_key, arguments_key = self.keys
        name = json.dumps(call.name, ensure_ascii=False)
        return f'{{"{name_key}": {name}, "{arguments_key}": {arguments}}}'

    def reader(self, tools: ToolTable) -> JsonReader:
        """A reader of such calls; see ``CallSyntax``."""
        return JsonReader(self.patterns, tools)

    def structure(self, tools: ToolTable) -> CallGrammar:
        """The grammar; see ``CallSyntax``."""
        return json_calls(self, tools)
