"""The tables of ``regreen model plan``, and the same as one JSON object.

The tables round to four digits; the JSON holds every byte, so that a script never has to parse a
rounded number.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from regreen.core.console import Console
from regreen.model.accounting import active, parameters, state_size, total, weights
from regreen.model.config import ModelConfig
from regreen.model.placement import (
    Kind,
    Load,
    Machine,
    Placement,
    cache_size,
    context_that_fits,
    place,
)
from regreen.model.quantisation import QUANTISATIONS, Quantisation

__all__ = ["Plan", "show"]

_PRECISIONS = {"f32": 4, "bf16": 2, "int8": 1}

_TITLES: dict[Kind, str] = {
    "all in host": "all in host memory",
    "experts in host": "routed experts in host, the rest on the accelerator",
    "some experts in host": "experts of the first layers in host, as few as it takes to fit",
    "all on device": "all on the accelerator",
}


@dataclass(frozen=True)
class Plan:
    """A model, what it is to decode, and on what."""

    name: str
    """The configuration as it was given."""
    config: ModelConfig
    """The model."""
    load: Load
    """What is decoded."""
    machine: Machine
    """What memory there is."""
    host_said: str
    """Where the host's bandwidth comes from."""

    def as_json(self) -> dict[str, Any]:
        """Everything the tables show, in bytes and parameters."""
        counts = parameters(self.config)
        cache = cache_size(self.config, self.load)
        return {
            "model": self.name,
            "config": self.config.model_dump(mode="json"),
            "parameters": {
                "total": total(self.config),
                "active": active(self.config),
                "parts": {part: asdict(count) for part, count in counts.items()},
            },
            "state": {
                "elements": asdict(state_size(self.config)),
                "recurrent_bytes": self._sizes(state_size(self.config).recurrent),
                "convolution_bytes": self._sizes(state_size(self.config).convolution),
                "kv_bytes_per_token": self._sizes(state_size(self.config).kv_per_token),
            },
            "load": {
                **asdict(self.load),
                "state_bytes": cache.state,
                "kv_bytes": cache.kv,
                "bytes_moved_per_step": cache.moved,
            },
            "machine": {**asdict(self.machine), "host_bandwidth_from": self.host_said},
            "quantisations": [self._quantisation(row) for row in QUANTISATIONS.values()],
        }

    def file_size(self, quantisation: Quantisation) -> int:
        """Bytes of all weights."""
        return sum(quantisation.size(weight, self.config) for weight in weights(self.config))

    def read_by_part(self, quantisation: Quantisation) -> dict[str, int]:
        """Bytes of weights that one token reads, by part."""
        found: dict[str, int] = dict.fromkeys(parameters(self.config), 0)
        for weight in weights(self.config):
            found[weight.part] += quantisation.read(weight, self.config)
        return found

    def places(self, quantisation: Quantisation) -> tuple[Placement, ...]:
        """The splits worth comparing."""
        return place(self.config, quantisation, self.load, self.machine)

    def rate(self, placement: Placement) -> float | None:
        """Tokens per second of all sequences together."""
        steps = placement.steps_per_second(self.machine)
        return None if steps is None else steps * self.load.num_sequences

    def context_that_fits(self, placement: Placement) -> int | None:
        """Tokens each sequence may hold on the accelerator; None where nothing limits."""
        return context_that_fits(self.config, placement, self.load, self.machine)

    def _quantisation(self, row: Quantisation) -> dict[str, Any]:
        size = self.file_size(row)
        return {
            "name": row.name,
            "source": row.source,
            "kept": row.kept,
            "bits_per_weight": 8 * size / total(self.config),
            "file_bytes": size,
            "read_bytes_per_token": sum(self.read_by_part(row).values()),
            "read_bytes_by_part": self.read_by_part(row),
            "placements": [
                {
                    **asdict(found),
                    "device_held": found.device_held,
                    "fits": found.fits(self.machine),
                    "context_that_fits": self.context_that_fits(found),
                    "tokens_per_second": self.rate(found),
                    "tokens_per_second_empty_context": self.rate(found.at_empty_context()),
                }
                for found in self.places(row)
            ],
        }

    def _sizes(self, elements: int) -> dict[str, int]:
        return {name: elements * size for name, size in _PRECISIONS.items()}


def show(plan: Plan, console: Console) -> None:
    """Print a plan as tables."""
    _show_parameters(plan, console)
    _show_state(plan, console)
    _show_quantisations(plan, console)
    _show_placements(plan, console)
    console.result("")
    rows = [(row.name, row.kept, row.source) for row in QUANTISATIONS.values()]
    console.table(("format", "stays as it is", "source"), rows)
    if not all(plan.config.sparse):
        console.note("llama.cpp runs this architecture only with experts in every layer")


