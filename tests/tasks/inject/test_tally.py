"""Counts of candidates as a funnel."""

from __future__ import annotations

from typing import get_args

from handmade import candidate, site
from hypothesis import given
from hypothesis import strategies as st

from regreen.tasks.inject.candidate import Finding, Status
from regreen.tasks.inject.tally import Tally

STATUSES = st.sampled_from(get_args(Status))


def counted(*rows: tuple[str, str]) -> Tally:
    tally = Tally()
    for operator, status in rows:
        tally.add(candidate(site(0, operator)), Finding(status=status, cpu=0.5))
    return tally


def test_a_funnel_by_step_reason_and_class():
    tally = counted(("a", "verified"), ("a", "survived"), ("b", "too_broad"), ("b", "verified"))
    pair = candidate(site(0, "a"), site(1, "b"))
    tally.add(pair, Finding(status="verified", cpu=2.0))
    funnel = tally.funnel("lib", tasks=2, cpu=10.0)
    assert dict(funnel.steps) == {"candidates": 5, "screened": 4, "verified": 3, "tasks": 2}
    assert funnel.rejected == {"survived": 1, "too_broad": 1, "over_limit": 1}
    assert [row.operator for row in funnel.by_operator] == ["(combined)", "a", "b"]
    assert [row.seconds for row in funnel.by_operator] == [2.0, 1.0, 1.0]
    assert funnel.cpu_seconds_per_candidate == 2.0


def test_nothing_counted_is_no_division():
    funnel = Tally().funnel("lib", tasks=0, cpu=1.0)
    assert dict(funnel.steps)["candidates"] == 0
    assert funnel.cpu_seconds_per_candidate == 0.0


@given(st.lists(st.tuples(st.sampled_from("abc"), STATUSES), max_size=40), st.integers(0, 40))
def test_reasons_add_up_to_what_was_lost(rows, limit):
    tally = counted(*rows)
    tasks = min(tally.verified, limit)
    funnel = tally.funnel("lib", tasks=tasks, cpu=0.0)
    steps = [count for _, count in funnel.steps]
    assert steps == sorted(steps, reverse=True)
    assert sum(funnel.rejected.values()) == steps[0] - steps[-1]
    assert sum(row.candidates for row in funnel.by_operator) == steps[0]
    assert sum(row.verified for row in funnel.by_operator) == tally.verified
