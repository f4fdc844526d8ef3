"""``regreen train rl``: a policy, tasks, and a run in which it gets better at them."""

from __future__ import annotations

import os
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from regreen.cli.shared import Output, check_run, home, interrupted
from regreen.cli.train_measure import check_measure
from regreen.cli.train_run import run_of_all
from regreen.core.config import resolve_config
from regreen.core.console import Console
from regreen.core.errors import UsageError

if TYPE_CHECKING:
    from regreen.store.run import RunDirectory
    from regreen.train.compute.parallel import World
    from regreen.train.play.executor import Executor
    from regreen.train.play.player import Setup
    from regreen.train.rl.config import RlConfig
    from regreen.train.rl.loop import RlResult
    from regreen.train.start import Start

__all__ = ["rl"]


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class RlFlags(Output):
    """Flags of the verb."""

    stage: Literal["agent", "code"] = "agent"
    """``agent``: several turns with tools in a box, judged at the end. ``code``: one answer, judged
    by hidden tests."""
    agent: str = "react"
    """Who works, for the stage agent: react, mini, or package.module:Class."""
    turns: int | None = None
    """Completions of a rollout, for the stage agent (default 50)."""
    held_out: Path | None = None
    """Tasks or problems to evaluate on."""
    guard: bool = True
    """Judge every call before it runs, and read every rollout afterwards."""
    tool_format: str = "qwen3_coder"
    """Format of the calls."""
    steps: int | None = None
    """Batches to train on (default 100)."""
    groups: int | None = None
    """Tasks of a batch (default 64)."""
    group_size: int | None = None
    """Rollouts of a task (default 16)."""
    staleness: int | None = None
    """Updates by which the weights that sample may be behind (default 0: alternate)."""
    loss: str | None = None
    """grpo, dr_grpo, dapo, gspo, cispo or dppo (default dapo)."""
    learning_rate: Annotated[float | None, Parameter(alias="--lr")] = None
    """Learning rate (default 1e-6)."""
    temperature: float | None = None
    """Of the sampling (default 1)."""
    max_context: int | None = None
    """Tokens of a rollout (default 32768)."""
    max_tokens: int | None = None
    """Tokens of a completion (default 4096)."""
    screen: int | None = None
    """Rollouts of each task before training, to leave out what is always or never solved."""
    evaluate_every: int | None = None
    """Batches between evaluations (default 0: only before the first and after the last)."""
    checkpoint_every: int | None = None
    """Batches between checkpoints (default 10)."""
    track: Annotated[tuple[str, ...], Parameter(negative="")] = ()
    """Dashboard beside metrics.jsonl: tensorboard, trackio or wandb."""
    workers: Annotated[int | None, Parameter(alias="-j")] = None
    """Processes that play (default 1); 0 plays in the trainer's own, which must then be the
    only trainer (no torchrun of several)."""
    engine: Annotated[tuple[str, ...], Parameter(negative="")] = ()
    """Address of a vLLM or SGLang server that samples, once for each server; each gets a worker,
    which gives it new weights by their path, so RUN must be on a disk that the server sees."""
    engine_device: str | None = None
    """cpu, cuda or cuda:N: where workers of this machine sample (default cpu)."""
    listen: str | None = None
    """HOST:PORT at which workers of other machines connect (see regreen train worker); the secret
    is in REGREEN_WORKER_KEY."""
    weights: Literal["file", "collective"] | None = None
    """How new weights reach workers: by a folder (default), or past the disk, all at once."""
    device: str | None = None
    """cpu or cuda (default cuda where there is one)."""
    seed: int | None = None
    """Decides the order of tasks and every draw (default 0)."""
    config: Annotated[Path | None, Parameter(alias="-c")] = None
    """TOML file with the table [train.rl]; REGREEN_* variables and flags win over it."""
    resume: Annotated[bool, Parameter(negative="")] = False
    """Go on with an interrupted run of the same settings and tasks."""
    dry_run: Annotated[bool, Parameter(negative="")] = False
    """Check everything, say what the run would need, then stop."""
    measure: Annotated[bool, Parameter(negative="")] = False
    """With --dry-run: train and sample a little, to say how long the run would take."""

    def settings(self) -> RlConfig:
        """The settings, checked.

        Raises:
            UsageError: one that cannot be used.
            PrerequisiteError: a dashboard is not installed.
        """
        from regreen.train.rl.config import RlConfig
        from regreen.train.tracking import check_trackers

        same = (
            "steps", "groups", "group_size", "staleness", "screen", "evaluate_every",
            "checkpoint_every", "workers", "weights", "seed",
        )  # fmt: skip
        given: dict[str, Any] = {name: getattr(self, name) for name in same}
        given["track"] = self.track or None
        given["update"] = {"loss": {"name": self.loss}}
        given["optimiser"] = {"learning_rate": self.learning_rate}
        names = ("temperature", "max_context", "max_tokens")
        given["engine"] = {name: getattr(self, name) for name in names}
        given["engine"] |= {"urls": self.engine or None, "device": self.engine_device}
        found = resolve_config(
            RlConfig, file=self.config, table="train.rl", environ=dict(os.environ), flags=given
        )
        check_trackers(found.track)
        return found


