"""Gated attention against the formula with a whole mask, in float64."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from regreen.model.attention import GatedAttention
from regreen.model.borders import Borders
from regreen.model.rope import Rotations, inverse_frequencies
from regreen.model.shapes import SHAPES

length = st.one_of(st.integers(1, 4), st.integers(1, 60))
lengths_ = st.one_of(
    st.lists(length, min_size=1, max_size=8),
    st.builds(lambda one, count: [one] * count, length, st.integers(1, 4)),
)
heads_ = st.sampled_from(((1, 1), (4, 2), (6, 1)))


def attention(heads: tuple[int, int]) -> GatedAttention:
    torch.manual_seed(sum(heads))
    queries, keys = heads
    update = {"hidden_size": 12, "head_dim": 8, "num_attention_heads": queries}
    config = SHAPES["1m"].model_copy(update={**update, "num_key_value_heads": keys})
    made = GatedAttention(config).double()
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.normal_(std=0.5)
    made.rotations = lambda borders: Rotations(  # type: ignore[assignment]
        borders.positions_N, inverse_frequencies(config).double(), 1.1, torch.float64
    )
    return made


def plain(layer: GatedAttention, x_TD: Tensor, rotations: Rotations) -> Tensor:
    """One document: every pair of tokens, the future masked."""
    q, gate, k, v = (x_TD @ layer.in_proj.weight).split(layer.sizes, dim=-1)

    def prepare(x: Tensor, heads: int, weight: Tensor) -> Tensor:
        x = x.unflatten(-1, (heads, 8))
        x = x / (x.pow(2).mean(-1, keepdim=True) + 1e-6).sqrt() * (1.0 + weight)
        cos, sin = rotations.cos_N1R, rotations.sin_N1R
        half = cos.shape[-1]
        a, b, rest = x[..., :half], x[..., half : 2 * half], x[..., 2 * half :]
        return torch.cat((a * cos - b * sin, b * cos + a * sin, rest), dim=-1)

    group = layer.heads // layer.key_heads
    q = prepare(q, layer.heads, layer.q_norm.weight)
    k = prepare(k, layer.key_heads, layer.k_norm.weight).repeat_interleave(group, 1)
    v = v.unflatten(-1, (layer.key_heads, 8)).repeat_interleave(group, 1)
    scores = torch.einsum("thw,shw->hts", q, k) / math.sqrt(8)
    future = torch.ones(len(x_TD), len(x_TD), dtype=torch.bool).triu(1)
    weights = scores.masked_fill(future, -math.inf).softmax(-1)
    out = torch.einsum("hts,shw->thw", weights, v).flatten(1)
    return out * gate.sigmoid() @ layer.out_proj.weight


@settings(max_examples=20)
@given(lengths=lengths_, heads=heads_)
def test_each_document_attends_to_itself_with_its_gradients(
    lengths: list[int], heads: tuple[int, int]
) -> None:
    layer, borders = attention(heads), Borders(tuple(lengths))
    x_ND = torch.randn(sum(lengths), 12, dtype=torch.float64, requires_grad=True)
    rotations = layer.rotations(borders)
    found = layer(x_ND, borders, rotations)
    wanted = torch.cat(
        [plain(layer, x_TD, layer.rotations(Borders((len(x_TD),)))) for x_TD in x_ND.split(lengths)]
    )
    assert torch.allclose(found, wanted, rtol=0, atol=1e-11)
    leaves, back = (x_ND, *layer.parameters()), torch.randn_like(found)
    for one, other in zip(
        torch.autograd.grad(found, leaves, back),
        torch.autograd.grad(wanted, leaves, back),
        strict=True,
    ):
        assert torch.allclose(one, other, rtol=1e-9, atol=1e-9)


def test_buckets_of_other_lengths_do_not_touch() -> None:
    lengths = (20, 3, 19, 1, 18, 60)
    layer, borders = attention((4, 2)), Borders(lengths)
    x_ND = torch.randn(sum(lengths), 12, dtype=torch.float64)
    clean = layer(x_ND, borders, layer.rotations(borders))
    for number, start in enumerate(borders.starts):
        at = slice(start, start + lengths[number])
        spoilt = x_ND.clone()
        spoilt[at] = float("nan")
        found = layer(spoilt, borders, layer.rotations(borders))
        assert found[at].isnan().all()
        assert found[: at.start].equal(clean[: at.start])
        assert found[at.stop :].equal(clean[at.stop :])


@pytest.mark.parametrize("bias", [-1e3, 1e3])
def test_the_gate_closes_and_opens(bias: float) -> None:
    layer, borders = attention((1, 1)), Borders((9,))
    with torch.no_grad():
        layer.in_proj.weight[0, 8:16] = bias  # the gate's columns, of an input that is one
    x_ND = torch.randn(9, 12, dtype=torch.float64)
    x_ND[:, 0] = 1.0
    found = layer(x_ND, borders, layer.rotations(borders))

    assert bool(found.abs().max() < 1e-12) == (bias < 0)
