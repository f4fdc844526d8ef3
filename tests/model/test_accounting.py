"""Every count against models that torch lays out itself, without memory, on the meta device."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from regreen.model.accounting import (
    active,
    copies_read,
    parameters,
    state_size,
    total,
    weights,
)
from regreen.model.config import ModelConfig
from regreen.model.shapes import SHAPES

SMALL = SHAPES["1m"]
VARIANTS = {
    **SHAPES,
    "dense": SMALL.model_copy(update={"num_experts": 0}),
    "dense 80b": ModelConfig(num_experts=0),
    "tied 80b": ModelConfig(tie_word_embeddings=True),
    "untied": SMALL.model_copy(update={"tie_word_embeddings": False}),
    "one dense layer": SMALL.model_copy(update={"mlp_only_layers": (1,)}),
    "every second layer sparse": SMALL.model_copy(update={"decoder_sparse_step": 2}),
    "linear only": SMALL.model_copy(update={"layer_types": ("linear_attention",) * 4}),
    "MTP": SMALL.model_copy(update={"num_nextn_predict_layers": 1}),
    "dense with MTP": SMALL.model_copy(update={"num_experts": 0, "num_nextn_predict_layers": 1}),
    "80b with MTP": ModelConfig(num_nextn_predict_layers=1),
    "attention first": SMALL.model_copy(
        update={"layer_types": ("full_attention", *("linear_attention",) * 3)}
    ),
}
PARTS = {
    "embed_tokens": "embedding",
    "lm_head": "lm_head",
    ".linear_attn.": "Gated DeltaNet",
    ".self_attn.": "attention",
    ".mlp.experts.": "routed experts",
    ".mlp.shared_expert": "shared experts",
    ".mlp.gate.": "router",
    ".mlp.": "dense feed-forward",
    "norm": "norms",
}
OWN_PARTS = {
    "next_token.": "MTP",
    "embedding": "embedding",
    "output.": "lm_head",
    ".mixer.": "mixer",
    ".experts.": "routed experts",
    ".shared_expert.": "shared experts",
    ".router.": "router",
    ".feed_forward.": "dense feed-forward",
    "norm": "norms",
}


def fused(name: str) -> str:
    """A checkpoint's name as transformers 5 holds it: the experts of a layer in two tensors."""
    for own in ("gate_proj", "up_proj"):
        name = name.replace(f"experts.{own}.weight", "experts.gate_up_proj")
    return name.replace("experts.down_proj.weight", "experts.down_proj")


def transformers_model(config: ModelConfig) -> Any:
    from transformers import Qwen3NextConfig, Qwen3NextForCausalLM

    with torch.device("meta"):
        return Qwen3NextForCausalLM(Qwen3NextConfig(**config.to_hf()))


def counted(config: ModelConfig) -> Counter[str]:
    found: Counter[str] = Counter()
    for weight in weights(config):
        if weight.part != "MTP":
            found[fused(weight.name)] += weight.elements
    return found


@pytest.mark.parametrize("name", VARIANTS)
def test_every_tensor_of_transformers_is_counted(name: str) -> None:
    config = VARIANTS[name]
    there = {key: value.numel() for key, value in transformers_model(config).named_parameters()}

    assert counted(config) == there
    mtp = parameters(config).get("MTP")  # transformers does not load it
    assert total(config) == sum(there.values()) + (mtp.total if mtp else 0)
    parts: Counter[str] = Counter()
    for key, size in there.items():
        parts[next(part for sign, part in PARTS.items() if sign in key)] += size
    found = {part: count.total for part, count in parameters(config).items() if part != "MTP"}
    assert found == parts


@pytest.mark.parametrize("name", VARIANTS)
def test_every_part_of_our_own_decoder_is_counted(name: str) -> None:
    from regreen.model.decoder import Decoder

    config = VARIANTS[name]
    with torch.device("meta"):
        decoder = Decoder(config)
    there: Counter[str] = Counter()
    for key, value in decoder.named_parameters():
        part = next(part for sign, part in OWN_PARTS.items() if sign in key)
        if part == "mixer":
            layer = int(key.split(".")[1])
            linear = config.mixers[layer] == "linear_attention"
            part = "Gated DeltaNet" if linear else "attention"
        there[part] += value.numel()
        if part == "router":  # the shared expert's gate is its last row
            there["router"] -= config.hidden_size
            there["shared experts"] += config.hidden_size

    found = {part: count.total for part, count in parameters(config).items()}
    if "MTP" not in there:  # a decoder without its head; the names on disk are compared below
        found.pop("MTP", None)
    assert found == there


@pytest.mark.parametrize("name", VARIANTS)
def test_names_are_those_of_a_checkpoint(name: str) -> None:
    from regreen.model.layout import pieces

    there = [tensor for piece in pieces(VARIANTS[name]) for tensor in piece.tensors]
    own = {weight.name: weight.copies for weight in weights(VARIANTS[name])}

    assert Counter(re.sub(r"experts\.\d+", "experts", tensor) for tensor in there) == own


