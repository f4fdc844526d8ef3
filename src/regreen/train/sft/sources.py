"""What is trained on, by name: packed directories with their shares, and what is packed first.

A share is written behind the path (``packed=0.7``); a path that exists with such an ending is
itself.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from regreen.core.config import config_digest
from regreen.core.errors import UsageError
from regreen.packing.sources import digest_sources
from regreen.store.packed import PackedShards
from regreen.store.packed_header import HEADER, read_header
from regreen.train.sft.config import SftConfig
from regreen.train.sft.data import Mixture, PackedSet, Unit, hold_out

__all__ = ["SftData", "Source", "data_digest", "is_packed", "open_data", "read_sources"]


@dataclass(frozen=True)
class Source:
    """One thing to train on."""

    path: Path
    """Packed rows, or what ``regreen pack`` takes."""
    share: float | None = None
    """Of the tokens; None where none is given."""

    def __str__(self) -> str:
        return str(self.path) if self.share is None else f"{self.path}={self.share:g}"


@dataclass(frozen=True, eq=False)
class SftData:
    """Everything opened."""

    shards: list[PackedShards]
    """The sets trained on, then that held out where it is one of its own."""
    mixture: Mixture
    """What is read when."""
    held: list[Unit]
    """What is held out."""


def read_sources(names: Sequence[str]) -> list[Source]:
    """Paths, each perhaps with a share.

    Raises:
        UsageError: nothing there, no share, or shares for some only.
    """
    found = [_source(name) for name in names]
    given = [source for source in found if source.share is not None]
    if given and len(given) < len(found):
        bare = next(source for source in found if source.share is None)
        what = f"{bare.path} has no share, and others have"
        raise UsageError(what, where=str(bare.path), mend="give PATH=SHARE to each, or to none")
    return found


def is_packed(path: Path) -> bool:
    """Whether ``regreen pack`` wrote this, or was about to."""
    return path.is_dir() and ((path / HEADER).exists() or (path / "spool").is_dir())


def data_digest(sources: Sequence[Source], held_out: str) -> str:
    """What a resume compares, so that no run goes on over other data."""
    held = [] if _share(held_out) is not None or not held_out else [Source(Path(held_out))]
    values = {
        f"{place} {source}": [one.digest for one in read_header(source.path).shards]
        if is_packed(source.path)
        else [one.digest for one in digest_sources([source.path])]
        for place, source in enumerate([*sources, *held])
    }
    return config_digest(values)


def open_data(sources: Sequence[Source], config: SftConfig) -> SftData:
    """Open packed sets and lay out what is read when.

    Raises:
        UsageError: a set that cannot be read or has nothing, an unknown role or template.
    """
    shards = [PackedShards(source.path, weights=config.weights) for source in sources]
    _check_weights(shards, config.weights)
    templates = _check_templates(shards, config.templates)
    share, held = _share(config.held_out), list[Unit]()
    sets = []
    for number, one in enumerate(shards):
        without = None
        if share:
            without, apart = hold_out(one, share, number=number, seed=config.seed)
            held += apart
        sets.append(
            PackedSet(one, number=number, seed=config.seed, templates=templates, without=without)
        )
    if config.held_out and share is None:
        shards.append(PackedShards(config.held_out, weights=config.weights))
        whole = PackedSet(shards[-1], number=len(sets))
        held = sorted(whole.unit(place)[0] for place in range(whole.num_units))
    weights = [source.share for source in sources if source.share is not None]
    epochs = config.epochs if config.steps is None else None
    return SftData(shards, Mixture(sets, weights or None, epochs=epochs), held)


def _source(name: str) -> Source:
    path, _, number = name.rpartition("=")
    if Path(name).exists() or not path:
        share = None
        path = name
    else:
        try:
            share = float(number)
        except ValueError:
            path, share = name, None
    if share is not None and not (math.isfinite(share) and share > 0):
        what = f"{number} is no share of the tokens"
        raise UsageError(what, where=name, mend="give a number above 0, for example packed=0.7")
    if not Path(path).exists():
        mend = "name packed rows, a run, a file of trajectories, or texts"
        what = "there is no such file or directory"
        raise UsageError(what, where=path, mend=mend)
    return Source(Path(path), share)


def _share(held_out: str) -> float | None:
    try:
        share = float(held_out)
    except ValueError:
        return None
    if not 0.0 <= share < 1.0:
        what = f"{held_out} is no share of the tasks that can be held out"
        raise UsageError(what, where="--held-out", mend="give a number from 0 to below 1")
    return share


def _check_weights(shards: Sequence[PackedShards], given: Mapping[str, float]) -> None:
    for one in shards:
        if not any(one.weights.values()):
            what = "no role has a weight in the loss, so nothing would be learnt"
            mend = "give one by --weight, for example --weight assistant=1"
            raise UsageError(what, where=str(one.path) if not given else "--weight", mend=mend)


def _check_templates(
    shards: Sequence[PackedShards], given: Mapping[str, float]
) -> Mapping[str, float]:
    names = {name or "text" for one in shards for name in one.templates}
    known = names | {name.partition("[")[0] for name in names}
    for name, weight in given.items():
        if name not in known:
            what = f"nothing is packed in the template {name!r}"
            mend = f"choose of {', '.join(sorted({one.partition('[')[0] for one in names}))}"
            raise UsageError(what, where="--template-weight", mend=mend)
        if not (math.isfinite(weight) and weight >= 0):
            what = f"{weight!r} is no weight of a template"
            raise UsageError(what, where="--template-weight", mend="give a number from 0 on")
    return given
