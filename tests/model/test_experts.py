"""Experts by groups against the sum that defines them: every expert on every token, masked."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from regreen.model.experts import Experts, Groups

Problem = tuple[Experts, Tensor, Tensor, Tensor]


def masked(experts: Experts, x_ND: Tensor, index_NK: Tensor, share_NK: Tensor) -> Tensor:
    """The sum over all experts, those not chosen times zero."""
    num_experts = len(experts.gate_up_proj)
    chosen_NKE = functional.one_hot(index_NK, num_experts).to(x_ND.dtype)
    weight_NE = (share_NK[..., None] * chosen_NKE).sum(1)
    both = torch.einsum("nd,edj->nej", x_ND, experts.gate_up_proj)
    gate, up = both.chunk(2, dim=-1)
    out_NED = torch.einsum("nei,eid->ned", functional.silu(gate) * up, experts.down_proj)
    return (weight_NE[..., None] * out_NED).sum(1)


def problem(
    count: int, num_experts: int, top_k: int, sizes: tuple[int, int], *, skew: bool = False
) -> Problem:
    torch.manual_seed(count + 31 * num_experts + top_k)
    width, inner = sizes
    experts = Experts(num_experts, width, inner).double()
    with torch.no_grad():
        experts.gate_up_proj.normal_()
        experts.down_proj.normal_()
    x_ND = torch.randn(count, width, dtype=torch.float64, requires_grad=True)
    liking = torch.rand(count, num_experts) + (torch.arange(num_experts) if skew else 0.0)
    index_NK = liking.topk(top_k).indices
    share_NK = torch.rand(count, top_k, dtype=torch.float64, requires_grad=True)
    return experts, x_ND, index_NK, share_NK


sizes = st.sampled_from(((5, 3), (8, 8), (140, 130)))
"""Widths of the stream and of an expert; the last is large enough for the path by groups."""


@settings(max_examples=25)
@given(
    count=st.one_of(st.integers(1, 5), st.sampled_from((63, 64, 65, 90))),
    choice=st.sampled_from(((1, 1), (4, 2), (8, 8), (64, 3), (70, 2))),
    sizes=sizes,
    skew=st.booleans(),
)
def test_every_path_is_the_masked_sum(
    count: int, choice: tuple[int, int], sizes: tuple[int, int], skew: bool
) -> None:
    experts, x_ND, index_NK, share_NK = problem(count, *choice, sizes, skew=skew)
    with torch.no_grad():
        wanted = masked(experts, x_ND, index_NK, share_NK)
        scale = float(wanted.abs().max())
        assert (experts(x_ND, index_NK, share_NK) - wanted).abs().max() <= 1e-12 * scale
        narrow = experts.float()(x_ND.float(), index_NK, share_NK.float())
        assert (narrow - wanted).abs().max() <= 1e-5 * scale
    assert (narrow - experts(x_ND.float(), index_NK, share_NK.float())).abs().max() <= 1e-5 * scale


@settings(max_examples=20)
@given(
    count=st.integers(1, 40),
    choice=st.sampled_from(((1, 1), (4, 2), (30, 3))),
    skew=st.booleans(),
)
def test_gradients_are_those_of_the_masked_sum(
    count: int, choice: tuple[int, int], skew: bool
) -> None:
    experts, x_ND, index_NK, share_NK = problem(count, *choice, (6, 5), skew=skew)
    leaves = (x_ND, share_NK, *experts.parameters())
    one, other = (f(x_ND, index_NK, share_NK) for f in (experts, lambda *a: masked(experts, *a)))
    back = torch.randn_like(one)

    for found, wanted in zip(
        torch.autograd.grad(one, leaves, back),
        torch.autograd.grad(other, leaves, back),
        strict=True,
    ):
        assert torch.allclose(found, wanted, rtol=1e-10, atol=1e-10)


def test_gradients_are_those_of_finite_differences() -> None:
    experts, x_ND, index_NK, share_NK = problem(4, 3, 2, (3, 2))

    def compute(x_ND: Tensor, share_NK: Tensor, gate_up: Tensor, down: Tensor) -> Tensor:
        parameters = {"gate_up_proj": gate_up, "down_proj": down}
        return torch.func.functional_call(experts, parameters, (x_ND, index_NK, share_NK))

    leaves = (x_ND, share_NK, experts.gate_up_proj, experts.down_proj)
    assert torch.autograd.gradcheck(compute, leaves)


@pytest.mark.parametrize("count", [1, 2, 16, 65])
def test_as_many_experts_as_the_published_shape(count: int) -> None:
    experts, x_ND, index_NK, share_NK = problem(count, 512, 10, (16, 8))
    wanted = masked(experts, x_ND, index_NK, share_NK)
    with torch.no_grad():
        plain = experts(x_ND, index_NK, share_NK)
    trained = experts(x_ND, index_NK, share_NK)
    trained.sum().backward()

    assert torch.allclose(plain, wanted, rtol=1e-10, atol=1e-10)
    assert torch.allclose(trained, wanted, rtol=1e-10, atol=1e-10)
    gradient = experts.down_proj.grad
    assert gradient is not None
    used = torch.zeros(512, dtype=torch.bool)
    used[index_NK.flatten()] = True
    assert gradient[~used].eq(0.0).all()
    assert gradient[used].flatten(1).ne(0.0).any(1).all()


@given(
    index=st.lists(
        st.lists(st.integers(0, 6), min_size=2, max_size=2, unique=True), min_size=1, max_size=300
    )
)
def test_groups_sort_assignments_by_expert_and_then_by_token(index: list[list[int]]) -> None:
    groups = Groups(torch.tensor(index), 7)
    pairs = sorted((expert, token) for token, both in enumerate(index) for expert in both)
    flat = [expert for both in index for expert in both]

    assert groups.token_S.tolist() == [token for _, token in pairs]
    assert [flat[place] for place in groups.order_S.tolist()] == [expert for expert, _ in pairs]
    assert [(expert, at.stop - at.start) for expert, at in groups.spans()] == [
        (expert, flat.count(expert)) for expert in sorted(set(flat))
    ]


def test_a_broken_token_breaks_no_other() -> None:
    for count in (3, 70):
        for gradients in (False, True):
            experts, x_ND, index_NK, share_NK = problem(count, 4, 4, (8, 8))
            spoilt = x_ND.detach().clone()
            spoilt[1] = float("nan")
            with torch.set_grad_enabled(gradients):
                found, clean = (experts(x, index_NK, share_NK) for x in (spoilt, x_ND))
            assert found[1].isnan().all()
            others = torch.arange(count) != 1
            assert found[others].equal(clean[others])
