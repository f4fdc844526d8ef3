"""``llama4_pythonic``: a list of Python calls, as Llama 4 and the small Llama 3.2 models write it.

The chat framing is the published one; the wording of the tool block is ours, because the published
template asks for JSON and only its servers' replacements ask for Python.
"""

from __future__ import annotations

from regreen.templates.calls.python_calls import PythonicSyntax
from regreen.templates.chat import Results
from regreen.templates.definitions.styles import json_lines
from regreen.templates.format import ToolFormat
from regreen.templates.formats.chats_llama import LLAMA4
from regreen.templates.tools import ToolTable

__all__ = ["CALLS", "FORMAT", "RULES"]

RULES = """\
To call functions, write a list of Python calls on a line of its own and nothing behind it:

[function_name(parameter=value, other_parameter="text"), second_function()]

- Every argument is passed by its name and is a literal: no variables, no expressions.
- Give every required parameter; leave out optional ones you do not need.
- Several functions may be called in one list.
- If no function helps, answer without one."""

CALLS = PythonicSyntax(wrap=("<|python_start|>", "<|python_end|>"), quote='"')


def definitions(tools: ToolTable) -> str:
    """The tool block, without the blank line in front."""
    heading = "You may call the following functions, given as JSON, one a line:\n\n"
    return f"{heading}{json_lines(tools.tools)}\n\n{RULES}"


FORMAT = ToolFormat(
    name="llama4_pythonic",
    title="Llama 4: a list of Python calls with literals for arguments",
    definitions=definitions,
    calls=CALLS,
    results=Results(each=("", ""), role="tool", folded=False),
    chat=LLAMA4,
    reasoning=None,
    source="Llama 4 prompt format; vLLM's parsers llama4_pythonic and pythonic",
    notes=(
        "The list is written bare; one between <|python_start|> and <|python_end|> is read too.",
        "A bare list is a call at once where it begins a line with an offered tool; elsewhere only"
        " if it is well-formed, names its arguments and ends its line.",
        "A bare list inside a code fence is text.",
        "Keys that are no Python names are passed as **{'key': value}.",
        "The published template writes JSON calls and puts text beside them between the Python"
        " tokens; only conversations without calls are compared with it.",
    ),
)
