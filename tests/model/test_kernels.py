"""The bindings of optional kernels: their conventions on the CPU, and themselves where a GPU is.

The kernel of the delta rule needs a GPU; on the CPU a recurrence with the same arguments stands in
for it, so that the order of heads, documents and states is tested everywhere.
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from regreen.model.borders import Borders
from regreen.model.chunks import from_chunks, to_chunks
from regreen.model.decoder import Decoder
from regreen.model.delta_rule import chunked_delta_rule
from regreen.model.experts import Experts, Groups
from regreen.model.kernels import (
    GroupedProducts,
    fused_delta_rule,
    groups_fit,
    scan_documents,
)
from regreen.model.shapes import SHAPES

Inputs = tuple[Tensor, Tensor, Tensor, Tensor, Tensor]
"""Queries, keys, values, beta and the logarithm of the decay."""

on_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
grouped = pytest.mark.skipif(
    not hasattr(functional, "grouped_mm"), reason="this torch has no grouped_mm"
)


def test_nothing_optional_is_imported_on_a_cpu() -> None:
    code = (
        "import sys, torch\n"
        "from regreen.model.decoder import Decoder\n"
        "from regreen.model.shapes import SHAPES\n"
        "model = Decoder(SHAPES['1m'])\n"
        "model(torch.arange(20)[None]).logits.sum().backward()\n"
        "found = {name.split('.')[0] for name in sys.modules}\n"
        "print(found & {'fla', 'triton', 'causal_conv1d', 'einops', 'transformers'})\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_a_cpu_and_a_float32_model_take_plain_operations() -> None:
    for dtype in (torch.float32, torch.bfloat16):
        x = torch.zeros(8, 8, dtype=dtype)
        assert fused_delta_rule(x) is None
        assert not groups_fit(x, x[None])


@pytest.mark.parametrize(
    ("dtype", "width", "fits"),
    [
        (torch.bfloat16, 16, True),
        (torch.bfloat16, 12, False),
        (torch.float32, 16, False),
    ],
)
@grouped
def test_groups_fit_where_rows_are_aligned(dtype: torch.dtype, width: int, fits: bool) -> None:
    x_SA = torch.zeros(3, 8, dtype=dtype, device="meta")
    weight_EAB = torch.zeros(2, 8, width, dtype=dtype, device="meta")
    assert groups_fit(x_SA, weight_EAB) is fits
    assert groups_fit(x_SA, weight_EAB.mT) is fits


choices = st.tuples(st.integers(1, 9), st.integers(1, 3), st.integers(1, 40))
"""Experts beyond those of a token, experts of a token, tokens."""


@grouped
@settings(max_examples=15)
@given(choice=choices)
def test_grouped_products_are_those_of_the_loop(choice: tuple[int, int, int]) -> None:
    spare, per_token, count = choice
    torch.manual_seed(97 * spare + 7 * per_token + count)
    experts = Experts(spare + per_token, 8, 4)
    with torch.no_grad():
        experts.gate_up_proj.normal_()
        experts.down_proj.normal_()
    x_ND = torch.randn(count, 8, requires_grad=True)
    share_NK = torch.rand(count, per_token, requires_grad=True)
    index_NK = torch.rand(count, spare + per_token).topk(per_token).indices
    leaves = (x_ND, share_NK, *experts.parameters())
    back_ND = torch.randn(count, 8)

    loop, launch = (
        experts.by_groups(x_ND, index_NK, share_NK, on_device=on_device)
        for on_device in (False, True)
    )
    assert torch.allclose(launch, loop, rtol=1e-5, atol=1e-5)
    for found, wanted in zip(
        torch.autograd.grad(launch, leaves, back_ND),
        torch.autograd.grad(loop, leaves, back_ND),
        strict=True,
    ):
        assert torch.allclose(found, wanted, rtol=1e-5, atol=1e-4)


@grouped
def test_grouped_products_in_bfloat16_round_like_one_product_each() -> None:
    torch.manual_seed(0)
    groups = Groups(torch.tensor([[2, 0], [0, 2], [2, 5]]), 6)
    products = GroupedProducts(groups)
    x_SA = torch.randn(6, 16).bfloat16()
    weight_EAB = torch.randn(6, 16, 24).bfloat16()
    out_SB = products.multiply(x_SA, weight_EAB)
    outer_EAB = products.outer(x_SA, out_SB)

    assert groups.ends_E.dtype == torch.int32
    assert groups.ends_E.tolist() == [2, 2, 5, 5, 5, 6]
    assert torch.equal(products.multiply(x_SA, weight_EAB.mT.contiguous().mT), out_SB)
    for expert, at in groups.spans():
        assert torch.allclose(out_SB[at], x_SA[at] @ weight_EAB[expert], rtol=0.02, atol=0.02)
        wanted = x_SA[at].float().t() @ out_SB[at].float()
        assert torch.allclose(outer_EAB[expert].float(), wanted, rtol=0.02, atol=0.1)
    assert not outer_EAB[[1, 3, 4]].any()


def recurrence(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    g: Tensor,
    beta: Tensor,
    *,
    scale: float,
    initial_state: Tensor | None,
    output_final_state: bool,
    cu_seqlens: Tensor,
    cu_seqlens_cpu: Tensor,
) -> tuple[Tensor, Tensor | None]:
    """What flash-linear-attention documents for `chunk_gated_delta_rule`, token by token."""
    assert cu_seqlens.dtype == cu_seqlens_cpu.dtype == torch.int32
    assert q.dtype == k.dtype == v.dtype
    group = v.shape[2] // q.shape[2]
    q, k = (x.repeat_interleave(group, 2) for x in (q, k))
    outs, finals = [], []
    ends = cu_seqlens_cpu.tolist()
    for document, (begin, end) in enumerate(pairwise(ends)):
        state = v.new_zeros(v.shape[2], q.shape[3], v.shape[3], dtype=g.dtype)
        if initial_state is not None:
            state = initial_state[document]
        for token in range(begin, end):
            state = state * g[0, token].exp()[:, None, None]
            change = v[0, token] - torch.einsum("hkv,hk->hv", state, k[0, token].to(g.dtype))
            change = change * beta[0, token][:, None]
            state = state + k[0, token][..., None] * change[:, None]
            outs.append(torch.einsum("hkv,hk->hv", state, q[0, token].to(g.dtype)) * scale)
        finals.append(state)
    out = torch.stack(outs)[None].to(q.dtype)
    return out, torch.stack(finals) if output_final_state else None


def heads(count: int, shape: tuple[int, int, int, int], device: str = "cpu") -> Inputs:
    generator = torch.Generator().manual_seed(count)
    key_heads, value_heads, key, value = shape

    def normal(*size: int) -> Tensor:
        return torch.randn(*size, generator=generator, dtype=torch.float64)

    q, k = (functional.normalize(normal(count, key_heads, key), dim=-1) for _ in range(2))
    v, beta = normal(count, value_heads, value), normal(count, value_heads).sigmoid()
    g = -normal(count, value_heads).exp()
    q, k, v, beta, g = (x.to(device) for x in (q * key**-0.5, k, v, beta, g))
    return q, k, v, beta, g


def chunked(inputs: Inputs, borders: Borders, state_BHKV: Tensor | None) -> tuple[Tensor, Tensor]:
    """Ours, states in the order of the documents."""
    q, k, v, beta, g = inputs
    chunks = borders.chunks(16, q.device)
    order = torch.tensor(chunks.order, device=q.device)
    if state_BHKV is None:
        state_BHKV = v.new_zeros(len(order), v.shape[1], k.shape[2], v.shape[2])
    out_MHCV, final = chunked_delta_rule(
        to_chunks(q, chunks),
        to_chunks(k, chunks),
        to_chunks(v, chunks),
        to_chunks(beta[..., None], chunks, clear=True)[..., 0],
        to_chunks(g[..., None], chunks, clear=True)[..., 0],
        state_BHKV[order],
        chunks.running,
    )
    return from_chunks(out_MHCV, chunks), final[order.argsort()]


@pytest.mark.parametrize("lengths", [(3, 40, 1), (16, 16), (7,)])
@pytest.mark.parametrize("shape", [(2, 4, 8, 6), (3, 3, 4, 4)])
def test_documents_and_states_are_bound_in_order(
    lengths: tuple[int, ...], shape: tuple[int, int, int, int]
) -> None:
    borders = Borders(lengths)
    inputs = heads(sum(lengths), shape)
    state_BHKV = torch.randn(len(lengths), *shape[1:], dtype=torch.float64)
    from_zero, _ = chunked(inputs, borders, None)
    wanted, final = chunked(inputs, borders, state_BHKV)
    held = state_BHKV.data_ptr()

    assert torch.allclose(scan_documents(recurrence, *inputs, borders, None), from_zero)
    assert torch.allclose(scan_documents(recurrence, *inputs, borders, state_BHKV), wanted)
    assert torch.allclose(state_BHKV, final)
    assert state_BHKV.data_ptr() == held


def test_a_kernel_is_given_the_same_borders_every_time() -> None:
    borders = Borders((5, 2))
    cumulative = borders.cumulative_on(torch.device("cpu"))

    assert cumulative is borders.cumulative_on(torch.device("cpu"))
    assert cumulative.tolist() == [0, 5, 7]


@on_gpu
@pytest.mark.skipif(importlib.util.find_spec("fla") is None, reason="needs flash-linear-attention")
@pytest.mark.parametrize("lengths", [(3, 200, 1, 64), (128, 128)])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_the_kernel_computes_the_chunked_rule(lengths: tuple[int, ...], dtype: torch.dtype) -> None:
    borders, shape = Borders(lengths), (2, 4, 128, 128)
    q, k, v, beta, g = (x.detach() for x in heads(sum(lengths), shape, "cuda"))
    q, k, v = (x.to(dtype).requires_grad_() for x in (q, k, v))
    beta, g = (x.float().requires_grad_() for x in (beta, g))
    narrow = (q, k, v, beta, g)
    q, k, v, beta, g = (x.detach().double().requires_grad_() for x in narrow)
    exact = (q, k, v, beta, g)
    kernel = fused_delta_rule(narrow[0])
    assert kernel is not None
    out = scan_documents(kernel, *narrow, borders, None)
    wanted, _ = chunked(exact, borders, None)
    back = torch.randn_like(out)
    pairs = [(out, wanted)]
    pairs += zip(
        torch.autograd.grad(out, narrow, back),
        torch.autograd.grad(wanted, exact, back.double()),
        strict=True,
    )
    for found, true in pairs:
        assert (found.double() - true).abs().max() <= 0.03 * true.abs().max()

    state = torch.randn(len(lengths), *shape[1:], device="cuda")
    with torch.no_grad():
        _, final = chunked(exact, borders, state.double())
        scan_documents(kernel, *narrow, borders, state)
    assert (state.double() - final).abs().max() <= 0.03 * final.abs().max()


@on_gpu
@pytest.mark.parametrize("lengths", [(5, 70, 1), (64, 64)])
def test_a_gpu_computes_what_the_cpu_does(lengths: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    model, tokens = Decoder(SHAPES["1m"]).double(), torch.randint(0, 512, (1, sum(lengths)))
    wanted = model(tokens, borders=Borders(lengths))
    wanted.logits.logsumexp(-1).sum().backward()
    gradients = [parameter.grad for parameter in model.parameters()]
    model.zero_grad()
    model = model.cuda()
    replay = [routing.index_NK.cuda() for routing in wanted.routings]
    found = model(tokens.cuda(), borders=Borders(lengths))
    found.logits.logsumexp(-1).sum().backward()

    assert torch.allclose(found.logits.cpu(), wanted.logits, atol=1e-9)
    for parameter, true in zip(model.parameters(), gradients, strict=True):
        assert parameter.grad is not None
        assert true is not None
        assert torch.allclose(parameter.grad.cpu(), true, rtol=1e-6, atol=1e-9)
    model = model.bfloat16()
    narrow = model(tokens.cuda(), borders=Borders(lengths), replay=replay)
    narrow.logits.float().logsumexp(-1).sum().backward()
    assert (narrow.logits.float().cpu() - wanted.logits).abs().max() <= 0.05
