"""The directory of a training run under several processes: the first makes and holds it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from regreen import __version__

if TYPE_CHECKING:
    from regreen.store.run import RunDirectory
    from regreen.train.compute.parallel import World

__all__ = ["run_of_all"]


def run_of_all(
    here: World,
    run: Path,
    *,
    config: Mapping[str, Any],
    digest: Callable[[], str],
    seed: int,
    resume: bool,
    may_differ: Collection[str],
) -> RunDirectory:
    """Make a run, or go on with it; every rank calls it and the others look in.

    Args:
        here: the processes.
        run: its directory.
        config: its settings.
        digest: reads what is trained on; the first rank alone does.
        seed: of every draw.
        resume: go on with a run of the same settings and data.
        may_differ: settings that a resume may change.

    Raises:
        UsageError: there is another run, or none that can be gone on with.
    """
    from regreen.store.run import RunDirectory

    if not here.first:
        here.barrier()
        return RunDirectory.open(run)
    lock = {"taskset_digest": digest(), "seeds": [seed], "regreen": __version__}
    made = RunDirectory.create(run, config=config, lock=lock, resume=resume, may_differ=may_differ)
    here.barrier()
    return made
