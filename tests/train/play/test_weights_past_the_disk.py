"""Workers that take new weights past the disk: bit for bit as from a folder, whoever breaks."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.train.rl_sets import PROBLEMS, configured, policy, pooled, rows, trained

from regreen.model import Decoder
from regreen.train.play.executor import Event, Finished
from regreen.train.play.worker_pool import WorkerPool
from regreen.train.rl.config import RlConfig
from regreen.train.trace import Group, Trace
from regreen.train.weights.meeting import Meeting


class Watched(WorkerPool):
    """Keeps the groups that came, and lets something happen once workers wait for a version."""

    groups: dict[int, Group]
    met_at: list[tuple[int, bool]]
    strike: Callable[[Watched, int], None]

    def next(self, timeout: float | None = None) -> Event | None:
        event = super().next(timeout)
        if isinstance(event, Finished):
            self.groups[event.group.place] = event.group
        return event

    def meet(self, version: int) -> Meeting | None:
        meeting = super().meet(version)
        self.met_at.append((version, meeting is not None))
        if meeting is not None:
            self.strike(version)  # type: ignore[call-arg]
        return meeting


def watched(
    path: Path,
    config: RlConfig,
    *,
    strike: Callable[[Watched, int], None] = lambda pool, version: None,
    **settings: Any,
) -> tuple[Decoder, Watched]:
    """A run to its end by workers."""
    pools: list[Watched] = []

    def pool(at: Path) -> WorkerPool:
        made = pooled(config.workers, **{"kind": Watched, **settings})(at)
        assert isinstance(made, Watched)
        made.groups, made.met_at = {}, []
        made.strike = lambda version: strike(made, version)  # type: ignore[assignment,misc,call-arg]
        pools.append(made)
        return made

    found, model = trained(path, config, model=policy(), pool=pool)
    assert found.step == config.steps
    return model, pools[0]


def same(one: Decoder, other: Decoder) -> bool:
    return all(map(torch.equal, one.state_dict().values(), other.state_dict().values()))


def traces(pool: Watched, place: int) -> list[Trace]:
    return [trace for one in pool.groups[place].rollouts for trace in one.traces]


def same_groups(one: Watched, other: Watched) -> bool:
    """Whether both sampled the same ids by the same versions, with the same log-probabilities."""
    assert sorted(one.groups) == sorted(other.groups)
    return all(
        np.array_equal(getattr(mine, name), getattr(theirs, name))
        for place in one.groups
        for mine, theirs in zip(traces(one, place), traces(other, place), strict=True)
        for name in ("ids", "sampled", "logprobs", "versions")
    )


def folders(path: Path) -> list[str]:
    return sorted(folder.name for folder in (path / "weights").iterdir())


def lost(path: Path) -> float:
    return sum(value for _, value in rows(path, "count/workers_lost"))


@pytest.fixture(scope="module")
def by_folder(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Decoder, Watched]:
    torch.set_num_threads(1)
    path = tmp_path_factory.mktemp("by_folder") / "run"
    return path, *watched(path, configured(workers=2))


def collective(**changes: Any) -> RlConfig:
    return configured(weights="collective", **{"workers": 2, **changes})


def test_past_the_disk_is_bit_for_bit_as_by_a_folder(
    tmp_path: Path, by_folder: tuple[Path, Decoder, Watched]
) -> None:
    path, expected, groups = by_folder
    model, found = watched(tmp_path, collective())
    assert folders(tmp_path) == ["version-000000"]  # for those who had just come
    assert found.met_at == [(0, False), (1, True), (2, True), (3, True), (4, True)]
    assert same(model, expected)
    assert same_groups(found, groups)
    for name in ("reward", "loss_policy", "grad_norm", "mismatch_max"):
        assert rows(tmp_path, name) == rows(path, name)


@pytest.mark.slow
def test_a_worker_that_is_killed_while_weights_travel_leaves_the_others_whole(
    tmp_path: Path, by_folder: tuple[Path, Decoder, Watched]
) -> None:
    def strike(pool: Watched, version: int) -> None:
        if version == 2:  # it keeps all waiting, then it is gone
            os.kill(pool.pids[0], signal.SIGSTOP)
            threading.Timer(0.3, os.kill, (pool.pids[0], signal.SIGKILL)).start()

    model, found = watched(tmp_path, collective(), strike=strike)
    assert folders(tmp_path) == ["version-000000", "version-000002"]
    assert [version for version, met in found.met_at if met] == [1, 2, 3, 4]
    assert lost(tmp_path) == 1
    assert versions_are_single(found)
    assert furthest(model, by_folder[1]) < 1e-5


def versions_are_single(pool: Watched) -> bool:
    """Whether each batch of staleness 0 was sampled by the version of its step alone."""
    size = configured().groups
    return all(
        set(trace.versions[trace.sampled].tolist()) == {place // size}
        for place in pool.groups
        for trace in traces(pool, place)
    )


@torch.no_grad()
def furthest(one: Decoder, other: Decoder) -> float:
    pairs = zip(one.parameters(), other.parameters(), strict=True)
    return max(float((a - b).abs().max()) for a, b in pairs)


@pytest.mark.slow
def test_a_worker_that_stops_while_weights_travel_is_waited_for_and_replaced(
    tmp_path: Path, by_folder: tuple[Path, Decoder, Watched]
) -> None:
    def strike(pool: Watched, version: int) -> None:
        if version == 2:
            os.kill(pool.pids[0], signal.SIGSTOP)

    model, found = watched(tmp_path, collective(), strike=strike, silence=8.0)
    assert "version-000002" in folders(tmp_path)
    assert lost(tmp_path) == 1
    assert versions_are_single(found)
    assert furthest(model, by_folder[1]) < 1e-5


@pytest.mark.slow
def test_a_worker_that_stops_and_goes_on_later_has_one_version(
    tmp_path: Path, by_folder: tuple[Path, Decoder, Watched]
) -> None:
    def strike(pool: Watched, version: int) -> None:
        if version == 2:
            pid = pool.pids[0]
            os.kill(pid, signal.SIGSTOP)
            threading.Timer(10.0, os.kill, (pid, signal.SIGCONT)).start()

    model, found = watched(tmp_path, collective(), strike=strike, silence=8.0)
    assert "version-000002" in folders(tmp_path)
    assert lost(tmp_path) == 0
    assert versions_are_single(found)
    assert same(model, by_folder[1])


@pytest.mark.slow
def test_a_worker_that_is_killed_between_transfers_is_filled_from_a_folder(tmp_path: Path) -> None:
    class Murdered(Watched):
        def next(self, timeout: float | None = None) -> Event | None:
            event = super().next(timeout)
            if isinstance(event, Finished) and event.group.place == 5 and self._started == 1:
                os.kill(self.pids[0], signal.SIGKILL)
            return event

    _, found = watched(tmp_path, collective(workers=1), kind=Murdered)
    assert lost(tmp_path) == 1
    assert len(folders(tmp_path)) == 2
    assert folders(tmp_path)[1] in {"version-000001", "version-000002"}
    assert versions_are_single(found)


@pytest.mark.slow
def test_a_worker_that_dies_before_it_comes_to_the_meeting_ends_only_the_meeting(
    tmp_path: Path,
) -> None:
    class Hasty(Watched):
        def _tell(self, worker: Any, *message: Any) -> None:
            if message[0] == "meet" and message[1].number == 1 and worker is self._workers[0]:
                os.kill(worker.pid, signal.SIGKILL)
            super()._tell(worker, *message)

    _, found = watched(tmp_path, collective(), kind=Hasty)
    assert found.met_at[1] == (1, False)
    assert folders(tmp_path) == ["version-000000", "version-000001"]
    assert lost(tmp_path) == 1
    assert versions_are_single(found)


@pytest.mark.slow
def test_weights_wait_for_their_turn_in_a_worker_that_is_behind(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"steps": 6, "workers": 1, "staleness": 2}
    stage = {"seconds": dict.fromkeys(PROBLEMS[:2], 0.1)}
    one, by_disk = watched(tmp_path / "file", configured(**settings), stage=stage)
    other, past_it = watched(tmp_path / "collective", collective(**settings), stage=stage)
    assert same(one, other)
    assert same_groups(by_disk, past_it)
    assert folders(tmp_path / "collective")[0] == "version-000000"


@pytest.mark.slow
def test_in_flight_weights_are_taken_at_once(tmp_path: Path) -> None:
    config = collective(
        steps=16, groups=4, group_size=16, staleness=1, order="finished", checkpoint_every=16,
        optimiser={"learning_rate": 2e-2, "weight_decay": 0.0},
    )  # fmt: skip
    stage = {"seconds": {"a": 0.05, "b": 0.1}}
    watched(tmp_path, config, stage=stage, in_flight=True)
    assert max(value for _, value in rows(tmp_path)[-4:]) > 0.85
    assert 0 < max(value for _, value in rows(tmp_path, "staleness_max")) <= 1
