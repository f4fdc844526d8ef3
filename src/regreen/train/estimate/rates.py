"""How fast this machine trains and samples, by doing a little of both before the run.

Sequences are of the length that the run is said to have, up to a bound that keeps the measurement
short; what a longer one costs more follows from the model's operations. Sampling is done by the
engine that plays, on the processor and with the threads of a worker.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from regreen.core.clock import Clock
from regreen.inference.engine.base import Stops
from regreen.inference.engine.lockstep import LockStep
from regreen.model import Decoder
from regreen.packing import CostModel
from regreen.train.compute.forward import flatten, score
from regreen.train.compute.optim import OptimConfig, Optimiser
from regreen.train.estimate.memory import Rates, Run

__all__ = ["measure", "memory_here"]

_MOST = 4096
"""Tokens computed at once in a measurement, at most."""
_SPREAD = (0.5, 1.5, 0.75, 1.25, 1.0)
"""Lengths of sequences beside the usual one: equal ones are computed a third faster than others."""
_BEGINNING = 32
"""Tokens of a rollout's beginning, and most of those sampled behind it in a measurement."""
_LIMIT = Path("/sys/fs/cgroup/memory.max")
"""What a container may hold, where it is one."""


def measure(
    model: Decoder, run: Run, clock: Clock, *, seconds: float = 2.0, threads: int = 1
) -> Rates:
    """Train on micro-batches of made-up tokens, update once, then sample.

    The layer that predicts the token after the next is left out.

    Args:
        model: as it will be trained, on its device; its weights are of no use afterwards.
        run: what the run will do.
        clock: what measures.
        seconds: how long training and sampling go on each, at least; each does a first round
            unmeasured.
        threads: with which each of the run's engines computes.
    """
    train = _rate(lambda: _train(model, run), clock, seconds) * _longer(model, run)
    optimiser = Optimiser(model, OptimConfig())
    begun = clock.monotonic()
    optimiser.apply()
    update = clock.monotonic() - begun
    sample = None
    if run.live:
        sample = _sampling(model, run, clock, seconds=seconds, threads=threads)
    told = f"measured here for {seconds:g} seconds each"
    return Rates(train, sample, told, update)


def memory_here(device: torch.device) -> int:
    """Bytes that a process may hold on a device."""
    if device.type == "cuda":
        return int(torch.cuda.get_device_properties(device).total_memory)
    found = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    limit = _LIMIT.read_text().strip() if _LIMIT.is_file() else ""
    return min(found, int(limit)) if limit.isdigit() else found


def _rate(work: Callable[[], int], clock: Clock, seconds: float) -> float:
    """Tokens per second."""
    work()
    begun, tokens = clock.monotonic(), 0
    while True:
        tokens += work()
        spent = clock.monotonic() - begun
        if spent >= seconds:
            return tokens / max(spent, 1e-9)


def _lengths(run: Run) -> list[int]:
    """Sequences of a measured micro-batch."""
    room = min(run.micro_tokens, _MOST)
    usual = min(run.sequence or room, room)
    count = room // usual
    if count < len(_SPREAD):
        return [usual] * count
    return [max(1, round(usual * _SPREAD[place % len(_SPREAD)])) for place in range(count)]


def _longer(model: Decoder, run: Run) -> float:
    """What of the rate is left where sequences are longer than those that were measured."""
    cost, lengths = CostModel.of(model.config), _lengths(run)
    length = sum(lengths) / len(lengths)
    whole = run.sequence or run.micro_tokens
    return (cost.linear + cost.quadratic * length) / (cost.linear + cost.quadratic * whole)


def _train(model: Decoder, run: Run) -> int:
    lengths = _lengths(run)
    draw = np.random.default_rng(0)  # what repeats itself keeps few experts busy
    sequences = [draw.integers(0, model.config.vocab_size, length + 1) for length in lengths]
    share = run.predicted / run.micro_tokens
    counted = [np.arange(length + 1) > length - round(share * length) for length in lengths]
    flat = flatten(sequences, counted).to(model.norm.weight.device)
    loss = score(model, flat).logprob_M.sum()
    torch.autograd.backward(loss)
    float(loss.detach())  # a device may still compute
    return sum(lengths)


def _sampling(model: Decoder, run: Run, clock: Clock, *, seconds: float, threads: int) -> float:
    """Tokens per second of all engines: those that have a core of their own do not disturb."""
    if not run.engines:
        return _rate(lambda: _sample(model, run, run.live), clock, seconds)
    before, model = torch.get_num_threads(), model.cpu()
    torch.set_num_threads(threads)
    try:
        rows = -(-run.live // run.engines)
        one = _rate(lambda: _sample(model, run, rows), clock, seconds)
    finally:
        torch.set_num_threads(before)
    cores = len(os.sched_getaffinity(0))
    return one * min(run.engines, max(1, cores // threads))


def _sample(model: Decoder, run: Run, rows: int) -> int:
    """Rollouts of a beginning and a few tokens; the end of a long one is slower."""
    begin = min(_BEGINNING, run.context - 1)
    steps = min(_BEGINNING, run.context - begin)

    async def play() -> None:
        engine = LockStep(model, max_context=run.context)
        streams = [engine.open(seed=number, stops=Stops()) for number in range(rows)]
        await asyncio.gather(*(one.extend([0] * begin, max_tokens=steps) for one in streams))
        await engine.close()

    asyncio.run(play())
    return rows * steps
