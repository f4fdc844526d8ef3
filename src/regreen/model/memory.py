"""What single layers remember: keys and values, or a recurrent state and the inputs that made it.

A Gated DeltaNet layer's past state is computed again from what its projection made of each token,
by the delta rule alone; that is why those inputs are kept, and not the model's hidden states.

Shapes: B rows, N tokens of a call, H value heads, K and V their widths, J convolved channels,
L taps before a token, X = 2H gate columns.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, Protocol, TypeVar

import torch
from torch import Tensor

from regreen.model.borders import Borders
from regreen.model.config import ModelConfig
from regreen.model.precision import wider
from regreen.model.tracks import Rows, Track

__all__ = ["AttentionMemory", "DeltaMemory", "Replays", "lasting"]

_P = ParamSpec("_P")
_R = TypeVar("_R")


class Replays(Protocol):
    """A layer that can bring its state forward over recorded inputs."""

    def replay(self, mixed_TJ: Tensor, gates_TX: Tensor, state_HKV: Tensor, skip: int) -> None:
        """Change `state_HKV` in place; the first `skip` inputs are context."""


def lasting(method: Callable[_P, _R]) -> Callable[_P, _R]:
    """What the method makes can be written by later calls, under `inference_mode` or not."""
    return torch.inference_mode(mode=False)(torch.no_grad()(method))


class AttentionMemory:
    """Keys and values of one attention layer."""

    def __init__(self, rows: Rows, config: ModelConfig, like: Tensor) -> None:
        heads, width = config.num_key_value_heads, config.head_dim
        self.rows = rows
        self.keys = Track(rows, heads, width, like)
        self.values = Track(rows, heads, width, like)

    @property
    def tracks(self) -> list[Track]:
        """Everything kept along time."""
        return [self.keys, self.values]


class DeltaMemory:
    """Recurrent state of one Gated DeltaNet layer, and the inputs from which it can be replayed."""

    def __init__(self, rows: Rows, config: ModelConfig, like: Tensor, *, history: bool) -> None:
        heads, channels = config.linear_num_value_heads, config.linear_conv_dim
        shape = (heads, config.linear_key_head_dim, config.linear_value_head_dim)
        batch, lead = len(rows.tails), config.linear_conv_kernel_dim - 1
        self.rows = rows
        self.state_BHKV = like.new_zeros(batch, *shape, dtype=wider(like.dtype))
        self.context_BLJ = like.new_zeros(batch, lead, channels)
        self.inputs = Track(rows, 1, channels + 2 * heads, like) if history else None

    @property
    def tracks(self) -> list[Track]:
        """Everything kept along time."""
        return [self.inputs] if self.inputs is not None else []

    def context(self) -> Tensor:
        """(B, L, J) the convolution's inputs before the running call."""
        return self.context_BLJ

    def record(self, mixed_NJ: Tensor, gates_NX: Tensor, borders: Borders) -> None:
        """Keep the inputs of the running call, row after row."""
        call = self.rows.running
        if borders.lengths != call.counts:
            msg = "the documents of the call are not those the cache was prepared for"
            raise ValueError(msg)
        self.context_BLJ = call.behind(self.context_BLJ, mixed_NJ)
        if self.inputs is not None:
            self.inputs.put(torch.cat((mixed_NJ, gates_NX), dim=1).unsqueeze(1))

    def step(self, mixed_BJ: Tensor, gates_BX: Tensor) -> Tensor:
        """(B, L + 1, J) the convolution's window of one new token of each row, which is kept."""
        window_BTJ = torch.cat((self.context_BLJ, mixed_BJ.unsqueeze(1)), dim=1)
        self.context_BLJ = window_BTJ[:, 1:]
        if self.inputs is not None:
            self.inputs.put(torch.cat((mixed_BJ, gates_BX), dim=1).unsqueeze(1))
        return window_BTJ
