import numpy as np
import pytest

from regreen.core.errors import UsageError
from regreen.packing import Piece, Plan, plan, shuffle

LENGTHS = [5, 3, 8, 25, 1]


@pytest.fixture
def made() -> Plan:
    return plan(LENGTHS, 10, heads=[1, 1, 1, 3, 1])


def rows(made: Plan) -> list[tuple[Piece, ...]]:
    return [made.row(index) for index in range(made.num_rows)]


def test_a_row_holds_its_pieces_in_order(made: Plan) -> None:
    assert made.row(0) == (Piece(3, 0, 10, 0, 0, False),)
    assert made.row(1) == (Piece(3, 10, 17, 3, 0, False),)
    assert made.fill.tolist() == [sum(p.head + p.stop - p.start for p in row) for row in rows(made)]
    assert made.slots.sum() == made.fill.sum()


@pytest.mark.parametrize("index", [-1, 6, 100])
def test_a_row_that_is_not_there_is_an_error(made: Plan, index: int) -> None:
    with pytest.raises(IndexError, match="of a plan of"):
        made.row(index)


def test_shuffling_moves_whole_rows(made: Plan) -> None:
    shuffled = shuffle(made, seed=3)
    assert sorted(rows(shuffled)) == sorted(rows(made))
    assert rows(shuffled) != rows(made)
    assert rows(shuffle(made, seed=3)) == rows(shuffled)


def test_seeds_give_different_orders() -> None:
    made = plan(np.arange(1, 200), 200)
    assert rows(shuffle(made, seed=1)) != rows(shuffle(made, seed=2))


def test_shuffling_undoes_the_order_by_length() -> None:
    lengths = np.random.default_rng(0).integers(1, 1000, 20_000)
    made = plan(lengths, 1000)

    def longest(some: Plan) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        return np.maximum.reduceat(some.lengths[some.document], some.rows[:-1])

    place = np.arange(made.num_rows)
    assert np.corrcoef(place, longest(made))[0, 1] < -0.9
    assert abs(np.corrcoef(place, longest(shuffle(made, seed=0)))[0, 1]) < 0.05


def test_an_empty_plan_is_shuffled_too() -> None:
    assert shuffle(plan([], 10), seed=0).num_rows == 0


@pytest.mark.parametrize("seed", [-1, 1.5, "1", True, None])
def test_a_seed_that_is_none_is_refused(seed: object) -> None:
    with pytest.raises(UsageError, match="seed") as caught:
        shuffle(plan([3], 10), seed)  # type: ignore[arg-type]
    assert caught.value.where == "seed"
