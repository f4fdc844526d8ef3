"""A few small questions that show whether a server's answers can be trained on.

Flags are not read but tried out: a server's temperature is found by asking the same prompt at 1 and
at 2, where the distance between two log-probabilities must halve.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from itertools import pairwise
from math import exp

from regreen.inference.engine.base import Stops
from regreen.inference.engine.http_dialect import Answer, Ask, Dialect
from regreen.inference.errors import EndpointRefused

__all__ = ["likeliest", "probe", "same"]

_TOPS = 5
_PROMPT = (1, 2, 3)
_ROUNDING = 1e-6
_NEAR = 0.1
"""Nats by which a log-probability may move between two requests in bfloat16."""


async def likeliest(ask: Callable[[Ask], Awaitable[Answer]], model: str) -> Mapping[int, float]:
    """Log-probabilities of the likeliest ids behind a fixed prompt."""
    question = Ask(
        model=model, ids=_PROMPT, max_tokens=1, temperature=1.0, seed=1, stops=Stops(), tops=_TOPS
    )
    return (await ask(question)).tops[0]


def same(before: Mapping[int, float], after: Mapping[int, float]) -> bool:
    """Whether one model can have said both."""
    shared = before.keys() & after.keys()
    return len(shared) > _TOPS // 2 and all(abs(before[i] - after[i]) < _NEAR for i in shared)


async def probe(
    ask: Callable[[Ask], Awaitable[Answer]],
    dialect: Dialect,
    *,
    model: str,
    temperature: float,
    routes: tuple[int, int] | None,
    where: str,
) -> bool:
    """Ask for what training rests on.

    Args:
        ask: sends a request.
        dialect: the server's.
        model: its model.
        temperature: at which rollouts will sample.
        routes: (layers, experts of a token) where experts are wanted.
        where: the server, for messages.

    Returns:
        Whether an equal request was answered equally.

    Raises:
        EndpointRefused: something is missing that no client can make up for; says which flag.
        ModelError: the server did not answer.
    """

    def question(max_tokens: int, warmth: float, *stops: int, tops: int = _TOPS) -> Ask:
        return Ask(
            model=model, ids=_PROMPT, max_tokens=max_tokens, temperature=warmth, seed=1,
            stops=Stops(ids=stops), tops=tops, routes_from=0 if routes else None,
        )  # fmt: skip

    def refused(what: str, mend: str) -> EndpointRefused:
        return EndpointRefused(f"{dialect.name} {what}", where=where, mend=mend)

    plain, again = await ask(question(4, 1.0)), await ask(question(4, 1.0))
    warm = await ask(question(1, 2.0))
    if not plain.tops or not warm.tops:
        msg = "names no likeliest tokens when asked"
        raise refused(msg, "start it with --max-logprobs 5")
    if fault := _improbable(plain.tops[0], warm.tops[0]):
        raise refused(fault, dialect.flags["logprobs"])
    if _indifferent(plain):
        mend = "give it a checkpoint with an output matrix of its own (regreen.model.untied)"
        msg = "finds all tokens equally likely: it has no output matrix"
        raise refused(msg, mend)
    if temperature != 1.0 and not _tempered(plain.tops[0], warm.tops[0]):
        what = f"tells log-probabilities of temperature 1, and sampling is at {temperature:g}"
        raise refused(what, dialect.flags["logprobs"])
    first = (await ask(question(1, 0.0, tops=0))).ids[0]
    stopped = await ask(question(3, 0.0, first, tops=0))
    if stopped.ids != (first,) or not stopped.stopped:
        what = f"was to stop behind id {first} and sampled {list(stopped.ids)}"
        raise refused(what, "update it: stop_token_ids must act, and belong to the answer")
    if routes is not None:
        _check_routes(plain, routes, lambda what: refused(what, dialect.flags["routes"]))
    return plain.ids == again.ids


def _improbable(plain: Mapping[int, float], warm: Mapping[int, float]) -> str | None:
    """Why the numbers cannot be log-probabilities; None when they can.

    At temperature 2 a log-probability is half of that at 1 less a constant above 0, since square
    roots of probabilities add up to more than 1; a logit is exactly half.
    """
    shared = plain.keys() & warm.keys()
    halved = all(abs(warm[token] - plain[token] / 2) < _ROUNDING for token in shared)
    certain = max(plain.values()) > -_ROUNDING
    for place in (plain, warm):
        if max(place.values()) > _ROUNDING or sum(map(exp, place.values())) > 1.01:
            return "tells logits, not log-probabilities"
    return "tells logits, not log-probabilities" if halved and shared and not certain else None


def _indifferent(answer: Answer) -> bool:
    """Whether every token was as likely as any other."""
    told = [value for place in answer.tops for value in place.values()]
    return len(told) > 1 and all(abs(a - b) < _ROUNDING for a, b in pairwise(told))


def _tempered(plain: Mapping[int, float], warm: Mapping[int, float]) -> bool:
    """Whether a distance between two tokens shrinks with the temperature."""
    shared: Sequence[int] = sorted(plain.keys() & warm.keys(), key=plain.__getitem__)
    if len(shared) < 2:
        return False
    low, high = shared[0], shared[-1]
    return warm[high] - warm[low] < 0.75 * (plain[high] - plain[low])


def _check_routes(
    answer: Answer, routes: tuple[int, int], refused: Callable[[str], EndpointRefused]
) -> None:
    layers, experts = routes
    if answer.routes is None:
        msg = "does not tell which experts acted"
        raise refused(msg)
    rows = len(_PROMPT) + len(answer.ids) - 1
    if answer.routes.size != rows * layers * experts:
        what = f"tells experts of shape {answer.routes.shape}, not {(rows, layers, experts)}"
        raise refused(what)
