"""Formats by name, and the names that servers give them.

``name -> "module:attribute"``; a format is loaded when it is asked for.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module

from regreen.core.errors import UsageError
from regreen.templates.format import ToolFormat

__all__ = ["ALIASES", "FORMATS", "tool_format"]

_HERE = "regreen.templates.formats"
FORMATS = {
    "qwen3_coder": f"{_HERE}.qwen3_coder:FORMAT",
    "deepseekv32": f"{_HERE}.deepseekv32:FORMAT",
    "glm46": f"{_HERE}.glm46:FORMAT",
    "glm47": f"{_HERE}.glm47:FORMAT",
    "minimax_m2": f"{_HERE}.minimax_m2:FORMAT",
    "qwen3_coder_next": f"{_HERE}.qwen3_coder_next:FORMAT",
    "qwen3_xml_mixed": f"{_HERE}.qwen3_xml_mixed:FORMAT",
    "hermes": f"{_HERE}.hermes:FORMAT",
    "qwen25_coder": f"{_HERE}.qwen25_coder:FORMAT",
    "xlam_qwen": f"{_HERE}.xlam_qwen:FORMAT",
    "minimax_m1": f"{_HERE}.minimax_m1:FORMAT",
    "llama3_json": f"{_HERE}.llama3_json:FORMAT",
    "mistral3": f"{_HERE}.mistral3:FORMAT",
    "kimik2": f"{_HERE}.kimik2:FORMAT",
    "deepseekr1": f"{_HERE}.deepseekr1:FORMAT",
    "deepseekv3": f"{_HERE}.deepseekv3:FORMAT",
    "deepseekv31": f"{_HERE}.deepseekv31:FORMAT",
    "llama4_pythonic": f"{_HERE}.llama4_pythonic:FORMAT",
    "toolace": f"{_HERE}.toolace:FORMAT",
    "openhands_xml": f"{_HERE}.openhands_xml:FORMAT",
    "anthropic_xml": f"{_HERE}.anthropic_xml:FORMAT",
    "xml_cline": f"{_HERE}.xml_cline:FORMAT",
    "xml_aone": f"{_HERE}.xml_aone:FORMAT",
    "harmony_xml": f"{_HERE}.harmony_xml:FORMAT",
    "continue_block": f"{_HERE}.continue_block:FORMAT",
    "react": f"{_HERE}.react:FORMAT",
    "bash_block": f"{_HERE}.bash_block:FORMAT",
    "swe_agent": f"{_HERE}.swe_agent:FORMAT",
    "aider_diff": f"{_HERE}.aider_diff:FORMAT",
    "apply_patch": f"{_HERE}.apply_patch:FORMAT",
    "gemma4": f"{_HERE}.gemma4:FORMAT",
    "harmony_json": f"{_HERE}.harmony_json:FORMAT",
    "code_act": f"{_HERE}.code_act:FORMAT",
}
"""Every built-in format."""

ALIASES = {
    "qwen3_xml": "qwen3_coder",
    "deepseek_v32": "deepseekv32",
    "glm45": "glm46",
    "glm": "glm46",
    "minimax-m2": "minimax_m2",
    "step3p5": "qwen3_coder",
    "nanbeige": "qwen3_coder",
    "qwen": "hermes",
    "qwen25": "hermes",
    "qwen3_json": "hermes",
    "trinity": "hermes",
    "xlam": "xlam_qwen",
    "minimax": "minimax_m1",
    "llama3": "llama3_json",
    "llama4_json": "llama3_json",
    "ling3": "glm47",
    "mistral": "mistral3",
    "kimi_k2": "kimik2",
    "deepseek_v3": "deepseekv3",
    "deepseek_v31": "deepseekv31",
    "deepseek_r1": "deepseekr1",
    "pythonic": "llama4_pythonic",
    "llama4": "llama4_pythonic",
    "mini_swe_agent": "bash_block",
    "gemma": "gemma4",
    "gemma-4": "gemma4",
    "openai": "harmony_json",
    "gpt-oss": "harmony_json",
    "gpt_oss": "harmony_json",
    "harmony": "harmony_json",
    "smolagents": "code_act",
    "codeact": "code_act",
}
"""Names of vLLM's and SGLang's ``--tool-call-parser`` and others in use, to ours."""


@cache
def tool_format(name: str) -> ToolFormat:
    """The format of a name, an alias, or a dotted path ``package.module:ATTRIBUTE``.

    Raises:
        UsageError: no such format.
    """
    path = FORMATS.get(ALIASES.get(name, name), name)
    module, _, attribute = path.partition(":")
    if not attribute:
        from difflib import get_close_matches

        near = get_close_matches(name, [*FORMATS, *ALIASES], 3)
        mend = f"did you mean {' or '.join(near)}?" if near else "regreen plugins lists them"
        what = f"there is no tool-calling format {name!r}"
        raise UsageError(what, where="tool format", mend=mend)
    try:
        found = getattr(import_module(module), attribute)
    except (ImportError, AttributeError) as exc:
        what = f"the tool-calling format cannot be loaded: {exc}"
        raise UsageError(what, where=path, mend="check the dotted path") from exc
    if not isinstance(found, ToolFormat):
        what = "this is no tool-calling format"
        raise UsageError(what, where=path, mend="name a ToolFormat")
    return found
