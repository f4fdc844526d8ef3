"""``qwen3_coder_next``: Qwen3-Coder-Next, the tags of Qwen3-Coder with JSON literals."""

from __future__ import annotations

from dataclasses import replace

from regreen.templates.chat import Results
from regreen.templates.definitions.styles import nested_xml
from regreen.templates.formats import qwen3_coder
from regreen.templates.tools import ToolTable

__all__ = ["FORMAT"]


def definitions(tools: ToolTable) -> str:
    """The tool block, without the blank line in front."""
    heading = "# Tools\n\nYou have access to the following functions:\n\n<tools>\n"
    return f"{heading}{nested_xml(tools.tools)}\n</tools>\n\n{qwen3_coder.RULES}"


FORMAT = replace(
    qwen3_coder.FORMAT,
    name="qwen3_coder_next",
    title="Qwen3-Coder-Next: as qwen3_coder, literals as JSON writes them",
    definitions=definitions,
    calls=replace(qwen3_coder.CALLS, literals="json"),
    results=Results(each=("<tool_response>\n", "\n</tool_response>"), between="\n"),
    source="chat template of Qwen/Qwen3-Coder-Next",
    notes=("What a model completes is what qwen3_coder reads; the prompt differs in details.",),
)
