"""The order in which sites are tried."""

from __future__ import annotations

import random
from collections import Counter

from handmade import site
from hypothesis import given, settings
from hypothesis import strategies as st

from regreen.tasks.inject.operators import Site
from regreen.tasks.inject.schedule import Schedule

CLASSES = ("a", "b", "c", "d", "e", "f", "g", "h")


def pool(per_class: int, classes=CLASSES, **changes) -> list[Site]:
    return [
        site(number, operator, **changes)
        for number, operator in enumerate(c for c in classes for _ in range(per_class))
    ]


def accepted(schedule: Schedule, wanted: int, verdict=lambda _: True) -> list[Site]:
    """Work a schedule off as an injection does."""
    kept: list[Site] = []
    while len(kept) < wanted:
        batch = schedule.next(min(16, wanted - len(kept)), wanted=wanted)
        if not batch:
            break
        for one in batch:
            good = verdict(one)
            schedule.record(one, noticed=good, accepted=good)
            kept += [one] if good else []
    return kept


@given(st.integers(0, 50), st.integers(10, 60), st.sampled_from([0.15, 0.25, 0.5]))
@settings(max_examples=30, deadline=None)
def test_no_class_has_more_than_its_share(seed, wanted, share):
    kept = accepted(Schedule(pool(12), seed=seed, max_share=share), wanted)
    most = max(Counter(one.operator for one in kept).values())
    assert most <= max(1, share * wanted)


@given(st.randoms(), st.integers(0, 5))
@settings(max_examples=30, deadline=None)
def test_the_order_of_the_pool_does_not_matter(shuffler, seed):
    sites = pool(4)
    shuffled = list(sites)
    shuffler.shuffle(shuffled)

    def verdict(one: Site) -> bool:
        return one.start % 3 > 0

    assert accepted(Schedule(sites, seed=seed), 12, verdict) == accepted(
        Schedule(shuffled, seed=seed), 12, verdict
    )


def test_the_seed_decides_between_equals():
    first = [accepted(Schedule(pool(6), seed=seed), 10) for seed in (1, 1, 2)]
    assert first[0] == first[1] != first[2]


@given(st.integers(1, 20), st.integers(1, 40))
@settings(max_examples=30, deadline=None)
def test_no_site_is_handed_out_twice_and_no_round_is_too_long(count, wanted):
    schedule = Schedule(pool(5), max_share=1.0)
    seen: list[Site] = []
    while batch := schedule.next(count, wanted=wanted):
        assert len(batch) <= count
        seen += batch
    assert len(seen) == len(set(seen))


def test_a_class_that_tests_do_not_watch_moves_down():
    schedule = Schedule(pool(20, classes=("blind", "seen")), max_share=1.0)
    for number in range(6):
        schedule.record(site(1000 + number, "blind"), noticed=False, accepted=False)
        schedule.record(site(2000 + number, "seen"), noticed=True, accepted=True)
    assert {one.operator for one in schedule.next(10, wanted=100)} == {"seen"}


def test_a_function_that_tests_do_not_watch_moves_down():
    sites = [site(n, function="watched") for n in range(2)]
    sites += [site(n, function="blind") for n in range(2, 4)]
    schedule = Schedule(sites, max_share=1.0)
    schedule.record(site(9, function="blind"), noticed=False, accepted=False)
    schedule.record(site(8, function="watched"), noticed=True, accepted=True)
    assert {one.function for one in schedule.next(2, wanted=100)} == {"watched"}


def test_a_round_takes_at_most_two_sites_of_a_function():
    schedule = Schedule([site(n, function="f") for n in range(9)], max_share=1.0)
    assert len(schedule.next(9, wanted=9)) == 2


def test_likely_sites_come_first_and_hopeless_ones_never():
    sites = [site(n, weight=n / 10) for n in range(10)]
    schedule = Schedule(sites, max_share=1.0)
    assert [one.weight for one in schedule.next(3, wanted=9)] == [0.9, 0.8, 0.7]
    rest = schedule.next(9, wanted=9)
    assert min(one.weight for one in rest) >= 0.2


def test_a_mix_bounds_the_classes_it_names():
    schedule = Schedule(pool(30, classes=("a", "b")), max_share=0.9, mix={"a": 0.2})
    kept = Counter(one.operator for one in accepted(schedule, 20))
    assert kept["a"] <= 4
    assert kept["b"] > 4


def test_an_empty_pool_has_no_round():
    assert Schedule([]).next(5, wanted=5) == []


def test_rejected_candidates_leave_room_for_their_class():
    shuffler = random.Random(3)
    schedule = Schedule(pool(10, classes=("a", "b")), max_share=0.5)
    kept = accepted(schedule, 8, lambda _: shuffler.random() < 0.7)
    assert len(kept) == 8
    assert max(Counter(one.operator for one in kept).values()) <= 4
