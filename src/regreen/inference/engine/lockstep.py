"""The engine in this process: all live sequences advance together, one token a step, in one batch.

Forced and sampled tokens go through the same step, so a sequence that reads a tool's result beside
one that writes a call costs nothing extra; only forced runs that are worth a copy of the batch are
read apart, at once. While a tool runs its sequence waits: the others wait with it for ``patience``
seconds, because forming another batch copies every state, and then go on without it while its state
is kept.

Shapes: B rows of the batch, V vocabulary, N tokens of a call, L sparse layers, K experts each.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from regreen.core.errors import ModelError, UsageError
from regreen.inference.engine.base import Stops
from regreen.inference.engine.lockstep_batch import Batch
from regreen.inference.engine.lockstep_stream import LockStepStream, Marks
from regreen.model import Borders, Cache, Decoder, ModelConfig, load_checkpoint
from regreen.model.generate import draw
from regreen.model.precision import widened

__all__ = ["LockStep", "LockStepStream"]

_T = TypeVar("_T")
_WASTE = 0.25
"""Share of the batch that may be rows nobody needs before it is formed anew."""
_WORTH = 4
"""Tokens for each row of the batch that long forced runs must have to be read apart from it."""
_AT_ONCE = 1 << 14
"""Tokens read in one call, unless a single sequence has more."""

_FREE = {
    "full_attention_interval",  # the types of the layers say it too
    "initializer_range",
    "max_position_embeddings",
    "router_aux_loss_coef",
}
"""Entries of a model's configuration that change nothing of what given weights compute."""


