"""What a configuration weighs: every tensor it needs, and what one token reads, holds and keeps.

Everything is a sum over one table of tensors, so that totals, bytes and placements cannot disagree,
and the table can be compared name by name with a model on the meta device. Plain integers: nothing
here imports torch, so an 80B shape is planned in milliseconds on any machine.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from typing import Literal, get_args

from regreen.model.config import ModelConfig

__all__ = [
    "PARTS",
    "Count",
    "Part",
    "StateSize",
    "Weight",
    "active",
    "copies_read",
    "parameters",
    "state_size",
    "total",
    "weights",
]

Part = Literal[
    "routed experts",
    "shared experts",
    "dense feed-forward",
    "router",
    "Gated DeltaNet",
    "attention",
    "norms",
    "embedding",
    "lm_head",
    "MTP",
]
PARTS: tuple[Part, ...] = get_args(Part)


@dataclass(frozen=True)
class Weight:
    """One tensor of the checkpoint, or one of several equal ones."""

    name: str
    """Its name in the Hugging Face layout; for experts the name without their number."""
    part: Part
    """What it belongs to."""
    role: str
    """Its name in GGUF without the layer, on which quantisation recipes act."""
    shape: tuple[int, ...]
    """Rows and columns of one copy, as torch has them."""
    layer: int | None = None
    """Layer it stands in; the MTP layer comes after the last one; None outside layers."""
    copies: int = 1
    """How many there are: the experts of the layer."""
    elements_read: int | None = None
    """Elements of all copies that one token reads; None reads all of them."""

    @property
    def elements(self) -> int:
        """Parameters in all copies."""
        return self.copies * prod(self.shape)

    @property
    def read(self) -> int:
        """Parameters that one decoded token reads."""
        return self.elements if self.elements_read is None else self.elements_read


@dataclass(frozen=True)
class Count:
    """Parameters of a part."""

    total: int
    """All of them."""
    read: int
    """Those that one decoded token reads; what is called active."""


@dataclass(frozen=True)
class StateSize:
    """Elements that decoding keeps, for one sequence."""

    recurrent: int
    """State of the delta rule, whatever the context."""
    convolution: int
    """Last inputs of the causal convolutions, whatever the context."""
    kv_per_token: int
    """Keys and values of each token of the context."""


def weights(config: ModelConfig) -> tuple[Weight, ...]:
    """Every tensor of the checkpoint, in its order.

    The fused `in_proj_qkvz` comes as two rows of one name, because GGUF stores it as two tensors.
    """
    return tuple(_weights(config))


def parameters(config: ModelConfig) -> dict[Part, Count]:
    """Parameters by part, in the order of `PARTS`, without the parts a configuration lacks."""
    table = weights(config)
    sums = {part: [weight for weight in table if weight.part == part] for part in PARTS}
    return {
        part: Count(sum(weight.elements for weight in own), sum(weight.read for weight in own))
        for part, own in sums.items()
        if own
    }


def total(config: ModelConfig) -> int:
    """All parameters; a tied output matrix counts once."""
    return sum(count.total for count in parameters(config).values())


def active(config: ModelConfig) -> int:
    """Parameters that one decoded token reads: chosen experts, one row of an untied embedding."""
    return sum(count.read for count in parameters(config).values())


def state_size(config: ModelConfig) -> StateSize:
    """What a sequence keeps between tokens.

    A convolution over k taps needs the last k - 1 inputs (some implementations keep k). Of the MTP
    layer nothing is counted.
    """
    linear = sum(mixer == "linear_attention" for mixer in config.mixers)
    heads = config.linear_num_value_heads
    keys = 2 * config.num_key_value_heads * config.head_dim
    return StateSize(
        recurrent=linear * heads * config.linear_key_head_dim * config.linear_value_head_dim,
        convolution=linear * config.linear_conv_dim * (config.linear_conv_kernel_dim - 1),
        kv_per_token=(config.num_hidden_layers - linear) * keys,
    )


def copies_read(config: ModelConfig, num_sequences: int) -> float:
    """Different experts of a layer that a step of many sequences is expected to read.

    E·(1 - (1 - k/E)^B) for B sequences of independent, even routing; a trained router repeats
    itself more, so this is an upper estimate. Exactly k for one sequence.
    """
    if not config.num_experts:
        return 0.0
    if num_sequences == 1:
        return float(config.num_experts_per_tok)
    idle = 1 - config.num_experts_per_tok / config.num_experts
    return config.num_experts * (1 - idle**num_sequences)


def _weights(config: ModelConfig) -> Iterator[Weight]:
    width, vocab = config.hidden_size, config.vocab_size
    row = None if config.tie_word_embeddings else width
    embedding = "model.embed_tokens.weight"
    yield Weight(embedding, "embedding", "token_embd", (vocab, width), elements_read=row)
    for layer, (mixer, sparse) in enumerate(zip(config.mixers, config.sparse, strict=True)):
        prefix = f"model.layers.{layer}"
        if mixer == "linear_attention":
            yield from _delta_net(config, prefix, layer)
        else:
            yield from _attention(config, prefix, layer)
        yield from _feed_forward(config, prefix, layer, sparse=sparse)
        yield from _layer_norms(config, prefix, layer)
    yield Weight("model.norm.weight", "norms", "output_norm", (width,))
    if not config.tie_word_embeddings:
        yield Weight("lm_head.weight", "lm_head", "output", (vocab, width))
    if config.num_nextn_predict_layers:
        yield from _prediction(config)


def _delta_net(config: ModelConfig, prefix: str, layer: int) -> Iterator[Weight]:
    width, heads = config.hidden_size, config.linear_num_value_heads
    value, channels = config.linear_value_dim, config.linear_conv_dim
    taps, head = config.linear_conv_kernel_dim, config.linear_value_head_dim
    for name, role, shape in (
        ("dt_bias", "ssm_dt", (heads,)),
        ("A_log", "ssm_a", (heads,)),
        ("conv1d.weight", "ssm_conv1d", (channels, 1, taps)),
        ("in_proj_qkvz.weight", "attn_qkv", (channels, width)),
        ("in_proj_qkvz.weight", "attn_gate", (value, width)),
        ("in_proj_ba.weight", "ssm_ba", (2 * heads, width)),
        ("norm.weight", "ssm_norm", (head,)),
        ("out_proj.weight", "ssm_out", (width, value)),
    ):
        yield Weight(f"{prefix}.linear_attn.{name}", "Gated DeltaNet", role, shape, layer)


def _attention(config: ModelConfig, prefix: str, layer: int) -> Iterator[Weight]:
    width, head = config.hidden_size, config.head_dim
    query, keys = config.num_attention_heads * head, config.num_key_value_heads * head
    for name, role, shape in (
        ("q_proj", "attn_q", (2 * query, width)),  # queries, and the gate of the output
        ("k_proj", "attn_k", (keys, width)),
        ("v_proj", "attn_v", (keys, width)),
        ("o_proj", "attn_output", (width, query)),
        ("q_norm", "attn_q_norm", (head,)),
        ("k_norm", "attn_k_norm", (head,)),
    ):
        yield Weight(f"{prefix}.self_attn.{name}.weight", "attention", role, shape, layer)


def _feed_forward(
    config: ModelConfig, prefix: str, layer: int, *, sparse: bool
) -> Iterator[Weight]:
    if not sparse:
        inner = config.intermediate_size
        yield from _gated(config, f"{prefix}.mlp", "dense feed-forward", "", (layer, inner))
        return
    width, experts = config.hidden_size, config.num_experts
    yield Weight(f"{prefix}.mlp.gate.weight", "router", "ffn_gate_inp", (experts, width), layer)
    inner, own = config.moe_intermediate_size, f"{prefix}.mlp.experts"
    for expert in _gated(config, own, "routed experts", "_exps", (layer, inner)):
        chosen = config.num_experts_per_tok * prod(expert.shape)
        yield Weight(expert.name, expert.part, expert.role, expert.shape, layer, experts, chosen)
    inner, own = config.shared_expert_intermediate_size, f"{prefix}.mlp.shared_expert"
    yield from _gated(config, own, "shared experts", "_shexp", (layer, inner))
    name, role = f"{prefix}.mlp.shared_expert_gate.weight", "ffn_gate_inp_shexp"
    yield Weight(name, "shared experts", role, (1, width), layer)


def _gated(
    config: ModelConfig, prefix: str, part: Part, suffix: str, where: tuple[int, int]
) -> Iterator[Weight]:
    """The three matrices of a gated feed-forward part; `where` is its layer and inner width."""
    (layer, inner), width = where, config.hidden_size
    for name, shape in (("gate", (inner, width)), ("up", (inner, width)), ("down", (width, inner))):
        yield Weight(f"{prefix}.{name}_proj.weight", part, f"ffn_{name}{suffix}", shape, layer)


def _layer_norms(config: ModelConfig, prefix: str, layer: int) -> Iterator[Weight]:
    for name, role in (
        ("input_layernorm", "attn_norm"),
        ("post_attention_layernorm", "post_attention_norm"),
    ):
        yield Weight(f"{prefix}.{name}.weight", "norms", role, (config.hidden_size,), layer)


def _prediction(config: ModelConfig) -> Iterator[Weight]:
    """The multi-token-prediction layer: one attention layer that ordinary decoding never reads."""
    width, layer, prefix = config.hidden_size, config.num_hidden_layers, "mtp.layers.0"
    yield Weight("mtp.fc.weight", "MTP", "nextn.eh_proj", (width, 2 * width), layer, 1, 0)
    for name, role in (
        ("pre_fc_norm_embedding", "nextn.enorm"),
        ("pre_fc_norm_hidden", "nextn.hnorm"),
        ("norm", "nextn.shared_head_norm"),
    ):
        yield Weight(f"mtp.{name}.weight", "MTP", role, (width,), layer, 1, 0)
    for own in (
        *_attention(config, prefix, layer),
        *_feed_forward(config, prefix, layer, sparse=bool(config.num_experts)),
        *_layer_norms(config, prefix, layer),
    ):
        yield Weight(own.name, "MTP", own.role, own.shape, layer, own.copies, 0)
