from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regreen.view.statistics import Share, pass_at_k, pass_hat_k, powers_of_two, share_of

attempts = st.dictionaries(
    st.text(max_size=3), st.lists(st.booleans(), min_size=1, max_size=6), min_size=1, max_size=6
)


@given(attempts, st.integers(1, 6))
def test_pass_at_k_is_what_drawing_k_attempts_gives(attempts, k):
    if any(len(results) < k for results in attempts.values()):
        assert pass_at_k(attempts, k) is None
        assert pass_hat_k(attempts, k) is None
        return

    def drawn(judge):
        shares = []
        for results in attempts.values():
            draws = list(combinations(results, k))
            shares.append(sum(judge(draw) for draw in draws) / len(draws))
        return sum(shares) / len(shares)

    assert pass_at_k(attempts, k) == pytest.approx(drawn(any))
    assert pass_hat_k(attempts, k) == pytest.approx(drawn(all))


@given(attempts)
def test_an_interval_holds_its_share(attempts):
    share = share_of(attempts)
    assert 0 <= share.low <= share.value + 1e-12
    assert share.value - 1e-12 <= share.high <= 1


@pytest.mark.parametrize(
    ("count", "total", "low", "high"),
    [(0, 10, 0.0, 0.2775), (10, 10, 0.7225, 1.0), (40, 100, 0.3094, 0.4980)],
)
def test_one_attempt_each_is_wilsons_interval(count, total, low, high):
    share = share_of({str(n): [n < count] for n in range(total)})
    assert (share.low, share.high) == (pytest.approx(low, abs=1e-4), pytest.approx(high, abs=1e-4))


def test_repeating_every_attempt_teaches_nothing():
    once = share_of({str(n): [n < 4] for n in range(10)})
    often = share_of({str(n): [n < 4] * 8 for n in range(10)})
    assert often.value == once.value
    assert often.high - often.low >= once.high - once.low - 0.02


def test_independent_attempts_narrow_the_interval():
    once = share_of({str(n): [n % 2 == 0] for n in range(10)})
    often = share_of({str(n): [True, False] * 4 for n in range(10)})
    assert often.high - often.low < once.high - once.low


def test_nothing_tried_is_no_share():
    assert share_of({}) == Share(0, 0, 0.0, 1.0)
    assert share_of({}).text() == "n/a"
    assert share_of({"a": [True], "b": [False]}).text() == "50.0 % (9.5 to 90.5)"
    assert pass_at_k({}, 1) is None


def test_powers_end_at_the_limit():
    assert [powers_of_two(n) for n in range(6)] == [
        [],
        [1],
        [1, 2],
        [1, 2, 3],
        [1, 2, 4],
        [1, 2, 4, 5],
    ]
