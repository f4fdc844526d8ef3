"""Where the weights lie and what rate the memory allows: host, accelerator, or experts apart.

Decoding reads every active weight, the state and the keys and values once per step, so bytes over
bandwidth bound the rate from above whatever the engine computes with. The two memories are read in
turn, not at once: a layer's mixer must end before its experts begin.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

from regreen.model.accounting import Weight, copies_read, state_size, weights
from regreen.model.config import ModelConfig
from regreen.model.quantisation import Quantisation

__all__ = [
    "CacheSize",
    "Kind",
    "Load",
    "Machine",
    "Placement",
    "cache_size",
    "context_that_fits",
    "place",
]

STATE_BYTES = 4
KV_BYTES = 2

Kind = Literal["all in host", "experts in host", "some experts in host", "all on device"]
"""The splits there are; `some experts in host` is the one that is filled until it fits."""


@dataclass(frozen=True)
class Load:
    """What is decoded."""

    context: int
    """Tokens of each sequence."""
    num_sequences: int = 1
    """Sequences that advance together by one token a step."""


@dataclass(frozen=True)
class Machine:
    """What there is to read from."""

    host_bandwidth: float
    """Bytes per second read from host memory."""
    device_bandwidth: float | None = None
    """Bytes per second read from the accelerator's memory; None when unknown."""
    device_memory: int | None = None
    """Bytes of the accelerator's memory; None when unknown."""


@dataclass(frozen=True)
class CacheSize:
    """What all sequences keep: state in float32, keys and values in 16 bits."""

    state: int
    """Bytes of recurrent and convolution state; read and written by each step."""
    kv: int
    """Bytes of keys and values; read by each step."""

    @property
    def held(self) -> int:
        """Bytes in memory."""
        return self.state + self.kv

    @property
    def moved(self) -> int:
        """Bytes a step reads and writes; the one new token's keys and values are left out."""
        return 2 * self.state + self.kv


@dataclass(frozen=True)
class Placement:
    """Bytes on each side, and bytes that one step moves there."""

    name: str
    """The split in words."""
    kind: Kind
    """Which split it is."""
    layers_in_host: tuple[int, int] | None
    """Of `some experts in host`: layers whose experts are in the host, and all that have any."""
    host: int
    """Bytes of weights in host memory."""
    device: int
    """Bytes of weights in the accelerator's memory."""
    host_read: int
    """Bytes of weights that a step reads from host memory."""
    device_read: int
    """Bytes of weights that a step reads from the accelerator's memory."""
    cache: CacheSize
    """What the sequences keep."""
    cache_on_device: bool
    """Whether they keep it in the accelerator's memory."""

    @property
    def device_held(self) -> int:
        """Bytes in the accelerator's memory, what the engine itself takes aside."""
        return self.device + (self.cache.held if self.cache_on_device else 0)

    def fits(self, machine: Machine) -> bool | None:
        """Whether the accelerator holds its side; None where its memory is unknown."""
        if not self.device_held:
            return True
        known = machine.device_memory
        return None if known is None else self.device_held <= known

    def steps_per_second(self, machine: Machine) -> float | None:
        """1 / (host bytes / host bandwidth + device bytes / device bandwidth); None if unknown."""
        on_device = self.cache.moved if self.cache_on_device else 0
        host = self.host_read + self.cache.moved - on_device
        device = self.device_read + on_device
        if not device:
            return machine.host_bandwidth / host
        if machine.device_bandwidth is None:
            return None
        return 1 / (host / machine.host_bandwidth + device / machine.device_bandwidth)

    def at_empty_context(self) -> Placement:
        """The same before the first token: no keys and values yet."""
        return replace(self, cache=CacheSize(self.cache.state, 0))


def cache_size(config: ModelConfig, load: Load) -> CacheSize:
    """Bytes that the sequences of a load keep."""
    size = state_size(config)
    state = (size.recurrent + size.convolution) * STATE_BYTES
    kv = size.kv_per_token * KV_BYTES * load.context
    return CacheSize(state * load.num_sequences, kv * load.num_sequences)


