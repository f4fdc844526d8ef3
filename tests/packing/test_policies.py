"""Every policy against its promise, document by document, on plans small enough to count."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regreen.core.errors import UsageError
from regreen.packing import POLICIES, Borders, Piece, Plan, plan

IN_ORDER = ("concat", "restart-last", "pad-last")
BEST_FIT = tuple(name for name in POLICIES if name not in IN_ORDER)
KEEP_ALL = tuple(name for name in POLICIES if name not in ("best-fit", "best-fit-drop"))


@dataclass(frozen=True)
class Known:
    capacity: int
    lengths: list[int]
    heads: list[int]
    borders: list[list[int]]

    def plan(self, policy: str, *, borders: bool = True) -> Plan:
        return plan(
            self.lengths,
            self.capacity,
            policy,
            heads=self.heads,
            borders=Borders.of(self.borders) if borders else None,
        )


@st.composite
def known(draw: st.DrawFn) -> Known:
    capacity = draw(st.integers(1, 40))
    lengths = draw(st.lists(st.integers(1, 150), max_size=25))
    heads = [draw(st.integers(0, min(length, capacity - 1))) for length in lengths]
    borders = [sorted(draw(st.sets(st.integers(0, length), max_size=20))) for length in lengths]
    return Known(capacity, lengths, heads, borders)


def rows(made: Plan) -> list[tuple[Piece, ...]]:
    return [made.row(index) for index in range(made.num_rows)]


def by_document(made: Plan) -> dict[int, list[Piece]]:
    found: dict[int, list[Piece]] = {}
    for piece in sorted(piece for row in rows(made) for piece in row):
        found.setdefault(piece.document, []).append(piece)
    return found


def check_rows(made: Plan) -> None:
    for row, fill in zip(rows(made), made.fill.tolist(), strict=True):
        assert row, "an empty row"
        assert sum(piece.head + piece.stop - piece.start for piece in row) == fill
        assert fill <= made.capacity
        for piece in row:
            assert 0 <= piece.start < piece.stop <= made.lengths[piece.document]
            assert 0 <= piece.seen <= piece.stop - piece.start


def check_each_token_once(made: Plan, lengths: list[int]) -> None:
    found = by_document(made)
    for document, length in enumerate(lengths):
        fresh = [(p.start + p.seen, p.stop) for p in found[document]]
        covered = [token for begin, end in fresh for token in range(begin, end)]
        assert sorted(covered) == list(range(length))


@settings(max_examples=25, deadline=None)
@pytest.mark.parametrize("policy", KEEP_ALL)
@given(given_documents=known())
def test_nothing_is_lost_and_nothing_is_trained_twice(policy: str, given_documents: Known) -> None:
    made = given_documents.plan(policy)
    check_rows(made)
    check_each_token_once(made, given_documents.lengths)


@settings(max_examples=25, deadline=None)
@pytest.mark.parametrize("policy", KEEP_ALL)
@given(given_documents=known())
def test_seen_tokens_stand_in_another_piece(policy: str, given_documents: Known) -> None:
    for pieces in by_document(given_documents.plan(policy)).values():
        for piece in pieces:
            seen = set(range(piece.start, piece.start + piece.seen))
            others = [set(range(p.start, p.stop)) for p in pieces if p is not piece]
            assert seen <= set().union(*others)


@settings(max_examples=25, deadline=None)
@pytest.mark.parametrize("policy", [*BEST_FIT, "pad-last"])
@given(given_documents=known())
def test_nothing_is_cut_that_fits(policy: str, given_documents: Known) -> None:
    if policy == "best-fit" and max(given_documents.lengths, default=0) > given_documents.capacity:
        with pytest.raises(UsageError):
            given_documents.plan(policy)
        return
    found = by_document(given_documents.plan(policy))
    for document, length in enumerate(given_documents.lengths):
        if length <= given_documents.capacity:
            assert found[document] == [Piece(document, 0, length, 0, 0, False)]


@settings(max_examples=25, deadline=None)
@given(given_documents=known())
def test_drop_leaves_out_what_does_not_fit(given_documents: Known) -> None:
    made = given_documents.plan("best-fit-drop")
    check_rows(made)
    fitting = [
        document
        for document, length in enumerate(given_documents.lengths)
        if length <= given_documents.capacity
    ]
    assert sorted(by_document(made)) == fitting


@settings(max_examples=25, deadline=None)
@given(given_documents=known())
def test_split_cuts_full_rows(given_documents: Known) -> None:
    for pieces in by_document(given_documents.plan("best-fit-split")).values():
        assert all(p.stop - p.start == given_documents.capacity for p in pieces[:-1])
        assert all(p.head == p.seen == 0 for p in pieces)


@settings(max_examples=25, deadline=None)
@given(given_documents=known())
def test_slide_leaves_long_documents_no_short_piece(given_documents: Known) -> None:
    for pieces in by_document(given_documents.plan("best-fit-slide")).values():
        if len(pieces) > 1:
            assert all(p.stop - p.start == given_documents.capacity for p in pieces)


@settings(max_examples=70, deadline=None)
@given(given_documents=known(), with_borders=st.booleans())
def test_every_continuation_begins_with_the_head(
    given_documents: Known, with_borders: bool
) -> None:
    made = given_documents.plan("best-fit-heads", borders=with_borders)
    check_rows(made)
    check_each_token_once(made, given_documents.lengths)
    for document, pieces in by_document(made).items():
        head = given_documents.heads[document]
        assert [p.head for p in pieces] == [0, *[head] * (len(pieces) - 1)]
        assert len(pieces) == 1 or pieces[0].stop > head, "a piece of the head alone"


@settings(max_examples=70, deadline=None)
@given(given_documents=known())
def test_cuts_stand_at_borders_or_are_marked(given_documents: Known) -> None:
    for document, pieces in by_document(given_documents.plan("best-fit-heads")).items():
        borders = given_documents.borders[document]
        assert not pieces[-1].forced
        for piece in pieces[:-1]:
            end = piece.start + given_documents.capacity - piece.head
            after = max(piece.start, given_documents.heads[document])
            possible = [border for border in borders if after < border <= end]
            assert piece.forced == (not possible)
            assert piece.stop == (max(possible) if possible else end)


@settings(max_examples=25, deadline=None)
@given(given_documents=known())
def test_without_borders_continuations_are_full_and_as_few_as_can_be(
    given_documents: Known,
) -> None:
    capacity = given_documents.capacity
    made = given_documents.plan("best-fit-heads", borders=False)
    for document, pieces in by_document(made).items():
        assert all(p.head + p.stop - p.start == capacity for p in pieces[:-1])
        rest = max(0, given_documents.lengths[document] - capacity)
        assert len(pieces) == 1 + -(-rest // (capacity - given_documents.heads[document]))
        assert not any(p.forced for p in pieces)


@settings(max_examples=25, deadline=None)
@given(given_documents=known())
def test_concat_fills_every_row_but_the_last(given_documents: Known) -> None:
    made = given_documents.plan("concat")
    check_rows(made)
    assert all(made.fill[:-1] == given_documents.capacity)
    assert [p.document for row in rows(made) for p in row] == sorted(made.document.tolist())


@settings(max_examples=25, deadline=None)
@given(given_documents=known())
def test_restart_fills_every_row_but_the_last_and_begins_again(given_documents: Known) -> None:
    made = given_documents.plan("restart-last")
    padded = given_documents.plan("pad-last")
    assert all(made.fill[:-1] == given_documents.capacity)
    assert made.num_rows == padded.num_rows
    for row, next_row in zip(rows(made)[:-1], rows(made)[1:], strict=True):
        last, first = row[-1], next_row[0]
        if first.seen:
            assert (first.document, first.start) == (last.document, last.start)
            assert first.seen == last.stop - last.start


@settings(max_examples=25, deadline=None)
@given(given_documents=known())
def test_pad_last_opens_a_row_only_for_what_does_not_fit(given_documents: Known) -> None:
    made = given_documents.plan("pad-last")
    check_rows(made)
    for fill, following in zip(made.fill.tolist(), rows(made)[1:], strict=False):
        assert fill + following[0].stop - following[0].start > given_documents.capacity
