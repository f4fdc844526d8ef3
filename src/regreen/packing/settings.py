"""What a packing job is asked for; everything here decides about the bytes that are written."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, field_validator

from regreen.packing.documents import MAX_CAPACITY
from regreen.packing.filters import DEFAULT_DROP
from regreen.packing.planner import DEFAULT_POLICY

__all__ = ["PackConfig"]


class PackConfig(BaseModel):
    """Settings of ``regreen pack``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    capacity: int = Field(32_768, ge=1, le=MAX_CAPACITY)
    """Tokens of a row."""
    policy: str = DEFAULT_POLICY
    """How documents are put into rows; see ``regreen.packing.POLICIES``."""
    seed: int = Field(0, ge=0)
    """Decides the order of rows, and the templates where they are drawn."""
    limit: int | None = Field(None, ge=1)
    """Rows of the sources to take; None takes all."""
    tool_format: str = "qwen3_coder"
    """Format that every trajectory is rendered in, where none is drawn."""
    show_tools: bool = True
    """Render the definitions of the tools. A model that only ever sees one set of tools learns them
    without, and its prompts are so much shorter; sample it the same way."""
    tokenizer: str = "qwen"
    """A ``tokenizer.json``, ``qwen`` for Qwen's vocabulary, or ``bytes``."""
    weights: dict[str, float] = {}
    """Weight in the loss by role; may be changed at reading."""
    shard_tokens: int = Field(1 << 25, ge=1)
    """Tokens of a file of rows; at least one row stands in each."""
    end_of_text: str = "<|endoftext|>"
    """Special token behind each plain text, and the pad; passed over where the vocabulary has no
    such token."""
    drop: tuple[str, ...] = DEFAULT_DROP
    """Faults for which a trajectory is put aside; see ``regreen.packing.filters``."""
    mask_repeats: int = Field(0, ge=0)
    """Stretches of text that as many places hold are kept and masked from the loss; 0 masks none.
    See ``regreen.packing.repeats``."""
    repeat_characters: int = Field(100, ge=1)
    """Characters, white space left out, that a stretch must have to count as repeated."""
    specials: tuple[str, ...] = ()
    """Special tokens that ``bytes`` holds beside those of the formats; other vocabularies have
    their own."""

    @field_validator("mask_repeats")
    @classmethod
    def _several(cls, value: int) -> int:
        if value == 1:
            msg = "every text stands in one place; give 2 or more, or 0 to mask nothing"
            raise ValueError(msg)
        return value
