"""``deepseekv31``: DeepSeek-V3.1, name and JSON arguments between marks, without a fence.

The published template shows no tools; the text that defines them is the model card's.
"""

from __future__ import annotations

import json
from dataclasses import replace

from regreen.templates.calls.json_calls import JsonSyntax
from regreen.templates.chat import Results
from regreen.templates.format import ToolFormat
from regreen.templates.formats.chats_json import DEEPSEEK
from regreen.templates.parser import Reasoning
from regreen.templates.tools import ToolTable

__all__ = ["CALLS", "FORMAT"]

CALLS = JsonSyntax(
    wrap=("<｜tool▁calls▁begin｜>", "<｜tool▁calls▁end｜>"),
    call=("<｜tool▁call▁begin｜>", "<｜tool▁call▁end｜>"),
    header=("", "<｜tool▁sep｜>"),
    header_pattern=r"(?P<name>[^<>{}\n`]{1,128}?)\s{0,8}<｜tool▁sep｜>",
    between="",
    lead="",
    tokens=True,
)

_RULES = """\
IMPORTANT: ALWAYS adhere to this exact format for tool use:
<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>tool_call_name<｜tool▁sep｜>tool_call_arguments\
<｜tool▁call▁end｜>{additional_tool_calls}<｜tool▁calls▁end｜>

Where:
- `tool_call_name` must be an exact match to one of the available tools
- `tool_call_arguments` must be valid JSON that strictly follows the tool's Parameters Schema
- For multiple tool calls, chain them directly without separators or spaces"""


def definitions(tools: ToolTable) -> str:
    """The tools, in the textual style of the model card, and how to call them."""
    rows = [
        f"### {tool.name}\nDescription: {tool.description}\n\n"
        f"Parameters: {json.dumps(tool.parameters, ensure_ascii=False)}\n\n"
        for tool in tools.tools
    ]
    return f"## Tools\nYou have access to the following tools:\n\n{''.join(rows)}{_RULES}"


FORMAT = ToolFormat(
    name="deepseekv31",
    title="DeepSeek-V3.1: name and JSON arguments between marks",
    definitions=definitions,
    calls=CALLS,
    results=Results(each=("<｜tool▁output▁begin｜>", "<｜tool▁output▁end｜>"), role="tool"),
    chat=replace(
        DEEPSEEK,
        turns={
            **DEEPSEEK.turns,
            "assistant": ("<｜Assistant｜></think>", "<｜end▁of▁sentence｜>"),
        },
    ),
    reasoning=Reasoning("<think>", "</think>"),
    source="model card and chat template of deepseek-ai/DeepSeek-V3.1, from re-uploads",
    notes=(
        "The framing is that of the mode without thinking; a message's reasoning is written"
        " behind it in tags of its own, which is our reading.",
        "Results follow the calls directly, and the assistant goes on behind them without a mark.",
    ),
)
