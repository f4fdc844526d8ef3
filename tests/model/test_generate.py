"""Sampling draws from the distribution it says, and a row's draws are its own."""

from __future__ import annotations

import math
from functools import cache as remembered
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from regreen.model.config import ModelConfig
from regreen.model.decoder import Decoder
from regreen.model.generate import Completion, draw, greedy, sample, truncated

SHAPE = ModelConfig(
    vocab_size=64,
    hidden_size=32,
    num_hidden_layers=2,
    layer_types=("linear_attention", "full_attention"),
    num_attention_heads=2,
    num_key_value_heads=1,
    head_dim=16,
    linear_num_key_heads=1,
    linear_num_value_heads=2,
    linear_key_head_dim=8,
    linear_value_head_dim=8,
    num_experts=4,
    num_experts_per_tok=2,
    moe_intermediate_size=16,
    shared_expert_intermediate_size=16,
    initializer_range=0.3,
)
PROMPTS = [[1, 2, 3], [4], [5, 6, 7, 8, 9, 10, 11, 12, 13, 14]]
ALL: dict[str, Any] = {"temperature": 1.0, "top_k": 0, "top_p": 1.0, "min_p": 0.0}


@remembered
def model() -> Decoder:
    torch.manual_seed(0)
    return Decoder(SHAPE).double().eval()


@torch.no_grad()
def logits(tokens: list[int]) -> Tensor:
    """(V,) logits behind a row, computed at once."""
    return model()(torch.tensor([tokens])).logits[0, -1]


def filtered(
    logits_V: Tensor, temperature: float, top_k: int, top_p: float, min_p: float
) -> Tensor:
    """(V,) the distribution by the definition, token by token."""
    probs = (logits_V / temperature).softmax(-1)
    order = sorted(range(len(probs)), key=lambda token: -probs[token].item())
    kept = order[: top_k or None]
    mass = sum(probs[token].item() for token in kept)
    nucleus, total = [], 0.0
    for token in kept:
        if total >= top_p:
            break
        nucleus.append(token)
        total += probs[token].item() / mass
    least = min_p * probs[order[0]].item()
    kept = [token for token in nucleus if probs[token].item() >= least]
    out = torch.zeros_like(probs)
    out[kept] = probs[kept] / probs[kept].sum()
    return out


def spread(logits_V: Tensor, **filters: Any) -> Tensor:
    """(V,) what `truncated` computes, in the order of the vocabulary."""
    logprobs, ids = truncated(logits_V[None], **filters)
    return torch.zeros_like(logits_V).scatter(0, ids[0], logprobs[0].exp())


@given(
    seed=st.integers(0, 10**6),
    temperature=st.sampled_from([0.3, 1.0, 2.5]),
    top_k=st.integers(0, 60),
    top_p=st.floats(0.01, 0.999),
    min_p=st.floats(0.0, 0.9),
)
@settings(max_examples=30, deadline=None)
def test_the_filters_are_their_definitions(
    seed: int, temperature: float, top_k: int, top_p: float, min_p: float
) -> None:
    torch.manual_seed(seed)
    row = torch.randn(50, dtype=torch.float64) * 2
    got = spread(row, temperature=temperature, top_k=top_k, top_p=top_p, min_p=min_p)

    assert torch.allclose(got, filtered(row, temperature, top_k, top_p, min_p), atol=1e-12)


def test_the_filters_are_transformers() -> None:
    from transformers import (
        LogitsProcessorList,
        MinPLogitsWarper,
        TemperatureLogitsWarper,
        TopKLogitsWarper,
        TopPLogitsWarper,
    )

    theirs = LogitsProcessorList(
        [
            TemperatureLogitsWarper(0.8),
            TopKLogitsWarper(20),
            TopPLogitsWarper(0.9),
            MinPLogitsWarper(0.05),
        ]
    )
    torch.manual_seed(0)
    rows = torch.randn(40, 64, dtype=torch.float64) * 2
    expected = theirs(torch.zeros(40, 1, dtype=torch.long), rows).softmax(-1)
    for row, wanted in zip(rows, expected, strict=True):
        got = spread(row, temperature=0.8, top_k=20, top_p=0.9, min_p=0.05)
        assert torch.allclose(got, wanted, atol=1e-12)


