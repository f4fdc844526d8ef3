"""Reinforcement learning: play, judge, update, publish; the same after any break.

What is played stands in a plan, what was played in files until a checkpoint contains it, so a run
that was killed goes on with the identical next batch and repeats no group that had ended. The first
rank plays; every rank updates.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeVar

from regreen.core.clock import Clock, SystemClock
from regreen.core.console import Console
from regreen.core.errors import RegreenError, UsageError
from regreen.core.progress import Progress
from regreen.store.run import RunDirectory
from regreen.train.play.executor import Executor
from regreen.train.policy.advantages import pass_rate_fault
from regreen.train.policy.learner import Learner, Report
from regreen.train.rl.collector import Collector
from regreen.train.rl.config import RlConfig
from regreen.train.rl.group_file import GroupFolder
from regreen.train.rl.metrics import Times, fruitless, measured, rates, spent
from regreen.train.rl.plan import Plan, evaluation
from regreen.train.rl.publisher import Publisher
from regreen.train.rl.state import Where, where_of
from regreen.train.stop import Asked
from regreen.train.stopwatch import Stopwatch
from regreen.train.trace import Group
from regreen.train.tracking import Tracker, forget_evaluations, rewind, trackers
from regreen.train.weights.sender import FileSender
from regreen.train.weights.state import Checkpoints

__all__ = ["RlJob", "RlResult", "train_rl"]

_Found = TypeVar("_Found")
_Heard = tuple[Literal["still", "write", "ready"], Any, Any]
"""What the first rank tells the others while it plays: what to do; what was found; what ends it."""

_STILL_SECONDS = 30.0
"""How often ranks that wait for rollouts hear that they are still being played; an agent's may take
longer than a rank waits for another."""
_STILL: _Heard = ("still", None, None)


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
    """Time spent, of earlier processes too, also on what was lost with them."""
    checkpoint: Path
    """The last checkpoint."""
    evaluations: tuple[Mapping[str, float], ...]
    """Every evaluation, first to last."""

    @property
    def stopped(self) -> bool:
        """Whether it was stopped before its end."""
        return self.step < self.steps


class _Stopped(Exception):
    """Somebody asked to stop while groups were waited for; those that ended are kept."""


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
        asked: is looked at while groups are waited for, and after every batch.
        progress: is told of every rollout.
        clock: times the run.

    Raises:
        RegreenError: too many batches in a row could move nothing.
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
        self._heard, self._where = clock.monotonic(), Where()
        self._resumed = 0.0, 0
        self._newest: Path | None = None
        self._saved: Where | None = None
        self._log: Tracker | None = None
        path, beside = job.run.path, job.beside
        self._watch = Stopwatch(path / "seconds.json" if self._here.first else None, clock)
        self._checkpoints = Checkpoints(path / "checkpoints", self._config.keep, beside=beside)
        self._publisher = Publisher(
            job.executor,
            FileSender(path / "weights", self._config.staleness + 2, beside=beside),
            self._here,
            past_disk=self._config.weights == "collective",
            note=console.note,
        )
        self._files = GroupFolder(path / "groups")
        self._screenings = GroupFolder(path / "groups" / "screening")
        self._collector: Collector | None = None
        if job.executor is not None:
            self._collector = Collector(
                job.executor, self._config, {"train": self._files, "screen": self._screenings},
                keep=job.run.append, note=console.note, progress=progress, waiting=self._waiting,
            )  # fmt: skip

    def go(self) -> RlResult:
        """Everything."""
        self._resume()
        with suppress(_Stopped):
            self._train()
        if self._newest is None or self._where != self._saved:
            self._save()
        assert self._newest is not None
        where = self._where
        return RlResult(
            step=where.step, steps=self._config.steps, seconds=self._watch.seconds,
            checkpoint=self._newest, evaluations=where.evaluations,
        )  # fmt: skip

    def close(self) -> None:
        """Let everything go."""
        if self._log is not None:
            self._log.close()
        self._watch.close()

    # -- the run ----------------------------------------------------------------------------

    def _resume(self) -> None:
        """Put everything where the newest checkpoint left it."""
        learner, run = self._job.learner, self._job.run
        self._newest = self._checkpoints.latest()
        if self._newest is not None:
            extra = self._checkpoints.load(self._newest, learner.model, learner.optimiser)
            self._where = where_of(extra)
            self._saved = self._where
        step = self._where.step
        self._resumed = self._watch.seconds, step
        if self._here.first:
            # What stands of the beginning is logged again, from the checkpoint or anew.
            rewind(run, step or -1)
            forget_evaluations(run, {int(one["step"]) for one in self._where.evaluations})
            self._log = trackers(self._config.track, run, since=step)
        if self._progress is not None:
            self._progress.known(step * self._config.groups * self._config.group_size)

    def _train(self) -> None:
        self._publish()
        problems = self._screened() if self._config.screen else tuple(self._job.problems)
        plan = Plan(problems, self._config.group_size, self._config.seed)
        where = self._where
        self._gathered(lambda collector: collector.start(plan, where.place, where.pending))
        self._evaluate()
        while self._where.step < self._config.steps:
            self._batch(plan)
            if self._here.broadcast(self._asked.stop):
                return
            self._evaluate()
            step = self._where.step
            if step == self._config.steps or step % self._config.checkpoint_every == 0:
                self._save()

    def _batch(self, plan: Plan) -> None:
        """One batch, from its groups to the weights that follow."""
        step, start = self._where.step, self._clock.monotonic()
        groups = self._gathered(lambda collector: collector.batch(plan, step))
        played = self._clock.monotonic()
        report = self._job.learner.update(groups)
        why = fruitless(groups, report)
        self._where = replace(
            self._where,
            step=step + 1,
            tokens=self._where.tokens + report.tokens,
            bad=self._where.bad + 1 if why else 0,
        )
        self._publish()
        end = self._clock.monotonic()
        self._where = replace(self._where, seconds=self._watch.seconds)
        self._record(groups, report, Times(rollout=played - start, update=end - played))
        if self._where.bad >= self._config.max_bad_steps:
            what = f"{self._where.bad} batches in a row could move nothing: {why}"
            mend = "mend its cause, then --resume; or begin another run with the last checkpoint"
            raise RegreenError(what, where=str(self._job.run.path), mend=mend)

    def _gathered(self, play: Callable[[Collector], _Found]) -> _Found:
        """What the first rank gathers, on every rank; and what ends it, too."""
        found: _Found | None = None
        end: RegreenError | _Stopped | None = None
        if self._collector is None:
            while (heard := self._here.broadcast(_STILL))[0] != "ready":
                if heard[0] == "write":
                    with suppress(RegreenError):  # the first rank has the same, and says so
                        self._write()
            _, found, end = heard
        else:
            try:
                found = play(self._collector)
            except (RegreenError, _Stopped) as error:
                end = error
            self._here.broadcast(("ready", found, end))
        if end is not None:
            raise end
        assert found is not None
        return found

    def _waiting(self) -> None:
        """Called by the collector now and then."""
        if self._asked.stop:
            raise _Stopped
        if self._publisher.wanted:
            self._here.broadcast(("write", None, None))
            self._write()
        now = self._clock.monotonic()
        if self._here.size > 1 and now - self._heard > _STILL_SECONDS:
            self._heard = now
            self._here.broadcast(_STILL)

    # -- around the batches -----------------------------------------------------------------

    def _publish(self) -> None:
        self._publisher.publish(self._job.learner.model, self._where.step)

    def _write(self) -> None:
        """A worker that has just come, or whose transfer broke, waits for a folder."""
        self._publisher.write(self._job.learner.model, self._where.step)

    def _screened(self) -> tuple[str, ...]:
        """The problems that are neither too easy nor too hard, found once for the run."""
        config, problems = self._config, tuple(self._job.problems)
        if not self._where.kept:
            jobs = Plan(problems, config.group_size, config.seed).screening(config.screen)
            kept = self._gathered(lambda collector: self._kept(collector.all_of(jobs)))
            if not kept:
                what = f"screening keeps none of {len(problems)} problems: see screening.tsv"
                mend = "widen pass_rate, or begin with a better policy"
                raise UsageError(what, where=str(self._job.run.path), mend=mend)
            self._where = replace(self._where, kept=kept)
            self._save()
            if self._here.first:
                self._screenings.forget(len(problems))
        if self._log is not None and self._where.step == 0:
            kept_count = len(self._where.kept)
            told = {"screen/problems": len(problems), "screen/kept": kept_count}
            self._log.log(0, told)
        return self._where.kept

    def _kept(self, groups: Sequence[Group]) -> tuple[str, ...]:
        reasons = {group.problem: _screen(group, self._config) for group in groups}
        lines = "".join(f"{name}\t{reason or 'kept'}\n" for name, reason in reasons.items())
        self._job.run.write_text("screening.tsv", lines)
        kept = tuple(name for name, reason in reasons.items() if not reason)
        self._console.note(f"screening keeps {len(kept)} of {len(reasons)} problems")
        return kept

    def _evaluate(self) -> None:
        """Play the held-out problems by the weights as they are, if it is time."""
        config, step, known = self._config, self._where.step, self._where.evaluations
        due = step in {0, config.steps}
        due = due or (config.evaluate_every > 0 and step % config.evaluate_every == 0)
        if not self._job.held_out or not due:
            return
        if known and known[-1]["step"] == step:
            if step == 0 and self._log is not None:
                self._log_evaluation(known[-1])
            return
        # A run is judged by its first and its last evaluation; those between may be smaller.
        count = config.evaluations if 0 < step < config.steps else 0
        jobs = evaluation(self._job.held_out, count, config.seed, step)
        groups = self._gathered(lambda collector: collector.all_of(jobs))
        found = {"step": float(step), **rates(groups, config.update.advantages)}
        self._where = replace(self._where, evaluations=(*known, found))
        if self._log is not None:
            self._log_evaluation(found)
            told = f"held out after {step}: {found['resolved']:.3f} resolved"
            self._console.note(f"{told}, {found['clean_resolved']:.3f} clean")

    def _log_evaluation(self, found: Mapping[str, float]) -> None:
        assert self._log is not None
        named = {f"held_out/{name}": value for name, value in found.items() if name != "step"}
        self._log.log(self._where.step, named)

    def _save(self) -> None:
        learner, where = self._job.learner, self._where
        if self._collector is not None:
            where = replace(where, place=self._collector.submitted, pending=self._collector.pending)
        self._saved, extra = self._where, asdict(where)
        self._newest = self._checkpoints.save(where.step, learner.model, learner.optimiser, extra)
        if self._here.first:
            self._files.forget(min([*where.pending, where.place]), where.step)

    def _record(self, groups: Sequence[Group], report: Report, times: Times) -> None:
        if self._log is None or self._collector is None:
            return
        where, steps = self._where, self._config.steps
        advantages = self._config.update.advantages
        row = measured(groups, report, version=where.step - 1, config=advantages)
        row |= {f"count/{name}": value for name, value in self._collector.counts.items()}
        row |= spent(
            where.step, steps, where.seconds, report.tokens, times, resumed=self._resumed
        )  # fmt: skip
        self._collector.counts.clear()
        self._log.log(where.step, row)
        if self._progress is not None:
            self._progress.title = (
                f"step {where.step}/{steps} · reward {row['reward']:.3f}"
                f" · {row['tokens_per_second']:,.0f} tokens/s · rollouts"
            )


def _screen(group: Group, config: RlConfig) -> str:
    scored = [one for one in group.rollouts if one.fault is None]
    return pass_rate_fault(sum(one.resolved for one in scored), len(scored), config.pass_rate)
