"""A Gated DeltaNet layer: projections, short convolution, gated delta rule, gated norm.

All six projections are one matrix in memory, rows in the order queries, keys, values, output gate,
beta, decay, so that the convolution's channels are one slice of its product. On disk they are
Hugging Face's two matrices, interleaved by key head (see `checkpoint`).

Shapes: N tokens, B documents, D model width, J convolved channels, G key heads, H value heads,
K and V their widths, X = 2H columns that make beta and decay.
"""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor, nn
from torch.nn import functional

from regreen.model.borders import Borders
from regreen.model.chunks import from_chunks, to_chunks
from regreen.model.config import ModelConfig
from regreen.model.convolution import causal_convolution, step_convolution
from regreen.model.delta_rule import chunked_delta_rule, delta_rule_step
from regreen.model.kernels import fused_delta_rule, scan_documents
from regreen.model.memory import DeltaMemory
from regreen.model.norm import GatedRMSNorm, l2_normalise
from regreen.model.precision import widened
from regreen.model.projection import Projection

__all__ = ["GatedDeltaNet"]


class GatedDeltaNet(nn.Module):
    """The linear-time mixer: a matrix memory per value head, corrected by each token."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.key_heads = config.linear_num_key_heads
        self.value_heads = config.linear_num_value_heads
        self.key_width = config.linear_key_head_dim
        self.value_width = config.linear_value_head_dim
        self.channels = config.linear_conv_dim
        self.sizes = (self.channels, config.linear_value_dim, 2 * self.value_heads)
        self.in_proj = Projection(config.hidden_size, sum(self.sizes))
        self.conv = nn.Parameter(torch.empty(self.channels, config.linear_conv_kernel_dim))
        self.a_log = nn.Parameter(torch.empty(self.value_heads))
        self.dt_bias = nn.Parameter(torch.ones(self.value_heads))
        self.norm = GatedRMSNorm(self.value_width, config.rms_norm_eps)
        self.out_proj = Projection(config.linear_value_dim, config.hidden_size)

    def forward(self, x_ND: Tensor, borders: Borders, memory: DeltaMemory | None = None) -> Tensor:
        """Mix each document; with a memory, document i continues its row i."""
        mixed_NJ, z_NE, gates_NX = self.in_proj(x_ND).split_with_sizes(self.sizes, dim=-1)
        beta_NH, g_NH = self._gates(gates_NX)
        if memory is None:
            active_NJ = causal_convolution(mixed_NJ, self.conv, borders)
            out_NHV = self._scan(active_NJ, beta_NH, g_NH, borders, None)
        elif borders.uniform and borders.lengths[0] == 1:
            out_NHV = self._step(memory.step(mixed_NJ, gates_NX), beta_NH, g_NH, memory)
        else:
            context_BTJ = memory.context()
            memory.record(mixed_NJ, gates_NX, borders)
            active_NJ = causal_convolution(mixed_NJ, self.conv, borders, context_BTJ)
            out_NHV = self._scan(active_NJ, beta_NH, g_NH, borders, memory.state_BHKV)
        z_NHV = z_NE.view(len(x_ND), self.value_heads, self.value_width)
        mixed: Tensor = self.out_proj(self.norm(out_NHV, z_NHV).flatten(1))
        return mixed

    def replay(self, mixed_TJ: Tensor, gates_TX: Tensor, state_HKV: Tensor, skip: int) -> None:
        """Bring `state_HKV` forward, in place, over recorded inputs of one row.

        The first `skip` rows of `mixed_TJ` are the convolution's context and are not scanned.
        """
        borders = Borders((len(mixed_TJ),))
        active_TJ = causal_convolution(mixed_TJ, self.conv, borders)[skip:]
        beta_TH, g_TH = self._gates(gates_TX)
        self._scan(active_TJ, beta_TH, g_TH, Borders((len(active_TJ),)), state_HKV[None])

    def _gates(self, gates_NX: Tensor) -> tuple[Tensor, Tensor]:
        """(N, H) beta and the logarithm of the decay, float32 at least."""
        b_NH, a_NH = widened(gates_NX).chunk(2, dim=-1)
        g_NH = -widened(self.a_log).exp() * functional.softplus(a_NH + self.dt_bias)
        return b_NH.sigmoid(), g_NH

    def _heads(self, active_NJ: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries and keys of length one, queries scaled, and values; float32 at least."""
        keys = 2 * self.key_heads * self.key_width
        active_qk, active_v = widened(active_NJ).split((keys, self.channels - keys), dim=-1)
        qk = l2_normalise(active_qk.unflatten(-1, (2 * self.key_heads, self.key_width)))
        q_NGK, k_NGK = qk.split(self.key_heads, dim=1)
        v_NHV = active_v.unflatten(-1, (self.value_heads, self.value_width))
        return q_NGK * self.key_width**-0.5, k_NGK, v_NHV

    def _scan(
        self,
        active_NJ: Tensor,
        beta_NH: Tensor,
        g_NH: Tensor,
        borders: Borders,
        state_BHKV: Tensor | None,
    ) -> Tensor:
        """The delta rule over whole documents; a given state is brought forward in place."""
        q_NGK, k_NGK, v_NHV = self._heads(active_NJ)
        if (kernel := fused_delta_rule(active_NJ)) is not None:
            q_NGK, k_NGK, v_NHV = (x.to(active_NJ.dtype) for x in (q_NGK, k_NGK, v_NHV))
            return scan_documents(kernel, q_NGK, k_NGK, v_NHV, beta_NH, g_NH, borders, state_BHKV)
        chunks = borders.chunks(borders.chunk_size, active_NJ.device)
        order = torch.tensor(chunks.order, device=active_NJ.device)
        out_MHCV, final = chunked_delta_rule(
            to_chunks(q_NGK, chunks),
            to_chunks(k_NGK, chunks),
            to_chunks(v_NHV, chunks),
            to_chunks(beta_NH[..., None], chunks, clear=True)[..., 0],
            to_chunks(g_NH[..., None], chunks, clear=True)[..., 0],
            None if state_BHKV is None else state_BHKV[order],
            chunks.running,
        )
        if state_BHKV is not None and final is not None:
            state_BHKV[order] = final
        return from_chunks(out_MHCV, chunks).to(active_NJ.dtype)

    def _step(
        self, window_BTJ: Tensor, beta_BH: Tensor, g_BH: Tensor, memory: DeltaMemory
    ) -> Tensor:
        """One token of every row, the recurrent form."""
        active_BJ = widened(step_convolution(window_BTJ, self.conv))
        keys, rows = 2 * self.key_heads * self.key_width, len(active_BJ)
        qk = l2_normalise(active_BJ[:, :keys].view(rows, 2 * self.key_heads, self.key_width))
        # One selection repeats both for the value heads they serve.
        served = _served(self.key_heads, self.value_heads, qk.device)
        q, k = qk.index_select(1, served).chunk(2, dim=1)
        v = active_BJ[:, keys:].view(rows, self.value_heads, self.value_width)
        out_BHV = delta_rule_step(q, k, v, beta_BH, g_BH, memory.state_BHKV)
        same = out_BHV.dtype == window_BTJ.dtype
        return out_BHV if same else out_BHV.to(window_BTJ.dtype)


@cache
def _served(key_heads: int, value_heads: int, device: torch.device) -> Tensor:
    """(2H,) the query head, then the key head, that serves each value head."""
    heads = torch.arange(2 * key_heads, device=device)
    return heads.repeat_interleave(value_heads // key_heads)
