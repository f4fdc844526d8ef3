"""A track gives back what was put into it, wherever rows stand and whoever shares it."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from regreen.model.tracks import Call, Rows, Track

HEADS, WIDTH, CPU = 2, 3, torch.device("cpu")
LIKE = torch.zeros((), dtype=torch.float64)


def call(track: Track, counts: list[int], values: Tensor) -> None:
    """What a cache does around one call."""
    rows = track.rows
    rows.call, capacity = rows.prepare(tuple(counts))
    if capacity is not None:
        track.copy_tail(capacity)
        rows.owned(capacity)
    track.put(values)
    rows.commit()


def branch_of(parent: Track, row: int, at: int, num_rows: int) -> Track:
    track = Track(Rows(num_rows, CPU, shared=at), HEADS, WIDTH, LIKE)
    track.follow(parent, row, at)
    return track


def put(track: Track, told: list[Tensor], counts: list[int]) -> list[Tensor]:
    """Put new values, and what each row then holds."""
    values = torch.randn(sum(counts), HEADS, WIDTH, dtype=torch.float64)
    call(track, counts, values)
    return [
        torch.cat((old, new.transpose(0, 1)), dim=1)
        for old, new in zip(told, values.split(counts), strict=True)
    ]


def check(track: Track, told: list[Tensor]) -> None:
    for row, values in enumerate(told):
        length = values.shape[1]
        assert track.rows.lengths[row] == length
        assert torch.equal(track.read(row, 0, length), values)
        assert torch.equal(track.read(row, length // 3, length), values[:, length // 3 :])
        assert track.read(row, length, length).shape == (HEADS, 0, WIDTH)


def empty(num_rows: int) -> tuple[Track, list[Tensor]]:
    nothing = torch.zeros(HEADS, 0, WIDTH, dtype=torch.float64)
    return Track(Rows(num_rows, CPU), HEADS, WIDTH, LIKE), [nothing] * num_rows


CALLS = st.lists(
    st.one_of(
        st.integers(1, 40).map(lambda n: [n] * 3),
        st.lists(st.integers(1, 9), min_size=3, max_size=3),
    ),
    max_size=6,
)


@given(before=CALLS, after=CALLS, row=st.integers(0, 2), share=st.floats(0, 1))
@settings(max_examples=30, deadline=None)
def test_what_is_put_is_read_in_branches_too(
    before: list[list[int]], after: list[list[int]], row: int, share: float
) -> None:
    track, told = empty(3)
    for counts in before:
        told = put(track, told, counts)
    check(track, told)
    at = int(track.rows.lengths[row] * share)
    branch = branch_of(track, row, at, 3)
    held = [told[row][:, :at]] * 3
    for counts in after:
        held = put(branch, held, counts)
        told = put(track, told, counts[::-1])
    check(track, told)
    check(branch, held)


@given(shared=st.integers(1, 40), lengths=st.lists(st.integers(0, 50), min_size=3, max_size=3))
@settings(max_examples=30, deadline=None)
def test_rows_may_part_inside_the_beginning(shared: int, lengths: list[int]) -> None:
    parent, said = empty(1)
    said = put(parent, said, [40])
    track = branch_of(parent, 0, shared, 3)
    told = put(track, [said[0][:, :shared]] * 3, [10, 10, 10])
    lengths = [min(length, shared + 10) for length in lengths]
    if (keep := min(lengths)) < shared:
        stop = max(min(length, shared) for length in lengths)
        before = track.tail_BATW
        track.own(keep, stop)
        track.rows.shared = keep
        track.rows.owned(track.tail_BATW.shape[2])
        assert (stop == keep) == (track.tail_BATW is before)
    track.rows.tails = [length - track.rows.shared for length in lengths]
    told = [values[:, :length] for values, length in zip(told, lengths, strict=True)]
    check(track, told)
    check(track, put(track, told, [2, 5, 1]))
    check(parent, said)


def test_a_beginning_is_looked_at_and_not_copied() -> None:
    parent, told = empty(2)
    told = put(parent, told, [20, 20])
    child = branch_of(parent, 1, 15, 4)
    put(child, [told[1][:, :15]] * 4, [6] * 4)
    grandchild = branch_of(child, 2, 18, 1)

    first, second = grandchild.beginning
    assert first.data_ptr() == parent.tail_BATW[1].data_ptr()
    assert second.data_ptr() == child.tail_BATW[2].data_ptr()
    assert (first.shape[2], second.shape[2]) == (15, 3)
    short = branch_of(child, 2, 9, 1)
    assert [piece.shape[2] for piece in short.beginning] == [9]


def test_a_call_that_fits_allocates_nothing() -> None:
    track, told = empty(2)
    told = put(track, told, [10, 10])
    place = track.tail_BATW.data_ptr()
    for _ in range(20):
        told = put(track, told, [1, 1])
    assert track.tail_BATW.data_ptr() == place
    sizes = set()
    for _ in range(1000):
        told = put(track, told, [1, 1])
        sizes.add(track.rows.capacity)
    assert len(sizes) < 15  # by half: not once for every call


def test_what_is_lent_is_written_around() -> None:
    track, told = empty(2)
    told = put(track, told, [30, 30])
    lent = track.read(0, 0, 30)
    before = lent.clone()
    track.rows.lent[0] = 30
    track.rows.tails = [30, 12]
    place = track.tail_BATW.data_ptr()
    told = put(track, [told[0], told[1][:, :12]], [1, 1])  # row 1 lent nothing
    assert track.tail_BATW.data_ptr() == place
    track.rows.tails = [29, 13]
    told = put(track, [told[0][:, :29], told[1]], [1, 1])
    assert track.tail_BATW.data_ptr() != place
    assert torch.equal(lent, before)
    assert not torch.equal(track.read(0, 29, 30), lent[:, 29:])
    check(track, told)


@given(
    counts=st.lists(st.integers(1, 9), min_size=1, max_size=4),
    tails=st.lists(st.integers(0, 9), min_size=4, max_size=4),
    width=st.integers(1, 5),
)
@settings(max_examples=30, deadline=None)
def test_contexts_are_the_last_tokens(counts: list[int], tails: list[int], width: int) -> None:
    begun = Call(tails[: len(counts)], tuple(counts), CPU)
    context = torch.randn(len(counts), width, WIDTH)
    values = torch.randn(sum(counts), WIDTH)
    for _ in range(2):  # the second time from what the first worked out
        got = begun.behind(context, values)
        for row, new in enumerate(values.split(counts)):
            assert torch.equal(got[row], torch.cat((context[row], new))[-width:])


@pytest.mark.parametrize(
    ("tails", "counts", "start", "longest"),
    [
        ([3, 3], (2, 2), 3, 5),
        ([3, 3], (2, 1), None, 5),
        ([3, 4], (1, 1), None, 5),
        ([0], (7,), 0, 7),
    ],
)
def test_a_call_is_one_slice_where_all_rows_agree(
    tails: list[int], counts: tuple[int, ...], start: int | None, longest: int
) -> None:
    begun = Call(tails, counts, CPU)

    assert begun.start == start
    assert begun.longest == longest
    hidden = [[place > tail for place in range(longest)] for tail in tails]
    assert begun.hidden_BT.tolist() == hidden
