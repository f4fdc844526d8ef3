"""``llama3_json``: Llama 3.1 and later, a bare JSON object with ``parameters``.

Nothing marks the object, so it is a call only where it begins a line and names an offered tool;
any other JSON is the answer.
"""

from __future__ import annotations

import json

from regreen.templates.calls.json_calls import JsonSyntax
from regreen.templates.chat import Results
from regreen.templates.format import ToolFormat
from regreen.templates.formats.chats_json import LLAMA3
from regreen.templates.tools import ToolTable

__all__ = ["CALLS", "FORMAT"]

CALLS = JsonSyntax(
    between="; ",
    keys=("name", "parameters"),
    also=(("<|python_tag|>", ""),),
    bare=True,
)

_HEADING = """\
Environment: ipython
Cutting Knowledge Date: December 2023
Today Date: 26 Jul 2024

You have access to the following functions. To call a function, please respond with JSON for a \
function call.Respond in the format {"name": function name, "parameters": dictionary of argument \
name and its value}.Do not use variables.

"""


def definitions(tools: ToolTable) -> str:
    """What stands in front of the system text when tools are offered."""
    rows = [json.dumps(tool.declared, ensure_ascii=False, indent=4) for tool in tools.tools]
    return _HEADING + "".join(row + "\n\n" for row in rows)


FORMAT = ToolFormat(
    name="llama3_json",
    title="Llama 3.1 and later: a bare JSON object per call",
    definitions=definitions,
    calls=CALLS,
    results=Results(each=("", ""), role="tool", folded=False),
    chat=LLAMA3,
    join_system="",
    reasoning=None,
    source="chat template of meta-llama/Llama-3.1-8B-Instruct, tools_in_user_message false",
    notes=(
        "The published template puts the tools into the first user message unless told otherwise,"
        " refuses several calls, drops text beside a call, and writes results as JSON strings;"
        " here several calls are joined by '; ', text stays, and results are raw.",
        "The lines with dates stand only beside tools; the date is the published default.",
    ),
)
