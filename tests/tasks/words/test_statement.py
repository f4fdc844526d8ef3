"""Statements come from the issue, the pull request, the commit or the symptom, in that order."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import pytest

from regreen.tasks.history.change import Change
from regreen.tasks.tell.specified import LEAD, specified, unspecified
from regreen.tasks.words.statement import Statement, statement

PATCH = """\
diff --git a/bag/core.py b/bag/core.py
--- a/bag/core.py
+++ b/bag/core.py
@@ -1,2 +1,2 @@
 def take(items):
-    return items.pop(1)
+    return list(items).pop(0)
"""
TEST_PATCH = """\
diff --git a/tests/test_bag.py b/tests/test_bag.py
--- a/tests/test_bag.py
+++ b/tests/test_bag.py
@@ -1,1 +1,4 @@
 from bag import take
+def test_take_from_tuple():
+    result = take((1, 2))
+    assert result == 1
"""
MESSAGE = """\
    def test_take_from_tuple():
        result = take((1, 2))
>       assert result == 1
E       assert 2 == 1

tests/test_bag.py:4: AssertionError"""
SOURCE = """\
from bag import take
def test_take_from_tuple():
    result = take((1, 2))
    assert result == 1
"""
LONG = (
    "Calling take with a tuple raises an attribute error although the manual promises that every "
    "ordered collection is accepted and its first element comes back."
)


@dataclass(frozen=True)
class Issue:
    title: str = "take() fails for tuples"
    body: str = LONG


@dataclass(frozen=True)
class Pull:
    title: str = "Accept tuples in take"
    body: str = f"{LONG}\n\nThis PR changes take to use a list. Fixes #3.\n\n- [x] Tests added"
    commits: tuple[str, ...] = ("abcdef0123" * 4,)
    messages: tuple[str, ...] = ()
    issues: tuple[Issue, ...] = ()
    hints: str = ""
    reviews: tuple[str, ...] = ()


def change(subject: str = "fix tests", body: str = "", *messages: str) -> Change:
    return Change(
        commit="12ab" * 10,
        base="34cd" * 10,
        kind="merge" if messages else "commit",
        number=12,
        subject=subject,
        body=body,
        messages=messages,
        date=datetime(2020, 1, 2, tzinfo=UTC),
        files=(),
    )


def told(
    one: Change,
    pull: Pull | None = None,
    *,
    messages: tuple[str, ...] = (),
    interface: str = "",
    source: str = SOURCE,
) -> Statement:
    return statement(
        one,
        pull,
        patch=PATCH,
        test_patch=TEST_PATCH,
        fail_to_pass=("tests/test_bag.py::test_take_from_tuple",),
        messages=messages,
        library="bag",
        interface=interface,
        sources={"tests/test_bag.py": source},
    )


def test_the_issue_comes_first_title_and_body() -> None:
    made = told(change(LONG), Pull(issues=(Issue(),)))
    assert made.text == f"take() fails for tuples\n\n{LONG}\n"
    assert (made.source, made.issues, made.supplemented) == ("issue", 1, False)


def test_two_issues_are_both_quoted() -> None:
    made = told(change(), Pull(issues=(Issue(), Issue("leave() too", "It loses the last one."))))
    assert made.text.endswith(f"{LONG}\n\nleave() too\n\nIt loses the last one.\n")
    assert made.issues == 2


def test_an_empty_issue_gives_way_to_the_pull_request_without_its_solution() -> None:
    made = told(change(), Pull(issues=(Issue("wip", ""),)))
    assert made.text == f"Accept tuples in take\n\n{LONG}\n"
    assert made.source == "pull"
    assert made.cuts() == {"checklist": 1, "fix sentence": 1, "reference": 1}


def test_an_empty_pull_request_gives_way_to_the_commit() -> None:
    made = told(change("Accept tuples", LONG), Pull(title="WIP", body=""))
    assert (made.text, made.source) == (f"Accept tuples\n\n{LONG}\n", "commit")


def test_a_merge_with_a_thin_title_tells_what_was_merged_but_for_chores() -> None:
    made = told(
        change(
            "Bag work",
            "",
            "Bag work\n\ntake accepts tuples",
            "add tests for take",
            "take gives the first item\n",
            "leave keeps the last item",
            "Merge branch 'main'",
            "oops",
        )
    )
    assert made.text == (
        "Bag work\n\n- take accepts tuples\n- take gives the first item\n"
        "- Leave keeps the last item\n"
    )


def test_a_commit_that_says_nothing_gives_way_to_the_symptom() -> None:
    made = told(change("fix tests"), messages=(MESSAGE,))
    assert made.source == "symptom"
    assert "take((1, 2))" in made.text
    assert "test_take_from_tuple" not in made.text


def test_a_thin_commit_is_followed_by_the_symptom() -> None:
    made = told(change("take accepts tuples"), messages=(MESSAGE,))
    assert made.text.startswith("take accepts tuples\n\nbag: ")
    assert "take((1, 2))" in made.text
    assert (made.source, made.supplemented) == ("commit", True)


@pytest.mark.parametrize("subject", ["", "12", "fix", "..."])
def test_nothing_at_all_still_gives_a_statement(subject: str) -> None:
    made = told(change(subject))
    assert made.source == "symptom"
    assert "no longer holds" in made.text


LOST = """\
ImportError while importing test module '/testbed/tests/test_bag.py'.
tests/test_bag.py:1: in <module>
    from bag import leave
