"""``continue_block``: a fenced block of keywords, as Continue prompts for."""

from __future__ import annotations

from collections.abc import Iterable

from regreen.templates.calls.tags import TagSyntax
from regreen.templates.chat import Results
from regreen.templates.definitions.outline import outline
from regreen.templates.format import ToolFormat
from regreen.templates.tools import Tool, ToolTable

__all__ = ["FORMAT"]

_HEADING = """\
<tool_use_instructions>
You have access to several "tools" that you can use at any time to retrieve information and/or \
perform tasks for the User.
To use a tool, respond with a tool code block (```tool) using the syntax shown in the examples \
below:

"""

_RULES = """\
If it seems like the User's request could be solved with one of the tools, choose the BEST one \
for the job based on the user's request and the tool descriptions
Then send the ```tool codeblock (YOU call the tool, not the user). Always start the codeblock on \
a new line.
Do not perform actions with/for hypothetical files. Ask the user or use tools to deduce which \
files are relevant.
You can only call ONE tool at at time. The tool codeblock should be the last thing you say; stop \
your response after the tool codeblock.
</tool_use_instructions>"""


def definitions(tools: ToolTable) -> str:
    """The tool block."""
    return _HEADING + "".join(_tool(tool) for tool in tools.tools) + _RULES


def _tool(tool: Tool) -> str:
    return "\n".join([*_rows(tool), "", ""])


def _rows(tool: Tool) -> Iterable[str]:
    yield f"To use the {tool.name} tool, respond with this:"
    if tool.description:
        yield tool.description
    yield from ("```tool", f"TOOL_NAME: {tool.name}")
    for entry in outline(tool):
        need = "required" if entry.required else "optional"
        yield f"BEGIN_ARG: {entry.name}"
        yield f"{entry.description or 'the value'} ({entry.words}, {need})"
        yield "END_ARG"
    yield "```"


FORMAT = ToolFormat(
    name="continue_block",
    title="Continue by prompt: a fenced block of keywords",
    definitions=definitions,
    calls=TagSyntax(
        wrap=("```tool\n", "```"),
        call=("TOOL_NAME: {name}\n", ""),
        param=("BEGIN_ARG: {key}\n", "\nEND_ARG\n"),
        lead="\n",
    ),
    results=Results(each=("```tool_output {name}\n", "\n```"), between="\n\n"),
    parallel=False,
    source="Continue's system messages for models without tool calling",
    notes=(
        "A block without its opening fence is read from `TOOL_NAME:` on.",
        "A call has no closing keyword of its own: the fence closes it.",
    ),
)
