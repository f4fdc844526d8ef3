"""Half-open spans of days, and the arithmetic of calendars."""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import count

from ledger.errors import LedgerError

_MONTHS = {"monthly": 1, "quarterly": 3, "yearly": 12}
_DAYS = {"daily": 1, "weekly": 7, "fortnightly": 14}


def add_months(day: date, months: int) -> date:
    """The same day some months later, or the last of that month when it is shorter."""
    years, index = divmod(day.month - 1 + months, 12)
    year, month = day.year + years, index + 1
    return date(year, month, min(day.day, monthrange(year, month)[1]))


@dataclass(frozen=True, slots=True, order=True)
class Period:
    """Days from ``start`` up to, not including, ``end``."""

    start: date
    end: date

    def __post_init__(self) -> None:
        if self.end < self.start:
            raise LedgerError(f"{self.end} is before {self.start}")

    @classmethod
    def months(cls, year: int, month: int = 1, length: int = 1) -> Period:
        """Whole months from the first of one."""
        first = date(year, month, 1)
        return cls(first, add_months(first, length))

    @classmethod
    def parse(cls, text: str) -> Period:
        """Read ``2024``, ``2024-Q2``, ``2024-03`` or ``2024-03-05``.

        Raises:
            LedgerError: the text is none of them.
        """
        found = re.fullmatch(r"(\d{4})(?:-Q([1-4])|-(\d\d)(?:-(\d\d))?)?", text)
        if found is None:
            raise LedgerError(f"not a period: {text!r}")
        year, quarter, month, day = (int(part) if part else 0 for part in found.groups())
        if day:
            first = date(year, month, day)
            return cls(first, first + timedelta(days=1))
        if month:
            return cls.months(year, month)
        if quarter:
            return cls.months(year, 3 * quarter - 2, 3)
        return cls.months(year, length=12)

    def __len__(self) -> int:
        return (self.end - self.start).days

    def __contains__(self, day: date) -> bool:
        return self.start <= day < self.end

    def __iter__(self) -> Iterator[date]:
        return (self.start + timedelta(days=offset) for offset in range(len(self)))

    def __and__(self, other: Period) -> Period | None:
        """The days both have, None when there are none."""
        start, end = max(self.start, other.start), min(self.end, other.end)
        return Period(start, end) if start < end else None

    def workdays(self, holidays: Iterable[date] = ()) -> list[date]:
        """Days from Monday to Friday that are no holiday."""
        closed = set(holidays)
        return [day for day in self if day.weekday() < 5 and day not in closed]

    def split(self, months: int = 1) -> list[Period]:
        """Cut at the first of every month, or of every few months from the first on."""
        cuts = [self.start]
        for step in count(months, months):
            cut = add_months(self.start.replace(day=1), step)
            if cut >= self.end:
                break
            cuts.append(cut)
        return [Period(*pair) for pair in zip(cuts, [*cuts[1:], self.end], strict=True)]


def merge(periods: Iterable[Period], gap: int = 0) -> list[Period]:
    """Sorted periods with those joined that overlap, or lie at most ``gap`` days apart."""
    merged: list[Period] = []
    for period in sorted(periods):
        if merged and (period.start - merged[-1].end).days <= gap:
            last = merged.pop()
            merged.append(Period(last.start, max(last.end, period.end)))
        else:
            merged.append(period)
    return merged


def gaps(periods: Iterable[Period], within: Period) -> list[Period]:
    """The parts of a period that none of the others covers."""
    covered = [part for period in periods if (part := period & within)]
    found = []
    start = within.start
    for period in merge(covered):
        if start < period.start:
            found.append(Period(start, period.start))
        start = period.end
    if start < within.end:
        found.append(Period(start, within.end))
    return found


def recurring(first: date, every: str, until: date, skip: int = 0) -> Iterator[date]:
    """Dates from ``first`` up to, not including, ``until``.

    Args:
        first: the first date; a month too short for its day takes its last one.
        every: ``daily``, ``weekly``, ``fortnightly``, ``monthly``, ``quarterly`` or ``yearly``.
        until: where to stop.
        skip: leading dates left out.

    Raises:
        LedgerError: there is no such rhythm.
    """
    if every not in _MONTHS and every not in _DAYS:
        raise LedgerError(f"unknown rhythm: {every!r}")
    for step in count(skip):
        if every in _MONTHS:
            day = add_months(first, step * _MONTHS[every])
        else:
            day = first + timedelta(days=step * _DAYS[every])
        if day >= until:
            return
        yield day
