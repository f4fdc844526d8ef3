"""Cutting documents into chunks and joining them again are each other's inverse and transpose."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from regreen.model.borders import Borders
from regreen.model.chunks import Chunks, from_chunks, to_chunks

CPU = torch.device("cpu")
length = st.one_of(st.sampled_from((1, 7, 8, 9, 16, 24)), st.integers(1, 40))
lengths_ = st.one_of(
    st.lists(length, min_size=1, max_size=8),
    st.builds(lambda one, count: [one] * count, length, st.integers(1, 4)),
)
sizes = st.sampled_from((1, 4, 8))


def cut(lengths: list[int], size: int) -> Chunks:
    return Borders(tuple(lengths)).chunks(size, CPU)


@given(lengths=lengths_, size=sizes)
def test_every_chunk_lies_in_one_document_in_the_order_of_a_scan(
    lengths: list[int], size: int
) -> None:
    chunks, borders = cut(lengths, size), Borders(tuple(lengths))
    counts = [-(-lengths[document] // size) for document in chunks.order]
    assert sorted(chunks.order) == list(range(len(lengths)))
    assert [lengths[document] for document in chunks.order] == sorted(lengths, reverse=True)
    assert list(chunks.running) == [sum(c > step for c in counts) for step in range(counts[0])]
    assert chunks.num_chunks == sum(counts)

    places = to_chunks(torch.arange(sum(lengths))[:, None, None], chunks)[:, 0, :, 0].tolist()
    number = 0
    for step, count in enumerate(chunks.running):
        for document in chunks.order[:count]:
            first = borders.starts[document] + step * size
            last = borders.starts[document] + lengths[document] - 1
            assert places[number] == [min(first + place, last) for place in range(size)]
            number += 1
    assert number == len(places)


@given(lengths=lengths_, size=sizes, clear=st.booleans())
def test_joining_undoes_cutting(lengths: list[int], size: int, clear: bool) -> None:
    chunks = cut(lengths, size)
    x_NHW = torch.randn(sum(lengths), 2, 3)
    cut_MHCW = to_chunks(x_NHW, chunks, clear=clear)

    assert cut_MHCW.shape == (chunks.num_chunks, 2, size, 3)
    assert from_chunks(cut_MHCW, chunks).equal(x_NHW)
    pads = cut_MHCW.numel() // 6 - sum(lengths)
    assert (0 if chunks.pads is None else len(chunks.pads)) == pads
    if clear and pads:
        assert cut_MHCW.transpose(1, 2).flatten(0, 1)[chunks.pads].eq(0.0).all()


@settings(max_examples=30)
@given(lengths=lengths_, size=sizes, clear=st.booleans())
def test_gradients_take_the_same_way_back_and_none_comes_from_a_pad(
    lengths: list[int], size: int, clear: bool
) -> None:
    chunks = cut(lengths, size)
    x_NHW = torch.randn(sum(lengths), 2, 3, requires_grad=True)
    grad_MHCW = torch.randn(chunks.num_chunks, 2, size, 3)
    to_chunks(x_NHW, chunks, clear=clear).backward(grad_MHCW)
    assert x_NHW.grad is not None
    assert x_NHW.grad.equal(from_chunks(grad_MHCW, chunks))

    x_MHCW = torch.randn(chunks.num_chunks, 2, size, 3, requires_grad=True)
    grad_NHW = torch.randn(sum(lengths), 2, 3)
    from_chunks(x_MHCW, chunks).backward(grad_NHW)
    assert x_MHCW.grad is not None
    assert x_MHCW.grad.equal(to_chunks(grad_NHW, chunks, clear=True))


def test_chunks_are_remembered_by_size() -> None:
    borders = Borders((5, 9))

    assert borders.chunks(4, CPU) is borders.chunks(4, CPU)
    assert borders.chunks(8, CPU).size == 8
