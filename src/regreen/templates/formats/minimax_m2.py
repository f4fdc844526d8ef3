"""``minimax_m2``: MiniMax-M2, invocations with attributes in one wrapper."""

from __future__ import annotations

from regreen.templates.calls.tags import TagSyntax
from regreen.templates.chat import Results
from regreen.templates.definitions.styles import json_functions
from regreen.templates.format import ToolFormat
from regreen.templates.formats.chats_tags import MINIMAX_M2
from regreen.templates.tools import ToolTable

__all__ = ["FORMAT"]

_HEADING = """\
# Tools
You may call one or more tools to assist with the user query.
Here are the tools available in JSONSchema format:

<tools>
"""

_RULES = """
</tools>

When making tool calls, use XML format to invoke tools and pass parameters:

<minimax:tool_call>
<invoke name="tool-name-1">
<parameter name="param-key-1">param-value-1</parameter>
<parameter name="param-key-2">param-value-2</parameter>
...
</invoke>
</minimax:tool_call>"""


def definitions(tools: ToolTable) -> str:
    """The tool block, without the blank line in front."""
    return _HEADING + json_functions(tools.tools, each=("<tool>", "</tool>")) + _RULES


FORMAT = ToolFormat(
    name="minimax_m2",
    title="MiniMax-M2: invocations with attributes in one wrapper",
    definitions=definitions,
    calls=TagSyntax(
        wrap=("<minimax:tool_call>\n", "</minimax:tool_call>"),
        grouped=True,
        call=('<invoke name="{name}">\n', "</invoke>\n"),
        param=('<parameter name="{key}">', "</parameter>\n"),
        between="",
        lead="\n",
    ),
    results=Results(each=("<response>", "</response>"), between="\n", role="tool"),
    chat=MINIMAX_M2,
    leads=True,
    source="chat template of MiniMaxAI/MiniMax-M2",
    notes=(
        "Quotes around attributes are read single, double or missing.",
        "The published prompt opens the reasoning; the model opens it here, so that a message "
        "without any continues the same prompt.",
        "The published template drops the reasoning of earlier turns; it is kept here.",
    ),
)
