"""The gated delta rule, a matrix-valued memory that is corrected at every token.

Per head, with keys of length one (Yang, Kautz and Hatamizadeh, "Gated Delta Networks", 2412.06464):

    S_t = exp(g_t) S_{t-1} + k_t ⊗ beta_t (v_t - exp(g_t) S_{t-1}ᵀ k_t)        o_t = S_tᵀ q_t

`delta_rule_step` computes exactly this. `chunked_delta_rule` computes the same for whole chunks:
inside a chunk the corrections solve a unit lower triangular system (the UT transform of Yang et
al., 2406.06484), so a chunk costs a few matrix products and the scan has one step per chunk. Its
backward is written by hand: the composed one keeps some twenty arrays per chunk and copies more.

Shapes: M chunks (see `borders.Chunks`), C tokens of a chunk, G key heads, H value heads (a multiple
of G), K and V widths of key and value heads, B documents.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

__all__ = ["chunked_delta_rule", "delta_rule_step", "unit_lower_inverse"]


def unit_lower_inverse(lower: Tensor) -> Tensor:
    """The inverse of I + `lower`, (..., C, C) and strictly lower triangular, C a power of two.

    Halves are inverted and joined by [[A,0],[B,D]]⁻¹ = [[A⁻¹,0],[-D⁻¹BA⁻¹,D⁻¹]]: stable for any
    entries, unlike a power series, and made of batched products.
    """
    size = lower.shape[-1]
    if size <= 16:
        eye = torch.eye(size, dtype=lower.dtype, device=lower.device)
        return torch.linalg.solve_triangular(lower, eye, upper=False, unitriangular=True)
    half = size // 2
    blocks = torch.stack((lower[..., :half, :half], lower[..., half:, half:]))
    first, second = unit_lower_inverse(blocks)
    result = torch.zeros_like(lower)
    result[..., :half, :half] = first
    result[..., half:, half:] = second
    torch.neg(second @ lower[..., half:, :half] @ first, out=result[..., half:, :half])
    return result


def _bmm(left: Tensor, right: Tensor) -> Tensor:
    """Matrix products over two leading dimensions, as one batch."""
    product = torch.bmm(left.flatten(0, 1), right.flatten(0, 1))
    return product.unflatten(0, left.shape[:2])


class _Decay:
    """The decays of a chunk from `g`, the logarithm of each token's decay.

    Exponents stop at -40: what is left, 4e-18, is far below the resolution of float32 beside the
    token's own update, and arithmetic on numbers that underflow costs ten times as much.
    Sums are made in float64: between two tokens behind a strong decay a small difference of large
    sums is left, which float32 has lost (1e-4 of the result for decays of exp(-160)).
    """

    def __init__(self, g_MHC: Tensor) -> None:
        total_MHC = g_MHC.cumsum(-1, dtype=torch.float64)
        coarse_MHC = total_MHC.to(g_MHC.dtype)
        fine_MHC = (total_MHC - coarse_MHC).to(g_MHC.dtype)
        self.from_start = coarse_MHC.clamp(min=-40.0).exp_()[..., None]
        to_end_MHC = (total_MHC[..., -1:] - total_MHC).to(g_MHC.dtype)
        self.to_end = to_end_MHC.clamp_(min=-40.0).exp_()[..., None]
        self.whole = self.from_start[..., -1:, :]
        pair = (coarse_MHC[..., :, None] - coarse_MHC[..., None, :]).tril_()
        pair += fine_MHC[..., :, None] - fine_MHC[..., None, :]
        self.between = pair.clamp_(min=-40.0).exp_().tril_()


class _ChunkedDeltaRule(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        q_MGCK: Tensor,
        k_MGCK: Tensor,
        v_MHCV: Tensor,
        beta_MHC: Tensor,
        g_MHC: Tensor,
        state_BHKV: Tensor,
        running: Sequence[int],
    ) -> tuple[Tensor, Tensor]:
        groups = (k_MGCK.shape[1], v_MHCV.shape[1] // k_MGCK.shape[1])
        decay, beta = _Decay(g_MHC), beta_MHC[..., None]
        q, k = (x.repeat_interleave(groups[1], 1) for x in (q_MGCK, k_MGCK))
        between = decay.between.unflatten(1, groups)
        overlap = (_bmm(k_MGCK, k_MGCK.mT)[:, :, None] * between).flatten(1, 2).tril_(-1)
        reads = (_bmm(q_MGCK, k_MGCK.mT)[:, :, None] * between).flatten(1, 2)
        inverse = unit_lower_inverse(overlap * beta)
        states = v_MHCV.new_empty(*v_MHCV.shape[:2], k.shape[-1], v_MHCV.shape[-1])
        residual, update = torch.empty_like(v_MHCV), torch.empty_like(v_MHCV)
        final = torch.empty_like(state_BHKV)
        state, begin = state_BHKV, 0
        for step, count in enumerate(running):
            at = slice(begin, begin + count)
            states[at] = state
            residual[at] = torch.addcmul(
                v_MHCV[at], _bmm(k[at], state), decay.from_start[at], value=-1
            )
            update[at] = _bmm(inverse[at], residual[at] * beta[at])
            written = _bmm(k[at].mT, update[at] * decay.to_end[at])
            state = torch.addcmul(written, state, decay.whole[at])
            going_on = running[step + 1] if step + 1 < len(running) else 0
            final[going_on:count] = state[going_on:]
            state, begin = state[:going_on], begin + count
        out = _bmm(q, states).mul_(decay.from_start).add_(_bmm(reads, update))
        ctx.save_for_backward(
            q_MGCK, k_MGCK, beta, states, residual, update, overlap, reads, inverse, g_MHC
        )
        ctx.running, ctx.groups = running, groups
        return out, final

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (q_MGCK, k_MGCK, beta, states, residual, update, overlap, reads, inverse, g_MHC) = (
            ctx.saved_tensors
        )
        grad_out, grad_final = grads
        running, groups, decay = ctx.running, ctx.groups, _Decay(g_MHC)
        q, k = (x.repeat_interleave(groups[1], 1) for x in (q_MGCK, k_MGCK))
        inward = grad_out * decay.from_start
        grad_update = _bmm(reads.mT, grad_out)
        grad_states = _bmm(q.mT, inward)
        grad_residual = torch.empty_like(residual)
        grad_next = torch.empty_like(states)
        carried, begin = grad_final[:0], sum(running)
        for count in reversed(running):
            begin -= count
            at = slice(begin, begin + count)
            carried = torch.cat((carried, grad_final[len(carried) : count]))
            grad_next[at] = carried
            grad_update[at] += _bmm(k[at], carried).mul_(decay.to_end[at])
            grad_residual[at] = _bmm(inverse[at].mT, grad_update[at])
            outward = grad_residual[at] * beta[at] * decay.from_start[at]
            carried = torch.addcmul(grad_states[at], carried, decay.whole[at])
            carried -= _bmm(k[at].mT, outward)
        # From here on everything is one product per kind over all chunks.
        grad_beta = (grad_residual * residual).sum(-1)
        grad_overlap = _bmm(grad_residual, update.mT).tril_(-1).neg_()
        grad_v = grad_residual.mul_(beta)
        grad_q = _bmm(inward, states.mT)
        grad_k_read = _bmm(grad_v * decay.from_start, states.mT).neg_()
        grad_k_write = _bmm(update * decay.to_end, grad_next.mT)
        grad_reads = _bmm(grad_out, update.mT)

        grad_beta += (grad_overlap * overlap).sum(-1)
        grad_overlap *= beta
        pairs = grad_reads * reads + grad_overlap * overlap
        written = (grad_k_write * k).sum(-1)
        grad_total = (grad_q * q).sum(-1) + (grad_k_read * k).sum(-1) - written
        grad_total += pairs.sum(-1) - pairs.sum(-2)
        kept = (states * grad_next).sum((-1, -2)) * decay.whole[..., 0, 0]
        grad_total[..., -1] += written.sum(-1) + kept
        grad_g = grad_total.flip(-1).cumsum(-1).flip(-1)

        between = decay.between
        grad_reads, grad_overlap = (
            (grad * between).unflatten(1, groups).sum(2) for grad in (grad_reads, grad_overlap)
        )
        grad_q = grad_q.unflatten(1, groups).sum(2) + _bmm(grad_reads, k_MGCK)
        grad_k = (grad_k_read + grad_k_write).unflatten(1, groups).sum(2)
        grad_k += _bmm(grad_reads.mT, q_MGCK) + _bmm(grad_overlap + grad_overlap.mT, k_MGCK)
        return grad_q, grad_k, grad_v, grad_beta, grad_g, carried, None


def chunked_delta_rule(
    q_MGCK: Tensor,
    k_MGCK: Tensor,
    v_MHCV: Tensor,
    beta_MHC: Tensor,
    g_MHC: Tensor,
    state_BHKV: Tensor,
    running: Sequence[int],
) -> tuple[Tensor, Tensor]:
    """Scan all documents chunk by chunk.

    Args:
        q_MGCK: queries, normalised and scaled.
        k_MGCK: keys of length one.
        v_MHCV: values.
        beta_MHC: how far each token corrects the memory, 0 to 1; 0 at pads.
        g_MHC: logarithm of each token's decay, at most 0; 0 at pads.
        state_BHKV: the memory before each document, longest document first.
        running: how many documents have a chunk at each step.

    Returns:
        Outputs (M, H, C, V) and the memory behind each document (B, H, K, V). Gradients flow
        into every tensor given.
    """
    result: tuple[Tensor, Tensor] = _ChunkedDeltaRule.apply(
        q_MGCK, k_MGCK, v_MHCV, beta_MHC, g_MHC, state_BHKV, running
    )
    return result


def delta_rule_step(
    q_BHK: Tensor, k_BHK: Tensor, v_BHV: Tensor, beta_BH: Tensor, g_BH: Tensor, state_BHKV: Tensor
) -> Tensor:
    """One token of each row: the outputs (B, H, V), the memory changed in place.

    Takes what `chunked_delta_rule` takes for one token, but queries not yet scaled, and queries and
    keys repeated for every value head. For decoding, without gradients; `state_BHKV` is contiguous.
    """
    state = state_BHKV.flatten(0, 1)
    q, k, v = (x.flatten(0, 1)[:, None] for x in (q_BHK, k_BHK, v_BHV))
    state.mul_(g_BH.exp().view(-1, 1, 1))
    change = torch.sub(v, torch.bmm(k, state)).mul_(beta_BH.reshape(-1, 1, 1))
    state.addcmul_(k.mT, change)  # an outer product by `baddbmm_` takes three times as long
    return torch.bmm(q, state).mul_(q.shape[-1] ** -0.5).view(v_BHV.shape)