def rl(tasks: Path, /, *, model: str, run: Path, flags: RlFlags | None = None) -> int:
    """Improve a model by its own rollouts, rewarded by execution.

    Every task is played several times; what did better than the others of its group is made more
    likely, token by token, exactly as it was sampled. Failures of boxes and machines are never a
    reward. Numbers go to RUN/metrics.jsonl, the model to RUN/checkpoints. An interrupted
    or killed run goes on with --resume, with the identical next batch. Under torchrun, weights are
    cut over the processes.

    For example:

        regreen train rl tasks.jsonl --model runs/sft --run runs/rl --groups 8 --group-size 8
        regreen train rl problems.jsonl --stage code --model runs/sft --run runs/code
        regreen train rl tasks.jsonl --model runs/sft --run runs/rl --staleness 1 -j 4 --dry-run
        regreen train rl tasks.jsonl --model runs/sft --run runs/rl --engine http://10.0.0.2:8000

    Parameters
    ----------
    tasks
        File of tasks, or of problems for the stage code.
    model
        Folder of a checkpoint with its tokenizer, or a run with checkpoints.
    run
        Directory of the run.
    """
    from regreen.train.compute.parallel import world
    from regreen.train.start import read_start

    flags = flags or RlFlags()
    check_measure(measure=flags.measure, dry_run=flags.dry_run)
    config, start = flags.settings(), read_start(model)
    if start.folder is None:
        what = "new weights know no format to be rewarded in"
        raise UsageError(what, where=f"--model {model}", mend="regreen train sft makes a beginning")
    check_run(run)
    with world(device=flags.device) as here:
        console = flags.console() if here.first else Console(quiet=True)
        return _Order(flags, config, start, tasks, here, console).carry_out(model, run)