class LockStep:
    """Streams over a model in this process; see ``TokenEngine``.

    Args:
        model: the policy; it may be the one that is trained, see ``updated``.
        max_context: tokens a sequence may hold.
        temperature: divides the logits; the log-probabilities are those of the divided ones.
        patience: seconds the batch waits for sequences whose tool runs; None waits for all that
            are open, which makes what is computed independent of how fast tools are.
        read_at_once: forced tokens from which on they may be read in one call, not one a step.
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
        if not 1e-3 <= temperature < float("inf"):
            what = f"temperature {temperature} is nothing to sample by"
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
        self._experts = experts and any(model.config.sparse)
        self._decode = decode
        self._marks: dict[tuple[str, ...], Marks] = {}
        self._version = 0
        self._open: list[LockStepStream] = []
        self._batch: Batch | None = None
        self._parked: list[Batch] = []
        self._changed = asyncio.Event()
        self._driver: asyncio.Task[None] | None = None

    @property
    def version(self) -> int:
        """See ``TokenEngine``."""
        return self._version

    async def check(self) -> None:
        """See ``TokenEngine``: what it computes is what the trainer computes."""

    def open(self, *, seed: int, stops: Stops) -> LockStepStream:
        """See ``TokenEngine``."""
        marks = None
        if stops.texts:
            if self._decode is None:
                what = f"the mark {stops.texts[0]!r} is no token of this vocabulary"
                raise UsageError(what, mend="give the engine a decode function, or add the token")
            if stops.texts not in self._marks:
                self._marks[stops.texts] = Marks(stops.texts, self._decode)
            marks = self._marks[stops.texts]
        stream = LockStepStream(self, seed, stops.ids, marks)
        self._open.append(stream)
        return stream

    async def load(self, checkpoint: Path, *, version: int) -> None:
        """See ``TokenEngine``; sequences that are open are read again by the new weights."""
        try:
            found = load_checkpoint(checkpoint)
        except (OSError, ValueError, RuntimeError) as error:
            what = f"the engine cannot load these weights: {error}"
            raise ModelError(what, where=str(checkpoint)) from error
        if _computes(found.config) != _computes(self.model.config):  # before any is copied
            what = "the engine cannot load these weights: they are of another model"
            raise ModelError(what, where=str(checkpoint))
        with torch.no_grad():
            pairs = zip(self.model.parameters(), found.parameters(), strict=True)
            for mine, theirs in pairs:
                mine.copy_(theirs)
        self.updated(version)

    def updated(self, version: int) -> None:
        """The model's weights have changed in place: no state that they made is used again."""
        self._version = version
        for stream in self._open:
            stream.forget()
        self._batch, self._parked = None, []

    async def close(self) -> None:
        """See ``TokenEngine``."""
        for stream in self._open:
            stream.end(ModelError("the engine was closed"))
        self.notice()
        if self._driver is not None:
            await self._driver

    def notice(self) -> None:
        """Something about a stream changed; see that the batch moves."""
        if self._driver is None or self._driver.done():
            self._changed = asyncio.Event()  # of the loop that runs now
            self._driver = asyncio.ensure_future(self._drive())
        self._changed.set()

    # -- the loop ---------------------------------------------------------------------------

    async def _drive(self) -> None:
        while True:
            self._open = [stream for stream in self._open if not stream.closed]
            if not any(stream.asks for stream in self._open):
                self._drop_empty()
                return
            await self._wait()
            try:
                with torch.no_grad():
                    self._form()
                    if self._batch is not None:
                        self._advance(self._batch)
            except Exception as error:  # whatever the model raised belongs to its callers
                self._fail(error)
            await asyncio.sleep(0)

    async def _wait(self) -> None:
        """Let sequences whose tool runs come back, as long as patience lasts."""
        deadline = None if self._patience is None else time.monotonic() + self._patience
        while any(not stream.closed and not stream.asks for stream in self._open):
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
        for stream in self._open:
            failure = ModelError(f"the engine failed: {type(error).__name__}: {error}")
            failure.__cause__ = error
            stream.fail(failure)
        self.updated(self._version)

    # -- the batch --------------------------------------------------------------------------

    def _form(self) -> None:
        """Make the batch hold every sequence that asks, and park those that do not."""
        batch = self._batch
        parts: list[Batch] = []
        if batch is not None:
            seated = batch.seated
            idle = [stream for stream in seated if not stream.asks]
            asking = [stream for stream in seated if stream.asks] if idle else seated
            if idle:
                self._parked.append(batch.part(idle))
            if asking:
                dense = not idle and len(asking) >= (1.0 - _WASTE) * len(batch.streams)
                batch = batch if dense else batch.part(asking)
                parts += self._read_ahead(batch, worth=_WORTH * len(asking))
        for back in self._returned():
            parts += self._read_ahead(back, worth=0)
        parts += self._read_new()
        self._batch = Batch.joined(parts) if parts else None

    def _returned(self) -> Iterator[Batch]:
        """Parked sequences that ask again; what stays is packed when it is half empty."""
        stay: list[Batch] = []
        for parked in self._parked:
            left = [stream for stream in parked.seated if not stream.asks]
            back = [stream for stream in parked.seated if stream.asks]
            if back:
                yield parked.part(back)
            if left:
                stay.append(parked if 2 * len(left) > len(parked.streams) else parked.part(left))
        self._parked = stay

    def _read_ahead(self, batch: Batch, worth: int) -> Iterator[Batch]:
        """The batch, long forced runs read but for their last token if they are ``worth`` it."""
        long = {s: s.left for s in batch.seated if s.left >= self._read_at_once}
        if not long or sum(long.values()) < worth:
            yield batch
            return
        parts = [batch.part(some) for some in _parts(long, long.__getitem__)]
        for part in parts:
            streams = part.seated
            tokens = [token for stream in streams for token in stream.ids[stream.read : -1]]
            counts = tuple(stream.left - 1 for stream in streams)
            _, routes_NLK = self._read(tokens, counts, part.cache)
            self._note(streams, counts, routes_NLK)
            yield part
        if batch not in parts and batch.seated:
            yield batch

    def _drop_empty(self) -> None:
        """Free states that nobody needs while nothing is sampled."""
        self._parked = [parked for parked in self._parked if parked.seated]
        if self._batch is not None and not self._batch.seated:
            self._batch = None

    def _read_new(self) -> Iterator[Batch]:
        """Read what sequences without a state hold, all but the last token; equal ones once."""
        alike: dict[tuple[int, ...], list[LockStepStream]] = {}
        for stream in self._open:
            if stream.seat is None and stream.asks:
                alike.setdefault(tuple(stream.ids[:-1]), []).append(stream)
        if single := alike.pop((), None):
            yield Batch(self.model.new_cache(len(single), history=False), single)
        for texts in _parts(alike, len):
            yield self._read_prompts(texts, alike)

    def _read_prompts(
        self, texts: Sequence[tuple[int, ...]], alike: dict[tuple[int, ...], list[LockStepStream]]
    ) -> Batch:
        cache = self.model.new_cache(len(texts), history=False)
        counts = tuple(map(len, texts))
        _, routes_NLK = self._read([token for text in texts for token in text], counts, cache)
        self.read_tokens += sum(counts)
        rows: list[int] = []
        streams: list[LockStepStream] = []
        at = 0
        for row, text in enumerate(texts):
            end = at + len(text)
            for stream in alike[text]:
                stream.advance(len(text), None if routes_NLK is None else routes_NLK[at:end])
                streams.append(stream)
                rows.append(row)
            at = end
        return Batch(cache.pick(rows) if len(rows) > len(texts) else cache, streams)

    def _read(
        self, tokens: list[int], counts: tuple[int, ...], cache: Cache, chosen: Sequence[int] = ()
    ) -> tuple[torch.Tensor, NDArray[np.int16] | None]:
        """Read tokens into a cache: logits of the chosen ones, and experts (N, L, K) if wanted."""
        device = self.model.norm.weight.device
        output = self.model(
            torch.tensor([tokens], device=device),
            borders=Borders(counts),
            cache=cache,
            chosen=torch.tensor(list(chosen), dtype=torch.int64, device=device),
        )
        routes_NLK = None
        if self._experts:
            stacked = torch.stack([routing.index_NK for routing in output.routings], dim=1)
            routes_NLK = stacked.to(torch.int16).cpu().numpy()
        return output.logits, routes_NLK

    # -- a step -----------------------------------------------------------------------------

    def _advance(self, batch: Batch) -> None:
        """One step of the whole batch: every row reads, those at the end of what is forced draw."""
        streams = batch.streams
        tokens = [0 if s is None else s.ids[s.read] for s in streams]  # 0: not worth a copy yet
        places = [place for place, s in enumerate(streams) if s is not None and s.left == 1]
        drawing = [s for s in streams if s is not None and s.left == 1]
        counts = (1,) * len(tokens)
        logits_BV, routes_NLK = self._read(tokens, counts, batch.cache, places)
        self._note(streams, counts, routes_NLK)
        if drawing:
            self._draw(drawing, logits_BV)

    def _note(
        self,
        streams: Sequence[LockStepStream | None],
        counts: Sequence[int],
        routes_NLK: NDArray[np.int16] | None,
    ) -> None:
        """The streams have read so many tokens each, one behind another in a call."""
        at = 0
        for stream, count in zip(streams, counts, strict=True):
            if stream is not None:
                stream.advance(count, None if routes_NLK is None else routes_NLK[at : at + count])
                self.read_tokens += count
            at += count

    def _draw(self, drawing: Sequence[LockStepStream], logits_BV: torch.Tensor) -> None:
        logprobs_BV = (widened(logits_BV) / self.temperature).log_softmax(-1)
        broken_B = logprobs_BV.amax(-1).isnan()
        if bool(broken_B.any()):
            for place in broken_B.nonzero().flatten().tolist():
                drawing[place].fail(ModelError("the model's logits are not numbers"))
                drawing[place].forget()
            sound = (~broken_B).nonzero().flatten().tolist()
            drawing, logprobs_BV = [drawing[place] for place in sound], logprobs_BV[sound]
            if not drawing:
                return
        uniform_B = torch.tensor([stream.uniform() for stream in drawing], dtype=torch.float64)
        ids_B = draw(logprobs_BV, uniform_B.to(logprobs_BV.device))
        chosen_B = logprobs_BV.gather(1, ids_B[:, None])[:, 0]
        pairs = zip(ids_B.tolist(), chosen_B.tolist(), strict=True)
        for stream, (token, logprob) in zip(drawing, pairs, strict=True):
            stream.take(token, logprob, self._version)
        self.sampled_tokens += len(drawing)


def _computes(config: ModelConfig) -> dict[str, object]:
    """What of a configuration changes what given weights compute."""
    return {name: value for name, value in config.to_hf().items() if name not in _FREE}


def _parts(items: Iterable[_T], size: Callable[[_T], int]) -> Iterator[list[_T]]:
    """Items in order, in lists of at most ``_AT_ONCE`` tokens or one item."""
    part: list[_T] = []
    total = 0
    for item in items:
        if part and total + size(item) > _AT_ONCE:
            yield part
            part, total = [], 0
        part.append(item)
        total += size(item)
    if part:
        yield part
