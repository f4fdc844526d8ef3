"""Reinforcement learning: play, judge, update, publish; the same after any break.

What is played stands in a plan, what was played in files until a checkpoint contains it, so a run
that was killed goes on with the identical next batch and repeats no rollout that had ended. The
first rank plays; every rank updates.
"""

from __future__ import annotations

import resource
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from regreen.core.clock import Clock, SystemClock
from regreen.core.console import Console
from regreen.core.errors import RegreenError, UsageError
from regreen.core.progress import Progress
from regreen.store.run import RunDirectory
from regreen.train.advantages import pass_rate_fault
from regreen.train.collector import Collector
from regreen.train.executor import Executor
from regreen.train.group_file import GroupFolder
from regreen.train.learner import Learner, Report
from regreen.train.plan import Plan, evaluation
from regreen.train.rl_config import RlConfig
from regreen.train.rl_metrics import measured, rates
from regreen.train.sft_stop import Asked
from regreen.train.state import Checkpoints
from regreen.train.trace import Group
from regreen.train.tracking import Tracker, rewind, trackers
from regreen.train.weights import FileSender

__all__ = ["RlJob", "RlResult", "train_rl"]


@dataclass(frozen=True, kw_only=True, eq=False)
class RlJob:
    """One run."""

    config: RlConfig
    """The settings."""
    learner: Learner
    """The policy and what updates it."""
    executor: Executor | None
    """Who plays; None on ranks that only update."""
    problems: Sequence[str]
    """What is trained on."""
    held_out: Sequence[str]
    """What evaluations play."""
    run: RunDirectory
    """Where everything goes; held by the first rank."""
    beside: Mapping[str, bytes]
    """What stands beside every checkpoint, such as the tokenizer."""


@dataclass(frozen=True, kw_only=True)
class RlResult:
    """How a run ended."""

    step: int
    """Batches trained on."""
    steps: int
    """Batches of the whole run."""
    seconds: float
    """Time spent, of earlier processes too."""
    checkpoint: Path
    """The last checkpoint."""
    evaluations: tuple[Mapping[str, float], ...]
    """Every evaluation, first to last."""

    @property
    def stopped(self) -> bool:
        """Whether it was stopped before its end."""
        return self.step < self.steps


@dataclass(frozen=True, slots=True, kw_only=True)
class _Where:
    """What a checkpoint keeps of the loop."""

    step: int = 0
    seconds: float = 0.0
    tokens: int = 0
    bad: int = 0
    kept: tuple[str, ...] = ()
    pending: tuple[int, ...] = ()
    place: int = 0
    evaluations: tuple[dict[str, float], ...] = ()


def train_rl(
    job: RlJob,
    *,
    console: Console,
    asked: Asked | None = None,
    progress: Progress | None = None,
    clock: Clock | None = None,
) -> RlResult:
    """Train until the end, or until asked to stop; every rank calls it.

    Goes on from the newest checkpoint of the run, where there is one.

    Args:
        job: what and where.
        console: is told of what is out of the ordinary.
        asked: is looked at after every batch.
        progress: is told of every rollout.
        clock: times the run.

    Raises:
        RegreenError: too many batches in a row moved nothing.
        InfrastructureError: nobody is left to play, or the disk is full; the checkpoint stands.
        UsageError: screening keeps no problem.
    """
    loop = _Loop(job, console, asked or Asked(), progress, clock or SystemClock())
    try:
        return loop.go()
    finally:
        loop.close()


