"""Workers that are killed, stopped, broken or strangers; disks that are full; stages that fail."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.train.rl_sets import (
    PROBLEMS,
    build,
    configured,
    find_tests,
    pooled,
    rows,
    shape,
    trained,
)

from regreen.core.errors import InfrastructureError, UsageError
from regreen.model import Decoder
from regreen.train.play.executor import Lost
from regreen.train.play.rollouts import Job
from regreen.train.play.worker import WorkerSpec
from regreen.train.play.worker_pool import WorkerPool


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Decoder]:
    torch.set_num_threads(1)
    path = tmp_path_factory.mktemp("undisturbed") / "run"
    return path, trained(path, configured())[1]


@torch.no_grad()
def furthest(one: Decoder, other: Decoder) -> float:
    pairs = zip(one.parameters(), other.parameters(), strict=True)
    return max(float((a - b).abs().max()) for a, b in pairs)


def total(path: Path, name: str) -> float:
    return sum(value for _, value in rows(path, name))


@contextmanager
def meanwhile(work: Callable[[], Any]) -> Iterator[None]:
    """Something that happens in a thread while a run goes on; what it raises is raised."""
    failures: list[BaseException] = []

    def guarded() -> None:
        try:
            work()
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=guarded)
    thread.start()
    yield
    thread.join()
    if failures:
        raise failures[0]


def wait_for(what: Callable[[], bool], seconds: float = 90.0) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.002)


# -- workers ---------------------------------------------------------------------------------


def test_a_worker_that_is_killed_is_replaced_and_nothing_changes(
    tmp_path: Path, undisturbed: tuple[Path, Decoder]
) -> None:
    marks = tmp_path / "marks"
    marks.mkdir()
    path = tmp_path / "run"
    stage = {"marks": marks, "faults": {"c": "kill"}}
    found, model = trained(path, configured(workers=1), pool=pooled(1, stage=stage))
    assert found.step == 4
    assert rows(path) == rows(undisturbed[0])
    assert furthest(model, undisturbed[1]) < 1e-5
    assert total(path, "count/workers_lost") == 1
    assert total(path, "groups_trained") == total(undisturbed[0], "groups_trained")


def test_a_worker_that_hangs_before_it_has_come_holds_nobody_up(tmp_path: Path) -> None:
    before = children()
    pool = pooled(1)(tmp_path)
    (pid,) = children() - before
    os.kill(pid, signal.SIGSTOP)
    try:
        pool.submit([Job(problem=PROBLEMS[0], place=0, size=2, seed=0)])
        assert pool.next(0.5) is None
        assert not pool.pids
    finally:
        os.kill(pid, signal.SIGKILL)
        pool.close()


@pytest.mark.slow
def test_a_worker_from_elsewhere_that_is_given_up_says_why(tmp_path: Path) -> None:
    find_tests()
    spec = WorkerSpec(build=build, settings={"model": shape()})
    pool = WorkerPool(spec, count=0, logs=tmp_path / "logs", silence=4.0)
    join = "import sys; from regreen.train.play.worker import serve; "
    join += "serve(sys.argv[1], bytes.fromhex(sys.argv[2]), 'far')"
    far = subprocess.Popen(
        [sys.executable, "-c", join, pool.address, pool.key.hex()],
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        while not pool.pids:
            assert pool.next(0.1) is None
        os.kill(far.pid, signal.SIGSTOP)
        while (event := pool.next(0.5)) is None:
            pass
        os.kill(far.pid, signal.SIGCONT)
        _, said = far.communicate(timeout=60)
    finally:
        far.kill()
        pool.close()

    assert isinstance(event, Lost)
    assert far.returncode != 0
    assert "goes on without this worker: silent for 4 s" in said


def children() -> set[int]:
    """Processes that this one has started."""
    found = Path(f"/proc/self/task/{os.getpid()}/children").read_text("ascii")
    return {int(pid) for pid in found.split()}


@pytest.mark.slow
@pytest.mark.parametrize("staleness", [0, 1])
def test_all_workers_killed_again_and_again(tmp_path: Path, staleness: int) -> None:
    pools: list[WorkerPool] = []

    def pool(path: Path) -> WorkerPool:
        pools.append(pooled(2, stage={"seconds": dict.fromkeys(PROBLEMS, 0.05)})(path))
        return pools[0]

    def kill() -> None:
        for step in (1, 3):
            wait_for(lambda step=step: len(rows_of(tmp_path)) >= step)  # type: ignore[misc]
            wait_for(lambda: len(pools[0].pids) == 2)
            for pid in pools[0].pids:
                os.kill(pid, signal.SIGKILL)
            time.sleep(0.5)

    with meanwhile(kill):
        config = configured(steps=6, workers=2, staleness=staleness)
        found, _ = trained(tmp_path, config, pool=pool)
    assert found.step == 6
    assert [step for step, _ in rows(tmp_path)] == [1, 2, 3, 4, 5, 6]
    assert total(tmp_path, "count/workers_lost") == 4
    assert total(tmp_path, "rollouts") == 6 * 32


def rows_of(path: Path) -> list[Any]:
    return rows(path) if (path / "lock.json").exists() else []


@pytest.mark.slow
def test_a_worker_that_is_stopped_is_taken_for_dead(
    tmp_path: Path, undisturbed: tuple[Path, Decoder]
) -> None:
    marks = tmp_path / "marks"
    marks.mkdir()
    path = tmp_path / "run"
    stage = {"marks": marks, "faults": {"b": "stop"}}
    pool = pooled(1, silence=8.0, stage=stage)
    found, model = trained(path, configured(workers=1), pool=pool)
    assert found.step == 4
    assert furthest(model, undisturbed[1]) < 1e-5
    assert total(path, "count/workers_lost") == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("stage", "said"),
    [({"build": True}, "unexpected keyword"), ({"faults": {"open": "x"}}, "no boxes here")],
)
def test_workers_that_cannot_start_are_named(tmp_path: Path, stage: Any, said: str) -> None:
    with pytest.raises(InfrastructureError, match="workers ended one after the other") as caught:
        trained(tmp_path, configured(workers=1), pool=pooled(1, stage=stage))
    assert said in caught.value.what or "cannot be made" in caught.value.what
    assert Path(caught.value.where).is_file()


@pytest.mark.slow
def test_a_problem_that_ends_every_worker_ends_the_run(tmp_path: Path) -> None:
    stage = {"faults": {"a": "die"}, "seconds": dict.fromkeys("bcdef", 0.0) | {"a": 0.3}}
    with pytest.raises(InfrastructureError, match="one after the other: status 7"):
        trained(tmp_path, configured(workers=1), pool=pooled(1, stage=stage))


@pytest.mark.slow
def test_weights_that_are_taken_away_end_the_run_or_nothing(tmp_path: Path) -> None:
    slow = {"seconds": dict.fromkeys(PROBLEMS, 0.2)}

    def take() -> None:
        wait_for(lambda: len(rows_of(tmp_path)) >= 1)
        shutil.rmtree(tmp_path / "weights", ignore_errors=True)

    said = ""
    with meanwhile(take):
        try:
            trained(tmp_path, configured(workers=1), pool=pooled(1, stage=slow))
        except InfrastructureError as error:
            said = error.what
    assert not said or "cannot load these weights" in said
    found, _ = trained(tmp_path, configured(workers=1), pool=pooled(1))
    assert found.step == 4
    assert [step for step, _ in rows(tmp_path)] == [1, 2, 3, 4]


def test_strangers_do_not_hold_up_workers(tmp_path: Path) -> None:
    spec = WorkerSpec(build=build, settings={"model": shape()})
    pool = WorkerPool(spec, count=0, logs=tmp_path / "logs")
    try:
        host, _, port = pool.address.rpartition(":")
        silent = [socket.create_connection((host, int(port))) for _ in range(3)]
        rude = socket.create_connection((host, int(port)))
        rude.sendall(b"GET / HTTP/1.0\r\n\r\n" * 9)
        client = threading.Thread(target=_greet, args=(pool,), daemon=True)
        client.start()
        wait_for(lambda: pool.next(0.01) is None and pool.pids == [1234], 20.0)
        for one in (*silent, rude):
            one.close()
    finally:
        pool.close()


def _greet(pool: WorkerPool) -> None:
    from multiprocessing.connection import Client

    host, _, port = pool.address.rpartition(":")
    with Client((host, int(port)), authkey=pool.key) as connection:
        connection.send(("hello", "elsewhere", 1234))
        connection.recv()
        time.sleep(20.0)


@pytest.mark.parametrize("address", ["nowhere", "7070", ":7070", "127.0.0.1:99999", "::x"])
def test_addresses_that_cannot_be_listened_at(tmp_path: Path, address: str) -> None:
    spec = WorkerSpec(build=build, settings={})
    with pytest.raises(UsageError, match=r"address|listen"):
        WorkerPool(spec, count=0, logs=tmp_path, address=address)


# -- disks -----------------------------------------------------------------------------------


@pytest.mark.parametrize("limit", [1200, 30_000])
def test_a_disk_that_fills_up_is_named_and_the_run_goes_on(
    tmp_path: Path, undisturbed: tuple[Path, Decoder], limit: int
) -> None:
    path = tmp_path / "run"
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        with pytest.raises(InfrastructureError, match="File too large"):
            trained(path, configured())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    found, model = trained(path, configured())
    assert found.step == 4
    assert furthest(model, undisturbed[1]) == 0.0
    assert rows(path) == rows(undisturbed[0])


# -- stages ----------------------------------------------------------------------------------


KINDS = {
    "infrastructure": ("infrastructure_fault", 9),
    "model": ("model_fault", 9),
    "system": ("infrastructure_fault", 9),
    "exception": ("task_fault", 1),
    "text": ("task_fault", 1),
    "task": ("task_fault", 1),
    "overflow": ("model_fault", 1),
    "nan": ("reward_not_finite", 1),
    "inf": ("reward_not_finite", 1),
    "huge": ("reward_out_of_range", 1),
    "none": ("no_verdict_was_reached", 1),
    "no sample": ("no_token_was_sampled", 1),
}


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_verdict_is_counted_and_left_out(tmp_path: Path, kind: str) -> None:
    marks, path = tmp_path / "marks", tmp_path / "run"
    marks.mkdir()
    reason, tries = KINDS[kind]
    config = configured(steps=1, groups=2)
    stage = {"marks": marks, "faults": {"b": kind}}
    _, model = trained(path, config, problems=("a", "b"), stage=stage)
    assert total(path, f"left_out/{reason}") == 8
    assert total(path, "dropped/incomplete") == 1
    assert total(path, "groups_trained") == 1
    assert total(path, "rollouts") == 16
    assert 0 < total(path, "reward") < 1
    assert total(path, "unscored") == (0.0 if kind == "no sample" else 0.5)
    played = Counter((marks / "played").read_text().split()[::2])
    assert played == {"a": 8, "b": 8 * tries}
    assert total(path, "count/groups_again") == (2 if tries == 9 else 0)
    assert all(bool(value.isfinite().all()) for value in model.parameters())


def test_a_fault_that_passes_costs_nothing(
    tmp_path: Path, undisturbed: tuple[Path, Decoder]
) -> None:
    marks, path = tmp_path / "marks", tmp_path / "run"
    marks.mkdir()
    stage = {"marks": marks, "faults": dict.fromkeys(PROBLEMS, "once")}
    _, model = trained(path, configured(), stage=stage)
    assert rows(path) == rows(undisturbed[0])
    assert furthest(model, undisturbed[1]) < 1e-5
    assert total(path, "count/fault") == total(path, "count/groups_again") == 0
    assert total(path, "again/infrastructure_fault") == len(PROBLEMS)
