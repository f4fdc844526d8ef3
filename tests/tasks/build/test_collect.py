"""What a failed collection says about its cure."""

from __future__ import annotations

import pytest

from regreen.tasks.build.collect import Collection

PLACE = "_____ ERROR collecting tests/test_a.py _____\ntests/test_a.py:1: in <module>\n"
OWN = f"{PLACE}E   ModuleNotFoundError: No module named 'mine.part'\n"
OLDER = f"{PLACE}E   ImportError: No module named mine.part\n"
UNFIT = f"{PLACE}E   ImportError: cannot import name 'a' from 'mine' (/testbed/mine/__init__.py)\n"
GONE = f"{PLACE}E   ModuleNotFoundError: No module named 'gone'\n"
PART = f"{PLACE}E   ModuleNotFoundError: No module named 'packaging.metadata'\n"
OTHER = f"{PLACE}E   AttributeError: module 'collections' has no attribute 'Mapping'\n"
FOREIGN = f"{PLACE}E   ImportError: cannot import name 'a' from 'attr' (/opt/env/lib/attr.py)\n"
SILENT = f"{PLACE}Using pytest.skip outside of a test is not allowed.\n"
ENDED = f"{PLACE}E   SystemExit: 2\n"


def hopeless(text: str) -> bool:
    found = Collection(0, "collection fails", text)
    return found.blames_only(frozenset({"mine"}), frozenset({"gone", "packaging"}))


@pytest.mark.parametrize("text", [OWN, OLDER, UNFIT, GONE, OWN + UNFIT + GONE])
def test_what_is_not_there_is_all_that_is_blamed(text: str) -> None:
    assert hopeless(text)
    assert Collection(0, "collection fails", text).blames_only(None)


@pytest.mark.parametrize("text", [PLACE, OTHER, FOREIGN])
@pytest.mark.parametrize("more", ["", OWN])
def test_other_failures_may_have_a_cure(text: str, more: str) -> None:
    assert not hopeless(text + more)


def test_a_failure_that_says_nothing_blames_nothing() -> None:
    assert not hopeless("")


@pytest.mark.parametrize("text", [SILENT, ENDED, "INTERNALERROR> TypeError\n" + PLACE])
def test_a_failure_of_another_kind_is_seen_beside_it(text: str) -> None:
    assert not hopeless(OWN + text)


def test_a_part_of_a_package_may_come_with_another_version() -> None:
    assert not hopeless(PART)
    assert Collection(0, "collection fails", PART).blames_only(None)
    assert not Collection(3, "", OWN).blames_only(None)
