"""The loss against one written naively, and that no division of a step changes its gradient."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.train.sft_sets import packed, small_model
from torch import Tensor
from torch.nn import functional

from regreen.model import Borders, Decoder, balance_loss
from regreen.store.packed import PackedShards
from regreen.store.packed_header import ROLES
from regreen.train.sft.batches import Piece, flat_batch, nothing, read_pieces, totals
from regreen.train.sft.data import Unit
from regreen.train.sft.loss import Sums, even_shares, micro_loss

WEIGHTS = {"tool": 0.1, "call": 2.0, "user": 0.5, "text": 0.3}


@pytest.fixture(scope="module")
def pieces(tmp_path_factory: pytest.TempPathFactory) -> list[Piece]:
    path = packed(tmp_path_factory.mktemp("loss") / "set", 4)
    shards = PackedShards(path, weights=WEIGHTS)
    units = [Unit(0, row, tuple(range(len(shards[row].document)))) for row in range(len(shards))]
    return read_pieces([shards], units)


def passed(
    model: Decoder, groups: Sequence[Sequence[Piece]], shares: Sequence[float], ahead: float = 0.3
) -> tuple[dict[str, Tensor], Sums, float]:
    """Gradients, sums and loss of a step divided into groups."""
    whole = totals(piece for group in groups for piece in group if piece.weights.any())
    model.zero_grad(set_to_none=True)
    found: Sums | None = None
    total = 0.0
    for group in groups:
        batch = flat_batch(group)
        loss, one = micro_loss(model, batch, whole, shares=shares, next_token_weight=ahead)
        loss.backward()  # type: ignore[no-untyped-call]
        found = one if found is None else found + one
        total += loss.item()
    assert found is not None
    gradients = {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}
    return gradients, found, total


def naive(model: Decoder, pieces: Sequence[Piece]) -> tuple[float, dict[str, float]]:
    """One piece at a time, every logit, float64."""
    total, weight = 0.0, 0.0
    by_role: dict[str, list[float]] = {}
    for piece in pieces:
        logits = model(torch.from_numpy(piece.tokens)[None]).logits[0].detach()
        for place in range(1, len(piece.tokens)):
            if not piece.weights[place]:
                continue
            target = torch.tensor(int(piece.tokens[place]))
            nats = float(functional.cross_entropy(logits[place - 1], target))
            total += float(piece.weights[place]) * nats
            weight += float(piece.weights[place])
            by_role.setdefault(ROLES[piece.roles[place]], []).append(nats)
    return total / weight, {role: float(np.mean(values)) for role, values in by_role.items()}


def test_the_loss_is_the_weighted_mean_of_every_token_that_counts(pieces: list[Piece]) -> None:
    model = small_model(dtype=torch.float64, router_aux_loss_coef=0.0)
    _, sums, loss = passed(model, [pieces], even_shares(model))

    wanted, by_role = naive(model, pieces)
    assert loss == pytest.approx(wanted, rel=1e-9)
    assert float(sums.weighted) / totals(pieces).weight == pytest.approx(wanted, rel=1e-9)
    assert set(by_role) == {"tool", "call", "user", "text", "assistant", "end"}
    for role, mean in by_role.items():
        place = ROLES.index(role)
        assert float(sums.nats_R[place] / sums.count_R[place]) == pytest.approx(mean, rel=1e-9)


def test_no_division_of_a_step_changes_its_gradient(pieces: list[Piece]) -> None:
    changes = {"router_aux_loss_coef": 0.5, "num_nextn_predict_layers": 1}
    model = small_model(dtype=torch.float64, **changes)
    shares = [0.9, 0.2, 0.5, 0.4]
    whole, sums, loss = passed(model, [pieces], shares)
    alone, apart, again = passed(model, [[piece] for piece in pieces], shares)
    idle, with_idle, third = passed(model, [pieces[:3], [nothing()], pieces[3:]], shares)

    largest = max(float(gradient.abs().max()) for gradient in whole.values())
    for other in (alone, idle):
        assert whole.keys() == other.keys()
        for name, gradient in whole.items():
            assert float((gradient - other[name]).abs().max()) < 1e-10 * largest, name
    assert loss == pytest.approx(again, rel=1e-10)
    assert loss == pytest.approx(third, rel=1e-10)
    for one in (apart, with_idle):
        assert one.shares() == sums.shares()
        assert one.balance() == pytest.approx(sums.balance(), rel=1e-10)

    single = small_model(**changes)
    losses = [passed(single, groups, shares)[2] for groups in ([pieces], [[p] for p in pieces])]
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)


def test_a_loss_divided_by_each_micro_batch_would_be_another(pieces: list[Piece]) -> None:
    model = small_model(router_aux_loss_coef=0.0)
    _, _, loss = passed(model, [pieces], even_shares(model))
    means = [passed(model, [[piece]], even_shares(model))[2] for piece in pieces]
    assert float(np.mean(means)) != pytest.approx(loss, rel=1e-4)


def test_the_balance_loss_is_that_of_the_model_where_shares_stand_still(
    pieces: list[Piece],
) -> None:
    model = small_model(dtype=torch.float64, router_aux_loss_coef=1.0)
    batch = flat_batch(pieces)
    output = model(batch.flat.ids_N[None], borders=batch.flat.borders)
    wanted = balance_loss(output.routings)
    _, sums, _ = passed(model, [pieces], even_shares(model))
    assert sums.balance() == pytest.approx(wanted.item(), rel=1e-9)

    model.zero_grad(set_to_none=True)
    wanted.backward()  # type: ignore[no-untyped-call]
    theirs = {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}
    plain, _, _ = passed(small_like(model, 0.0), [pieces], sums.shares())
    ours, _, _ = passed(model, [pieces], sums.shares())
    for name, gradient in theirs.items():
        assert torch.allclose(ours[name] - plain[name], gradient, atol=1e-12), name


def small_like(model: Decoder, coefficient: float) -> Decoder:
    other = small_model(dtype=torch.float64, router_aux_loss_coef=coefficient)
    other.load_state_dict(model.state_dict())
    return other


def test_the_token_after_the_next_is_predicted_up_to_the_last_one(pieces: list[Piece]) -> None:
    model = small_model(dtype=torch.float64, num_nextn_predict_layers=1)
    _, sums, _ = passed(model, [pieces], even_shares(model))

    wanted, weight = 0.0, 0.0
    for piece in pieces:
        ids = torch.from_numpy(piece.tokens[:-1])[None]
        borders = Borders((len(piece.tokens) - 1,))
        found = model.predict_next(model(ids, borders=borders), ids, borders=borders)
        for place, logits in zip(found.index_P.tolist(), found.logits_PV.detach(), strict=True):
            target = torch.tensor(int(piece.tokens[place + 2]))
            counted = float(piece.weights[place + 2])
            wanted += counted * float(functional.cross_entropy(logits, target))
            weight += counted
    assert float(sums.ahead) == pytest.approx(wanted, rel=1e-9)
    assert totals(pieces).ahead == pytest.approx(weight, rel=1e-9)


def test_pieces_without_anything_to_learn_are_not_computed(tmp_path: Path) -> None:
    shards = PackedShards(packed(tmp_path / "set", 2), weights={"text": 0.0, "end": 0.0})
    units = [Unit(0, row, tuple(range(len(shards[row].document)))) for row in range(len(shards))]
    found = read_pieces([shards], units)
    assert len(found) == sum(len(row.document) for row in shards) - 2
    assert not any((piece.weights > 0).any() and piece.weights[0] for piece in found)
