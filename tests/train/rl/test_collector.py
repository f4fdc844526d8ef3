"""Batches in their order and within the bound, whatever comes back when."""

from __future__ import annotations

import queue
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regreen.core.errors import UsageError
from regreen.core.trajectory import ErrorRecord
from regreen.train.play.executor import Event, Finished, Lost, Told
from regreen.train.play.rollouts import Job
from regreen.train.rl.collector import Collector
from regreen.train.rl.config import RlConfig
from regreen.train.rl.group_file import GroupFolder
from regreen.train.rl.plan import Plan, evaluation
from regreen.train.trace import Group, Played, Trace

NAMES = tuple("abcde")


def group(job: Job, version: int, fault: str = "", last: int | None = None) -> Group:
    ids = np.arange(4, dtype=np.int32)
    sampled = np.array([False, False, True, True])
    versions = np.array([-1, -1, version, version if last is None else last], np.int32)
    nought = np.zeros(4, np.float32)
    trace = Trace(ids=ids, sampled=sampled, logprobs=nought, penalties=nought, versions=versions)
    error = ErrorRecord(boundary="infrastructure", type="Gone", message="the box is gone")
    rollouts = tuple(
        Played(
            rollout_id=f"{job.problem}#{job.place}#{at}", traces=() if fault else (trace,),
            reward=None if fault else float(at), finished=not fault,
            fault=error.model_copy(update={"boundary": fault}) if fault else None,
        )
        for at in range(job.size)
    )  # fmt: skip
    return Group(problem=job.problem, place=job.place, purpose=job.purpose, rollouts=rollouts)


class Desk:
    """An executor whose groups end in an order that is decided elsewhere; see ``Executor``."""

    own_weights = True

    def __init__(self, pick: Callable[[int], int]) -> None:
        self.version, self.pick = 0, pick
        self.open: list[tuple[Job, int]] = []
        self.played: list[tuple[str, int]] = []
        self.events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self.faults: dict[int, str] = {}

    def publish(self, folder: Path | None, version: int) -> None:
        self.version = version

    def submit(self, jobs: Sequence[Job]) -> None:
        self.open += [(job, self.version) for job in jobs]

    def next(self, timeout: float | None = None) -> Event | None:
        if not self.events.empty():
            return self.events.get()
        if not self.open:
            return None
        job, version = self.open.pop(self.pick(len(self.open)))
        self.played.append((job.purpose, job.place))
        fault = self.faults.pop(job.place, "") if job.purpose == "train" else ""
        self.events.put(Finished(group(job, version, fault)))
        return Told(f"{job.problem}#{job.place}", "fault" if fault else "resolved", job.purpose)

    def close(self) -> None:
        pass


def configured(**changes: object) -> RlConfig:
    return RlConfig.model_validate({"steps": 6, "groups": 3, "group_size": 2, **changes})


def collector(desk: Desk, config: RlConfig, folder: Path) -> tuple[Collector, list[str]]:
    told: list[str] = []
    found = Collector(
        desk, config, {"train": GroupFolder(folder)}, keep=lambda record: None, note=told.append
    )
    return found, told


def test_a_batch_that_was_put_together_before_is_put_together_alike(tmp_path: Path) -> None:
    desk = Desk(lambda count: count - 1)
    config = configured(order="finished", staleness=1)
    found, _ = collector(desk, config, tmp_path)
    plan = Plan(NAMES, 2, 7)
    found.start(plan, 0, ())
    before = [one.place for one in found.batch(plan, 0)]
    while desk.open or not desk.events.empty():
        found._wait()

    again, _ = collector(desk, config, tmp_path)
    again.start(plan, found.submitted, range(found.submitted))

    assert sorted(before) != list(range(3))
    assert [one.place for one in again.batch(plan, 0)] == before
    GroupFolder(tmp_path).forget(0, step=1)
    assert GroupFolder(tmp_path).chosen(0) is None


