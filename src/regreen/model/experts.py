"""Routed experts, computed by grouping tokens: sort by expert, one product per group, add back.

No mask is made per expert and no token is multiplied by an expert that did not choose it. The
backward is written by hand, so that a group is a slice of one buffer in both directions and the
gradient of a routing weight needs no second pass through the output.

Shapes: N tokens, K experts of a token, E experts, S = N·K assignments sorted by expert, D model
width, I inner width.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from regreen.model.feed_forward import swiglu, swiglu_backward
from regreen.model.kernels import grouped_mm
from regreen.model.products import multiply

__all__ = ["Experts", "Groups"]


class Groups:
    """Assignments of tokens to experts, sorted by expert, first tokens first."""

    def __init__(self, index_NK: Tensor, num_experts: int) -> None:
        """Sort them: few by a list, because operations on short tensors cost more than they do."""
        per_token = index_NK.shape[1]
        if index_NK.numel() <= 512 and index_NK.device.type == "cpu":
            flat = index_NK.flatten().tolist()
            order = sorted(range(len(flat)), key=flat.__getitem__)
            counts = [0] * num_experts
            for expert in flat:
                counts[expert] += 1
            self.order_S, self.counts = torch.tensor(order), counts
        else:
            flat_S = index_NK.flatten()
            self.order_S = flat_S.argsort(stable=True)
            self.counts = torch.bincount(flat_S, minlength=num_experts).tolist()
        self.token_S = self.order_S // per_token

    def spans(self) -> list[tuple[int, slice]]:
        """(expert, its slice of the sorted assignments) for every expert that has any."""
        spans, begin = [], 0
        for expert, count in enumerate(self.counts):
            if count:
                spans.append((expert, slice(begin, begin + count)))
                begin += count
        return spans


def _multiply(x_SA: Tensor, weight_EAB: Tensor, spans: list[tuple[int, slice]]) -> Tensor:
    """(S, B) each group times its expert's matrix."""
    out_SB = x_SA.new_empty(len(x_SA), weight_EAB.shape[2])
    for expert, at in spans:
        multiply(x_SA[at], weight_EAB[expert], out_SB[at])
    return out_SB


def _outer(
    x_SA: Tensor, grad_SB: Tensor, weight_EAB: Tensor, spans: list[tuple[int, slice]]
) -> Tensor:
    """(E, A, B) the gradient of the experts' matrices; zero where an expert had no token."""
    grad_EAB = torch.empty_like(weight_EAB)
    used = set()
    for expert, at in spans:
        multiply(x_SA[at].t(), grad_SB[at], grad_EAB[expert])
        used.add(expert)
    for expert in range(len(weight_EAB)):
        if expert not in used:
            grad_EAB[expert].zero_()
    return grad_EAB


class _GroupedExperts(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x_ND: Tensor,
        share_NK: Tensor,
        gate_up_EDJ: Tensor,
        down_EID: Tensor,
        groups: Groups,
    ) -> Tensor:
        spans = groups.spans()
        x_SD = x_ND[groups.token_S]
        gate_up_SJ = _multiply(x_SD, gate_up_EDJ, spans)
        gate_SI, up_SI = gate_up_SJ.chunk(2, dim=-1)
        inner_SI = functional.silu(gate_SI).mul_(up_SI)
        share_S = share_NK.flatten()[groups.order_S]
        out_SD = _multiply(inner_SI * share_S[:, None], down_EID, spans)
        ctx.save_for_backward(x_SD, gate_up_SJ, inner_SI, share_S, gate_up_EDJ, down_EID)
        ctx.groups, ctx.spans, ctx.shape = groups, spans, share_NK.shape
        return torch.zeros_like(x_ND).index_add_(0, groups.token_S, out_SD)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        x_SD, gate_up_SJ, inner_SI, share_S, gate_up_EDJ, down_EID = ctx.saved_tensors
        groups, spans = ctx.groups, ctx.spans
        grad_SD = grads[0][groups.token_S]
        grad_inner_SI = _multiply(grad_SD, down_EID.mT, spans)
        grad_share_S = (grad_inner_SI * inner_SI).sum(-1)
        share = share_S[:, None]
        grad_down = _outer(inner_SI * share, grad_SD, down_EID, spans)
        grad_gate_up_SJ = swiglu_backward(grad_inner_SI * share, gate_up_SJ)
        grad_gate_up = _outer(x_SD, grad_gate_up_SJ, gate_up_EDJ, spans)
        grad_x_SD = _multiply(grad_gate_up_SJ, gate_up_EDJ.mT, spans)
        grad_x_ND = torch.zeros_like(grads[0]).index_add_(0, groups.token_S, grad_x_SD)
        grad_share = torch.empty_like(share_S)
        grad_share[groups.order_S] = grad_share_S
        return grad_x_ND, grad_share.view(ctx.shape), grad_gate_up, grad_down, None


