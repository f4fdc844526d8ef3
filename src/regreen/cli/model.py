"""``regreen model plan``: what a configuration weighs and how fast memory lets it decode."""

from __future__ import annotations

import difflib
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from pydantic import ValidationError

from regreen.cli.model_plan import Plan, show
from regreen.cli.shared import Output
from regreen.core.errors import UsageError
from regreen.model.accounting import total
from regreen.model.config import ModelConfig
from regreen.model.placement import Load, Machine
from regreen.model.shapes import SHAPES

__all__ = ["plan"]

_GIGA = 10**9
_MOST_LAYERS = 10_000
_MOST_PARAMETERS = 10**15
_MOST_TOKENS = 10**12


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Wanted(Output):
    """What is to be decoded, and on what."""

    context: int | None = None
    """Tokens of each sequence (default: the longest context of the model)."""
    num_sequences: Annotated[int, Parameter(name="--sequences")] = 1
    """Sequences decoded together."""
    bandwidth: float | None = None
    """GB/s that host memory reads; without it, it is measured here."""
    device_bandwidth: float | None = None
    """GB/s that the accelerator's memory reads."""
    device_memory: float | None = None
    """GB of the accelerator's memory."""

    def load(self, config: ModelConfig) -> Load:
        """What is decoded.

        Raises:
            UsageError: no sequence, a negative context, or absurdly many.
        """
        context = config.max_position_embeddings if self.context is None else self.context
        if not 0 <= context <= _MOST_TOKENS:
            msg = f"a context of {_shown(context)} tokens cannot be planned"
            raise UsageError(msg, where="--context", mend=f"give 0 to {_MOST_TOKENS}")
        if not 1 <= self.num_sequences <= _MOST_TOKENS:
            msg = f"{_shown(self.num_sequences)} sequences cannot be planned"
            raise UsageError(msg, where="--sequences", mend=f"give 1 to {_MOST_TOKENS}")
        return Load(context, self.num_sequences)

    def machine(self) -> tuple[Machine, str]:
        """What memory there is, and where its host bandwidth comes from, in words.

        Raises:
            UsageError: a number that is no size and no rate.
            PrerequisiteError: no memory to measure with.
        """
        for flag, value in (
            ("--bandwidth", self.bandwidth),
            ("--device-bandwidth", self.device_bandwidth),
            ("--device-memory", self.device_memory),
        ):
            if value is not None and not (math.isfinite(value) and value > 0):
                msg = f"{flag} {value:g} is nothing to plan with"
                raise UsageError(msg, where=flag, mend="give a number above 0, in units of 10^9")
        host, said = self._host()
        device = None if self.device_bandwidth is None else self.device_bandwidth * _GIGA
        memory = None if self.device_memory is None else round(self.device_memory * _GIGA)
        return Machine(host, device, memory), said

    def _host(self) -> tuple[float, str]:
        if self.bandwidth is not None:
            return self.bandwidth * _GIGA, "given"
        from regreen.cli.bandwidth import measure_bandwidth

        found = measure_bandwidth()
        size, threads = found.buffer_bytes / _GIGA, found.num_threads
        said = f"measured here, {threads} thread{'s' * (threads > 1)} over {size:.1f} GB"
        return found.bytes_per_second, said


def plan(config: str, /, *, wanted: Wanted | None = None) -> int:
    """Count a model's parameters and bytes, and the rate that memory allows, without loading it.

    CONFIG is a named shape (1m, 5m, 23m, 100m, 264m, 1b, 80b), a config.json, or a folder with
    one. GB is 10^9 bytes.

    A rate is an upper bound, one over (bytes moved in host memory / its bandwidth + bytes moved on
    the accelerator / its bandwidth). A step moves the active weights and the keys and values once
    and the recurrent state twice; nothing else is counted. A model that the cache holds can beat
    the memory's bandwidth.

    For example:

        regreen model plan 80b --bandwidth 100
        regreen model plan 80b --context 32768 --device-memory 24 --device-bandwidth 1000
        regreen model plan checkpoints/step-000100 --json

    Parameters
    ----------
    config
        A named shape, a config.json, or a folder with one.
    """
    wanted = wanted or Wanted()
    console = wanted.console()
    found = read_config(config)
    load = wanted.load(found)
    machine, said = wanted.machine()
    result = Plan(config, found, load, machine, said)
    if wanted.json:
        console.json(result.as_json())
    else:
        show(result, console)
    return 0


def read_config(given: str) -> ModelConfig:
    """The configuration that a name or a path stands for; a name wins over a path.

    Raises:
        UsageError: neither a shape nor a path, an unreadable file, a model that is not ours, values
            that cannot be.
    """
    if given in SHAPES:
        return SHAPES[given]
    path = Path(given)
    if not path.exists():
        near = difflib.get_close_matches(given.lower(), SHAPES, n=1)
        msg = f"no named shape and no file: {given}" + (f"; {near[0]}?" if near else "")
        mend = f"give {', '.join(SHAPES)}, or a folder with a config.json"
        raise UsageError(msg, where=given, mend=mend)
    path = path / "config.json" if path.is_dir() else path
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        reason = getattr(error, "strerror", None) or error
        msg = f"the configuration cannot be read: {reason}"
        raise UsageError(msg, where=str(path), mend="give a config.json") from error
    if not isinstance(values, dict):
        msg = "this holds no configuration, which is a JSON object"
        raise UsageError(msg, where=str(path), mend="give a config.json of type qwen3_next")
    return _checked(values, path)


def _checked(values: dict[str, object], path: Path) -> ModelConfig:
    layers = values.get("num_hidden_layers")
    if isinstance(layers, int) and layers > _MOST_LAYERS:
        msg = f"num_hidden_layers is {layers}; more than {_MOST_LAYERS} is no model"
        raise UsageError(msg, where=str(path), mend="correct num_hidden_layers")
    try:
        found = ModelConfig.from_hf(values)
        if (count := total(found)) > _MOST_PARAMETERS:
            msg = f"these values make {float(count):.1e} parameters, which no machine holds"
            raise UsageError(msg, where=str(path), mend="correct the sizes")
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        name = ".".join(str(part) for part in first["loc"])
        reason = first["msg"].removeprefix("Value error, ")
        msg = f"{name}: {reason}" if name else reason
        raise UsageError(msg, where=str(path), mend=f"correct {name or 'it'}") from error
    except (ValueError, TypeError, OverflowError) as error:
        mend = "give the configuration of a qwen3_next model"
        raise UsageError(str(error), where=str(path), mend=mend) from error
    # Last, so that a bad value is named first; without it every absent size would be the 80B's.
    if "model_type" not in values:
        msg = "this says no model_type, so it may be no configuration of a model"
        raise UsageError(msg, where=str(path), mend='add "model_type": "qwen3_next" if it is one')
    return found


def _shown(number: int) -> str:
    return str(number) if abs(number) < 10 * _MOST_TOKENS else "far too many"
