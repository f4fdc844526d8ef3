"""``openhands_xml``: what OpenHands and SWE-agent prompt models without tool calling for."""

from __future__ import annotations

from collections.abc import Iterable

from regreen.templates.calls.tags import TagSyntax
from regreen.templates.chat import Results
from regreen.templates.definitions.outline import outline
from regreen.templates.format import ToolFormat
from regreen.templates.tools import Tool, ToolTable

__all__ = ["FORMAT"]

_RULES = """\
If you choose to call a function ONLY reply in the following format with NO suffix:

<function=example_function_name>
<parameter=example_parameter_1>value_1</parameter>
<parameter=example_parameter_2>
This is the value for the second parameter
that can span
multiple lines
</parameter>
</function>

<IMPORTANT>
Reminder:
- Function calls MUST follow the specified format, start with <function= and end with </function>
- Required parameters MUST be specified
- Only call one function at a time
- You may provide optional reasoning for your function call in natural language BEFORE the \
function call, but NOT after.
- If there is no function call available, answer the question like normal with your current \
knowledge and do not tell the user about function calls
</IMPORTANT>"""


def definitions(tools: ToolTable) -> str:
    """The tool block."""
    rows = ["You have access to the following functions:", ""]
    for number, tool in enumerate(tools.tools, 1):
        rows.append(f"---- BEGIN FUNCTION #{number}: {tool.name} ----")
        rows += [f"Description: {tool.description}", *_parameters(tool)]
        rows += [f"---- END FUNCTION #{number} ----", ""]
    return "\n".join([*rows, _RULES])


def _parameters(tool: Tool) -> Iterable[str]:
    entries = outline(tool)
    yield "Parameters:" if entries else "No parameters are required for this function."
    for place, entry in enumerate(entries, 1):
        need = "required" if entry.required else "optional"
        values = ", ".join(f"`{option}`" for option in entry.options)
        allowed = f" Allowed values: [{values}]" if values else ""
        told = f"{entry.description or 'No description provided'}{allowed}"
        yield f"  ({place}) {entry.name} ({entry.words}, {need}): {told}"


FORMAT = ToolFormat(
    name="openhands_xml",
    title="OpenHands and SWE-agent: one function in tags, no wrapper",
    definitions=definitions,
    calls=TagSyntax(
        call=("<function={name}>\n", "</function>"),
        param=("<parameter={key}>\n", "\n</parameter>\n"),
        inline=True,
        stop="</function",
    ),
    results=Results(each=("EXECUTION RESULT of [{name}]:\n", ""), between="\n\n"),
    parallel=False,
    source="OpenHands' conversion of function calls for models without them",
    notes=(
        "Clients send `</function` as a stop word: a text that ends there, or right in front of "
        "it, is a whole call unless the endpoint says it was cut.",
        "A value of one line stands between its tags; one of several lines is framed by newlines.",
    ),
)
