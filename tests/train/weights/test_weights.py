"""Weights handed to an engine: bit for bit, whole or not at all, by a folder and past the disk."""

from __future__ import annotations

import itertools
import resource
import runpy
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from regreen.core.errors import InfrastructureError, RegreenError, UsageError
from regreen.model import SHAPES, Decoder
from regreen.model.checkpoint import load_checkpoint
from regreen.train.compute.parallel import World
from regreen.train.weights.broadcast import BroadcastSender, _buckets, receive
from regreen.train.weights.meeting import Meeting
from regreen.train.weights.sender import FileSender, fill, newest

SCRIPT = Path(__file__).parents[1] / "parallel_job.py"
SMALL = SHAPES["1m"].model_copy(
    update={"vocab_size": 32, "hidden_size": 16, "num_hidden_layers": 4, "num_experts": 2}
)


def a_model(seed: int = 1, dtype: torch.dtype = torch.float32, **changes: Any) -> Decoder:
    torch.manual_seed(seed)
    return Decoder(SMALL.model_copy(update=changes)).to(dtype)


def same(one: Decoder, other: Decoder) -> bool:
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    return port


def test_a_folder_holds_a_version_and_is_found(tmp_path: Path) -> None:
    model, sender = a_model(), FileSender(tmp_path, beside={"vocabulary.json": b"{}"})
    assert newest(tmp_path / "none") is None
    for version in (1, 2, 3):
        at = sender.send(model, version)
    assert newest(tmp_path) == (3, at)
    assert same(load_checkpoint(at), model)
    assert (at / "vocabulary.json").read_bytes() == b"{}"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["version-000002", "version-000003"]


def test_a_version_sent_again_is_replaced_and_half_a_one_is_not_seen(tmp_path: Path) -> None:
    sender, other = FileSender(tmp_path), a_model(seed=2)
    sender.send(a_model(), 5)
    (tmp_path / ".writing-version-000006").mkdir()
    assert newest(tmp_path) == (5, tmp_path / "version-000005")
    assert same(load_checkpoint(sender.send(other, 5)), other)
    assert [path.name for path in tmp_path.iterdir()] == ["version-000005"]


def test_a_run_that_goes_on_from_an_older_step_keeps_what_it_sends(tmp_path: Path) -> None:
    model, first = a_model(), FileSender(tmp_path)
    for version in (6, 7, 8):
        first.send(model, version)
    second = FileSender(tmp_path)
    assert second.send(model, 2).is_dir()
    assert (tmp_path / "version-000008").is_dir()  # which an engine may hold until it has the new
    for version in (3, 4):
        second.send(model, version)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["version-000003", "version-000004"]


def test_a_full_disk_leaves_the_version_before(tmp_path: Path) -> None:
    model, sender = a_model(), FileSender(tmp_path)
    at = sender.send(model, 1)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        with pytest.raises(InfrastructureError, match="too large"):
            sender.send(a_model(seed=2), 2)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert newest(tmp_path) == (1, at)
    assert same(load_checkpoint(at), model)


def test_a_model_is_filled_in_place_in_its_own_type(tmp_path: Path) -> None:
    source, target = a_model(), a_model(seed=2, dtype=torch.bfloat16)
    at = FileSender(tmp_path, dtype=torch.float64).send(source, 1)
    kept = target.embedding.weight
    fill(target, at)
    assert target.embedding.weight is kept
    assert same(target, a_model(dtype=torch.bfloat16))