@settings(max_examples=25)
@given(
    layers=st.integers(1, 6),
    interval=st.integers(1, 4),
    width=st.integers(1, 80),
    heads=st.sampled_from([(2, 1), (4, 4), (6, 2)]),
    linear_heads=st.sampled_from([(1, 1), (2, 4), (1, 3)]),
    head_dims=st.tuples(st.sampled_from([16, 24]), st.integers(1, 20), st.integers(1, 20)),
    experts=st.integers(0, 9),
    inner=st.tuples(st.integers(1, 30), st.integers(1, 30), st.integers(1, 30)),
    step=st.integers(1, 3),
    dense=st.sets(st.integers(0, 5)),
    tied=st.booleans(),
)
def test_any_configuration_counts_as_transformers_does(
    layers: int,
    interval: int,
    width: int,
    heads: tuple[int, int],
    linear_heads: tuple[int, int],
    head_dims: tuple[int, int, int],
    experts: int,
    inner: tuple[int, int, int],
    step: int,
    dense: set[int],
    tied: bool,
) -> None:
    config = ModelConfig(
        vocab_size=37,
        hidden_size=width,
        num_hidden_layers=layers,
        full_attention_interval=interval,
        num_attention_heads=heads[0],
        num_key_value_heads=heads[1],
        head_dim=head_dims[0],
        partial_rotary_factor=0.25,
        linear_num_key_heads=linear_heads[0],
        linear_num_value_heads=linear_heads[1],
        linear_key_head_dim=head_dims[1],
        linear_value_head_dim=head_dims[2],
        num_experts=experts,
        num_experts_per_tok=max(1, experts // 2),
        moe_intermediate_size=inner[0],
        shared_expert_intermediate_size=inner[1],
        intermediate_size=inner[2],
        decoder_sparse_step=step,
        mlp_only_layers=tuple(dense),
        tie_word_embeddings=tied,
    )
    there = {key: value.numel() for key, value in transformers_model(config).named_parameters()}

    assert counted(config) == there


def test_the_published_shape_in_exact_numbers() -> None:
    config = ModelConfig()
    found = {part: (count.total, count.read) for part, count in parameters(config).items()}

    assert found == {
        "routed experts": (77_309_411_328, 1_509_949_440),
        "shared experts": (151_093_248, 151_093_248),
        "router": (50_331_648, 50_331_648),
        "Gated DeltaNet": (1_213_864_704, 1_213_864_704),
        "attention": (327_161_856, 327_161_856),
        "norms": (198_656, 198_656),
        "embedding": (311_164_928, 2048),
        "lm_head": (311_164_928, 311_164_928),
    }
    assert total(config) == 79_674_391_296
    assert active(config) == 3_563_766_528


def test_what_a_sequence_keeps_in_the_published_shape() -> None:
    size = state_size(ModelConfig())

    assert size.recurrent == 18_874_368
    assert size.convolution * 4 == 3_538_944
    assert size.kv_per_token * 2 == 24 * 1024
    assert size.kv_per_token * 2 * 262_144 == 6 * 2**30
    snapshot = 4 * (size.recurrent + size.convolution)
    assert snapshot == 3216 * size.kv_per_token * 2


def test_what_a_sequence_keeps_is_what_transformers_caches() -> None:
    from transformers import Qwen3NextConfig, Qwen3NextForCausalLM

    num_tokens = 5
    model = Qwen3NextForCausalLM(Qwen3NextConfig(**SMALL.to_hf()))
    with torch.no_grad():
        cache = model(torch.zeros(1, num_tokens, dtype=torch.long), use_cache=True).past_key_values
    kept: Counter[str] = Counter()
    for layer in cache.layers:
        for name in ("keys", "values", "recurrent_states", "conv_states"):
            held = getattr(layer, name, None)
            for tensor in held.values() if isinstance(held, dict) else [held]:
                if isinstance(tensor, torch.Tensor):
                    kept[name] += tensor.numel()
    size = state_size(SMALL)

    assert kept["recurrent_states"] == size.recurrent
    assert kept["keys"] + kept["values"] == size.kv_per_token * num_tokens
    taps = SMALL.linear_conv_kernel_dim
    assert kept["conv_states"] * (taps - 1) == size.convolution * taps


def test_the_prediction_layer_is_an_attention_layer_with_a_joint() -> None:
    config = SMALL.model_copy(update={"num_nextn_predict_layers": 1})
    counts, plain = parameters(config), parameters(SMALL)
    width = config.hidden_size
    per_layer = sum(
        plain[part].total // config.num_hidden_layers
        for part in ("routed experts", "shared experts", "router")
    )
    joint = 2 * width * width + 3 * width

    assert counts["MTP"].total == per_layer + plain["attention"].total + 2 * width + joint
    assert counts["MTP"].read == 0
    assert active(config) == active(SMALL)
    assert total(config) == total(SMALL) + counts["MTP"].total


def test_experts_read_by_many_sequences_are_those_that_chance_draws() -> None:
    config = SHAPES["264m"]
    generator = np.random.default_rng(0)
    for num_sequences in (1, 2, 8, 64):
        drawn = generator.random((400, num_sequences, config.num_experts)).argsort(axis=2)
        chosen = drawn[:, :, : config.num_experts_per_tok].reshape(400, -1)
        different = np.mean([len(set(row)) for row in chosen.tolist()])
        assert copies_read(config, num_sequences) == pytest.approx(different, rel=0.02)
    assert copies_read(config, 1) == config.num_experts_per_tok
    assert copies_read(SMALL.model_copy(update={"num_experts": 0}), 3) == 0
