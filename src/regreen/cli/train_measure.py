"""What dry runs of training tell, and how fast this machine would be, found by doing it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from regreen.core.clock import SystemClock
from regreen.core.console import Console
from regreen.core.errors import PrerequisiteError, UsageError

if TYPE_CHECKING:
    from regreen.model import ModelConfig
    from regreen.train.compute.parallel import World
    from regreen.train.estimate.memory import Estimate, Rates, Run

__all__ = ["check_measure", "rates_here", "tell"]


def check_measure(*, measure: bool, dry_run: bool) -> None:
    """Refuse the flag where nothing is estimated.

    Raises:
        UsageError: the run itself is asked for.
    """
    if measure and not dry_run:
        what = "a run measures itself while it goes: see its metrics.jsonl"
        raise UsageError(what, where="--measure", mend="give --dry-run with it, or leave it out")


def rates_here(shape: ModelConfig, run: Run, here: World, *, dtype: str = "float32") -> Rates:
    """Measure with new weights of the shape.

    Raises:
        UsageError: several ranks, none of which would measure what it is in the run.
        PrerequisiteError: the run does not fit into the memory here.
    """
    import torch

    from regreen.model import Decoder
    from regreen.train.compute.recompute import recompute
    from regreen.train.estimate.memory import estimate
    from regreen.train.estimate.rates import measure, memory_here

    if here.size > 1:
        what = "rates are measured by one process, without what ranks tell each other"
        raise UsageError(what, where="--measure", mend="start it without torchrun")
    needed, held = estimate(shape, run).bytes, memory_here(here.device)
    if needed > held:
        what = f"the run needs {needed / 1e9:,.1f} GB, and there are {held / 1e9:,.1f} GB here"
        mend = "leave --measure out for the memory alone, or ask for less at once"
        raise PrerequisiteError(what, where="--measure", mend=mend)
    model = Decoder(shape).to(device=here.device, dtype=getattr(torch, dtype))
    if run.recompute:
        recompute(model)
    return measure(model, run, SystemClock())


def tell(told: Mapping[str, float], held: Estimate, console: Console, *, json: bool) -> None:
    """Print what a run would read or play, and what it would hold and take."""
    from regreen.train.estimate.memory import show

    if json:
        console.json({**told, "estimate": held.as_json()})
        return
    for name, value in told.items():
        console.result(f"{name.replace('_', ' ')}: {value:,}")
    show(held, console)
