"""The loop with a stage that any policy can learn: it learns, repeats itself, and goes on."""

from __future__ import annotations

import json
import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.train.rl_sets import (
    PROBLEMS,
    build,
    configured,
    directory,
    learner,
    policy,
    pooled,
    rows,
    trained,
)

from regreen.core.console import Console
from regreen.core.errors import RegreenError, UsageError
from regreen.model import Decoder, ModelConfig
from regreen.store.run import RunDirectory
from regreen.train.play.engine import EngineConfig
from regreen.train.play.executor import Here
from regreen.train.policy.advantages import PassRateConfig
from regreen.train.policy.learner import UpdateConfig
from regreen.train.policy.losses import LossConfig
from regreen.train.rl.loop import RlJob, train_rl
from regreen.train.stop import Asked

LOSSES = ("grpo", "dr_grpo", "dapo", "gspo", "cispo", "dppo")


def same(one: Decoder, other: Decoder) -> bool:
    return all(map(torch.equal, one.state_dict().values(), other.state_dict().values()))


@torch.no_grad()
def furthest(one: Decoder, other: Decoder) -> float:
    pairs = zip(one.parameters(), other.parameters(), strict=True)
    return max(float((a - b).abs().max()) for a, b in pairs)


@pytest.mark.parametrize("loss", LOSSES)
def test_every_loss_learns_from_chance(tmp_path: Path, loss: str) -> None:
    config = configured(
        loss, steps=10, groups=3, group_size=16, checkpoint_every=10,
        optimiser={"learning_rate": 3e-2, "weight_decay": 0.0},
    )  # fmt: skip
    found, _ = trained(tmp_path, config)
    rewards = [reward for _, reward in rows(tmp_path)]
    assert found.step == len(rewards) == 10
    assert not found.stopped
    assert rewards[0] < 0.65
    assert max(rewards[-3:]) > 0.9
    assert all(value <= 1e-4 for _, value in rows(tmp_path, "mismatch_max"))
    trained_on = [step for step, count in rows(tmp_path, "groups_trained") if count]
    assert [step for step, _ in rows(tmp_path, "mismatch_max")] == trained_on


def test_a_run_repeats_itself(tmp_path: Path) -> None:
    config = configured(steps=3)
    first, second = (trained(tmp_path / name, config)[1] for name in "ab")
    assert same(first, second)
    assert rows(tmp_path / "a", "loss_policy") == rows(tmp_path / "b", "loss_policy")


def test_several_minibatches_and_epochs_move_more_than_one(tmp_path: Path) -> None:
    update = UpdateConfig(balance=0.0, epochs=2, minibatches=2, micro_tokens=64)
    trained(tmp_path, configured(steps=2, update=update))
    assert [count for _, count in rows(tmp_path, "updates")] == [4.0, 4.0]


# -- ended and resumed -----------------------------------------------------------------------


@contextmanager
def child(work: Callable[[], Any]) -> Iterator[int]:
    """Work in a process that is forked, which costs no imports; it is killed at the end."""
    pid = os.fork()
    if not pid:
        with suppress(BaseException):
            work()
        os._exit(0)
    try:
        yield pid
    finally:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def count_rows(path: Path) -> int:
    file = path / "metrics.jsonl"
    return len(file.read_bytes().splitlines()) if file.exists() else 0


