"""``regreen train sft --dry-run``: what a run would read, hold and take, with nothing written."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from regreen.cli.train_measure import rates_here, tell
from regreen.core.console import Console

if TYPE_CHECKING:
    from regreen.store.packed_header import PackedHeader
    from regreen.train.compute.parallel import World
    from regreen.train.estimate.memory import Run
    from regreen.train.sft.config import SftConfig
    from regreen.train.sft.sources import SftData
    from regreen.train.start import Start

__all__ = ["tell_plan"]


def tell_plan(
    config: SftConfig,
    start: Start,
    data: SftData,
    vocabulary: int,
    *,
    here: World,
    console: Console,
    json: bool,
    measure: bool,
) -> None:
    """Print how much is read and in how many steps, and what each rank holds.

    Args:
        config: the settings.
        start: the model.
        data: the opened sets.
        vocabulary: their ids.
        here: the ranks that the weights are cut over.
        console: where to.
        json: as one object.
        measure: say how long it takes too, by doing some of it.
    """
    from regreen.train.estimate.memory import estimate
    from regreen.train.sft.loop import num_steps

    told: dict[str, Any] = {
        "steps": num_steps(data, config),
        "rows": sum(one.num_units for one in data.mixture.sets),
        "tokens_of_a_pass": sum(one.num_tokens for one in data.mixture.sets),
        "held_out_rows": len(data.held),
        "vocabulary": vocabulary,
    }
    row = told["tokens_of_a_pass"] / max(1, told["rows"])
    batch = min(math.ceil(config.batch_tokens / max(1.0, row)) * row, told["tokens_of_a_pass"])
    headers = [one.header for one in data.shards]
    run = _run(config, headers, here, steps=told["steps"], batch=round(batch))
    shape = start.sized(vocabulary)
    rates = rates_here(shape, run, here, dtype=config.dtype) if measure else None
    held = estimate(shape, run, rates)
    tell(told, held, console, json=json)


def _run(
    config: SftConfig, headers: Sequence[PackedHeader], here: World, *, steps: int, batch: int
) -> Run:
    from regreen.train.estimate.memory import Run

    longest = max(min(config.micro_tokens, config.batch_tokens), *(one.capacity for one in headers))
    usual = round(sum(map(_tokens, headers)) / max(1, sum(one.num_documents for one in headers)))
    return Run(
        micro_tokens=longest,
        predicted=round(longest * max(map(_predicted, headers))),
        ranks=here.size,
        compute_bytes=2 if "bfloat16" in {config.dtype, config.compute_dtype} else 4,
        recompute=config.recompute,
        sequence=max(1, usual),
        tokens_per_step=batch,
        steps=steps,
        supposing=f"steps of {batch:,} tokens, whole rows, documents of {usual:,}, the means; no "
        "evaluations",
    )


def _tokens(header: PackedHeader) -> int:
    """Of all documents."""
    return sum(int(role["tokens"]) for role in header.statistics["roles"].values())


def _predicted(header: PackedHeader) -> float:
    """Share of the tokens that have a weight in the loss."""
    roles = header.statistics["roles"].values()
    return sum(int(role["loss_tokens"]) for role in roles) / max(1, _tokens(header))
