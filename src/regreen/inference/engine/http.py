"""The engine behind HTTP: vLLM or SGLang, ids in, ids and log-probabilities out.

The server keeps prefixes in its cache and may forget them; the stream keeps the ids and sends all
of them every time, so nothing depends on what the server remembers. A stream changes only once a
whole completion has arrived: a request that failed, or was answered twice, leaves no half. A server
that was started again has the weights that it was started with; what it answers is thrown away, and
it is given the newest ones first.

Shapes: L sparse layers, T tokens, K experts of a token.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from regreen.core.errors import ModelError, UsageError
from regreen.inference.engine.base import Sampled, Stops
from regreen.inference.engine.http_dialect import Answer, Ask, Dialect, unusable
from regreen.inference.engine.http_probe import likeliest, probe, same
from regreen.inference.engine.http_sglang import Sglang
from regreen.inference.engine.http_vllm import Vllm
from regreen.inference.errors import ContextOverflow, EndpointRefused, EndpointUnreachable
from regreen.inference.wire import Endpoint, Wire
from regreen.model import ModelConfig

__all__ = ["HttpEngine", "HttpStream", "Server"]

_Found = TypeVar("_Found")
_PAUSE_SECONDS = 0.5
"""Between two looks whether a server has come back."""
_TIMES = 3
"""Times a completion is asked for that came from other weights than the server was given."""

_DIALECTS: dict[str, type[Dialect]] = {"vllm": Vllm, "sglang": Sglang}
"""By the name under which a server says it owns its models."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """What ``HttpEngine.check`` found."""

    dialect: Dialect
    """How it is spoken to."""
    model: str
    """The model's name there."""
    max_context: int
    """Tokens a sequence may hold."""
    reproducible: bool
    """Whether an equal request was answered equally; SGLang needs
    ``--enable-deterministic-inference`` for it."""


class HttpStream:
    """One sequence of an ``HttpEngine``; see ``TokenStream``."""

    def __init__(self, engine: HttpEngine, seed: int, stops: Stops) -> None:
        self._engine = engine
        self._seed = seed & (1 << 63) - 1
        self._stops = stops
        self._routes: list[NDArray[np.int16]] | None = [] if engine.tells_experts else None
        self._busy = False
        self._closed = False
        self.ids: list[int] = []
        """Every token, forced or sampled."""

    async def extend(self, forced: Sequence[int], *, max_tokens: int) -> Sampled:
        """Read, then sample; see ``TokenStream``."""
        if self._closed or self._busy or max_tokens < 1 or not (self.ids or forced):
            what = "a stream extends one thing at a time, behind at least one token, until closed"
            raise UsageError(what, mend="await the last extend first")
        before = [*self.ids, *map(int, forced)]
        room = self._engine.server.max_context - len(before)
        if room < 1:
            what = f"{len(before)} tokens leave no room in a context of "
            what += f"{self._engine.server.max_context}"
            raise ContextOverflow(what)
        self._busy = True
        try:
            sampled, routes = await self._sample(before, min(max_tokens, room))
        finally:
            self._busy = False
        self.ids = [*before, *sampled.ids]
        self._routes = routes
        self._engine.count(read=len(forced) + len(sampled.ids), sampled=len(sampled.ids))
        return sampled

    async def _sample(
        self, before: list[int], max_tokens: int
    ) -> tuple[Sampled, list[NDArray[np.int16]] | None]:
        """Ask until one of the stream's own stops, or ``max_tokens``, ends the completion."""
        ids: list[int] = []
        logprobs: list[float] = []
        versions: list[int] = []
        routes = None if self._routes is None else list(self._routes)
        while True:
            known = None if routes is None else sum(part.shape[1] for part in routes)
            sequence = [*before, *ids]
            answer, span = await self._engine.ask(
                sequence, max_tokens - len(ids), self._draws(len(sequence)), self._stops, known
            )
            ids += answer.ids
            logprobs += answer.logprobs
            versions += span
            if routes is not None and known is not None:
                part = self._engine.sparse_routes(answer, len(before) + len(ids) - 1 - known)
                routes = None if part is None else [*routes, part]
            stopped = answer.stopped and self._ends(answer)
            if stopped or len(ids) >= max_tokens:
                break
            if not answer.stopped:
                msg = f"the server sampled {len(answer.ids)} ids and gave no reason to end"
                raise ModelError(msg, mend="look into the server's log")
        sampled = Sampled(
            ids=tuple(ids),
            logprobs=tuple(logprobs),
            finish_reason="stop" if stopped else "length",
            versions=(versions[0], versions[-1]),
        )
        return sampled, routes

    def _draws(self, place: int) -> int:
        """Seed of the draws from a place on: a request that is sent again is the same request."""
        state = np.random.SeedSequence([self._seed, place]).generate_state(1, np.uint64)
        return int(state[0]) >> 1

    def _ends(self, answer: Answer) -> bool:
        """Whether what ended it is one of the stream's own stops, not the vendor's."""
        return answer.ids[-1] in self._stops.ids or answer.matched in self._stops.texts

    def experts(self) -> NDArray[np.int16] | None:
        """See ``TokenStream``."""
        return np.concatenate(self._routes, axis=1) if self._routes else None

    async def close(self) -> None:
        """See ``TokenStream``; the server forgets when it needs the room."""
        self._closed = True
        self._routes = None


