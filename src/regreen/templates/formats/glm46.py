"""``glm46``: GLM-4.5 and 4.6, keys and values in tags of their own."""

from __future__ import annotations

from regreen.templates.calls.tags import TagSyntax
from regreen.templates.chat import Results
from regreen.templates.definitions.styles import json_lines
from regreen.templates.format import ToolFormat
from regreen.templates.formats.chats_tags import GLM45
from regreen.templates.parser import Reasoning
from regreen.templates.tools import ToolTable

__all__ = ["FORMAT", "HEADING"]

HEADING = """\
# Tools

You may call one or more functions to assist with the user query.

You are provided with function signatures within <tools></tools> XML tags:
<tools>
"""

_RULES = """
</tools>

For each function call, output the function name and arguments within the following XML format:
<tool_call>{function-name}
<arg_key>{arg-key-1}</arg_key>
<arg_value>{arg-value-1}</arg_value>
<arg_key>{arg-key-2}</arg_key>
<arg_value>{arg-value-2}</arg_value>
...
</tool_call>"""


def definitions(tools: ToolTable) -> str:
    """The tool block."""
    return HEADING + json_lines(tools.tools) + _RULES


FORMAT = ToolFormat(
    name="glm46",
    title="GLM-4.5 and 4.6: keys and values in tags of their own, tools as JSON lines",
    definitions=definitions,
    calls=TagSyntax(
        call=("<tool_call>{name}\n", "</tool_call>"),
        param=("<arg_key>{key}</arg_key>\n<arg_value>", "</arg_value>\n"),
        lead="\n",
    ),
    results=Results(each=("<tool_response>\n", "\n</tool_response>"), between="\n", role="tool"),
    chat=GLM45,
    reasoning=Reasoning("\n<think>", "</think>\n", empty="\n<think></think>\n"),
    trims=True,
    source="chat template of zai-org/GLM-4.5-Air, the same for 4.6",
    notes=(
        "A turn ends where the next begins: the model samples that turn's mark, and it is trained.",
        "The last answer of a conversation has no such mark and trains no stop; "
        "`Renderer.encode(close=True)` adds it.",
        "The published template empties the reasoning of earlier turns, which changes what stands "
        "when a turn is added; reasoning is kept here.",
    ),
)