@pytest.mark.parametrize(
    "filters",
    [ALL, {"temperature": 1.0, "top_k": 40, "top_p": 0.95, "min_p": 0.01}],
    ids=["whole", "card"],
)
def test_draws_follow_the_distribution(filters: dict[str, Any]) -> None:
    count, row = 40_000, logits([1, 2, 3])
    expected = filtered(row, **filters) * count
    logprobs, ids = truncated(row[None], **filters)
    generator = torch.Generator().manual_seed(7)
    uniform = torch.rand(count, generator=generator, dtype=torch.float64)
    drawn = ids[0][draw(logprobs.expand(count, -1), uniform)]
    seen = drawn.bincount(minlength=len(row)).double()

    assert not seen[expected == 0].any()
    some = expected > 0
    statistic = ((seen - expected).square()[some] / expected[some]).sum().item()
    freedom = int(some.sum()) - 1
    # Wilson and Hilferty's normal approximation of chi-square, at four standard deviations.
    bound = freedom * (1 - 2 / (9 * freedom) + 4 * math.sqrt(2 / (9 * freedom))) ** 3
    assert freedom > 10
    assert statistic < bound


def test_the_ends_of_the_unit_interval_draw_kept_tokens() -> None:
    logprobs = torch.tensor([[0.7, 0.3, 0.0]]).log().expand(2, -1)
    almost = 1.0 - 2.0**-53

    assert draw(logprobs, torch.tensor([0.0, almost], dtype=torch.float64)).tolist() == [0, 1]


def check(prompt: list[int], completion: Completion, filters: dict[str, Any]) -> None:
    """Compare both log-probabilities with a fresh pass."""
    row = list(prompt)
    for token, raw, drawn in zip(
        completion.ids, completion.logprobs, completion.truncated_logprobs, strict=True
    ):
        behind = logits(row)
        assert raw == pytest.approx(behind.log_softmax(-1)[token].item(), abs=1e-9)
        assert drawn == pytest.approx(filtered(behind, **filters)[token].log().item(), abs=1e-9)
        row.append(token)


def test_both_log_probabilities_are_a_fresh_pass() -> None:
    filters: dict[str, Any] = {"temperature": 0.7, "top_k": 20, "top_p": 0.9, "min_p": 0.02}
    written = sample(model(), PROMPTS, 12, seed=3, **filters)

    for prompt, completion in zip(PROMPTS, written, strict=True):
        assert len(completion.ids) == 12
        assert not completion.stopped
        check(prompt, completion, filters)


def test_greedy_takes_the_likeliest() -> None:
    for prompt, completion in zip(PROMPTS, greedy(model(), PROMPTS, 10), strict=True):
        row = list(prompt)
        for token, raw in zip(completion.ids, completion.logprobs, strict=True):
            behind = logits(row).log_softmax(-1)
            assert token == behind.argmax()
            assert raw == pytest.approx(behind.max().item(), abs=1e-9)
            row.append(token)
        assert set(completion.truncated_logprobs) == {0.0}


def test_the_seed_decides() -> None:
    one = sample(model(), PROMPTS, 10, seed=1)

    assert one == sample(model(), PROMPTS, 10, seed=1)
    assert one != sample(model(), PROMPTS, 10, seed=2)


@given(seed=st.integers(0, 10**6), stops=st.sets(st.integers(0, 63), min_size=8, max_size=20))
@settings(max_examples=15, deadline=None)
def test_rows_that_end_change_nothing_for_others(seed: int, stops: set[int]) -> None:
    going = sample(model(), PROMPTS, 20, seed=seed, **ALL)
    memory = model().new_cache(3)
    ended = sample(model(), PROMPTS, 20, seed=seed, stop_ids=stops, cache=memory, **ALL)

    assert ended == sample(model(), PROMPTS, 20, seed=seed, stop_ids=stops, **ALL)
    for row, short, whole in zip(PROMPTS, ended, going, strict=True):
        size = next((i + 1 for i, token in enumerate(whole.ids) if token in stops), 20)
        assert short.ids == whole.ids[:size]
        assert short.stopped == (whole.ids[size - 1] in stops)
        assert short.logprobs == pytest.approx(whole.logprobs[:size], abs=1e-9)
        check(row, short, ALL)
    wanted = [len(row) + len(end.ids) - 1 for row, end in zip(PROMPTS, ended, strict=True)]
    assert memory.lengths == wanted


