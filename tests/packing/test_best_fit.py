from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regreen.packing.best_fit import best_fit


def item_by_item(sizes: list[int], capacity: int) -> list[int]:
    """Best-fit-decreasing as its definition reads; the rows' fills."""
    gaps: list[int] = []
    for size in sorted(sizes, reverse=True):
        fitting = [gap for gap in gaps if gap >= size]
        gap = min(fitting, default=capacity)
        if fitting:
            gaps.remove(gap)
        gaps.append(gap - size)
    return sorted(capacity - gap for gap in gaps)


def packed(sizes: list[int], capacity: int) -> list[list[int]]:
    items, rows = best_fit(np.array(sizes, np.int64), capacity)
    assert sorted(items.tolist()) == list(range(len(sizes)))
    return [[sizes[item] for item in items[begin:end]] for begin, end in pairwise(rows)]


def check(sizes: list[int], capacity: int) -> None:
    rows = packed(sizes, capacity)
    assert all(row == sorted(row, reverse=True) for row in rows)
    assert sorted(map(sum, rows)) == item_by_item(sizes, capacity)


@st.composite
def problems(draw: st.DrawFn) -> tuple[list[int], int]:
    capacity = draw(st.sampled_from([1, 2, 3, 7, 10, 32, 100, 1000, 65_536, 65_537, 100_000]))
    largest = draw(st.sampled_from([capacity, max(1, capacity // 2), max(1, capacity // 7)]))
    values = draw(st.lists(st.integers(1, largest), min_size=1, max_size=8))
    # Few distinct sizes, each many times, is what moving whole groups must get right.
    return draw(st.lists(st.sampled_from(values), max_size=120)), capacity


@settings(max_examples=120, deadline=None)
@given(problems())
def test_the_fills_are_those_of_the_algorithm_item_by_item(
    problem: tuple[list[int], int],
) -> None:
    check(*problem)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(1, 60), max_size=150))
def test_the_fills_are_those_of_the_algorithm_for_all_different_sizes(sizes: list[int]) -> None:
    check(sizes, 60)


@pytest.mark.parametrize("capacity", [512, 4096])
def test_the_fills_are_those_of_the_algorithm_for_realistic_lengths(capacity: int) -> None:
    lengths = np.exp(np.random.default_rng(7).normal(np.log(218), 1.0, 3000)).astype(np.int64)
    check(np.clip(lengths, 4, min(capacity, 3125)).tolist(), capacity)


@pytest.mark.parametrize(
    ("sizes", "capacity", "rows"),
    [
        ([], 5, []),
        ([5], 5, [[5]]),
        ([1], 1, [[1]]),
        ([1, 1], 1, [[1], [1]]),
        ([2] * 5, 5, [[2, 2], [2, 2], [2]]),
        ([3, 2, 3, 2], 5, [[3, 2], [3, 2]]),
        ([6, 5, 4, 3, 2], 10, [[6, 4], [5, 3, 2]]),
    ],
)
def test_small_cases(sizes: list[int], capacity: int, rows: list[list[int]]) -> None:
    assert packed(sizes, capacity) == rows


def test_equal_sizes_stand_in_their_order() -> None:
    items, _ = best_fit(np.array([4, 4, 4, 4, 4]), 8)
    assert items.tolist() == [0, 1, 2, 3, 4]


def test_one_token_items_fill_every_row() -> None:
    items, rows = best_fit(np.ones(100_000, np.int64), 300)
    assert len(rows) - 1 == 334
    assert set(np.diff(rows)[:-1].tolist()) == {300}
    assert len(np.unique(items)) == 100_000
