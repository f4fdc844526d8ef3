"""The named shapes are as large as their names say, and of one architecture."""

from __future__ import annotations

import pytest

from regreen.model.accounting import active, total
from regreen.model.config import ModelConfig
from regreen.model.shapes import SHAPES

# total and active parameters, in millions, that the shapes are meant for
WANTED = {
    "1m": (1.22, 0.63),
    "5m": (5.6, 2.65),
    "23m": (23.4, 11.0),
    "100m": (100, None),
    "264m": (264.4, 62.07),
    "1b": (1000, None),
    "80b": (79_674, 3_564),
}


@pytest.mark.parametrize("name", SHAPES)
def test_a_shape_weighs_what_its_name_says(name: str) -> None:
    millions, read = WANTED[name]

    assert total(SHAPES[name]) / 1e6 == pytest.approx(millions, rel=0.03)
    if read is not None:
        assert active(SHAPES[name]) / 1e6 == pytest.approx(read, rel=0.03)


@pytest.mark.parametrize("name", SHAPES)
def test_shapes_are_of_one_architecture(name: str) -> None:
    config = SHAPES[name]
    linear = config.mixers.count("linear_attention")

    assert linear == 3 * config.mixers.count("full_attention")
    assert 2 * config.linear_num_key_heads == config.linear_num_value_heads
    assert config.linear_key_head_dim == config.linear_value_head_dim  # llama.cpp knows one
    for head in (config.head_dim, config.linear_key_head_dim):
        assert head >= 16
        assert head & (head - 1) == 0
    assert config.rotary_dim % 2 == 0
    assert all(config.sparse)
    assert config.moe_intermediate_size % 32 == 0  # quantised blocks divide the rows
    spelled = config.model_copy(update={"layer_types": config.mixers})
    assert ModelConfig.from_hf(config.to_hf()) == spelled


def test_the_medium_shape_is_the_one_that_was_measured() -> None:
    config = SHAPES["264m"]
    routed = 3 * config.num_hidden_layers * config.num_experts
    routed *= config.hidden_size * config.moe_intermediate_size

    assert round(routed / 1e6, 1) == 226.5
    assert round(total(config) / 1e6, 1) == 264.4
    assert round(active(config) / 1e6, 2) == 62.07


def test_shapes_go_from_small_to_large() -> None:
    sizes = [total(config) for config in SHAPES.values()]

    assert sizes == sorted(sizes)
    assert SHAPES["80b"] == ModelConfig()
    assert SHAPES["80b"].rope_theta == 5e6
