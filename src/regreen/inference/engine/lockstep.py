"""The engine in this process: all live sequences advance together, one token a step, in one batch.

Forced and sampled tokens go through the same step, so a sequence that reads a tool's result beside
one that writes a call costs nothing extra; only long forced runs are read at once. While a tool
runs its sequence waits: the others wait with it for ``patience`` seconds, because forming another
batch copies every state, and then go on without it while its state is kept.

Shapes: B rows of the batch, V vocabulary, N tokens of a call, L sparse layers, K experts each.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from regreen.core.errors import ModelError, UsageError
from regreen.inference.engine.base import Sampled, Stops
from regreen.inference.errors import ContextOverflow
from regreen.model import Borders, Cache, Decoder, load_checkpoint
from regreen.model.generate import draw
from regreen.model.joining import join
from regreen.model.precision import widened

__all__ = ["LockStep", "LockStepStream"]

_WASTE = 0.25
"""Share of the batch that may be rows nobody needs before it is formed anew."""


@dataclass(slots=True)
class _Request:
    """A completion being sampled."""

    max_tokens: int
    answer: asyncio.Future[Sampled]
    ids: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    versions: list[int] = field(default_factory=list)


class LockStepStream:
    """One sequence of a ``LockStep``; see ``TokenStream``."""

    def __init__(self, engine: LockStep, seed: int, stops: Stops) -> None:
        self._engine = engine
        self._uniform = np.random.Generator(np.random.Philox(key=seed & (1 << 63) - 1))
        self.stops = stops
        self.stop_ids = frozenset(stops.ids)
        self.ids: list[int] = []
        """Every token read."""
        self.pending: deque[int] = deque()
        """Tokens to be read."""
        self.request: _Request | None = None
        self.parked: Cache | None = None
        self.closed = False
        self.routes: list[tuple[NDArray[np.int16], int, int]] = []
        """Calls that read its tokens: experts (L, N, K) of all rows, and the part that is its."""

    async def extend(self, forced: Sequence[int], *, max_tokens: int) -> Sampled:
        """Read, then sample; see ``TokenStream``."""
        size = len(self.ids) + len(self.pending) + len(forced)
        if self.closed or self.request is not None or max_tokens < 1 or size == 0:
            what = "a stream extends one thing at a time, behind at least one token, until closed"
            raise UsageError(what, mend="await the last extend first")
        if size >= self._engine.max_context:
            what = f"{size} tokens leave no room in a context of {self._engine.max_context}"
            raise ContextOverflow(what)
        self.pending.extend(forced)
        self.request = _Request(max_tokens, asyncio.get_running_loop().create_future())
        self._engine.notice()
        try:
            return await self.request.answer
        finally:
            self.request = None

    def experts(self) -> NDArray[np.int16] | None:
        """See ``TokenStream``."""
        if not self.routes:
            return None
        parts = [found[:, start : start + count] for found, start, count in self.routes]
        return np.concatenate(parts, axis=1)

    async def close(self) -> None:
        """See ``TokenStream``."""
        self.closed = True
        self.parked = None
        self._engine.notice()

    def uniform(self) -> float:
        """The next number of its own sequence of draws, in [0, 1)."""
        return float(self._uniform.random())


class LockStep:
    """Streams over a model in this process; see ``TokenEngine``.

    Args:
        model: the policy; it may be the one that is trained, see ``updated``.
        max_context: tokens a sequence may hold.
        temperature: divides the logits; the log-probabilities are those of the divided ones.
        patience: seconds the batch waits for sequences whose tool runs; None waits for all that
            are open, which makes what is computed independent of how fast tools are.
        read_at_once: forced tokens from which on they are read in one call, not one a step.
        experts: record the routers' choices, for replay.
        decode: text of ids, to find stop marks that are no tokens.
    """

    def __init__(
        self,
        model: Decoder,
        *,
        max_context: int,
        temperature: float = 1.0,
        patience: float | None = None,
        read_at_once: int = 12,
        experts: bool = False,
        decode: Callable[[Iterable[int]], str] | None = None,
    ) -> None:
        if temperature < 1e-3:
            what = f"temperature {temperature} is too small to sample by"
            raise UsageError(what, mend="give at least 0.001")
        self.model = model
        self.max_context = max_context
        self.temperature = temperature
        self.sampled_tokens = 0
        """Tokens sampled so far."""
        self.read_tokens = 0
        """Tokens read so far, sampled ones included."""
        self._patience = patience
        self._read_at_once = read_at_once
        self._experts = experts
        self._decode = decode
        self._version = 0
        self._open: list[LockStepStream] = []
        self._rows: list[LockStepStream] = []
        self._cache: Cache | None = None
        self._changed = asyncio.Event()
        self._driver: asyncio.Task[None] | None = None

    @property
    def version(self) -> int:
        """See ``TokenEngine``."""
        return self._version

    def open(self, *, seed: int, stops: Stops) -> LockStepStream:
        """See ``TokenEngine``."""
        if stops.texts and self._decode is None:
            what = f"the mark {stops.texts[0]!r} is no token of this vocabulary"
            raise UsageError(what, mend="give the engine a decode function, or add the token")
        stream = LockStepStream(self, seed, stops)
        self._open.append(stream)
        return stream

    async def load(self, checkpoint: Path, *, version: int) -> None:
        """See ``TokenEngine``; sequences that are open are read again by the new weights."""
        try:
            found = load_checkpoint(checkpoint)
            with torch.no_grad():
                for mine, theirs in zip(self.model.parameters(), found.parameters(), strict=True):
                    mine.copy_(theirs)
        except (OSError, ValueError, RuntimeError) as error:
            what = f"the engine cannot load these weights: {error}"
            raise ModelError(what, where=str(checkpoint)) from error
        self.updated(version)

    def updated(self, version: int) -> None:
        """The model's weights have changed in place: no state that they made is used again."""
        self._version = version
        for stream in self._open:
            stream.pending.extendleft(reversed(stream.ids))
            stream.ids.clear()
            stream.routes.clear()
            stream.parked = None
        self._rows, self._cache = [], None

    async def close(self) -> None:
        """See ``TokenEngine``."""
        for stream in self._open:
            stream.closed = True
            if stream.request is not None and not stream.request.answer.done():
                stream.request.answer.set_exception(ModelError("the engine was closed"))
        self.notice()
        if self._driver is not None:
            await self._driver
        self._open, self._rows, self._cache = [], [], None

    def notice(self) -> None:
        """Something about a stream changed; see that the batch moves."""
        self._changed.set()
        if self._driver is None or self._driver.done():
            self._driver = asyncio.ensure_future(self._drive())

    # -- the loop ---------------------------------------------------------------------------

    async def _drive(self) -> None:
        while True:
            self._open = [stream for stream in self._open if not stream.closed]
            if not any(_asks(stream) for stream in self._open):
                if not self._open:
                    self._rows, self._cache = [], None
                return
            await self._wait()
            try:
                with torch.no_grad():
                    self._form()
                    if self._rows:
                        self._advance()
            except Exception as error:  # whatever the model raised belongs to its callers
                self._fail(error)
            await asyncio.sleep(0)

    async def _wait(self) -> None:
        """Let sequences whose tool runs come back, as long as patience lasts."""
        deadline = None if self._patience is None else time.monotonic() + self._patience
        while any(not stream.closed and not _asks(stream) for stream in self._open):
            self._changed.clear()
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0:
                return
            try:
                async with asyncio.timeout(left):
                    await self._changed.wait()
            except TimeoutError:
                return

    def _fail(self, error: Exception) -> None:
        """Tell everybody who waits, and forget every state: the call may have ended half-way."""
        failure = ModelError(f"the engine failed: {type(error).__name__}: {error}")
        failure.__cause__ = error
        for stream in self._open:
            if stream.request is not None and not stream.request.answer.done():
                stream.request.answer.set_exception(failure)
        self.updated(self._version)

    # -- the batch --------------------------------------------------------------------------

    def _form(self) -> None:
        """Make the batch hold every sequence that asks, and park those that do not."""
        rows, cache = self._rows, self._cache
        idle = [s for s in rows if not s.closed and not _asks(s)]
        gone = sum(stream.closed for stream in rows)
        if cache is not None and (idle or gone > _WASTE * len(rows)):
            for stream in idle:
                stream.parked = cache.pick([rows.index(stream)])
            kept = [place for place, stream in enumerate(rows) if _asks(stream)]
            rows = [rows[place] for place in kept]
            if kept:
                cache.select(kept)
            else:
                cache = None
        held = set(map(id, rows))
        back = [s for s in self._open if s.parked is not None and _asks(s)]
        new = [s for s in self._open if not s.ids and _asks(s) and id(s) not in held]
        parts = [cache] if cache is not None else []
        for stream in back:
            assert stream.parked is not None
            parts.append(stream.parked)
            stream.parked = None
        if new:
            parts.append(self._read_prompts(new))
        self._rows = rows + back + new
        self._cache = join(parts) if len(parts) > 1 else parts[0] if parts else None

    def _read_prompts(self, new: Sequence[LockStepStream]) -> Cache:
        """Read what new sequences begin with, all but the last token; equal ones once."""
        texts = [tuple(stream.pending)[:-1] for stream in new]
        different = {text: place for place, text in enumerate(dict.fromkeys(texts)) if text}
        for stream, text in zip(new, texts, strict=True):
            last = stream.pending[-1]
            stream.ids.extend(text)
            stream.pending = deque([last])
        if len(different) != len(set(texts)):  # some begin with a single token
            return self._read_each(new, texts)
        cache = self.model.new_cache(len(different), history=False)
        counts = tuple(map(len, different))
        self._read([token for text in different for token in text], counts, cache)
        starts = np.concatenate([[0], np.cumsum(counts)])
        if self._experts:
            found = self._routes
            for stream, text in zip(new, texts, strict=True):
                stream.routes.append((found, int(starts[different[text]]), len(text)))
        return cache.pick([different[text] for text in texts])

    def _read_each(self, new: Sequence[LockStepStream], texts: Sequence[tuple[int, ...]]) -> Cache:
        parts = []
        for stream, text in zip(new, texts, strict=True):
            cache = self.model.new_cache(1, history=False)
            if text:
                self._read(list(text), (len(text),), cache)
                if self._experts:
                    stream.routes.append((self._routes, 0, len(text)))
            parts.append(cache)
        return join(parts)

    def _read(
        self, tokens: list[int], counts: tuple[int, ...], cache: Cache, chosen: Sequence[int] = ()
    ) -> torch.Tensor:
        """Read tokens into a cache; returns the logits of the chosen ones."""
        device = self.model.norm.weight.device
        output = self.model(
            torch.tensor([tokens], device=device),
            borders=Borders(counts),
            cache=cache,
            chosen=torch.tensor(list(chosen), dtype=torch.int64, device=device),
        )
        self.read_tokens += len(tokens)
        if self._experts:
            stacked = torch.stack([routing.index_NK for routing in output.routings])
            self._routes: NDArray[np.int16] = stacked.to(torch.int16).cpu().numpy()
        logits: torch.Tensor = output.logits
        return logits

    # -- a step -----------------------------------------------------------------------------

    def _advance(self) -> None:
        """One step of the whole batch: every row reads, those at the end of what is forced draw."""
        assert self._cache is not None
        longest = max(len(stream.pending) for stream in self._rows)
        at_once = longest >= self._read_at_once
        tokens: list[int] = []
        counts: list[int] = []
        drawing: list[LockStepStream] = []
        chosen: list[int] = []
        for stream in self._rows:
            count = 1
            if not _asks(stream):  # closed: its row is not worth a copy yet
                tokens.append(0)
            else:
                count = len(stream.pending) if at_once else 1
                taken = [stream.pending.popleft() for _ in range(count)]
                tokens += taken
                stream.ids += taken
                if not stream.pending:
                    drawing.append(stream)
                    chosen.append(len(tokens) - 1)
            counts.append(count)
        logits_BV = self._read(tokens, tuple(counts), self._cache, chosen)
        if self._experts:
            self._note_routes(counts)
        if drawing:
            self._draw(drawing, logits_BV)

    def _note_routes(self, counts: Sequence[int]) -> None:
        at = 0
        for stream, count in zip(self._rows, counts, strict=True):
            if not stream.closed:
                stream.routes.append((self._routes, at, count))
            at += count

    def _draw(self, drawing: Sequence[LockStepStream], logits_BV: torch.Tensor) -> None:
        logprobs_BV = (widened(logits_BV) / self.temperature).log_softmax(-1)
        uniform_B = torch.tensor([stream.uniform() for stream in drawing], dtype=torch.float64)
        ids_B = draw(logprobs_BV, uniform_B.to(logprobs_BV.device))
        chosen_B = logprobs_BV.gather(1, ids_B[:, None])[:, 0]
        pairs = zip(ids_B.tolist(), chosen_B.tolist(), strict=True)
        for stream, (token, logprob) in zip(drawing, pairs, strict=True):
            self._take(stream, token, logprob)
        self.sampled_tokens += len(drawing)

    def _take(self, stream: LockStepStream, token: int, logprob: float) -> None:
        """Give a sequence the token it drew; it is read with the next step."""
        request = stream.request
        assert request is not None
        request.ids.append(token)
        request.logprobs.append(logprob)
        request.versions.append(self._version)
        stream.pending.append(token)
        stopped = token in stream.stop_ids or self._ends_in_mark(stream, request)
        size = len(stream.ids) + 1
        if stopped or len(request.ids) >= request.max_tokens or size >= self.max_context:
            answer = Sampled(
                ids=tuple(request.ids),
                logprobs=tuple(request.logprobs),
                finish_reason="stop" if stopped else "length",
                versions=(request.versions[0], request.versions[-1]),
            )
            if not request.answer.done():
                request.answer.set_result(answer)

    def _ends_in_mark(self, stream: LockStepStream, request: _Request) -> bool:
        if not stream.stops.texts or self._decode is None:
            return False
        longest = max(len(text.encode()) for text in stream.stops.texts)
        tail = self._decode(request.ids[-longest - 1 :])
        return any(text in tail for text in stream.stops.texts)


def _asks(stream: LockStepStream) -> bool:
    """Whether a stream waits for tokens."""
    request = stream.request
    return not stream.closed and request is not None and not request.answer.done()
