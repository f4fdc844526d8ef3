"""``deepseekv32``: DeepSeek-V3.2, an attribute says whether a value is text or JSON."""

from __future__ import annotations

from regreen.templates.calls.tags import TagSyntax
from regreen.templates.chat import Results
from regreen.templates.definitions.styles import json_functions
from regreen.templates.format import ToolFormat
from regreen.templates.formats.chats_tags import DEEPSEEK_V32
from regreen.templates.parser import Reasoning
from regreen.templates.tools import ToolTable

__all__ = ["FORMAT"]

_HEADING = """\
## Tools

You have access to a set of tools you can use to answer the user's question.
You can invoke functions by writing a "<｜DSML｜function_calls>" block like the following as part \
of your reply to the user:
<｜DSML｜function_calls>
<｜DSML｜invoke name="$FUNCTION_NAME">
<｜DSML｜parameter name="$PARAMETER_NAME" string="true|false">$PARAMETER_VALUE</｜DSML｜parameter>
...
</｜DSML｜invoke>
<｜DSML｜invoke name="$FUNCTION_NAME2">
...
</｜DSML｜invoke>
</｜DSML｜function_calls>

String and scalar parameters should be specified as is without any escaping or quotes, while \
lists and objects should use JSON format. The "string" attribute should be set to "true" for \
string type parameters and "false" for other types (numbers, booleans, arrays, objects).

If the thinking_mode is enabled, then after function results you should strongly consider \
outputting a thinking block. Here is an example:

<｜DSML｜function_calls>
...
</｜DSML｜function_calls>

<function_results>
...
</function_results>

<think>...thinking about results</think>

Here are the functions available in JSONSchema format:
<functions>
"""


def definitions(tools: ToolTable) -> str:
    """The tool block, without the blank line in front."""
    return f"{_HEADING}{json_functions(tools.tools)}\n</functions>\n"


FORMAT = ToolFormat(
    name="deepseekv32",
    title="DeepSeek-V3.2: an attribute says whether a value is text or JSON",
    definitions=definitions,
    calls=TagSyntax(
        wrap=("<｜DSML｜function_calls>\n", "</｜DSML｜function_calls>"),
        grouped=True,
        call=('<｜DSML｜invoke name="{name}">\n', "</｜DSML｜invoke>\n"),
        param=('<｜DSML｜parameter name="{key}" string="{string}">', "</｜DSML｜parameter>\n"),
        between="",
        lead="\n\n",
    ),
    results=Results(
        each=("<result>", "</result>"),
        between="\n",
        around=("<function_results>\n", "\n</function_results>"),
        role="tool",
    ),
    chat=DEEPSEEK_V32,
    reasoning=Reasoning("<think>", "</think>", empty="</think>"),
    leads=True,
    source="DeepSeek's encoding of V3.2, as llama.cpp's template writes it",
    notes=(
        "Types stand in the text, so no schema is needed to read a call.",
        "DeepSeek publishes code and no template; llama.cpp's is compared with.",
    ),
)
