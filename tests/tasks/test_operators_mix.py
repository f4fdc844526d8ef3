"""Choosing and joining sites: shares, order, and which faults may stand together."""

import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regreen.core.errors import UsageError
from regreen.tasks.operators import OPERATORS, Site, balanced, combine, overlaps

NAMES = list(OPERATORS)


def site(operator: str, path: str, function: int, line: int, weight: float = 0.8) -> Site:
    return Site(
        path=path,
        operator=operator,
        function=f"f{function}",
        line=line,
        end_line=line,
        reach=(line,),
        import_time=False,
        start=line * 10,
        end=line * 10 + 3,
        replacement="x",
        note="",
        weight=weight,
    )


pools = st.lists(
    st.builds(
        site,
        st.sampled_from(NAMES[:12]),
        st.sampled_from(["a/b.py", "a/c.py", "d.py", "a/b/c/d.py", "a/b/e/f.py"]),
        st.integers(0, 4),
        st.integers(1, 60),
        st.sampled_from([0.2, 0.5, 0.8]),
    ),
    max_size=60,
    unique=True,
)


@settings(max_examples=80, deadline=None)
@given(pools, st.integers(1, 40), st.sampled_from([0.1, 0.15, 0.34, 1.0]), st.integers(0, 9))
def test_balanced_never_exceeds_the_share(sites, limit, share, seed):
    chosen = balanced(sites, limit=limit, max_share=share, seed=seed)
    assert len(chosen) <= limit
    assert len(set(chosen)) == len(chosen)
    assert set(chosen) <= set(sites)
    counts = Counter(s.operator for s in chosen)
    most = max(1, share * len(chosen) + 1e-9)
    assert all(number <= most for number in counts.values())
    shuffled = random.Random(seed).sample(sites, len(sites))
    assert balanced(shuffled, limit=limit, max_share=share, seed=seed) == chosen


def test_balanced_fills_up_when_the_pool_allows():
    sites = [site(name, "a.py", i, i + 1) for name in NAMES[:10] for i in range(10)]
    assert len(balanced(sites, limit=50)) == 50
    assert len({s.function for s in balanced(sites, limit=10)}) == 10


def test_balanced_takes_one_of_each_class_for_a_small_set():
    sites = [site(name, "a.py", i, i + 1) for name in NAMES[:4] for i in range(10)]
    assert len({s.operator for s in balanced(sites, limit=3)}) == 3


def test_balanced_prefers_what_tests_will_notice():
    sites = [site(NAMES[0], "a.py", i, i + 1, 0.2 + 0.6 * (i % 2)) for i in range(20)]
    assert {s.weight for s in balanced(sites, limit=8, max_share=1.0)} == {0.8}


def test_balanced_follows_a_mix():
    sites = [site(name, "a.py", i, i + 1) for name in NAMES[:3] for i in range(40)]
    mix = {NAMES[0]: 3.0, NAMES[1]: 1.0, NAMES[2]: 0.0}
    counts = Counter(s.operator for s in balanced(sites, limit=40, max_share=1.0, mix=mix))
    assert counts == {NAMES[0]: 30, NAMES[1]: 10}


def test_balanced_refuses_nonsense():
    with pytest.raises(UsageError, match="no fault class"):
        balanced([], limit=1, mix={"nonsense": 1.0})
    with pytest.raises(UsageError, match="negative"):
        balanced([], limit=1, mix={NAMES[0]: -1.0})
    with pytest.raises(UsageError, match="not within"):
        balanced([], limit=1, max_share=0.0)


@settings(max_examples=80, deadline=None)
@given(pools, st.sampled_from(["function", "file", "module"]), st.integers(2, 4), st.integers(0, 9))
def test_combinations_can_be_applied_together(sites, level, size, seed):
    found = combine({"lib": sites}, level=level, size=size, seed=seed)
    used = [s for members in found for s in members]
    assert len(set(used)) == len(used)
    for members in found:
        assert len(members) == size
        places = {(s.path, s.function) for s in members}
        paths = {s.path for s in members}
        if level == "function":
            assert len(places) == 1
        elif level == "file":
            assert len(paths) == 1
            assert len(places) == size
        else:
            assert len(paths) == size
            assert len({tuple(p.split("/")[:-1][:2]) for p in paths}) == 1
        assert not any(overlaps(a, b) for a in members for b in members if a is not b)
    shuffled = random.Random(seed).sample(sites, len(sites))
    assert combine({"lib": shuffled}, level=level, size=size, seed=seed) == found
    assert combine({"lib": sites}, level=level, size=size, seed=seed, limit=1) == found[:1]


def test_a_combination_of_one_is_refused():
    with pytest.raises(UsageError, match="is none"):
        combine({}, level="file", size=1)
