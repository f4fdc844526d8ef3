"""One sequence of the engine in this process: its tokens, how far they were read, its own draws.

Tokens that were read and tokens still to be read are one list with a mark between them, so a state
that is lost is read again by moving the mark. A completion that fails or is cancelled is taken
back with the draws it used: a caller who asks again never meets tokens that it was not told of.

Shapes: T tokens, L sparse layers, K experts of a token.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from regreen.core.errors import ModelError, UsageError
from regreen.inference.engine.base import Sampled
from regreen.inference.errors import ContextOverflow

if TYPE_CHECKING:
    from regreen.inference.engine.lockstep import LockStep
    from regreen.inference.engine.lockstep_batch import Batch

__all__ = ["LockStepStream", "Marks", "Request"]


@dataclass(slots=True, eq=False)
class Request:
    """A completion being sampled."""

    max_tokens: int
    """Tokens it may have."""
    begin: int
    """Tokens of the sequence before it was asked for, what it forces left out."""
    draws: Mapping[str, Any]
    """Where the sequence's draws stood then."""
    answer: asyncio.Future[Sampled]
    """What the caller waits for."""
    ids: list[int] = field(default_factory=list)
    """Sampled so far."""
    logprobs: list[float] = field(default_factory=list)
    """One for each."""
    versions: list[int] = field(default_factory=list)
    """Version of the weights that drew each."""


class Marks:
    """Finds stop marks that the vocabulary has no token for.

    Args:
        texts: the marks.
        decode: text of ids.
    """

    def __init__(self, texts: Sequence[str], decode: Callable[[Iterable[int]], str]) -> None:
        self._texts = tuple(texts)
        self._decode = decode
        self._window = max(len(text.encode()) for text in texts) + 1
        self._ends = {text[-1] for text in texts} | {"\ufffd"}
        self._closing: dict[int, bool] = {}

    def end(self, ids: Sequence[int]) -> bool:
        """Whether the last of ``ids`` completes a mark, with more behind it or not."""
        last = ids[-1]
        if last not in self._closing:  # nearly no token can, and decoding every tail is slow
            self._closing[last] = not self._ends.isdisjoint(self._decode([last]))
        if not self._closing[last]:
            return False
        tail = self._decode(ids[-self._window :])
        return any(text in tail for text in self._texts)


class LockStepStream:
    """One sequence of a ``LockStep``; see ``TokenStream``."""

    def __init__(self, engine: LockStep, seed: int, stop_ids: Sequence[int], marks: Marks | None):
        self._engine = engine
        self._uniform = np.random.Generator(np.random.Philox(key=seed & (1 << 63) - 1))
        self._stop_ids = frozenset(stop_ids)
        self._marks = marks
        self._routes_TLK: NDArray[np.int16] | None = None
        self._routed = 0
        self.ids: list[int] = []
        """Every token, forced or sampled."""
        self.read = 0
        """How many of them the state holds."""
        self.request: Request | None = None
        """What is being sampled."""
        self.seat: tuple[Batch, int] | None = None
        """Where its state is."""
        self.closed = False
        """Whether it has ended."""

    async def extend(self, forced: Sequence[int], *, max_tokens: int) -> Sampled:
        """Read, then sample; see ``TokenStream``."""
        given = list(map(int, forced))
        begin = len(self.ids)
        size = begin + len(given)
        if self.closed or self.request is not None or max_tokens < 1 or size == 0:
            what = "a stream extends one thing at a time, behind at least one token, until closed"
            raise UsageError(what, mend="await the last extend first")
        if given and not 0 <= min(given) <= max(given) < self._engine.model.config.vocab_size:
            what = f"a forced id is outside the model's vocabulary: {min(given)} to {max(given)}"
            raise UsageError(what, mend="use the vocabulary that the model was made for")
        if size >= self._engine.max_context:
            what = f"{size} tokens leave no room in a context of {self._engine.max_context}"
            raise ContextOverflow(what)
        self.ids += given
        answer: asyncio.Future[Sampled] = asyncio.get_running_loop().create_future()
        draws = self._uniform.bit_generator.state
        self.request = request = Request(max_tokens, begin, draws, answer)
        self._engine.notice()
        try:
            return await answer
        except BaseException:  # cancelled, or told of a failure
            self._take_back(request)
            raise
        finally:
            self.request = None

    def experts(self) -> NDArray[np.int16] | None:
        """See ``TokenStream``."""
        if self._routes_TLK is None:
            return None
        count = min(self._routed, len(self.ids))
        return np.ascontiguousarray(self._routes_TLK[:count].transpose(1, 0, 2))

    async def close(self) -> None:
        """See ``TokenStream``."""
        if not self.closed:
            self.end(ModelError("the stream was closed while it was sampled from"))
            self._engine.notice()

    # -- for the engine ---------------------------------------------------------------------

    @property
    def asks(self) -> bool:
        """Whether it waits for tokens."""
        request = self.request
        return request is not None and not request.answer.done() and not self.closed

    @property
    def left(self) -> int:
        """Tokens that were not read yet."""
        return len(self.ids) - self.read

    def end(self, error: ModelError) -> None:
        """Close it; whoever waits for tokens is told."""
        self.closed = True
        self.fail(error)
        self.forget()

    def fail(self, error: ModelError) -> None:
        """Tell whoever waits for tokens."""
        if self.request is not None and not self.request.answer.done():
            self.request.answer.set_exception(error)

    def forget(self) -> None:
        """Give the state up; the tokens stay, to be read again."""
        self.read = 0
        if self.seat is not None:
            batch, place = self.seat
            batch.streams[place] = None
            self.seat = None

    def advance(self, count: int, routes_TLK: NDArray[np.int16] | None) -> None:
        """So many more tokens were read, by these experts."""
        end = self.read + count
        if routes_TLK is not None:
            held = self._routes_TLK
            if held is None or len(held) < end:
                self._routes_TLK = np.empty((end + end // 2 + 64, *routes_TLK.shape[1:]), np.int16)
                if held is not None:
                    self._routes_TLK[: len(held)] = held
            assert self._routes_TLK is not None
            self._routes_TLK[self.read : end] = routes_TLK
            self._routed = end
        self.read = end

    def uniform(self) -> float:
        """The next number of its own sequence of draws, in [0, 1)."""
        return self._uniform.random()

    def take(self, token: int, logprob: float, version: int) -> None:
        """The token that it drew, which is read with the next step."""
        request = self.request
        assert request is not None
        request.versions.append(version)
        request.ids.append(token)
        request.logprobs.append(logprob)
        self.ids.append(token)
        stopped = token in self._stop_ids
        stopped = stopped or (self._marks is not None and self._marks.end(request.ids))
        full = len(request.ids) >= request.max_tokens or len(self.ids) >= self._engine.max_context
        if stopped or full:
            found = Sampled(
                ids=tuple(request.ids),
                logprobs=tuple(request.logprobs),
                finish_reason="stop" if stopped else "length",
                versions=(request.versions[0], version),
                drawn_by=tuple(request.versions),
            )
            request.answer.set_result(found)

    def _take_back(self, request: Request) -> None:
        """Stand where the sequence stood before it was asked."""
        del self.ids[request.begin :]
        if self.read > request.begin:
            self.forget()
        self._routed = min(self._routed, request.begin)
        self._uniform.bit_generator.state = request.draws