_SMALL = 16_384
"""Entries of an expert's matrix below which calling a product costs more than computing it."""


class Experts(nn.Module):
    """SwiGLU experts stored as two stacks of matrices.

    Stored input by output, as every matrix: (E, D, 2I) and (E, I, D).
    """

    def __init__(self, num_experts: int, width: int, inner: int) -> None:
        super().__init__()
        self.gate_up_proj = nn.Parameter(torch.empty(num_experts, width, 2 * inner))
        self.down_proj = nn.Parameter(torch.empty(num_experts, inner, width))
        self._matrix = inner * width

    def forward(self, x_ND: Tensor, index_NK: Tensor, share_NK: Tensor) -> Tensor:
        """The sum over each token's experts, weighted by `share_NK`."""
        if not torch.is_grad_enabled() and x_ND.device.type == "cpu":
            if len(x_ND) == 1:
                return self._one(x_ND[0], index_NK[0].tolist(), share_NK[0].tolist())
            if self._matrix <= _SMALL and len(x_ND) <= 64 >= len(self.down_proj):
                return self._few(x_ND, index_NK, share_NK)
            return self._some(x_ND, index_NK, share_NK)
        groups = Groups(index_NK, len(self.gate_up_proj))
        if grouped_mm is not None and x_ND.is_cuda and x_ND.dtype == torch.bfloat16:
            return self._on_device(x_ND, share_NK, groups)
        out: Tensor = _GroupedExperts.apply(
            x_ND, share_NK, self.gate_up_proj, self.down_proj, groups
        )
        return out

    def _one(self, x_D: Tensor, experts: list[int], shares: list[float]) -> Tensor:
        """One token without gradients: a matrix-vector product per expert and nothing copied."""
        weights, downs = self.gate_up_proj, self.down_proj
        inner = swiglu(torch.stack([torch.mv(weights[expert].t(), x_D) for expert in experts]))
        out_D = torch.zeros_like(x_D)
        for inner_I, expert, share in zip(inner.unbind(), experts, shares, strict=True):
            out_D.addmv_(downs[expert].t(), inner_I, alpha=share)
        return out_D[None]

    def _few(self, x_ND: Tensor, index_NK: Tensor, share_NK: Tensor) -> Tensor:
        """Few tokens and small experts, without gradients: one batched product for all experts.

        Each expert has as many places as the busiest needs; empty ones hold zeros.
        """
        num_experts, per_token = len(self.gate_up_proj), index_NK.shape[1]
        counts = [0] * num_experts
        places = []
        for expert in index_NK.flatten().tolist():
            places.append((expert, counts[expert]))
            counts[expert] += 1
        most = max(counts)
        place_S = torch.tensor([expert * most + place for expert, place in places])
        x_PD = x_ND.new_zeros(num_experts * most, x_ND.shape[1])
        x_PD.index_copy_(0, place_S, x_ND.repeat_interleave(per_token, 0))
        gate_up = torch.bmm(x_PD.view(num_experts, most, -1), self.gate_up_proj)
        out_PD = torch.bmm(swiglu(gate_up), self.down_proj).flatten(0, 1)
        out_NKD = out_PD.index_select(0, place_S).view(*index_NK.shape, -1)
        return out_NKD.mul_(share_NK[..., None]).sum(1)

    def _some(self, x_ND: Tensor, index_NK: Tensor, share_NK: Tensor) -> Tensor:
        """Some tokens without gradients: groups as in training, results gathered by token."""
        groups = Groups(index_NK, len(self.gate_up_proj))
        spans = groups.spans()
        gate_up_SJ = _multiply(x_ND.index_select(0, groups.token_S), self.gate_up_proj, spans)
        out_SD = _multiply(swiglu(gate_up_SJ), self.down_proj, spans)
        out_SD.mul_(share_NK.flatten().index_select(0, groups.order_S)[:, None])
        return torch.zeros_like(x_ND).index_add_(0, groups.token_S, out_SD)

    def _on_device(self, x_ND: Tensor, share_NK: Tensor, groups: Groups) -> Tensor:
        """The same by the grouped matrix product of the accelerator, with its own gradients."""
        assert grouped_mm is not None
        ends_E = torch.tensor(groups.counts, device=x_ND.device).cumsum(0).to(torch.int32)
        gate_up_SJ = grouped_mm(x_ND[groups.token_S], self.gate_up_proj, offs=ends_E)
        gate_SI, up_SI = gate_up_SJ.chunk(2, dim=-1)
        inner_SI = functional.silu(gate_SI) * up_SI
        inner_SI = inner_SI * share_NK.flatten()[groups.order_S][:, None].to(inner_SI.dtype)
        out_SD = grouped_mm(inner_SI, self.down_proj, offs=ends_E)
        return torch.zeros_like(x_ND).index_add(0, groups.token_S, out_SD)
