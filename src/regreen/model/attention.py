"""Gated attention: grouped queries, partial rotary positions, and a sigmoid gate on the output.

Queries, gates, keys and values are one matrix in memory, in this order; on disk they are Hugging
Face's three, query and gate interleaved by head (see `checkpoint`). A packed batch is computed per
document, documents of similar length together: padding stands behind a document, where the causal
mask hides it, so no mask over the whole row is ever made.

Shapes: N tokens, B rows, D model width, H query heads, G key heads, Q queries per key head, W head
width, T new tokens of a row, L all its tokens.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from regreen.model.borders import Borders
from regreen.model.config import ModelConfig
from regreen.model.memory import AttentionMemory
from regreen.model.norm import RMSNorm
from regreen.model.projection import Projection
from regreen.model.rope import Rotations, rotate

__all__ = ["GatedAttention"]


_BLOCK = 512
"""Queries masked at a time: a mask over a long prompt's every pair would not fit."""


class GatedAttention(nn.Module):
    """The quadratic mixer: one layer in four of the published shape."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.heads, self.key_heads = config.num_attention_heads, config.num_key_value_heads
        self.width = config.head_dim
        queries, keys = self.heads * self.width, self.key_heads * self.width
        self.sizes = (queries, queries, keys, keys)
        self.in_proj = Projection(config.hidden_size, sum(self.sizes))
        self.out_proj = Projection(queries, config.hidden_size)
        self.q_norm = RMSNorm(self.width, config.rms_norm_eps)
        self.k_norm = RMSNorm(self.width, config.rms_norm_eps)

    def forward(
        self,
        x_ND: Tensor,
        borders: Borders,
        rotations: Rotations,
        memory: AttentionMemory | None = None,
    ) -> Tensor:
        """Mix each document; with a memory, document i continues its row i."""
        q, gate_NE, k, v = self.in_proj(x_ND).split_with_sizes(self.sizes, dim=-1)
        q_NHW = rotate(self.q_norm(q.view(len(q), self.heads, self.width)), rotations)
        k_NGW = rotate(self.k_norm(k.view(len(k), self.key_heads, self.width)), rotations)
        v_NGW = v.view(len(v), self.key_heads, self.width)
        if memory is None:
            out_NHW = _documents(q_NHW, k_NGW, v_NGW, borders)
        else:
            memory.keys.put(k_NGW)
            memory.values.put(v_NGW)
            if borders.uniform and borders.lengths[0] == 1:
                out_NHW = _one_token(q_NHW, memory)
            else:
                out_NHW = _continued(q_NHW, borders, memory)
        mixed: Tensor = self.out_proj(out_NHW.flatten(1) * gate_NE.sigmoid())
        return mixed


def _attend(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:
    """Causal attention, queries (B, T, H, W) over keys (B, L, G, W); `mask` replaces causality."""
    out = functional.scaled_dot_product_attention(
        q.transpose(1, 2),
        k.transpose(1, 2),
        v.transpose(1, 2),
        attn_mask=mask,
        is_causal=mask is None,
        enable_gqa=q.shape[2] != k.shape[2],
    )
    return out.transpose(1, 2)


def _documents(q_NHW: Tensor, k_NGW: Tensor, v_NGW: Tensor, borders: Borders) -> Tensor:
    """(N, H, W) attention inside each document of a flat run."""
    if borders.uniform:
        shape = (len(borders.lengths), borders.lengths[0])
        rows = (x.unflatten(0, shape) for x in (q_NHW, k_NGW, v_NGW))
        return _attend(*rows).flatten(0, 1)
    pieces, places = [], []
    for index_BL, held_P, place_P in borders.padded(q_NHW.device):
        out_BLHW = _attend(q_NHW[index_BL], k_NGW[index_BL], v_NGW[index_BL])
        pieces.append(out_BLHW.flatten(0, 1)[held_P])
        places.append(place_P)
    return torch.cat(pieces)[torch.cat(places).argsort()]


def _one_token(q_NHW: Tensor, memory: AttentionMemory) -> Tensor:
    """(B, H, W) one new token of each row over all it has read.

    A beginning that rows share is read once for all of them: their queries stand side by side.
    """
    call = memory.rows.running
    groups = memory.keys.tail_BATW.shape[1]
    _, heads, width = q_NHW.shape
    q_BGQW = q_NHW.mul(width**-0.5).unflatten(1, (groups, heads // groups))
    scores = [_read(q_BGQW, part.mT) for part in memory.keys.parts()]
    if call.start is None:
        scores[-1] = scores[-1].masked_fill(call.hidden_BT[:, None, None], -torch.inf)
    sizes = [score.shape[-1] for score in scores]
    weights = (scores[0] if len(scores) == 1 else torch.cat(scores, dim=-1)).softmax(-1)
    parts = zip(weights.split(sizes, dim=-1), memory.values.parts(), strict=True)
    out = torch.stack([_read(weight, part) for weight, part in parts])
    return (out[0] if len(out) == 1 else out.sum(0)).flatten(1, 2)


def _read(left_BGQX: Tensor, right: Tensor) -> Tensor:
    """(B, G, Q, Y) products with matrices (B or 1, G, X, Y)."""
    batch, groups = left_BGQX.shape[:2]
    if len(right) == batch:
        product = torch.bmm(left_BGQX.flatten(0, 1), right.flatten(0, 1))
        return product.unflatten(0, (batch, groups))
    beside = left_BGQX.transpose(0, 1).flatten(1, 2)
    product = torch.bmm(beside, right[0])
    return product.unflatten(1, (batch, -1)).transpose(0, 1)


def _continued(q_NHW: Tensor, borders: Borders, memory: AttentionMemory) -> Tensor:
    """(N, H, W) several new tokens of each row over all it has read, row by row."""
    outs = []
    before = memory.rows.lengths
    for row, (q_THW, start) in enumerate(zip(q_NHW.split(borders.lengths), before, strict=True)):
        stop = start + len(q_THW)
        k_LGW = memory.keys.read(row, 0, stop).transpose(0, 1)[None]
        v_LGW = memory.values.read(row, 0, stop).transpose(0, 1)[None]
        if start == 0:
            outs.append(_attend(q_THW[None], k_LGW, v_LGW)[0])
            continue
        for block, q in enumerate(q_THW.split(_BLOCK)):
            first = start + block * _BLOCK
            last = first + len(q)
            seen = torch.arange(last, device=q.device)
            mask_TL = seen <= torch.arange(first, last, device=q.device)[:, None]
            outs.append(_attend(q[None], k_LGW[:, :last], v_LGW[:, :last], mask_TL)[0])
    return torch.cat(outs)
