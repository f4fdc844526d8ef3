"""Rotary positions against complex numbers, and YaRN against the paper's formulas.

The comparison with transformers stands in `test_parity`.
"""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from regreen.model.config import ModelConfig, Yarn
from regreen.model.rope import Rotations, attention_factor, inverse_frequencies, rotate
from regreen.model.shapes import SHAPES

PUBLISHED = SHAPES["80b"]
YARNS = {
    "the published card's": Yarn(factor=4.0, original_max_position_embeddings=262_144),
    "factor 2": Yarn(factor=2.0, original_max_position_embeddings=262_144),
    "other betas": Yarn(
        factor=8.0, original_max_position_embeddings=32_768, beta_fast=64.0, beta_slow=2.0
    ),
    "not rounded": Yarn(factor=4.0, original_max_position_embeddings=262_144, truncate=False),
    "a given factor": Yarn(
        factor=4.0, original_max_position_embeddings=4096, attention_factor=1.25
    ),
}


def by_the_paper(config: ModelConfig, yarn: Yarn) -> list[float]:
    """Equations 14 to 17 and 23 of 2309.00071, pair by pair, in Python's floats.

    The paper's ramp runs over the number of rotations r, from `beta_slow` to `beta_fast`; every
    implementation since runs it over the dimension at which r is reached, as its code did.
    """
    dims, base, context = (
        config.rotary_dim,
        config.rope_theta,
        yarn.original_max_position_embeddings,
    )

    def dimension(rotations: float) -> float:  # where context / wavelength = rotations
        return dims / 2 * math.log(context / (2 * math.pi * rotations)) / math.log(base)

    low, high = dimension(yarn.beta_fast), dimension(yarn.beta_slow)
    if yarn.truncate:
        low, high = math.floor(low), math.ceil(high)
    low, high = max(low, 0), min(high, dims - 1)
    frequencies = []
    for pair in range(dims // 2):
        theta = base ** (-2 * pair / dims)
        stays = 1 - min(max((pair - low) / (high - low), 0.0), 1.0)
        frequencies.append((1 - stays) * theta / yarn.factor + stays * theta)
    return frequencies


@pytest.mark.parametrize("name", YARNS)
def test_frequencies_are_those_of_the_paper(name: str) -> None:
    yarn = YARNS[name]
    config = PUBLISHED.model_copy(update={"yarn": yarn})
    found = inverse_frequencies(config)

    assert found.dtype == torch.float32
    assert found.tolist() == pytest.approx(by_the_paper(config, yarn), rel=2e-6)
    if yarn.attention_factor is None:
        assert attention_factor(yarn) == pytest.approx(0.1 * math.log(yarn.factor) + 1.0)
        # sqrt(1/t) of queries and of keys: attention is scaled by 1/t, section 3.4
    else:
        assert attention_factor(yarn) == yarn.attention_factor


@pytest.mark.parametrize("name", YARNS)
def test_fast_pairs_stay_and_slow_pairs_are_divided(name: str) -> None:
    yarn = YARNS[name]
    plain = inverse_frequencies(PUBLISHED)
    found = inverse_frequencies(PUBLISHED.model_copy(update={"yarn": yarn}))
    turns = yarn.original_max_position_embeddings * plain / (2 * math.pi)
    step = float(plain[0] / plain[1])  # from one pair to the next: rounding is outwards

    fast, slow = turns > yarn.beta_fast * step, turns < yarn.beta_slow / step
    assert fast.any()
    assert slow.any()
    assert torch.allclose(found[fast], plain[fast], rtol=1e-6)
    assert torch.allclose(found[slow], plain[slow] / yarn.factor, rtol=1e-6)
    assert (found <= plain).all()
    assert (found >= plain / yarn.factor * (1 - 1e-6)).all()


def test_without_yarn_frequencies_are_plain() -> None:
    wanted = [5e6 ** (-pair / 32) for pair in range(32)]

    assert PUBLISHED.rotary_dim == 64
    assert inverse_frequencies(PUBLISHED).tolist() == pytest.approx(wanted, rel=2e-6)
    assert attention_factor(None) == 1.0


def test_a_ramp_without_width_is_a_step() -> None:
    yarn = Yarn(factor=4.0, original_max_position_embeddings=8, truncate=False)
    found = inverse_frequencies(PUBLISHED.model_copy(update={"yarn": yarn}))

    assert found.isfinite().all()
    assert torch.allclose(found[1:], inverse_frequencies(PUBLISHED)[1:] / 4.0)


@given(
    width=st.sampled_from((4, 6, 16)),
    half=st.integers(1, 2),
    factor=st.sampled_from((1.0, 1.14)),
    gradients=st.booleans(),
)
def test_pairs_turn_as_complex_numbers_and_the_rest_stays(
    width: int, half: int, factor: float, gradients: bool
) -> None:
    torch.manual_seed(width)
    x_NHW = torch.randn(5, 3, width, dtype=torch.float64)
    positions_N = torch.tensor([0, 1, 2, 500, 7])
    inverse_R = torch.tensor([1.0, 0.125][:half], dtype=torch.float64)
    rotations = Rotations(positions_N, inverse_R, factor, torch.float64)
    with torch.set_grad_enabled(gradients):
        found = rotate(x_NHW, rotations)

    pairs = torch.complex(x_NHW[..., :half], x_NHW[..., half : 2 * half])
    angles = (positions_N[:, None] * inverse_R)[:, None]
    turned = pairs * torch.polar(torch.full_like(angles, factor), angles)
    assert torch.allclose(found[..., :half], turned.real, rtol=0, atol=1e-13)
    assert torch.allclose(found[..., half : 2 * half], turned.imag, rtol=0, atol=1e-13)
    assert found[..., 2 * half :].equal(x_NHW[..., 2 * half :])


def test_the_backward_is_that_of_finite_differences() -> None:
    x_NHW = torch.randn(4, 2, 6, dtype=torch.float64, requires_grad=True)
    inverse_R = torch.tensor([1.0, 0.1], dtype=torch.float64)
    rotations = Rotations(torch.arange(4), inverse_R, 1.2, torch.float64)

    assert torch.autograd.gradcheck(lambda x: rotate(x, rotations), (x_NHW,))


def test_products_depend_on_the_distance_only() -> None:
    torch.manual_seed(0)
    query, key = torch.randn(2, 1, 1, 8, dtype=torch.float64)
    inverse_R = torch.tensor([1.0, 0.1, 0.01], dtype=torch.float64)

    def product(first: int, second: int) -> float:
        places = torch.tensor([first, second])
        rotations = Rotations(places, inverse_R, 1.0, torch.float64)
        q, k = rotate(torch.cat((query, key)), rotations)
        return float((q * k).sum())

    assert product(9, 4) == pytest.approx(product(105, 100), rel=1e-12)
    assert product(9, 4) != pytest.approx(product(9, 5), rel=1e-3)
