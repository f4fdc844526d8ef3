"""What is said before a run against what the model, the optimiser and the process really hold."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from regreen.core.clock import SystemClock
from regreen.core.console import Console
from regreen.core.errors import UsageError
from regreen.model import SHAPES, Borders, Decoder
from regreen.model.config import ModelConfig
from regreen.packing import CostModel
from regreen.train.compute import forward
from regreen.train.compute.optim import OptimConfig, Optimiser
from regreen.train.compute.recompute import recompute
from regreen.train.estimate import memory as module
from regreen.train.estimate import rates as rates_module
from regreen.train.estimate.activations import activations
from regreen.train.estimate.memory import Rates, Run, estimate, show
from regreen.train.estimate.rates import measure

SMALL = SHAPES["1m"].model_copy(update={"vocab_size": 32})


def saved_for_backward(model: Decoder, lengths: list[int]) -> float:
    """Bytes of a token that wait for the backward, weights left out."""
    weights = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    held: dict[int, tuple[int, Tensor]] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            held[storage.data_ptr()] = (storage.nbytes(), tensor)
        return tensor

    tokens_BT = torch.randint(0, model.config.vocab_size, (1, sum(lengths)))
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        output = model(tokens_BT, borders=Borders(tuple(lengths)), chosen=slice(0, 0))
    assert output.hidden_ND.requires_grad
    return sum(size for size, _ in held.values()) / sum(lengths)


@pytest.mark.parametrize("lengths", [[512], [300, 212], [64] * 8], ids=["one", "two", "eight"])
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"num_experts": 0},
        {"layer_types": ("full_attention",) * 4},
        {"num_attention_heads": 8, "hidden_size": 64, "num_experts_per_tok": 4},
        {"linear_num_value_heads": 8, "linear_key_head_dim": 16},
    ],
)
def test_what_waits_for_the_backward_is_within_a_sixth(
    changes: dict[str, Any], lengths: list[int]
) -> None:
    config = SMALL.model_copy(update=changes)
    said = sum(activations(config))
    assert said == pytest.approx(saved_for_backward(Decoder(config), lengths), rel=1 / 6)


@pytest.mark.slow  # what computes them twice loads a compiler of torch: seconds
def test_layers_computed_twice_keep_what_enters_them_and_give_the_same_gradients() -> None:
    torch.manual_seed(0)
    model = Decoder(SMALL)
    again = recompute(Decoder(SMALL))
    again.load_state_dict(model.state_dict())
    kept = saved_for_backward(again, [512])
    assert kept < saved_for_backward(model, [512]) / 8
    assert kept == pytest.approx(6 * SMALL.hidden_size * 4, rel=0.02)
    tokens_BT = torch.randint(0, 32, (2, 30))
    for one in (model, again):
        output = one(tokens_BT)
        (output.logits.square().sum() + output.routings[0].probability_NE.max()).backward()
    for (name, one_of), other in zip(model.named_parameters(), again.parameters(), strict=True):
        assert one_of.grad is not None, name
        assert torch.equal(one_of.grad, other.grad), name  # type: ignore[arg-type]


def held(config: ModelConfig, **changes: Any) -> dict[str, int]:
    run = Run(**{"micro_tokens": 1000, "predicted": 500, **changes})
    return {line.what: line.bytes for line in estimate(config, run).lines}


def test_weights_and_moments_are_those_of_the_model() -> None:
    model, said = Decoder(SMALL), held(SMALL)
    size = sum(parameter.numel() * 4 for parameter in model.parameters())
    moments = Optimiser(model, OptimConfig()).state_dict()["moments"].values()
    assert said["weights"] == said["gradients"] == size
    assert said["moments of AdamW"] == sum(
        own[kind].numel() * 4 for own in moments for kind in ("exp_avg", "exp_avg_sq")
    )


def test_ranks_share_what_is_cut_and_nothing_else() -> None:
    one, eight = held(SMALL), held(SMALL, ranks=8)
    for name in ("weights", "gradients", "moments of AdamW"):
        assert eight[name] == pytest.approx(one[name] / 8, rel=1e-3)
    assert eight["activations"] == one["activations"]
    assert "layers put together" not in one
    assert eight["layers put together"] > 0


def test_what_is_not_asked_for_is_no_line() -> None:
    plain = held(SMALL)
    assert set(plain) == {
        "weights", "gradients", "moments of AdamW", "activations", "work of a layer", "logits",
    }  # fmt: skip
    full = held(SMALL, live=4, context=100, engines=2, frozen_copies=1)
    assert full["weights of engines"] == 2 * full["weights"] == 2 * full["frozen copies"]
    longer = held(SMALL, live=4, context=200)["rollouts' memory"] - full["rollouts' memory"]
    heads = SMALL.num_key_value_heads * SMALL.head_dim
    assert longer == 4 * 100 * 2 * heads * 4  # four rollouts, keys and values of one layer
    assert held(SMALL, compute_bytes=2)["activations"] < plain["activations"]


def test_logits_are_bounded_as_the_scores_bound_them() -> None:
    assert module._LOGITS == forward._LOGITS
    big = SMALL.model_copy(update={"vocab_size": 100_000})
    assert held(big, predicted=1)["logits"] == 100_000 * 16
    assert held(big, predicted=900)["logits"] == held(big, predicted=800)["logits"]


def test_the_published_shape_needs_many_ranks() -> None:
    config = SHAPES["80b"]
    run = Run(micro_tokens=131_072, predicted=65_536, compute_bytes=2, recompute=True, ranks=1)
    found = estimate(config, run)
    assert found.bytes > 16 * 79_000_000_000
    assert {line.what for line in found.lines} >= {"weights", "activations"}


def test_time_follows_the_rates() -> None:
    run = Run(
        micro_tokens=10, predicted=10, ranks=2, tokens_per_step=1000, sampled_per_step=300, steps=7
    )
    found = estimate(SMALL, run, Rates(100.0, 30.0, "given"))
    assert (found.train_seconds, found.sample_seconds) == (5.0, 10.0)
    assert found.seconds == (70.0, 105.0)
    assert estimate(SMALL, run).seconds is None
    alone = estimate(SMALL, run, Rates(train=100.0, update=1.5))
    assert alone.seconds == (45.5, 45.5)


def test_an_estimate_is_a_table_and_json() -> None:
    stdout = io.StringIO()
    run = Run(micro_tokens=10, predicted=10, tokens_per_step=100, steps=3)
    found = estimate(SMALL, run, Rates(10.0, None, "given"))
    show(found, Console(stdout=stdout, stderr=io.StringIO()))
    text = stdout.getvalue()
    assert "moments of AdamW" in text
    assert "training: 10 seconds a step (given)" in text
    assert "3 steps: 30 seconds" in text
    parsed = json.loads(json.dumps(found.as_json()))
    assert parsed["bytes"] == sum(line["bytes"] for line in parsed["lines"]) == found.bytes


@pytest.mark.parametrize("changes", [{"micro_tokens": 0}, {"ranks": 0}, {"compute_bytes": 3}])
def test_what_is_no_run_is_refused(changes: dict[str, int]) -> None:
    with pytest.raises(UsageError, match="cannot estimate"):
        Run(**{"micro_tokens": 1, "predicted": 1, **changes})


def test_rates_are_measured_and_leave_no_gradient() -> None:
    model = Decoder(SMALL)
    run = Run(micro_tokens=16, predicted=8, live=2, context=34, engines=1)
    threads = torch.get_num_threads()
    rates = measure(model, run, SystemClock(), seconds=0.01)
    assert rates.train is not None
    assert rates.sample is not None
    assert min(rates.train, rates.sample, rates.update) > 0
    assert torch.get_num_threads() == threads
    assert all(parameter.grad is None for parameter in model.parameters())
    untold = measure(model, Run(micro_tokens=4, predicted=4), SystemClock(), seconds=0.0)
    assert untold.sample is None


def test_long_sequences_are_measured_by_shorter_ones() -> None:
    model = Decoder(SMALL)
    long = Run(micro_tokens=1 << 20, predicted=1 << 20, sequence=1 << 20)
    assert rates_module._lengths(long) == [rates_module._MOST]
    cost, whole = CostModel.of(SMALL), 1 << 20
    part = cost.linear + cost.quadratic * rates_module._MOST
    left = part / (cost.linear + cost.quadratic * whole)
    assert rates_module._longer(model, long) == pytest.approx(left)
    short = Run(micro_tokens=100, predicted=50, sequence=30)
    assert rates_module._lengths(short) == [30, 30, 30]
    assert rates_module._longer(model, short) == 1.0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("shape", "again", "lengths"),
    [
        ("5m", False, [4096]),
        ("5m", True, [8192]),
        ("23m", False, [2048]),
        ("1m", False, [64] * 128),
    ],
)
def test_the_largest_memory_of_a_step_is_as_said_within_a_quarter(
    shape: str, again: bool, lengths: list[int]
) -> None:
    """Against the process's own count; freed blocks go back at once, as a GPU's allocator does."""
    script = Path(__file__).with_name("peak_job.py")
    environ = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "65536"}
    arguments = [shape, "again" if again else "once", *map(str, lengths)]
    done = subprocess.run(
        [sys.executable, str(script), *arguments], env=environ, capture_output=True, check=True
    )
    run = Run(micro_tokens=sum(lengths), predicted=sum(lengths), recompute=again)
    assert estimate(SHAPES[shape], run).bytes == pytest.approx(int(done.stdout), rel=0.25)
