"""``deepseekv3``: DeepSeek-V3 and V3-0324, arguments in a JSON fence behind the name.

The published template shows no tools, so the text that defines them is our own.
"""

from __future__ import annotations

from regreen.templates.calls.json_calls import JsonSyntax
from regreen.templates.chat import Results
from regreen.templates.definitions.styles import json_lines
from regreen.templates.format import ToolFormat
from regreen.templates.formats.chats_json import DEEPSEEK
from regreen.templates.tools import ToolTable

__all__ = ["CALLS", "FORMAT", "RESULTS", "definitions"]

CALLS = JsonSyntax(
    wrap=("<｜tool▁calls▁begin｜>", "<｜tool▁calls▁end｜>"),
    call=("<｜tool▁call▁begin｜>", "<｜tool▁call▁end｜>"),
    header=("function<｜tool▁sep｜>", "\n```json\n"),
    footer="\n```",
    header_pattern=(
        r"(?:\w{0,32}<｜tool▁sep｜>)?\s{0,8}(?P<name>[^\s<>{}\[\]`\"']{1,128})\s{1,8}"
        r"(?:```\w{0,16}\s{1,8})?(?=[^\s`\w<])"
    ),
    between="\n",
    lead="",
    tokens=True,
)
RESULTS = Results(
    each=("<｜tool▁output▁begin｜>", "<｜tool▁output▁end｜>"),
    between="\n",
    around=("<｜tool▁outputs▁begin｜>", "<｜tool▁outputs▁end｜>"),
    role="tool",
)

_RULES = """

Call functions at the end of a message, in exactly this form:
<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>NAME
```json
{"PARAMETER": VALUE}
```<｜tool▁call▁end｜><｜tool▁calls▁end｜>
Several calls stand in one pair of <｜tool▁calls▁begin｜> and <｜tool▁calls▁end｜>, each on a new \
line."""


def definitions(tools: ToolTable) -> str:
    """The tools, one per line, and how to call them."""
    return f"# Functions\n\n{json_lines(tools.tools)}{_RULES}"


FORMAT = ToolFormat(
    name="deepseekv3",
    title="DeepSeek-V3: arguments in a JSON fence behind the name",
    definitions=definitions,
    calls=CALLS,
    results=RESULTS,
    chat=DEEPSEEK,
    source="chat template of deepseek-ai/DeepSeek-V3, from re-uploads",
    notes=(
        "The published template shows no tools: the text that defines them is ours.",
        "It also drops calls beside text, leaves a single call without its end mark, and opens"
        " the results of the first round only; here every turn is whole.",
    ),
)