@pytest.mark.parametrize(
    ("changes", "said"),
    [({"num_experts": 4}, "num_experts is 2, not 4"), ({"vocab_size": 33}, "vocab_size is 32")],
)
def test_weights_of_another_model_change_nothing(
    tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    at = FileSender(tmp_path).send(a_model(), 1)
    target = a_model(seed=2, **changes)
    with pytest.raises(UsageError, match=said):
        fill(target, at)
    assert same(target, a_model(seed=2, **changes))
    (at / "model.safetensors").write_bytes(b"")
    with pytest.raises(UsageError, match="not a whole safetensors file"):
        fill(a_model(), at)


@settings(max_examples=60, deadline=None)
@given(sizes=st.lists(st.integers(0, 30), max_size=12), bucket=st.integers(1, 40))
def test_buckets_hold_every_number_once_in_order(sizes: list[int], bucket: int) -> None:
    found = list(_buckets(sizes, bucket))
    numbers = [(i, n) for pieces in found for i, a, b in pieces for n in range(a, b)]
    assert numbers == [(i, n) for i, size in enumerate(sizes) for n in range(size)]
    filled = [sum(b - a for _, a, b in pieces) for pieces in found]
    assert all(size == bucket for size in filled[:-1])
    assert all(0 < size <= bucket for size in filled)


def met(*works: Callable[[Meeting], Any], seconds: float = 20.0) -> list[Any]:
    """What each side of a meeting returned or raised, each in a thread of its own."""
    port, found = free_port(), [None] * len(works)

    def side(rank: int) -> None:
        try:
            with Meeting("127.0.0.1", port, rank, len(works), timeout_seconds=seconds) as meeting:
                found[rank] = works[rank](meeting)
        except RegreenError as error:
            found[rank] = error  # type: ignore[call-overload]

    threads = [threading.Thread(target=side, args=(rank,)) for rank in range(len(works))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


@pytest.mark.parametrize("bucket_bytes", [5000, 1 << 20])
def test_two_engines_receive_bit_for_bit(bucket_bytes: int) -> None:
    source, targets = (
        a_model(num_nextn_predict_layers=1),
        [a_model(seed=seed, num_nextn_predict_layers=1) for seed in (2, 3)],
    )

    def trainer(meeting: Meeting) -> None:
        sender = BroadcastSender(meeting, bucket_bytes=bucket_bytes)
        for version in (7, 8):
            sender.send(source, version)

    engines = [
        lambda meeting, model=model: [receive(meeting, model) for _ in "12"] for model in targets
    ]
    assert met(trainer, *engines)[1:] == [[7, 8], [7, 8]]
    assert all(same(source, target) for target in targets)


def test_weights_travel_in_sixteen_bits_where_asked() -> None:
    target = a_model(seed=2, dtype=torch.bfloat16)
    met(
        lambda meeting: BroadcastSender(meeting, dtype=torch.bfloat16).send(a_model(), 1),
        lambda meeting: receive(meeting, target),
    )
    assert same(target, a_model(dtype=torch.bfloat16))


def test_an_engine_of_another_model_is_told_and_so_is_the_trainer() -> None:
    target = a_model(seed=2, hidden_size=32)
    sent, got = met(
        lambda meeting: BroadcastSender(meeting).send(a_model(), 1),
        lambda meeting: receive(meeting, target),
    )
    assert isinstance(sent, UsageError)
    assert isinstance(got, UsageError)
    assert same(target, a_model(seed=2, hidden_size=32))


def test_a_side_that_never_comes_is_said() -> None:
    with pytest.raises(InfrastructureError, match="gone or silent"):
        Meeting("127.0.0.1", free_port(), 0, 2, timeout_seconds=1.0)


def test_an_engine_that_leaves_is_said_to_the_trainer() -> None:
    sent, _ = met(
        lambda meeting: BroadcastSender(meeting).send(a_model(), 1), lambda meeting: None, seconds=5
    )
    assert isinstance(sent, InfrastructureError)


RECEIVER = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from test_weights import SMALL, a_model
from regreen.train.weights.broadcast import receive
from regreen.train.weights.meeting import Meeting
from regreen.train.weights.sender import FileSender
model = a_model(seed=5, num_experts=3)
with Meeting("127.0.0.1", int(sys.argv[2]), 1, 2, timeout_seconds=60.0) as meeting:
    version = receive(meeting, model)
FileSender(Path(sys.argv[3])).send(model, version)
"""


@pytest.mark.slow
def test_two_trainers_of_shards_send_to_an_engine_of_its_own_process(tmp_path: Path) -> None:
    port = free_port()
    here = str(Path(__file__).parents[1])
    receiver = [sys.executable, "-c", RECEIVER, here, str(port), str(tmp_path / "received")]
    with subprocess.Popen(receiver) as engine:
        (tmp_path / "port").write_text(str(port))
        trainers = [sys.executable, str(SCRIPT), "send", str(tmp_path), "2"]
        subprocess.run(trainers, check=True, timeout=120)
        assert engine.wait(60) == 0
    received = load_checkpoint(tmp_path / "received" / "version-000004")
    written = load_checkpoint(tmp_path / "sent" / "version-000004")
    job = runpy.run_path(str(SCRIPT))
    model, optimiser = job["fresh"](World(), narrow=True)
    job["one_step"](World(), model, optimiser, 0)
    assert same(received, written)
    pairs = itertools.zip_longest(received.parameters(), model.parameters())
    assert all(torch.allclose(one, other, atol=1e-4) for one, other in pairs)
