"""Routed experts, computed by grouping tokens: sort by expert, one product per group, add back.

No mask is made per expert and no token is multiplied by an expert that did not choose it. The
backward is written by hand, so that a group is a slice of one buffer in both directions and the
gradient of a routing weight needs no second pass through the output.

Shapes: N tokens, K experts of a token, E experts, S = N·K assignments sorted by expert, D model
width, I inner width.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from regreen.model.feed_forward import swiglu, swiglu_backward
from regreen.model.kernels import GroupedProducts, groups_fit
from regreen.model.products import multiply

__all__ = ["Experts", "Groups"]


class Groups:
    """Assignments of tokens to experts, sorted by expert, first tokens first."""

    def __init__(self, index_NK: Tensor, num_experts: int) -> None:
        """Sort them: few by a list, because operations on short tensors cost more than they do."""
        self.num_experts, self.per_token = num_experts, index_NK.shape[1]
        self._expert_S = index_NK.flatten()
        if index_NK.numel() <= 512 and index_NK.device.type == "cpu":
            flat = self._expert_S.tolist()
            order = sorted(range(len(flat)), key=flat.__getitem__)
            counts = [0] * num_experts
            for expert in flat:
                counts[expert] += 1
            self.order_S, self.counts = torch.tensor(order), counts
        else:
            self.order_S = self._expert_S.argsort(stable=True)
        self.token_S = self.order_S // self.per_token

    @cached_property
    def ends_E(self) -> Tensor:
        """(E,) int32 where each expert's assignments end, found without waiting for the device."""
        expert_E = torch.arange(self.num_experts, device=self._expert_S.device)
        sorted_S = self._expert_S[self.order_S]
        return torch.searchsorted(sorted_S, expert_E, right=True, out_int32=True)

    @cached_property
    def counts(self) -> list[int]:
        """Assignments of each expert, read back from the device."""
        counts: list[int] = torch.bincount(self._expert_S, minlength=self.num_experts).tolist()
        return counts

    def spans(self) -> list[tuple[int, slice]]:
        """(expert, its slice of the sorted assignments) for every expert that has any."""
        spans, begin = [], 0
        for expert, count in enumerate(self.counts):
            if count:
                spans.append((expert, slice(begin, begin + count)))
                begin += count
        return spans


class _Products(Protocol):
    """How groups are multiplied: by the loop below, or by one launch on a GPU."""

    def multiply(self, x_SA: Tensor, weight_EAB: Tensor) -> Tensor:
        """(S, B) each group times its expert's matrix."""

    def outer(self, x_SA: Tensor, grad_SB: Tensor) -> Tensor:
        """(E, A, B) the gradient of the experts' matrices; zero where an expert had no token."""

    def sums(self, x_SB: Tensor) -> Tensor:
        """(N, B) the sum of each token's rows."""


class _Loop:
    """One product per expert that has any token."""

    def __init__(self, groups: Groups) -> None:
        self.groups, self.spans = groups, groups.spans()

    def multiply(self, x_SA: Tensor, weight_EAB: Tensor) -> Tensor:
        out_SB = x_SA.new_empty(len(x_SA), weight_EAB.shape[2])
        for expert, at in self.spans:
            multiply(x_SA[at], weight_EAB[expert], out_SB[at])
        return out_SB

    def outer(self, x_SA: Tensor, grad_SB: Tensor) -> Tensor:
        num_experts = self.groups.num_experts
        grad_EAB = x_SA.new_empty(num_experts, x_SA.shape[1], grad_SB.shape[1])
        used = set()
        for expert, at in self.spans:
            multiply(x_SA[at].t(), grad_SB[at], grad_EAB[expert])
            used.add(expert)
        for expert in range(num_experts):
            if expert not in used:
                grad_EAB[expert].zero_()
        return grad_EAB

    def sums(self, x_SB: Tensor) -> Tensor:
        token_S, per_token = self.groups.token_S, self.groups.per_token
        out_NB = x_SB.new_zeros(len(token_S) // per_token, x_SB.shape[1])
        return out_NB.index_add_(0, token_S, x_SB)


class _GroupedExperts(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x_ND: Tensor,
        share_NK: Tensor,
        gate_up_EDJ: Tensor,
        down_EID: Tensor,
        groups: Groups,
        products: _Products,
    ) -> Tensor:
        x_SD = x_ND[groups.token_S]
        gate_up_SJ = products.multiply(x_SD, gate_up_EDJ)
        inner_SI = swiglu(gate_up_SJ)
        share_S = share_NK.flatten()[groups.order_S]
        out_SD = products.multiply(inner_SI * share_S[:, None], down_EID)
        ctx.save_for_backward(x_SD, gate_up_SJ, inner_SI, share_S, gate_up_EDJ, down_EID)
        ctx.groups, ctx.products, ctx.shape = groups, products, share_NK.shape
        return products.sums(out_SD)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        x_SD, gate_up_SJ, inner_SI, share_S, gate_up_EDJ, down_EID = ctx.saved_tensors
        groups, products = ctx.groups, ctx.products
        grad_SD = grads[0][groups.token_S]
        grad_inner_SI = products.multiply(grad_SD, down_EID.mT)
        grad_share_S = (grad_inner_SI * inner_SI).sum(-1)
        share = share_S[:, None]
        grad_down = products.outer(inner_SI * share, grad_SD)
        grad_gate_up_SJ = swiglu_backward(grad_inner_SI * share, gate_up_SJ)
        grad_gate_up = products.outer(x_SD, grad_gate_up_SJ)
        grad_x_ND = products.sums(products.multiply(grad_gate_up_SJ, gate_up_EDJ.mT))
        grad_share = torch.empty_like(share_S)
        grad_share[groups.order_S] = grad_share_S
        return grad_x_ND, grad_share.view(ctx.shape), grad_gate_up, grad_down, None, None


_SMALL, _FEW = 16_384, 64
"""Entries of an expert's matrix below which calling a product costs more than computing it, and
tokens and experts up to which a place for each pays."""


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
            few = len(x_ND) <= _FEW and len(self.down_proj) <= _FEW
            if few and self._matrix <= _SMALL:
                return self._few(x_ND, index_NK, share_NK)
            return self._some(x_ND, index_NK, share_NK)
        on_device = groups_fit(x_ND, self.gate_up_proj, self.down_proj)
        return self.by_groups(x_ND, index_NK, share_NK, on_device=on_device)

    def by_groups(
        self, x_ND: Tensor, index_NK: Tensor, share_NK: Tensor, *, on_device: bool
    ) -> Tensor:
        """The same, with gradients: a product per group, or one launch for all groups.

        `on_device` asks for the launch, `torch.nn.functional.grouped_mm`: fast on an accelerator,
        and a slow loop of its own on a CPU.
        """
        groups = Groups(index_NK, len(self.gate_up_proj))
        products: _Products = GroupedProducts(groups) if on_device else _Loop(groups)
        out: Tensor = _GroupedExperts.apply(
            x_ND, share_NK, self.gate_up_proj, self.down_proj, groups, products
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
        products = _Loop(groups)
        gate_up_SJ = products.multiply(x_ND.index_select(0, groups.token_S), self.gate_up_proj)
        out_SD = products.multiply(swiglu(gate_up_SJ), self.down_proj)
        out_SD.mul_(share_NK.flatten().index_select(0, groups.order_S)[:, None])
        return products.sums(out_SD)
