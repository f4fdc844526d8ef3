"""The shape of the model: one frozen description, read from and written to `config.json`.

Field names are those of `qwen3_next` wherever both have the field, so that a published
configuration can be read without a table. What this implementation does not compute (biases,
dropout, another activation) is refused rather than ignored.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

__all__ = ["LayerType", "ModelConfig", "Yarn"]

LayerType = Literal["linear_attention", "full_attention"]

_FIXED: dict[str, Any] = {"hidden_act": "silu", "attention_bias": False, "attention_dropout": 0.0}


class Yarn(BaseModel):
    """Rotary frequencies stretched beyond the trained context (YaRN, Peng et al., 2309.00071)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    factor: float = Field(gt=1.0)
    """How many times longer the context becomes; static, it acts at every length."""
    original_max_position_embeddings: int = Field(gt=0)
    """The context the frequencies were trained for, in tokens."""
    beta_fast: float = 32.0
    """Rotations within the trained context above which a frequency stays as it is."""
    beta_slow: float = 1.0
    """Rotations below which a frequency is divided by `factor`."""
    attention_factor: float | None = None
    """Scale of cosines and sines; None takes 0.1·ln(factor) + 1."""
    truncate: bool = True
    """Whether the ramp's ends are rounded outwards to whole dimensions."""


