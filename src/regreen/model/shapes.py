"""Named configurations from one million parameters to eighty thousand million.

Each name says the total. The small ones hold the same 3 : 1 pattern of layers, 1 : 2 key to value
heads and one shared expert as the published shape, so that what is learnt at one size is said of
the same architecture at another; only `80b` is published, the others are ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from regreen.model.config import ModelConfig

__all__ = ["SHAPES"]


def _tiny(
    hidden_size: int, heads: int, head_dim: int, expert: int, shared_expert: int
) -> ModelConfig:
    """Four layers, eight experts of which two act, a vocabulary of 512: for tests on one core."""
    return ModelConfig(
        vocab_size=512,
        tie_word_embeddings=True,
        hidden_size=hidden_size,
        num_hidden_layers=4,
        num_attention_heads=heads,
        num_key_value_heads=heads // 2,
        head_dim=head_dim,
        linear_num_key_heads=heads // 2,
        linear_num_value_heads=heads,
        linear_key_head_dim=head_dim,
        linear_value_head_dim=head_dim,
        num_experts=8,
        num_experts_per_tok=2,
        moe_intermediate_size=expert,
        shared_expert_intermediate_size=shared_expert,
        intermediate_size=4 * hidden_size,
        rope_theta=10_000.0,
        max_position_embeddings=8192,
    )


SHAPES: Mapping[str, ModelConfig] = MappingProxyType(
    {
        "1m": _tiny(128, heads=4, head_dim=32, expert=64, shared_expert=64),
        "5m": _tiny(256, heads=4, head_dim=64, expert=160, shared_expert=160),
        "23m": _tiny(512, heads=8, head_dim=64, expert=352, shared_expert=352),
        "100m": ModelConfig(
            vocab_size=16_384,
            tie_word_embeddings=True,
            hidden_size=512,
            num_hidden_layers=8,
            num_attention_heads=8,
            num_key_value_heads=2,
            head_dim=128,
            linear_num_key_heads=4,
            linear_num_value_heads=8,
            num_experts=48,
            num_experts_per_tok=4,
            moe_intermediate_size=128,
            shared_expert_intermediate_size=128,
            intermediate_size=2048,
            rope_theta=1_000_000.0,
            max_position_embeddings=32_768,
        ),
        "264m": ModelConfig(
            vocab_size=8192,
            hidden_size=512,
            num_hidden_layers=12,
            num_attention_heads=8,
            num_key_value_heads=2,
            head_dim=128,
            linear_num_key_heads=4,
            linear_num_value_heads=8,
            num_experts=48,
            num_experts_per_tok=6,
            moe_intermediate_size=256,
            shared_expert_intermediate_size=256,
            intermediate_size=2048,
            rope_theta=1_000_000.0,
            max_position_embeddings=32_768,
        ),
        "1b": ModelConfig(
            vocab_size=32_768,
            tie_word_embeddings=True,
            hidden_size=1024,
            num_hidden_layers=24,
            num_attention_heads=16,
            num_key_value_heads=2,
            head_dim=128,
            linear_num_key_heads=8,
            linear_num_value_heads=16,
            num_experts=80,
            num_experts_per_tok=8,
            moe_intermediate_size=128,
            shared_expert_intermediate_size=128,
            intermediate_size=4096,
            rope_theta=1_000_000.0,
            max_position_embeddings=65_536,
        ),
        "80b": ModelConfig(),
    }
)
"""From name to configuration, smallest first."""
