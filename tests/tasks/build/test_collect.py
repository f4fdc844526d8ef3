"""What a failed collection says about its cure."""

from __future__ import annotations

import pytest

from regreen.tasks.build.collect import Collection

PLACE = "tests/test_a.py:1: in <module>\n    import something\n"
ABSENT = f"{PLACE}E   ModuleNotFoundError: No module named 'mine.part'\n"
OLDER = f"{PLACE}E   ImportError: No module named mine.part\n"
UNFIT = f"{PLACE}E   ImportError: cannot import name 'a' from 'mine' (/testbed/mine/__init__.py)\n"
OTHER = f"{PLACE}E   AttributeError: module 'collections' has no attribute 'Mapping'\n"
FOREIGN = f"{PLACE}E   ImportError: cannot import name 'a' from 'attr' (/opt/env/lib/attr.py)\n"


def failed(text: str) -> Collection:
    return Collection(0, "collection fails", text)


@pytest.mark.parametrize("text", [ABSENT, OLDER, UNFIT, ABSENT + UNFIT])
def test_what_is_not_there_is_all_that_is_blamed(text: str) -> None:
    assert failed(text).blames_only(frozenset({"mine"}))
    assert failed(text).blames_only(None)


@pytest.mark.parametrize("text", ["", PLACE, OTHER, FOREIGN, ABSENT + OTHER])
def test_other_failures_may_have_a_cure(text: str) -> None:
    assert not failed(text).blames_only(frozenset({"mine"}))
    assert not failed(text).blames_only(None)


def test_a_module_of_others_counts_only_where_any_does() -> None:
    assert not failed(ABSENT).blames_only(frozenset({"other"}))
    assert failed(ABSENT).blames_only(None)
    assert not Collection(3, "", ABSENT).blames_only(None)
