"""What is asked of a server of token ids and what comes back, whichever server it is.

A dialect translates and knows which of its server's flags mends what; it decides nothing. Bodies
are read strictly: a server that leaves ids or log-probabilities out, or that read other ids than it
was sent, is refused, because a trainer would learn from the difference.

Shapes: R tokens whose experts are told, L layers, K experts of a token.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from regreen.core.errors import ModelError
from regreen.inference.engine.base import Stops
from regreen.inference.errors import EndpointRefused, EndpointUnreachable, MalformedAnswer
from regreen.inference.messages import encode
from regreen.inference.wire import Wire

__all__ = ["Answer", "Ask", "Dialect", "control", "parsed", "unusable"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """One request."""

    model: str
    """Name of the model as the server knows it."""
    ids: Sequence[int]
    """The whole sequence so far."""
    max_tokens: int
    """Ids to sample at most."""
    temperature: float
    """Divides the logits; 0 takes the likeliest id."""
    seed: int
    """Of the draws, at least 0 and below 2**63."""
    stops: Stops = field(default_factory=Stops)
    """What ends the completion."""
    tops: int = 0
    """Likeliest ids of each place to name beside the sampled one."""
    routes_from: int | None = None
    """First token whose experts are wanted; None wants none."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Answer:
    """What the server sampled."""

    ids: tuple[int, ...]
    """Sampled ids."""
    logprobs: tuple[float, ...]
    """Log-probability of each."""
    stopped: bool
    """Whether something ended it before ``max_tokens``."""
    matched: int | str | None = None
    """The id or text that ended it, where the server says."""
    tops: tuple[Mapping[int, float], ...] = ()
    """Log-probabilities of the likeliest ids of each place."""
    routes: NDArray[np.integer] | None = None
    """(R, L, K), or (R, L·K) where the server does not say, of all layers."""
    versions: tuple[int, int] | None = None
    """Version of the weights at the first and last id, where the server says."""


class Dialect(Protocol):
    """How one kind of server is spoken to."""

    name: str
    """The server's name."""
    flags: Mapping[str, str]
    """How to mend ``logprobs`` (of another distribution), ``routes`` (not told), ``load`` (no such
    command) and ``reload`` (the weights it has, loaded again, are others)."""

    def request(self, ask: Ask) -> tuple[str, bytes]:
        """Path and body of a request."""
        ...

    def read(self, body: bytes, ask: Ask) -> Answer:
        """What was answered to it.

        Raises:
            MalformedAnswer: not what was asked for.
        """
        ...

    async def load(self, wire: Wire, checkpoint: Path | None, version: int) -> None:
        """Give the running server other weights; requests under way go on under the new ones.

        Args:
            wire: for commands alone.
            checkpoint: a folder on the server's machine; None loads again what it has.
            version: what to call them.

        Raises:
            ModelError: it did not take them.
        """
        ...


def unusable(what: str, body: bytes, mend: str) -> MalformedAnswer:
    """An answer that no trainer can use."""
    start = body[:200].decode("utf-8", "replace")
    return MalformedAnswer(what, where=f"body starts with {start!r}", mend=mend)


def parsed(answer: Answer, body: bytes, ask: Ask, mend: str) -> Answer:
    """The same answer, once it is one.

    Raises:
        MalformedAnswer: nothing sampled, or ids and log-probabilities do not fit each other.
    """
    if not answer.ids:
        msg = "the server sampled nothing"
        raise unusable(msg, body, mend)
    if len(answer.ids) > ask.max_tokens:
        what = f"the server sampled {len(answer.ids)} ids, {ask.max_tokens} were allowed"
        raise unusable(what, body, mend)
    if len(answer.logprobs) != len(answer.ids):
        what = f"{len(answer.ids)} ids have {len(answer.logprobs)} log-probabilities"
        raise unusable(what, body, mend)
    if not all(map(isfinite, answer.logprobs)):
        msg = "a log-probability is not finite"
        raise unusable(msg, body, mend)
    return answer


async def control(
    wire: Wire, path: str, body: Mapping[str, Any] | None = None, *, mend: str
) -> dict[str, Any]:
    """One command to the server, which may be sent twice; its answer.

    Raises:
        ModelError: no such command, or it failed.
    """
    content = encode(body) if body is not None else b""
    try:
        response = await wire.send("POST", path, content)
    except EndpointUnreachable:  # a server that failed at the last command may have hung up
        response = await wire.send("POST", path, content)
    said = wire.redacted(response.content[:500])
    if response.status_code == 404:
        what = f"the server has no {path.partition('?')[0]}"
        raise EndpointRefused(what, where=wire.where, mend=mend)
    if response.status_code >= 400:
        what = f"{path.partition('?')[0]} failed: {said}"
        raise ModelError(what, where=wire.where, mend="look into the server's log")
    try:
        answer = json.loads(response.content or b"{}")
    except ValueError:
        answer = None
    return answer if isinstance(answer, dict) else {}
