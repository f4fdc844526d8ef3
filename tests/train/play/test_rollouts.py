"""Random accidents through player, collector and learner; and what a rollout leaves behind."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.train.rl_sets import VOCABULARY, build, configured, learner, policy

from regreen.core.evaluated import evaluated_after
from regreen.core.trajectory import Trajectory
from regreen.model import Decoder, save_checkpoint
from regreen.train.play.executor import Here
from regreen.train.play.rollouts import Job, Player, rollout_id, rollout_seed
from regreen.train.rl.collector import Collector
from regreen.train.rl.group_file import GroupFolder
from regreen.train.rl.metrics import measured
from regreen.train.rl.plan import Plan
from regreen.train.trace import Group, Played

FAULTS = (
    "", "infrastructure", "model", "task", "exception", "system", "nan", "inf", "none", "huge",
    "text", "no sample", "overflow", "unfinished",
)  # fmt: skip
NAMES = "abcd"


@pytest.fixture(scope="module")
def model() -> Decoder:
    return policy()


def player(model: Decoder, **settings: Any) -> Player:
    return build(told=lambda job, played: None, model=model, **settings)


def stop_id() -> int:
    return VOCABULARY.specials["<|im_end|>"]


@settings(max_examples=8)
@given(
    kinds=st.lists(st.sampled_from(FAULTS), min_size=4, max_size=4),
    share=st.sampled_from([0.2, 0.5, 1.0]),
    seed=st.integers(0, 5),
)
def test_no_accident_reaches_the_loss(
    model: Decoder, kinds: list[str], share: float, seed: int
) -> None:
    config = configured(groups=4, group_size=4, seed=seed)
    origin = {name: value.clone() for name, value in model.state_dict().items()}
    records: list[Trajectory] = []
    told: list[str] = []
    stage = {"faults": dict(zip(NAMES, kinds, strict=True)), "share": share}
    executor = Here(build, {"model": model, "stage": stage, "keep": True})
    with TemporaryDirectory() as folder:
        files = GroupFolder(Path(folder))
        collector = Collector(
            executor, config, {"train": files}, keep=records.append, note=told.append
        )
        plan = Plan(tuple(NAMES), config.group_size, config.seed)
        try:
            groups = collector.batch(plan, 0)
        finally:
            executor.close()
        kept = [files.read(place) for place in range(4)]
    report = learner(config, model).update(groups)
    row = measured(groups, report, version=0, config=config.update.advantages)

    assert [group.place for group in groups] == [0, 1, 2, 3]
    assert sorted(group.problem for group in groups) == list(NAMES)
    assert row["rollouts"] == len(records) == 16
    for group, again in zip(groups, kept, strict=True):
        assert again is not None
        assert [one.reward for one in again.rollouts] == pytest.approx(
            [one.reward for one in group.rollouts], nan_ok=True
        )
        assert [one.fault for one in again.rollouts] == [one.fault for one in group.rollouts]
        assert [one.trajectory for one in again.rollouts] == [
            one.trajectory for one in group.rollouts
        ]
    # what is not in the loss has a reason, and no group is scored by halves
    faulty = {"nan", "inf", "none", "huge"}
    hit = Counter(
        group.problem
        for group in groups
        for one in group.rollouts
        if one.fault is not None or one.reward is None or abs(one.reward) > 10
        or one.reward != one.reward or not one.traces
    )  # fmt: skip
    assert sum(report.left_out.values()) == sum(hit.values())
    assert report.dropped.get("incomplete", 0) == len(hit)
    assert row["groups_trained"] + sum(report.dropped.values()) == 4
    if not any(kinds):
        assert not hit
    if share == 1.0:
        broken = {name for name, kind in zip(NAMES, kinds, strict=True)
                  if kind not in {"", "unfinished"}}  # fmt: skip
        assert set(hit) == broken
    for group in groups:
        for one in group.rollouts:
            kind = stage["faults"][group.problem]  # type: ignore[index]
            assert one.fault is None or kind not in faulty | {"", "unfinished", "no sample"}
            assert one.fault is None or not one.traces
    assert -10.0 <= row["reward"] <= 10.0
    assert all(np.isfinite(value) for value in row.values())
    for name, value in model.state_dict().items():
        assert bool(value.isfinite().all())
        value.copy_(origin[name])


def test_ids_and_seeds_of_rollouts_are_told_apart() -> None:
    jobs = [
        Job(problem=name, place=place, size=4, seed=seed, purpose=purpose)
        for name in ("a", "b") for place in range(3) for seed in (0, 1)
        for purpose in ("train", "screen", "evaluate")
    ]  # fmt: skip
    seeds = {rollout_seed(job, attempt) for job in jobs for attempt in range(4)}
    assert len(seeds) == len(jobs) * 4
    names = {rollout_id(job, "bits", at) for job in jobs if not job.seed for at in range(4)}
    assert len(names) == len(jobs) // 2 * 4


def test_the_step_of_an_evaluation_is_in_names_and_in_no_seed() -> None:
    jobs = [
        Job(problem="a#b", place=3, size=1, seed=0, purpose="evaluate", step=step)
        for step in (0, 10, 2_000_000)
    ]
    assert len({rollout_seed(job, 0) for job in jobs}) == 1
    names = [rollout_id(job, "bits", 0) for job in jobs]
    assert names[1] == "a#b#bits-evaluate-000010#3"
    records = [Trajectory(rollout_id=name, task="a#b", agent="bits") for name in names]
    assert [evaluated_after(record) for record in records] == [0, 10, 2_000_000]
    other = Trajectory(rollout_id="a#bits#3", task="a", agent="bits")
    assert evaluated_after(other) is None


def test_an_empty_completion_has_one_token_and_a_reward(model: Decoder) -> None:
    spoilt = policy()
    with torch.no_grad():
        spoilt.norm.weight.zero_()  # all logits are the same but for what follows
    hook = spoilt.register_forward_hook(lambda module, given, output: _only(output, stop_id()))
    job = Job(problem="a", place=0, size=2, seed=0)
    group = asyncio.run(player(spoilt, max_tokens=5).group(job))
    hook.remove()
    for one in group.rollouts:
        assert one.fault is None
        (trace,) = one.traces
        assert trace.ids[trace.sampled].tolist() == [stop_id()]
        assert one.reward is not None


def _only(output: Any, token: int) -> Any:
    output.logits[..., :] = -1e4
    output.logits[..., token] = 0.0
    return output


def test_tokens_bear_the_version_that_drew_them(model: Decoder, tmp_path: Path) -> None:
    save_checkpoint(model, tmp_path)
    one = player(policy(), max_tokens=200)
    job = Job(problem="a", place=0, size=3, seed=0)

    async def play() -> Any:
        playing = asyncio.ensure_future(one.group(job))
        for _ in range(40):
            await asyncio.sleep(0)
        await one.engine.load(tmp_path, version=1)
        return await playing

    group = asyncio.run(play())
    for played in group.rollouts:
        (trace,) = played.traces
        versions = trace.versions[trace.sampled]
        assert (np.diff(versions) >= 0).all()
    assert (group.oldest, group.newest) == (0, 1)


def test_faults_are_kept_as_records(model: Decoder) -> None:
    kept = player(model, stage={"faults": {"a": "task"}}, keep=True)
    group = asyncio.run(kept.group(Job(problem="a", place=0, size=2, seed=0)))
    for one in group.rollouts:
        assert one.trajectory is not None
        assert one.trajectory.error == one.fault
        assert one.fault is not None
        assert one.fault.boundary == "task"
        assert [message["role"] for message in one.trajectory.messages] == ["user", "assistant"]


class Cancelling:
    """A stage in which something cancels what a rollout waits for."""

    name = "cancelling"

    async def open(self) -> None:
        pass

    async def close(self) -> None:
        pass

    def problems(self) -> list[str]:
        return ["a"]

    async def play(self, problem: str, seed: int, model: Any, log: Any) -> Any:
        raise asyncio.CancelledError


def test_a_cancellation_from_within_is_a_fault_and_no_silence(model: Decoder) -> None:
    lone = replace(player(model), stage=Cancelling())

    group = asyncio.run(lone.group(Job(problem="a", place=0, size=2, seed=0)))

    assert [one.fault.boundary for one in group.rollouts if one.fault] == ["infrastructure"] * 2


def test_a_cancellation_from_outside_ends_the_group(model: Decoder) -> None:
    slow = player(model, stage={"seconds": {"a": 30.0}})

    async def cut() -> None:
        task = asyncio.create_task(slow.group(Job(problem="a", place=0, size=2, seed=0)))
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cut())


def test_half_a_surrogate_pair_in_a_record_is_kept(tmp_path: Path) -> None:
    said = ({"role": "user", "content": "\ud800"},)
    record = Trajectory(
        rollout_id="a", task="t", agent="x", messages=said, exit_status="\ud800", patch="a\udcffb"
    )
    played = Played(rollout_id="a", traces=(), reward=None, finished=False, trajectory=record)
    folder = GroupFolder(tmp_path)

    folder.write(Group(problem="p", place=1, rollouts=(played,)))

    found = folder.read(1)
    assert found is not None
    assert found.rollouts[0].trajectory == record
