"""Bytes against what llama-quantize says of the same tensors, and against the specifications."""

from __future__ import annotations

from math import prod

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regreen.model.accounting import active, total, weights
from regreen.model.config import ModelConfig
from regreen.model.quantisation import BLOCKS, QUANTISATIONS
from regreen.model.shapes import SHAPES

# "quant size" in MiB of `llama-quantize --dry-run` (llama.cpp of llama-cpp-python 0.3.36) for files
# of zeros with these shapes; every tensor's size was compared as well.
QUANTIZE = {
    "1m": {
        "q8_0": 1.27,
        "q6_k": 1.27,
        "q5_k_m": 1.00,
        "q4_k_m": 0.95,
        "iq4_nl": 0.78,
        "iq4_xs": 0.78,
        "mxfp4": 0.87,
    },
    "23m": {
        "q8_0": 24.40,
        "q6_k": 20.79,
        "q5_k_m": 17.88,
        "q4_k_m": 15.89,
        "iq4_nl": 13.95,
        "iq4_xs": 13.50,
        "mxfp4": 15.63,
    },
    "264m": {
        "q8_0": 269.05,
        "q6_k": 208.06,
        "q5_k_m": 180.59,
        "q4_k_m": 154.74,
        "iq4_nl": 146.10,
        "iq4_xs": 138.84,
        "mxfp4": 154.30,
    },
    "1b": {
        "q8_0": 1012.52,
        "q6_k": 842.61,
        "q5_k_m": 721.10,
        "q4_k_m": 634.87,
        "iq4_nl": 563.38,
        "iq4_xs": 544.75,
        "mxfp4": 630.02,
    },
    "1b with MTP": {
        "q8_0": 1054.17,
        "q6_k": 877.29,
        "q5_k_m": 751.99,
        "q4_k_m": 662.20,
        "iq4_nl": 585.61,
        "iq4_xs": 566.09,
        "mxfp4": 655.73,
    },
    "80b": {
        "q8_0": 80877.56,
        "q6_k": 62487.29,
        "q5_k_m": 54115.95,
        "q4_k_m": 46237.05,
        "iq4_nl": 43445.31,
        "iq4_xs": 41196.21,
        "mxfp4": 41709.56,
    },
}
CONFIGS = {
    **SHAPES,
    "1b with MTP": SHAPES["1b"].model_copy(update={"num_nextn_predict_layers": 1}),
}


def size(config: ModelConfig, name: str) -> int:
    return sum(QUANTISATIONS[name].size(weight, config) for weight in weights(config))


def read(config: ModelConfig, name: str) -> int:
    return sum(QUANTISATIONS[name].read(weight, config) for weight in weights(config))


@pytest.mark.parametrize("shape", QUANTIZE)
def test_files_are_as_large_as_llama_quantize_makes_them(shape: str) -> None:
    mebibytes = {name: round(size(CONFIGS[shape], name) / 2**20, 2) for name in QUANTIZE[shape]}

    assert mebibytes == QUANTIZE[shape]


@pytest.mark.parametrize(
    ("block", "columns", "nbytes"),
    [
        ("q8_0", 32, 34),
        ("q6_k", 256, 210),
        ("q5_k", 256, 176),
        ("q4_k", 256, 144),
        ("q5_0", 32, 22),
        ("q5_1", 32, 24),
        ("q4_0", 32, 18),
        ("iq4_nl", 32, 18),
        ("iq4_xs", 256, 136),
        ("mxfp4", 32, 17),
        ("nvfp4", 64, 36),
    ],
)
def test_a_block_is_as_large_as_ggml_says(block: str, columns: int, nbytes: int) -> None:
    assert BLOCKS[block].size((1, columns)) == nbytes
    assert BLOCKS[block].size((7, 3 * columns)) == 21 * nbytes


def test_fp8_has_a_scale_for_each_tile_and_for_what_is_left_over() -> None:
    assert BLOCKS["fp8"].size((256, 384)) == 256 * 384 + 6 * 2
    assert BLOCKS["fp8"].size((129, 128)) == 129 * 128 + 2 * 2


def test_the_published_shape_at_full_width() -> None:
    config = SHAPES["80b"]

    assert size(config, "bf16") == 2 * total(config) == 159_348_782_592
    assert read(config, "bf16") == 2 * active(config) == 7_127_533_056
    assert size(config, "f32") == 4 * total(config)


@pytest.mark.parametrize(("name", "reported"), [("bf16", 163), ("fp8", 82.1)])
def test_published_checkpoints_are_as_large_as_reported(name: str, reported: float) -> None:
    """The vendor's repositories, in 10^9 bytes; they hold the MTP layer."""
    config = SHAPES["80b"].model_copy(update={"num_nextn_predict_layers": 1})

    assert size(config, name) / 1e9 == pytest.approx(reported, rel=0.003)


def test_the_medium_shape_has_the_bits_that_were_measured() -> None:
    config = SHAPES["264m"]

    assert round(8 * size(config, "q8_0") / total(config), 2) == 8.53
    assert round(8 * size(config, "q4_k_m") / total(config), 2) == 4.91


@given(
    name=st.sampled_from(sorted(QUANTISATIONS)),
    shape=st.sampled_from(sorted(CONFIGS)),
)
def test_nothing_is_read_that_is_not_stored(name: str, shape: str) -> None:
    config, recipe = CONFIGS[shape], QUANTISATIONS[name]
    for weight in weights(config):
        assert 0 <= recipe.read(weight, config) <= recipe.size(weight, config)
        assert recipe.block(weight, config) in BLOCKS
        if weight.part == "routed experts":
            one = BLOCKS[recipe.block(weight, config)].size(weight.shape)
            assert recipe.read(weight, config) == config.num_experts_per_tok * one
        if len(weight.shape) == 1:
            assert recipe.size(weight, config) >= 2 * prod(weight.shape)


def test_rows_that_no_block_divides_stay_in_half_precision() -> None:
    odd = SHAPES["1m"].model_copy(update={"moe_intermediate_size": 40})
    down = next(weight for weight in weights(odd) if weight.role == "ffn_down_exps")

    assert QUANTISATIONS["q4_k_m"].block(down, odd) == "f16"
    assert QUANTISATIONS["q8_0"].block(down, odd) == "f16"
