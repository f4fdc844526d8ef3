"""The grammar of calls whose arguments are JSON.

What stands around the arguments is exact; inside them JSON's white space is free and properties
come in declared order. Strings may hold any mark, JSON says itself where it ends. Prose must not
hold an opening mark nor, where a call is also read without one, what such a call must have: its
closing mark, or a name's key with the name of an offered tool.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from regreen.templates.grammar.parts import (
    CallGrammar,
    Format,
    const,
    either,
    literal,
    regex,
    schema,
    seq,
    several,
)
from regreen.templates.grammar.schema import argument_schema

if TYPE_CHECKING:
    from regreen.templates.calls.json_calls import JsonSyntax
    from regreen.templates.tools import Tool, ToolTable

__all__ = ["json_calls", "unmarked"]


def json_calls(syntax: JsonSyntax, tools: ToolTable) -> CallGrammar:
    """The grammar of a JSON format's calls."""
    around = [const(text) for text in syntax.wrap]
    opening, closing = (const(text) for text in syntax.call)
    call = seq(opening, either(_call(syntax, tool) for tool in tools.tools), closing)
    one = seq(around[0], call, around[1])
    many = seq(around[0], several(call, syntax.between), around[1])
    return CallGrammar(one, many, _bars(syntax, tools), line=syntax.bare)


def _call(syntax: JsonSyntax, tool: Tool) -> Format:
    arguments = schema(argument_schema(tool))
    if syntax.header_pattern:
        before, behind = (const(text) for text in syntax.header)
        name = const(tool.name)
        if syntax.named_by_id:  # as Kimi writes them, the only ids that hold the name
            name = seq(const(f"functions.{tool.name}:"), regex("[0-9]{1,6}"))
        return seq(before, name, behind, arguments, const(syntax.footer))
    name_key, arguments_key = syntax.keys
    head = f'{{"{name_key}": {literal(tool.name)}, "{arguments_key}": '
    return seq(const(head), arguments, const("}"))


def _bars(syntax: JsonSyntax, tools: ToolTable) -> tuple[str, ...]:
    marks = [text.strip() for text in (syntax.wrap[0], syntax.call[0])]
    bars = [mark for mark in marks if len(mark) > 1]
    closing = [text.strip() for text in (syntax.call[1], syntax.wrap[1]) if len(text.strip()) > 1]
    if syntax.bare or syntax.also:
        bars += unmarked(tools)
    elif not syntax.header_pattern:
        bars += closing or unmarked(tools)
    return tuple(bars)


def unmarked(tools: ToolTable) -> list[str]:
    """What every call object without a mark holds, in the usual spellings."""
    keys = ("name", "tool_name", "function")
    names = [literal(tool.name) for tool in tools.tools]
    return [f'"{key}":{space}{name}' for name in names for key in keys for space in ("", " ")]
