"""The grammar of a completion: reasoning, free text, then calls, then the end of the turn.

Free text in front of calls is any text that holds no beginning of a call, so that whatever begins
as a call must be one. In front of a call its code fences are closed, since a call in an open fence
is an example. One consequence: a constrained model cannot mention those beginnings in prose, except
guarded (``guard``). The mark that ends the turn is the engine's stop token.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from regreen.core.errors import UsageError
from regreen.templates.grammar.parts import (
    NOTHING,
    CallGrammar,
    Format,
    any_text,
    const,
    either,
    optional,
    regex,
    seq,
)
from regreen.templates.parser import Reasoning
from regreen.templates.tools import ToolTable

__all__ = ["ToolChoice", "chosen", "message"]

ToolChoice = str | Mapping[str, Any]
"""``auto``, ``none``, ``required``, or OpenAI's object that names one function."""

_FENCE = "```"


def chosen(tools: ToolTable, choice: ToolChoice) -> tuple[ToolTable, str]:
    """The tools that may be called, and ``none``, ``auto`` or ``required``.

    Raises:
        UsageError: a choice that is none of OpenAI's, or a tool that is not offered.
    """
    if isinstance(choice, Mapping):
        body = choice.get("function", choice)
        name = body.get("name") if isinstance(body, Mapping) else None
        found = tools.by_name.get(str(name))
        if found is None:
            what = f"the tool to call is not offered: {name!r}"
            raise UsageError(what, where="tool_choice", mend="name one of the tools")
        return ToolTable((found,)), "required"
    if choice not in {"auto", "none", "required"}:
        what = f"there is no such tool choice: {choice!r}"
        raise UsageError(what, where="tool_choice", mend="use auto, none, required or a function")
    if choice == "required" and not tools.tools:
        what = "a call is required, but no tools are offered"
        raise UsageError(what, where="tool_choice", mend="offer tools or choose auto")
    return tools, choice if tools.tools else "none"


def message(
    calls: CallGrammar,
    choice: str,
    *,
    reasoning: Reasoning | None,
    in_reasoning: bool,
    parallel: bool,
) -> Format:
    """A completion.

    Args:
        calls: the calls; of no use without tools.
        choice: ``none``, ``auto`` or ``required``.
        reasoning: how reasoning is marked; None for a format without.
        in_reasoning: whether the prompt has opened the reasoning.
        parallel: whether a message may have several calls.
    """
    barred = calls.bars
    if reasoning is not None:
        barred = (*barred, reasoning.open.strip())
    body = calls.text or any_text(barred)
    if choice != "none":
        front = calls.front or _front(calls, barred)
        with_calls = seq(front, calls.many if parallel else calls.one)
        body = with_calls if choice == "required" else either((body, with_calls))
    if reasoning is None:
        return body
    marks = (reasoning.close.strip(), *calls.marks)
    thought = seq(any_text(marks), const(reasoning.close))
    if in_reasoning:
        return seq(thought, body)
    opened = seq(const(reasoning.open), thought)
    if reasoning.empty:
        return seq(either((opened, const(reasoning.empty))), body)
    return seq(optional(opened), body)


def _front(calls: CallGrammar, bars: Sequence[str]) -> Format:
    text = _closed_fences(bars) if calls.fenced else any_text(bars)
    return either((NOTHING, seq(text, const("\n")))) if calls.line else text


def _closed_fences(bars: Sequence[str]) -> Format:
    """Text in which every code fence, at the start of a line, is closed."""
    text = any_text((*bars, _FENCE))
    fence = regex("\n[ \t]*" + _FENCE)
    closed = {"type": "star", "content": seq(fence, text, fence, text)}
    at_once = seq(const(_FENCE), text, fence, text)
    return seq(either((text, at_once)), closed)
