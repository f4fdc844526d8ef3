"""Supervised fine-tuning: packed rows in, checkpoints and a curve out, the same after any break.

The checkpoint holds everything the next step depends on, and a resume cuts the metrics back to it.
So a run that was killed ends with the curve and the weights of one that was not.
"""

from __future__ import annotations

import resource
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from regreen.core.clock import Clock, SystemClock
from regreen.core.errors import RegreenError, UsageError
from regreen.core.progress import Progress
from regreen.model import Decoder
from regreen.store.run import RunDirectory
from regreen.train.compute.optim import Optimiser
from regreen.train.compute.parallel import World, shard
from regreen.train.compute.recompute import recompute
from regreen.train.sft.config import SftConfig
from regreen.train.sft.sources import SftData
from regreen.train.sft.step import Where, Work, evaluate, train_step
from regreen.train.start import Start, make_model
from regreen.train.stop import Asked
from regreen.train.tracking import Tracker, rewind, trackers
from regreen.train.weights.state import Checkpoints

__all__ = ["SftJob", "SftResult", "num_steps", "steps_done", "train_sft"]


@dataclass(frozen=True, kw_only=True, eq=False)
class SftJob:
    """What is trained, on what, and where it goes."""

    config: SftConfig
    """The settings."""
    data: SftData
    """What is read."""
    start: Start
    """The model."""
    vocabulary: int
    """Ids of the packed rows."""
    run: RunDirectory
    """Where everything goes; held by the first rank."""
    beside: Mapping[str, bytes]
    """What stands beside every checkpoint."""
    here: World = World()  # noqa: RUF009
    """The ranks."""


@dataclass(frozen=True, kw_only=True)
class SftResult:
    """How training ended."""

    step: int
    """Steps done."""
    num_steps: int
    """Steps of the whole run."""
    tokens: int
    """Tokens computed."""
    seconds: float
    """Time spent, of earlier processes too."""
    checkpoint: Path
    """The last checkpoint."""
    metrics: dict[str, Any]
    """The newest number of each name."""

    @property
    def stopped(self) -> bool:
        """Whether it was stopped before its end."""
        return self.step < self.num_steps


def num_steps(data: SftData, config: SftConfig) -> int:
    """Optimiser steps of a whole run."""
    return config.steps or data.mixture.num_batches(config.batch_tokens)


def steps_done(run: Path) -> int:
    """Steps of the newest checkpoint of a run, where a resume begins; 0 without one."""
    newest = Checkpoints(run / "checkpoints").latest()
    return 0 if newest is None else int(newest.name.removeprefix("step-"))


def train_sft(
    job: SftJob,
    *,
    asked: Asked | None = None,
    progress: Progress | None = None,
    clock: Clock | None = None,
) -> SftResult:
    """Train until the end, or until asked to stop; every rank calls it.

    Goes on from the newest checkpoint of the run, where there is one.

    Args:
        job: what and where.
        asked: is looked at after every step.
        progress: is told of every step.
        clock: times the run.

    Raises:
        RegreenError: too many steps in a row were refused.
        UsageError: the model, its checkpoint or a dashboard cannot be used.
        InfrastructureError: the disk is full; the checkpoint before still stands.
    """
    config, here = job.config, job.here
    total = num_steps(job.data, config)
    model = make_model(
        job.start, here.device, dtype=getattr(torch, config.dtype),
        vocabulary=job.vocabulary, seed=config.seed,
    )  # fmt: skip
    model = _cut(model, config, here)
    work = Work(model, Optimiser(model, config.optim(total)), job.data, config, here)
    kept = Checkpoints(job.run.path / "checkpoints", config.keep, beside=job.beside)
    newest, where = kept.latest(), Where.start(work)
    if newest is not None:
        where = Where.from_json(kept.load(newest, model, work.optimiser))
    log: Tracker | None = None
    if here.first:
        rewind(job.run, where.step if newest is not None else -1)
        log = trackers(config.track, job.run, since=where.step)
    loop = _Loop(
        work=work,
        kept=kept,
        log=log,
        asked=asked or Asked(),
        progress=progress,
        clock=clock or SystemClock(),
        total=total,
        last={name: value for row in job.run.metrics() for name, value in row.items()},
    )
    try:
        return loop.go(where, newest)
    finally:
        if log is not None:
            log.close()


