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


_Step = tuple[slice, slice | None, slice, int]


def _steps(running: Sequence[int], first: int, *, last: bool) -> list[_Step]:
    """For each step of a scan: its chunks, the memories they read, and who writes one.

    The memories of chunks before `first` are not stored. A memory is written by the chunks whose
    document goes on, and, where the `last` ones are wanted, by all. The fourth is how many go on.
    """
    steps, begin = [], 0
    for step, count in enumerate(running):
        going_on = running[step + 1] if step + 1 < len(running) else 0
        at = slice(begin, begin + count)
        held = slice(begin - first, begin - first + count) if begin >= first else None
        kept = slice(begin, begin + (count if last else going_on))
        steps.append((at, held, kept, going_on))
        begin += count
    return steps


class _ChunkedDeltaRule(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        q_MGCK: Tensor,
        k_MGCK: Tensor,
        v_MHCV: Tensor,
        beta_MHC: Tensor,
        g_MHC: Tensor,
        state_BHKV: Tensor | None,
        running: Sequence[int],
    ) -> tuple[Tensor, Tensor | None]:
        groups = (k_MGCK.shape[1], v_MHCV.shape[1] // k_MGCK.shape[1])
        decay, beta = _Decay(g_MHC), beta_MHC[..., None]
        q, k = (x.repeat_interleave(groups[1], 1) for x in (q_MGCK, k_MGCK))
        between = decay.between.unflatten(1, groups)
        overlap = (_bmm(k_MGCK, k_MGCK.mT)[:, :, None] * between).flatten(1, 2).tril_(-1)
        reads = (_bmm(q_MGCK, k_MGCK.mT)[:, :, None] * between).flatten(1, 2)
        inverse = unit_lower_inverse(overlap * beta)
        # Without a memory to begin with, the first chunks read none and need no room for one.
        first = running[0] if state_BHKV is None else 0
        heads, width = v_MHCV.shape[1], v_MHCV.shape[-1]
        states = v_MHCV.new_empty(sum(running) - first, heads, k.shape[-1], width)
        residual, update = v_MHCV.clone(), torch.empty_like(v_MHCV)
        final = None if state_BHKV is None else torch.empty_like(state_BHKV)
        state = state_BHKV
        for at, held, kept, going_on in _steps(running, first, last=final is not None):
            if state is not None:
                states[held] = state
                residual[at].addcmul_(_bmm(k[at], state), decay.from_start[at], value=-1)
            update[at] = _bmm(inverse[at], residual[at] * beta[at])
            written = _bmm(k[kept].mT, update[kept] * decay.to_end[kept])
            if state is not None:
                written.addcmul_(state[: len(written)], decay.whole[kept])
            if final is not None:
                final[going_on : len(written)] = written[going_on:]
            state = written[:going_on]
        out = _bmm(reads, update)
        out[first:] += _bmm(q[first:], states).mul_(decay.from_start[first:])
        ctx.save_for_backward(
            q_MGCK, k_MGCK, beta, states, residual, update, overlap, reads, inverse, g_MHC
        )
        ctx.running, ctx.groups, ctx.first = running, groups, first
        return out, final

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (q_MGCK, k_MGCK, beta, states, residual, update, overlap, reads, inverse, g_MHC) = (
            ctx.saved_tensors
        )
        grad_out, grad_final = grads
        running, groups, first, decay = ctx.running, ctx.groups, ctx.first, _Decay(g_MHC)
        q, k = (x.repeat_interleave(groups[1], 1) for x in (q_MGCK, k_MGCK))
        inward = grad_out[first:] * decay.from_start[first:]
        grad_update = _bmm(reads.mT, grad_out)
        grad_states = _bmm(q[first:].mT, inward)
        grad_residual, grad_k_write = torch.empty_like(residual), torch.zeros_like(k)
        grad_whole = torch.zeros_like(decay.whole)
        carried = grad_states[:0] if grad_final is None else grad_final[:0]
        for at, held, kept, _ in reversed(_steps(running, first, last=grad_final is not None)):
            if grad_final is not None:
                carried = torch.cat((carried, grad_final[len(carried) : at.stop - at.start]))
            grad_update[kept] += _bmm(k[kept], carried).mul_(decay.to_end[kept])
            grad_k_write[kept] = _bmm(update[kept] * decay.to_end[kept], carried.mT)
            grad_residual[at] = _bmm(inverse[at].mT, grad_update[at])
            if held is None:
                continue
            both = states[held][: len(carried)] * carried
            grad_whole[kept] = both.sum((-1, -2), keepdim=True)
            outward = grad_residual[at] * beta[at] * decay.from_start[at]
            before = grad_states[held] - _bmm(k[at].mT, outward)
            before[: len(carried)].addcmul_(carried, decay.whole[kept])
            carried = before
        # From here on everything is one product per kind over all chunks.
        grad_beta = (grad_residual * residual).sum(-1)
        grad_overlap = _bmm(grad_residual, update.mT).tril_(-1).neg_()
        grad_v = grad_residual.mul_(beta)
        grad_q, grad_k_read = torch.zeros_like(q), torch.zeros_like(k)
        grad_q[first:] = _bmm(inward, states.mT)
        grad_k_read[first:] = _bmm(grad_v[first:] * decay.from_start[first:], states.mT).neg_()
        grad_reads = _bmm(grad_out, update.mT)

        grad_beta += (grad_overlap * overlap).sum(-1)
        grad_overlap *= beta
        pairs = grad_reads * reads + grad_overlap * overlap
        written = (grad_k_write * k).sum(-1)
        grad_total = (grad_q * q).sum(-1) + (grad_k_read * k).sum(-1) - written
        grad_total += pairs.sum(-1) - pairs.sum(-2)
        grad_total[..., -1] += written.sum(-1) + (grad_whole * decay.whole)[..., 0, 0]
        grad_g = grad_total.flip(-1).cumsum(-1).flip(-1)

        between = decay.between
        grad_reads, grad_overlap = (
            (grad * between).unflatten(1, groups).sum(2) for grad in (grad_reads, grad_overlap)
        )
        grad_q = grad_q.unflatten(1, groups).sum(2) + _bmm(grad_reads, k_MGCK)
        grad_k = (grad_k_read + grad_k_write).unflatten(1, groups).sum(2)
        grad_k += _bmm(grad_reads.mT, q_MGCK) + _bmm(grad_overlap + grad_overlap.mT, k_MGCK)
        grad_state = None if grad_final is None else carried
        return grad_q, grad_k, grad_v, grad_beta, grad_g, grad_state, None


def chunked_delta_rule(
    q_MGCK: Tensor,
    k_MGCK: Tensor,
    v_MHCV: Tensor,
    beta_MHC: Tensor,
    g_MHC: Tensor,
    state_BHKV: Tensor | None,
    running: Sequence[int],
) -> tuple[Tensor, Tensor | None]:
    """Scan all documents chunk by chunk.

    Args:
        q_MGCK: queries, normalised and scaled.
        k_MGCK: keys of length one.
        v_MHCV: values.
        beta_MHC: how far each token corrects the memory, 0 to 1; 0 at pads.
        g_MHC: logarithm of each token's decay, at most 0; 0 at pads.
        state_BHKV: the memory before each document, longest document first; None begins with
            nothing and spares documents of one chunk the room and the work for a memory.
        running: how many documents have a chunk at each step.

    Returns:
        Outputs (M, H, C, V) and, where a memory was given, that behind each document
        (B, H, K, V). Gradients flow into every tensor given.
    """
    result: tuple[Tensor, Tensor | None] = _ChunkedDeltaRule.apply(
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
