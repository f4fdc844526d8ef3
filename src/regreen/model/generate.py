"""Decode rows together, greedily or by sampling, and say how likely each token was.

Every token has two log-probabilities: that of the model as it is, which a trainer computes again,
and that of the truncated distribution it was drawn from, which importance weights need. A row's
draws depend on the seed, its place in the batch and its own logits, never on how long other rows
live.

Shapes: B rows, V vocabulary, K tokens that the first filter leaves, most likely first.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import partial
from math import inf
from operator import index
from typing import Protocol

import torch
from torch import Tensor

from regreen.model.borders import Borders
from regreen.model.cache import Cache
from regreen.model.decoder import Decoder
from regreen.model.joining import join
from regreen.model.precision import widened

__all__ = ["Completion", "Prompts", "draw", "greedy", "sample", "truncated"]

Prompts = Sequence[Sequence[int]] | Sequence[Tensor] | Tensor
"""Token ids of each row: lists or (T,) tensors of any lengths, or one (B, T) tensor."""

_COLDEST = 1e-6
"""Below, logits so divided leave the range of float32, and the draw is the likeliest token."""


@dataclass(frozen=True)
class Completion:
    """What one row wrote."""

    ids: tuple[int, ...]
    """Tokens, a stop token included."""
    logprobs: tuple[float, ...]
    """Log-probability of each token by the model as it is: temperature 1, nothing left out."""
    truncated_logprobs: tuple[float, ...]
    """Log-probability of each token in the distribution it was drawn from; 0 when greedy."""
    stopped: bool
    """Whether it ends with a stop token, not at `max_new_tokens`."""


class _Choose(Protocol):
    def __call__(self, logits_BV: Tensor, rows: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Choose a token of each row of the batch: ids and truncated log-probabilities, (B,)."""


def truncated(
    logits_BV: Tensor, *, temperature: float, top_k: int, top_p: float, min_p: float
) -> tuple[Tensor, Tensor]:
    """The distribution that `sample` draws from.

    The filters act in Hugging Face's order, each on what the one before left, scaled to sum to one:
    temperature, top-k, top-p (the fewest tokens that hold `top_p`), min-p (tokens at least `min_p`
    times as likely as the likeliest). Exactly k tokens pass top-k, ties or not.

    Returns:
        Log-probabilities (B, K), most likely first and -inf where filtered out, and token ids
        (B, K).
    """
    size = logits_BV.shape[-1]
    wide_BV = widened(logits_BV) / temperature
    logits_BK, ids_BK = wide_BV.topk(min(top_k or size, size))
    probs_BK = logits_BK.softmax(-1)
    before_BK = probs_BK.cumsum(-1, dtype=torch.float64) - probs_BK
    kept_BK = (before_BK < top_p) & (probs_BK >= min_p * probs_BK[:, :1])
    kept_BK[:, 0] = True
    return logits_BK.masked_fill(~kept_BK, -torch.inf).log_softmax(-1), ids_BK


def draw(logprobs_BK: Tensor, uniform_B: Tensor) -> Tensor:
    """(B,) places drawn from distributions over K, by inverting their cumulative sums.

    Args:
        logprobs_BK: log-probabilities; -inf is never drawn.
        uniform_B: a float64 number of [0, 1) per row.
    """
    cumulative_BK = logprobs_BK.double().exp().cumsum(-1)
    target_B1 = (uniform_B * cumulative_BK[:, -1])[:, None]
    place_B = torch.searchsorted(cumulative_BK, target_B1, right=True)[:, 0]
    last_B = (logprobs_BK > -torch.inf).sum(-1) - 1
    return torch.minimum(place_B, last_B)


def greedy(
    model: Decoder,
    prompts: Prompts,
    max_new_tokens: int,
    *,
    stop_ids: Collection[int] = (),
    cache: Cache | None = None,
    num_tokens: int | None = None,
) -> list[Completion]:
    """The likeliest token at every step; arguments and errors as of `sample`."""
    return _decode(model, prompts, max_new_tokens, _likeliest, stop_ids, cache, num_tokens)