class _How(NamedTuple):
    """A split before its bytes are counted."""

    kind: Kind
    in_host: Callable[[Weight], bool]
    layers_in_host: tuple[int, int] | None = None


def place(
    config: ModelConfig, quantisation: Quantisation, load: Load, machine: Machine
) -> tuple[Placement, ...]:
    """The splits worth comparing: all in the host, routed experts in the host, all on the device.

    Where all does not fit the device's memory and the experts apart do, one more: the experts of as
    many layers as fit are on the device too, those of the first layers staying in the host, which
    is what llama.cpp's `--n-cpu-moe` does. With experts apart the embedding stays in the host,
    since a token reads one row of it.
    """
    table = weights(config)

    def split(how: _How) -> Placement:
        return _split(config, quantisation, load, table, how)

    whole = split(_How("all in host", lambda weight: True))
    device = split(_How("all on device", lambda weight: False))
    layers = sorted({row.layer for row in table if _is_routed(row) and row.layer is not None})
    if not layers:
        return (whole, device)
    apart = split(_How("experts in host", _experts_through(layers[-1])))
    found = [whole, apart, device]
    if apart.fits(machine) and device.fits(machine) is False:
        partial = _fill(layers, split, machine)
        if partial is not None:
            found.insert(2, partial)
    return tuple(found)


def context_that_fits(
    config: ModelConfig, placement: Placement, load: Load, machine: Machine
) -> int | None:
    """Tokens that each sequence may hold on the device; None where nothing limits or is known."""
    size = cache_size(config, Load(1, load.num_sequences))
    if machine.device_memory is None or not placement.device or not size.kv:
        return None
    free = machine.device_memory - placement.device - size.state
    return max(0, free // size.kv)


def _split(
    config: ModelConfig,
    quantisation: Quantisation,
    load: Load,
    table: tuple[Weight, ...],
    how: _How,
) -> Placement:
    name: str = how.kind
    if how.layers_in_host is not None:
        name = "experts of {}/{} layers in host".format(*how.layers_in_host)
    held = {True: 0, False: 0}
    read = {True: 0, False: 0}
    for weight in table:
        side = how.in_host(weight)
        held[side] += quantisation.size(weight, config)
        read[side] += _step_read(weight, quantisation, config, load.num_sequences)
    cache = cache_size(config, load)
    return Placement(
        name=name,
        kind=how.kind,
        layers_in_host=how.layers_in_host,
        host=held[True],
        device=held[False],
        host_read=read[True],
        device_read=read[False],
        cache=cache,
        cache_on_device=how.kind != "all in host",
    )


def _step_read(
    weight: Weight, quantisation: Quantisation, config: ModelConfig, num_sequences: int
) -> int:
    once = quantisation.read(weight, config)
    if weight.part == "routed experts":
        share = copies_read(config, num_sequences) / config.num_experts_per_tok
        return round(once * share)
    if weight.part == "embedding" and weight.elements_read is not None:
        return once * num_sequences
    return once


def _fill(
    layers: list[int], split: Callable[[_How], Placement], machine: Machine
) -> Placement | None:
    """The fewest first layers whose experts must stay in the host, by bisection; None for all."""
    low, high = 0, len(layers)
    best = None
    while low < high:
        count = (low + high) // 2
        in_host = _experts_through(layers[count - 1] if count else -1)
        found = split(_How("some experts in host", in_host, (count, len(layers))))
        if found.fits(machine):
            best, high = found, count
        else:
            low = count + 1
    return best


def _experts_through(last: int) -> Callable[[Weight], bool]:
    """Whether a tensor is in the host when the experts up to layer `last` are."""

    def in_host(weight: Weight) -> bool:
        if _is_routed(weight):
            return weight.layer is not None and weight.layer <= last
        return weight.role == "token_embd" and weight.elements_read is not None

    return in_host


def _is_routed(weight: Weight) -> bool:
    return weight.role.endswith("_exps")