def _cut(model: Decoder, config: SftConfig, here: World) -> Decoder:
    compute = getattr(torch, config.compute_dtype) if config.compute_dtype else None
    if compute is not None and here.size == 1:
        what = "one process computes in the type of its weights"
        mend = "start it under torchrun, or set dtype instead"
        raise UsageError(what, where="compute_dtype", mend=mend)
    return shard(recompute(model) if config.recompute else model, here, compute=compute)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Loop:
    """Steps, and between them what is due: a row, an evaluation, a checkpoint, an end."""

    work: Work
    kept: Checkpoints
    log: Tracker | None
    asked: Asked
    progress: Progress | None
    clock: Clock
    total: int
    last: dict[str, Any]

    def go(self, where: Where, newest: Path | None) -> SftResult:
        config, begun, first = self.work.config, self.clock.monotonic(), where
        if not where.step:
            self._record(0, evaluate(self.work))
        logged = where
        while where.step < self.total:
            where, row = train_step(self.work, where)
            where = replace(where, seconds=first.seconds + self.clock.monotonic() - begun)
            self._check(where, row)
            last, stop = where.step == self.total, self.work.here.sum(self.asked.stop)[0] > 0
            if last or stop or "refused" in row or where.step % config.log_every == 0:
                self._record(
                    where.step, {**row, **_speed(logged, where), **self._eta(first, where)}
                )
                logged = where
            self._show(where, row)
            if last or where.step % config.evaluate_every == 0:
                self._record(where.step, evaluate(self.work))
            if last or stop or where.step % config.checkpoint_every == 0:
                newest = self._save(where)
            if stop:
                break
        return self._result(where, newest)

    def _eta(self, first: Where, now: Where) -> dict[str, float]:
        rate = (now.seconds - first.seconds) / (now.step - first.step)
        return {"eta_seconds": rate * (self.total - now.step)}

    def _check(self, where: Where, row: Mapping[str, Any]) -> None:
        most = self.work.config.max_bad_steps
        if where.bad < most:
            return
        if self.log is not None:
            self.log.log(where.step, row)
        what = f"{where.bad} steps in a row were refused; the last: {row['refused']}"
        mend = "lower --learning-rate, or look at the data; --resume goes on from the checkpoint"
        raise RegreenError(what, where=str(self.kept.folder.parent), mend=mend)

    def _save(self, where: Where) -> Path:
        work = self.work
        return self.kept.save(where.step, work.model, work.optimiser, where.as_json())

    def _record(self, step: int, row: Mapping[str, Any]) -> None:
        self.last.update(row)
        if row and self.log is not None:
            self.log.log(step, row)

    def _show(self, where: Where, row: Mapping[str, Any]) -> None:
        if self.progress is None:
            return
        told = [f"loss {row['loss']:.4f}"] if "loss" in row else []
        if "tokens_per_second" in self.last:
            told.append(f"{self.last['tokens_per_second']:,.0f} tokens/s")
        self.progress.title = " · ".join([*told, "step"])
        self.progress.finish(str(where.step), "refused" if "refused" in row else "applied")

    def _result(self, where: Where, newest: Path | None) -> SftResult:
        assert newest is not None
        return SftResult(
            step=where.step,
            num_steps=self.total,
            tokens=where.tokens,
            seconds=where.seconds,
            checkpoint=newest,
            metrics=dict(self.last),
        )


def _speed(before: Where, now: Where) -> dict[str, float]:
    """Since the last row; the memory is the most that was ever in use."""
    seconds = max(now.seconds - before.seconds, 1e-9)
    found = {
        "tokens_per_second": (now.tokens - before.tokens) / seconds,
        "seconds": now.seconds,
        "memory_bytes": float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024),
    }
    if torch.cuda.is_available():
        found["device_memory_bytes"] = float(torch.cuda.max_memory_allocated())
    return found
