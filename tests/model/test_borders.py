"""Borders and the index arrays made of them, against plain loops over documents."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from regreen.model.borders import Borders, MissingBordersError, check_positions

CPU = torch.device("cpu")
lengths_ = st.lists(st.integers(1, 70), min_size=1, max_size=12)


@given(lengths=lengths_)
def test_starts_positions_and_ends_are_those_of_the_documents(lengths: list[int]) -> None:
    borders = Borders(tuple(lengths))
    positions = [place for length in lengths for place in range(length)]
    ends = [sum(lengths[:count]) for count in range(len(lengths) + 1)]

    assert borders.num_tokens == sum(lengths)
    assert list(borders.starts) == ends[:-1]
    assert borders.positions_N.tolist() == positions
    assert borders.cumulative.tolist() == ends
    assert borders.cumulative.dtype == torch.int32
    assert borders.uniform == (len(set(lengths)) == 1)
    assert Borders.of_positions(borders.positions_N[None]).lengths == tuple(lengths)
    check_positions(borders.positions_N[None], borders, given=True, begun=None)
    if len(lengths) > 1:
        whole = Borders((sum(lengths),))
        with pytest.raises(MissingBordersError, match=f"flat token {lengths[0]}, so a row holds"):
            check_positions(borders.positions_N[None], whole, given=False, begun=None)


@given(rows=st.lists(st.lists(st.integers(1, 9), max_size=4), min_size=1), more=st.integers(0, 3))
def test_rows_keep_their_documents_and_their_tails(rows: list[list[int]], more: int) -> None:
    capacity = max(1, *(sum(row) for row in rows)) + more
    lengths = iter(Borders.of_rows(rows, capacity).lengths)
    for row in rows:
        assert [next(lengths) for _ in row] == row
        if sum(row) < capacity:
            assert next(lengths) == capacity - sum(row)
    assert next(lengths, None) is None


def test_rows_begin_documents_whatever_their_positions() -> None:
    positions_BT = torch.tensor([[0, 1, 2, 0], [1, 2, 5, 6], [7, 8, 9, 10]])

    assert Borders.of_positions(positions_BT).lengths == (3, 1, 2, 2, 4)
    assert Borders([3, 4]) == Borders((3, 4))  # type: ignore[arg-type]


def test_what_no_batch_can_be_is_refused() -> None:
    with pytest.raises(ValueError, match="row 1 holds 7 tokens, above its capacity 6"):
        Borders.of_rows([[6], [3, 4]], 6)
    for lengths in ((), (3, 0), (-1, 4)):
        with pytest.raises(ValueError, match="at least one"):
            Borders(lengths)


@settings(max_examples=40)
@given(lengths=lengths_)
def test_padded_places_hold_every_token_once_and_never_a_neighbour(lengths: list[int]) -> None:
    borders = Borders(tuple(lengths))
    document = torch.arange(len(lengths)).repeat_interleave(torch.tensor(lengths))
    met = []
    for index_BL, held_P, place_P in borders.padded(CPU):
        owners = document[index_BL]
        assert owners.eq(owners[:, :1]).all()
        assert index_BL.flatten()[held_P].equal(place_P)
        shortest = min(lengths[owner] for owner in owners[:, 0].tolist())
        assert index_BL.shape[1] <= (shortest + 4) / 0.8  # little of a bucket is padding
        for row, owner in zip(index_BL.tolist(), owners[:, 0].tolist(), strict=True):
            start, end = borders.starts[owner], borders.starts[owner] + lengths[owner]
            assert row == [min(start + place, end - 1) for place in range(len(row))]
        met += place_P.tolist()
    assert sorted(met) == list(range(sum(lengths)))
    assert borders.padded(CPU) is borders.padded(CPU)