def test_turns_go_on_without_reading_a_prefix_again() -> None:
    filters: dict[str, Any] = {"temperature": 1.0, "top_k": 40, "top_p": 0.95, "min_p": 0.01}
    memory, rows, prompts = model().new_cache(3), [list(row) for row in PROMPTS], PROMPTS
    read, counts = 0, list[int]()
    handle = model().embedding.register_forward_hook(
        lambda _module, args, _result: counts.append(args[0].numel())
    )
    for turn in range(4):
        counts.clear()
        written = sample(model(), prompts, 15, seed=turn, stop_ids=range(12), cache=memory)
        read += sum(counts)
        tools = [[60 + row, 50 - turn][: 1 + (row + turn) % 2] for row in range(3)]
        prompts = [
            [completion.ids[-1], *tool] for completion, tool in zip(written, tools, strict=True)
        ]
        for row, completion, tool in zip(rows, written, tools, strict=True):
            check(row, completion, filters)
            row += [*completion.ids, *tool]
    handle.remove()
    unread = sum(map(len, prompts))

    assert memory.lengths == [
        len(row) - len(prompt) for row, prompt in zip(rows, prompts, strict=True)
    ]
    assert read == sum(map(len, rows)) - unread


@pytest.mark.parametrize("layer", [0, 1])
def test_an_interruption_leaves_every_row(layer: int) -> None:
    going = greedy(model(), PROMPTS, 12)
    stops = {going[0].ids[2], going[2].ids[7]}
    ended = greedy(model(), PROMPTS, 12, stop_ids=stops)
    sizes = sorted(len(completion.ids) for completion in ended)
    assert sizes[0] < sizes[1] < sizes[2]  # rows are put aside twice
    rows = [[*row, *completion.ids] for row, completion in zip(PROMPTS, ended, strict=True)]
    for last in range(1, sizes[2]):
        memory, calls = model().new_cache(3), 0

        def interrupt(*_: object) -> None:
            nonlocal calls
            calls += 1
            if calls > last:  # noqa: B023
                raise KeyboardInterrupt

        handle = model().layers[layer].register_forward_pre_hook(interrupt)
        with pytest.raises(KeyboardInterrupt):
            greedy(model(), PROMPTS, 12, stop_ids=stops, cache=memory)
        handle.remove()
        if last >= sizes[0]:
            memory.settled()
        else:
            memory.rollback(memory.lengths)
        assert all(
            len(prompt) <= read < len(row)
            for prompt, read, row in zip(PROMPTS, memory.lengths, rows, strict=True)
        )
        rest = [row[read:] for row, read in zip(rows, memory.lengths, strict=True)]
        for row, tokens in enumerate(rest):
            one = memory.pick([row])
            with torch.no_grad():
                behind = model()(torch.tensor([tokens]), cache=one).logits[0, -1]
            assert torch.allclose(behind, logits(rows[row]), atol=1e-9)


def test_tensors_are_prompts_too() -> None:
    expected = greedy(model(), PROMPTS, 4)

    assert greedy(model(), [torch.tensor(row) for row in PROMPTS], 4) == expected
    assert greedy(model(), torch.tensor([PROMPTS[0]]), 4)[0].ids == expected[0].ids
    even = torch.tensor([[1, 2], [3, 4]])
    assert sample(model(), even, 4, seed=0) == sample(model(), even.tolist(), 4, seed=0)


def test_rows_behind_the_vocabulary_are_never_drawn() -> None:
    written = sample(model(), PROMPTS, 40, seed=0, num_tokens=5, **(ALL | {"temperature": 50.0}))
    best = greedy(model(), PROMPTS, 40, num_tokens=5)

    assert {token for row in [*written, *best] for token in row.ids} <= set(range(5))
    # The trainer's distribution is over all rows of the output matrix, and so is the raw one.
    assert written[0].logprobs[0] == pytest.approx(
        logits(PROMPTS[0]).log_softmax(-1)[written[0].ids[0]].item(), abs=1e-9
    )


@pytest.mark.parametrize(
    "wrong",
    [
        {"temperature": 0.0},
        {"temperature": 1e-40},
        {"temperature": math.inf},
        {"temperature": math.nan},
        {"num_tokens": 0},
        {"num_tokens": -1},
        {"top_k": -1},
        {"top_p": 0.0},
        {"top_p": 1.1},
        {"min_p": -0.1},
        {"max_new_tokens": 0},
        {"prompts": []},
        {"prompts": [[1], []]},
        {"prompts": torch.tensor([1, 2])},
        {"prompts": [torch.tensor([0.5])]},
        {"prompts": [[[1, 2]]]},
    ],
    ids=str,
)
def test_settings_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    arguments: dict[str, Any] = {"prompts": PROMPTS, "max_new_tokens": 2, "seed": 0}
    with pytest.raises(ValueError, match=r"out of its range|at least one"):
        sample(model(), **(arguments | wrong))


def test_the_coldest_temperature_takes_the_likeliest() -> None:
    cold = sample(model(), PROMPTS, 5, seed=0, temperature=1e-6)

    assert [row.ids for row in cold] == [row.ids for row in greedy(model(), PROMPTS, 5)]