MOMENTS: dict[str, Callable[[Path], bool]] = {
    "before a group": lambda path: (path / "lock.json").exists(),
    "a group": lambda path: any((path / "groups").glob("00000001.npz")),
    "a batch": lambda path: count_rows(path) >= 1,
    "a group of the last batch": lambda path: any((path / "groups").glob("00000013.npz")),
    "while a checkpoint is written": lambda path: any(
        (path / "checkpoints").glob(".writing-step-000002/optimiser")
    ),
    "a checkpoint": lambda path: (path / "checkpoints" / "step-000002").exists(),
}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Decoder]:
    torch.set_num_threads(1)
    path = tmp_path_factory.mktemp("undisturbed") / "run"
    return path, trained(path, configured())[1]


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_killed_trainer_goes_on_bit_for_bit(
    tmp_path: Path, undisturbed: tuple[Path, Decoder], moment: str
) -> None:
    whole, model = undisturbed
    path, marks = tmp_path / "run", tmp_path / "marks"
    marks.mkdir()
    with child(lambda: trained(path, configured(), stage={"marks": marks})) as pid:
        deadline = time.monotonic() + 60
        while not MOMENTS[moment](path) and time.monotonic() < deadline:
            time.sleep(0.0005)
        os.kill(pid, signal.SIGKILL)
    assert MOMENTS[moment](path)
    kept = {int(file.stem) for file in (path / "groups").glob("*.npz")}
    found, resumed = trained(path, configured(), stage={"marks": marks})
    assert found.step == 4
    assert same(model, resumed)
    names = ("reward", "loss_policy", "grad_norm", "groups_trained")
    for name in names:
        assert rows(path, name) == rows(whole, name)
    times = Counter((marks / "played").read_text().splitlines())
    twice = sum(count > 1 for count in times.values())
    assert twice <= 16 * 8 - 8 * len(kept)
    assert len(times) == 4 * 4 * 8


def test_ctrl_c_is_answered_while_rollouts_are_open(
    tmp_path: Path, undisturbed: tuple[Path, Decoder]
) -> None:
    slow = {"seconds": dict.fromkeys(PROBLEMS[:3], 0.01) | {PROBLEMS[3]: 3600.0}}

    class Soon(Asked):
        """Asked once two groups are there, while another takes an hour."""

        @property  # type: ignore[override]
        def stop(self) -> bool:
            return len(list((tmp_path / "run" / "groups").glob("*.npz"))) >= 2

        @stop.setter
        def stop(self, value: bool) -> None: ...

    found, _ = trained(tmp_path / "run", configured(), asked=Soon(), stage=slow)
    assert found.stopped
    assert found.checkpoint.is_dir()
    again, model = trained(tmp_path / "run", configured())
    assert again.step == 4
    assert not again.stopped
    assert same(model, undisturbed[1])
    assert rows(tmp_path / "run") == rows(undisturbed[0])


def test_a_finished_run_is_left_as_it_is(undisturbed: tuple[Path, Decoder]) -> None:
    path, model = undisturbed
    before = (path / "metrics.jsonl").read_bytes()
    found, again = trained(path, configured())
    assert found.step == 4
    assert not found.stopped
    assert same(model, again)
    assert (path / "metrics.jsonl").read_bytes() == before


# -- evaluation and screening ----------------------------------------------------------------


def test_evaluation_repeats_its_problems_and_changes_no_weight(
    tmp_path: Path, undisturbed: tuple[Path, Decoder]
) -> None:
    marks = tmp_path / "marks"
    marks.mkdir()
    config = configured(evaluate_every=2, evaluations=3)
    held_out = ("u", "v", "w", "x")
    run = tmp_path / "run"
    found, model = trained(run, config, held_out=held_out, stage={"marks": marks})
    assert same(model, undisturbed[1])
    assert [one["step"] for one in found.evaluations] == [0.0, 2.0, 4.0]
    assert [one["rollouts"] for one in found.evaluations] == [4, 3, 4]  # all at the ends
    played = [line.split() for line in (marks / "played").read_text().splitlines()]
    seeds = Counter((name, seed) for name, seed in played if name in held_out)
    assert sorted(name for name, _ in seeds) == list(held_out)
    assert sorted(seeds.values()) == [2, 3, 3, 3]
    assert [step for step, _ in rows(run, "held_out/resolved")] == [0, 2, 4]
    again, _ = trained(run, config, held_out=held_out)
    assert again.evaluations == found.evaluations
    assert [step for step, _ in rows(run, "held_out/resolved")] == [0, 2, 4]


def test_with_held_out_problems_first_and_last_are_measured(tmp_path: Path) -> None:
    found, _ = trained(tmp_path, configured(steps=1), held_out=("u",))
    assert [one["step"] for one in found.evaluations] == [0.0, 1.0]


