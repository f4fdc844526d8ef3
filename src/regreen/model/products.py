"""Matrix products in float32 on a CPU, by oneDNN where torch has it.

torch multiplies float32 matrices by MKL, which keeps its best kernels for one vendor's processors:
on an AVX-512 EPYC, oneDNN is 2.2 times as fast in all three directions of a training step. Its
product is reachable through an operator that torch keeps for its own compiler, so it is tried once
and checked, and everything works without it.

Shapes: N rows, A inputs, B outputs.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

__all__ = ["multiply", "product"]

_SMALL, _SHORT = 1 << 18, 1 << 20
"""Entries of a matrix, and multiplications, below which the operator costs more than it saves."""


@cache
def _onednn() -> Callable[[Tensor, Tensor], Tensor] | None:
    """x_NA, w_BA -> (N, B), or None where this torch does not offer it or computes otherwise."""
    if not torch.backends.mkldnn.is_available():
        return None
    operator = getattr(torch.ops.mkldnn, "_linear_pointwise", None)
    if operator is None:
        return None

    def linear(x_NA: Tensor, weight_BA: Tensor) -> Tensor:
        result: Tensor = operator(x_NA, weight_BA, None, "none", [], "")
        return result

    x_NA = torch.arange(24.0).view(4, 6)
    weight_AB = torch.arange(18.0).view(6, 3)
    try:
        found = linear(x_NA, weight_AB.t())
    except RuntimeError:
        return None
    return linear if torch.equal(found, x_NA @ weight_AB) else None


def multiply(x_NA: Tensor, weight_AB: Tensor, out: Tensor | None = None) -> Tensor:
    """(N, B) without gradients, `weight_AB` possibly a transposed view; into `out` if given."""
    rows, inputs = x_NA.shape
    size = inputs * weight_AB.shape[1]
    little = rows == 1 or (size < _SMALL and rows * size < _SHORT)
    if little or x_NA.dtype != torch.float32 or x_NA.device.type != "cpu":
        return torch.mm(x_NA, weight_AB, out=out)
    linear = _onednn()
    if linear is None:
        return torch.mm(x_NA, weight_AB, out=out)
    if not (weight_AB.is_contiguous() or weight_AB.t().is_contiguous()):
        # oneDNN has no fast kernel for a slice or an expanded gradient: a thousand times slower.
        weight_AB = weight_AB.contiguous()
    found = linear(x_NA, weight_AB.t())
    return found if out is None else out.copy_(found)


class _Product(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x_NA: Tensor, weight_AB: Tensor) -> Tensor:
        ctx.save_for_backward(x_NA, weight_AB)
        return multiply(x_NA, weight_AB)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        x_NA, weight_AB = ctx.saved_tensors
        grad_x = multiply(grads[0], weight_AB.t()) if ctx.needs_input_grad[0] else None
        grad_weight = multiply(x_NA.t(), grads[0]) if ctx.needs_input_grad[1] else None
        return grad_x, grad_weight


def product(x: Tensor, weight_AB: Tensor) -> Tensor:
    """(…, B) of x (…, A), with gradients."""
    if x.device.type != "cpu" or x.dtype != torch.float32:
        return x @ weight_AB
    if x.dim() != 2:
        rows_NA = x.reshape(-1, x.shape[-1])
        return product(rows_NA, weight_AB).view(*x.shape[:-1], weight_AB.shape[1])
    if not torch.is_grad_enabled():
        return multiply(x, weight_AB)
    result: Tensor = _Product.apply(x, weight_AB)
    return result
