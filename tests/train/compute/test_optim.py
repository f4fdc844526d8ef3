"""One update: AdamW and its schedule by the papers' formulas, clipping, and gradients refused."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from regreen.core.errors import UsageError
from regreen.model import SHAPES, Decoder
from regreen.train.compute.optim import OptimConfig, Optimiser, decayed

SMALL = SHAPES["1m"].model_copy(
    update={"vocab_size": 32, "hidden_size": 16, "num_hidden_layers": 4, "num_experts": 2}
)


def a_model() -> Decoder:
    torch.manual_seed(1)
    return Decoder(SMALL)


def give_gradients(model: torch.nn.Module, seed: int, scale: float = 1.0) -> None:
    generator = torch.Generator().manual_seed(seed)
    for parameter in model.parameters():
        parameter.grad = scale * torch.randn(parameter.shape, generator=generator).to(parameter)


def test_three_steps_are_those_of_the_papers_formula() -> None:
    """Algorithm 2 of 1711.05101, written out in float64, on both kinds of parameters."""
    model, config = a_model().double(), OptimConfig(learning_rate=1e-2, max_grad_norm=0.5)
    names = ["embedding.weight", "norm.weight", "layers.0.mixer.a_log"]
    expected = {name: model.get_parameter(name).detach().clone() for name in names}
    first, second = ({name: torch.zeros_like(w) for name, w in expected.items()} for _ in "12")
    optimiser = Optimiser(model, config)
    one, two = config.betas
    for step in range(1, 4):
        give_gradients(model, step)
        whole = math.sqrt(sum(float(p.grad.square().sum()) for p in model.parameters()))  # type: ignore[union-attr]
        for name, weight in expected.items():
            gradient = model.get_parameter(name).grad.double() * (0.5 / whole)  # type: ignore[union-attr]
            first[name] = one * first[name] + (1 - one) * gradient
            second[name] = two * second[name] + (1 - two) * gradient**2
            change = first[name] / (1 - one**step)
            change = change / ((second[name] / (1 - two**step)).sqrt() + config.epsilon)
            decay = 0.0 if name.endswith("a_log") else config.weight_decay
            expected[name] = weight * (1 - 1e-2 * decay) - 1e-2 * change
        update = optimiser.apply()
        assert update.applied
        assert update.grad_norm == pytest.approx(whole, rel=1e-12)
    for name, weight in expected.items():
        torch.testing.assert_close(model.get_parameter(name).detach(), weight)


def test_decay_spares_what_is_neutral_elsewhere_and_takes_centred_norms() -> None:
    config = SMALL.model_copy(update={"num_nextn_predict_layers": 1})
    spared = {name for name, _, on in decayed(Decoder(config)) if not on}
    kinds = {name.split(".")[-1] if "mixer.norm" not in name else "gated norm" for name in spared}
    assert kinds == {"a_log", "dt_bias", "gated norm"}
    taken = {name for name, _, on in decayed(Decoder(config)) if on}
    assert {"norm.weight", "layers.3.mixer.q_norm.weight", "layers.0.mixer.conv"} <= taken
    assert "next_token.hidden_norm.weight" in taken


def test_a_gradient_below_the_limit_is_not_scaled() -> None:
    models = [a_model(), a_model()]
    for model, limit in zip(models, (1e9, math.inf), strict=True):
        give_gradients(model, 5)
        Optimiser(model, OptimConfig(learning_rate=0.1, max_grad_norm=limit)).apply()
    pairs = zip(*(model.parameters() for model in models), strict=True)
    assert all(torch.equal(one, other) for one, other in pairs)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_gradient_that_is_not_finite_changes_nothing_and_is_named(value: float) -> None:
    model = a_model()
    optimiser = Optimiser(model, OptimConfig(learning_rate=0.1))
    give_gradients(model, 0)
    optimiser.apply()
    weights = [parameter.detach().clone() for parameter in model.parameters()]
    moments = {n: {k: t.clone() for k, t in m.items()} for n, m in _moments(optimiser).items()}
    give_gradients(model, 1)
    model.get_parameter("layers.2.middle_norm.weight").grad[3] = value  # type: ignore[index]
    update = optimiser.apply()
    assert (update.applied, update.refused) == (False, "layers.2.middle_norm.weight")
    assert not math.isfinite(update.grad_norm)
    assert (optimiser.step_number, optimiser.num_refused) == (1, 1)
    assert all(torch.equal(a, b) for a, b in zip(weights, model.parameters(), strict=True))
    for name, own in _moments(optimiser).items():
        assert all(torch.equal(own[kind], moments[name][kind]) for kind in own)
    assert all(parameter.grad is None for parameter in model.parameters())
    give_gradients(model, 1)
    assert optimiser.apply().applied


def test_gradients_too_large_for_float32_squares_are_clipped_not_refused() -> None:
    model = a_model()
    give_gradients(model, 0, scale=1e30)
    update = Optimiser(model, OptimConfig(learning_rate=1e-3)).apply()
    assert update.applied
    assert update.grad_norm > 1e30
    assert all(bool(parameter.isfinite().all()) for parameter in model.parameters())


def test_without_any_gradient_nothing_is_applied() -> None:
    model = a_model()
    optimiser = Optimiser(model, OptimConfig())
    update = optimiser.apply()
    assert (update.applied, update.refused, update.grad_norm) == (False, "", 0.0)
    assert (optimiser.step_number, optimiser.num_refused) == (0, 0)


@pytest.mark.parametrize("nought", [True, False])
def test_a_parameter_without_gradient_stays_whether_it_is_none_or_nought(nought: bool) -> None:
    model = a_model()
    optimiser = Optimiser(model, OptimConfig(learning_rate=0.1))
    give_gradients(model, 0)
    unused = model.get_parameter("layers.1.input_norm.weight")
    unused.grad = torch.zeros_like(unused) if nought else None
    unused.data.fill_(1.0)
    optimiser.apply()
    assert torch.equal(unused, torch.ones_like(unused))
    assert float(_moments(optimiser)["layers.1.input_norm.weight"]["step"]) == 0.0


def test_a_frozen_parameter_is_no_part_of_it() -> None:
    model = a_model()
    model.embedding.requires_grad_(False)
    optimiser = Optimiser(model, OptimConfig())
    assert "embedding.weight" not in _moments(optimiser)
    model.requires_grad_(False)
    with pytest.raises(UsageError, match="no parameter to train"):
        Optimiser(model, OptimConfig())


def test_a_state_goes_on_bit_for_bit() -> None:
    config = OptimConfig(learning_rate=1e-2, schedule="cosine", steps=6, warm_up=2)
    straight, broken = a_model(), a_model()
    one, two = Optimiser(straight, config), Optimiser(broken, config)
    for step in range(6):
        if step == 3:
            state, two = two.state_dict(), Optimiser(broken, config)
            two.load_state_dict(state)
        rates = []
        for model, optimiser in ((straight, one), (broken, two)):
            give_gradients(model, step)
            rates.append(optimiser.apply().lr)
        assert rates[0] == rates[1] == config.rate(step)
    pairs = zip(straight.parameters(), broken.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


def test_a_state_of_another_model_is_refused() -> None:
    other = Decoder(SMALL.model_copy(update={"num_hidden_layers": 3}))
    with pytest.raises(UsageError, match="of another model"):
        Optimiser(a_model(), OptimConfig()).load_state_dict(
            Optimiser(other, OptimConfig()).state_dict()
        )


@settings(max_examples=60, deadline=None)
@given(
    schedule=st.sampled_from(["constant", "linear", "cosine"]),
    warm_up=st.integers(0, 20),
    rest=st.integers(1, 50),
    final=st.floats(0.0, 1.0),
)
def test_a_schedule_rises_then_falls_to_its_end(
    schedule: Any, warm_up: int, rest: int, final: float
) -> None:
    steps = warm_up + rest
    config = OptimConfig(
        learning_rate=2.0, schedule=schedule, warm_up=warm_up, steps=steps, final_share=final
    )
    rates = [config.rate(step) for step in range(steps + 3)]
    assert rates[: warm_up + 1] == pytest.approx(
        [2.0 * (step + 1) / warm_up for step in range(warm_up)] + [2.0]
    )
    falling = rates[warm_up:]
    assert all(a >= b - 1e-12 for a, b in pairwise(falling))
    end = 2.0 if schedule == "constant" else 2.0 * final
    assert rates[steps:] == pytest.approx([end] * 3)


def test_half_way_a_cosine_and_a_line_have_half() -> None:
    for schedule in ("cosine", "linear"):
        config = OptimConfig(learning_rate=1.0, schedule=schedule, steps=10, final_share=0.2)
        assert config.rate(5) == pytest.approx(0.6)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"schedule": "cosine"}, "needs steps"),
        ({"warm_up": 5, "steps": 5}, "leaves nothing"),
        ({"betas": (0.9, 1.0)}, "below 1"),
        ({"learning_rate": 0.0}, "greater than 0"),
        ({"max_grad_norm": 0.0}, "greater than 0"),
        ({"momentum": 0.9}, "Extra inputs"),
    ],
)
def test_a_configuration_that_cannot_be_is_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        OptimConfig(**changes)


def _moments(optimiser: Optimiser) -> dict[str, dict[str, torch.Tensor]]:
    found: dict[str, dict[str, torch.Tensor]] = optimiser.state_dict()["moments"]
    return found
