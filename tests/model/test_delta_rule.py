"""The chunked delta rule against the recurrence it stands for, token by token in float64."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from regreen.model.borders import Borders
from regreen.model.chunks import from_chunks, to_chunks
from regreen.model.delta_rule import chunked_delta_rule, delta_rule_step, unit_lower_inverse

CPU = torch.device("cpu")
WIDTHS = (4, 3)
"""Of keys and values."""
Inputs = tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]


def recurrence(inputs: Inputs, lengths: Sequence[int]) -> tuple[Tensor, Tensor]:
    """The formula of the module, one token after another."""
    q_NGK, k_NGK, v_NHV, beta_NH, g_NH, states_BHKV = inputs
    group = v_NHV.shape[1] // k_NGK.shape[1]
    q_NHK, k_NHK = (x.repeat_interleave(group, 1) for x in (q_NGK, k_NGK))
    outs, ends, token = [], [], 0
    for document, length in enumerate(lengths):
        state_HKV = states_BHKV[document]
        for _ in range(length):
            state_HKV = state_HKV * g_NH[token].exp()[:, None, None]
            seen_HV = torch.einsum("hkv,hk->hv", state_HKV, k_NHK[token])
            change_HV = beta_NH[token][:, None] * (v_NHV[token] - seen_HV)
            state_HKV = state_HKV + torch.einsum("hk,hv->hkv", k_NHK[token], change_HV)
            outs.append(torch.einsum("hkv,hk->hv", state_HKV, q_NHK[token]))
            token += 1
        ends.append(state_HKV)
    return torch.stack(outs), torch.stack(ends)


def chunked(inputs: Inputs, lengths: Sequence[int], size: int) -> tuple[Tensor, Tensor]:
    """The same on the flat run, by way of chunks, states in the order of the documents."""
    q_NGK, k_NGK, v_NHV, beta_NH, g_NH, states_BHKV = inputs
    chunks = Borders(tuple(lengths)).chunks(size, CPU)
    order = torch.tensor(chunks.order)
    out_MHCV, final = chunked_delta_rule(
        *(to_chunks(x, chunks) for x in (q_NGK, k_NGK, v_NHV)),
        *(to_chunks(x[..., None], chunks, clear=True)[..., 0] for x in (beta_NH, g_NH)),
        states_BHKV[order],
        chunks.running,
    )
    return from_chunks(out_MHCV, chunks), final[order.argsort()]


def stepped(inputs: Inputs, lengths: Sequence[int]) -> tuple[Tensor, Tensor]:
    """The same by the step of decoding, whose queries are not scaled yet."""
    q_NGK, k_NGK, v_NHV, beta_NH, g_NH, states_BHKV = inputs
    group = v_NHV.shape[1] // k_NGK.shape[1]
    q_NHK = q_NGK.repeat_interleave(group, 1) * WIDTHS[0] ** 0.5
    k_NHK, states = k_NGK.repeat_interleave(group, 1), states_BHKV.clone()
    outs, token = [], 0
    for document, length in enumerate(lengths):
        for _ in range(length):
            at = slice(token, token + 1)
            state = states[document : document + 1]
            outs.append(
                delta_rule_step(q_NHK[at], k_NHK[at], v_NHV[at], beta_NH[at], g_NH[at], state)
            )
            token += 1
    return torch.cat(outs), states


def draw(lengths: Sequence[int], heads: tuple[int, int], seed: int, kind: str) -> Inputs:
    generator = torch.Generator().manual_seed(seed)
    (groups, values), (key, value), count = heads, WIDTHS, sum(lengths)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    k_NGK = functional.normalize(normal(count, groups, key), dim=-1)
    beta_NH = torch.rand(count, values, generator=generator, dtype=torch.float64)
    g_NH = -torch.rand(count, values, generator=generator, dtype=torch.float64)
    if kind == "extreme decays":
        which = torch.randint(4, g_NH.shape, generator=generator)
        g_NH = torch.tensor([0.0, -50.0, -0.01, -1e-6], dtype=torch.float64)[which]
    elif kind == "strong decays":
        g_NH = g_NH * 20.0
    elif kind == "beta 0 or 1":
        beta_NH = beta_NH.round()
    elif kind == "one key":
        k_NGK = k_NGK[:1].expand_as(k_NGK).contiguous()
        beta_NH, g_NH = torch.ones_like(beta_NH), g_NH * 0.0
    elif kind == "opposite keys":
        sign = (torch.arange(count) % 2 * 2 - 1)[:, None, None]
        k_NGK = k_NGK[:1] * sign
        beta_NH = torch.ones_like(beta_NH)
    states = normal(len(lengths), values, key, value)
    q_NGK = normal(count, groups, key) * key**-0.5
    return q_NGK, k_NGK, normal(count, values, value), beta_NH, g_NH, states


KINDS = (
    "plain",
    "extreme decays",
    "strong decays",
    "beta 0 or 1",
    "one key",
    "opposite keys",
)
length = st.one_of(st.sampled_from((1, 15, 16, 17, 32, 33)), st.integers(1, 40))


@settings(max_examples=25)
@given(
    lengths=st.lists(length, min_size=1, max_size=4),
    heads=st.sampled_from(((1, 1), (2, 4), (1, 3))),
    size=st.sampled_from((1, 16, 32)),
    kind=st.sampled_from(KINDS),
    seed=st.integers(0, 999),
)
def test_chunks_steps_and_the_recurrence_are_one_rule(
    lengths: list[int], heads: tuple[int, int], size: int, kind: str, seed: int
) -> None:
    inputs = draw(lengths, heads, seed, kind)
    outs_NHV, states = recurrence(inputs, lengths)

    for found_NHV, ends in (chunked(inputs, lengths, size), stepped(inputs, lengths)):
        assert torch.allclose(found_NHV, outs_NHV, rtol=1e-10, atol=1e-10)
        assert torch.allclose(ends, states, rtol=1e-10, atol=1e-10)


@settings(max_examples=15)
@given(
    lengths=st.lists(length, min_size=1, max_size=4),
    heads=st.sampled_from(((1, 1), (2, 4))),
    size=st.sampled_from((16, 32)),
    kind=st.sampled_from(KINDS),
    seed=st.integers(0, 999),
)
def test_the_hand_written_backward_is_that_of_the_recurrence(
    lengths: list[int], heads: tuple[int, int], size: int, kind: str, seed: int
) -> None:
    inputs = draw(lengths, heads, seed, kind)
    for x in inputs:
        x.requires_grad_()
    one, other = chunked(inputs, lengths, size), recurrence(inputs, lengths)
    torch.manual_seed(seed)
    back = tuple(torch.randn_like(x) for x in other)

    for found, wanted in zip(
        torch.autograd.grad(one, inputs, back),
        torch.autograd.grad(other, inputs, back),
        strict=True,
    ):
        scale = max(1.0, float(wanted.abs().max()))
        assert (found - wanted).abs().max() <= 1e-9 * scale


@pytest.mark.parametrize("kind", ["plain", "strong decays", "one key"])
def test_the_backward_is_that_of_finite_differences(kind: str) -> None:
    lengths = (3, 1, 5)
    inputs = draw(lengths, (1, 2), 1, kind)
    for x in inputs:
        x.requires_grad_()

    def rule(*inputs: Tensor) -> tuple[Tensor, Tensor]:
        q, k, v, beta, g, states = inputs
        return chunked((q, k, v, beta, g, states), lengths, 2)

    assert torch.autograd.gradcheck(rule, inputs)


@pytest.mark.parametrize("kind", KINDS)
def test_float32_stays_close_to_float64(kind: str) -> None:
    lengths = (200, 64, 1, 33)
    inputs = draw(lengths, (1, 2), 3, kind)
    narrow = tuple(x.float() for x in inputs)
    wide = tuple(x.double() for x in narrow)  # the same numbers, computed better
    wanted, states = recurrence(wide, lengths)  # type: ignore[arg-type]
    for size in (16, 32, 64):
        found, ends = chunked(narrow, lengths, size)  # type: ignore[arg-type]
        assert (found - wanted).abs().max() <= 2e-5 * max(1.0, float(wanted.abs().max()))
        assert (ends - states).abs().max() <= 2e-5 * max(1.0, float(states.abs().max()))


@pytest.mark.parametrize("strong", [20.0, 160.0])
def test_a_strong_decay_does_not_blur_those_behind_it(strong: float) -> None:
    """Sums of decays reach thousands, and what counts are their differences of hundredths."""
    lengths = (256,)
    q, k, v, beta, g, states = (x.float() for x in draw(lengths, (1, 2), 4, "plain"))
    g = torch.where(g < -0.5, strong * g, 0.02 * g)
    inputs = (q, k, v, beta, g, states)
    wanted, _ = recurrence(tuple(x.double() for x in inputs), lengths)  # type: ignore[arg-type]
    for size in (16, 64):
        found, _ = chunked(inputs, lengths, size)
        assert (found - wanted).abs().max() <= 1e-6 * wanted.abs().max()


def test_a_pad_neither_writes_nor_forgets() -> None:
    lengths = (17,)
    inputs = draw(lengths, (1, 1), 5, "plain")
    _, whole = chunked(inputs, lengths, 32)
    _, exact = chunked(inputs, lengths, 1)

    assert torch.allclose(whole, exact, rtol=0, atol=1e-13)


@settings(max_examples=30)
@given(
    size=st.sampled_from((1, 2, 8, 16, 32, 64)),
    kind=st.sampled_from(("normal", "ones", "minus ones", "alternating", "large", "zero")),
    seed=st.integers(0, 99),
)
def test_a_unit_triangle_times_its_inverse_is_one(size: int, kind: str, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    lower = torch.randn(2, 3, size, size, generator=generator, dtype=torch.float64)
    if kind in {"ones", "minus ones"}:  # what identical keys, never forgotten, make
        lower = torch.full_like(lower, 1.0 if kind == "ones" else -1.0)
    elif kind == "alternating":
        lower = lower.sign()
    elif kind == "large":
        lower *= 30.0
    elif kind == "zero":
        lower *= 0.0
    lower = lower.tril(-1)
    inverse = unit_lower_inverse(lower)
    eye = torch.eye(size, dtype=torch.float64)

    assert inverse.triu(1).eq(0.0).all()
    assert inverse.diagonal(dim1=-2, dim2=-1).eq(1.0).all()
    residual = (eye + lower) @ inverse - eye
    scale = (eye + lower).abs() @ inverse.abs()  # of the terms that cancel
    assert (residual.abs() <= 1e-12 * scale + 1e-300).all()
