"""What a training run will hold and take, said before it starts.

Everything is counted from the configuration and what a step computes; nothing is allocated, so an
80B model is estimated on a laptop.

Bytes are those of one rank. FSDP2 cuts weights, gradients and moments over the ranks and puts one
layer after the other together, the next one while one computes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from regreen.core.console import Console
from regreen.core.errors import UsageError
from regreen.model.accounting import total, weights
from regreen.model.config import ModelConfig
from regreen.model.placement import Load, cache_size
from regreen.train.estimate.activations import activations

__all__ = ["Estimate", "Line", "Rates", "Run", "estimate", "show"]

_WIDE = 4
"""Bytes of float32: of statistics, of moments, and of the weights that the optimiser holds."""
_LOGITS = 1 << 24
"""Logits that `forward.score` holds at once."""
_LOGIT_ARRAYS = 4
"""Arrays of that size at the same time: logits, their softmax, two to find the entropy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What is to be done, by one rank or in all."""

    micro_tokens: int
    """Tokens that a rank computes at once."""
    predicted: int
    """Those of them whose logits are made."""
    ranks: int = 1
    """Processes that share the weights."""
    compute_bytes: int = 4
    """Bytes of a number while layers compute: 4, or 2 under `shard(compute=torch.bfloat16)`."""
    recompute: bool = False
    """Whether layers are computed twice (`recompute`)."""
    frozen_copies: int = 0
    """Further models of the shape that are only asked, a reference policy for example."""
    live: int = 0
    """Rollouts that this rank's machine samples together; 0 where engines are elsewhere."""
    context: int = 0
    """Tokens of the longest of them."""
    sequence: int = 0
    """Tokens of a usual sequence, by which time is measured; 0 where one fills a micro-batch."""
    engines: int = 0
    """Copies of the weights that sample beside this rank."""
    tokens_per_step: int = 0
    """Tokens that all ranks compute in a step."""
    updates_per_step: int = 1
    """Updates of the weights in a step."""
    sampled_per_step: int = 0
    """Tokens that all engines sample in a step."""
    supposing: str = ""
    """What these numbers of tokens take for granted, in words."""
    steps: int = 0
    """Steps of the run."""

    def __post_init__(self) -> None:
        """Refuse what is no run."""
        if self.micro_tokens < 1 or self.ranks < 1 or self.compute_bytes not in {2, 4}:
            msg = f"cannot estimate {self.micro_tokens} tokens on {self.ranks} ranks in numbers of "
            msg += f"{self.compute_bytes} bytes"
            raise UsageError(msg, where="estimate", mend="at least 1 token and rank; 2 or 4 bytes")


@dataclass(frozen=True, slots=True)
class Rates:
    """How fast it goes; None where nobody knows."""

    train: float | None = None
    """Tokens per second that a rank trains on, forward and backward."""
    sample: float | None = None
    """Tokens per second that all engines sample together."""
    source: str = "not measured"
    """Where the rates come from."""
    update: float = 0.0
    """Seconds of an update of the weights."""


