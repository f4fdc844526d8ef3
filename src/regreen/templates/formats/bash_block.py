"""``bash_block``: prose and one fenced shell block, as mini-swe-agent's text mode asks for.

The block's info string is one that no prose uses by chance, which is why an ordinary ``bash``
block is an example here and not a call.
"""

from __future__ import annotations

from regreen.templates.calls.shell_block import ShellBlock
from regreen.templates.calls.text_calls import TextSyntax
from regreen.templates.calls.text_channels import TextChannels
from regreen.templates.chat import CHATML, Results
from regreen.templates.definitions.blocks import block_rules
from regreen.templates.format import ToolFormat
from regreen.templates.tools import ToolTable

__all__ = ["FORMAT", "definitions"]

_MINI = TextSyntax(ShellBlock("mswea_bash_command"))


def definitions(tools: ToolTable, calls: TextSyntax) -> str:
    """The tools, and how to write the blocks of ``calls``."""
    info = calls.form.shell[0]
    native = calls.form.shape.find(tools)
    name = native.name if native else ""
    kind = f"marked `{info}`" if info else "without a language"
    rules = (
        f"To run a command with `{name}`, say in a sentence or two what you are about "
        f"to do, then write the command in a fenced block {kind}. Write exactly one such "
        "block in each answer, at its end:\n\n"
        f"```{info}\ngrep -rn 'def main' src | head\n```\n\n"
        "If the command itself holds a line that begins with three backticks, open and close "
        "the block with four."
    )
    return block_rules(tools, name, rules, info)


def _mini(tools: ToolTable) -> str:
    return definitions(tools, _MINI)


FORMAT = ToolFormat(
    name="bash_block",
    title="mini-swe-agent's text mode: prose and one fenced shell command",
    definitions=_mini,
    calls=_MINI,
    results=Results(each=("<output>\n", "\n</output>"), folded=False),
    channels=TextChannels(_MINI, CHATML.stops),
    parallel=False,
    source="mini-swe-agent, text configuration of version 2",
    notes=(
        "The wording and the wrapper of results are ours; the fence is mini-swe-agent's.",
        "Several blocks are read as several calls. mini-swe-agent refuses such an answer, "
        "SWE-agent runs the last block; an agent that follows them decides by the count.",
        "A command is the tool's whose only required parameter is one string (`command`, `cmd`, "
        "`script` or `code`). Calls of other tools, or with further arguments, are written as "
        "`NAME <<'JSON'` in the same kind of block.",
        "A command with a fence inside is written with a longer fence.",
    ),
)
