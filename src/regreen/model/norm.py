"""Root-mean-square norms: zero-centred for the residual stream, gated for the DeltaNet's output.

Zero-centred means that the learned weight is added to one, so that weight decay pulls the scale to
one and not to zero. Both norms have a hand-written backward: the composed one reads and writes
three times as much memory, which on a CPU is most of a small model's step.

Shapes: ... any leading dimensions, D the normalised width.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from regreen.model.precision import widened, wider

__all__ = ["GatedRMSNorm", "RMSNorm", "l2_normalise", "rms_normalise"]


@cache
def _constant(value: float, dtype: torch.dtype, device: torch.device) -> Tensor:
    return torch.tensor(value, dtype=dtype, device=device)


def _inverse(x: Tensor, share: float, eps: float) -> Tensor:
    """1 / sqrt(share · sum(x²) + eps) over the last dimension, which stays as one."""
    dtype = wider(x.dtype)
    norm = torch.linalg.vector_norm(x, dim=-1, keepdim=True, dtype=dtype)
    return torch.addcmul(_constant(eps, dtype, x.device), norm, norm, value=share).rsqrt_()


class _RMSNormalise(torch.autograd.Function):
    """x / sqrt(mean(x²) + eps) · scale."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, scale_D: Tensor, eps: float) -> Tensor:
        inverse = _inverse(x, 1.0 / x.shape[-1], eps)
        ctx.save_for_backward(x, scale_D, inverse)
        return (x * inverse).to(scale_D.dtype).mul_(scale_D).to(x.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        x, scale_D, inverse = ctx.saved_tensors
        (grad,) = grads
        unit = x * inverse
        grad_scale = (grad * unit).flatten(0, -2).sum(0) if ctx.needs_input_grad[1] else None
        grad_unit = grad * scale_D
        along = (grad_unit * unit).sum(-1, keepdim=True).mul_(-1.0 / x.shape[-1])
        grad_x = grad_unit.addcmul_(unit, along).mul_(inverse)
        return grad_x.to(x.dtype), grad_scale, None


class _L2Normalise(torch.autograd.Function):
    """x / sqrt(sum(x²) + eps)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, eps: float) -> Tensor:
        inverse = _inverse(x, 1.0, eps)
        unit = x * inverse
        ctx.save_for_backward(unit, inverse)
        return unit

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        unit, inverse = ctx.saved_tensors
        (grad,) = grads
        along = (grad * unit).sum(-1, keepdim=True).neg_()
        return torch.addcmul(grad, unit, along).mul_(inverse), None


def rms_normalise(x: Tensor, scale_D: Tensor, eps: float) -> Tensor:
    """`x` of shape (..., D) with mean square one, times `scale_D`; statistics wide."""
    if not torch.is_grad_enabled():
        unit = (x * _inverse(x, 1.0 / x.shape[-1], eps)).mul_(scale_D)
        return unit if unit.dtype == x.dtype else unit.to(x.dtype)
    result: Tensor = _RMSNormalise.apply(x, scale_D, eps)
    return result


def l2_normalise(x: Tensor, eps: float = 1e-6) -> Tensor:
    """`x` of shape (..., D) with length one over D, as flash-linear-attention computes it."""
    if not torch.is_grad_enabled():
        return x * _inverse(x, 1.0, eps)
    result: Tensor = _L2Normalise.apply(x, eps)
    return result


class RMSNorm(nn.Module):
    """Zero-centred root-mean-square norm over the last dimension: scale 1 + `weight`."""

    def __init__(self, width: int, eps: float) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.zeros(width))

    def forward(self, x: Tensor) -> Tensor:
        """Normalise `x` of shape (..., D)."""
        return rms_normalise(x, widened(self.weight) + 1.0, self.eps)


class GatedRMSNorm(nn.Module):
    """Ordinary root-mean-square norm times SiLU of a gate (the DeltaNet's output norm)."""

    def __init__(self, width: int, eps: float) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor, gate: Tensor) -> Tensor:
        """Normalise `x` of shape (..., D) and multiply by SiLU of `gate` of the same shape."""
        return rms_normalise(x, widened(self.weight), self.eps) * functional.silu(gate)