E   ImportError: cannot import name 'leave' from 'bag' (/testbed/bag/__init__.py)"""


def test_what_cannot_be_imported_is_told_by_the_interface_not_by_an_empty_symptom() -> None:
    made = told(change("Added leave"), messages=(LOST,), interface="# bag\ndef leave(): ...")
    assert made.text.startswith(f"Added leave\n\n{LEAD}")
    assert (made.source, made.supplemented) == ("commit", False)


def test_hashes_of_the_change_go_wherever_they_stand() -> None:
    made = told(change(), Pull(issues=(Issue(body=f"{LONG}\n\n```\nat abcdef0123 now\n```"),)))
    assert "abcdef" not in made.text
    assert made.cuts() == {"hash": 1}


@pytest.mark.parametrize(
    "pointing",
    ["See {} for details.", "Please see also {} for more information.", "Refer to {}.", "See {}"],
)
def test_a_sentence_that_only_pointed_at_a_hash_goes_with_it(pointing: str) -> None:
    made = told(change(), Pull(issues=(Issue(body=f"{LONG} {pointing.format('9f8e7d6c5b')}"),)))
    assert made.text.endswith(f"{LONG}\n")


def test_hints_are_cut_by_the_same_rules() -> None:
    made = told(change(LONG), Pull(hints="Try `list(items).pop(0)`. It also fails for sets."))
    assert made.hints == "It also fails for sets."


def test_reviews_are_cut_and_never_told() -> None:
    asked = "An empty list must raise IndexError, not return None."
    made = told(
        change(LONG), Pull(reviews=("Write `list(items).pop(0)` here.", asked, "nit", asked))
    )
    assert made.reviews == asked
    assert "IndexError" not in made.text


def test_the_interface_stands_last_and_can_be_taken_off() -> None:
    made = told(change(LONG), interface="# bag\ndef leave(items): ...")
    assert made.text.endswith(f"{LEAD}\n\n```python\n# bag\ndef leave(items): ...\n```\n")
    assert unspecified(made.text) == told(change(LONG)).text
    assert specified(made.text, "") == told(change(LONG)).text


def test_the_same_input_gives_the_same_statement() -> None:
    assert told(change(), Pull()) == told(replace(change()), Pull())


UNKNOWN = """\
from tests import test_tenacity
from tests.helpers import filled
def test_take_from_tuple(r):
    result = filled(r)
    assert result == 1
"""
HELPED = """\
r = <test_tenacity.Range object at 0x7f00aa11bb22>

    def test_take_from_tuple(r):
        result = filled(r)
