from datetime import date

import pytest

from ledger import LedgerError, Period, add_months
from ledger.periods import gaps, merge, recurring


def span(first: int, last: int) -> Period:
    """Days of March 2024, the last one not included."""
    return Period(date(2024, 3, first), date(2024, 3, last))


@pytest.mark.parametrize(
    ("day", "months", "expected"),
    [
        (date(2024, 1, 31), 1, date(2024, 2, 29)),
        (date(2023, 1, 31), 1, date(2023, 2, 28)),
        (date(2024, 11, 15), 2, date(2025, 1, 15)),
        (date(2024, 3, 31), -1, date(2024, 2, 29)),
        (date(2024, 1, 10), -1, date(2023, 12, 10)),
        (date(2024, 5, 5), 12, date(2025, 5, 5)),
        (date(2024, 11, 30), 1, date(2024, 12, 30)),
    ],
)
def test_adds_months(day: date, months: int, expected: date) -> None:
    assert add_months(day, months) == expected


@pytest.mark.parametrize(
    ("text", "start", "end"),
    [
        ("2024", date(2024, 1, 1), date(2025, 1, 1)),
        ("2024-Q1", date(2024, 1, 1), date(2024, 4, 1)),
        ("2024-Q4", date(2024, 10, 1), date(2025, 1, 1)),
        ("2024-02", date(2024, 2, 1), date(2024, 3, 1)),
        ("2024-12-31", date(2024, 12, 31), date(2025, 1, 1)),
    ],
)
def test_reads_periods(text: str, start: date, end: date) -> None:
    assert Period.parse(text) == Period(start, end)


@pytest.mark.parametrize(
    "text", ["", "24", "2024-Q5", "2024-3", "2024-03-5", "2024 ", "2024-Q1-01"]
)
def test_refuses_what_is_no_period(text: str) -> None:
    with pytest.raises(LedgerError, match="not a period"):
        Period.parse(text)


def test_makes_periods_of_whole_months() -> None:
    assert Period.months(2024) == Period(date(2024, 1, 1), date(2024, 2, 1))
    assert Period.months(2024, 11, 3) == Period(date(2024, 11, 1), date(2025, 2, 1))


def test_must_not_end_before_it_starts() -> None:
    with pytest.raises(LedgerError, match="2024-03-04 is before 2024-03-05"):
        span(5, 4)
    assert len(span(5, 5)) == 0


def test_counts_and_holds_its_days() -> None:
    period = span(5, 8)
    assert len(period) == 3
    assert list(period) == [date(2024, 3, 5), date(2024, 3, 6), date(2024, 3, 7)]
    assert date(2024, 3, 5) in period
    assert date(2024, 3, 8) not in period
    assert date(2024, 3, 4) not in period


def test_sorts_by_start_then_end() -> None:
    assert sorted([span(3, 9), span(2, 4), span(3, 5)]) == [span(2, 4), span(3, 5), span(3, 9)]


def test_intersects() -> None:
    assert span(1, 10) & span(5, 20) == span(5, 10)
    assert span(5, 20) & span(1, 10) == span(5, 10)
    assert span(1, 20) & span(3, 4) == span(3, 4)
    assert span(1, 5) & span(5, 9) is None
    assert span(1, 5) & span(6, 9) is None


def test_finds_workdays() -> None:
    # the 1st of March 2024 is a Friday
    assert span(1, 6).workdays() == [date(2024, 3, 1), date(2024, 3, 4), date(2024, 3, 5)]
    assert span(1, 6).workdays([date(2024, 3, 4)]) == [date(2024, 3, 1), date(2024, 3, 5)]


def test_splits_at_the_first_of_months() -> None:
    period = Period(date(2024, 1, 15), date(2024, 3, 10))
    assert period.split() == [
        Period(date(2024, 1, 15), date(2024, 2, 1)),
        Period(date(2024, 2, 1), date(2024, 3, 1)),
        Period(date(2024, 3, 1), date(2024, 3, 10)),
    ]
    assert Period.parse("2024").split(6) == [Period.months(2024, 1, 6), Period.months(2024, 7, 6)]
    assert Period.parse("2024-02").split() == [Period.months(2024, 2)]


def test_merges_what_touches() -> None:
    assert merge([span(8, 10), span(1, 3), span(3, 5)]) == [span(1, 5), span(8, 10)]
    assert merge([span(1, 9), span(2, 4), span(6, 12)]) == [span(1, 12)]
    assert merge([]) == []


def test_merges_over_small_gaps() -> None:
    periods = [span(1, 3), span(5, 6), span(9, 10)]
    assert merge(periods, gap=2) == [span(1, 6), span(9, 10)]
    assert merge(periods, gap=3) == [span(1, 10)]
    assert merge(periods) == periods


def test_finds_gaps() -> None:
    assert gaps([span(3, 5), span(8, 9)], span(1, 12)) == [span(1, 3), span(5, 8), span(9, 12)]
    assert gaps([span(1, 5), span(4, 12)], span(1, 12)) == []
    assert gaps([], span(2, 4)) == [span(2, 4)]
    assert gaps([span(1, 3), span(15, 20)], span(2, 10)) == [span(3, 10)]
    assert gaps([span(2, 9), span(3, 4)], span(1, 10)) == [span(1, 2), span(9, 10)]


@pytest.mark.parametrize(
    ("every", "expected"),
    [
        ("daily", [date(2024, 1, 31), date(2024, 2, 1), date(2024, 2, 2)]),
        ("weekly", [date(2024, 1, 31), date(2024, 2, 7), date(2024, 2, 14)]),
        ("fortnightly", [date(2024, 1, 31), date(2024, 2, 14), date(2024, 2, 28)]),
        ("monthly", [date(2024, 1, 31), date(2024, 2, 29), date(2024, 3, 31)]),
        ("quarterly", [date(2024, 1, 31), date(2024, 4, 30), date(2024, 7, 31)]),
        ("yearly", [date(2024, 1, 31), date(2025, 1, 31), date(2026, 1, 31)]),
    ],
)
def test_repeats_in_every_rhythm(every: str, expected: list[date]) -> None:
    dates = recurring(date(2024, 1, 31), every, date(2030, 1, 1))
    assert [next(dates) for _ in range(3)] == expected


def test_stops_before_the_end() -> None:
    first = date(2024, 3, 1)
    assert list(recurring(first, "weekly", date(2024, 3, 15))) == [first, date(2024, 3, 8)]
    assert list(recurring(first, "monthly", date(2024, 6, 1), skip=1)) == [
        date(2024, 4, 1),
        date(2024, 5, 1),
    ]
    assert list(recurring(first, "daily", first)) == []


def test_refuses_an_unknown_rhythm() -> None:
    with pytest.raises(LedgerError, match="unknown rhythm: 'hourly'"):
        next(recurring(date(2024, 1, 1), "hourly", date(2024, 2, 1)))
