"""``deepseekr1``: DeepSeek-R1, calls as DeepSeek-V3 writes them behind reasoning."""

from __future__ import annotations

from dataclasses import replace

from regreen.templates.formats import deepseekv3

__all__ = ["FORMAT"]

FORMAT = replace(
    deepseekv3.FORMAT,
    name="deepseekr1",
    title="DeepSeek-R1: reasoning, then calls as DeepSeek-V3 writes them",
    results=replace(deepseekv3.RESULTS, between=""),
    source="chat template of deepseek-ai/DeepSeek-R1, from re-uploads",
    notes=(
        "The published template shows no tools: the text that defines them is ours.",
        "It drops the reasoning of earlier turns and opens that of the next in the prompt; here"
        " reasoning stays, and the model opens it itself.",
        "It opens the results of the first round only, and a later turn's calls not at all; here"
        " every turn is whole.",
    ),
)
