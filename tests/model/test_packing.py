"""Packed equals unpacked: logits and gradients, with nothing of one document in another.

"Exactly" is `==`: no tolerance hides a neighbour multiplied by a small number. Only where the
routing of other documents changes may a document's own logits move by a rounding, because a
product of an expert's group rounds by the group's size; with the routing replayed they are equal.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from regreen.model.borders import Borders, MissingBordersError
from regreen.model.decoder import Decoder, Output
from regreen.model.shapes import SHAPES

SMALL = SHAPES["1m"].model_copy(
    update={
        "vocab_size": 64,
        "hidden_size": 32,
        "head_dim": 16,
        "linear_num_key_heads": 1,
        "linear_num_value_heads": 2,
        "linear_key_head_dim": 8,
        "linear_value_head_dim": 16,
        "moe_intermediate_size": 16,
        "shared_expert_intermediate_size": 16,
        "intermediate_size": 48,
        "initializer_range": 0.05,
    }
)
KINDS = {
    "hybrid": SMALL,
    "attention": SMALL.model_copy(
        update={"layer_types": ("full_attention",) * 2, "num_hidden_layers": 2}
    ),
    "linear": SMALL.model_copy(
        update={"layer_types": ("linear_attention",) * 2, "num_hidden_layers": 2}
    ),
}
EDGES = (1, 2, 3, 4, 15, 16, 17, 31, 32, 33, 48, 63, 64, 65, 127, 128, 129)
length = st.one_of(st.sampled_from(EDGES), st.integers(1, 300))
documents = st.one_of(
    st.lists(length, min_size=1, max_size=6),
    st.lists(st.sampled_from((1, 1, 1, 2, 5, 40)), min_size=2, max_size=40),
    st.builds(lambda one, count: [one] * count, st.sampled_from(EDGES), st.integers(2, 4)),
)
kinds = st.sampled_from(sorted(KINDS))


@cache
def model(kind: str, dtype: torch.dtype = torch.float32) -> Decoder:
    torch.manual_seed(1)
    made = Decoder(KINDS[kind])
    with torch.no_grad():
        for parameter in made.parameters():
            if parameter.dim() == 1:
                parameter.add_(0.1 * torch.randn_like(parameter))
    return made.to(dtype)


def tokens(count: int, seed: int) -> Tensor:
    return torch.randint(64, (1, count), generator=torch.Generator().manual_seed(seed))


def places(lengths: Sequence[int]) -> list[slice]:
    borders = Borders(tuple(lengths))
    return [slice(s, s + n) for s, n in zip(borders.starts, borders.lengths, strict=True)]


def loss(logits_TV: Tensor, tokens_T: Tensor) -> Tensor:
    """A loss of every token of a document, also of one without a successor."""
    return -logits_TV.log_softmax(-1).gather(1, tokens_T[:, None].roll(-1)).sum()


def embedded(decoder: Decoder, tokens_BT: Tensor, borders: Borders) -> tuple[Output, Tensor]:
    """The output, and the embeddings it was computed from, which take a gradient."""
    held: list[Tensor] = []
    hook = decoder.embedding.register_forward_hook(lambda *call: held.append(call[2]))
    output = decoder(tokens_BT, borders=borders)
    hook.remove()
    return output, held[0]


@settings(max_examples=20)
@given(kind=kinds, lengths=documents, seed=st.integers(0, 999), wide=st.booleans())
def test_packed_logits_are_those_of_each_document_alone(
    kind: str, lengths: list[int], seed: int, wide: bool
) -> None:
    decoder = model(kind, torch.float64 if wide else torch.float32)
    tokens_1T = tokens(sum(lengths), seed)
    with torch.no_grad():
        packed = decoder(tokens_1T, borders=Borders(tuple(lengths))).logits[0]
        for at in places(lengths):
            alone = decoder(tokens_1T[:, at]).logits[0]
            assert (packed[at] - alone).abs().max() <= (1e-10 if wide else 1e-5)


@settings(max_examples=12)
@given(
    kind=kinds,
    rows=st.lists(st.lists(st.sampled_from(EDGES), min_size=1, max_size=4), min_size=1, max_size=3),
    tail=st.integers(0, 20),
    seed=st.integers(0, 999),
)
def test_rows_with_pad_tails_hold_what_their_documents_are_alone(
    kind: str, rows: list[list[int]], tail: int, seed: int
) -> None:
    capacity = max(sum(row) for row in rows) + tail
    tokens_BT = tokens(capacity * len(rows), seed).view(len(rows), capacity)
    with torch.no_grad():
        logits_BTV = model(kind)(tokens_BT, borders=Borders.of_rows(rows, capacity)).logits
        for row, lengths in enumerate(rows):
            for at in places(lengths):
                alone = model(kind)(tokens_BT[row : row + 1, at]).logits[0]
                assert (logits_BTV[row, at] - alone).abs().max() <= 1e-5


@settings(max_examples=12)
@given(
    kind=kinds,
    lengths=documents.filter(lambda all_: len(all_) > 1),
    seed=st.integers(0, 999),
    gradients=st.booleans(),
    data=st.data(),
)
def test_other_documents_change_nothing(
    kind: str, lengths: list[int], seed: int, gradients: bool, data: st.DataObject
) -> None:
    at = data.draw(st.sampled_from(places(lengths)), label="document")
    borders = Borders(tuple(lengths))
    before, after = tokens(sum(lengths), seed), tokens(sum(lengths), seed + 1)
    after[:, at] = before[:, at]
    with torch.set_grad_enabled(gradients):
        first = model(kind)(before, borders=borders)
        chosen = [routing.index_NK for routing in first.routings]
        second = model(kind)(after, borders=borders, replay=chosen)
        rerouted = model(kind)(after, borders=borders)

    assert torch.equal(first.logits[0, at], second.logits[0, at])
    assert (first.logits[0, at] - rerouted.logits[0, at]).abs().max() <= 2e-6
    if sum(lengths) - (at.stop - at.start) > 8:
        assert not torch.equal(first.logits, second.logits)


@settings(max_examples=12)
@given(kind=kinds, lengths=documents.filter(lambda all_: len(all_) > 1), data=st.data())
def test_no_gradient_reaches_another_document(
    kind: str, lengths: list[int], data: st.DataObject
) -> None:
    at = data.draw(st.sampled_from(places(lengths)), label="document")
    tokens_1T = tokens(sum(lengths), 3)
    output, embeddings_ND = embedded(model(kind), tokens_1T, Borders(tuple(lengths)))
    own = loss(output.logits[0, at], tokens_1T[0, at])
    (gradient_ND,) = torch.autograd.grad(own, embeddings_ND)
    other = torch.ones(sum(lengths), dtype=torch.bool)
    other[at] = False

    assert gradient_ND[other].eq(0.0).all()
    assert gradient_ND[at].abs().sum(-1).gt(0.0).all()


@settings(max_examples=8)
@given(kind=kinds, lengths=documents, seed=st.integers(0, 999))
def test_parameters_get_the_sum_of_what_each_document_gives(
    kind: str, lengths: list[int], seed: int
) -> None:
    decoder = model(kind, torch.float64)
    parameters = list(decoder.parameters())
    tokens_1T = tokens(sum(lengths), seed)
    logits_TV = decoder(tokens_1T, borders=Borders(tuple(lengths))).logits[0]
    total = torch.stack([loss(logits_TV[at], tokens_1T[0, at]) for at in places(lengths)]).sum()
    packed = torch.autograd.grad(total, parameters)
    single = [torch.zeros_like(parameter) for parameter in parameters]
    for at in places(lengths):
        alone = loss(decoder(tokens_1T[:, at]).logits[0], tokens_1T[0, at])
        parts = torch.autograd.grad(alone, parameters)
        single = [held + part for held, part in zip(single, parts, strict=True)]

    for one, other in zip(packed, single, strict=True):
        assert (one - other).abs().max() <= 1e-10 * max(1.0, float(other.abs().max()))


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_float32_gradients_are_summed_to_within_a_rounding(kind: str) -> None:
    lengths = (70, 1, 33, 1, 1, 16, 64, 5)
    parameters = list(model(kind).parameters())
    tokens_1T = tokens(sum(lengths), 7)
    logits_TV = model(kind)(tokens_1T, borders=Borders(lengths)).logits[0]
    parts = [loss(logits_TV[at], tokens_1T[0, at]) for at in places(lengths)]
    packed = torch.autograd.grad(torch.stack(parts).sum() / sum(lengths), parameters)
    alone = [
        torch.autograd.grad(
            loss(model(kind)(tokens_1T[:, at]).logits[0], tokens_1T[0, at]) / sum(lengths),
            parameters,
        )
        for at in places(lengths)
    ]

    for found, *each in zip(packed, *alone, strict=True):
        assert (found - torch.stack(each).sum(0)).abs().max() <= 1e-5


@pytest.mark.parametrize("gradients", [False, True])
@pytest.mark.parametrize("kind", sorted(KINDS))
@pytest.mark.parametrize("poison", [float("nan"), float("inf")])
def test_a_broken_document_breaks_no_other(kind: str, gradients: bool, poison: float) -> None:
    lengths = (17, 64, 1, 40, 2, 1, 33)
    decoder, borders = model(kind), Borders(lengths)
    tokens_1T = tokens(sum(lengths), 5)
    clean = decoder(tokens_1T, borders=borders).logits[0]
    for number, broken in enumerate(places(lengths)):

        def spoil(*call: Tensor, at: slice = broken) -> Tensor:
            held = call[2].clone()
            held[at] = poison
            return held

        hook = decoder.embedding.register_forward_hook(spoil)
        with torch.set_grad_enabled(gradients):
            found = decoder(tokens_1T, borders=borders).logits[0]
        hook.remove()
        assert found[broken].isnan().all()
        for at in places(lengths)[:number] + places(lengths)[number + 1 :]:
            assert (found[at] - clean[at]).abs().max() <= 2e-6


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_no_gradient_of_a_broken_document_reaches_another(kind: str) -> None:
    lengths = (17, 34, 1, 9)
    tokens_1T = tokens(sum(lengths), 5)
    for broken in places(lengths):
        output, embeddings_ND = embedded(model(kind), tokens_1T, Borders(lengths))
        seed = torch.ones_like(output.logits)
        seed[0, broken] = float("nan")
        (gradient_ND,) = torch.autograd.grad(output.logits, embeddings_ND, seed)
        other = torch.ones(sum(lengths), dtype=torch.bool)
        other[broken] = False
        assert gradient_ND[broken].isnan().any()
        assert gradient_ND[other].isfinite().all()


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_borders_scored_without_gradients_can_be_trained_with(kind: str) -> None:
    """As when log-probabilities of rollouts are computed before the step that uses them."""
    lengths = (30, 1, 18, 5)
    tokens_1T, borders = tokens(sum(lengths), 4), Borders(lengths)
    with torch.inference_mode():
        scored = model(kind)(tokens_1T, borders=borders).logits
    trained = model(kind)(tokens_1T, borders=borders).logits
    parameters = list(model(kind).parameters())
    gradients = torch.autograd.grad(trained.square().sum(), parameters)

    assert (trained - scored).abs().max() <= 2e-6
    assert all(gradient.isfinite().all() for gradient in gradients)


def test_long_documents_beside_short_ones_are_as_alone() -> None:
    """Beyond 4,096 tokens chunks are longer, also those of the neighbours."""
    lengths = (3, 4100, 1, 65)
    tokens_1T = tokens(sum(lengths), 0)
    with torch.no_grad():
        packed = model("linear")(tokens_1T, borders=Borders(lengths)).logits[0]
        for at in places(lengths):
            alone = model("linear")(tokens_1T[:, at]).logits[0]
            assert (packed[at] - alone).abs().max() <= 1e-5


def test_restarting_positions_need_borders() -> None:
    tokens_1T = tokens(12, 0)
    positions_1T = torch.cat((torch.arange(5), torch.arange(7)))[None]
    decoder = model("hybrid")

    with pytest.raises(MissingBordersError, match=r"recurrent state .* would leak .*of_positions"):
        decoder(tokens_1T, positions_BT=positions_1T)
    found = decoder(
        tokens_1T, borders=Borders.of_positions(positions_1T), positions_BT=positions_1T
    )
    assert torch.equal(found.logits, decoder(tokens_1T, borders=Borders((5, 7))).logits)
    assert not torch.equal(found.logits, decoder(tokens_1T).logits)
    with pytest.raises(MissingBordersError, match="token 5, inside a document"):
        decoder(tokens_1T, borders=Borders((4, 8)), positions_BT=positions_1T)
    rows = torch.arange(6).repeat(2, 1)
    with pytest.raises(MissingBordersError, match="token 6, inside a document"):
        decoder(tokens_1T.view(2, 6), borders=Borders((12,)), positions_BT=rows)


def test_positions_go_on_where_the_cache_stopped() -> None:
    decoder, tokens_1T = model("hybrid"), tokens(12, 0)
    positions_1T = torch.arange(12)[None]
    with torch.no_grad():
        cache = decoder.new_cache(1)
        decoder(tokens_1T, cache=cache, positions_BT=positions_1T)
        with pytest.raises(
            MissingBordersError, match=r"begin at \[0\], but the cache has read \[12\]"
        ):
            decoder(tokens_1T, cache=cache, positions_BT=positions_1T)
        decoder(tokens_1T, cache=cache, positions_BT=positions_1T + 12)
    assert cache.lengths == [24]
    with pytest.raises(ValueError, match=r"positions have shape \(1, 11\)"):
        decoder(tokens_1T, positions_BT=positions_1T[:, 1:])
    with pytest.raises(ValueError, match="give rows of tokens"):
        decoder(tokens_1T[0])


def test_a_call_that_fails_leaves_the_cache_as_it_was() -> None:
    decoder, tokens_1T = model("hybrid"), tokens(12, 0)
    with torch.no_grad():
        cache = decoder.new_cache(1, history=False)
        decoder(tokens_1T, cache=cache)
        cache.mark()
        wrong = [torch.full((12, 2), 99)] * sum(decoder.config.sparse)
        with pytest.raises(ValueError, match="numbers below"):
            decoder(tokens_1T, cache=cache, replay=wrong)
        again = decoder(tokens_1T, cache=cache).logits
        cache.rollback([12])
        with pytest.raises(IndexError):
            decoder(tokens_1T, cache=cache, chosen=torch.tensor([25]))
        assert cache.lengths == [12]
        cache.rollback([12])
        assert torch.equal(decoder(tokens_1T, cache=cache).logits, again)


def test_positions_that_only_count_up_need_no_borders() -> None:
    tokens_BT = tokens(12, 0).view(2, 6)
    plain = model("hybrid")(tokens_BT).logits
    for start in (0, 3):
        positions_BT = torch.arange(start, start + 6).repeat(2, 1)
        assert torch.equal(model("hybrid")(tokens_BT, positions_BT=positions_BT).logits, plain)


@pytest.mark.parametrize("lengths", [(11,), (6, 7), (12, 1)])
def test_borders_that_do_not_fit_are_refused(lengths: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=f"borders cover {sum(lengths)} tokens, the batch has 12"):
        model("hybrid")(tokens(12, 0), borders=Borders(lengths))


@pytest.mark.parametrize("cut", [1, 16, 40])
def test_later_tokens_change_nothing_before_them(cut: int) -> None:
    before = tokens(70, 1)
    after = before.clone()
    after[:, cut:] = tokens(70, 2)[:, cut:]
    first = model("hybrid", torch.float64)(before)
    second = model("hybrid", torch.float64)(after)

    assert (first.logits[:, :cut] - second.logits[:, :cut]).abs().max() <= 1e-12