@dataclass(frozen=True, slots=True)
class Line:
    """One thing that is held."""

    what: str
    """Its name."""
    bytes: int
    """On one rank, while it is largest."""
    how: str
    """How it was counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """What a run holds on a rank and how long it takes."""

    lines: tuple[Line, ...]
    """Everything that is held at the same time, largest moment."""
    train_seconds: float | None
    """Seconds of a step that go into training; None without a rate."""
    sample_seconds: float | None
    """Seconds of a step that go into sampling; None without a rate."""
    steps: int
    """Steps of the run."""
    source: str
    """Where the rates come from."""
    supposing: str = ""
    """What the seconds take for granted."""

    @property
    def bytes(self) -> int:
        """All lines together."""
        return sum(line.bytes for line in self.lines)

    @property
    def seconds(self) -> tuple[float, float] | None:
        """The whole run, sampling beside training and sampling before it; None without rates."""
        known = [part for part in (self.train_seconds, self.sample_seconds) if part is not None]
        if not known or not self.steps:
            return None
        return self.steps * max(known), self.steps * sum(known)

    def as_json(self) -> dict[str, Any]:
        """Everything, in bytes and seconds."""
        return {
            "bytes": self.bytes,
            "lines": [asdict(line) for line in self.lines],
            "train_seconds_per_step": self.train_seconds,
            "sample_seconds_per_step": self.sample_seconds,
            "steps": self.steps,
            "seconds": self.seconds,
            "rates_from": self.source,
            "supposing": self.supposing,
        }


def estimate(config: ModelConfig, run: Run, rates: Rates | None = None) -> Estimate:
    """Say what a run holds on each rank and how long it takes."""
    rates = rates or Rates()
    train = None
    if rates.train and run.tokens_per_step:
        train = run.tokens_per_step / (rates.train * run.ranks)
        train += run.updates_per_step * rates.update
    sample = None
    if rates.sample and run.sampled_per_step:
        sample = run.sampled_per_step / rates.sample
    return Estimate(
        lines=tuple(line for line in _lines(config, run) if line.bytes),
        train_seconds=train,
        sample_seconds=sample,
        steps=run.steps,
        source=rates.source,
        supposing=run.supposing,
    )


def show(found: Estimate, console: Console) -> None:
    """Print an estimate as a table and a sentence."""
    rows = [(line.what, _size(line.bytes), line.how) for line in found.lines]
    console.table(("on each rank", "bytes", "how"), [*rows, ("together", _size(found.bytes), "")])
    for name, seconds in (("training", found.train_seconds), ("sampling", found.sample_seconds)):
        if seconds is not None:
            console.result(f"{name}: {_time(seconds)} a step ({found.source})")
    if found.seconds is not None:
        beside, behind = found.seconds
        span = _time(beside) if beside == behind else f"{_time(beside)} to {_time(behind)}"
        console.result(f"{found.steps:,} steps: {span}")
        if found.supposing:
            console.result(f"supposing {found.supposing}")


def _lines(config: ModelConfig, run: Run) -> Iterator[Line]:
    count, ranks = total(config), run.ranks
    own = -(-count // ranks)
    cut = f"{count:,} parameters" + (f" / {ranks} ranks" if ranks > 1 else "")
    yield Line("weights", own * _WIDE, f"{cut}, float32")
    yield Line("gradients", own * _WIDE, "the same again")
    yield Line("moments of AdamW", 2 * own * _WIDE, "two of each")
    frozen = run.frozen_copies * own * run.compute_bytes
    yield Line("frozen copies", frozen, f"{run.frozen_copies} beside the policy")
    if ranks > 1:
        yield _put_together(config, run)
    yield from _kept(config, run)
    logits = min(run.predicted * config.vocab_size, max(_LOGITS, config.vocab_size))
    how = f"{run.predicted:,} tokens x {config.vocab_size:,}, at most {_LOGITS:,} at once"
    yield Line("logits", logits * _LOGIT_ARRAYS * _WIDE, how)
    copies = run.engines * count * run.compute_bytes
    yield Line("weights of engines", copies, f"{run.engines} x {count:,} parameters")
    caches = cache_size(config, Load(run.context, run.live))
    kept = caches.state + caches.kv * run.compute_bytes // 2
    yield Line("rollouts' memory", kept, f"{run.live} x {run.context:,} tokens, and their states")


def _put_together(config: ModelConfig, run: Run) -> Line:
    """Whole layers of a sharded model: two at a time, their gradients, and what is outside."""
    sizes: dict[int | None, int] = {}
    for weight in weights(config):
        layer = weight.layer if weight.layer != config.num_hidden_layers else None
        sizes[layer] = sizes.get(layer, 0) + weight.elements
    outside = sizes.pop(None, 0)
    largest = max(sizes.values(), default=0)
    # Two layers' weights, one's gradients, and these once more in float32 while they are added up.
    held = (2 * outside + 3 * largest) * run.compute_bytes + largest * _WIDE
    return Line("layers put together", held, "two layers, a gradient, what is outside of layers")


def _kept(config: ModelConfig, run: Run) -> Iterator[Line]:
    """What waits for the backward, and what the backward of one layer needs besides."""
    of_layers = activations(config, compute_bytes=run.compute_bytes)
    each, largest = sum(of_layers), max(of_layers, default=0)
    how = f"{run.micro_tokens:,} tokens x {each:,} bytes in {len(of_layers)} layers"
    if run.recompute:
        each = (len(of_layers) + 2) * config.hidden_size * run.compute_bytes + largest
        how = f"{run.micro_tokens:,} tokens x {each:,} bytes, one layer's and what enters each"
    yield Line("activations", run.micro_tokens * each, how)
    yield Line("work of a layer", run.micro_tokens * largest, "its gradients, about as much again")


def _size(count: int) -> str:
    for unit, size in (("TB", 10**12), ("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if count >= size:
            return f"{count / size:.4g} {unit}"
    return f"{count} B"


def _time(seconds: float) -> str:
    for unit, size in (("days", 86_400.0), ("hours", 3600.0), ("minutes", 60.0)):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.3g} seconds"
