from collections.abc import Iterator
from itertools import chain, repeat

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regreen.core.errors import UsageError
from regreen.packing import Document, Piece, stream
from regreen.packing.cuts import CUTS


class Source:
    """Documents one by one; notes how many were read and not yet let go."""

    def __init__(self, documents: list[Document]) -> None:
        self.documents, self.read, self.most_held = documents, 0, 0
        self.left: dict[int, int] = {}

    def __iter__(self) -> Iterator[Document]:
        for number, document in enumerate(self.documents):
            self.left[number] = document.length
            self.read += 1
            self.most_held = max(self.most_held, len(self.left))
            yield document

    def let_go(self, row: tuple[Piece, ...]) -> None:
        for piece in row:
            self.left[piece.document] -= piece.stop - piece.start - piece.seen
            if not self.left[piece.document]:
                del self.left[piece.document]


@st.composite
def some_documents(draw: st.DrawFn) -> tuple[list[Document], int, int]:
    capacity = draw(st.integers(2, 30))
    with_borders = draw(st.booleans())
    documents = []
    for length in draw(st.lists(st.integers(1, 70), max_size=40)):
        head = draw(st.integers(0, min(length, capacity - 1)))
        borders = sorted(draw(st.sets(st.integers(0, length), max_size=8)))
        documents.append(Document(length, head, borders if with_borders else None))
    return documents, capacity, draw(st.integers(1, 20))


@settings(max_examples=40, deadline=None)
@pytest.mark.parametrize("policy", ["best-fit-split", "best-fit-slide", "best-fit-heads"])
@given(problem=some_documents())
def test_every_token_comes_once_and_never_more_than_the_window_is_held(
    policy: str, problem: tuple[list[Document], int, int]
) -> None:
    documents, capacity, window = problem
    source = Source(documents)
    tokens: dict[int, list[int]] = {number: [] for number in range(len(documents))}
    for row in stream(source, capacity, policy, window=window):
        assert row
        assert sum(p.head + p.stop - p.start for p in row) <= capacity
        source.let_go(row)
        for piece in row:
            tokens[piece.document] += range(piece.start + piece.seen, piece.stop)
            if policy == "best-fit-heads":
                expected = documents[piece.document].head if piece.start else 0
                assert piece.head == expected
    assert source.most_held <= window
    assert not source.left
    for number, document in enumerate(documents):
        assert sorted(tokens[number]) == list(range(document.length))


@settings(max_examples=20, deadline=None)
@given(problem=some_documents())
def test_the_rows_are_a_function_of_the_arguments(
    problem: tuple[list[Document], int, int],
) -> None:
    documents, capacity, window = problem
    one, other = (list(stream(documents, capacity, window=window)) for _ in range(2))
    assert one == other


def test_no_document_waits_for_ever() -> None:
    # Beside 7 tokens 5 find no room, and pairs of 5 always make fuller rows.
    documents = chain([Document(7)], repeat(Document(5)))
    for count, row in enumerate(stream(documents, 10, window=8)):
        if any(piece.document == 0 for piece in row):
            return
        assert count < 16 * 8


def test_rows_come_before_the_source_ends() -> None:
    def documents() -> Iterator[Document]:
        yield from [Document(5)] * 20
        pytest.fail("read beyond the window")

    rows = stream(documents(), 10, window=20)
    assert [piece.document for piece in next(rows)] == [0, 1]


def test_a_window_of_ten_thousand_pads_no_more_than_a_thousandth() -> None:
    lengths = np.exp(np.random.default_rng(0).normal(np.log(14_000), 1.0, 40_000))
    lengths = np.clip(lengths.astype(np.int64), 256, 200_000)
    documents = [Document(length, min(length, 3000)) for length in lengths.tolist()]
    fills = [sum(p.head + p.stop - p.start for p in row) for row in stream(documents, 32_768)]
    assert 1.0 - sum(fills) / (len(fills) * 32_768) <= 0.001


def test_long_documents_are_refused_or_dropped_by_the_same_policies() -> None:
    documents = [Document(3), Document(25), Document(10)]
    with pytest.raises(UsageError, match="document 1 has 25 tokens"):
        list(stream(documents, 10, "best-fit"))
    dropped = list(stream(documents, 10, "best-fit-drop"))
    assert sorted(piece.document for row in dropped for piece in row) == [0, 2]
    assert list(stream([Document(25)] * 3, 10, "best-fit-drop", window=1)) == []


def test_errors_name_documents_by_their_place_in_the_stream() -> None:
    documents = [Document(3)] * 7 + [Document(0)]
    with pytest.raises(UsageError, match="document 7 has no tokens"):
        list(stream(documents, 10, window=2))
    with pytest.raises(UsageError, match="document 7 has 11 tokens"):
        list(stream([*documents[:7], Document(11)], 10, "best-fit", window=2))
    with pytest.raises(UsageError, match=r"document 7 .* its head is not known"):
        list(stream([*documents[:7], Document(11)], 10, window=2))
    messages = [Document(3, 0, [])] * 7 + [Document(40, 3, [3, 30])]
    with pytest.raises(UsageError, match="message of document 7"):
        list(stream(messages, 10, window=2, long_messages="refuse"))


@pytest.mark.parametrize(
    ("documents", "more"),
    [
        ([Document(3)], {"window": 0}),
        ([Document(3)], {"policy": "concat"}),
        ([Document(3)], {"window": 1.5}),
        ([Document(3)], {"policy": ["best-fit"]}),
        ([Document(3), 3], {}),
        ([Document(3.7)], {}),  # type: ignore[arg-type]
        ([Document(3, 1.5)], {}),  # type: ignore[arg-type]
        ([Document(3, 0, [1.5])], {}),  # type: ignore[list-item]
        ([Document(2**63)], {}),
    ],
)
def test_bad_arguments_are_refused(documents: list[Document], more: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        list(stream(documents, 10, **more))  # type: ignore[arg-type]


@pytest.mark.parametrize("window", [1, 2, 10])
def test_borders_of_some_documents_only_are_refused_whatever_the_window(window: int) -> None:
    with_some, with_none = Document(3, 0, [1]), Document(3)
    for documents in ([with_some] * 5 + [with_none], [with_none] * 5 + [with_some]):
        with pytest.raises(UsageError, match=r"document 5 has .* borders, and document 0 has"):
            list(stream(documents, 10, window=window))


@pytest.mark.parametrize("policy", CUTS)
def test_an_empty_source_gives_no_rows(policy: str) -> None:
    assert list(stream([], 10, policy)) == []
