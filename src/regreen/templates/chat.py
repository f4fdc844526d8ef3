"""Chat framing: what stands around the messages, apart from how tools and calls are written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["CHATML", "Chat", "Results"]


@dataclass(frozen=True)
class Chat:
    """Turns of a conversation as text."""

    turns: Mapping[str, tuple[str, str]]
    """Opening and closing by role: system, user, assistant, and tool where results have a turn."""
    stops: tuple[str, ...]
    """Marks that end an assistant's turn."""
    start: str = ""
    """In front of everything."""
    start_with_tools: str = ""
    """In front of everything when tools are offered, where it is another."""
    generation: str = ""
    """Asks for an assistant's turn; the opening of its turn when empty."""
    resumed: str | None = None
    """Opening of an assistant's turn behind results, where it is another."""
    tools_turn: tuple[str, str] | None = None
    """Around the tool definitions where they have a turn of their own beside the system's."""
    tools_first: bool = False
    """Whether the tool definitions stand in front of the system text."""
    default_system: str = ""
    """System text when tools are offered and the conversation has none."""
    keeps_empty_system: bool = False
    """Whether an empty system message stands, and the default does not take its place."""
    always_system: bool = False
    """Whether there is a system turn without tools too."""
    around_system: tuple[str, str] = ("", "")
    """Around the system text, inside its turn."""
    called: str = ""
    """Closing of an assistant's turn that ends in calls, where it is another."""
    specials: tuple[str, ...] = ()
    """Marks that a tokenizer holds as single tokens, never encoded from a message's text."""

    @property
    def ends_with_next(self) -> bool:
        """Whether the mark that opens the next turn is what ends an assistant's.

        The model samples that mark, so it is trained, as the end of the assistant's message. Behind
        the last message of a conversation there is no next turn, and no mark.
        """
        return not self.turns["assistant"][1].strip()


@dataclass(frozen=True)
class Results:
    """How tool results are shown to the model."""

    each: tuple[str, str]
    """Around one result; ``{name}`` and ``{id}`` stand for the call's."""
    between: str = ""
    """Between two results of one turn."""
    around: tuple[str, str] = ("", "")
    """Around all results of a turn."""
    role: str = "user"
    """Role of the turn they are written in."""
    folded: bool = True
    """Whether consecutive results share one turn."""


CHATML = Chat(
    turns={
        "system": ("<|im_start|>system\n", "<|im_end|>\n"),
        "user": ("<|im_start|>user\n", "<|im_end|>\n"),
        "assistant": ("<|im_start|>assistant\n", "<|im_end|>\n"),
    },
    keeps_empty_system=True,
    stops=("<|im_end|>", "<|endoftext|>"),
    specials=("<|im_start|>", "<|im_end|>", "<|endoftext|>"),
)
"""ChatML, the framing of the Qwen family."""
