"""``swe_agent``: SWE-agent's thought and action: prose and one fenced block without a language."""

from __future__ import annotations

from dataclasses import replace

from regreen.templates.calls.shell_block import ShellBlock
from regreen.templates.calls.text_calls import TextSyntax
from regreen.templates.calls.text_channels import TextChannels
from regreen.templates.chat import CHATML
from regreen.templates.formats import bash_block
from regreen.templates.tools import ToolTable

__all__ = ["FORMAT"]

_CALLS = TextSyntax(ShellBlock(""))


def _definitions(tools: ToolTable) -> str:
    return bash_block.definitions(tools, _CALLS)


FORMAT = replace(
    bash_block.FORMAT,
    name="swe_agent",
    title="SWE-agent's thought and action: prose and one fenced block without a language",
    definitions=_definitions,
    calls=_CALLS,
    channels=TextChannels(_CALLS, CHATML.stops),
    source="SWE-agent, thought_action parser",
    notes=(
        "The wording and the wrapper of results are ours.",
        *bash_block.FORMAT.notes[1:],
        "Any block without a language is a call, so an example needs one.",
    ),
)
