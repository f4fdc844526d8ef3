"""What an engine of token ids is: sequences that are extended, never texts that are sent again.

A rollout for training holds one stream. It hands over only what is new (forced ids: prompts, tool
results) and gets back what was sampled, with the log-probability under which it was drawn; so no
text is ever tokenised a second time, and the trainer's mask follows from what was forced.

Shapes: L sparse layers, T tokens, K experts of a token.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = ["Sampled", "Stops", "TokenEngine", "TokenStream"]


@dataclass(frozen=True, slots=True)
class Stops:
    """What ends a completion; the id or the text that ended it belongs to it."""

    ids: tuple[int, ...] = ()
    """Token ids."""
    texts: tuple[str, ...] = ()
    """Marks that the vocabulary has no token for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampled:
    """What one call of ``TokenStream.extend`` sampled."""

    ids: tuple[int, ...]
    """Every sampled id, what ended the completion included; at least one."""
    logprobs: tuple[float, ...]
    """Natural logarithm of each id's probability in the distribution it was drawn from: the
    model's, at the engine's temperature, nothing filtered out."""
    finish_reason: Literal["stop", "length"]
    """``length`` when it was cut by ``max_tokens`` or by the context."""
    versions: tuple[int, int] = (0, 0)
    """Version of the weights at the first and at the last id."""
    drawn_by: tuple[int, ...] = ()
    """Version that drew each id; empty where the engine knows no more than ``versions``."""


class TokenStream(Protocol):
    """One sequence; its state stays with the engine until ``close``."""

    async def extend(self, forced: Sequence[int], *, max_tokens: int) -> Sampled:
        """Read ``forced`` behind all that stands, then sample until a stop.

        Args:
            forced: ids to read; together with what stands at least one.
            max_tokens: ids to sample at most, at least 1.

        Raises:
            ContextOverflow: no id fits behind ``forced``; the stream stays as it was.
            ModelError: the engine failed.
        """
        ...

    def experts(self) -> NDArray[np.int16] | None:
        """(L, T, K) the experts of every token read so far, for router replay; None if unknown.

        The last sampled id has been read only once something was forced behind it, so T is one
        less than the sequence's length after ``extend``.
        """
        ...

    async def close(self) -> None:
        """Forget the sequence; calling it twice is harmless."""
        ...


class TokenEngine(Protocol):
    """Where streams live."""

    @property
    def version(self) -> int:
        """Version of the weights that sample now."""
        ...

    async def check(self) -> object:
        """Find out whether it can be trained on; called before the first stream is opened.

        Raises:
            ModelError: it cannot, or does not answer.
        """
        ...

    def open(self, *, seed: int, stops: Stops) -> TokenStream:
        """A new, empty sequence; its draws depend on the seed and its own tokens alone."""
        ...

    async def load(self, checkpoint: Path, *, version: int) -> None:
        """Sample with other weights from now on.

        Args:
            checkpoint: a folder in the Hugging Face layout.
            version: their version.

        Raises:
            ModelError: the engine cannot load them.
        """
        ...

    async def close(self) -> None:
        """End all streams."""
        ...