class HttpEngine:
    """Streams over a vLLM or SGLang server; see ``TokenEngine``.

    Args:
        endpoint: the server itself, not a gateway; an empty model takes the only one it serves.
        temperature: divides the logits; the log-probabilities are those of the divided ones.
        max_context: tokens a sequence may hold; None takes the server's limit.
        policy: shape of the model; given, the experts of every token are asked for.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        temperature: float = 1.0,
        max_context: int | None = None,
        policy: ModelConfig | None = None,
    ) -> None:
        if temperature < 1e-3:
            what = f"temperature {temperature} is too small to sample by"
            raise UsageError(what, mend="give at least 0.001")
        self.endpoint = endpoint
        self.temperature = temperature
        self.sampled_tokens = 0
        """Tokens sampled so far."""
        self.read_tokens = 0
        """Tokens read so far, sampled ones included; each counts once."""
        self._max_context = max_context
        self._policy = policy
        root = endpoint.base_url.rstrip("/").removesuffix("/v1")
        mend = "look into the server's log, and update the server"
        self._wire = Wire(endpoint, root=root, mend=mend)
        # Commands must not queue behind requests that wait for them to end.
        alone = endpoint.model_copy(update={"connections": 1})
        self._commands = Wire(alone, root=root, mend=mend)
        self._server: Server | None = None
        self._version = 0
        self._ready = asyncio.Event()
        self._ready.set()
        self._loading = asyncio.Lock()
        self._broken: BaseException | None = None
        self._tried = False
        self._loaded: Path | None = None
        self._breaks, self._sound = 0, 0
        self._named = False

    @property
    def version(self) -> int:
        """See ``TokenEngine``."""
        return self._version

    @property
    def server(self) -> Server:
        """What ``check`` found.

        Raises:
            UsageError: it has not been called.
        """
        if self._server is None:
            what = "the server has not been checked"
            raise UsageError(what, where=self._wire.where, mend="await engine.check() first")
        return self._server

    @property
    def tells_experts(self) -> bool:
        """Whether experts are asked for."""
        return self._policy is not None and any(self._policy.sparse)

    async def check(self) -> Server:
        """Find out which server it is and try out all that training rests on.

        Raises:
            ModelError: nobody answers, or it cannot be trained on; says which flag mends it.
        """
        dialect, model, limit = self._identify(await self._patiently(self._cards))
        routes = None
        if self._policy is not None and self.tells_experts:
            routes = (self._policy.num_hidden_layers, self._policy.num_experts_per_tok)

        async def ask(question: Ask) -> Answer:
            return await self._exchange(dialect, question)

        async with self._loading:  # other weights in between would answer otherwise
            reproducible = await probe(
                ask, dialect, model=model, temperature=self.temperature, routes=routes,
                where=self._wire.where,
            )  # fmt: skip
        self._server = Server(
            dialect=dialect, model=model, max_context=limit, reproducible=reproducible
        )
        self._check_weights()
        return self._server

    async def _cards(self) -> bytes:
        response = await self._wire.send("GET", "/v1/models")
        if response.status_code >= 400:
            raise self._wire.refusal(response)
        return response.content

    async def _patiently(self, work: Callable[[], Awaitable[_Found]]) -> _Found:
        """What comes of it once the server is there, within the endpoint's seconds."""
        deadline = time.monotonic() + self.endpoint.retry_seconds
        while True:
            try:
                return await work()
            except EndpointUnreachable:
                if time.monotonic() + _PAUSE_SECONDS > deadline:
                    raise
            await asyncio.sleep(_PAUSE_SECONDS)

    def open(self, *, seed: int, stops: Stops) -> HttpStream:
        """See ``TokenEngine``.

        Raises:
            UsageError: the server has not been checked.
        """
        assert self.server
        return HttpStream(self, seed, stops)

    async def load(self, checkpoint: Path, *, version: int) -> None:
        """See ``TokenEngine``; the folder must have this name on the server's machine too.

        New requests wait; those under way go on under the new weights, their prefix read again.
        Before the first load the server loads the weights that it has, once more, and must say
        the same as before. When a load fails half-way nobody knows which weights the server has,
        so every stream fails until a load succeeds.
        """
        folder = checkpoint.resolve()
        if not folder.is_dir():  # before anything is changed
            msg = "there are no such weights"
            raise ModelError(msg, where=str(folder), mend="look whether the disk is shared")
        async with self._loading:
            await self._give(folder, version)

    async def _give(self, folder: Path, version: int) -> None:
        dialect, breaks = self.server.dialect, self._breaks
        self._ready.clear()
        try:
            if not self._tried:
                await self._try_loading()
            await self._patiently(lambda: dialect.load(self._commands, folder, version))
        except EndpointRefused:  # before anything was changed
            raise
        except BaseException as error:
            self._broken = error
            raise
        else:
            self._broken, self._version, self._loaded = None, version, folder
            self._sound = breaks
        finally:
            self._ready.set()

    async def _give_again(self) -> None:
        """Give the newest weights to a server that may have been started again since."""
        async with self._loading:
            if self._loaded is not None and self._sound != self._breaks:
                await self._give(self._loaded, self._version)

    async def _try_loading(self) -> None:
        """Load what the server has: a server that mistakes weights then says other things."""
        dialect = self.server.dialect

        async def ask(question: Ask) -> Answer:
            return await self._exchange(dialect, question)

        before = await likeliest(ask, self.server.model)
        await self._patiently(lambda: dialect.load(self._commands, None, self._version))
        if not same(before, await likeliest(ask, self.server.model)):
            what = f"{dialect.name} is another model once it has loaded its own weights again"
            raise ModelError(what, where=self._wire.where, mend=dialect.flags["reload"])
        self._tried = True

    async def _exchange(self, dialect: Dialect, question: Ask) -> Answer:
        path, body = dialect.request(question)
        response = await self._wire.patiently(path, body, broken=self._lose)
        return dialect.read(response.content, question)

    def _lose(self) -> None:
        """A connection failed."""
        self._breaks += 1

    async def close(self) -> None:
        """See ``TokenEngine``."""
        await self._wire.close()
        await self._commands.close()

    # -- for the streams --------------------------------------------------------------------

    async def ask(
        self, ids: Sequence[int], max_tokens: int, seed: int, stops: Stops, known: int | None
    ) -> tuple[Answer, tuple[int, int]]:
        """One completion, and the versions of the weights that may have drawn it."""
        for _ in range(_TIMES):
            await self._ready.wait()
            found = await self._ask(ids, max_tokens, seed, stops, known)
            if found is not None:
                return found
            # A rollout that is cancelled meanwhile must not leave a load half done.
            await asyncio.shield(self._give_again())
        what = f"{self.server.dialect.name} does not keep the weights that it is given"
        mend = "look into its log, and let nobody else load weights into it"
        raise ModelError(what, where=self._wire.where, mend=mend)

    async def _ask(
        self, ids: Sequence[int], max_tokens: int, seed: int, stops: Stops, known: int | None
    ) -> tuple[Answer, tuple[int, int]] | None:
        """The same, or None if the server may not have had the weights that it was given."""
        first, sound = self._version, self._sound
        question = Ask(
            model=self.server.model, ids=ids, max_tokens=max_tokens, temperature=self.temperature,
            seed=seed, stops=stops, routes_from=known,
        )  # fmt: skip
        self._check_weights()
        answer = await self._exchange(self.server.dialect, question)
        await self._ready.wait()
        self._check_weights()
        said = answer.versions
        if self._loaded is not None:
            if self._named and not (said and first <= said[1] <= self._version):
                self._lose()
            self._named = self._named or said is not None
            if sound != self._breaks:
                return None
        return answer, said or (first, self._version)

    def _check_weights(self) -> None:
        if self._broken is not None:
            what = f"the server's weights are unknown since a load failed: {self._broken}"
            raise ModelError(what, where=self._wire.where, mend="load again, or restart the server")

    def sparse_routes(self, answer: Answer, rows: int) -> NDArray[np.int16] | None:
        """(L, rows, K) of what was told of all layers; None when it is of another size."""
        assert self._policy is not None
        layers, experts = self._policy.num_hidden_layers, self._policy.num_experts_per_tok
        if answer.routes is None or answer.routes.size != rows * layers * experts:
            return None
        told = answer.routes.reshape(rows, layers, experts).astype(np.int16)
        return told[:, np.asarray(self._policy.sparse)].transpose(1, 0, 2)

    def count(self, *, read: int, sampled: int) -> None:
        """A completion has arrived."""
        self.read_tokens += read
        self.sampled_tokens += sampled

    def _identify(self, body: bytes) -> tuple[Dialect, str, int]:
        """Dialect, model and context of what the server lists."""
        where = self._wire.where
        try:
            cards: list[dict[str, Any]] = json.loads(body)["data"]
            names = [str(card["id"]) for card in cards]
        except (ValueError, KeyError, TypeError) as error:
            mend = "give base_url as http://HOST:PORT/v1 of a vLLM or SGLang server"
            msg = "the server lists no models"
            raise unusable(msg, body, mend) from error
        wanted = self.endpoint.model or (names[0] if len(names) == 1 else "")
        if wanted not in names:
            what = f"the server has no model {wanted!r}"
            raise EndpointRefused(what, where=where, mend=f"choose from {', '.join(names)}")
        card = cards[names.index(wanted)]
        owner = str(card.get("owned_by"))
        if owner not in _DIALECTS:
            what = f"the server is of {owner!r}, neither vLLM nor SGLang"
            raise EndpointRefused(what, where=where, mend="give the engine's own address")
        limits = [self._max_context, *(other.get("max_model_len") for other in cards)]
        known = [int(limit) for limit in limits if limit is not None]
        if not known:
            what = "the server does not say how long a sequence may be"
            raise EndpointRefused(what, where=where, mend="give the engine a max_context")
        return _DIALECTS[owner](), wanted, min(known)
