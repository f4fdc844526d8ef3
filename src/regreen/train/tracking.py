"""Where the numbers of a training run go: ``metrics.jsonl`` always, a dashboard when asked.

A dashboard is a copy for the eyes. It is imported only when it is asked for, and the file in the
run stays the record that a resume cuts back to its checkpoint, so that every step stands there once
whatever was killed when.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib import import_module
from typing import Any, Protocol

from regreen.core.errors import PrerequisiteError, UsageError
from regreen.store.jsonl import encode_row
from regreen.store.run import RunDirectory

__all__ = ["TRACKERS", "Tracker", "check_trackers", "rewind", "trackers"]


class Tracker(Protocol):
    """Takes the numbers of a step."""

    def log(self, step: int, values: Mapping[str, Any]) -> None:
        """Numbers by name, ``held_out/loss`` for example; what is no number a dashboard skips."""
        ...

    def close(self) -> None:
        """Write what is still held."""
        ...


def trackers(
    names: Sequence[str], run: RunDirectory, *, config: Mapping[str, Any] | None = None
) -> Tracker:
    """``metrics.jsonl`` of the run, and every dashboard that is named.

    Args:
        names: of ``TRACKERS``.
        run: the run; dashboards write below it where they write files.
        config: the run's settings, for dashboards that show them; the run's own by default.

    Raises:
        UsageError: an unknown name.
        PrerequisiteError: a dashboard is not installed.
    """
    check_trackers(names)
    settings = run.config if config is None else config
    made: list[Tracker] = [_Metrics(run)]
    made += [TRACKERS[name](run, settings) for name in dict.fromkeys(names)]
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

    def __init__(self, run: RunDirectory, config: Mapping[str, Any]) -> None:
        writer = _module("tensorboard").SummaryWriter
        self._writer = writer(log_dir=str(run.path / "tensorboard"))
        self._writer.add_text("config", "\n".join(f"    {k} = {v}" for k, v in config.items()))

    def log(self, step: int, values: Mapping[str, Any]) -> None:
        for name, value in _numbers(values).items():
            self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        self._writer.close()


class _Session:
    """trackio or wandb, whose interfaces agree in ``init``, ``log`` and ``finish``."""

    def __init__(self, module: str, run: RunDirectory, config: Mapping[str, Any]) -> None:
        self._library = _module(module)
        given: dict[str, Any] = {"dir": str(run.path)} if module == "wandb" else {}
        project = os.environ.get("REGREEN_PROJECT", "regreen")
        self._library.init(project=project, name=run.path.name, config=dict(config), **given)

    def log(self, step: int, values: Mapping[str, Any]) -> None:
        self._library.log(_numbers(values), step=step)

    def close(self) -> None:
        self._library.finish()


def _session(name: str) -> Callable[[RunDirectory, Mapping[str, Any]], Tracker]:
    return lambda run, config: _Session(name, run, config)


TRACKERS: Mapping[str, Callable[[RunDirectory, Mapping[str, Any]], Tracker]] = {
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
