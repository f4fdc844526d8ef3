"""Which tests may notice a change of a line."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from regreen.grading.suite import Coverage
from regreen.tasks.prove.reach import Reach

COVERAGE = Coverage(
    lines={
        "lib.py": {"": (1, 2, 9), "a": (3, 4), "b": (4,), "@db|": (6,), "gone": (3, 7)},
        "other.py": {"": (1,), "gone": (2,)},
    },
    fixtures={"c": ("@db|",), "gone": ("@db|",), "a": ("@unused|",)},
    forked=frozenset({"f", "gone"}),
)
REACH = Reach(COVERAGE, dict.fromkeys("abcdf", 0.1))


def reached(*lines: int, path: str = "lib.py", import_time: bool = False) -> set[str]:
    return REACH.tests(path, lines, import_time=import_time)


def test_a_line_is_reached_by_the_tests_that_run_it_and_by_opaque_ones():
    assert reached(3) == {"a", "f"}
    assert reached(3, 4) == {"a", "b", "f"}


def test_what_a_wide_fixture_runs_its_users_reach():
    assert reached(6) == {"c", "f"}


def test_lines_run_at_import_are_reached_by_all_tests_of_the_file():
    assert reached(4, 9) == {"a", "b", "c", "f"}
    assert reached(3, import_time=True) == {"a", "b", "c", "f"}


def test_without_a_test_seen_there_opaque_tests_are_no_evidence():
    assert reached(9) == set()
    assert reached(9, import_time=True) == set()
    assert reached(5) == set()
    assert reached(1, path="unknown.py") == set()


def test_tests_that_may_not_be_used_are_left_out():
    assert reached(7) == set()
    assert REACH.files == ("lib.py",)
    assert REACH.opaque == {"f"}
    assert REACH.of_file("lib.py") == {"a", "b", "c"}
    assert REACH.of_file("other.py") == set()


contexts = st.dictionaries(
    st.sampled_from(["", "a", "b", "c", "d", "@x|", "@y|"]),
    st.lists(st.integers(1, 12), max_size=6).map(tuple),
)
coverages = st.builds(
    Coverage,
    lines=st.dictionaries(st.sampled_from(["p.py", "q.py"]), contexts),
    fixtures=st.dictionaries(
        st.sampled_from("abcd"), st.lists(st.sampled_from(["@x|", "@y|"]), max_size=2).map(tuple)
    ),
    forked=st.frozensets(st.sampled_from("abcd"), max_size=2),
)


@given(coverages, st.sets(st.sampled_from("abcd")), st.lists(st.integers(1, 12), max_size=4))
def test_reach_grows_with_the_lines_and_stays_among_usable_tests(coverage, usable, lines):
    reach = Reach(coverage, dict.fromkeys(sorted(usable), 0.1))
    for path in ("p.py", "q.py"):
        whole = reach.tests(path, lines, import_time=False)
        assert whole <= usable
        assert whole <= reach.of_file(path) | reach.opaque
        for line in lines:
            assert reach.tests(path, [line], import_time=False) <= whole
        assert whole <= reach.tests(path, lines, import_time=True)
        for line in lines:
            for test in usable & coverage.lines.get(path, {}).keys():
                if line in coverage.lines[path][test]:
                    assert test in whole