class _Loop:
    """The state of one run in one process."""

    def __init__(
        self,
        job: RlJob,
        console: Console,
        asked: Asked,
        progress: Progress | None,
        clock: Clock,
    ) -> None:
        self._job, self._config, self._here = job, job.config, job.learner.world
        self._console, self._asked = console, asked
        self._progress, self._clock = progress, clock
        self._checkpoints = Checkpoints(
            job.run.path / "checkpoints", self._config.keep, beside=job.beside
        )
        self._sender = FileSender(
            job.run.path / "weights", self._config.staleness + 2, beside=job.beside
        )
        self._files = GroupFolder(job.run.path / "groups")
        self._log: Tracker | None = None
        self._collector: Collector | None = None
        if job.executor is not None:
            self._collector = Collector(
                job.executor, self._config, self._files,
                keep=job.run.append, note=console.note, progress=progress,
            )  # fmt: skip

    def go(self) -> RlResult:
        """Everything."""
        newest, where = self._checkpoints.latest(), _Where()
        learner = self._job.learner
        if newest is not None:
            extra = self._checkpoints.load(newest, learner.model, learner.optimiser)
            where = _where(extra)
        if self._here.first:
            rewind(self._job.run, where.step if newest is not None else -1)
            self._log = trackers(self._config.track, self._job.run)
        begun, before = self._clock.monotonic(), where.seconds
        self._publish(where.step)
        where = self._screened(where)
        plan = Plan(where.kept or tuple(self._job.problems), self._config.group_size,
                    self._config.seed)  # fmt: skip
        if self._collector is not None:
            self._collector.start(plan, where.place, where.pending)
        where = self._evaluated(where)
        while where.step < self._config.steps:
            where, newest = self._batch(plan, where, newest, before - begun)
            if self._here.broadcast(self._asked.stop):
                break
        assert newest is not None or where.step == 0
        if newest is None or newest.name != f"step-{where.step:06}":
            newest = self._save(where)
        return RlResult(
            step=where.step, steps=self._config.steps, seconds=where.seconds,
            checkpoint=newest, evaluations=where.evaluations,
        )  # fmt: skip

    def close(self) -> None:
        """Let everything go."""
        if self._log is not None:
            self._log.close()

    def _batch(
        self, plan: Plan, where: _Where, newest: Path | None, offset: float
    ) -> tuple[_Where, Path | None]:
        """One batch, from its groups to what is due behind it."""
        config, start = self._config, self._clock.monotonic()
        groups = self._here.broadcast(self._played(plan, where.step))
        played = self._clock.monotonic()
        report = self._job.learner.update(groups)
        moved = any(update.applied for update in report.updates)
        refused = any(update.refused for update in report.updates)
        where = replace(
            where,
            step=where.step + 1,
            tokens=where.tokens + report.tokens,
            bad=where.bad + 1 if refused and not moved else 0,
            seconds=self._clock.monotonic() + offset,
        )
        self._publish(where.step)
        end = self._clock.monotonic()
        where = replace(where, seconds=end + offset)
        self._record(where, groups, report, rollout=played - start, update=end - played)
        self._check(where, report)
        last = where.step == config.steps
        due = config.evaluate_every and where.step % config.evaluate_every == 0
        if due or last:
            where = self._evaluated(where)
        if last or self._asked.stop or where.step % config.checkpoint_every == 0:
            newest = self._save(where)
        return where, newest

    def _played(self, plan: Plan, step: int) -> list[Group]:
        """The groups of a batch; on ranks that do not play, none."""
        if self._collector is None:
            return []
        self._collector.counts.clear()
        return self._collector.batch(plan, step)

    # -- around the batches -----------------------------------------------------------------

    def _publish(self, version: int) -> None:
        folder = self._sender.send(self._job.learner.model, version)
        if self._job.executor is not None:
            self._job.executor.publish(folder, version)

    def _screened(self, where: _Where) -> _Where:
        """Keep problems that are neither too easy nor too hard, once for the run."""
        config = self._config
        if not config.screen or where.kept:
            return where
        kept: tuple[str, ...] = ()
        if self._collector is not None:
            plan = Plan(tuple(self._job.problems), config.group_size, config.seed)
            groups = self._collector.all_of(plan.screening(config.screen))
            reasons = {group.problem: _screen(group, config) for group in groups}
            kept = tuple(name for name, reason in reasons.items() if not reason)
            told = f"screening keeps {len(kept)} of {len(reasons)} problems"
            self._console.note(told)
            if self._log is not None:
                self._log.log(
                    where.step, {"screen/problems": len(reasons), "screen/kept": len(kept)}
                )
            lines = "".join(f"{name}\t{reason or 'kept'}\n" for name, reason in reasons.items())
            self._job.run.write_text("screening.tsv", lines)
        kept = self._here.broadcast(kept)
        if not kept:
            what = "screening keeps no problem"
            raise UsageError(
                what, where="pass_rate", mend="widen it, or begin with a better policy"
            )
        where = replace(where, kept=kept)
        self._save(where)
        return where

    def _evaluated(self, where: _Where) -> _Where:
        """Play the held-out problems by the weights as they are, unless that was done."""
        known = where.evaluations and where.evaluations[-1]["step"] == where.step
        if known or not self._job.held_out or not (self._config.evaluate_every or where.step == 0):
            return where
        found: dict[str, float] = {}
        if self._collector is not None:
            jobs = evaluation(
                self._job.held_out, self._config.evaluations, where.step, self._config.seed
            )
            groups = self._collector.all_of(jobs)
            found = {"step": float(where.step), **rates(groups)}
            if self._log is not None:
                named = {f"held_out/{name}": value for name, value in found.items()}
                self._log.log(where.step, named)
            told = f"held out after {where.step}: {found['resolved']:.3f} resolved"
            self._console.note(f"{told}, {found['clean_resolved']:.3f} clean")
        found = self._here.broadcast(found)
        return replace(where, evaluations=(*where.evaluations, found))

    def _save(self, where: _Where) -> Path:
        learner = self._job.learner
        if self._collector is not None:
            where = replace(where, place=self._collector.submitted, pending=self._collector.pending)
        extra = asdict(where)
        path = self._checkpoints.save(where.step, learner.model, learner.optimiser, extra)
        if self._here.first:
            self._files.forget(min([*where.pending, where.place]))
        return path

    def _record(
        self, where: _Where, groups: Sequence[Group], report: Report, *, rollout: float,
        update: float,
    ) -> None:  # fmt: skip
        if self._log is None or self._collector is None:
            return
        left = self._config.steps - where.step
        row = measured(groups, report, version=where.step - 1)
        row |= {f"count/{name}": value for name, value in self._collector.counts.items()}
        row |= {
            "seconds": where.seconds,
            "seconds_rollout": rollout,
            "seconds_update": update,
            "share_rollout": rollout / max(1e-9, rollout + update),
            "tokens_per_second": report.tokens / max(1e-9, rollout + update),
            "eta_seconds": where.seconds / where.step * left,
            "memory_bytes": float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024),
        }
        if torch.cuda.is_available():
            row["device_memory_bytes"] = float(torch.cuda.max_memory_allocated())
        self._log.log(where.step, row)
        if self._progress is not None:
            self._progress.title = (
                f"step {where.step}/{self._config.steps} · reward {row['reward']:.3f}"
                f" · {row['tokens_per_second']:,.0f} tokens/s · rollouts"
            )

    def _check(self, where: _Where, report: Report) -> None:
        if where.bad < self._config.max_bad_steps:
            return
        name = next(update.refused for update in report.updates if update.refused)
        what = f"{where.bad} batches in a row were refused: the gradient of {name} is not finite"
        mend = "lower the learning rate; --resume goes on from the checkpoint"
        raise RegreenError(what, where=str(self._job.run.path), mend=mend)


def _where(extra: Mapping[str, Any]) -> _Where:
    values: dict[str, Any] = dict(extra)
    values |= {name: tuple(values[name]) for name in ("kept", "pending", "evaluations")}
    return _Where(**values)


def _screen(group: Group, config: RlConfig) -> str:
    scored = [one for one in group.rollouts if one.fault is None]
    return pass_rate_fault(sum(one.resolved for one in scored), len(scored), config.pass_rate)
