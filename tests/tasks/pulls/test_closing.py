from __future__ import annotations

import pytest

from regreen.tasks.pulls.closing import closed_issues

REPO = "acme/parser"


def numbers(text: str) -> list[int]:
    found = closed_issues([text], repo=REPO)
    assert all(one.repo == REPO for one in found)
    return [one.number for one in found]


@pytest.mark.parametrize(
    "word",
    ["close", "closes", "closed", "fix", "fixes", "fixed", "resolve", "resolves", "resolved"],
)
@pytest.mark.parametrize("shape", ["{} #12", "{}: #12", "{}:#12", "{}  GH-12", "a, {} #12."])
def test_every_documented_keyword_closes(word: str, shape: str) -> None:
    assert numbers(shape.format(word)) == [12]
    assert numbers(shape.format(word.upper())) == [12]


@pytest.mark.parametrize(
    "text",
    [
        "see #12",
        "fixing #12",
        "prefix #12",
        "hot-fix #12",
        "fixes issue #12",
        "fixes\n#12",
        "fixes #12abc",
        "fixes #0",
        "fixes https://github.com/acme/parser/pull/12",
        "fixes https://github.com/acme/parser/issues/12/events",
        "fixes https://tracker.example.org/acme/parser/issues/12",
        "> fixes #12",
        "`fixes #12`",
        "`` a ` fixes #12 ``",
        "```\nfixes #12\n```",
        "~~~ text\nfixes #12\n```\n~~~",
        "- ```\n  fixes #12\n  ```",
        "````\n```\nfixes #12\n````",
        "```\nfixes #12",
        "<!-- fixes #12 -->",
        "<!--\nfixes #12\n",
    ],
)
def test_what_github_does_not_take_for_a_keyword_closes_nothing(text: str) -> None:
    assert numbers(text) == []


def test_one_keyword_closes_one_issue() -> None:
    assert numbers("fixes #1, #2 and closes #3, resolves #1") == [1, 3]


def test_text_after_code_and_quotes_counts() -> None:
    text = "> fixes #1\n\nFixes #2\n```py\nfixes #3\n```\nCloses #4 `x` and fixes #5 <!-- a -->"

    assert numbers(text) == [2, 4, 5]


def test_issues_of_other_repositories_are_named_with_them() -> None:
    text = "Fixes octo-org/octo.repo#7, closes https://github.com/Acme/Parser/issues/8#issue-1"

    assert closed_issues([text], repo=REPO) == (("octo-org/octo.repo", 7), ("Acme/Parser", 8))


def test_addresses_of_an_enterprise_server_count_there() -> None:
    text = "fixes https://git.example.org/acme/parser/issues/9"

    assert closed_issues([text], repo=REPO, host="git.example.org") == ((REPO, 9),)


def test_an_issue_is_named_once_whatever_the_case() -> None:
    assert closed_issues(["fixes ACME/parser#3", "fixes #3"], repo=REPO) == (("ACME/parser", 3),)


@pytest.mark.parametrize("text", ["`" * 65_000, "` `` " * 13_000, "<!--" * 16_000, "fix " * 16_000])
def test_long_texts_cost_no_more_than_their_length(text: str) -> None:
    assert numbers(text + "\n") == []
