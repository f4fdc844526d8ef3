"""Splits lose nothing, rates follow their formula, and no public figure beats them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regreen.model.accounting import weights
from regreen.model.placement import (
    Load,
    Machine,
    cache_size,
    context_that_fits,
    place,
)
from regreen.model.quantisation import QUANTISATIONS
from regreen.model.shapes import SHAPES

GIGA = 10**9
PUBLISHED = SHAPES["80b"]


def test_the_rate_is_bytes_over_bandwidth_on_both_sides() -> None:
    load, machine = Load(32_768), Machine(100e9, 1000e9)
    whole, apart, device = place(PUBLISHED, QUANTISATIONS["bf16"], load, machine)
    cache = 2 * 4 * (18_874_368 + 884_736) + 24 * 1024 * 32_768
    experts, active = 2 * 1_509_949_440, 2 * 3_563_766_528

    assert whole.steps_per_second(machine) == pytest.approx(100e9 / (active + cache))
    row = 2 * 2048
    seconds = (experts + row) / 100e9 + (active - experts - row + cache) / 1000e9
    assert apart.steps_per_second(machine) == pytest.approx(1 / seconds)
    assert device.steps_per_second(machine) == pytest.approx(1000e9 / (active + cache))
    empty = whole.at_empty_context().steps_per_second(machine)
    assert empty == pytest.approx(100e9 / (active + 2 * 4 * (18_874_368 + 884_736)))


@pytest.mark.parametrize(
    ("quantisation", "split", "machine", "reported"),
    [
        # EPYC 9175F, twelve channels of DDR5-6400: 614.4 GB/s
        ("bf16", "all in host", Machine(614.4e9), 7.6),
        # its one accelerator is not named; taken as the fastest workstation card, 1792 GB/s
        ("iq4_nl", "experts in host", Machine(614.4e9, 1792e9), 58.9),
        ("iq4_nl", "all on device", Machine(614.4e9, 1792e9), 85.4),
        # Ryzen AI 9 HX 370, two channels of DDR5-5600: 89.6 GB/s
        ("q4_k_m", "all in host", Machine(89.6e9), 7.7),
        # Threadripper 3995WX, eight channels of DDR4-3200: 204.8 GB/s
        ("iq4_xs", "all in host", Machine(204.8e9), 23.3),
    ],
)
def test_no_public_figure_beats_the_bound(
    quantisation: str, split: str, machine: Machine, reported: float
) -> None:
    found = place(PUBLISHED, QUANTISATIONS[quantisation], Load(256), machine)
    rate = next(row for row in found if row.name == split).steps_per_second(machine)

    assert rate is not None
    assert reported < rate < 20 * reported  # a bound that is far off would hold for anything


def test_experts_apart_leave_what_was_reported_for_the_device() -> None:
    """IQ4_NL: 1.4 (GiB) of weights on the device and 41.5 in host memory."""
    apart = place(PUBLISHED, QUANTISATIONS["iq4_nl"], Load(0), Machine(1e9))[1]

    assert apart.device / 2**30 == pytest.approx(1.4, rel=0.02)
    assert apart.host / 2**30 == pytest.approx(41.5, rel=0.02)


@given(
    shape=st.sampled_from(sorted(SHAPES)),
    quantisation=st.sampled_from(sorted(QUANTISATIONS)),
    load=st.builds(Load, st.integers(0, 300_000), st.integers(1, 300)),
    memory=st.integers(10**5, 400 * GIGA),
)
def test_splits_lose_nothing_and_the_filled_one_fits_as_no_larger_one_would(
    shape: str, quantisation: str, load: Load, memory: int
) -> None:
    config, recipe = SHAPES[shape], QUANTISATIONS[quantisation]
    machine = Machine(50e9, 500e9, memory)
    found = place(config, recipe, load, machine)
    size = sum(recipe.size(weight, config) for weight in weights(config))
    reads = {row.host_read + row.device_read for row in found}
    kinds = ["all in host", "experts in host", "some experts in host", "all on device"]
    assert [row.kind for row in found] == [kind for kind in kinds if kind[0] != "s" or found[3:]]

    assert {row.host + row.device for row in found} == {size}
    assert len(reads) == 1
    assert (found[0].device_held, found[-1].host) == (0, 0)
    rates = [row.steps_per_second(machine) or 0 for row in found]
    assert rates == sorted(rates)  # more on the faster side is never slower
    if len(found) == 4:
        apart, filled, whole = found[1:]
        assert apart.fits(machine)
        assert filled.fits(machine)
        assert not whole.fits(machine)
        per_layer = [
            sum(
                recipe.size(weight, config)
                for weight in weights(config)
                if weight.layer == layer and weight.role.endswith("_exps")
            )
            for layer in range(config.num_hidden_layers)
        ]
        assert filled.layers_in_host is not None
        num_host, num_all = filled.layers_in_host
        assert filled.name == f"experts of {num_host}/{num_all} layers in host"
        assert filled.device - apart.device == sum(per_layer[num_host:])
        if num_host:
            assert filled.device_held + per_layer[num_host - 1] > memory
    for row in found[1:]:
        tokens = context_that_fits(config, row, load, machine)
        assert tokens is not None
        if tokens:
            held = cache_size(config, Load(tokens, load.num_sequences)).held
            more = cache_size(config, Load(tokens + 1, load.num_sequences)).held
            assert row.device + held <= memory < row.device + more


def test_many_sequences_share_the_weights_they_read() -> None:
    machine = Machine(100e9)
    rates = []
    for num_sequences in (1, 4, 16, 64, 256):
        load = Load(1024, num_sequences)
        whole = place(PUBLISHED, QUANTISATIONS["bf16"], load, machine)[0]
        steps = whole.steps_per_second(machine)
        assert steps is not None
        rates.append(num_sequences * steps)
        size = sum(QUANTISATIONS["bf16"].size(weight, PUBLISHED) for weight in weights(PUBLISHED))
        assert whole.host_read < size

    assert rates == sorted(rates)
    assert rates[-1] < 256 * rates[0]


def test_what_is_unknown_is_none_and_a_dense_model_has_no_experts_apart() -> None:
    dense = SHAPES["1m"].model_copy(update={"num_experts": 0})
    machine = Machine(1e9)
    whole, device = place(dense, QUANTISATIONS["bf16"], Load(10), machine)

    assert (whole.name, device.name) == ("all in host", "all on device")
    assert device.steps_per_second(machine) is None
    assert device.fits(machine) is None
    assert whole.fits(machine) is True
    assert context_that_fits(dense, device, Load(10), machine) is None
