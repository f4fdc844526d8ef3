import math

import numpy as np
import pytest

from regreen.packing import plan, statistics


def test_every_number_of_a_plan_with_heads() -> None:
    counted = statistics(plan([5, 3, 8, 25, 1], 10, heads=[1, 1, 1, 3, 1]))
    # Document 3: 10, then 7 and 7, then 1 beside a head of 3 each time.
    assert (counted.documents, counted.pieces, counted.tokens, counted.trained) == (5, 8, 42, 42)
    assert (counted.repeated, counted.headless, counted.discarded) == (9, 0, 0)
    assert (counted.documents_long, counted.documents_cut, counted.documents_cut_that_fit) == (
        1,
        1,
        0,
    )
    assert counted.rows * 10 - counted.padding == 51
    assert counted.fragmentation == 0.2
    assert counted.repeated_share == 9 / 42
    assert counted.fill_share == pytest.approx(1.0 - counted.padding_share)


def test_split_loses_the_heads_of_continuations() -> None:
    counted = statistics(plan([25, 10], 10, "best-fit-split"))
    assert counted.headless == 15
    assert counted.headless_share == 15 / 35
    assert counted.repeated == 0


def test_slide_repeats_what_makes_its_last_piece_full() -> None:
    counted = statistics(plan([25], 10, "best-fit-slide"))
    assert (counted.repeated, counted.headless, counted.trained) == (5, 15, 25)
    assert counted.padding == 0


def test_drop_discards_long_documents() -> None:
    counted = statistics(plan([25, 10, 5], 10, "best-fit-drop"))
    assert (counted.documents_discarded, counted.discarded, counted.trained) == (1, 25, 15)
    assert counted.discarded_share == 25 / 40
    assert counted.documents_cut == 0


def test_concat_cuts_what_would_fit() -> None:
    counted = statistics(plan([6, 6, 8], 10, "concat"))
    assert (counted.documents_cut, counted.documents_cut_that_fit) == (1, 1)
    assert counted.headless == 2
    assert counted.fragmentation_that_fit == 1 / 3


def test_restart_counts_the_first_copy_as_repeated() -> None:
    counted = statistics(plan([6, 6, 8], 10, "restart-last"))
    assert (counted.repeated, counted.trained, counted.headless) == (8, 20, 0)
    assert counted.documents_cut == 2
    assert counted.padding == 2


def test_histograms_count_every_row_and_document() -> None:
    lengths = np.random.default_rng(1).integers(1, 500, 1000)
    counted = statistics(plan(lengths, 499))
    assert sum(counted.fill.counts) == counted.rows
    assert sum(counted.lengths.counts) == counted.documents == 1000
    assert counted.fill.edges[0] == 0.0
    assert counted.fill.edges[-1] == 1.0
    assert len(counted.lengths.edges) == len(counted.lengths.counts) + 1
    assert counted.lengths.edges[-1] > 499


@pytest.mark.parametrize("length", [1, 2, 3, 1024, 200_000])
def test_equal_lengths_stand_in_one_bin(length: int) -> None:
    counted = statistics(plan([length] * 3, length))
    assert counted.lengths.counts == (3,)
    assert math.log2(counted.lengths.edges[1] / counted.lengths.edges[0]) == pytest.approx(0.5)
    assert counted.fill.counts[-1] == 3
