"""``glm47``: GLM-4.7 and 5, as ``glm46`` without newlines."""

from __future__ import annotations

from regreen.templates.calls.tags import TagSyntax
from regreen.templates.chat import Results
from regreen.templates.definitions.styles import json_lines
from regreen.templates.format import ToolFormat
from regreen.templates.formats.chats_tags import GLM47
from regreen.templates.formats.glm46 import HEADING
from regreen.templates.parser import Reasoning
from regreen.templates.tools import ToolTable

__all__ = ["FORMAT"]

_RULES = """
</tools>

For each function call, output the function name and arguments within the following XML format:
<tool_call>{function-name}<arg_key>{arg-key-1}</arg_key><arg_value>{arg-value-1}</arg_value>\
<arg_key>{arg-key-2}</arg_key><arg_value>{arg-value-2}</arg_value>...</tool_call>"""


def definitions(tools: ToolTable) -> str:
    """The tool block."""
    return HEADING + json_lines(tools.tools) + _RULES


FORMAT = ToolFormat(
    name="glm47",
    title="GLM-4.7 and 5: as glm46, without newlines",
    definitions=definitions,
    calls=TagSyntax(
        call=("<tool_call>{name}", "</tool_call>"),
        param=("<arg_key>{key}</arg_key><arg_value>", "</arg_value>"),
        between="",
        lead="",
    ),
    results=Results(each=("<tool_response>", "</tool_response>"), role="tool"),
    chat=GLM47,
    reasoning=Reasoning("<think>", "</think>", empty="</think>"),
    trims=True,
    source="chat template of zai-org/GLM-4.7-Flash as llama.cpp keeps it",
    notes=(
        "A turn ends where the next begins: the model samples that turn's mark, and it is trained.",
        "The last answer of a conversation has no such mark and trains no stop; "
        "`Renderer.encode(close=True)` adds it.",
        "A message without reasoning begins with a closing tag alone.",
        "The published prompt opens the reasoning, which a message without any would contradict; "
        "the model opens it here.",
        "The published template drops the reasoning of earlier turns; it is kept here.",
    ),
)
