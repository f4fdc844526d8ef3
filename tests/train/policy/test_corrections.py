"""What is done about a mismatch, on numbers worked out by hand, and that it is always measured."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from regreen.train.policy.corrections import CorrectionConfig, correct

OFF = CorrectionConfig(truncate=None, keep_outliers=None)
SEQUENCE = torch.tensor([0, 0, 1, 1])


def apart(*ratios):
    """Trainer and behaviour log-probabilities with these ratios."""
    behaviour = torch.full((len(ratios),), -1.5).double()
    return behaviour + torch.tensor(ratios).double().log(), behaviour


def test_the_mismatch_is_measured_also_when_nothing_is_corrected():
    trainer, behaviour = apart(1.0, 2.0, 0.5, 1.0)
    found = correct(trainer, behaviour, SEQUENCE, OFF)
    two = math.log(2)

    assert found.weight_M.tolist() == [1, 1, 1, 1]
    assert found.keep_M.all()
    assert found.metrics["mismatch_max"] == pytest.approx(two)
    assert found.metrics["mismatch_mean"] == pytest.approx(two / 2)
    assert found.metrics["mismatch_k1"] == pytest.approx(0)
    k3 = ((2 - two - 1) + (0.5 + two - 1)) / 4
    assert found.metrics["mismatch_k3"] == pytest.approx(k3)


def test_truncation_bounds_the_weight_from_above_only():
    found = correct(*apart(0.01, 1.5, 2.0, 30.0), SEQUENCE, CorrectionConfig(keep_outliers=None))

    assert found.weight_M.tolist() == pytest.approx([0.01, 1.5, 2.0, 2.0])
    assert found.metrics["share_truncated"] == 0.25


def test_icepop_masks_tokens_and_keeps_the_others_ratio():
    config = OFF.model_copy(update={"keep_tokens": (0.5, 2.0)})
    found = correct(*apart(0.4, 0.6, 1.9, 2.1), SEQUENCE, config)

    assert found.keep_M.tolist() == [False, True, True, False]
    assert found.weight_M[1:3].tolist() == pytest.approx([0.6, 1.9])
    assert found.metrics["share_masked_tokens"] == found.metrics["share_masked"] == 0.5


def test_the_geometric_mean_judges_the_sequence_as_a_whole():
    config = OFF.model_copy(update={"keep_sequences": (0.99, 1.01)})
    found = correct(*apart(2.0, 0.5, 1.02, 1.02), SEQUENCE, config)

    assert found.keep_M.tolist() == [True, True, False, False]


def test_one_outlier_takes_its_sequence():
    found = correct(*apart(1.0, 1.0, 1.0, 1e-5), SEQUENCE, CorrectionConfig())

    assert found.keep_M.tolist() == [True, True, False, False]
    assert found.metrics["share_masked_outliers"] == 0.5


def test_what_is_no_number_is_masked_and_counted():
    trainer, behaviour = apart(1.0, 1.0, 1.0, 1.0)
    behaviour[2] = -math.inf
    found = correct(trainer, behaviour, SEQUENCE, OFF)

    assert found.keep_M.tolist() == [True, True, False, True]
    assert found.metrics["num_nonfinite"] == 1
    assert all(math.isfinite(value) for value in found.metrics.values())


@given(st.lists(st.floats(-400, 400), min_size=1, max_size=12))
@settings(max_examples=60)
def test_equal_policies_are_never_corrected_and_weights_are_bounded(gaps):
    behaviour = torch.full((len(gaps),), -2.0).double()
    every = CorrectionConfig(keep_tokens=(0.5, 2.0), keep_sequences=(0.99, 1.01))
    sequence = torch.arange(len(gaps)) // 3
    same = correct(behaviour, behaviour, sequence, every)
    other = correct(behaviour + torch.tensor(gaps).double(), behaviour, sequence, every)

    assert same.keep_M.all()
    assert (same.weight_M == 1).all()
    assert same.metrics["mismatch_k3"] == 0
    assert (other.weight_M <= 2).all()
    assert other.metrics["mismatch_k3"] >= 0
    assert not other.weight_M.requires_grad


def test_bounds_without_one_are_refused():
    with pytest.raises(ValidationError, match="must lie within"):
        CorrectionConfig(keep_tokens=(1.5, 2.0))
