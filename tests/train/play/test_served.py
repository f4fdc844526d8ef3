"""A run whose policy a server samples: weights reach it, and the trainer finds what it says."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from tests.inference.token_server import TokenServer, serving
from tests.train.rl_sets import ROOT, policy, rows, shape
from tests.train.served_sets import add_vocabulary, served, settings

from regreen.core.errors import ModelError, PrerequisiteError
from regreen.model import save_checkpoint
from regreen.train.play.engine import EngineConfig, server_url
from regreen.train.play.player import Setup, build_player
from regreen.train.policy.penalties import PenaltyConfig
from regreen.train.rl.config import RlConfig


@pytest.fixture
def start(tmp_path: Path) -> Path:
    """The policy's first weights with their vocabulary."""
    save_checkpoint(policy(), tmp_path / "start")
    return add_vocabulary(tmp_path / "start")


def server(kind: str, start: Path, **options: Any) -> TokenServer:
    return TokenServer(kind, policy(), checkpoint=str(start), **options)


@pytest.mark.parametrize("kind", ["sglang", pytest.param("vllm", marks=pytest.mark.slow)])
def test_every_version_reaches_the_server_and_is_as_likely_as_the_trainer_finds(
    tmp_path: Path, start: Path, kind: str
) -> None:
    with serving(server(kind, start)) as made:
        found, model = served(tmp_path / "run", settings(made.base_url, experts=True), start)
        assert made.checkpoint == str(tmp_path / "run" / "weights" / "version-000003")
        ours, theirs = model.state_dict(), made.model.state_dict()
        assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert found.step == 3
    assert len(made.prompts) >= 3 * 8
    apart = rows(tmp_path / "run", "mismatch_max")
    assert [step for step, _ in apart] == [1, 2, 3]
    assert all(value <= 1e-4 for _, value in apart)
    assert [value for _, value in rows(tmp_path / "run", "staleness_max")] == [0.0, 0.0, 0.0]
    assert all(value == 0 for _, value in rows(tmp_path / "run", "faults"))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"logprobs": "logits"}, "not log-probabilities"),
        pytest.param({"routes": False}, "which experts acted", marks=pytest.mark.slow),
        pytest.param({"reloads": "wrong"}, "another model once", marks=pytest.mark.slow),
        pytest.param({"dev": False}, "has no /pause", marks=pytest.mark.slow),
    ],
)
def test_a_server_that_cannot_be_trained_on_ends_the_run_by_its_own_name(
    tmp_path: Path, start: Path, options: dict[str, Any], said: str
) -> None:
    with (
        serving(server("sglang", start, **options)) as made,
        pytest.raises(ModelError, match=said) as caught,
    ):
        served(tmp_path / "run", settings(made.base_url, experts=True), start)
    assert len(caught.value.lines()) == 3
    assert f":{made.port}" in caught.value.where
    assert not (tmp_path / "run" / "logs" / "worker-1.log").exists()


def test_addresses_have_one_form_and_one_worker_each() -> None:
    for text in ("http://a:1", "http://a:1/", "http://a:1/v1", " http://a:1/v1/ "):
        assert server_url(text) == "http://a:1"
    for text in ("a:1", "ftp://a:1", "http://", "http://a:1/v2", "http://k:s@a:1", "http://a?x"):
        with pytest.raises(ValueError, match="address"):
            server_url(text)
    with pytest.raises(ValidationError, match="one server their weights in turn"):
        EngineConfig(urls=("http://a:1", "http://a:1/v1"))
    with pytest.raises(ValidationError, match="without servers"):
        EngineConfig(urls=("http://a:1",), device="cuda")
    engine = {"urls": ("http://a:1", "http://a:2")}
    assert RlConfig.model_validate({"engine": engine}).workers == 2
    assert RlConfig(engine=EngineConfig.model_validate(engine)).workers == 2
    assert RlConfig(engine=EngineConfig.model_validate(engine), workers=2).workers == 2
    assert RlConfig().workers == 1
    for workers in (0, 1, 3):
        with pytest.raises(ValidationError, match="one worker each"):
            RlConfig.model_validate({"engine": engine, "workers": workers})


def test_a_device_that_is_not_there_is_refused(start: Path) -> None:
    setup = Setup(
        stage=dict, settings={}, checkpoint=start, tool_format="qwen3_coder",
        engine=EngineConfig(device="cuda:0"), penalties=PenaltyConfig(), at_once=8, keep_every=0,
    )  # fmt: skip
    if torch.cuda.is_available():
        pytest.skip("there is one")
    with pytest.raises(PrerequisiteError, match="no cuda:0"):
        build_player(setup=setup, model=shape(), told=lambda job, played: None)


# -- servers that end ------------------------------------------------------------------------


@contextmanager
def process(kind: str, port: int, start: Path) -> Iterator[int]:
    """A server of its own process, which is killed at the end; its process id."""
    command = [
        sys.executable,
        "-m",
        "tests.inference.token_server",
        kind,
        str(port),
        str(start),
        "",
    ]
    where = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "src")])}
    made = subprocess.Popen(command, cwd=ROOT, env=where)
    try:
        wait_for(lambda: answers(port))
        yield made.pid
    finally:
        made.kill()
        made.wait()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


def answers(port: int) -> bool:
    with socket.socket() as link:
        return link.connect_ex(("127.0.0.1", port)) == 0


def wait_for(what: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 180
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def trained_on(path: Path) -> int:
    return len(rows(path)) if (path / "metrics.jsonl").exists() else 0


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["vllm", "sglang"])
def test_a_server_that_is_killed_ends_the_run_or_is_given_its_weights_again(
    tmp_path: Path, start: Path, kind: str
) -> None:
    port, path = free_port(), tmp_path / "run"
    url = f"http://127.0.0.1:{port}"

    def kill(pid: int, after: int) -> None:
        wait_for(lambda: trained_on(path) >= after)
        time.sleep(0.3)  # into the next batch
        os.kill(pid, signal.SIGKILL)

    with process(kind, port, start) as pid:
        killer = threading.Thread(target=kill, args=(pid, 1))
        killer.start()
        with pytest.raises(ModelError, match="does not answer") as caught:
            served(path, settings(url, steps=8, away_seconds=3.0), start)
        killer.join()
    assert len(caught.value.lines()) == 3
    assert str(port) in caught.value.where
    before = trained_on(path)
    assert 1 <= before < 8

    def restart() -> None:
        with process(kind, port, start) as pid:
            kill(pid, before + 2)
        with process(kind, port, start):
            over.wait()

    over = threading.Event()
    servers = threading.Thread(target=restart)
    servers.start()
    try:
        found, _ = served(path, settings(url, steps=8, away_seconds=120.0), start)
    finally:
        over.set()
        servers.join()
    assert found.step == 8
    assert [step for step, _ in rows(path)] == list(range(1, 9))
    assert all(value <= 1e-4 for _, value in rows(path, "mismatch_max"))
    assert all(value == 0 for _, value in rows(path, "faults"))
