"""Calls as tags around raw values: writing them.

What the tags look like is in ``tag_spec``, reading them in ``tag_reader``.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from regreen.templates.calls.tag_reader import TagReader
from regreen.templates.calls.tag_spec import TagSpec
from regreen.templates.grammar.parts import CallGrammar
from regreen.templates.grammar.tags import tag_calls
from regreen.templates.guard import JOINER, escape, guard
from regreen.templates.message import ToolCall
from regreen.templates.tools import ToolTable

__all__ = ["TagSyntax"]


class TagSyntax(TagSpec):
    """A call syntax of tags; see ``TagSpec`` for its fields and ``CallSyntax`` for its methods."""

    def write(self, calls: Sequence[ToolCall], tools: ToolTable, *, guarded: bool = False) -> str:
        """The calls as the model writes them; see ``CallSyntax``."""
        opening, closing = self.wrap
        written = [self._call(call, tools, guarded) for call in calls]
        if self.grouped:
            return opening + self.between.join(written) + closing
        return self.between.join(opening + text + closing for text in written)

    def _call(self, call: ToolCall, tools: ToolTable, guarding: bool) -> str:
        pieces = [self.call[0].replace("{name}", call.name)]
        before, behind = self.param
        typed = "{string}" in before
        for key, value in call.arguments.items():
            text = self._text(call.name, key, value, tools, guarding)
            opening = before
            if typed:
                opening = before.replace("{string}", "true" if isinstance(value, str) else "false")
            closing = behind
            if self.inline and "\n" not in text:
                opening, closing = opening.rstrip("\n"), closing.lstrip("\n")
            pieces += (opening.replace("{key}", key), text, closing.replace("{key}", key))
        pieces.append(self.call[1].replace("{name}", call.name))
        return "".join(pieces)

    def _text(self, name: str, key: str, value: Any, tools: ToolTable, guarding: bool) -> str:
        if not isinstance(value, str):
            text = self.literal(value)
            return escape(text, self._marks(name, key)) if guarding else text
        kind = tools.type_of(name, key)
        other = not kind.text and "{string}" not in self.param[0] and kind.value(value) != value
        if other or value.startswith(JOINER):
            value = JOINER + value
        return guard(value, self._marks(name, key)) if guarding else value

    def literal(self, value: Any) -> str:
        """A value that is no string, as text."""
        if self.literals == "python" and not isinstance(value, dict | list):
            return str(value)
        return _json(value)

    def _marks(self, name: str, key: str) -> tuple[str, ...]:
        closers = (self.param[1].replace("{key}", key), self.call[1].replace("{name}", name))
        return (*self.stems, *(text.strip() for text in closers if text))

    def reader(self, tools: ToolTable) -> TagReader:
        """A reader of such calls; see ``CallSyntax``."""
        return TagReader(self, tools)

    def structure(self, tools: ToolTable) -> CallGrammar:
        """The grammar; see ``CallSyntax``."""
        return tag_calls(self, tools)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
