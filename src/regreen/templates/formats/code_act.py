"""``code_act``: actions as Python code between ``<code>`` and ``</code>``, as smolagents has them.

Calls of tools are lines of the block; the wording is ours.
"""

from __future__ import annotations

from regreen.templates.calls.code_blocks import CodeSyntax
from regreen.templates.chat import Results
from regreen.templates.definitions.signatures import python_signatures
from regreen.templates.format import ToolFormat
from regreen.templates.tools import ToolTable

__all__ = ["CALLS", "FORMAT", "RULES"]

RULES = """\
To act, say in a sentence what you are about to do, then write one block of Python:

<code>
tool_name(parameter="value", other=3)
</code>

- The tags stand on lines of their own. What the block gives comes back as an observation.
- Call the functions by their names, every argument by its own.
- When the task is done, answer in plain words, without a block."""

CALLS = CodeSyntax()


def definitions(tools: ToolTable) -> str:
    """The tool block, without the blank line in front."""
    heading = "You solve tasks by writing Python code. These functions are defined:\n\n```python\n"
    return f"{heading}{python_signatures(tools.tools)}\n```\n\n{RULES}"


FORMAT = ToolFormat(
    name="code_act",
    title="CodeAct: calls as lines of a Python block, code as an action of its own",
    definitions=definitions,
    calls=CALLS,
    results=Results(each=("Observation:\n", ""), between="\n"),
    source="CodeAct (arXiv 2402.01030); smolagents' CodeAgent",
    notes=(
        "A block of nothing but calls of offered tools with literal arguments is those calls.",
        "Any other block is a call of the tool that runs code, the one whose only required"
        " parameter is named code or python; without such a tool it is text.",
        "Where a tool runs code, calls are given out when their block is seen to hold nothing"
        " else; without one they stream.",
        "<code> counts only at the end of its line, so code in HTML prose is text.",
        "final_answer(...) of a literal is text, unless a tool has that name.",
        "smolagents stops at </code> and adds it again; so must a client of this parser, because"
        " code without its end is incomplete.",
    ),
)
