"""Chat framings of the published templates whose calls are JSON."""

from __future__ import annotations

from dataclasses import replace

from regreen.templates.chat import CHATML, Chat

__all__ = ["DEEPSEEK", "KIMI", "LLAMA3", "MINIMAX_M1", "MISTRAL", "QWEN25", "XLAM"]

QWEN25 = replace(
    CHATML,
    default_system="You are Qwen, created by Alibaba Cloud. You are a helpful assistant.",
    always_system=True,
)
"""ChatML with the system line of Qwen2.5."""

XLAM = Chat(
    turns={
        "system": ("<|im_start|>system\n", "\n<|im_end|>"),
        "user": ("<|im_start|>user\n", "<|im_end|>"),
        "assistant": ("<|im_start|>assistant\n", "<|im_end|>"),
        "tool": ("<|im_start|>tool\n", "<|im_end|>"),
    },
    stops=CHATML.stops,
    specials=CHATML.specials,
)
"""ChatML of xLAM-2: no newline behind a turn, results in turns of their own."""

MINIMAX_M1 = Chat(
    turns={
        "system": (
            "<beginning_of_sentence>system ai_setting=assistant\n",
            "<end_of_sentence>\n",
        ),
        "user": ("<beginning_of_sentence>user name=user\n", "<end_of_sentence>\n"),
        "assistant": ("<beginning_of_sentence>ai name=assistant\n", "<end_of_sentence>\n"),
        "tool": ("<beginning_of_sentence>tool name=tools\n", "<end_of_sentence>\n"),
    },
    stops=("<end_of_sentence>",),
    start="<begin_of_document>",
    tools_turn=("<beginning_of_sentence>system tool_setting=tools\n", "<end_of_sentence>\n"),
    specials=("<begin_of_document>", "<beginning_of_sentence>", "<end_of_sentence>"),
)
"""MiniMax-M1."""

LLAMA3 = Chat(
    turns={
        "system": ("<|start_header_id|>system<|end_header_id|>\n\n", "<|eot_id|>"),
        "user": ("<|start_header_id|>user<|end_header_id|>\n\n", "<|eot_id|>"),
        "assistant": ("<|start_header_id|>assistant<|end_header_id|>\n\n", "<|eot_id|>"),
        "tool": ("<|start_header_id|>ipython<|end_header_id|>\n\n", "<|eot_id|>"),
    },
    stops=("<|eot_id|>", "<|eom_id|>", "<|end_of_text|>"),
    start="<|begin_of_text|>",
    tools_first=True,
    specials=(
        *("<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"),
        *("<|eom_id|>", "<|python_tag|>", "<|end_of_text|>"),
    ),
)
"""Llama 3.1 and later, with the tools in the system turn."""

MISTRAL = Chat(
    turns={
        "system": ("[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]"),
        "user": ("[INST]", "[/INST]"),
        "assistant": ("", "</s>"),
        "tool": ("[TOOL_RESULTS]", "[/TOOL_RESULTS]"),
    },
    stops=("</s>",),
    start="<s>",
    tools_turn=("[AVAILABLE_TOOLS]", "[/AVAILABLE_TOOLS]"),
    specials=(
        *("<s>", "</s>", "[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]", "[INST]", "[/INST]"),
        *("[AVAILABLE_TOOLS]", "[/AVAILABLE_TOOLS]", "[TOOL_CALLS]", "[ARGS]"),
        *("[TOOL_RESULTS]", "[/TOOL_RESULTS]", "[THINK]", "[/THINK]"),
    ),
)
"""Mistral Large 3 and its family."""

KIMI = Chat(
    turns={
        "system": ("<|im_system|>system<|im_middle|>", "<|im_end|>"),
        "user": ("<|im_user|>user<|im_middle|>", "<|im_end|>"),
        "assistant": ("<|im_assistant|>assistant<|im_middle|>", "<|im_end|>"),
        "tool": ("", ""),
    },
    stops=("<|im_end|>",),
    tools_turn=("<|im_system|>tool_declare<|im_middle|>", "<|im_end|>"),
    tools_first=True,
    default_system="You are Kimi, an AI assistant created by Moonshot AI.",
    always_system=True,
    specials=(
        *("<|im_system|>", "<|im_user|>", "<|im_assistant|>", "<|im_middle|>", "<|im_end|>"),
        *("<|tool_calls_section_begin|>", "<|tool_calls_section_end|>", "<|tool_call_begin|>"),
        *("<|tool_call_argument_begin|>", "<|tool_call_end|>"),
    ),
)
"""Kimi-K2."""

DEEPSEEK = Chat(
    turns={
        "system": ("", ""),
        "user": ("<｜User｜>", ""),
        "assistant": ("<｜Assistant｜>", "<｜end▁of▁sentence｜>"),
        "tool": ("", ""),
    },
    stops=("<｜end▁of▁sentence｜>",),
    start="<｜begin▁of▁sentence｜>",
    resumed="",
    specials=(
        *("<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>", "<｜User｜>", "<｜Assistant｜>"),
        *("<｜tool▁calls▁begin｜>", "<｜tool▁calls▁end｜>", "<｜tool▁call▁begin｜>"),
        *("<｜tool▁call▁end｜>", "<｜tool▁sep｜>", "<｜tool▁outputs▁begin｜>"),
        *("<｜tool▁outputs▁end｜>", "<｜tool▁output▁begin｜>", "<｜tool▁output▁end｜>"),
    ),
)
"""DeepSeek-V3, R1 and V3.1: an assistant goes on behind results without a mark of its own."""