class ModelConfig(BaseModel):
    """A hybrid decoder: Gated DeltaNet and gated attention layers, each followed by experts.

    The defaults are the published 80B shape (Qwen3-Coder-Next).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    vocab_size: int = Field(default=151_936, gt=0)
    """Rows of the embedding; may exceed the tokenizer's entries."""
    hidden_size: int = Field(default=2048, gt=0)
    """Width of the residual stream."""
    num_hidden_layers: int = Field(default=48, gt=0)
    """Decoder layers, each a token mixer and a feed-forward part."""
    full_attention_interval: int = Field(default=4, gt=0)
    """Every so many layers one is attention; the others are Gated DeltaNet."""
    layer_types: tuple[LayerType, ...] = ()
    """The mixer of each layer; empty takes it from `full_attention_interval`."""
    num_attention_heads: int = Field(default=16, gt=0)
    """Query heads of an attention layer."""
    num_key_value_heads: int = Field(default=2, gt=0)
    """Key and value heads of an attention layer; divides the query heads."""
    head_dim: int = Field(default=256, gt=0)
    """Width of an attention head."""
    partial_rotary_factor: float = Field(default=0.25, gt=0.0, le=1.0)
    """Share of `head_dim` that carries the rotary embedding."""
    rope_theta: float = Field(default=5_000_000.0, gt=0.0)
    """Base of the rotary frequencies."""
    yarn: Yarn | None = None
    """Longer context by YaRN; None computes plain rotary embeddings."""
    max_position_embeddings: int = Field(default=262_144, gt=0)
    """Context the model is meant for, in tokens; recorded, not enforced."""
    linear_num_key_heads: int = Field(default=16, gt=0)
    """Query and key heads of a Gated DeltaNet layer."""
    linear_num_value_heads: int = Field(default=32, gt=0)
    """Value heads of a Gated DeltaNet layer; a multiple of the key heads."""
    linear_key_head_dim: int = Field(default=128, gt=0)
    """Width of a Gated DeltaNet query or key head."""
    linear_value_head_dim: int = Field(default=128, gt=0)
    """Width of a Gated DeltaNet value head."""
    linear_conv_kernel_dim: int = Field(default=4, gt=1)
    """Taps of the causal convolution over queries, keys and values."""
    num_experts: int = Field(default=512, ge=0)
    """Routed experts of a sparse layer; 0 makes every layer dense."""
    num_experts_per_tok: int = Field(default=10, gt=0)
    """Routed experts that act on a token."""
    moe_intermediate_size: int = Field(default=512, gt=0)
    """Inner width of a routed expert."""
    shared_expert_intermediate_size: int = Field(default=512, gt=0)
    """Inner width of the expert that acts on every token."""
    norm_topk_prob: bool = True
    """Whether the chosen experts' probabilities are scaled to sum to one."""
    router_aux_loss_coef: float = Field(default=0.001, ge=0.0)
    """Weight of the load-balancing loss."""
    decoder_sparse_step: int = Field(default=1, gt=0)
    """Every so many layers one is sparse; the others are dense."""
    mlp_only_layers: tuple[int, ...] = ()
    """Layers that are dense whatever `decoder_sparse_step` says."""
    intermediate_size: int = Field(default=5120, gt=0)
    """Inner width of a dense feed-forward part; unused where every layer is sparse."""
    num_nextn_predict_layers: int = Field(default=0, ge=0, le=1)
    """1 adds the multi-token-prediction layer (`mtp.*`)."""
    rms_norm_eps: float = Field(default=1e-6, gt=0.0)
    """Added to mean squares before their root."""
    initializer_range: float = Field(default=0.02, gt=0.0)
    """Standard deviation of new matrices."""
    tie_word_embeddings: bool = False
    """Whether the output matrix is the embedding."""

    @model_validator(mode="after")
    def _fits(self) -> ModelConfig:
        if self.num_attention_heads % self.num_key_value_heads:
            msg = "num_key_value_heads must divide num_attention_heads"
            raise ValueError(msg)
        if self.linear_num_value_heads % self.linear_num_key_heads:
            msg = "linear_num_key_heads must divide linear_num_value_heads"
            raise ValueError(msg)
        if self.num_experts and self.num_experts_per_tok > self.num_experts:
            msg = "num_experts_per_tok cannot exceed num_experts"
            raise ValueError(msg)
        if self.layer_types and len(self.layer_types) != self.num_hidden_layers:
            msg = f"layer_types names {len(self.layer_types)} of {self.num_hidden_layers} layers"
            raise ValueError(msg)
        if self.rotary_dim < 2 or self.rotary_dim % 2:
            msg = f"{self.rotary_dim} rotary dimensions are left, not a positive even number"
            raise ValueError(msg)
        return self

    @property
    def mixers(self) -> tuple[LayerType, ...]:
        """The token mixer of each layer, first to last."""
        if self.layer_types:
            return self.layer_types
        every = self.full_attention_interval
        return tuple(
            "linear_attention" if (layer + 1) % every else "full_attention"
            for layer in range(self.num_hidden_layers)
        )

    @property
    def sparse(self) -> tuple[bool, ...]:
        """Whether each layer's feed-forward part is a mixture of experts."""
        return tuple(
            bool(self.num_experts)
            and layer not in self.mlp_only_layers
            and (layer + 1) % self.decoder_sparse_step == 0
            for layer in range(self.num_hidden_layers)
        )

    @property
    def rotary_dim(self) -> int:
        """Dimensions of an attention head that are rotated."""
        return int(self.head_dim * self.partial_rotary_factor)

    @property
    def linear_key_dim(self) -> int:
        """Width of all Gated DeltaNet keys of a token."""
        return self.linear_num_key_heads * self.linear_key_head_dim

    @property
    def linear_value_dim(self) -> int:
        """Width of all Gated DeltaNet values of a token."""
        return self.linear_num_value_heads * self.linear_value_head_dim

    @property
    def linear_conv_dim(self) -> int:
        """Channels of the causal convolution: queries, keys, values."""
        return 2 * self.linear_key_dim + self.linear_value_dim

    @classmethod
    def from_hf(cls, values: Mapping[str, Any]) -> ModelConfig:
        """Read the content of a `config.json` of type `qwen3_next`, of transformers 4 or 5.

        Raises:
            ValueError: another model type, a feature this model does not compute, a bad value.
        """
        if (kind := values.get("model_type", "qwen3_next")) != "qwen3_next":
            msg = f"model_type is {kind!r}; this model reads 'qwen3_next'"
            raise ValueError(msg)
        for name, fixed in _FIXED.items():
            if values.get(name, fixed) != fixed:
                msg = f"{name} is {values[name]!r}; this model computes {fixed!r} only"
                raise ValueError(msg)
        known = {name: values[name] for name in cls.model_fields if values.get(name) is not None}
        known.pop("yarn", None)
        rope = dict(values.get("rope_scaling") or {}) | dict(values.get("rope_parameters") or {})
        for name in ("rope_theta", "partial_rotary_factor"):
            if name in rope:
                known[name] = rope.pop(name)
        kind = rope.pop("rope_type", None) or rope.pop("type", None) or "default"
        if kind == "yarn":
            if unknown := [name for name in ("mscale", "mscale_all_dim") if rope.get(name)]:
                msg = f"{unknown[0]} in the rotary settings; this model scales by attention_factor"
                raise ValueError(msg)
            known["yarn"] = {name: rope[name] for name in Yarn.model_fields if name in rope}
            known["yarn"].setdefault(
                "original_max_position_embeddings", known.get("max_position_embeddings")
            )
        elif kind != "default":
            msg = f"rope_type is {kind!r}; this model computes 'default' and 'yarn'"
            raise ValueError(msg)
        return cls.model_validate(known)

    def to_hf(self) -> dict[str, Any]:
        """The content of `config.json`, with rotary settings where transformers 4 and 5 look."""
        values = self.model_dump(exclude={"yarn", "full_attention_interval"})
        rope = {
            "rope_type": "default",
            "rope_theta": self.rope_theta,
            "partial_rotary_factor": self.partial_rotary_factor,
        }
        if self.yarn is not None:
            yarn = {k: v for k, v in self.yarn.model_dump().items() if v is not None}
            rope |= {"rope_type": "yarn", **yarn}
            values["rope_scaling"] = {"rope_type": "yarn", **yarn}
        return {
            "architectures": ["Qwen3NextForCausalLM"],
            "model_type": "qwen3_next",
            **_FIXED,
            **values,
            "layer_types": list(self.mixers),
            "full_attention_interval": self.full_attention_interval,
            "mlp_only_layers": list(self.mlp_only_layers),
            "rope_parameters": rope,
        }

    @classmethod
    def load(cls, folder: Path) -> ModelConfig:
        """Read `folder/config.json`.

        Raises:
            OSError: the file cannot be read.
            ValueError: it is not JSON or not a configuration of this model.
        """
        values = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        if not isinstance(values, dict):
            msg = f"config.json holds a {type(values).__name__}, not an object of named settings"
            raise ValueError(msg)
        return cls.from_hf(values)
