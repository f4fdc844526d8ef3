"""SwiGLU and the dense feed-forward part made of it (Shazeer, 2002.05202).

Gate and up projections are one matrix in memory: one product, and the activation reads it once.

Shapes: N tokens, D model width, I inner width.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from regreen.model.projection import Projection

__all__ = ["FeedForward", "swiglu", "swiglu_backward"]


def _swiglu(gate_up: Tensor) -> Tensor:
    gate, up = gate_up.chunk(2, dim=-1)
    return functional.silu(gate).mul_(up)


def swiglu_backward(grad: Tensor, gate_up: Tensor) -> Tensor:
    """The gradient for `gate_up` (…, 2I) from that of the activation (…, I)."""
    gate, up = gate_up.chunk(2, dim=-1)
    grad_gate_up = torch.empty_like(gate_up)
    grad_gate, grad_up = grad_gate_up.chunk(2, dim=-1)
    torch.mul(grad, functional.silu(gate), out=grad_up)
    grad_gate.copy_(torch.ops.aten.silu_backward(grad * up, gate))
    return grad_gate_up


class _SwiGLU(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, gate_up: Tensor) -> Tensor:
        ctx.save_for_backward(gate_up)
        return _swiglu(gate_up)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        (gate_up,) = ctx.saved_tensors
        return swiglu_backward(grads[0], gate_up)


def swiglu(gate_up: Tensor) -> Tensor:
    """SiLU of the first half of the last dimension times its second half."""
    if not torch.is_grad_enabled():
        return _swiglu(gate_up)
    result: Tensor = _SwiGLU.apply(gate_up)
    return result


class FeedForward(nn.Module):
    """A dense SwiGLU part: also the shared expert of a sparse layer."""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.gate_up_proj = Projection(width, 2 * inner)
        self.down_proj = Projection(inner, width)

    def forward(self, x_ND: Tensor) -> Tensor:
        """Transform each token."""
        out: Tensor = self.down_proj(swiglu(self.gate_up_proj(x_ND)))
        return out
