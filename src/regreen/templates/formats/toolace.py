"""``toolace``: the format of ToolACE, ``[func(a=1)]`` and nothing else in a turn that calls.

Definitions are one JSON array, as in the benchmark the data was made for.
"""

from __future__ import annotations

import json

from regreen.templates.calls.python_calls import PythonicSyntax
from regreen.templates.chat import Results
from regreen.templates.format import ToolFormat
from regreen.templates.formats.chats_llama import LLAMA3_BARE
from regreen.templates.tools import ToolTable

__all__ = ["CALLS", "FORMAT"]

CALLS = PythonicSyntax(quote='"')

INTRODUCTION = """\
You compose function calls. You are given a question and a list of functions. Make one or more \
calls to answer it. If no function fits, or the question leaves out what a required parameter \
needs, say so instead.

Write the calls, and no other text, as
[func_name1(params_name1=params_value1, params_name2=params_value2), func_name2(params)]

The functions, as JSON:
"""


def definitions(tools: ToolTable) -> str:
    """The tool block, without the blank line in front."""
    rows = [tool.declared.get("function", tool.declared) for tool in tools.tools]
    return INTRODUCTION + json.dumps(rows, ensure_ascii=False)


FORMAT = ToolFormat(
    name="toolace",
    title="ToolACE: a list of Python calls, functions defined in one JSON array",
    definitions=definitions,
    calls=CALLS,
    results=Results(each=("", ""), role="tool", folded=False),
    chat=LLAMA3_BARE,
    reasoning=None,
    source="ToolACE (arXiv 2409.00920) and the model cards of Team-ACE; our wording",
    notes=(
        "Read as llama4_pythonic; text beside calls is read and written although the prompt"
        " forbids it.",
        "The framing is that of Llama 3.1, the base of the published models, without its lines"
        " about dates.",
    ),
)
