"""However a batch is cut, the weights that follow are the same."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tests.train.rl_sets import ROOT, build, policy

from regreen.model import Decoder
from regreen.train.compute.optim import OptimConfig, Optimiser
from regreen.train.play.rollouts import Job
from regreen.train.policy.learner import Learner, Report, UpdateConfig
from regreen.train.policy.losses import LossConfig, LossName
from regreen.train.trace import Group

# Plain enough that a rounding error does not become a step, as it does in Adam's first ones.
OPTIM = OptimConfig(learning_rate=1e-3, weight_decay=0.0, epsilon=1e-3, max_grad_norm=1e9)


@pytest.fixture(scope="module")
def groups() -> list[Group]:
    """Five groups of completions of several lengths, each with its experts."""
    torch.set_num_threads(1)
    player = build(told=lambda job, played: None, model=policy(), max_tokens=6, experts=True)

    async def play() -> list[Group]:
        jobs = [Job(problem=name * (1 + at), place=at, size=4, seed=1)
                for at, name in enumerate("abcde")]  # fmt: skip
        return [await player.group(job) for job in jobs]

    return asyncio.run(play())


def updated(groups: list[Group], update: UpdateConfig) -> tuple[Decoder, Report]:
    model = policy().double()
    optimiser = Optimiser(model, OPTIM)
    learner = Learner(model=model, optimiser=optimiser, config=update)
    return model, learner.update(groups)


@torch.no_grad()
def furthest(one: Decoder, other: Decoder) -> float:
    pairs = zip(one.parameters(), other.parameters(), strict=True)
    return max(float((a - b).abs().max()) for a, b in pairs)


@pytest.mark.parametrize("name", ["grpo", "dr_grpo", "dapo", "gspo", "cispo", "dppo"])
@pytest.mark.parametrize("steps", [(1, 1), (2, 2)])
def test_micro_batches_change_nothing(
    groups: list[Group], name: LossName, steps: tuple[int, int]
) -> None:
    whole = UpdateConfig(
        loss=LossConfig(name=name), epochs=steps[0], minibatches=steps[1], balance=0.0
    )
    model, report = updated(groups, whole)
    assert len(report.updates) == steps[0] * steps[1]
    assert furthest(model, policy().double()) > 1e-5
    for size in (1, 150):
        other, cut = updated(groups, whole.model_copy(update={"micro_tokens": size}))
        assert furthest(model, other) < 1e-9
        assert cut.metrics["loss_policy"] == pytest.approx(report.metrics["loss_policy"], abs=1e-9)
        assert cut.tokens == report.tokens


def test_traces_with_and_without_experts_are_replayed_apart(groups: list[Group]) -> None:
    """A micro-batch of both kinds would replay neither."""
    mixed = [_forgetful(group, group.place % 2) for group in groups]
    replay = UpdateConfig(balance=0.0, replay=True)
    model, _ = updated(mixed, replay)
    for size in (1, 150):
        other, _ = updated(mixed, replay.model_copy(update={"micro_tokens": size}))
        assert furthest(model, other) < 1e-9


def _forgetful(group: Group, odd: int) -> Group:
    if not odd:
        return group
    rollouts = tuple(
        replace(one, traces=tuple(replace(trace, experts=None) for trace in one.traces))
        for one in group.rollouts
    )
    return replace(group, rollouts=rollouts)


def test_experts_of_other_weights_are_replayed_and_seen(groups: list[Group]) -> None:
    turned = [
        replace(group, rollouts=tuple(
            replace(one, traces=tuple(
                replace(trace, experts=None if trace.experts is None else 3 - trace.experts)
                for trace in one.traces
            )) for one in group.rollouts
        )) for group in groups
    ]  # fmt: skip
    _, plain = updated(groups, UpdateConfig(balance=0.0))
    _, same = updated(groups, UpdateConfig(balance=0.0, replay=True))
    _, other = updated(turned, UpdateConfig(balance=0.0, replay=True))
    assert same.metrics["mismatch_max"] <= max(1e-4, plain.metrics["mismatch_max"])
    assert other.metrics["mismatch_max"] > 1e-4


def test_a_batch_without_a_verdict_moves_nothing(groups: list[Group]) -> None:
    silent = [
        replace(group, rollouts=tuple(replace(one, reward=None) for one in group.rollouts))
        for group in groups
    ]
    model, report = updated(silent, UpdateConfig())
    assert furthest(model, policy().double()) == 0.0
    assert report.updates == ()
    assert report.left_out == {"no verdict was reached": 20}
    assert report.dropped == {"incomplete": 5}


@pytest.mark.slow
def test_two_ranks_train_as_one_however_weights_travel(tmp_path: Path) -> None:
    script = str(Path(__file__).with_name("rl_job.py"))
    ranks = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2")
    ends = []
    for start, ways in (((), []), (ranks, ["file"]), (ranks, ["collective"])):
        folder = tmp_path / "-".join(["run", *ways])
        folder.mkdir()
        path = f"{ROOT}{os.pathsep}{ROOT / 'src'}"
        environ = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
        done = subprocess.run(
            [sys.executable, *start, script, str(folder), *ways], env=environ,
            capture_output=True, text=True, timeout=400, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-3000:]
        ends.append(torch.load(folder / f"end-{len(ways)}.pt"))
    one, two, past_disk = ends
    assert max(float((one[name] - two[name]).abs().max()) for name in one) < 1e-5
    assert all(torch.equal(two[name], past_disk[name]) for name in two)
    weights = tmp_path / "run-collective" / "run" / "weights"
    assert [folder.name for folder in weights.iterdir()] == ["version-000000"]
