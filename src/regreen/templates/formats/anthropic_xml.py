"""``anthropic_xml``: invocations in ``<function_calls>``, as Claude was prompted."""

from __future__ import annotations

from regreen.templates.calls.tags import TagSyntax
from regreen.templates.chat import Results
from regreen.templates.definitions.styles import json_functions
from regreen.templates.format import ToolFormat
from regreen.templates.tools import ToolTable

__all__ = ["FORMAT"]

_HEADING = """\
In this environment you have access to a set of tools you can use to answer the user's question.
You can invoke functions by writing a "<function_calls>" block like the following as part of \
your reply to the user:
<function_calls>
<invoke name="$FUNCTION_NAME">
<parameter name="$PARAMETER_NAME">$PARAMETER_VALUE</parameter>
...
</invoke>
</function_calls>

String and scalar parameters should be specified as is, while lists and objects should use JSON \
format.

Here are the functions available in JSONSchema format:
<functions>
"""


def definitions(tools: ToolTable) -> str:
    """The tool block."""
    listed = json_functions(tools.tools, each=("<function>", "</function>"))
    return f"{_HEADING}{listed}\n</functions>"


FORMAT = ToolFormat(
    name="anthropic_xml",
    title="Claude's prompted calls: invocations with attributes in one wrapper",
    definitions=definitions,
    calls=TagSyntax(
        wrap=("<function_calls>\n", "</function_calls>"),
        grouped=True,
        call=('<invoke name="{name}">\n', "</invoke>\n"),
        param=('<parameter name="{key}">', "</parameter>\n"),
        between="",
    ),
    results=Results(
        each=("<result>\n<tool_name>{name}</tool_name>\n<stdout>\n", "\n</stdout>\n</result>"),
        between="\n",
        around=("<function_results>\n", "\n</function_results>"),
    ),
    source="Anthropic's published guide to calls by prompt, and the engines that read its like",
    notes=("Values are raw; lists and objects are JSON.",),
)