@settings(max_examples=15)
@given(
    order=st.sampled_from(["planned", "finished"]),
    staleness=st.integers(0, 3),
    data=st.data(),
)
def test_batches_are_whole_and_within_the_bound(
    tmp_path_factory: pytest.TempPathFactory, order: str, staleness: int, data: st.DataObject
) -> None:
    if order == "finished" and not staleness:
        return
    desk = Desk(lambda count: data.draw(st.integers(0, count - 1)))
    desk.faults = {place: "infrastructure" for place in data.draw(st.sets(st.integers(0, 17)))}
    config = configured(order=order, staleness=staleness)
    found, _ = collector(desk, config, tmp_path_factory.mktemp("groups"))
    plan = Plan(NAMES, 2, 7)
    found.start(plan, 0, ())
    seen: list[int] = []
    for step in range(config.steps):
        desk.publish(None, step)
        batch = found.batch(plan, step)
        assert len(batch) == 3
        assert all(step - staleness <= one.oldest <= step for one in batch)
        assert all(one.fault is None for each in batch for one in each.rollouts)
        assert all(one.problem == plan.job(one.place).problem for one in batch)
        seen += [one.place for one in batch]
        if order == "planned":
            assert seen == list(range(3 * (step + 1)))
        assert len(found.pending) <= 3 * staleness if order == "planned" else True
    assert sorted(seen) == list(range(18))
    again = len(desk.played) - 18
    assert found.counts["groups_again"] + found.counts["stale"] == again


def test_what_is_too_old_or_too_new_is_played_again(tmp_path: Path) -> None:
    config, plan = configured(staleness=1), Plan(NAMES, 2, 0)
    files = GroupFolder(tmp_path)
    files.write(group(plan.job(12), 2))
    files.write(group(plan.job(13), 3, last=6))
    files.write(group(plan.job(14), 3, last=4))
    desk = Desk(lambda count: 0)
    desk.version = 4
    found, _ = collector(desk, config, tmp_path)
    found.start(plan, 15, (12, 13, 14))
    batch = found.batch(plan, 4)
    assert [(one.place, one.oldest) for one in batch] == [(12, 4), (13, 4), (14, 3)]
    assert found.counts["stale"] == 2
    assert [place for _, place in desk.played if place < 15] == [12, 13]


def test_files_spare_what_was_played_and_are_forgotten(tmp_path: Path) -> None:
    config, plan, desk = configured(), Plan(NAMES, 2, 0), Desk(lambda count: count - 1)
    first, _ = collector(desk, config, tmp_path)
    first.start(plan, 0, ())
    whole = first.batch(plan, 0)
    again = Desk(lambda count: 0)
    second, _ = collector(again, config, tmp_path)
    second.start(plan, 3, (0, 1, 2))
    assert [one.place for one in second.batch(plan, 0)] == [one.place for one in whole]
    assert again.played == []
    GroupFolder(tmp_path).forget(2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["00000002.npz"]


def test_faults_that_last_are_given_up_and_lasting_ones_at_once(tmp_path: Path) -> None:
    config, plan, desk = configured(group_tries=2), Plan(NAMES, 2, 0), Desk(lambda count: 0)
    found, told = collector(desk, config, tmp_path)
    desk.faults = {0: "task", 1: "infrastructure"}
    batch = found.batch(plan, 0)
    assert desk.played.count(("train", 0)) == 1
    assert desk.played.count(("train", 1)) == 2
    assert [one.rollouts[0].fault is None for one in batch] == [False, True, True]
    assert len(told) == found.counts["groups_again"] == 1


def test_a_lost_worker_is_counted(tmp_path: Path) -> None:
    desk = Desk(lambda count: 0)
    found, told = collector(desk, configured(), tmp_path)
    desk.events.put(Lost("worker-0", "ended by signal 9", 2))
    found.batch(Plan(NAMES, 2, 0), 0)
    assert found.counts["workers_lost"] == 1
    assert "ended by signal 9" in told[0]


def test_each_problem_is_played_once_before_any_again() -> None:
    plan = Plan(NAMES, 2, 3)
    for epoch in range(4):
        names = [plan.job(5 * epoch + at).problem for at in range(5)]
        assert sorted(names) == list(NAMES)
    orders = {tuple(plan.job(5 * e + at).problem for at in range(5)) for e in range(8)}
    assert len(orders) > 1
    assert [plan.job(at) for at in range(9)] == [Plan(NAMES, 2, 3).job(at) for at in range(9)]
    assert len(evaluation(NAMES, 0, 1, 0)) == 5
    with pytest.raises(UsageError, match="no problem to train on"):
        Plan((), 2, 0)


def test_a_damaged_file_of_a_group_is_refused(tmp_path: Path) -> None:
    files, job = GroupFolder(tmp_path), Plan(NAMES, 2, 0).job(0)
    files.write(group(job, 3))
    path = tmp_path / "00000000.npz"
    kept = files.read(0)
    assert kept is not None
    assert (kept.oldest, kept.problem) == (3, job.problem)
    content = path.read_bytes()
    for broken in (b"", b"PK", content[: len(content) // 2], content[:-40], b"{}" * 99):
        path.write_bytes(broken)
        with pytest.raises(UsageError, match="cannot be read"):
            files.read(0)
    assert files.read(1) is None
