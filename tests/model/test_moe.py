"""The sparse part: routing against plain operations, replayed routing, the balancing loss."""

from __future__ import annotations

from functools import cache

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from regreen.model.borders import Borders
from regreen.model.decoder import Decoder
from regreen.model.moe import Routing, SparseFeedForward, balance_loss
from regreen.model.shapes import SHAPES

SMALL = SHAPES["1m"].model_copy(
    update={
        "vocab_size": 64,
        "hidden_size": 32,
        "moe_intermediate_size": 12,
        "shared_expert_intermediate_size": 20,
        "initializer_range": 0.05,
    }
)


@cache
def part(normalise: bool = True) -> SparseFeedForward:
    torch.manual_seed(0)
    made = SparseFeedForward(SMALL.model_copy(update={"norm_topk_prob": normalise})).double()
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.normal_(std=0.3)
    return made


@torch.no_grad()
def plain(sparse: SparseFeedForward, x_D: Tensor, *, normalise: bool) -> Tensor:
    """One token, expert by expert."""

    def feed(x_D: Tensor, gate_up: Tensor, down: Tensor) -> Tensor:
        gate, up = (x_D @ gate_up).chunk(2)
        return functional.silu(gate) * up @ down

    logits = x_D @ sparse.router.weight
    shares = logits[:-1].softmax(0)
    best = sorted(range(len(shares)), key=lambda expert: -float(shares[expert]))[: sparse.top_k]
    total = sum(float(shares[expert]) for expert in best) if normalise else 1.0
    experts, shared = sparse.experts, sparse.shared_expert
    out_D = feed(x_D, shared.gate_up_proj.weight, shared.down_proj.weight) * logits[-1].sigmoid()
    for expert in best:
        own = feed(x_D, experts.gate_up_proj[expert], experts.down_proj[expert])
        out_D = out_D + own * shares[expert] / total
    return out_D


@pytest.mark.parametrize("normalise", [True, False])
@pytest.mark.parametrize("gradients", [True, False])
def test_a_token_takes_its_best_experts_and_the_shared_one(
    normalise: bool, gradients: bool
) -> None:
    x_ND = torch.randn(20, 32, dtype=torch.float64)
    with torch.set_grad_enabled(gradients):
        found, routing = part(normalise)(x_ND)
    for row, x_D in enumerate(x_ND):
        wanted = plain(part(normalise), x_D, normalise=normalise)
        assert torch.allclose(found[row], wanted, rtol=0, atol=1e-12)
    chosen = routing.probability_NE.gather(1, routing.index_NK)
    assert chosen.diff(dim=1).le(0.0).all()
    assert torch.allclose(routing.probability_NE.sum(1), torch.ones(20, dtype=torch.float64))


def test_replayed_experts_act_with_the_shares_the_router_gives_them() -> None:
    x_ND = torch.randn(9, 32, dtype=torch.float64)
    own, routing = part()(x_ND)
    again, replayed = part()(x_ND, routing.index_NK)
    other_NK = (routing.index_NK + 1) % SMALL.num_experts
    other, _ = part()(x_ND, other_NK)

    assert torch.equal(own, again)
    assert replayed.index_NK is routing.index_NK
    assert not torch.allclose(own, other)


