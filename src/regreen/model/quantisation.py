"""Bytes of weights in each format: blocks as their specifications lay them out, recipes as used.

A quantised file is never one format throughout, so a recipe says for every tensor which block it
gets and a size is the sum, not parameters times a nominal number of bits. The recipes of GGUF files
follow llama.cpp's `llama-quantize` (the tree in llama-cpp-python 0.3.36) without an importance
matrix, down to what it does with rows that no block divides.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import ceil, prod
from types import MappingProxyType

from regreen.model.accounting import Weight
from regreen.model.config import ModelConfig

__all__ = ["BLOCKS", "QUANTISATIONS", "Block", "Quantisation"]


@dataclass(frozen=True)
class Block:
    """How weights lie in memory: `bits` for each, and a header for each block of them."""

    bits: int
    """Bits of one weight, its share of headers aside."""
    rows: int = 1
    """Rows of a block."""
    columns: int = 1
    """Columns of a block."""
    header: int = 0
    """Bytes of scales and minima of a block."""

    def size(self, shape: tuple[int, ...]) -> int:
        """Bytes of one tensor; a vector is one row."""
        rows, columns = prod(shape[:-1]), shape[-1]
        blocks = ceil(rows / self.rows) * ceil(columns / self.columns)
        return rows * columns * self.bits // 8 + blocks * self.header


BLOCKS: Mapping[str, Block] = MappingProxyType(
    {
        "f32": Block(32),
        "f16": Block(16),
        "bf16": Block(16),
        # DeepSeek-V3 (2412.19437, 3.3), as Qwen publishes it: e4m3, a bfloat16 scale for 128 x 128
        "fp8": Block(8, rows=128, columns=128, header=2),
        # NVIDIA: e2m1, an e4m3 scale for 16; the one float for a tensor is left out
        "nvfp4": Block(4, columns=16, header=1),
        # OCP Microscaling 1.0: e2m1, an e8m0 scale for 32
        "mxfp4": Block(4, columns=32, header=1),
        # the others: ggml-common.h
        "q8_0": Block(8, columns=32, header=2),
        "q6_k": Block(6, columns=256, header=18),
        "q5_k": Block(5, columns=256, header=16),
        "q4_k": Block(4, columns=256, header=16),
        "q5_0": Block(5, columns=32, header=2),
        "q5_1": Block(5, columns=32, header=4),
        "q4_0": Block(4, columns=32, header=2),
        "iq4_nl": Block(4, columns=32, header=2),
        "iq4_xs": Block(4, columns=256, header=8),
    }
)
"""Formats of blocks by name."""

_FALLBACK = {"q4_k": "q5_0", "q5_k": "q5_1", "q6_k": "q8_0", "iq4_xs": "iq4_nl"}
_IQ4 = ("iq4_xs", "iq4_nl")
_SMALL = ("ffn_gate_inp", "ffn_gate_inp_shexp", "ssm_conv1d")


@dataclass(frozen=True)
class Quantisation:
    """A recipe: which block every tensor gets."""

    name: str
    """Its usual name, in lower case."""
    kept: str
    """What stays as it was, in words."""
    source: str
    """Where the recipe is written down."""
    block: Callable[[Weight, ModelConfig], str]
    """The block of a tensor, a name in `BLOCKS`."""

    def size(self, weight: Weight, config: ModelConfig) -> int:
        """Bytes of all copies of a tensor."""
        return weight.copies * BLOCKS[self.block(weight, config)].size(weight.shape)

    def read(self, weight: Weight, config: ModelConfig) -> int:
        """Bytes of a tensor that one decoded token reads.

        Whole experts and whole rows are read, so the share of elements is the share of bytes.
        """
        return self.size(weight, config) * weight.read // weight.elements


def _plain(block: str) -> Callable[[Weight, ModelConfig], str]:
    return lambda weight, config: block


def _fp8(weight: Weight, config: ModelConfig) -> str:
    outside = {"token_embd", "output", "ssm_ba", "nextn.eh_proj", *_SMALL}
    return "bf16" if len(weight.shape) < 2 or weight.role in outside else "fp8"


def _nvfp4(weight: Weight, config: ModelConfig) -> str:
    return (
        "nvfp4" if weight.role.endswith(("_exps", "_shexp")) and not _is_small(weight) else "bf16"
    )


def _is_small(weight: Weight) -> bool:
    """Whether GGUF always stores the tensor in float32."""
    return len(weight.shape) < 2 or weight.role in _SMALL


@dataclass(frozen=True)
class _Mixture:
    """A recipe of llama-quantize."""

    base: str
    """The block of most tensors."""
    more: str = ""
    """The block that sensitive tensors of some layers get, in the "M" mixtures."""

    def __call__(self, weight: Weight, config: ModelConfig) -> str:
        """The block of a tensor; rows that it does not divide get a smaller one."""
        if _is_small(weight):
            return "f32"
        wanted = self._wanted(weight, config)
        if weight.shape[-1] % BLOCKS[wanted].columns:
            wanted = _FALLBACK.get(wanted, wanted)
        return "f16" if weight.shape[-1] % BLOCKS[wanted].columns else wanted

    def _wanted(self, weight: Weight, config: ModelConfig) -> str:
        """`llama_tensor_get_type_impl`, for this architecture and the recipes offered here."""
        role = weight.role
        if role == "output" or (role == "token_embd" and config.tie_word_embeddings):
            return self._output(weight.shape[-1])
        if self.base == "mxfp4":
            return "mxfp4" if role.endswith("_exps") else "q8_0"
        if role in {"attn_v", "attn_qkv", "attn_k", "attn_output"}:
            return self._attention(weight, config)
        if role.startswith("ffn_down"):
            return self._down(weight.layer or 0, config)
        return self.base

    def _output(self, columns: int) -> str:
        divided = columns % BLOCKS[self.base].columns == 0
        return "q6_k" if divided and self.base not in {"q8_0", "mxfp4"} else "q8_0"

    def _attention(self, weight: Weight, config: ModelConfig) -> str:
        if config.num_experts == 8:  # Mixtral's number, which llama-quantize takes for Mixtral
            if weight.role != "attn_output":
                return "q8_0"
            return "q5_k" if self.base in {"q4_k", *_IQ4} else self.base
        if weight.role in {"attn_k", "attn_output"}:
            return self.base
        groups = config.num_attention_heads // config.num_key_value_heads
        if self.base in _IQ4 and groups >= 4:
            return "q5_k"
        return self._sensitive(weight.layer or 0, config)

    def _down(self, layer: int, config: ModelConfig) -> str:
        if self.base in _IQ4 and layer < _layers(config) // 8:
            return "q5_k"
        return self._sensitive(layer, config)

    def _sensitive(self, layer: int, config: ModelConfig) -> str:
        layers = _layers(config)
        eighth = layers // 8
        outer = layer < eighth or layer >= 7 * layers // 8
        return self.more if self.more and (outer or (layer - eighth) % 3 == 2) else self.base


def _layers(config: ModelConfig) -> int:
    return config.num_hidden_layers + config.num_nextn_predict_layers


_GGUF_KEPT = "router, shared gate, convolution, vectors in f32"
_QUANTIZE = "llama.cpp, llama-quant.cpp"
QUANTISATIONS: Mapping[str, Quantisation] = MappingProxyType(
    {
        row.name: row
        for row in (
            Quantisation("f32", "everything", "IEEE 754", _plain("f32")),
            Quantisation("bf16", "everything, as published", "safetensors", _plain("bf16")),
            Quantisation(
                "fp8",
                "embedding, lm_head, router, gates, convolution, b and a, vectors in bf16",
                "the vendor's FP8 checkpoints; vLLM pull request 25079",
                _fp8,
            ),
            Quantisation("q8_0", _GGUF_KEPT, _QUANTIZE, _Mixture("q8_0")),
            Quantisation("q6_k", _GGUF_KEPT, _QUANTIZE, _Mixture("q6_k")),
            Quantisation("q5_k_m", _GGUF_KEPT, _QUANTIZE, _Mixture("q5_k", more="q6_k")),
            Quantisation("q4_k_m", _GGUF_KEPT, _QUANTIZE, _Mixture("q4_k", more="q6_k")),
            Quantisation("iq4_nl", _GGUF_KEPT, _QUANTIZE, _Mixture("iq4_nl")),
            Quantisation("iq4_xs", _GGUF_KEPT, _QUANTIZE, _Mixture("iq4_xs")),
            Quantisation(
                "mxfp4",
                f"all but routed experts in q8_0; {_GGUF_KEPT}",
                "llama.cpp, MXFP4_MOE",
                _Mixture("mxfp4"),
            ),
            Quantisation(
                "nvfp4",
                "all but routed and shared experts in bf16",
                "NVIDIA Model-Optimizer, experts only",
                _nvfp4,
            ),
        )
    }
)
"""Recipes by name, from the largest file to the smallest within a family."""
