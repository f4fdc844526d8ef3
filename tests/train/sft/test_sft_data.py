"""The order of rows: exact shares, every row as often as asked, the same from any position on."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.train.sft_sets import conversations, pack_rows, packed

from regreen.core.errors import UsageError
from regreen.store.packed import PackedShards
from regreen.train.sft.config import SftConfig
from regreen.train.sft.data import Mixture, PackedSet, Position, Unit, hold_out
from regreen.train.sft.sources import open_data, read_sources


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> list[PackedShards]:
    root = tmp_path_factory.mktemp("sets")
    first = packed(root / "a", 12, capacity=1024, policy="best-fit-heads", shard_tokens=2048)
    return [PackedShards(first), PackedShards(packed(root / "b", 5, first=50, capacity=1500))]


def units(mixture: Mixture, num_tokens: int, position: Position | None = None) -> list[list[Unit]]:
    found, position = [], position or mixture.start
    while (batch := mixture.batch(position, num_tokens))[0]:
        found.append(batch[0])
        position = batch[1]
    return found


@given(st.integers(1, 5), st.integers(1, 9000), st.integers(0, 3))
def test_without_shares_every_row_is_read_as_often_as_there_are_passes(
    sets: list[PackedShards], epochs: int, num_tokens: int, seed: int
) -> None:
    mixture = Mixture(
        [PackedSet(one, number=n, seed=seed) for n, one in enumerate(sets)], epochs=float(epochs)
    )
    batches = units(mixture, num_tokens)

    rows = Counter((unit.number, unit.row) for batch in batches for unit in batch)
    assert rows == {(n, row): epochs for n, one in enumerate(sets) for row in range(len(one))}
    assert mixture.num_batches(num_tokens) == len(batches)
    for batch in batches:
        sizes = [sets[unit.number][unit.row].used for unit in batch]
        assert sum(sizes[:-1]) < num_tokens
    for number, one in enumerate(sets):
        order = [unit.row for batch in batches for unit in batch if unit.number == number]
        passes = [order[at : at + len(one)] for at in range(0, len(order), len(one))]
        assert all(sorted(one_pass) == list(range(len(one))) for one_pass in passes)


def test_passes_and_seeds_differ_in_their_order(sets: list[PackedShards]) -> None:
    orders = {
        tuple(PackedSet(sets[0], seed=seed).unit(start + place)[0].row for place in range(size))
        for size in [len(sets[0])]
        for seed, start in ((0, 0), (0, size), (1, 0))
    }
    assert len(orders) == 3


@given(st.integers(0, 40), st.integers(500, 5000), st.tuples(st.floats(0.1, 9), st.floats(0.1, 9)))
def test_a_resume_goes_on_with_the_same_batches(
    sets: list[PackedShards], cut: int, num_tokens: int, shares: tuple[float, float]
) -> None:
    def mixture() -> Mixture:
        both = [PackedSet(one, number=n, seed=3) for n, one in enumerate(sets)]
        return Mixture(both, shares, epochs=2.0)

    whole = units(mixture(), num_tokens)
    position, at = mixture().start, min(cut, len(whole))
    for _ in range(at):
        _, position = mixture().batch(position, num_tokens)
    again = Position.from_json(position.as_json())
    assert units(mixture(), num_tokens, again) == whole[at:]


@given(st.tuples(st.floats(0.05, 9), st.floats(0.05, 9)))
def test_shares_hold_at_every_moment(sets: list[PackedShards], shares: tuple[float, float]) -> None:
    both = [PackedSet(one, number=n) for n, one in enumerate(sets)]
    mixture, longest = Mixture(both, shares, epochs=None), 1500
    position = mixture.start
    for _ in range(200):
        found, position = mixture.batch(position, 1)
        assert len(found) == 1
        wanted = shares[0] / sum(shares) * sum(position.tokens)
        assert abs(position.tokens[0] - wanted) <= 2 * longest
    with pytest.raises(ValueError, match="never ends"):
        mixture.num_batches(1)


@given(st.dictionaries(st.sampled_from(["hermes", "qwen25_coder", "text"]), st.floats(0, 3.5)))
def test_templates_are_read_as_often_as_they_weigh(
    sets: list[PackedShards], weights: dict[str, float]
) -> None:
    shards = sets[0]
    names = [name.partition("[")[0] or "text" for name in shards.templates]
    whole = Counter(names[t] for row in shards for t in row.template.tolist())
    if not weights or not any(weights.get(name, 1.0) * n >= 1 for name, n in whole.items()):
        return
    one = PackedSet(shards, templates=weights)
    found: Counter[str] = Counter()
    pieces: Counter[Unit] = Counter()
    for place in range(one.num_units):
        unit, size = one.unit(place)
        row = shards[unit.row]
        assert size == np.diff(row.borders)[list(unit.places)].sum()
        found[names[row.template[unit.places[0]]]] += 1
        pieces[unit] += 1
        assert len(unit.places) == 1
    for name, count in whole.items():
        weight = weights.get(name, 1.0)
        assert found[name] == int(weight) * count + round((weight - int(weight)) * count)
    assert max(pieces.values()) <= max(np.ceil(weights.get(name, 1.0)) for name in whole)


@given(st.sampled_from([0.05, 0.2, 0.5, 0.9]), st.integers(0, 5))
def test_no_document_stands_on_both_sides(
    sets: list[PackedShards], share: float, seed: int
) -> None:
    shards = sets[0]
    held, units_apart = hold_out(shards, share, seed=seed)
    assert held.sum() == max(1, round(share * len(held)))
    trained = PackedSet(shards, without=held)

    def pieces(units: list[Unit]) -> list[tuple[int, int]]:
        return [(unit.row, place) for unit in units for place in unit.places]

    apart, kept = (
        pieces(units_apart),
        pieces([trained.unit(n)[0] for n in range(trained.num_units)]),
    )
    assert {int(shards[row].document[place]) for row, place in apart} == set(np.flatnonzero(held))
    everything = [
        (r, place) for r in range(len(shards)) for place in range(len(shards[r].document))
    ]
    assert sorted(apart + kept) == everything


def test_a_task_is_held_out_as_a_whole(tmp_path: Path) -> None:
    rows = [
        {"rollout_id": f"{task}-{number}", "task": task, "agent": "a", "messages": messages}
        for task in ("one", "two", "three")
        for number, messages in enumerate(conversations(3))
    ]
    shards = PackedShards(pack_rows(tmp_path / "set", rows))
    held, _ = hold_out(shards, 0.3)
    tasks = [shards.document(number).task for number in range(len(held))]
    assert held.sum() == 3
    assert len({task for task, out in zip(tasks, held, strict=True) if out}) == 1


def test_what_leaves_nothing_is_refused(sets: list[PackedShards], tmp_path: Path) -> None:
    path = str(sets[0].path)
    with pytest.raises(UsageError, match="leaves none"):
        hold_out(sets[0], 0.99)
    with pytest.raises(UsageError, match="nothing to train on"):
        Mixture([PackedSet(sets[0], templates={"hermes": 0, "qwen25_coder": 0, "text": 0})])
    with pytest.raises(UsageError, match="no share, and others have"):
        read_sources([f"{path}=2", path])
    with pytest.raises(UsageError, match="no such file"):
        read_sources([str(tmp_path / "nothing=0.5")])
    with pytest.raises(UsageError, match="no share of the tokens"):
        read_sources([f"{path}=-1"])
    given_path = read_sources([path])
    with pytest.raises(UsageError, match="template 'herms'"):
        open_data(given_path, SftConfig(templates={"herms": 1.0}))
    with pytest.raises(UsageError, match="no token has the role"):
        open_data(given_path, SftConfig(weights={"asistant": 1.0}))
    nothing = dict.fromkeys(("assistant", "reasoning", "call", "end", "text"), 0.0)
    with pytest.raises(UsageError, match="nothing would be learnt"):
        open_data(given_path, SftConfig(weights=nothing))
    with pytest.raises(UsageError, match="held out"):
        open_data(given_path, SftConfig(held_out="1.5"))
