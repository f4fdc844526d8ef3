"""``xml_aone``: our reading of Aone Copilot's format, whose grammar is not published."""

from __future__ import annotations

from regreen.templates.calls.tags import TagSyntax
from regreen.templates.chat import Results
from regreen.templates.definitions.styles import json_lines
from regreen.templates.format import ToolFormat
from regreen.templates.tools import ToolTable

__all__ = ["FORMAT"]

_RULES = """
</tools>

To use a tool, write its name and its arguments as elements, each argument in an element of its \
own name:

<tool_use>
<tool_name>example_tool</tool_name>
<arguments>
<example_argument>value</example_argument>
<another_argument>
a value that can span
several lines
</another_argument>
</arguments>
</tool_use>

Write values as they are, without escapes; lists and objects as JSON. One element per use; the \
results follow in <tool_result> elements."""


def definitions(tools: ToolTable) -> str:
    """The tool block."""
    heading = "# Tools\n\nYou can use these tools, given as JSON:\n\n<tools>\n"
    return heading + json_lines(tools.tools) + _RULES


FORMAT = ToolFormat(
    name="xml_aone",
    title="Aone Copilot, our reading: tool and arguments as elements, the tool's name as text",
    definitions=definitions,
    calls=TagSyntax(
        wrap=("<tool_use>\n", "\n</tool_use>"),
        call=("<tool_name>{name}</tool_name>\n<arguments>\n", "</arguments>"),
        param=("<{key}>\n", "\n</{key}>\n"),
        inline=True,
    ),
    results=Results(
        each=("<tool_result>\n<tool_name>{name}</tool_name>\n", "\n</tool_result>"), between="\n"
    ),
    source="ours: the name and its kind (JSON definitions, XML calls) are all that is published",
    notes=(
        "The grammar is our own reading, chosen to be like no other format here: the tool is an "
        "element's text, its arguments are elements of their own names.",
    ),
)
