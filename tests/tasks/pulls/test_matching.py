from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from regreen.core.errors import UsageError
from regreen.tasks.history.change import Change
from regreen.tasks.pulls.matching import match
from regreen.tasks.pulls.request import PullRequest

REPO = "acme/parser"
NOW = datetime(2024, 3, 1, 12, tzinfo=UTC)


def sha(text: str) -> str:
    return text.encode().hex().ljust(40, "0")


def change(name: str, **more: Any) -> Change:
    fields: dict[str, Any] = {
        "commit": sha(name),
        "base": sha("base"),
        "kind": "commit",
        "number": None,
        "subject": name,
        "body": "",
        "messages": (),
        "date": NOW,
        "files": (),
    }
    return Change(**fields | more)


def pull(number: int, **more: Any) -> PullRequest:
    fields: dict[str, Any] = {
        "repo": REPO,
        "number": number,
        "title": f"Title {number}",
        "body": "",
        "merge_commit": "",
        "base": "",
        "head": "",
        "merged_at": NOW,
        "labels": (),
        "commits": (),
        "messages": (),
        "issues": (),
        "reviews": (),
        "hints": "",
    }
    return PullRequest(**fields | more)


def numbers(changes: list[Change], pulls: list[PullRequest], **more: Any) -> dict[str, int]:
    found = match(changes, pulls, **more)
    return {bytes.fromhex(name).decode().rstrip("\0"): one.number for name, one in found.items()}


def test_the_merge_commit_decides_over_the_number() -> None:
    changes = [change("merge", kind="merge", number=3), change("pick", kind="squash", number=3)]
    pulls = [pull(3, merge_commit=sha("pick")), pull(4, merge_commit=sha("merge"))]

    assert numbers(changes, pulls) == {"merge": 4, "pick": 3}


def test_a_number_counts_when_the_date_agrees() -> None:
    near, far = NOW + timedelta(days=2), NOW + timedelta(days=300)

    assert numbers([change("a", number=3, date=near)], [pull(3)]) == {"a": 3}
    assert numbers([change("a", number=3, date=far)], [pull(3)]) == {}


def test_a_number_counts_when_the_title_agrees() -> None:
    far = NOW + timedelta(days=300)
    cut = change("b", number=4, date=far, subject="A title that is much too long for one…")
    pulls = [pull(3), pull(4, title="A title that is much too long for one line of a message")]

    assert numbers([change("a", number=3, date=far, subject="title  3 (#3)")], pulls) == {"a": 3}
    assert numbers([cut], pulls) == {"b": 4}


def test_what_was_landed_by_hand_needs_the_title() -> None:
    closed = pull(3, merged_at=None)

    assert numbers([change("a", number=3, subject="Title 3")], [closed]) == {"a": 3}
    assert numbers([change("a", number=3, subject="Other")], [closed]) == {}


def test_of_two_changes_with_one_number_the_nearest_to_the_merge_counts() -> None:
    later = NOW + timedelta(days=5)
    changes = [change("revert", number=3, date=later), change("merge", kind="merge", number=3)]

    assert numbers(changes, [pull(3)]) == {"merge": 3}


def test_commits_that_were_moved_in_unchanged_are_known_by_their_ids() -> None:
    changes = [change("one"), change("two")]
    moved = pull(3, head=sha("two"), commits=(sha("one"), sha("two")), merge_commit=sha("two"))

    assert numbers(changes, [moved]) == {"one": 3, "two": 3}


def test_commits_of_a_release_to_another_branch_are_not_its_changes() -> None:
    release = pull(3, head=sha("two"), commits=(sha("one"), sha("two")), merge_commit=sha("far"))
    unmerged = pull(4, head=sha("two"), merged_at=None)

    assert numbers([change("one"), change("two")], [release, unmerged]) == {}


def test_a_rebase_is_known_by_its_messages() -> None:
    changes = [change("one", body="because"), change("two"), change("three")]
    rebased = pull(3, messages=("one\n\nbecause\n", "two"), merge_commit=sha("two"))

    assert numbers(changes, [rebased]) == {"one": 3, "two": 3}


@pytest.mark.parametrize("kind", ["merge", "squash"])
def test_the_messages_of_what_came_as_a_whole_name_no_other_change(kind: Any) -> None:
    changes = [change("all", kind=kind, number=3), change("Fix typo")]

    assert numbers(changes, [pull(3, messages=("Fix typo",))]) == {"all": 3}


def test_a_text_that_two_have_names_neither() -> None:
    pulls = [pull(3, title="Fix typo"), pull(4, title="Fix typo")]

    assert numbers([change("Fix typo")], pulls) == {}
    assert numbers([change("Fix typo"), change("Fix  TYPO")], pulls[:1]) == {}
    assert numbers([change("Fix typo")], pulls[:1]) == {"Fix typo": 3}


def test_a_title_counts_only_near_the_merge() -> None:
    assert numbers([change("Title 3", date=NOW - timedelta(days=40))], [pull(3)]) == {}


def test_a_message_that_names_another_number_is_not_matched_by_its_title() -> None:
    assert numbers([change("Title 3", number=99)], [pull(3)]) == {}


def test_numbers_of_another_repository_are_not_used() -> None:
    changes = [change("merge", number=3)]
    pulls = [pull(3, repo="zeta/parser"), pull(4, merge_commit=sha("x"))]

    assert numbers(changes, pulls, repo="Acme/Parser") == {}
    assert numbers(changes, pulls, repo="zeta/parser") == {"merge": 3}


def test_the_repository_is_the_one_whose_merges_are_here() -> None:
    changes = [change("one", number=3), change("two", number=4)]
    pulls = [pull(3, repo="zeta/parser"), pull(3), pull(4, merge_commit=sha("two"))]

    assert match(changes, pulls)[sha("one")].repo == REPO


def test_several_repositories_without_a_sign_are_refused() -> None:
    pulls = [pull(3), pull(3, repo="zeta/parser")]

    with pytest.raises(UsageError, match="several repositories") as caught:
        match([change("a", number=3)], pulls)

    assert len(caught.value.lines()) == 3


def test_pull_requests_of_none_but_another_repository_are_refused() -> None:
    with pytest.raises(UsageError, match="no pull request is of other/name"):
        match([change("a", number=3)], [pull(3)], repo="other/name")


def test_a_dump_that_names_no_repository_is_taken_to_be_of_it() -> None:
    assert numbers([change("a", number=3)], [pull(3, repo="")], repo=REPO) == {"a": 3}
    assert numbers([change("a", number=3)], []) == {}
