"""Chat framings of the published templates whose calls are tags around raw values."""

from __future__ import annotations

from dataclasses import replace

from regreen.templates.chat import CHATML, Chat

__all__ = ["DEEPSEEK_V32", "GLM45", "GLM47", "MINIMAX_M2", "QWEN35"]

QWEN35 = replace(CHATML, tools_first=True)
"""ChatML with the tools in front of the system text, of Qwen3.5 and later."""

GLM45 = Chat(
    turns={
        "system": ("<|system|>\n", ""),
        "user": ("<|user|>\n", ""),
        "assistant": ("<|assistant|>", ""),
        "tool": ("<|observation|>\n", ""),
    },
    stops=("<|user|>", "<|observation|>", "<|endoftext|>"),
    start="[gMASK]<sop>",
    tools_turn=("<|system|>\n", ""),
    tools_first=True,
    specials=(
        *("[gMASK]", "<sop>", "<|system|>", "<|user|>", "<|assistant|>", "<|observation|>"),
        "<|endoftext|>",
    ),
)
"""GLM-4.5 and 4.6: a turn ends where the next begins."""

GLM47 = replace(
    GLM45,
    turns={
        "system": ("<|system|>", ""),
        "user": ("<|user|>", ""),
        "assistant": ("<|assistant|>", ""),
        "tool": ("<|observation|>", ""),
    },
)
"""GLM-4.7 and 5: as GLM-4.5, without newlines."""

MINIMAX_M2 = Chat(
    turns={
        "system": ("]~b]system\n", "[e~[\n"),
        "user": ("]~b]user\n", "[e~[\n"),
        "assistant": ("]~b]ai\n", "[e~[\n"),
        "tool": ("]~b]tool\n", "[e~[\n"),
    },
    stops=("[e~[",),
    start="]~!b[",
    default_system=(
        "You are MiniMax-M2, a helpful AI assistant built by MiniMax. Knowledge cutoff: 2025-06."
    ),
    always_system=True,
    specials=("]~!b[", "]~b]", "[e~["),
)
"""MiniMax-M2."""

DEEPSEEK_V32 = Chat(
    turns={
        "system": ("", ""),
        "user": ("<｜User｜>", ""),
        "assistant": ("<｜Assistant｜>", "<｜end▁of▁sentence｜>"),
        "tool": ("\n\n", ""),
    },
    stops=("<｜end▁of▁sentence｜>",),
    start="<｜begin▁of▁sentence｜>",
    resumed="\n\n",
    specials=(
        *("<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>", "<｜User｜>", "<｜Assistant｜>"),
        "｜DSML｜",
    ),
)
"""DeepSeek-V3.2: no mark between results and the assistant's next words."""
