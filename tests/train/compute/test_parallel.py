"""Two processes train as one: equal losses and weights, faults shared, checkpoints exchanged."""

from __future__ import annotations

import itertools
import os
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from regreen.core.errors import UsageError
from regreen.packing import CostModel
from regreen.train.compute.parallel import World, joined, reshard, shard, split, world
from regreen.train.weights.state import Checkpoints

SCRIPT = Path(__file__).parents[1] / "parallel_job.py"
JOB = runpy.run_path(str(SCRIPT))
ALONE = World()


def torchrun(names: str, folder: Path) -> subprocess.CompletedProcess[str]:
    run = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", str(SCRIPT))
    return ran(*run, names, str(folder))


def ran(*arguments: str) -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, *arguments]
    return subprocess.run(
        command, env=environ, capture_output=True, text=True, timeout=300, check=False
    )


def alone(name: str, folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = JOB["SCENARIOS"][name](ALONE, folder)
    return found


Found = tuple[dict[str, Any], dict[str, Any], Path]
"""What each scenario found by one process and by two, and where the checkpoints are."""


def both(names: tuple[str, ...], folder: Path) -> Found:
    for shape in {"tied", "untied"} & set(names):
        tie = shape == "tied"
        model, optimiser = JOB["fresh"](ALONE, tie_word_embeddings=tie)
        JOB["one_step"](ALONE, model, optimiser, 7)  # moments that are not nought
        Checkpoints(folder / f"1-{tie}", keep=9).save(0, model, optimiser, {"from": "one"})
    done = ran(str(SCRIPT), ",".join(names), str(folder), "2")
    assert done.returncode == 0, done.stderr[-3000:]
    two = {name: torch.load(folder / f"{name}-2.pt", weights_only=False) for name in names}
    return {name: alone(name, folder) for name in names}, two, folder


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> Found:
    return both(("tied", "faults"), tmp_path_factory.mktemp("quick"))


@pytest.fixture(scope="module")
def more(tmp_path_factory: pytest.TempPathFactory) -> Found:
    return both(("untied", "ahead", "narrow", "twice"), tmp_path_factory.mktemp("more"))


def furthest(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> float:
    assert one.keys() == other.keys()
    return max(float((one[name] - other[name]).abs().max()) for name in one)


def check_steps(one: dict[str, Any], two: dict[str, Any]) -> None:
    assert two["extra"] == {"from": "one"}
    assert furthest(one["begin"], two["begin"]) == 0.0
    for mine, theirs in zip(one["steps"], two["steps"], strict=True):
        assert mine["loss"] == pytest.approx(theirs["loss"], abs=1e-9)
        assert mine["norm"] == pytest.approx(theirs["norm"], rel=1e-9)
    assert any(any(step["idle"]) for step in two["steps"])
    assert furthest(one["begin"], one["end"]) > 1e-3
    assert furthest(one["end"], two["end"]) < 1e-9


def check_goes_on_alone(two: dict[str, Any], folder: Path, *, tied: bool) -> None:
    model, optimiser = JOB["fresh"](ALONE, seed=5, tie_word_embeddings=tied)
    store = Checkpoints(folder / f"2-{tied}")
    at = store.latest()
    assert at is not None
    assert store.load(at, model, optimiser) == {"done": 3}
    assert furthest(JOB["whole"](model), two["end"]) == 0.0
    step, end = two["after"]
    mine = JOB["one_step"](ALONE, model, optimiser, 3)
    assert mine["loss"] == pytest.approx(step["loss"], abs=1e-9)
    assert furthest(JOB["whole"](model), end) < 1e-9


def test_three_steps_of_two_processes_are_those_of_one(quick: Found) -> None:
    check_steps(quick[0]["tied"], quick[1]["tied"])


def test_a_checkpoint_of_two_goes_on_in_one(quick: Found) -> None:
    check_goes_on_alone(quick[1]["tied"], quick[2], tied=True)


@pytest.mark.slow
def test_both_hold_of_a_model_with_an_output_matrix(more: Found) -> None:
    check_steps(more[0]["untied"], more[1]["untied"])
    check_goes_on_alone(more[1]["untied"], more[2], tied=False)


def test_a_fault_of_one_rank_is_that_of_all(quick: Found) -> None:
    for found, ranks in ((quick[0], 1), (quick[1], 2)):
        told, same = found["faults"]["told"], found["faults"]["same"]
        assert same
        assert len(told) == ranks
        assert len(set(map(str, told))) == 1
        refused, applied, said, kept = told[0]
        assert (refused, applied) == ("layers.1.input_norm.weight", False)
        assert len(said.splitlines()) == 3
        assert "too large" in said
        assert kept == {"turn": 1}


@pytest.mark.slow
def test_a_rank_without_pairs_takes_part_in_the_next_token_layer(more: Found) -> None:
    assert furthest(more[0]["ahead"]["end"], more[1]["ahead"]["end"]) < 1e-9


@pytest.mark.slow
def test_layers_may_compute_in_sixteen_bits(more: Found) -> None:
    one, two = more[0]["narrow"], more[1]["narrow"]
    assert two["kind"] == "torch.float32"
    for mine, theirs in zip(one["steps"], two["steps"], strict=True):
        assert mine["loss"] != theirs["loss"]
        assert mine["loss"] == pytest.approx(theirs["loss"], rel=0.02)
    assert 0.0 < furthest(one["end"], two["end"]) < 0.05


@pytest.mark.slow
def test_layers_computed_twice_over_cut_weights_give_the_same_steps(more: Found) -> None:
    one, two = more[0]["twice"], more[1]["twice"]
    assert one["steps"][0]["loss"] == pytest.approx(two["steps"][0]["loss"], abs=1e-9)
    assert furthest(one["end"], two["end"]) < 1e-9


@pytest.mark.slow
def test_a_rank_killed_ends_the_job_and_the_next_one_goes_on(tmp_path: Path) -> None:
    ended = torchrun("killed", tmp_path)
    assert ended.returncode != 0
    assert "exitcode  : -9" in ended.stderr
    again = torchrun("killed", tmp_path)
    assert again.returncode == 0, again.stderr[-3000:]
    one, two = alone("killed", tmp_path), torch.load(tmp_path / "killed-2.pt")
    assert furthest(one["end"], two["end"]) < 1e-9
    batches = (tmp_path / "batches-2.txt").read_text().splitlines()
    assert batches.pop(3) == batches[3]  # the batch that was cut short, drawn a second time
    assert batches == (tmp_path / "batches-1.txt").read_text().splitlines()


@pytest.mark.slow
def test_a_rank_that_hangs_is_named_when_the_time_is_up(tmp_path: Path) -> None:
    ended = torchrun("silent", tmp_path)
    assert ended.returncode != 0
    assert "error: another process of the job is gone or silent" in ended.stderr
    assert "where: rank 0 of 2" in ended.stderr


def test_alone_is_a_world_too() -> None:
    with world(device="cpu") as here:
        assert (here.rank, here.size, here.first) == (0, 1, True)
        assert here.sum(1.0, 2.5) == (1.0, 2.5)
        assert here.broadcast({"a": 1}) == {"a": 1}
        assert here.gather(3) == [3]
        here.barrier()
        model, _ = JOB["fresh"](here)
        assert shard(model, here) is model
        reshard(model)
        assert joined() == World()


def test_a_device_that_is_not_there_is_refused() -> None:
    with pytest.raises(UsageError, match="no device 'tpu'"), world(device="tpu"):
        pass


COST = CostModel.of(JOB["SMALL"])


@settings(max_examples=80, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 300), max_size=40),
    num_ranks=st.integers(1, 5),
    capacity=st.integers(1, 200),
)
def test_work_is_split_whole_and_in_step(lengths: list[int], num_ranks: int, capacity: int) -> None:
    shares = split(lengths, num_ranks, capacity=capacity, cost=COST)
    assert len(shares) == num_ranks
    assert len({len(own) for own in shares}) == 1  # every rank is in every collective
    flat = [place for own in shares for places in own for place in places]
    assert sorted(flat) == list(range(len(lengths)))
    for places in itertools.chain(*shares):
        assert list(places) == sorted(places)
        assert len(places) == 1 or sum(lengths[place] for place in places) <= capacity
    assert shares == split(lengths, num_ranks, capacity=capacity, cost=COST)


def test_work_is_balanced() -> None:
    lengths = [400, 390, 210, 200, 190, 110, 100, 100, 95, 5]
    shares = split(lengths, 2, capacity=450, cost=COST)
    loads = [sum(lengths[place] for places in own for place in places) for own in shares]
    assert max(loads) < 1.05 * sum(loads) / 2


@pytest.mark.parametrize("arguments", [([0], 1, 5), ([3], 0, 5), ([3], 1, 0)])
def test_a_split_that_cannot_be_is_refused(arguments: tuple[list[int], int, int]) -> None:
    lengths, num_ranks, capacity = arguments
    with pytest.raises(UsageError, match="cannot split"):
        split(lengths, num_ranks, capacity=capacity, cost=COST)
