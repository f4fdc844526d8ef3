"""Chat framings of the published templates; ChatML itself is in ``templates.chat``."""

from __future__ import annotations

from dataclasses import replace

from regreen.templates.chat import CHATML

__all__ = ["QWEN_CODER"]

QWEN_CODER = replace(
    CHATML,
    default_system=(
        "You are Qwen, a helpful AI assistant that can interact with a computer to solve tasks."
    ),
)
"""ChatML with the system line of Qwen3-Coder."""
