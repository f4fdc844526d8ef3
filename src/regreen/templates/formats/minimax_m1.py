"""``minimax_m1``: a JSON object per line, all calls of a message in ``<tool_calls>`` tags."""

from __future__ import annotations

from regreen.templates.calls.json_calls import JsonSyntax
from regreen.templates.chat import Results
from regreen.templates.definitions.styles import json_lines
from regreen.templates.format import ToolFormat
from regreen.templates.formats.chats_json import MINIMAX_M1
from regreen.templates.tools import ToolTable

__all__ = ["CALLS", "FORMAT"]

CALLS = JsonSyntax(wrap=("<tool_calls>\n", "\n</tool_calls>"))

_RULES = """
</tools>

If you need to call tools, please respond with <tool_calls></tool_calls> XML tags, and provide \
tool-name and json-object of arguments, following the format below:
<tool_calls>
{name: <tool-name-1>, arguments: <args-json-object-1>}
...
</tool_calls>"""


def definitions(tools: ToolTable) -> str:
    """The text of the tools' turn."""
    return f"You are provided with these tools:\n<tools>\n{json_lines(tools.tools)}{_RULES}"


FORMAT = ToolFormat(
    name="minimax_m1",
    title="MiniMax-M1: a JSON object per line in <tool_calls> tags",
    definitions=definitions,
    calls=CALLS,
    results=Results(each=("tool name: {name}\ntool result: ", "\n\n"), role="tool"),
    chat=MINIMAX_M1,
    source="chat template of MiniMaxAI/MiniMax-M1-80k and its function call guide",
    notes=(
        "The published template loses the quotes of its example of a call, which is kept here, and"
        " never renders an assistant's calls; those follow the guide.",
    ),
)