def test_screening_keeps_what_is_sometimes_solved(tmp_path: Path) -> None:
    config = configured(
        steps=2, screen=6, pass_rate=PassRateConfig(above=0.4), evaluate_every=1
    )  # fmt: skip
    marks = tmp_path / "marks"
    marks.mkdir()
    run = tmp_path / "run"
    stage = {"marks": marks, "faults": {"b": "none", "c": "task"}}
    trained(run, config, stage=stage, held_out=("u",))
    lines = (run / "screening.tsv").read_text().splitlines()
    told = dict(line.split("\t") for line in lines)
    assert list(told) == list(PROBLEMS)
    assert told["c"] == "0 tries are fewer than 4"
    kept = {name for name, reason in told.items() if reason == "kept"}
    assert 0 < len(kept) < 5
    played = [line.split()[0] for line in (marks / "played").read_text().splitlines()]
    behind = [name for name in played[len(PROBLEMS) * 6 :] if name != "u"]
    assert set(behind) <= kept
    assert rows(run, "screen/kept") == [(0, len(kept))]
    assert not list((run / "groups" / "screening").glob("*.npz"))


def test_a_kill_after_the_screening_repeats_nothing_of_it(tmp_path: Path) -> None:
    config = configured(steps=1, screen=6)
    marks, run = tmp_path / "marks", tmp_path / "run"
    marks.mkdir()
    stage = {"marks": marks, "seconds": {"f": 3600.0}}
    with child(lambda: trained(run, config, stage=stage, held_out=("u",))) as pid:
        deadline = time.monotonic() + 60
        there = run / "groups" / "screening"
        while len(list(there.glob("0*.npz"))) < 5 and time.monotonic() < deadline:
            time.sleep(0.001)
        os.kill(pid, signal.SIGKILL)
    trained(run, config, stage={"marks": marks}, held_out=("u",))
    played = Counter(line for line in (marks / "played").read_text().splitlines())
    assert all(count == 1 for line, count in played.items() if line[0] not in "fu")
    assert [step for step, _ in rows(run, "screen/kept")] == [0]
    assert [step for step, _ in rows(run, "held_out/resolved")] == [0, 1]


def test_screening_that_keeps_nothing_says_so(tmp_path: Path) -> None:
    config = configured(steps=2, screen=6)
    with pytest.raises(UsageError, match="screening keeps none of 6 problems"):
        trained(tmp_path, config, stage={"faults": dict.fromkeys(PROBLEMS, "task")})


def test_a_screening_of_too_few_tries_is_refused() -> None:
    with pytest.raises(ValueError, match="min_tries"):
        configured(screen=2)


# -- what cannot go on -----------------------------------------------------------------------


def spoilt(path: Path, config: Any, *, until: int | None = None) -> None:
    """A run in which the gradients of one parameter are no numbers."""
    model = policy()
    calls = [0]

    def spoil(gradient: torch.Tensor) -> torch.Tensor:
        calls[0] += 1
        bad = until is None or calls[0] <= until
        return gradient * float("nan") if bad else gradient

    model.norm.weight.register_hook(spoil)
    executor = Here(build, {"model": model})
    with directory(path, config) as run:
        job = RlJob(
            config=config, learner=learner(config, model), executor=executor, problems=PROBLEMS,
            held_out=(), run=run, beside={},
        )  # fmt: skip
        try:
            train_rl(job, console=Console(quiet=True))
        finally:
            executor.close()


def test_gradients_that_are_no_numbers_are_refused_and_counted(tmp_path: Path) -> None:
    spoilt(tmp_path, configured(steps=4, max_bad_steps=3), until=2)
    assert [value for _, value in rows(tmp_path, "updates_refused")] == [1.0, 1.0, 0.0, 0.0]
    assert [value for _, value in rows(tmp_path, "updates")] == [0.0, 0.0, 1.0, 1.0]