@dataclass(frozen=True)
class _Order:
    """What is to be done, and by whom."""

    flags: RlFlags
    config: RlConfig
    start: Start
    tasks: Path
    here: World
    console: Console

    def carry_out(self, model: str, run: Path) -> int:
        """Check, then train."""
        self._check()
        setup = self._setup()
        problems, held_out = self._names()
        if self.flags.dry_run:
            return self._tell(len(problems), len(held_out))
        found = self._train(setup, problems, held_out, model, run)
        if not self.here.first:
            return 0
        if found.stopped:
            self.console.note(f"stopped after batch {found.step} of {found.steps}")
            interrupted(self.console, resume=self.flags.resume)
        last = dict(found.evaluations[-1]) if found.evaluations else {}
        if self.flags.json:
            told = {"checkpoint": str(found.checkpoint), "steps": found.step, "held_out": last}
            self.console.json({**told, "seconds": found.seconds})
        else:
            self.console.result(f"{found.step} batches in {found.seconds:.0f} s")
            self.console.result(str(found.checkpoint))
        return 0

    def _check(self) -> None:
        """Refuse what needs a worker, before anything is written."""
        import torch

        from regreen.train.play.worker_link import worker_key

        device, local = self.config.engine.device, self.config.workers > 0
        if device != "cpu" and local and not torch.cuda.is_available():
            what = f"there is no {device} on this machine, on which {self.config.workers} sample"
            mend = "leave it out, or give -j 0 and --listen for workers of other machines"
            raise UsageError(what, where="engine.device", mend=mend)
        if self.flags.listen is not None:
            worker_key()
        elif self.config.workers == 0:
            if device != "cpu":
                what = "the trainer's own process samples where it trains"
                raise UsageError(what, where="engine.device", mend="leave it out, or give -j 1")
            if self.config.weights == "collective":
                what = "alone, this process samples by the weights that it trains: none are sent"
                raise UsageError(what, where="--weights", mend="give -j 1 or more, or --listen")
            if self.config.staleness:
                what = "alone, this process samples or trains, so nothing can be stale"
                raise UsageError(what, where="--staleness", mend="give -j 1 or more, or --listen")
            if self.here.size > 1:
                what = "several trainers need a worker: their weights are cut"
                raise UsageError(what, where="--workers 0", mend="give -j 1 or more")

    def _train(
        self, setup: Setup, problems: list[str], held_out: list[str], model: str, run: Path
    ) -> RlResult:
        from regreen.train.compute.optim import Optimiser
        from regreen.train.compute.parallel import shard
        from regreen.train.policy.learner import Learner
        from regreen.train.rl.loop import RlJob, train_rl
        from regreen.train.start import make_model
        from regreen.train.stop import asked_to_stop

        config, folder = self.config, self.start.folder
        assert folder is not None
        policy = shard(make_model(self.start, self.here.device), self.here)
        learner = Learner(
            model=policy, optimiser=Optimiser(policy, config.optimiser), config=config.update,
            world=self.here, temperature=config.engine.temperature,
        )  # fmt: skip
        directory = self._directory(model, run)
        executor = self._executor(setup, learner, directory) if self.here.first else None
        job = RlJob(
            config=config, learner=learner, executor=executor, problems=problems,
            held_out=held_out, run=directory, beside=_beside(folder),
        )  # fmt: skip
        total = config.steps * config.groups * config.group_size
        shown = self.console.progress("rollouts", total=total) if self.here.first else nullcontext()
        try:
            with asked_to_stop() as asked, shown as progress:
                return train_rl(job, console=self.console, asked=asked, progress=progress)
        finally:
            if executor is not None:
                executor.close()
            directory.close()

    def _executor(self, setup: Setup, learner: Any, run: RunDirectory) -> Executor:
        from regreen.train.play.executor import Here
        from regreen.train.play.player import build_player
        from regreen.train.play.worker import WorkerSpec
        from regreen.train.play.worker_link import worker_key
        from regreen.train.play.worker_pool import WorkerPool

        if self.config.workers == 0 and self.flags.listen is None:
            return Here(build_player, {"setup": setup, "model": learner.model})
        spec = WorkerSpec(
            build=build_player,
            settings={"setup": setup, "model": learner.model.config},
            in_flight=self.config.order == "finished",
        )
        pool = WorkerPool(
            spec, count=self.config.workers, urls=self.config.engine.urls, logs=run.logs,
            silence=self.config.silence_seconds,
            address=self.flags.listen or "127.0.0.1:0",
            key=worker_key() if self.flags.listen else None,
        )  # fmt: skip
        if self.flags.listen:
            self.console.note(f"workers connect to {pool.address}: regreen train worker")
        return pool

    def _setup(self) -> Setup:
        from regreen.templates import tool_format
        from regreen.train.play.agent_stage import AgentStage
        from regreen.train.play.code_play import CodePlay
        from regreen.train.play.player import Setup
        from regreen.train.vocabulary import checkpoint_tokenizer

        assert self.start.folder is not None
        checkpoint_tokenizer(self.start.folder)
        config = self.config
        batches = config.steps * config.groups
        return Setup(
            stage=AgentStage if self.flags.stage == "agent" else CodePlay,
            settings={"config": self._stage(self.tasks, self.flags.held_out)},
            checkpoint=self.start.folder,
            tool_format=tool_format(self.flags.tool_format).name,
            engine=config.engine,
            penalties=config.penalties,
            at_once=config.rollouts_at_once,
            keep_every=max(1, batches // config.readable) if config.readable else 0,
        )

    def _stage(self, *files: Path | None) -> Any:
        """Settings of the stage over all files."""
        from regreen.agents import Limits
        from regreen.train.play.agent_stage import AgentStageConfig
        from regreen.train.play.code_play import CodePlayConfig

        paths = tuple(path for path in files if path is not None)
        if self.flags.stage == "code":
            return CodePlayConfig(problems=paths)
        limits = Limits(turns=self.flags.turns or 50, seconds=900.0)
        return AgentStageConfig(
            tasks=paths, store=home() / "store", agent=self.flags.agent, guard=self.flags.guard,
            limits=limits,
        )  # fmt: skip

    def _names(self) -> tuple[list[str], list[str]]:
        """Names to train on, and names to evaluate on; the two share none."""
        found = [list(self._of(path).problems()) for path in (self.tasks, self.flags.held_out)
                 if path is not None]  # fmt: skip
        problems, held_out = found[0], found[1] if len(found) > 1 else []
        if both := sorted(set(problems) & set(held_out)):
            what = f"{len(both)} tasks are in both files, {both[0]} for example"
            mend = "take them out of one; what is trained on measures nothing"
            raise UsageError(what, where=f"--held-out {self.flags.held_out}", mend=mend)
        return problems, held_out

    def _of(self, path: Path) -> Any:
        from regreen.train.play.agent_stage import AgentStage
        from regreen.train.play.code_play import CodePlay

        return (AgentStage if self.flags.stage == "agent" else CodePlay)(self._stage(path))

    def _directory(self, model: str, run: Path) -> RunDirectory:
        from regreen.store.packed_shard import digest_of
        from regreen.train.rl.config import MAY_DIFFER

        flags, files = self.flags, (self.tasks, self.flags.held_out)
        values = {
            "model": model, "tasks": str(self.tasks), "stage": flags.stage, "agent": flags.agent,
            "guard": flags.guard, "tool_format": flags.tool_format, "turns": flags.turns or 50,
            "held_out": str(flags.held_out or ""), **self.config.model_dump(exclude_none=True),
        }  # fmt: skip
        return run_of_all(
            self.here, run, config=values, seed=self.config.seed, resume=flags.resume,
            digest=lambda: "+".join(digest_of(path) for path in files if path is not None),
            may_differ=MAY_DIFFER,
        )  # fmt: skip

    def _tell(self, problems: int, held_out: int) -> int:
        """What the run would be, hold and take."""
        from regreen.cli.train_rl_plan import longest_answers, longest_dialogues, tell_plan

        flags, start, engine = self.flags, self.start, self.config.engine
        assert start.config is not None
        assert start.folder is not None
        if flags.stage == "code":
            longest = longest_answers(self.tasks, start.folder, flags.tool_format, engine)
        else:
            longest = longest_dialogues(flags.turns or 50, engine)
        tell_plan(
            self.config, start.config, longest, problems=problems, held_out=held_out,
            here=self.here, console=self.console, json=flags.json, measure=flags.measure,
        )  # fmt: skip
        self.console.note("the settings and the tasks are fine; nothing was written")
        return 0


def _beside(folder: Path) -> dict[str, bytes]:
    """The vocabulary, as it stands beside the checkpoint that training begins with."""
    from regreen.train.vocabulary import TOKENIZER, VOCABULARY

    files = [folder / name for name in (TOKENIZER, VOCABULARY)]
    return {path.name: path.read_bytes() for path in files if path.is_file()}
