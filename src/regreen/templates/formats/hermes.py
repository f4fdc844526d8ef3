"""``hermes``: a JSON object per call in ``<tool_call>`` tags, of Hermes, Qwen2.5 and Qwen3.

The text of the tool block is the published template's, to the byte; tests compare the two.
"""

from __future__ import annotations

from regreen.templates.calls.json_calls import JsonSyntax
from regreen.templates.chat import Results
from regreen.templates.definitions.styles import json_lines
from regreen.templates.format import ToolFormat
from regreen.templates.tools import ToolTable

__all__ = ["CALLS", "FORMAT", "RESULTS", "definitions"]

CALLS = JsonSyntax(call=("<tool_call>\n", "\n</tool_call>"))
RESULTS = Results(each=("<tool_response>\n", "\n</tool_response>"), between="\n")

_HEADING = """\
# Tools

You may call one or more functions to assist with the user query.

You are provided with function signatures within <tools></tools> XML tags:
<tools>
"""
_RULES = """
</tools>

For each function call, return a json object with function name and arguments within \
<tool_call></tool_call> XML tags:
<tool_call>
{"name": <function-name>, "arguments": <args-json-object>}
</tool_call>"""


def definitions(tools: ToolTable) -> str:
    """The tool block, without the blank line in front."""
    return _HEADING + json_lines(tools.tools) + _RULES


FORMAT = ToolFormat(
    name="hermes",
    title="Hermes, Qwen2.5 and Qwen3: a JSON object per call in <tool_call> tags",
    definitions=definitions,
    calls=CALLS,
    results=RESULTS,
    source="chat template of Qwen/Qwen3-4B-Instruct-2507",
    notes=(
        "The published templates differ in the default system line and in what they do with"
        " reasoning; here it is kept wherever it was written.",
        "A call without its opening tag is read at the beginning of a line, if its tool is"
        " offered and its closing tag is there.",
    ),
)