>       assert result == 1
E       AssertionError: assert 2 == 1
E        +  where 2 = filled(<test_bag.Range object at 0x7f00aa11bb22>)

tests/test_bag.py:5: AssertionError"""


def test_code_that_lacks_a_name_is_not_quoted_only_what_came_of_it() -> None:
    made = told(change("fix tests"), messages=(HELPED,), source=UNKNOWN)
    assert made.source == "symptom"
    assert "\n\n    2 == 1\n\n" in made.text
    assert not re.search(r"```|filled|test_|\br\b", made.text)


@pytest.mark.parametrize(
    "source",
    [
        "import test_tenacity\ndef test_take_from_tuple():\n"
        "    result = test_tenacity.take(1)\n    assert result == 1\n",
        "from tests import test_tenacity as helped\ndef test_take_from_tuple():\n"
        "    result = helped.take(1)\n    assert result == 1\n",
        "from . import test_tenacity\ndef test_take_from_tuple():\n"
        "    result = test_tenacity.take(1)\n    assert result == 1\n",
        "from test_tenacity import *\ndef test_take_from_tuple():\n"
        "    result = take_all(1)\n    assert result == 1\n",
    ],
)
def test_no_module_of_tests_is_named(source: str) -> None:
    message = MESSAGE.replace("take((1, 2))", source.partition("result = ")[2].partition("\n")[0])
    made = told(change("fix tests"), messages=(message,), source=source)
    assert "2 == 1" in made.text
    assert not re.search(r"```|tenacity|helped|take_all", made.text)


def test_a_helper_of_the_tests_is_named_only_where_it_is_defined() -> None:
    source = SOURCE.replace("take((1, 2))", "first_of((1, 2))")
    source = source.replace("import take\n", "import take\ndef first_of(x):\n    return take(x)\n")
    message = MESSAGE.replace("take((1, 2))", "first_of((1, 2))").replace(":4:", ":6:")
    made = told(change("fix tests"), messages=(message,), source=source)
    assert "def first_of(x):" in made.text
    lost = message.replace("E       assert 2 == 1", "E       TypeError: first_of() is odd")
    lost = lost.replace("first_of((1, 2))", "first_of(missing)")
    bare = source.replace("first_of((1, 2))", "first_of(missing)")
    assert "first_of" not in told(change("fix tests"), messages=(lost,), source=bare).text


ENDLESS = "time limit of one test"


def test_a_test_that_never_ended_is_told_with_its_code() -> None:
    made = told(change("take never ends for tuples"), messages=(ENDLESS,))
    assert made.supplemented
    assert (
        "```python\nfrom bag import take\nresult = take((1, 2))\nassert result == 1\n```"
        in made.text
    )
    assert "\n\n    this does not come back\n" in made.text


def test_a_test_that_never_ended_and_cannot_be_quoted_is_told_without_code() -> None:
    for source in ("", "def test_take_from_tuple(r):\n    assert r\n"):
        made = told(change("fix tests"), messages=(ENDLESS,), source=source)
        assert "does not come back" in made.text
        assert "```" not in made.text


def test_reports_that_may_belong_to_another_test_lend_an_endless_one_no_code() -> None:
    made = told(change("fix tests"), messages=(ENDLESS, ENDLESS))
    assert "a call does not come back" in made.text
    assert "```" not in made.text


@pytest.mark.parametrize(
    ("title", "shown"),
    [
        ("take accepts tuples of any length (#14)", "take accepts tuples of any length"),
        ("fix: take accepts tuples of any length", "take accepts tuples of any length"),
        ("items of any kind are accepted by it", "items of any kind are accepted by it"),
        ("first items are lost when tuples come", "First items are lost when tuples come"),
        ("import of tuples is broken for good", "Import of tuples is broken for good"),
        ("pop: second item of any tuple comes", "pop: second item of any tuple comes"),
        ("`leave` works with no tuples at all", "`leave` works with no tuples at all"),
    ],
)
def test_a_name_of_the_code_keeps_its_case_at_the_start_of_a_title(title: str, shown: str) -> None:
    assert told(change(title)).text == f"{shown}\n"
