"""The convolution of a packed run against torch's own on each document alone."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from regreen.model.borders import Borders
from regreen.model.convolution import BorderRows, causal_convolution, step_convolution

lengths_ = st.lists(st.one_of(st.integers(1, 5), st.integers(1, 40)), min_size=1, max_size=8)
taps_ = st.integers(2, 5)
CHANNELS = 3


def plain(x_ND: Tensor, weight_DK: Tensor, lengths: list[int], before: Tensor | None) -> Tensor:
    """`functional.conv1d` document by document, behind zeros or what a cache holds."""
    outs = []
    for document, x_TD in enumerate(x_ND.split(lengths)):
        front = x_TD.new_zeros(weight_DK.shape[1] - 1, CHANNELS)
        if before is not None:
            front = before[document]
        wide_DL = torch.cat((front, x_TD)).t()
        out_DT = functional.conv1d(wide_DL[None], weight_DK[:, None], groups=CHANNELS)[0]
        outs.append(functional.silu(out_DT).t())
    return torch.cat(outs)


def inputs(lengths: list[int], taps: int) -> tuple[Tensor, Tensor, Borders]:
    torch.manual_seed(sum(lengths) + taps)
    x_ND = torch.randn(sum(lengths), CHANNELS, dtype=torch.float64, requires_grad=True)
    weight_DK = torch.randn(CHANNELS, taps, dtype=torch.float64, requires_grad=True)
    return x_ND, weight_DK, Borders(tuple(lengths))


@settings(max_examples=40)
@given(lengths=lengths_, taps=taps_)
def test_documents_are_convolved_alone_and_so_are_their_gradients(
    lengths: list[int], taps: int
) -> None:
    x_ND, weight_DK, borders = inputs(lengths, taps)
    found, wanted = (
        causal_convolution(x_ND, weight_DK, borders),
        plain(x_ND, weight_DK, lengths, None),
    )
    assert torch.allclose(found, wanted, rtol=0, atol=1e-12)
    back = torch.randn_like(found)
    pairs = zip(
        torch.autograd.grad(found, (x_ND, weight_DK), back),
        torch.autograd.grad(wanted, (x_ND, weight_DK), back),
        strict=True,
    )
    for ours, theirs in pairs:
        assert torch.allclose(ours, theirs, rtol=0, atol=1e-11)


@settings(max_examples=25)
@given(lengths=lengths_, taps=taps_)
def test_a_cache_stands_in_front_of_each_document(lengths: list[int], taps: int) -> None:
    x_ND, weight_DK, borders = inputs(lengths, taps)
    before = torch.randn(len(lengths), taps - 1, CHANNELS, dtype=torch.float64)
    with torch.no_grad():
        found = causal_convolution(x_ND, weight_DK, borders, before)
        wanted = plain(x_ND, weight_DK, lengths, before)

    assert torch.allclose(found, wanted, rtol=0, atol=1e-12)


@given(taps=taps_, rows=st.integers(1, 5))
def test_a_step_is_the_last_token_of_its_window(taps: int, rows: int) -> None:
    window_BKD = torch.randn(rows, taps, CHANNELS, dtype=torch.float64)
    weight_DK = torch.randn(CHANNELS, taps, dtype=torch.float64)
    whole = plain(window_BKD.flatten(0, 1), weight_DK, [taps] * rows, None)

    found = step_convolution(window_BKD, weight_DK)
    assert torch.allclose(found, whole.unflatten(0, (rows, taps))[:, -1], rtol=0, atol=1e-12)


def test_gradients_are_those_of_finite_differences() -> None:
    for lengths in ([1], [2, 1, 6], [4, 4]):
        x_ND, weight_DK, borders = inputs(lengths, 4)

        def convolve(x_ND: Tensor, weight_DK: Tensor, borders: Borders = borders) -> Tensor:
            return causal_convolution(x_ND, weight_DK, borders)

        assert torch.autograd.gradcheck(convolve, (x_ND, weight_DK))


def test_a_broken_neighbour_is_replaced_not_multiplied_by_zero() -> None:
    lengths = [3, 2, 1, 6]
    x_ND, weight_DK, borders = inputs(lengths, 4)
    clean = causal_convolution(x_ND, weight_DK, borders)
    for number, broken in enumerate(borders.starts):
        at = slice(broken, broken + lengths[number])
        spoilt = x_ND.detach().clone()
        spoilt[at] = float("nan")
        found = causal_convolution(spoilt, weight_DK, borders)
        assert found[at].isnan().all()
        assert found[: at.start].equal(clean[: at.start])
        assert found[at.stop :].equal(clean[at.stop :])


def test_rows_at_borders_are_found_once() -> None:
    borders = Borders((5, 1))
    rows = BorderRows.of(borders, 4, torch.device("cpu"))

    assert rows is BorderRows.of(borders, 4, torch.device("cpu"))
    assert rows.rows_F.tolist() == [0, 1, 2, 5]
    assert rows.sources_FK.tolist()[-1] == [-3, -2, -1, 5]
    assert sorted(rows.ends_F.tolist()) == [2, 3, 4, 5]