def test_a_run_of_refused_gradients_ends_and_goes_on(tmp_path: Path) -> None:
    config = configured(steps=4, max_bad_steps=2, checkpoint_every=1)
    with pytest.raises(RegreenError, match=r"2 batches in a row .* norm.weight is not finite"):
        spoilt(tmp_path, config)
    assert (tmp_path / "checkpoints" / "step-000001").is_dir()
    found, _ = trained(tmp_path, config)
    assert found.step == 4
    assert [step for step, _ in rows(tmp_path)] == [1, 2, 3, 4]


def test_a_run_without_any_verdict_ends_and_names_the_cause(tmp_path: Path) -> None:
    config = configured(steps=9, max_bad_steps=2, group_tries=1)
    stage = {"faults": dict.fromkeys(PROBLEMS, "exception")}
    with pytest.raises(RegreenError, match=r"task fault: ZeroDivisionError .*the stage raised"):
        trained(tmp_path, config, stage=stage)
    assert [value for _, value in rows(tmp_path, "left_out/task_fault")] == [32.0] * 2
    assert [value for _, value in rows(tmp_path, "faults")] == [1.0, 1.0]


def test_router_replay_makes_no_mismatch(tmp_path: Path) -> None:
    engine = EngineConfig(max_context=256, max_tokens=1, patience=None, experts=True)
    for replay in (False, True):
        update = UpdateConfig(loss=LossConfig(), balance=0.0, replay=replay)
        config = configured(steps=2, engine=engine, update=update)
        trained(tmp_path / str(replay), config)
    without, with_it = (rows(tmp_path / str(one), "mismatch_max") for one in (False, True))
    assert all(value <= 1e-4 for _, value in without)
    assert all(value <= 1e-4 for _, value in with_it)


# -- workers ---------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_worker_plays_as_the_trainer_itself(
    tmp_path: Path, undisturbed: tuple[Path, Decoder]
) -> None:
    path = tmp_path / "run"
    config = configured(workers=1)
    found, model = trained(path, config, pool=pooled(1))
    assert found.step == 4
    assert rows(path) == rows(undisturbed[0])
    assert furthest(model, undisturbed[1]) < 1e-5
    assert sorted(p.name for p in (path / "weights").iterdir())[-1] == "version-000004"
    ModelConfig.load(path / "weights" / "version-000004")


@pytest.mark.slow
@pytest.mark.parametrize("order", ["planned", "finished"])
@pytest.mark.parametrize("staleness", [1, 2])
def test_staleness_is_bounded_and_learns(tmp_path: Path, order: str, staleness: int) -> None:
    config = configured(
        steps=16, groups=4, group_size=16, workers=2, staleness=staleness, order=order,
        checkpoint_every=16, optimiser={"learning_rate": 2e-2, "weight_decay": 0.0},
    )  # fmt: skip
    stage = {"seconds": {"a": 0.05, "b": 0.1}}
    pool = pooled(2, in_flight=order == "finished", stage=stage)
    trained(tmp_path, config, pool=pool)
    assert max(value for _, value in rows(tmp_path)[-4:]) > 0.85
    ages = [value for _, value in rows(tmp_path, "staleness_max")]
    assert max(ages) <= staleness
    assert max(ages) > 0


@pytest.mark.slow
def test_planned_staleness_gives_the_same_curve_twice(tmp_path: Path) -> None:
    config = configured(steps=6, workers=1, staleness=2)
    first, second = (
        trained(tmp_path / name, config, pool=pooled(1, stage={"seconds": {"a": wait}}))[1]
        for name, wait in (("one", 0.0), ("other", 0.02))
    )
    assert same(first, second)
    for name in ("reward", "loss_policy", "staleness_max"):
        assert rows(tmp_path / "one", name) == rows(tmp_path / "other", name)


def test_metrics_are_json_and_name_the_completions(undisturbed: tuple[Path, Decoder]) -> None:
    lines = (undisturbed[0] / "metrics.jsonl").read_text().splitlines()
    first = json.loads(lines[0])
    assert first["count/resolved"] + first["count/failed"] == first["rollouts"] == 32
    assert {"eta_seconds", "tokens_per_second", "memory_bytes", "share_rollout"} <= set(first)
    assert len(list(RunDirectory.open(undisturbed[0]).metrics())) == 4
