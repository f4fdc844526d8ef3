"""``xml_cline``: the tags are the tools' and parameters' own names, as Cline and Roo prompt for."""

from __future__ import annotations

from collections.abc import Iterable

from regreen.templates.calls.tags import TagSyntax
from regreen.templates.chat import Results
from regreen.templates.definitions.outline import outline
from regreen.templates.format import ToolFormat
from regreen.templates.tools import Tool, ToolTable

__all__ = ["FORMAT"]

_HEADING = """\
TOOL USE

You have access to a set of tools. You can use one tool per message, and will receive the result \
of that tool use in the user's response.

# Tool Use Formatting

Tool use is formatted using XML-style tags. The tool name is enclosed in opening and closing \
tags, and each parameter is similarly enclosed within its own set of tags. Here's the structure:

<tool_name>
<parameter1_name>value1</parameter1_name>
<parameter2_name>value2</parameter2_name>
...
</tool_name>

Always adhere to this format for the tool use to ensure proper parsing and execution.

# Tools
"""


def definitions(tools: ToolTable) -> str:
    """The tool block."""
    return _HEADING + "".join(f"\n{_tool(tool)}\n" for tool in tools.tools).rstrip("\n")


def _tool(tool: Tool) -> str:
    return "\n".join(_rows(tool))


def _rows(tool: Tool) -> Iterable[str]:
    entries = outline(tool)
    yield from (f"## {tool.name}", f"Description: {tool.description}", "Parameters:")
    for entry in entries:
        need = "required" if entry.required else "optional"
        kind = "" if entry.kinds == ("string",) else f" ({entry.words})"
        yield f"- {entry.name}: ({need}) {entry.description}{kind}".rstrip()
    yield from ("Usage:", f"<{tool.name}>")
    for entry in entries:
        yield f"<{entry.name}>{entry.name} here</{entry.name}>"
    yield f"</{tool.name}>"


FORMAT = ToolFormat(
    name="xml_cline",
    title="Cline, Roo and Kilo by prompt: tools and parameters are tags of their own names",
    definitions=definitions,
    calls=TagSyntax(
        call=("<{name}>\n", "</{name}>"),
        param=("<{key}>\n", "\n</{key}>\n"),
        inline=True,
    ),
    results=Results(each=("[{name}] Result:\n", ""), between="\n\n"),
    parallel=False,
    source="Cline's system prompt before it used native calls",
    notes=(
        "A closing tag inside a file's content is content: the last one closes it.",
        "Cline shows results in the user's message, headed by the tool's name; the heading's "
        "description of the call is left out.",
    ),
)