def _show_parameters(plan: Plan, console: Console) -> None:
    counts = parameters(plan.config)
    everything, read = total(plan.config), active(plan.config)
    bf16 = plan.read_by_part(QUANTISATIONS["bf16"])
    rows: list[tuple[str, ...]] = [
        (part, f"{own.total:,}", _share(own.total, everything), f"{own.read:,}", _bytes(bf16[part]))
        for part, own in counts.items()
    ]
    rows.append(("total", f"{everything:,}", "100%", f"{read:,}", _bytes(sum(bf16.values()))))
    console.result(f"{plan.name}: {everything:,} parameters, {read:,} read per token")
    console.result("")
    columns = ("part", "parameters", "share", "read per token", "in bf16")
    console.table(columns, rows)


def _show_state(plan: Plan, console: Console) -> None:
    size, load = state_size(plan.config), plan.load
    rows = [
        (name, f"{elements:,}", *(_bytes(elements * width) for width in _PRECISIONS.values()))
        for name, elements in (
            ("recurrent state", size.recurrent),
            ("convolution state", size.convolution),
            ("keys and values of a token", size.kv_per_token),
            (f"keys and values of {load.context:,} tokens", size.kv_per_token * load.context),
        )
    ]
    console.result("")
    console.table(("one sequence keeps", "elements", *_PRECISIONS), rows)


def _show_quantisations(plan: Plan, console: Console) -> None:
    rows = []
    for row in QUANTISATIONS.values():
        size, whole = plan.file_size(row), plan.places(row)[0]
        rows.append(
            (
                row.name,
                f"{8 * size / total(plan.config):.3f}",
                _bytes(size),
                _bytes(sum(plan.read_by_part(row).values())),
                _rate(plan.rate(whole.at_empty_context())),
                _rate(plan.rate(whole)),
            )
        )
    host, load = plan.machine.host_bandwidth, plan.load
    several = f", {load.num_sequences} sequences together" if load.num_sequences > 1 else ""
    console.result("")
    console.result(f"all in host memory, {host / 1e9:.1f} GB/s ({plan.host_said}){several};")
    console.result(f"tok/s at most, with an empty context and with {load.context:,} tokens:")
    columns = ("format", "bits/weight", "file", "read per token", "tok/s empty", "tok/s full")
    console.table(columns, rows)


def _show_placements(plan: Plan, console: Console) -> None:
    kinds: dict[str, list[tuple[str, ...]]] = {}
    for row in QUANTISATIONS.values():
        for found in plan.places(row)[1:]:
            title, layers = _kind(found)
            cells = (row.name, *layers, *_placement_cells(plan, found))
            kinds.setdefault(title, []).append(cells)
    console.result("")
    console.result(_device_words(plan))
    columns = ("host", "device", "+ cache", "fits", "max context", "tok/s empty", "tok/s full")
    for title, rows in kinds.items():
        more = ("layers",) if len(rows[0]) > len(columns) + 1 else ()
        console.result("")
        console.result(f"{title}:")
        console.table(("format", *more, *columns), rows)


def _kind(placement: Placement) -> tuple[str, tuple[str, ...]]:
    """The title of a placement's table, and the cell that only a partial split has."""
    layers = placement.layers_in_host
    return _TITLES[placement.kind], () if layers is None else ("{}/{}".format(*layers),)


def _placement_cells(plan: Plan, placement: Placement) -> tuple[str, ...]:
    context = plan.context_that_fits(placement)
    return (
        _bytes(placement.host),
        _bytes(placement.device),
        _bytes(placement.device_held),
        {True: "yes", False: "no", None: "-"}[placement.fits(plan.machine)],
        "-" if context is None else f"{context:,}",
        _rate(plan.rate(placement.at_empty_context())),
        _rate(plan.rate(placement)),
    )


def _device_words(plan: Plan) -> str:
    machine, cache = plan.machine, cache_size(plan.config, plan.load)
    memory, rate = machine.device_memory, machine.device_bandwidth
    size = f"{memory / 1e9:g} GB" if memory else "give --device-memory to see what fits"
    speed = f"{rate / 1e9:g} GB/s" if rate else "--device-bandwidth for rates"
    kept = f"{_bytes(cache.state)} of state (f32), {_bytes(cache.kv)} of keys and values (16 bits)"
    return f"with an accelerator ({size}, {speed}), which keeps {kept}"


def _share(count: int, everything: int) -> str:
    return f"{100 * count / everything:.1f}%"


def _rate(rate: float | None) -> str:
    return "-" if rate is None else f"{rate:,.0f}" if rate >= 100 else f"{rate:.3g}"


def _bytes(count: int) -> str:
    for unit, size in (("TB", 10**12), ("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if count >= size:
            return f"{count / size:.4g} {unit}"
    return f"{count} B"
