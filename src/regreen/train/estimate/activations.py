"""What waits inside each layer for the backward, per token.

The one part of a run's memory that cannot be read off a list of tensors: a sum over what each
operation of our model saves, kept next to the measured amount by a test. Where two paths differ
(documents of equal or unequal lengths, plain operations or a GPU's kernels) the larger is counted.
"""

from __future__ import annotations

from regreen.model.config import ModelConfig

__all__ = ["activations"]

_WIDE = 4
"""Bytes of float32: of statistics, and of the delta rule."""
_INDEX = 8
"""Bytes of an int64."""
_CHUNK = 64
"""Tokens of a chunk of the delta rule (`Borders.chunk_size`, for long documents)."""


def activations(config: ModelConfig, *, compute_bytes: int = 4) -> tuple[int, ...]:
    """Bytes of a token that each layer keeps for the backward, first to last."""
    return tuple(
        _norms(config, compute_bytes)
        + (_delta_net if mixer == "linear_attention" else _attention)(config, compute_bytes)
        + (_sparse if sparse else _dense)(config, compute_bytes)
        for mixer, sparse in zip(config.mixers, config.sparse, strict=True)
    )


def _norms(config: ModelConfig, compute: int) -> int:
    """Two norms: what enters, what leaves, and a factor each."""
    return 4 * config.hidden_size * compute + 2 * _WIDE


def _delta_net(config: ModelConfig, compute: int) -> int:
    """Projections, convolution, gated norm; and the chunked delta rule in float32."""
    heads, value = config.linear_num_value_heads, config.linear_value_dim
    keys, per_head = config.linear_key_dim, config.linear_key_head_dim
    projected = config.linear_conv_dim + value + 2 * heads
    outside = projected + config.linear_conv_dim + 4 * value
    # Queries and keys normalised, then in chunks; residual and update; three squares of a chunk;
    # the states between chunks; decays and gates.
    states = heads * per_head * config.linear_value_head_dim // _CHUNK
    inside = 4 * keys + 2 * value + 3 * heads * _CHUNK + states + 8 * heads
    return outside * compute + inside * _WIDE


def _attention(config: ModelConfig, compute: int) -> int:
    """Projections, queries and keys turned, values, the result before and behind its gate."""
    queries = config.num_attention_heads * config.head_dim
    keys = config.num_key_value_heads * config.head_dim
    factors = 2 * config.num_attention_heads + config.num_key_value_heads
    return (2 * queries + 2 * keys + 5 * queries + 2 * keys) * compute + factors * _WIDE


def _sparse(config: ModelConfig, compute: int) -> int:
    """The router's distribution, each chosen expert's input and inner values, the shared one's."""
    width, chosen = config.hidden_size, config.num_experts_per_tok
    routed = chosen * (width + 3 * config.moe_intermediate_size)
    shared = 3 * config.shared_expert_intermediate_size + width
    places = 3 * chosen * _INDEX + (config.num_experts + 3 * chosen) * _WIDE
    return (routed + shared) * compute + places


def _dense(config: ModelConfig, compute: int) -> int:
    return 3 * config.intermediate_size * compute
