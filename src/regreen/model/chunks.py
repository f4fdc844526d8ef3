"""Documents cut into chunks, in the order in which a scan over time meets contiguous slices.

Chunks are stored step by step: the first chunk of every document, longest document first, then
every second chunk, and so on. The documents still running at a step are a prefix of those of the
step before, so documents of any lengths are scanned together without padding them to the longest.

Shapes: N tokens, M chunks, C tokens of a chunk, H heads, W width.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

__all__ = ["Chunks", "from_chunks", "to_chunks"]


@dataclass(frozen=True)
class Chunks:
    """Where each token stands among the chunks."""

    size: int
    """Tokens of a chunk, C."""
    order: tuple[int, ...]
    """Documents from longest to shortest: the order of the states in a scan."""
    running: tuple[int, ...]
    """How many documents have a chunk at each step."""
    index_MC: Tensor | None
    """The token at each place; a pad repeats the last token of its own document. None where all
    documents are one whole number of chunks long, and the order is a transposition."""
    inverse_N: Tensor | None
    """The place of each token in the flattened chunks; None as above."""
    pads: Tensor | None
    """Places of the flattened chunks that hold no token; None where there are none."""

    @classmethod
    def cut(
        cls, starts: Sequence[int], lengths: Sequence[int], size: int, device: torch.device
    ) -> Chunks:
        """Cut documents that begin at `starts` into chunks of `size` tokens."""
        order = tuple(sorted(range(len(lengths)), key=lambda index: -lengths[index]))
        counts = [-(-lengths[index] // size) for index in order]
        running = tuple(sum(count > step for count in counts) for step in range(counts[0]))
        if lengths[order[0]] == lengths[order[-1]] and lengths[0] % size == 0:
            return cls(size, order, running, None, None, None)
        start = torch.tensor([starts[index] for index in order])[:, None]
        end = start + torch.tensor([lengths[index] for index in order])[:, None]
        offset = torch.arange(size)
        place_MC = torch.cat(
            [start[:count] + step * size + offset for step, count in enumerate(running)]
        )
        end_MC = torch.cat([end[:count] for count in running]).expand_as(place_MC)
        held = (place_MC < end_MC).flatten()
        index_MC = torch.minimum(place_MC, end_MC - 1)
        inverse = torch.empty(sum(lengths), dtype=torch.long)
        inverse[index_MC.flatten()[held]] = held.nonzero().flatten()
        pads = None if bool(held.all()) else (~held).nonzero().flatten().to(device)
        return cls(size, order, running, index_MC.to(device), inverse.to(device), pads)

    @property
    def num_chunks(self) -> int:
        """Chunks of all documents, M."""
        return sum(self.running)


def _gather(x_NHW: Tensor, chunks: Chunks) -> Tensor:
    if chunks.index_MC is None:
        batch = chunks.running[0]
        steps = x_NHW.unflatten(0, (batch, len(chunks.running), chunks.size))
        return steps.permute(1, 0, 3, 2, 4).reshape(-1, *_head_major(x_NHW, chunks.size))
    return x_NHW[chunks.index_MC].transpose(1, 2).contiguous()


def _scatter(x_MHCW: Tensor, chunks: Chunks) -> Tensor:
    if chunks.inverse_N is None:
        steps = x_MHCW.unflatten(0, (len(chunks.running), chunks.running[0]))
        heads, width = x_MHCW.shape[1], x_MHCW.shape[3]
        return steps.permute(1, 0, 3, 2, 4).reshape(-1, heads, width)
    return x_MHCW.transpose(1, 2).flatten(0, 1)[chunks.inverse_N]


def _head_major(x_NHW: Tensor, size: int) -> tuple[int, int, int]:
    return x_NHW.shape[1], size, x_NHW.shape[2]


class _ToChunks(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x_NHW: Tensor, chunks: Chunks) -> Tensor:
        ctx.chunks = chunks
        return _gather(x_NHW, chunks)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        return _scatter(grads[0], ctx.chunks), None


class _FromChunks(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x_MHCW: Tensor, chunks: Chunks) -> Tensor:
        ctx.chunks = chunks
        return _scatter(x_MHCW, chunks)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        grad_MHCW = _gather(grads[0], ctx.chunks)
        if (pads := ctx.chunks.pads) is not None:
            _clear(grad_MHCW, pads)
        return grad_MHCW, None


def _clear(x_MHCW: Tensor, pads: Tensor) -> None:
    """Set the pads to zero, in place."""
    chunk, place = pads // x_MHCW.shape[2], pads % x_MHCW.shape[2]
    x_MHCW[chunk, :, place] = 0


def to_chunks(x_NHW: Tensor, chunks: Chunks, *, clear: bool = False) -> Tensor:
    """(M, H, C, W) from the flat run; `clear` sets pads to zero. No gradient flows from a pad."""
    x_MHCW: Tensor = _ToChunks.apply(x_NHW, chunks)
    if clear and chunks.pads is not None:
        x_MHCW = x_MHCW.clone()
        _clear(x_MHCW, chunks.pads)
    return x_MHCW


def from_chunks(x_MHCW: Tensor, chunks: Chunks) -> Tensor:
    """(N, H, W) the flat run again, pads left out."""
    x_NHW: Tensor = _FromChunks.apply(x_MHCW, chunks)
    return x_NHW
