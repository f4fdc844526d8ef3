"""The demonstration from nothing to a curve: teach, fine-tune, reinforce, measure, draw.

Every stage is the code that users run on their own data; here they are only called one after the
other. Each is kept in a folder of its own and passed over when it is there, so an interrupted
demonstration goes on where it stopped.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from regreen.core.clock import Clock, SystemClock
from regreen.core.console import Console
from regreen.model import SHAPES, load_checkpoint
from regreen.packing.rendering import Rendering
from regreen.packing.settings import PackConfig
from regreen.packing.vocabulary import record_vocabulary
from regreen.packing.writer import PackJob, pack
from regreen.store.packed_header import HEADER
from regreen.store.run import RunDirectory
from regreen.train.compute.optim import Optimiser
from regreen.train.compute.parallel import World
from regreen.train.learn.settings import FORM, LearnConfig
from regreen.train.learn.stage import LearnStage
from regreen.train.learn.teach import teach
from regreen.train.learn.vocabulary import train_vocabulary
from regreen.train.play.executor import Executor, Here
from regreen.train.play.player import Setup, build_player
from regreen.train.play.worker import WorkerSpec
from regreen.train.play.worker_pool import WorkerPool
from regreen.train.policy.learner import Learner
from regreen.train.rl.config import MAY_DIFFER
from regreen.train.rl.loop import RlJob, RlResult, train_rl
from regreen.train.sft.loop import SftJob, num_steps, train_sft
from regreen.train.sft.sources import Source, open_data
from regreen.train.start import Start
from regreen.train.stop import Asked
from regreen.train.stopwatch import Stopwatch
from regreen.train.vocabulary import TOKENIZER

__all__ = ["LearnConfig", "Learnt", "learn"]

WIDE = 0.08
"""Deviation of new weights, about the root of 1 / width. With the published 0.02, right for a width
of 2048, this model needs three times the tokens until it looks operators up."""


@dataclass(frozen=True, kw_only=True)
class Learnt:
    """What came out."""

    before: Mapping[str, float]
    """Shares of the held-out puzzles by the fine-tuned policy."""
    after: Mapping[str, float]
    """Shares of the same puzzles by the reinforced one."""
    result: RlResult
    """The run of reinforcement learning."""
    seconds: float
    """Wall seconds of all stages, in all processes that had a part in them."""

    @property
    def standard_error(self) -> float:
        """Of the share resolved afterwards: the root of p (1 - p) / n."""
        share, count = self.after["resolved"], self.after["rollouts"]
        return math.sqrt(share * (1.0 - share) / count)


def learn(
    config: LearnConfig,
    folder: Path,
    *,
    console: Console,
    asked: Asked | None = None,
    clock: Clock | None = None,
) -> Learnt | None:
    """Run the whole demonstration; None when it was asked to stop.

    Args:
        config: the settings.
        folder: everything goes below it; what an earlier call left there is gone on with.
        console: is told how it goes.
        asked: is looked at between steps.
        clock: times it.
    """
    clock, asked = clock or SystemClock(), asked or Asked()
    demo = _Demo(config, folder, console, asked, clock)
    folder.mkdir(parents=True, exist_ok=True)
    with closing(Stopwatch(folder / "seconds.json", clock)) as watch:
        for stage in (demo.taught, demo.packed, demo.tuned):
            stage()
            if asked.stop:
                return None
        result = demo.reinforced()
        if result.stopped:
            return None
        return Learnt(
            before=result.evaluations[0],
            after=result.evaluations[-1],
            result=result,
            seconds=watch.seconds,
        )


class _Demo:
    """The stages, and where each keeps what it made."""

    def __init__(
        self, config: LearnConfig, folder: Path, console: Console, asked: Asked, clock: Clock
    ) -> None:
        self._config, self._folder = config, folder
        self._console, self._asked, self._clock = console, asked, clock
        self._begun = clock.monotonic()

    def taught(self) -> None:
        """The teacher's rollouts, and the vocabulary of what it said."""
        config = self._config
        self._say(f"1/4 teach: a mediocre scripted agent works on {config.traces} puzzles")
        stage = LearnStage(config.stage.model_copy(update={"problems": config.traces}))
        with self._run("teacher", {"traces": config.traces, "seed": config.seed}) as run:
            shown = self._console.progress("rollouts", total=config.traces)
            with shown as progress:
                rows = teach(
                    stage, stage.problems(), run,
                    seed=config.seed, peeks=config.peeks, told=progress.finish, asked=self._asked,
                )  # fmt: skip
        if self._asked.stop:
            return
        share = sum(bool(row.verdict and row.verdict.resolved) for row in rows) / len(rows)
        self._say(f"    it solves {share:.3f}")
        if not self._tokenizer.exists():
            some = [row.messages for row in rows[:1000]]
            train_vocabulary(some, FORM, self._tokenizer)

    def packed(self) -> None:
        """The teacher's conversations as rows for training."""
        if (self._folder / "packed" / HEADER).exists():
            return
        settings = PackConfig.model_validate(
            {
                "capacity": 1024,
                "tool_format": FORM,
                "tokenizer": str(self._tokenizer),
                "show_tools": False,
                "drop": ("infrastructure",),
                "seed": self._config.seed,
            }
        )
        vocabulary = record_vocabulary(settings.tokenizer, [FORM], settings.end_of_text)
        job = PackJob(
            sources=(self._folder / "teacher",),
            out=self._folder / "packed",
            rendering=Rendering(config=settings, vocabulary=vocabulary),
            resume=True,
        )
        pack(job)

    def tuned(self) -> None:
        """Fine-tuning on them, from new weights."""
        config = self._config.sft.model_copy(update={"seed": self._config.seed})
        data = open_data([Source(self._folder / "packed", None)], config)
        size = data.shards[0].header.vocabulary.size
        model = SHAPES["1m"].model_copy(update={"vocab_size": size, "initializer_range": WIDE})
        self._say(f"2/4 fine-tune {num_steps(data, config)} steps from new weights")
        torch.set_num_threads(1)  # matrices as small as these are slower on two cores than on one
        with self._run("sft", config.model_dump()) as run:
            job = SftJob(
                config=config, data=data, start=Start(model, None), vocabulary=size, run=run,
                beside={TOKENIZER: self._tokenizer.read_bytes()},
            )  # fmt: skip
            shown = self._console.progress("step", total=num_steps(data, config), good="applied")
            with shown as progress:
                found = train_sft(job, asked=self._asked, progress=progress, clock=self._clock)
            self._checkpoint = found.checkpoint
        self._say(f"    loss {found.metrics['loss']:.4f}")

    def reinforced(self) -> RlResult:
        """Reinforcement learning from there."""
        config = self._config.rl.model_copy(update={"seed": self._config.seed})
        stage = self._config.stage
        self._say(f"3/4 reinforce {config.steps} batches of {config.groups} x {config.group_size}")
        model = load_checkpoint(self._checkpoint)
        setup = Setup(
            stage=LearnStage, settings={"config": stage}, checkpoint=self._checkpoint,
            tool_format=FORM, engine=config.engine, penalties=config.penalties,
            at_once=config.rollouts_at_once, show_tools=False,
            keep_every=max(1, config.steps * config.groups // max(1, config.readable)),
        )  # fmt: skip
        settings = {"stage": stage.model_dump(), **config.model_dump()}
        with self._run("rl", settings) as run:
            executor = self._executor(setup, model.config, run) if config.workers else None
            learner = Learner(
                model=model,
                optimiser=Optimiser(
                    model, config.optimiser.model_copy(update={"steps": config.steps})
                ),
                config=config.update,
                world=World(),
                temperature=config.engine.temperature,
            )
            players: Executor = executor or Here(build_player, {"setup": setup, "model": model})
            job = RlJob(
                config=config, learner=learner, executor=players, problems=stage.names("train"),
                held_out=stage.names("held_out"), run=run,
                beside={TOKENIZER: self._tokenizer.read_bytes()},
            )  # fmt: skip
            total = config.steps * config.groups * config.group_size
            try:
                with self._console.progress("rollouts", total=total) as progress:
                    return train_rl(
                        job, console=self._console, asked=self._asked, progress=progress,
                        clock=self._clock,
                    )  # fmt: skip
            finally:
                players.close()

    def _executor(self, setup: Setup, shape: Any, run: RunDirectory) -> WorkerPool:
        spec = WorkerSpec(build=build_player, settings={"setup": setup, "model": shape})
        config = self._config.rl
        return WorkerPool(spec, count=config.workers, logs=run.logs, silence=config.silence_seconds)

    def _run(self, name: str, config: Mapping[str, Any]) -> RunDirectory:
        path = self._folder / name
        return RunDirectory.create(
            path, config=config, lock={"seeds": [self._config.seed]}, may_differ=MAY_DIFFER,
            resume=(path / "lock.json").exists(),
        )  # fmt: skip

    @property
    def _tokenizer(self) -> Path:
        return self._folder / TOKENIZER

    def _say(self, text: str) -> None:
        self._console.note(f"[{self._clock.monotonic() - self._begun:5.0f} s] {text}")