@settings(max_examples=10)
@given(lengths=st.lists(st.integers(1, 40), min_size=1, max_size=4), seed=st.integers(0, 99))
def test_replay_reproduces_outputs_and_gradients(lengths: list[int], seed: int) -> None:
    torch.manual_seed(seed)
    mixed = SMALL.model_copy(update={"mlp_only_layers": (1, 3)})
    decoder, borders = Decoder(mixed), Borders(tuple(lengths))
    tokens_BT = torch.randint(64, (1, sum(lengths)))
    first = decoder(tokens_BT, borders=borders)
    chosen = [routing.index_NK for routing in first.routings]
    assert len(chosen) == 2
    second = decoder(tokens_BT, borders=borders, replay=chosen)
    back = torch.randn_like(first.logits)
    parameters = list(decoder.parameters())
    one, other = (
        torch.autograd.grad(output.logits, parameters, back) for output in (first, second)
    )

    assert torch.equal(first.logits, second.logits)
    assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def test_replay_keeps_the_experts_of_weights_that_have_moved() -> None:
    torch.manual_seed(3)
    decoder, tokens_BT = Decoder(SMALL), torch.randint(64, (2, 30))
    chosen = [routing.index_NK for routing in decoder(tokens_BT).routings]
    with torch.no_grad():
        for parameter in decoder.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    moved = decoder(tokens_BT).routings
    replayed = decoder(tokens_BT, replay=chosen).routings

    assert any(not r.index_NK.equal(c) for r, c in zip(moved, chosen, strict=True))
    assert all(r.index_NK.equal(c) for r, c in zip(replayed, chosen, strict=True))


def test_experts_of_too_few_or_too_many_layers_are_refused() -> None:
    decoder, tokens_BT = Decoder(SMALL), torch.randint(64, (1, 5))
    chosen = [routing.index_NK for routing in decoder(tokens_BT).routings]
    for wrong in ([], chosen[:-1], [*chosen, chosen[0]]):
        with pytest.raises(ValueError, match=f"experts of {len(wrong)} layers to replay"):
            decoder(tokens_BT, replay=wrong)


def even(layers: int, dtype: torch.dtype) -> list[Routing]:
    index_NK = torch.arange(16).view(8, 2) % 8
    probability_NE = torch.full((8, 8), 1 / 8, dtype=dtype)
    return [Routing(index_NK, probability_NE)] * layers


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_even_use_costs_as_much_as_experts_act_and_one_expert_more(dtype: torch.dtype) -> None:
    routings = even(3, dtype)
    one = torch.zeros(8, 8, dtype=dtype)
    one[:, 0] = 1.0
    same = Routing(torch.tensor([[0, 1]] * 8), one)

    assert float(balance_loss(routings)) == pytest.approx(2.0)
    assert float(balance_loss([same])) == pytest.approx(8.0)
    assert balance_loss(routings).dtype == dtype


@settings(max_examples=20)
@given(count=st.integers(2, 30), layers=st.integers(1, 3), seed=st.integers(0, 99))
def test_tokens_that_do_not_count_are_as_if_left_out(count: int, layers: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    routings, kept = [], []
    counted_N = torch.randint(2, (count,), generator=generator)
    counted_N[0] = 1
    for _ in range(layers):
        probability_NE = torch.rand(count, 6, generator=generator).softmax(-1)
        index_NK = probability_NE.topk(2).indices
        routings.append(Routing(index_NK, probability_NE))
        rows = counted_N.bool()
        kept.append(Routing(index_NK[rows], probability_NE[rows]))

    found, wanted = balance_loss(routings, counted_N), balance_loss(kept)
    assert float(found) == pytest.approx(float(wanted), rel=1e-5)


def test_what_no_token_asks_for_costs_nothing() -> None:
    assert float(balance_loss([])) == 0.0
    assert float(balance_loss(even(2, torch.float32), torch.zeros(8))) == 0.0


def test_a_step_along_the_gradient_evens_the_use() -> None:
    torch.manual_seed(0)
    sparse = part()
    x_ND = torch.randn(200, 32, dtype=torch.float64)
    _, routing = sparse(x_ND)
    loss = balance_loss([routing])
    (gradient,) = torch.autograd.grad(loss, sparse.router.weight)
    with torch.no_grad():
        probability_NE = (x_ND @ (sparse.router.weight - 0.1 * gradient))[:, :-1].softmax(-1)

    assert gradient[:, -1].eq(0.0).all()  # the shared expert's gate is no part of it
    stepped = balance_loss([Routing(routing.index_NK, probability_NE)])
    assert stepped.item() < loss.item()
