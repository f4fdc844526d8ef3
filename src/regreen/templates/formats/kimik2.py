"""``kimik2``: Kimi-K2, calls named by an id that counts through the conversation.

``functions.NAME:IDX`` is both the call's id and the only place of its name; IDX counts the calls
of the whole conversation from 0. Ids of clients that have another form are replaced.
"""

from __future__ import annotations

import json
import re

from regreen.templates.calls.json_calls import JsonSyntax
from regreen.templates.chat import Results
from regreen.templates.format import ToolFormat
from regreen.templates.formats.chats_json import KIMI
from regreen.templates.message import ToolCall
from regreen.templates.parser import Reasoning
from regreen.templates.tools import ToolTable

__all__ = ["CALLS", "FORMAT", "call_id"]

CALLS = JsonSyntax(
    wrap=("<|tool_calls_section_begin|>", "<|tool_calls_section_end|>"),
    call=("<|tool_call_begin|>", "<|tool_call_end|>"),
    header=("", "<|tool_call_argument_begin|>"),
    header_pattern=(
        r"(?P<id>(?:functions\.)?(?P<name>[^\s<>{}]{1,128}?)(?::\d{1,9})?)"
        r"\s{0,8}<\|tool_call_argument_begin\|>"
    ),
    named_by_id=True,
    between="",
    lead="",
    tokens=True,
)


def call_id(call: ToolCall, number: int) -> str:
    """The id of a call: the client's if it is of the format's form, else a new one."""
    own = re.fullmatch(rf"functions\.{re.escape(call.name)}:\d+", call.id)
    return call.id if own else f"functions.{call.name}:{number}"


def definitions(tools: ToolTable) -> str:
    """One compact JSON array of the tools as declared."""
    rows = [tool.declared for tool in tools.tools]
    return json.dumps(rows, ensure_ascii=False, separators=(",", ":"))


FORMAT = ToolFormat(
    name="kimik2",
    title="Kimi-K2: calls named by an id that counts through the conversation",
    definitions=definitions,
    calls=CALLS,
    results=Results(
        each=("<|im_system|>{name}<|im_middle|>## Return of {id}\n", "<|im_end|>"), role="tool"
    ),
    chat=KIMI,
    reasoning=Reasoning("<think>", "</think>"),
    call_id=call_id,
    source="chat template of moonshotai/Kimi-K2-Instruct",
    notes=(
        "The published template writes a client's id as it is, and with it loses the name of the"
        " tool unless the id holds it; here other ids are replaced, in results too.",
        "The published default system turn is followed by a newline, which is left out.",
    ),
)