def sample(
    model: Decoder,
    prompts: Prompts,
    max_new_tokens: int,
    *,
    seed: int,
    temperature: float = 1.0,
    top_k: int = 40,
    top_p: float = 0.95,
    min_p: float = 0.01,
    stop_ids: Collection[int] = (),
    cache: Cache | None = None,
    num_tokens: int | None = None,
) -> list[Completion]:
    """Draw tokens; the defaults are those that the published model's card recommends.

    Args:
        model: the model.
        prompts: what each row reads first, at least one token; of any lengths.
        max_new_tokens: tokens a row may write.
        seed: of the draws.
        temperature: divides the logits; at least 1e-6.
        top_k: likeliest tokens kept, 0 for all.
        top_p: probability kept, 1 for all.
        min_p: least share of the likeliest token's probability, 0 for any.
        stop_ids: a row ends behind one of these.
        cache: what the rows have read before; `prompts` continue it, prefixes are not computed
            again. At the end it holds every row again, in order, behind all but the last id of its
            completion: the next turn's prompt begins with that id, then come forced tokens.
            After an exception it holds every row, in order, behind some token that was read; only
            before the first row ends can it be left within a call, to be rolled back. Where rows
            end early, their state is in memory twice until the last one does.
        num_tokens: the tokenizer's size; rows of the vocabulary behind it are never drawn.

    Raises:
        ValueError: a setting out of its range, a prompt that is empty or no row of ids, or another
            number of rows.
    """
    for name, value, fits in (
        ("temperature", temperature, _COLDEST <= temperature < inf),
        ("top_k", top_k, top_k >= 0),
        ("top_p", top_p, 0.0 < top_p <= 1.0),
        ("min_p", min_p, 0.0 <= min_p <= 1.0),
    ):
        if not fits:
            msg = f"{name} is {value}, out of its range; greedy() takes the likeliest token"
            raise ValueError(msg)
    generator = torch.Generator().manual_seed(seed)
    filters = partial(truncated, temperature=temperature, top_k=top_k, top_p=top_p, min_p=min_p)

    def choose(logits_BV: Tensor, rows: Sequence[int]) -> tuple[Tensor, Tensor]:
        # Rows that have ended are drawn for too, so that the others' numbers stay their own.
        uniform = torch.rand(len(prompts), generator=generator, dtype=torch.float64)
        logprobs_BK, ids_BK = filters(logits_BV)
        place_B1 = draw(logprobs_BK, uniform[list(rows)].to(logits_BV.device))[:, None]
        return ids_BK.gather(1, place_B1)[:, 0], logprobs_BK.gather(1, place_B1)[:, 0]

    return _decode(model, prompts, max_new_tokens, choose, stop_ids, cache, num_tokens)


def _likeliest(logits_BV: Tensor, rows: Sequence[int]) -> tuple[Tensor, Tensor]:
    return logits_BV.argmax(-1), torch.zeros(len(rows))


def _rows(prompts: Prompts) -> list[list[int]]:
    try:
        rows = [prompt.tolist() if isinstance(prompt, Tensor) else prompt for prompt in prompts]
        return [[index(token) for token in row] for row in rows]
    except TypeError as error:
        msg = f"prompts are not rows of token ids, at least one id each ({error})"
        raise ValueError(msg) from error


@torch.no_grad()
def _decode(
    model: Decoder,
    prompts: Prompts,
    max_new_tokens: int,
    choose: _Choose,
    stop_ids: Collection[int],
    cache: Cache | None,
    num_tokens: int | None,
) -> list[Completion]:
    rows = _rows(prompts)
    if max_new_tokens < 1 or not rows or not all(rows):
        msg = "decoding takes at least one prompt, one token of each, and one token to write"
        raise ValueError(msg)
    if num_tokens is not None and num_tokens < 1:
        msg = f"num_tokens is {num_tokens}; a tokenizer has at least one token to draw"
        raise ValueError(msg)
    stop = frozenset(stop_ids)
    device = model.norm.weight.device
    batch = _Batch(cache, model.new_cache(len(rows), history=False) if cache is None else cache)
    written: list[list[tuple[int, float, float]]] = [[] for _ in rows]
    borders = Borders(tuple(len(row) for row in rows))
    tokens_BT = torch.tensor([[token for row in rows for token in row]], device=device)
    last_B = borders.cumulative[1:].to(device) - 1
    logits_BV = model(tokens_BT, borders=borders, cache=batch.cache, chosen=last_B).logits
    for step in range(1, max_new_tokens + 1):
        ids_B, truncated_B = choose(logits_BV[:, :num_tokens], batch.rows)
        raw_B = widened(logits_BV).log_softmax(-1).gather(1, ids_B[:, None])[:, 0]
        steps = zip(ids_B.tolist(), raw_B.tolist(), truncated_B.tolist(), strict=True)
        for row, token in zip(batch.rows, steps, strict=True):
            written[row].append(token)
        going = [place for place, row in enumerate(batch.rows) if written[row][-1][0] not in stop]
        if step == max_new_tokens or not going:
            break
        if len(going) < len(batch.rows):
            batch.drop(going)
            ids_B = ids_B[going]
        logits_BV = model(ids_B[:, None], cache=batch.cache, chosen=slice(None)).logits
    batch.gather()
    return [_completion(row, stop) for row in written]


def _completion(written: Sequence[tuple[int, float, float]], stop: Collection[int]) -> Completion:
    ids, raw, drawn = zip(*written, strict=True)
    return Completion(ids, raw, drawn, stopped=ids[-1] in stop)


class _Batch:
    """The rows still written, and those put aside for the caller.

    From the first row that ends on, the batch is a copy, so that an exception, lack of memory
    included, takes nothing from the caller's cache.
    """

    def __init__(self, caller: Cache | None, cache: Cache) -> None:
        """Begin with all rows of `cache`; `caller` is the same one where it is to be kept."""
        self.cache = cache
        self.rows = list(range(cache.num_rows))
        self._caller = caller
        self._parked: dict[int, Cache] = {}

    def drop(self, going: Sequence[int]) -> None:
        """Go on with the places of `going`."""
        if self._caller is not None:
            ended = sorted(set(range(len(self.rows))) - set(going))
            self._parked |= {self.rows[place]: self.cache.pick([place]) for place in ended}
        self.cache = self.cache.pick(going)
        self.rows = [self.rows[place] for place in going]

    def gather(self) -> None:
        """Bring all rows into the caller's cache, in their first order."""
        if self._caller is not None and self._parked:
            everything = join([self.cache, *self._parked.values()])
            rows = [*self.rows, *self._parked]
            order = [rows.index(row) for row in range(len(rows))]
            self._caller.replace(everything.pick(order))
