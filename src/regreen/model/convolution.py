"""The short causal convolution over queries, keys and values, with SiLU, on a flat packed run.

The run is convolved as if it were one document, four multiply-adds over contiguous memory, and the
few rows behind each border are then computed again from their own document alone. So the common
case costs no copy, and a border is exact: a neighbour's value is replaced, not multiplied by zero.

Shapes: N tokens, D channels, K taps, F rows that a border touches.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from regreen.model.borders import Borders

__all__ = ["BorderRows", "causal_convolution", "step_convolution"]


@dataclass(frozen=True)
class BorderRows:
    """The rows whose window crosses a border, forwards and backwards."""

    rows_F: Tensor
    """Tokens among the first K - 1 of a document."""
    sources_FK: Tensor
    """The token under each tap of these rows, oldest first; below zero it precedes the document:
    -1 is the last token before it."""
    document_F: Tensor
    """The document of each row, for the context that a cache holds."""
    ends_F: Tensor
    """Tokens among the last K - 1 of a document."""
    reached_FK: Tensor
    """The token that each such token reaches over 0, 1 … K - 1 steps; -1 outside its document."""
    crossed: tuple[Tensor, ...]
    """Per distance 0 … K - 1 the tokens whose successor at this distance is in another document."""

    @classmethod
    def of(cls, borders: Borders, taps: int, device: torch.device) -> BorderRows:
        """Find the rows; remembered in `borders`, as every layer asks."""
        known = borders.__dict__.setdefault("_border_rows", {})
        if (taps, device) not in known:
            known[taps, device] = cls._find(borders, taps, device)
        found: BorderRows = known[taps, device]
        return found

    @classmethod
    def _find(cls, borders: Borders, taps: int, device: torch.device) -> BorderRows:
        starts = torch.tensor(borders.starts)[:, None]
        ends = starts + torch.tensor(borders.lengths)[:, None]
        offset = torch.arange(taps - 1)
        first = starts + offset
        kept = first < ends
        rows = first[kept]
        begin = starts.expand_as(first)[kept]
        sources = rows[:, None] + torch.arange(1 - taps, 1)
        before = sources - begin[:, None]
        sources = torch.where(before < 0, before, sources)
        document = torch.arange(len(borders.lengths))[:, None].expand_as(first)[kept]
        last = ends - 1 - offset
        kept = last >= starts
        tail, end = last[kept], ends.expand_as(last)[kept]
        reached = tail[:, None] + torch.arange(taps)
        reached = torch.where(reached < end[:, None], reached, -1)
        crossed = []
        for distance in range(taps):
            token = rows[sources[:, -1 - distance] < 0] - distance
            crossed.append(token[token >= 0].to(device))
        rows, sources, document, tail, reached = (
            index.to(device) for index in (rows, sources, document, tail, reached)
        )
        return cls(rows, sources, document, tail, reached, tuple(crossed))


def _taps(x_ND: Tensor, sources_FK: Tensor, context_FKD: Tensor | None) -> Tensor:
    """(F, K, D) the values under the taps, zero or the context's before the document."""
    inside = (sources_FK >= 0)[..., None]
    other = context_FKD if context_FKD is not None else x_ND.new_zeros(())
    return torch.where(inside, x_ND[sources_FK.clamp(min=0)], other)


def _run(x_ND: Tensor, weight_KD: Tensor, *, reverse: bool = False) -> Tensor:
    """The convolution as if all tokens were one document; `reverse` looks ahead instead of back."""
    taps = len(weight_KD)
    result = x_ND * weight_KD[-1]
    for distance in range(1, min(taps, len(x_ND))):
        weight = weight_KD[taps - 1 - distance]
        if reverse:
            result[:-distance].addcmul_(x_ND[distance:], weight)
        else:
            result[distance:].addcmul_(x_ND[:-distance], weight)
    return result


class _CausalConvolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x_ND: Tensor, weight_DK: Tensor, rows: BorderRows) -> Tensor:
        weight_KD = weight_DK.t().contiguous()
        linear_ND = _run(x_ND, weight_KD)
        linear_ND[rows.rows_F] = (_taps(x_ND, rows.sources_FK, None) * weight_KD).sum(1)
        ctx.save_for_backward(x_ND, weight_KD, linear_ND)
        ctx.rows = rows
        return functional.silu(linear_ND)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        x_ND, weight_KD, linear_ND = ctx.saved_tensors
        rows: BorderRows = ctx.rows
        taps = len(weight_KD)
        grad_ND = torch.ops.aten.silu_backward(grads[0].contiguous(), linear_ND)
        grad_x_ND = _run(grad_ND, weight_KD, reverse=True)
        reached = _taps(grad_ND, rows.reached_FK, None)
        grad_x_ND[rows.ends_F] = (reached * weight_KD.flip(0)).sum(1)
        grad_weight_KD = torch.empty_like(weight_KD)
        for distance in range(taps):
            if distance >= len(x_ND):
                grad_weight_KD[taps - 1 - distance] = 0
                continue
            product = grad_ND[distance:] * x_ND[: len(x_ND) - distance]
            product.index_fill_(0, rows.crossed[distance], 0)
            grad_weight_KD[taps - 1 - distance] = product.sum(0)
        return grad_x_ND, grad_weight_KD.t(), None


def causal_convolution(
    x_ND: Tensor, weight_DK: Tensor, borders: Borders, context_BKD: Tensor | None = None
) -> Tensor:
    """SiLU of the causal depthwise convolution of every document.

    Args:
        x_ND: channels of the flat run.
        weight_DK: the taps of each channel, oldest first.
        borders: the documents of the run.
        context_BKD: the K - 1 tokens before each document, from a cache; None means zeros. No
            gradient flows into it.
    """
    taps = weight_DK.shape[1]
    rows = BorderRows.of(borders, taps, x_ND.device)
    if context_BKD is None:
        result: Tensor = _CausalConvolution.apply(x_ND, weight_DK, rows)
        return result
    weight_KD = weight_DK.t()
    linear_ND = _run(x_ND, weight_KD)
    back = rows.sources_FK.clamp(max=-1) + taps - 1
    context_FKD = context_BKD[rows.document_F[:, None], back]
    linear_ND[rows.rows_F] = (_taps(x_ND, rows.sources_FK, context_FKD) * weight_KD).sum(1)
    return functional.silu(linear_ND)


def step_convolution(window_BKD: Tensor, weight_DK: Tensor) -> Tensor:
    """(B, D) one token of each row: its window holds the K - 1 tokens before it and itself."""
    return functional.silu((window_BKD * weight_DK.t()).sum(1))
