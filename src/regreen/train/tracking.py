"""Where the numbers of a training run go: ``metrics.jsonl`` always, a dashboard when asked.

A dashboard is a copy for the eyes. It is imported only when it is asked for, and the file in the
run stays the record that a resume cuts back to its checkpoint, so that every step stands there once
whatever was killed when.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from importlib import import_module
from typing import Any, Protocol

from regreen.core.errors import PrerequisiteError, UsageError
from regreen.core.evaluated import evaluated_after
from regreen.core.trajectory import Trajectory
from regreen.store.jsonl import encode_row
from regreen.store.run import RunDirectory

__all__ = ["TRACKERS", "Tracker", "check_trackers", "forget_evaluations", "rewind", "trackers"]


class Tracker(Protocol):
    """Takes the numbers of a step."""

    def log(self, step: int, values: Mapping[str, Any]) -> None:
        """Numbers by name, ``held_out/loss`` for example; what is no number a dashboard skips."""
        ...

    def close(self) -> None:
        """Write what is still held."""
        ...


def trackers(names: Sequence[str], run: RunDirectory, *, since: int = 0) -> Tracker:
    """``metrics.jsonl`` of the run, and every dashboard that is named.

    tensorboard and wandb write below the run, trackio into a store of its own. wandb and trackio
    name their project by ``REGREEN_PROJECT``, regreen by default.

    Args:
        names: of ``TRACKERS``.
        run: the run; its settings are shown.
        since: the step a resumed run goes on behind. What a dashboard knows of later ones,
            tensorboard forgets; wandb and trackio go on with their run as it is.

    Raises:
        UsageError: an unknown name.
        PrerequisiteError: a dashboard is not installed.
    """
    check_trackers(names)
    made: list[Tracker] = [_Metrics(run)]
    made += [TRACKERS[name](run, since) for name in dict.fromkeys(names)]
    return _All(made)


def check_trackers(names: Iterable[str]) -> None:
    """Refuse, before any work is done, what cannot be tracked to.

    Raises:
        UsageError: an unknown name.
        PrerequisiteError: a dashboard is not installed.
    """
    for name in names:
        if name not in TRACKERS:
            what = f"there is no dashboard {name!r}"
            raise UsageError(what, where="--track", mend=f"choose of {', '.join(TRACKERS)}")
        _module(name)


def rewind(run: RunDirectory, step: int) -> int:
    """Cut ``metrics.jsonl`` back to what was known at ``step``; returns the rows dropped.

    A row without a step stays. To be called before the first row is written.

    Raises:
        UsageError: the file cannot be read or written.
    """
    rows = list(run.metrics())
    kept = [row for row in rows if not isinstance(row.get("step"), int) or row["step"] <= step]
    if len(kept) < len(rows):
        stamp = {"schema_name": "regreen.metric", "schema_version": 1}
        lines = b"".join(encode_row({**row, **stamp}) for row in kept)
        run.write_text("metrics.jsonl", lines.decode())
    return len(rows) - len(kept)


def forget_evaluations(run: RunDirectory, known: Collection[int]) -> None:
    """Remove records of held-out rollouts whose evaluation is played again.

    To be called before the first record is written.

    Args:
        run: its trajectories are looked through.
        known: the evaluations that stand, by the batches trained on before.

    Raises:
        RegreenError: the records cannot be read or written.
    """

    def stands(record: Trajectory) -> bool:
        after = evaluated_after(record)
        return after is None or after in known

    if not all(map(stands, run.trajectories())):
        run.replace(filter(stands, run.trajectories()))


class _All:
    def __init__(self, made: Sequence[Tracker]) -> None:
        self._made = made

    def log(self, step: int, values: Mapping[str, Any]) -> None:
        for tracker in self._made:
            tracker.log(step, values)

    def close(self) -> None:
        for tracker in self._made:
            tracker.close()


class _Metrics:
    """The file of the run, which the run itself closes."""

    def __init__(self, run: RunDirectory) -> None:
        self._run = run

    def log(self, step: int, values: Mapping[str, Any]) -> None:
        self._run.append_metric({"step": step, **values})

    def close(self) -> None:
        pass


class _TensorBoard:
    """Event files below the run's ``tensorboard`` folder."""

    def __init__(self, run: RunDirectory, since: int) -> None:
        writer, folder = _module("tensorboard").SummaryWriter, run.path / "tensorboard"
        self._writer = writer(log_dir=str(folder), purge_step=since + 1 if since else None)
        told = "\n".join(f"    {name} = {value}" for name, value in run.config.items())
        self._writer.add_text("config", told)

    def log(self, step: int, values: Mapping[str, Any]) -> None:
        for name, value in _numbers(values).items():
            self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        self._writer.close()


class _Session:
    """trackio or wandb, whose interfaces agree in ``init``, ``log`` and ``finish``."""

    def __init__(self, module: str, run: RunDirectory, since: int) -> None:
        self._library = _module(module)
        given: dict[str, Any] = {"name": run.path.name, "config": dict(run.config)}
        given["project"] = os.environ.get("REGREEN_PROJECT", "regreen")
        given["resume"] = "allow" if since else "never"
        if module == "wandb":
            # written once, so a run made anew in the same place is another one
            made = (run.path / "lock.json").stat().st_mtime_ns
            own = hashlib.sha256(f"{run.path.resolve()} {made}".encode()).hexdigest()
            given |= {"dir": str(run.path), "id": own[:16]}
        self._library.init(**given)

    def log(self, step: int, values: Mapping[str, Any]) -> None:
        self._library.log(_numbers(values), step=step)

    def close(self) -> None:
        self._library.finish()


def _session(name: str) -> Callable[[RunDirectory, int], Tracker]:
    return lambda run, since: _Session(name, run, since)


TRACKERS: Mapping[str, Callable[[RunDirectory, int], Tracker]] = {
    "tensorboard": _TensorBoard,
    "trackio": _session("trackio"),
    "wandb": _session("wandb"),
}
"""The dashboards by name."""

_HOMES = {"tensorboard": "torch.utils.tensorboard"}


def _module(name: str) -> Any:
    try:
        return import_module(_HOMES.get(name, name))
    except ImportError as error:
        what = f"{name} is not installed ({error})"
        mend = f"pip install 'regreen[{name}]', or pip install {name}"
        raise PrerequisiteError(what, where="--track", mend=mend) from error


def _numbers(values: Mapping[str, Any]) -> dict[str, float]:
    return {name: float(value) for name, value in values.items() if isinstance(value, int | float)}
