"""A stage whose reward is a property of the sampled ids, and a policy small enough to learn it."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from regreen.agents.record import Conversation
from regreen.core.clock import Clock
from regreen.core.console import Console
from regreen.core.errors import BoundaryError, InfrastructureError, ModelError, TaskError
from regreen.core.progress import Progress
from regreen.inference.engine.lockstep import LockStep
from regreen.inference.engine.token_model import TokenModel
from regreen.model import SHAPES, Decoder, ModelConfig
from regreen.store.run import RunDirectory
from regreen.templates import ByteTokenizer, tool_format
from regreen.templates.tokens.renderer import Renderer
from regreen.train.compute.optim import OptimConfig, Optimiser
from regreen.train.play.engine import EngineConfig
from regreen.train.play.executor import Executor, Here
from regreen.train.play.rollouts import Job, Outcome, Player
from regreen.train.play.worker import WorkerSpec
from regreen.train.play.worker_pool import WorkerPool
from regreen.train.policy.learner import Learner, UpdateConfig
from regreen.train.policy.losses import LossConfig
from regreen.train.rl.config import MAY_DIFFER, RlConfig
from regreen.train.rl.loop import RlJob, RlResult, train_rl
from regreen.train.stop import Asked
from regreen.train.trace import Played

FORM = tool_format("qwen3_coder")
VOCABULARY = ByteTokenizer(FORM.chat.specials)
ROOT = Path(__file__).parents[2]
PROBLEMS = ("a", "b", "c", "d", "e", "f")


def shape(**changes: Any) -> ModelConfig:
    small = {
        "vocab_size": VOCABULARY.size, "hidden_size": 32, "num_hidden_layers": 2,
        "full_attention_interval": 2, "num_experts": 4, "num_experts_per_tok": 2,
        "moe_intermediate_size": 16, "shared_expert_intermediate_size": 16,
        "layer_types": ("linear_attention", "full_attention"),
    }  # fmt: skip
    return SHAPES["1m"].model_copy(update={**small, **changes})


def policy(seed: int = 3, **changes: Any) -> Decoder:
    torch.manual_seed(seed)
    return Decoder(shape(**changes))


class Bits:
    """One completion; worth 1 when its first id is even. What is named in ``faults`` goes wrong.

    Args:
        faults: kind of accident by problem; see ``accident``.
        share: how likely an accident is.
        seconds: what a rollout takes beside the sampling, by problem.
        marks: a folder in which each rollout leaves a line when it begins.
    """

    name = "bits"

    def __init__(
        self,
        faults: Mapping[str, str] | None = None,
        *,
        share: float = 1.0,
        seconds: Mapping[str, float] | None = None,
        marks: Path | None = None,
    ) -> None:
        self.faults, self.share = dict(faults or {}), share
        self.seconds, self.marks = dict(seconds or {}), marks

    async def open(self) -> None:
        if "open" in self.faults:
            raise InfrastructureError("no boxes here", mend="buy some")

    async def close(self) -> None:
        pass

    def problems(self) -> Sequence[str]:
        return PROBLEMS

    async def play(self, problem: str, seed: int, model: TokenModel, log: Conversation) -> Outcome:
        if self.marks is not None:
            with (self.marks / "played").open("a") as file:
                file.write(f"{problem} {seed}\n")
        kind = self.faults.get(problem, "")
        if random.Random(seed).random() >= self.share:
            kind = ""
        if kind == "no sample":
            return Outcome(reward=1.0, resolved=True, finished=True)
        text = problem * 600 if kind == "overflow" else problem
        log.add({"role": "user", "content": text})
        found = await model.complete(log.messages, ())
        log.answer(found)
        await asyncio.sleep(self.seconds.get(problem, 0.0))
        assert found.completion_ids is not None
        good = found.completion_ids[0] % 2 == 0
        reward = accident(kind, self.marks, problem)
        return Outcome(
            reward=float(good) if reward is ... else reward, resolved=good,
            finished=kind != "unfinished", exit_status="submitted",
        )  # fmt: skip


def accident(kind: str, marks: Path | None, problem: str) -> Any:
    """What a broken grader returns or raises; an ellipsis when nothing is wrong."""
    errors: dict[str, type[BoundaryError]] = {
        "infrastructure": InfrastructureError, "model": ModelError, "task": TaskError,
    }  # fmt: skip
    if kind in errors:
        raise errors[kind](f"{kind} failed")
    if kind == "exception":
        raise ZeroDivisionError("one by none")
    if kind == "system":
        raise ConnectionResetError("the other end is gone")
    if kind == "once" and marks is not None and not (marks / f"{problem}.once").exists():
        (marks / f"{problem}.once").touch()
        raise InfrastructureError("the first time")
    if kind == "kill" and marks is not None and not (marks / f"{problem}.killed").exists():
        (marks / f"{problem}.killed").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    if kind == "stop" and marks is not None and not (marks / f"{problem}.stopped").exists():
        (marks / f"{problem}.stopped").touch()
        os.kill(os.getpid(), signal.SIGSTOP)
    if kind == "die":
        os._exit(7)
    broken: dict[str, Any] = {
        "nan": float("nan"), "inf": float("inf"), "none": None, "huge": 1e9, "text": "good",
    }  # fmt: skip
    return broken.get(kind, ...)


def build(
    *,
    told: Callable[[Job, Played], None],
    stage: Mapping[str, Any] | None = None,
    model: ModelConfig | Decoder,
    max_tokens: int = 1,
    experts: bool = False,
    patience: float | None = None,
    keep: bool = False,
) -> Player:
    if stage and stage.get("build"):
        raise TaskError("this stage cannot be made", mend="make another")
    engine = LockStep(
        model if isinstance(model, Decoder) else Decoder(model),
        max_context=256, patience=patience, experts=experts, decode=VOCABULARY.decode,
    )  # fmt: skip
    renderer = Renderer(FORM, VOCABULARY)
    return Player(
        stage=Bits(**(stage or {})), engine=engine, renderer=renderer, max_tokens=max_tokens,
        told=told, keep=lambda job: keep,
    )  # fmt: skip


def configured(loss: str = "dapo", **changes: Any) -> RlConfig:
    settings: dict[str, Any] = {
        "steps": 4, "groups": 4, "group_size": 8, "workers": 0, "checkpoint_every": 2,
        "engine": EngineConfig(max_context=256, max_tokens=1, patience=None),
        "update": UpdateConfig(loss=LossConfig.model_validate({"name": loss}), balance=0.0),
        "optimiser": OptimConfig(learning_rate=1e-2, weight_decay=0.0),
    }  # fmt: skip
    return RlConfig.model_validate({**settings, **changes})


def learner(config: RlConfig, model: Decoder) -> Learner:
    return Learner(
        model=model, optimiser=Optimiser(model, config.optimiser), config=config.update,
        temperature=config.engine.temperature,
    )  # fmt: skip


def directory(path: Path, config: RlConfig) -> RunDirectory:
    given = config.model_dump(exclude_none=True)
    resume = (path / "lock.json").exists()
    return RunDirectory.create(path, config=given, lock={}, resume=resume, may_differ=MAY_DIFFER)


def trained(
    path: Path,
    config: RlConfig,
    *,
    problems: Sequence[str] = PROBLEMS,
    held_out: Sequence[str] = (),
    asked: Asked | None = None,
    pool: Callable[[Path], Executor] | None = None,
    model: Decoder | None = None,
    progress: Progress | None = None,
    clock: Clock | None = None,
    **settings: Any,
) -> tuple[RlResult, Decoder]:
    """A run, or what is left of it, to its end; by ``Here`` unless a pool is given."""
    model = model or policy()
    executor: Executor
    if pool is None:
        executor = Here(build, {"model": model, "experts": config.engine.experts, **settings})
    else:
        executor = pool(path)
    with directory(path, config) as run:
        job = RlJob(
            config=config, learner=learner(config, model), executor=executor, problems=problems,
            held_out=held_out, run=run, beside={},
        )  # fmt: skip
        try:
            console = Console(quiet=True)
            return train_rl(
                job, console=console, asked=asked, progress=progress, clock=clock
            ), model  # fmt: skip
        finally:
            executor.close()


def find_tests() -> None:
    """Let worker processes import this module, and the package beside it."""
    os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), str(ROOT / "src")])


def pooled(
    count: int = 1,
    *,
    in_flight: bool = False,
    silence: float = 60.0,
    kind: type[WorkerPool] = WorkerPool,
    **settings: Any,
) -> Callable[[Path], WorkerPool]:
    """What makes a pool of workers of the toy."""
    find_tests()
    spec = WorkerSpec(build=build, settings={"model": shape(), **settings}, in_flight=in_flight)
    return lambda path: kind(spec, count=count, logs=path / "logs", silence=silence)


def rows(path: Path, name: str = "reward") -> list[tuple[int, float]]:
    """A number of every batch, in the order of the file."""
    with_it = (row for row in RunDirectory.open(path).metrics() if name in row)
    return [(row["step"], row[name]) for row in with_it]
