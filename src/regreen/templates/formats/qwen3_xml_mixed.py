"""``qwen3_xml_mixed``: tools defined as JSON, called in tags; Qwen3.5, 3.6 and 3.8 publish it."""

from __future__ import annotations

from dataclasses import replace

from regreen.templates.chat import Results
from regreen.templates.definitions.styles import json_lines
from regreen.templates.formats import qwen3_coder
from regreen.templates.formats.chats_tags import QWEN35
from regreen.templates.tools import ToolTable

__all__ = ["FORMAT"]


def definitions(tools: ToolTable) -> str:
    """The tool block."""
    heading = "# Tools\n\nYou have access to the following functions:\n\n<tools>\n"
    return f"{heading}{json_lines(tools.tools)}\n</tools>\n\n{qwen3_coder.RULES}"


FORMAT = replace(
    qwen3_coder.FORMAT,
    name="qwen3_xml_mixed",
    title="Qwen3.5 and later: tools as JSON lines, calls as qwen3_coder with JSON literals",
    definitions=definitions,
    calls=replace(qwen3_coder.CALLS, literals="json"),
    results=Results(each=("<tool_response>\n", "\n</tool_response>"), between="\n"),
    chat=QWEN35,
    source="chat template of Qwen/Qwen3.6-35B-A3B",
    notes=(
        "The published template drops the reasoning of earlier turns and writes an empty one into "
        "the last; both change what stands when a turn is added. Reasoning is kept, and written "
        "where there is some.",
        "The published template trims every text; only text beside calls is trimmed here.",
        "Qwen3.5 writes literals as Python does; both spellings are read.",
    ),
)
