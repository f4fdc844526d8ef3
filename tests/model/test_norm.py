"""Norms against their formulas in plain operations, with gradients by finite differences."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from regreen.model.norm import GatedRMSNorm, RMSNorm, l2_normalise, rms_normalise

shapes = st.sampled_from(((5,), (1, 1), (3, 8), (2, 3, 7)))


def root(x: Tensor, eps: float) -> Tensor:
    return (x.pow(2).mean(-1, keepdim=True) + eps).sqrt()


@given(shape=shapes, scale=st.sampled_from((1e-4, 1.0, 1e3)), gradients=st.booleans())
def test_norms_are_their_formulas(shape: tuple[int, ...], scale: float, gradients: bool) -> None:
    torch.manual_seed(sum(shape))
    x = torch.randn(shape, dtype=torch.float64) * scale
    gate = torch.randn_like(x)
    centred, gated = RMSNorm(shape[-1], 1e-6).double(), GatedRMSNorm(shape[-1], 1e-6).double()
    with torch.no_grad():
        centred.weight.normal_()
        gated.weight.normal_()
    with torch.set_grad_enabled(gradients):
        found = (centred(x), gated(x, gate), l2_normalise(x))
    wanted = (
        x / root(x, 1e-6) * (1.0 + centred.weight),
        x / root(x, 1e-6) * gated.weight * functional.silu(gate),
        x / (x.pow(2).sum(-1, keepdim=True) + 1e-6).sqrt(),
    )

    for one, other in zip(found, wanted, strict=True):
        assert torch.allclose(one, other, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 30.0])
def test_backwards_are_those_of_finite_differences(scale: float) -> None:
    torch.manual_seed(0)
    x = (torch.randn(3, 5, dtype=torch.float64) * scale).requires_grad_()
    weight_D = torch.randn(5, dtype=torch.float64, requires_grad=True)

    def normalise(x: Tensor, weight_D: Tensor) -> Tensor:
        return rms_normalise(x, weight_D, 1e-2)

    def length(x: Tensor) -> Tensor:
        return l2_normalise(x, 1e-2)

    assert torch.autograd.gradcheck(normalise, (x, weight_D))
    assert torch.autograd.gradcheck(length, (x,))


def test_nothing_is_divided_by_zero() -> None:
    x = torch.zeros(2, 4, requires_grad=True)
    (rms_normalise(x, torch.ones(4), 1e-6).sum() + l2_normalise(x).sum()).backward()

    assert x.grad is not None
    assert x.grad.isfinite().all()


@pytest.mark.parametrize("gradients", [False, True])
def test_narrow_types_are_normalised_in_float32(gradients: bool) -> None:
    torch.manual_seed(0)
    x = (torch.randn(64, 512) * 100.0).bfloat16().requires_grad_(gradients)
    norm = RMSNorm(512, 1e-6).bfloat16()
    with torch.set_grad_enabled(gradients):
        found = norm(x)
    wide = x.detach().float()

    assert found.dtype == torch.bfloat16
    assert (found.float() - wide / root(wide, 1e-6)).abs().max() <= 2**-8 * 4
    if gradients:
        found.sum().backward()
        assert x.grad is not None
        assert x.grad.dtype == torch.bfloat16
        assert norm.weight.grad is not None
        assert norm.weight.grad.isfinite().all()


def test_a_neutral_weight_is_zero_where_one_is_added_and_one_elsewhere() -> None:
    assert RMSNorm(3, 1e-6).weight.eq(0.0).all()
    assert GatedRMSNorm(3, 1e-6).weight.eq(1.0).all()
