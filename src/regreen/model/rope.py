"""Rotary positions on a part of each head, and their stretching beyond the trained context (YaRN).

Only the first `rotary_dim` of a head's dimensions are rotated; dimension i is paired with
i + rotary_dim / 2 (Su et al., 2104.09864, in the half-split order of Hugging Face).

Shapes: N tokens, H heads, W width of a head, R half of the rotary dimensions.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from regreen.model.config import ModelConfig, Yarn

__all__ = ["Rotations", "attention_factor", "inverse_frequencies", "rotate"]


def inverse_frequencies(config: ModelConfig) -> Tensor:
    """(R,) radians per position of each rotated pair, in float32."""
    dims = config.rotary_dim
    plain_R = 1.0 / config.rope_theta ** (torch.arange(0, dims, 2, dtype=torch.float32) / dims)
    if config.yarn is None:
        return plain_R
    ramp_R = _ramp(config.yarn, dims, config.rope_theta)
    return plain_R / config.yarn.factor * ramp_R + plain_R * (1.0 - ramp_R)


def attention_factor(yarn: Yarn | None) -> float:
    """What cosines and sines are multiplied by: 0.1·ln(factor) + 1, section 3.4 of 2309.00071."""
    if yarn is None:
        return 1.0
    if yarn.attention_factor is not None:
        return yarn.attention_factor
    return 0.1 * math.log(yarn.factor) + 1.0


def _ramp(yarn: Yarn, dims: int, theta: float) -> Tensor:
    """(R,) 0 where a frequency stays, 1 where it is divided by the factor, linear between.

    A pair that turns `rotations` times within the trained context stands at dimension
    dims·ln(context / (2π·rotations)) / (2·ln(theta)) (section 3.2, "NTK-by-parts").
    """

    def dimension(rotations: float) -> float:
        turns = yarn.original_max_position_embeddings / (rotations * 2.0 * math.pi)
        return dims * math.log(turns) / (2.0 * math.log(theta))

    low, high = dimension(yarn.beta_fast), dimension(yarn.beta_slow)
    if yarn.truncate:
        low, high = math.floor(low), math.ceil(high)
    low, high = max(low, 0), min(high, dims - 1)
    if low == high:
        high += 0.001
    pairs_R = torch.arange(dims // 2, dtype=torch.float32)
    return ((pairs_R - low) / (high - low)).clamp(0.0, 1.0)


class Rotations:
    """Cosines and sines of a batch's positions, made once and used by every attention layer."""

    def __init__(self, positions_N: Tensor, inverse_R: Tensor, factor: float, dtype: torch.dtype):
        angle_NR = positions_N.to(inverse_R.dtype)[:, None] * inverse_R
        self.cos_N1R = (angle_NR.cos() * factor).to(dtype)[:, None]
        self.sin_N1R = (angle_NR.sin() * factor).to(dtype)[:, None]


def _turn(x_NHW: Tensor, cos_N1R: Tensor, sin_N1R: Tensor) -> Tensor:
    half = cos_N1R.shape[-1]
    first, second = x_NHW[..., :half], x_NHW[..., half : 2 * half]
    out = x_NHW.clone(memory_format=torch.contiguous_format)
    torch.mul(first, cos_N1R, out=out[..., :half]).addcmul_(second, sin_N1R, value=-1)
    torch.mul(second, cos_N1R, out=out[..., half : 2 * half]).addcmul_(first, sin_N1R)
    return out


class _Rotate(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x_NHW: Tensor, cos_N1R: Tensor, sin_N1R: Tensor) -> Tensor:
        ctx.save_for_backward(cos_N1R, sin_N1R)
        return _turn(x_NHW, cos_N1R, sin_N1R)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        cos_N1R, sin_N1R = ctx.saved_tensors
        return _turn(grads[0], cos_N1R, -sin_N1R), None, None


def rotate(x_NHW: Tensor, rotations: Rotations) -> Tensor:
    """Rotate the first 2R dimensions of every head by its token's angles."""
    if not torch.is_grad_enabled():
        return _turn(x_NHW, rotations.cos_N1R, rotations.sin_N1R)
    out: Tensor = _Rotate.apply(x_NHW, rotations.cos_N1R, rotations.sin_N1R)
    return out
