"""Calls in Gemma's notation, ``call:NAME{key:<|"|>text<|"|>,n:1}``: writing them.

Text stands raw between two quote tokens. There is no escape, so a quote token inside a text is
always guarded, and a reader need not doubt the next one. Reading is in ``gemma_reader``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from regreen.templates.calls.gemma_reader import GemmaReader
from regreen.templates.grammar.parts import CallGrammar
from regreen.templates.grammar.tokens import gemma_calls
from regreen.templates.guard import guard
from regreen.templates.message import ToolCall
from regreen.templates.tools import ToolTable

__all__ = ["GemmaSyntax", "notation"]

_QUOTE = '<|"|>'
_PLAIN_KEY = re.compile(r"[^\s:{}\[\],<>\"'|](?:[^:{}\[\],<>\"'|\n]*[^\s:{}\[\],<>\"'|])?")


@dataclass(frozen=True)
class GemmaSyntax:
    """Calls between two tokens; see ``CallSyntax``."""

    call: tuple[str, str] = ("<|tool_call>", "<tool_call|>")
    """Opening and closing of a call."""
    lead: str = ""
    """White space between text and the first call."""

    @property
    def stems(self) -> tuple[str, ...]:
        """Beginnings of every marker."""
        return self.call

    def write(self, calls: Sequence[ToolCall], tools: ToolTable, *, guarded: bool = False) -> str:
        """The calls as the model writes them, keys sorted; what needs a guard always has one."""
        opening, closing = self.call
        return "".join(
            f"{opening}call:{call.name}{notation(call.arguments, key=_key)}{closing}"
            for call in calls
        )

    def reader(self, tools: ToolTable) -> GemmaReader:
        """A reader of such calls; see ``CallSyntax``."""
        return GemmaReader(self.call, tools)

    def structure(self, tools: ToolTable) -> CallGrammar:
        """The grammar; see ``CallSyntax``."""
        return gemma_calls(self.call, tools, partial(notation, key=_key))


def notation(value: Any, *, key: Callable[[str], str] | None = None) -> str:
    """A JSON value in Gemma's notation.

    Args:
        value: anything that JSON holds.
        key: writes a key; between quote tokens when None.
    """
    if value is None:
        return "null"
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping):
        spell = key or _text
        rows = (f"{spell(name)}:{notation(item, key=key)}" for name, item in _sorted(value))
        return f"{{{','.join(rows)}}}"
    if isinstance(value, list | tuple):
        return f"[{','.join(notation(item, key=key) for item in value)}]"
    return str(value)


def _sorted(value: Mapping[str, Any]) -> Iterable[tuple[str, Any]]:
    return sorted(value.items(), key=lambda item: item[0].lower())


def _key(name: str) -> str:
    return name if _PLAIN_KEY.fullmatch(name) else _text(name)


def _text(text: str) -> str:
    return _QUOTE + guard(text, (_QUOTE,)) + _QUOTE
