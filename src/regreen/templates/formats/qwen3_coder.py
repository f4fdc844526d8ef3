"""``qwen3_coder``: the XML-like format of Qwen3-Coder 30B and 480B.

The text of the tool block is the published template's, to the byte; tests compare the two.
"""

from __future__ import annotations

from regreen.templates.calls.tags import TagSyntax
from regreen.templates.chat import Results
from regreen.templates.definitions.styles import nested_xml
from regreen.templates.format import ToolFormat
from regreen.templates.formats.chats import QWEN_CODER
from regreen.templates.tools import ToolTable

__all__ = ["CALLS", "FORMAT", "RULES"]

RULES = """\
If you choose to call a function ONLY reply in the following format with NO suffix:

<tool_call>
<function=example_function_name>
<parameter=example_parameter_1>
value_1
</parameter>
<parameter=example_parameter_2>
This is the value for the second parameter
that can span
multiple lines
</parameter>
</function>
</tool_call>

<IMPORTANT>
Reminder:
- Function calls MUST follow the specified format: an inner <function=...></function> block must \
be nested within <tool_call></tool_call> XML tags
- Required parameters MUST be specified
- You may provide optional reasoning for your function call in natural language BEFORE the \
function call, but NOT after
- If there is no function call available, answer the question like normal with your current \
knowledge and do not tell the user about function calls
</IMPORTANT>"""

CALLS = TagSyntax(
    wrap=("<tool_call>\n", "\n</tool_call>"),
    call=("<function={name}>\n", "</function>"),
    param=("<parameter={key}>\n", "\n</parameter>\n"),
    literals="python",
)


def definitions(tools: ToolTable) -> str:
    """The tool block, without the blank line in front."""
    listed = nested_xml(tools.tools, python_scalars=True)
    heading = "# Tools\n\nYou have access to the following functions:\n\n<tools>\n"
    return f"{heading}{listed}\n</tools>\n\n{RULES}"


FORMAT = ToolFormat(
    name="qwen3_coder",
    title="Qwen3-Coder 30B and 480B: tags around raw values, tools defined in tags",
    definitions=definitions,
    calls=CALLS,
    results=Results(each=("<tool_response>\n", "\n</tool_response>\n")),
    chat=QWEN_CODER,
    trims=True,
    source="chat template of Qwen/Qwen3-Coder-30B-A3B-Instruct",
    notes=("Booleans and null are written as Python does; both spellings are read.",),
)
