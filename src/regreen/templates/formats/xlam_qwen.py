"""``xlam_qwen``: xLAM-2 on Qwen2.5, one bare JSON array of calls.

Nothing marks the array, so it is a call only where it begins a line and names an offered tool.
"""

from __future__ import annotations

import json
from dataclasses import replace

from regreen.templates.calls.json_calls import JsonSyntax
from regreen.templates.chat import Results
from regreen.templates.format import ToolFormat
from regreen.templates.formats.chats_json import XLAM
from regreen.templates.tools import ToolTable

__all__ = ["CALLS", "FORMAT"]

CALLS = JsonSyntax(
    wrap=("[", "]"),
    between=", ",
    also=(
        ("```json", "```"),
        ("<tool_call>", "</tool_call>"),
        ("[TOOL_CALLS]", ""),
    ),
    bare=True,
)

_DEFAULT = """\
You are a helpful assistant that can use tools. You are developed by Salesforce xLAM team.
You have access to a set of tools. When using tools, make calls in a single JSON array:\x20

[{"name": "tool_call_name", "arguments": {"arg1": "value1", "arg2": "value2"}}, ... (additional \
parallel tool calls as needed)]

If no tool is suitable, state that explicitly. If the user's input lacks required parameters, ask \
for clarification. Do not interpret or respond until tool results are returned. Once they are \
available, process them or make additional calls if needed. For tasks that don't require tools, \
such as casual conversation or general advice, respond directly in plain text. The available \
tools are:
"""


def definitions(tools: ToolTable) -> str:
    """The tools, indented, each followed by a blank line; the turn's closing gives the last."""
    rows = [json.dumps(tool.declared, ensure_ascii=False, indent=4) for tool in tools.tools]
    return "\n\n".join(rows) + "\n"


FORMAT = ToolFormat(
    name="xlam_qwen",
    title="xLAM-2 on Qwen2.5: one bare JSON array of calls",
    definitions=definitions,
    calls=CALLS,
    results=Results(each=("", ""), role="tool", folded=False),
    chat=replace(XLAM, default_system=_DEFAULT),
    join_system="\n",
    source="chat template of Salesforce/xLAM-2-32b-fc-r",
    notes=(
        "Only the default system text says how to call; a conversation's own replaces it, as in"
        " the published template.",
        "The published template drops text beside calls and trims all text; here both stay.",
        "Calls in <tool_call> tags, in a JSON fence or behind [TOOL_CALLS] are read too.",
    ),
)
