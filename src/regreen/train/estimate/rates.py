"""How fast this machine trains and samples, by doing a little of both before the run."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from regreen.core.clock import Clock
from regreen.model import Decoder
from regreen.train.compute.forward import flatten, score
from regreen.train.estimate.memory import Rates, Run

__all__ = ["measure"]

_SHORTEST = 32
"""Tokens of a rollout's beginning, and most of those sampled behind it in a measurement."""


def measure(model: Decoder, run: Run, clock: Clock, *, seconds: float = 2.0) -> Rates:
    """Train on micro-batches of random tokens, then sample; gradients are thrown away.

    Args:
        model: as it will be trained, on its device.
        run: what the run will do; its micro-batch is one sequence here.
        clock: what measures.
        seconds: how long each of the two goes on, at least; each does a first round unmeasured.
    """
    train = _rate(lambda: _train(model, run), clock, seconds)
    for parameter in model.parameters():
        parameter.grad = None
    sample = _rate(lambda: _sample(model, run), clock, seconds) if run.live else None
    return Rates(train, sample, f"measured here for {seconds:g} seconds each")


def _rate(work: Callable[[], int], clock: Clock, seconds: float) -> float:
    """Tokens per second."""
    work()
    begun, tokens = clock.monotonic(), 0
    while True:
        tokens += work()
        spent = clock.monotonic() - begun
        if spent >= seconds:
            return tokens / max(spent, 1e-9)


def _train(model: Decoder, run: Run) -> int:
    ids = np.arange(run.micro_tokens + 1) % model.config.vocab_size
    counted = np.arange(run.micro_tokens + 1) > run.micro_tokens - run.predicted
    flat = flatten([ids], [counted]).to(model.norm.weight.device)
    loss = score(model, flat).logprob_M.sum()
    torch.autograd.backward(loss)
    float(loss.detach())  # a device may still compute
    return run.micro_tokens


@torch.no_grad()
def _sample(model: Decoder, run: Run) -> int:
    """Rollouts of a beginning and a few tokens; the middle of a long one is slower."""
    device = model.norm.weight.device
    steps = max(1, min(_SHORTEST, run.context - _SHORTEST))
    tokens_BT = torch.zeros(run.live, min(_SHORTEST, run.context), dtype=torch.int64, device=device)
    cache = model.new_cache(run.live, history=False)
    for _ in range(steps):
        logits_BTV = model(tokens_BT, cache=cache).logits
        tokens_BT = logits_BTV[:, -1].float().softmax(-1).multinomial(1)
    float(tokens_BT.sum())
    return run.live * steps
