"""Sequences side by side give what each gives alone, and what the model's own logits say."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from regreen.model import SHAPES, Decoder
from regreen.train.compute import forward
from regreen.train.compute.forward import flatten, score

VOCABULARY = 50
CONFIG = SHAPES["1m"].model_copy(
    update={
        "vocab_size": VOCABULARY, "num_hidden_layers": 2, "full_attention_interval": 2,
        "hidden_size": 32, "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 16,
        "linear_num_key_heads": 1, "linear_num_value_heads": 2, "linear_key_head_dim": 16,
        "linear_value_head_dim": 16, "num_experts": 4, "moe_intermediate_size": 16,
        "shared_expert_intermediate_size": 16, "intermediate_size": 64,
    }
)  # fmt: skip


def made(seed: int = 0) -> Decoder:
    torch.manual_seed(seed)
    model = Decoder(CONFIG).double()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.mul_(5.0)
    return model


@pytest.fixture(scope="module")
def model() -> Decoder:
    return made()


def rows_of(lengths, seed=0):
    rng = np.random.default_rng(seed)
    ids = [rng.integers(0, VOCABULARY, length).astype(np.int32) for length in lengths]
    return ids, [rng.random(length) < 0.5 for length in lengths]


@settings(max_examples=15)
@given(
    lengths=st.lists(st.integers(2, 70), min_size=1, max_size=6),
    temperature=st.sampled_from([0.5, 1.0, 1.5]),
)
def test_scores_are_those_of_each_sequence_alone(lengths, temperature):
    model = made()
    ids, counted = rows_of(lengths)
    flat = flatten(ids, counted)
    with torch.no_grad():
        found = score(model, flat, temperature=temperature)
        at = 0
        for number, (row, mask) in enumerate(zip(ids, counted, strict=True)):
            logits = model(torch.tensor(row.astype(np.int64))[None]).logits[0] / temperature
            expected = logits.log_softmax(-1)
            for place in np.flatnonzero(mask[1:]):
                logprob = expected[place, int(row[place + 1])]
                entropy = -(expected[place].exp() * expected[place]).sum()
                assert abs(found.logprob_M[at] - logprob) < 1e-10
                assert abs(found.entropy_M[at] - entropy) < 1e-10
                assert flat.sequence_M[at] == number
                at += 1
    assert at == len(found.logprob_M) == len(flat.target_M)


def test_the_first_token_is_never_predicted(model):
    flat = flatten([np.array([1, 2])], [np.array([True, False])])
    assert flat.predicting_M.numel() == 0
    assert score(model, flat).logprob_M.numel() == 0


def test_parts_give_the_same_and_the_same_gradient(model, monkeypatch):
    ids, counted = rows_of((30, 17, 44))
    flat = flatten(ids, counted)
    whole = score(model, flat)
    weight_M = torch.randn(len(whole.logprob_M), dtype=torch.float64)
    (whole.logprob_M * weight_M).sum().backward()
    expected = [parameter.grad.clone() for parameter in model.parameters()]
    model.zero_grad()
    monkeypatch.setattr(forward, "_LOGITS", 7 * VOCABULARY)
    parts = score(model, flat)
    (parts.logprob_M * weight_M).sum().backward()
    assert torch.allclose(whole.logprob_M, parts.logprob_M, atol=1e-12)
    assert torch.allclose(whole.entropy_M, parts.entropy_M, atol=1e-12)
    for parameter, gradient in zip(model.parameters(), expected, strict=True):
        assert torch.allclose(parameter.grad, gradient, atol=1e-10)
    model.zero_grad()


def test_no_gradient_reaches_a_sequence_that_does_not_count(model):
    ids, _ = rows_of((12, 12))
    none, every = np.zeros(12, bool), np.ones(12, bool)
    together = score(model, flatten(ids, [none, every])).logprob_M.sum()
    alone = score(model, flatten(ids[1:], [every])).logprob_M.sum()
    one = torch.autograd.grad(together, list(model.parameters()), allow_unused=True)
    two = torch.autograd.grad(alone, list(model.parameters()), allow_unused=True)
    for first, second in zip(one, two, strict=True):
        assert torch.allclose(first, second, atol=1e-10)


def test_replayed_experts_replace_the_routers(model):
    ids, counted = rows_of((9, 21))
    rng = np.random.default_rng(0)
    experts = [  # two different ones for each token
        np.stack([[rng.permutation(4)[:2] for _ in row[1:]] for _ in range(2)]).astype(np.int16)
        for row in ids
    ]
    flat = flatten(ids, counted, experts)
    found = score(model, flat)
    for layer, routing in enumerate(found.routings):
        joined = np.concatenate([one[layer] for one in experts])
        assert np.array_equal(routing.index_NK.numpy(), joined)
    own = score(model, flatten(ids, counted)).logprob_M
    assert not torch.allclose(found.logprob_M, own)
    recorded = [
        routing.index_NK.numpy() for routing in score(model, flatten(ids, counted)).routings
    ]
    sizes = np.cumsum([len(row) - 1 for row in ids])[:-1]
    split = [np.stack(parts) for parts in zip(*(np.split(r, sizes) for r in recorded), strict=True)]
    assert torch.equal(score(model, flatten(ids, counted, split)).logprob_M, own)


def test_experts_of_another_length_are_refused(model):
    ids, counted = rows_of((9,))
    short = np.zeros((2, 7, 2), np.int16)
    with pytest.raises(ValueError, match="experts"):
        score(model, flatten(ids, counted, [short]))


def test_entropy_carries_no_gradient(model):
    ids, counted = rows_of((20,))
    found = score(model, flatten(ids, counted))
    assert found.logprob_M.requires_grad
    assert not found.entropy_M.requires_grad
