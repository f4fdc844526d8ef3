"""``qwen25_coder``: Qwen2.5-Coder, prompted as ``hermes``, read as it really answers.

The model often puts its calls in ``<tools>`` tags or in a JSON fence; both are read where the
tool is offered.
"""

from __future__ import annotations

from dataclasses import replace

from regreen.templates.formats import hermes
from regreen.templates.formats.chats_json import QWEN25

__all__ = ["CALLS", "FORMAT"]

CALLS = replace(
    hermes.CALLS,
    also=(
        ("<tools>", "</tools>"),
        ("```json", "```"),
        ("```xml", "```"),
    ),
)

FORMAT = replace(
    hermes.FORMAT,
    name="qwen25_coder",
    title="Qwen2.5-Coder: as hermes; calls in <tools> tags or in a JSON fence are read too",
    calls=CALLS,
    chat=QWEN25,
    source="chat template of Qwen/Qwen2.5-7B-Instruct, which Qwen2.5-Coder shares",
    notes=(
        "Calls are written as the prompt asks. A fence or a <tools> tag at the beginning of a line"
        " is read as a call only if it holds one of an offered tool.",
    ),
)
