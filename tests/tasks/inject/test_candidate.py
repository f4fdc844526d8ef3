"""A candidate: broken files, the tests that reach them, and their neighbours."""

from __future__ import annotations

from pathlib import Path

import pytest
from handmade import site

from regreen.core.errors import UsageError
from regreen.grading.place import Place
from regreen.grading.suite import Coverage
from regreen.tasks.inject.candidate import prepare
from regreen.tasks.prove.baseline import Baseline
from regreen.tasks.prove.reach import Reach

TEXTS = {"lib.py": "0123456789" * 4, "sub.py": "abcdefghij"}
CPU = {
    "t.py::fast": 0.001,
    "t.py::slow": 0.5,
    "t.py::near": 0.002,
    "u.py::near": 0.001,
    "u.py::far": 0.003,
    "u.py::heavy": 0.4,
}


def baseline(lines) -> Baseline:
    place = Place(tree=(Path("/none"),), env=(Path("/none"),), tools=Path("/none"), paths=())
    return Baseline(
        place=place,
        reach=Reach(Coverage(lines=lines, fixtures={}, forked=frozenset()), CPU),
        seconds=CPU,
        stable=tuple(CPU),
        flaky={},
        failing={},
        cpu=0.0,
        warm=(),
        runs=(),
        uncollected={},
    )


LINES = {
    "lib.py": {
        "t.py::slow": (1,),
        "t.py::fast": (1,),
        "t.py::near": (2,),
        "u.py::near": (2,),
        "u.py::heavy": (2,),
    },
    "sub.py": {"u.py::far": (1,)},
}
MEASURED = baseline(LINES)


def test_the_broken_file_and_the_tests_that_reach_it_cheapest_first():
    made = prepare((site(0, start=2, end=5),), TEXTS, MEASURED)
    assert made.files == {"lib.py": (TEXTS["lib.py"], "01x56789" + "0123456789" * 3)}
    assert made.covering == ("t.py::fast", "t.py::slow")


def test_neighbours_are_of_imported_test_files_first_and_within_a_budget():
    made = prepare((site(0),), TEXTS, MEASURED)
    assert made.neighbours == ("t.py::near", "u.py::near")


def test_without_a_neighbour_of_the_file_cheap_stable_tests_are_taken():
    made = prepare((site(0, path="sub.py", start=0, end=2),), TEXTS, MEASURED)
    assert made.covering == ("u.py::far",)
    assert made.neighbours[0] == "t.py::fast"
    assert "u.py::far" not in made.neighbours
    assert sum(CPU[name] for name in made.neighbours) < 0.02


def test_a_lone_expensive_neighbour_is_better_than_none():
    costly = baseline({"lib.py": {"t.py::fast": (1,), "u.py::heavy": (2,)}})
    assert prepare((site(0),), TEXTS, costly).neighbours == ("u.py::heavy",)


def test_faults_of_several_files_are_one_candidate():
    pair = (site(0), site(0, "swap", path="sub.py", start=0, end=1))
    made = prepare(pair, TEXTS, MEASURED)
    assert sorted(made.files) == ["lib.py", "sub.py"]
    assert made.operators == ("off_by_one", "swap")
    assert set(made.covering) == {"t.py::fast", "t.py::slow", "u.py::far"}


def test_the_identity_is_that_of_the_change():
    first, again, other = (
        prepare((site(0, replacement=text),), TEXTS, MEASURED).identity for text in "xxy"
    )
    assert first == again != other


def test_faults_that_overlap_cannot_be_joined():
    with pytest.raises(UsageError, match="cannot be applied together"):
        prepare((site(0), site(0, "swap", start=3, end=8)), TEXTS, MEASURED)
