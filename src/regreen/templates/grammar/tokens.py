"""The grammars of Gemma's notation and of harmony's messages, whose marks are tokens.

Gemma's keys are sorted and its text is raw up to a quote token. In harmony reasoning, text and
calls are messages, whose bodies hold no mark; inside JSON strings any may stand.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from regreen.templates.grammar.notation import Notation, Rules, quoted
from regreen.templates.grammar.parts import (
    CallGrammar,
    any_text,
    const,
    either,
    optional,
    schema,
    seq,
    several,
)
from regreen.templates.grammar.schema import argument_schema, properties

if TYPE_CHECKING:
    from regreen.templates.tools import ToolTable

__all__ = ["gemma_calls", "harmony_calls"]

_GEMMA_STRINGS = (
    r"""string ::= "<|\"|>" text "<|\"|>" """,
    r"""text ::= ([^<] | begun ([^<|] | "|" [^<"] | "|\"" [^<|] | "|\"|" [^<>]))* (begun part?)?""",
    r"""begun ::= "<"+ (part "<"+)*""",
    r"""part ::= "|" ("\"" "|"?)?""",
    "key ::= [A-Za-z_] [A-Za-z0-9_-]*",
)
"""Text without a quote token: whatever begins like one goes on otherwise."""


def gemma_calls(
    marks: tuple[str, str], tools: ToolTable, spell: Callable[[Any], str]
) -> CallGrammar:
    """The grammar of calls in Gemma's notation.

    Args:
        marks: opening and closing of a call.
        tools: the tools offered.
        spell: writes a value.
    """
    notation = Notation(
        _GEMMA_STRINGS,
        words=("true", "false", "null"),
        key=lambda name: spell({name: None})[1 : -len(":null}")],
        spell=spell,
        between=",",
        colon=":",
        ordered=True,
    )
    rules = Rules(notation)
    heads = [
        f"{quoted(f'call:{tool.name}')} {rules.object(properties(tool))}" for tool in tools.tools
    ]
    one = seq(const(marks[0]), rules.grammar(rules.add(" | ".join(heads))), const(marks[1]))
    return CallGrammar(one, several(one, ""), (marks[0],))


def harmony_calls(marks: Sequence[str], tools: ToolTable) -> CallGrammar:
    """The grammar of harmony's messages, from behind the first one's role."""
    body, again = any_text(marks), "<|start|>assistant"
    one = either(
        seq(
            const(f"<|channel|>commentary to=functions.{tool.name} <|constrain|>json<|message|>"),
            schema(argument_schema(tool)),
        )
        for tool in tools.tools
    )
    before = seq(const("<|channel|>commentary<|message|>"), body, const(f"<|end|>{again}"))
    return CallGrammar(
        one,
        several(one, f"<|call|>{again}"),
        bars=tuple(marks),
        text=seq(const("<|channel|>final<|message|>"), body),
        front=optional(before),
        marks=tuple(marks),
    )
