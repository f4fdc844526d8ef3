"""Chat framings of the Llama families."""

from __future__ import annotations

from regreen.templates.chat import Chat

__all__ = ["LLAMA3_BARE", "LLAMA4"]


def _chat(opening: str, header_end: str, end: str, stops: tuple[str, ...]) -> Chat:
    roles = {"system": "system", "user": "user", "assistant": "assistant", "tool": "ipython"}
    start = "<|begin_of_text|>"
    return Chat(
        turns={key: (f"{opening}{role}{header_end}\n\n", end) for key, role in roles.items()},
        stops=(end, *stops),
        start=start,
        specials=(start, opening, header_end, end, *stops),
    )


LLAMA3_BARE = _chat("<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>", ("<|eom_id|>",))
"""Llama 3.1 to 3.3, without the lines about dates that their templates put in the system turn."""

LLAMA4 = _chat("<|header_start|>", "<|header_end|>", "<|eot|>", ("<|eom|>", "<|end_of_text|>"))
"""Llama 4."""
