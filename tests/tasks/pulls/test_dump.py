from __future__ import annotations

import json
import random
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from github_server import (
    rest_comment,
    rest_commit,
    rest_issue,
    rest_pull,
)

from regreen.core.errors import UsageError
from regreen.tasks.pulls.dump import Dump, read_dump
from regreen.tasks.pulls.records import TEXT_LIMIT
from regreen.tasks.pulls.request import Issue, PullRequest

REPO = "acme/parser"
BEFORE, AFTER = "2024-02-05T08:00:00Z", "2024-02-20T08:00:00Z"
HEAD, FIRST, BASE = "c" * 40, "d" * 40, "b" * 40


def review(number: int, text: str | None, *, identity: int, **more: Any) -> dict[str, Any]:
    return {
        "id": identity,
        "pull_request_url": f"https://api.github.com/repos/{REPO}/pulls/{number}",
        "body": text,
        "user": {"login": "rex", "type": "User"},
    } | more


def objects() -> list[dict[str, Any]]:
    """A pull request with all that can belong to it, and objects that belong to nothing."""
    parents = [{"sha": FIRST}]
    return [
        rest_pull(REPO, 9, body="Fixes #4\r\nand more", head={"sha": HEAD, "repo": None}),
        rest_issue(REPO, 4),
        rest_issue(REPO, 5, title="Second", body=None),
        rest_comment(REPO, 4, "It fails on Mondays.", BEFORE, identity=1),
        rest_comment(REPO, 4, "Fixed by the change.", AFTER, identity=2),
        rest_comment(REPO, 4, "Coverage is 80 %.", BEFORE, identity=3, user={"type": "Bot"}),
        rest_comment(REPO, 9, "Why so?", AFTER, identity=4, user=None),
        review(9, "Good.", identity=5, state="APPROVED", submitted_at="2024-02-22T08:00:00Z"),
        review(9, None, identity=6, state="COMMENTED", submitted_at=AFTER),
        review(9, "Off by one?", identity=5, path="a.py", created_at=AFTER, diff_hunk="@@"),
        rest_commit(REPO, HEAD, "Closes #5", parents=parents, at="2024-02-11T08:00:00Z"),
        rest_commit(REPO, FIRST, "Begin", parents=[{"sha": BASE}]),
        rest_commit(REPO, BASE, "Before: fixes #4", parents=[]),
    ]


EXPECTED = PullRequest(
    repo=REPO,
    number=9,
    title="Change number 9",
    body="Fixes #4\nand more",
    merge_commit=f"{9 + 0xA000:040x}",
    base=BASE,
    head=HEAD,
    merged_at=datetime(2024, 3, 1, 12, tzinfo=UTC),
    labels=("bug",),
    commits=(FIRST, HEAD),
    messages=("Begin", "Closes #5"),
    issues=(
        Issue(
            repo=REPO,
            number=4,
            title="Problem 4",
            body="It breaks in way 4.",
            comments=("It fails on Mondays.", "Fixed by the change."),
        ),
        Issue(repo=REPO, number=5, title="Second", body="", comments=()),
    ),
    reviews=("Off by one?", "Good."),
    hints="It fails on Mondays.",
)


def written(path: Path, data: str | bytes) -> Dump:
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return read_dump(path)


def arranged(kind: str, found: list[dict[str, Any]]) -> str:
    pages = [found[:5], found[5:]]
    return {
        "lines": "\n".join(map(json.dumps, found)),
        "list": json.dumps(found),
        "pretty list": json.dumps(found, indent=2),
        "lists in lines": "\n".join(map(json.dumps, pages)),
        "lists behind each other": "".join(map(json.dumps, pages)),
        "pretty objects": "\n".join(json.dumps(one, indent=1) for one in found),
        "wrapped": json.dumps({"total_count": 13, "items": found}),
        "byte order mark": "\ufeff" + json.dumps(found),
        "blank lines": "\n\n" + "\n\n".join(map(json.dumps, found)) + "\n\n",
    }[kind]


@pytest.mark.parametrize(
    "kind",
    [
        "lines",
        "list",
        "pretty list",
        "lists in lines",
        "lists behind each other",
        "pretty objects",
        "wrapped",
        "byte order mark",
        "blank lines",
    ],
)
def test_any_arrangement_reads_the_same(tmp_path: Path, kind: str) -> None:
    for seed in range(3):
        found = objects()
        random.Random(seed).shuffle(found)

        dump = written(tmp_path / "dump.json", arranged(kind, found))

        assert dump.pulls == (EXPECTED,)
        assert dump.skipped == ()


def test_sixteen_bits_to_a_character_are_read_too(tmp_path: Path) -> None:
    text = arranged("lines", objects())

    assert written(tmp_path / "dump.json", text.encode("utf-16")).pulls == (EXPECTED,)


@pytest.mark.parametrize("place", [0, 3])
@pytest.mark.parametrize(
    "broken", [b"\xff\xfe\xe9", b'\xff\xfe{"a": 1}', b"\xff\xfe\0\0", b"\0{\0"]
)
def test_a_line_that_begins_as_if_of_sixteen_bits_is_a_bad_line(
    tmp_path: Path, place: int, broken: bytes
) -> None:
    lines = [json.dumps(one).encode() for one in objects()]
    lines.insert(place, broken)

    dump = written(tmp_path / "dump.jsonl", b"\n".join(lines))

    assert dump.pulls == (EXPECTED,)
    assert "utf-16" not in str(dump.skipped)
    assert "utf-32" not in str(dump.skipped)
    assert f"{tmp_path / 'dump.jsonl'}:{place + 1}" in [one.first for one in dump.skipped]


def test_a_directory_is_one_dump_and_names_the_owner_of_commits(tmp_path: Path) -> None:
    commits = [rest_commit(REPO, "1" * 40, "One"), rest_commit(REPO, "2" * 40, "Two: fixes #4")]
    pages = {
        "pulls/page-1.json": [rest_pull(REPO, 9), rest_pull(REPO, 8)],
        "pulls/8/commits.json": commits,
        "issues.jsonl": rest_issue(REPO, 4),
    }
    for name, value in pages.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(value))
    (tmp_path / "notes.txt").write_text("not JSON")

    eight, nine = read_dump(tmp_path).pulls

    assert eight.messages == ("One", "Two: fixes #4")
    assert [issue.number for issue in eight.issues] == [4]
    assert nine.messages == ()


def graphql_pull(**more: Any) -> dict[str, Any]:
    issue = {
        "number": 4,
        "title": "Problem 4",
        "body": "It breaks in way 4.",
        "repository": {"nameWithOwner": REPO},
        "comments": {
            "nodes": [
                {"id": "IC_1", "body": "It fails on Mondays.", "createdAt": BEFORE, "author": None},
                {"id": "IC_2", "body": "Fixed by the change.", "createdAt": AFTER},
            ]
        },
    }
    return {
        "number": 9,
        "url": f"https://github.com/{REPO}/pull/9",
        "title": "Change number 9",
        "body": "Text",
        "mergedAt": "2024-03-01T12:00:00Z",
        "mergeCommit": {"oid": "a" * 40},
        "headRefOid": HEAD,
        "baseRefOid": BASE,
        "labels": {"nodes": [{"name": "bug"}]},
        "closingIssuesReferences": {"edges": [{"node": issue}]},
        "commits": {
            "nodes": [
                {"commit": {"oid": FIRST, "message": "Begin", "authoredDate": "2024-02-10T09:00Z"}}
            ]
        },
        "reviews": {
            "nodes": [
                {
                    "id": "R_1",
                    "body": "",
                    "submittedAt": AFTER,
                    "comments": {"nodes": [{"id": "C_1", "body": "Off by one?"}]},
                },
                {"id": "R_2", "body": "Good.", "submittedAt": AFTER},
            ]
        },
    } | more


def test_graphql_answers_are_read(tmp_path: Path) -> None:
    answer = {"data": {"repository": {"pullRequests": {"nodes": [graphql_pull()]}}}}

    (pull,) = written(tmp_path / "dump.json", json.dumps(answer, indent=2)).pulls

    assert (pull.repo, pull.number, pull.title) == (REPO, 9, "Change number 9")
    assert (pull.merge_commit, pull.head, pull.base) == ("a" * 40, HEAD, BASE)
    assert pull.labels == ("bug",)
    assert pull.messages == ("Begin",)
    assert pull.issues[0].comments == ("It fails on Mondays.", "Fixed by the change.")
    assert pull.hints == "It fails on Mondays."
    assert set(pull.reviews) == {"Good.", "Off by one?"}


def test_what_github_says_is_closed_joins_what_the_text_says(tmp_path: Path) -> None:
    closing = {
        "number": 9,
        "url": f"https://github.com/{REPO}/pull/9",
        "closingIssuesReferences": {
            "nodes": [{"number": 6, "repository": {"nameWithOwner": REPO}}]
        },
    }
    event = {"event": "closed", "commit_id": HEAD, "issue": rest_issue(REPO, 7)}
    found = [*objects(), rest_issue(REPO, 6), closing, event]

    (pull,) = written(tmp_path / "dump.jsonl", arranged("lines", found)).pulls

    assert [issue.number for issue in pull.issues] == [6, 4, 5, 7]
    assert pull.title == "Change number 9"


def test_a_pull_request_that_is_closed_by_another_is_no_issue(tmp_path: Path) -> None:
    found = [rest_pull(REPO, 9, body="closes #8"), rest_pull(REPO, 8)]

    dump = written(tmp_path / "dump.jsonl", arranged("lines", found))

    assert [pull.issues for pull in dump.pulls] == [(), ()]
    assert dump.skipped == ()


def test_the_issues_view_of_a_pull_request_is_one(tmp_path: Path) -> None:
    view = rest_issue(
        REPO,
        9,
        html_url=f"https://github.com/{REPO}/pull/9",
        pull_request={"merged_at": "2024-03-01T12:00:00Z"},
    )

    (pull,) = written(tmp_path / "dump.json", json.dumps([view])).pulls

    assert pull.merged_at == EXPECTED.merged_at
    assert pull.merge_commit == ""


def test_a_trial_merge_is_no_merge(tmp_path: Path) -> None:
    (pull,) = written(tmp_path / "d.json", json.dumps(rest_pull(REPO, 9, merged_at=None))).pulls

    assert pull.merge_commit == ""
    assert pull.merged_at is None


def test_numbers_of_two_repositories_stay_apart(tmp_path: Path) -> None:
    other = "zeta/parser"
    found = [
        rest_pull(REPO, 9, body="fixes #4"),
        rest_pull(other, 9, body="fixes #4, fixes acme/parser#4", base={"repo": {"id": 78}}),
        rest_issue(REPO, 4),
        rest_issue(other, 4, title="Another"),
        rest_comment(other, 4, "There.", BEFORE, identity=1),
    ]

    one, two = written(tmp_path / "dump.jsonl", arranged("lines", found)).pulls

    assert [issue.title for issue in one.issues] == ["Problem 4"]
    assert one.hints == ""
    assert [(issue.repo, issue.title) for issue in two.issues] == [
        (other, "Another"),
        (REPO, "Problem 4"),
    ]
    assert two.hints == "There."


def test_a_new_name_does_not_divide_a_repository(tmp_path: Path) -> None:
    found = [
        rest_pull("old/name", 8),
        rest_issue("old/name", 4),
        rest_comment("Old/Name", 4, "Here.", BEFORE, identity=1),
        rest_pull(REPO, 9, body="fixes #4"),
    ]

    eight, nine = written(tmp_path / "dump.jsonl", arranged("lines", found)).pulls

    assert eight.repo == nine.repo == REPO
    assert nine.issues[0].comments == ("Here.",)


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        ('{"number": "9", "base": {}}', "number is no number"),
        ('{"number": true, "title": "x"}', "number is no number"),
        ('{"number": 3, "title": ["x"]}', "title is no text"),
        (json.dumps(rest_pull(REPO, 3, merged_at="yesterday")), "merged_at is no date"),
        (json.dumps(rest_pull(REPO, 3, merged_at="0001-01-01T00:00:00+09:00")), "no date"),
        ('{"issue_url": null, "body": "x"}', "does not say what it comments"),
        ('{"zen": "Keep it logically awesome."}', "shape of nothing"),
        ('{"number": 3, "title": "v1", "url": "https://api.github.com/x/milestones/3"}', "shape"),
        ("17", "shape of nothing"),
        ('{"number": 3, ', "not JSON"),
        ("[" * 100_000, "not JSON"),
        ('{"number": ' + "9" * 5000 + "}", "not JSON"),
        ('{"a":' * 900 + "1" + "}" * 900, "shape of nothing"),
    ],
)
@pytest.mark.parametrize("place", [0, 7])
def test_a_broken_object_is_counted_and_costs_no_other(
    tmp_path: Path, broken: str, reason: str, place: int
) -> None:
    lines = list(map(json.dumps, objects()))
    lines.insert(place, broken)

    dump = written(tmp_path / "dump.jsonl", "\n".join(lines))

    assert dump.pulls == (EXPECTED,)
    (skipped,) = dump.skipped
    assert reason in skipped.reason
    assert skipped.first == f"{tmp_path / 'dump.jsonl'}:{place + 1}"


def test_bytes_that_are_not_text_are_replaced_and_told(tmp_path: Path) -> None:
    data = json.dumps(rest_pull(REPO, 9, title="caf\u00e9"), ensure_ascii=False).encode("latin-1")

    dump = written(tmp_path / "dump.json", data)

    assert dump.pulls[0].title == "caf\ufffd"
    assert "not utf-8" in dump.skipped[0].reason


def test_texts_hold_nothing_that_a_file_cannot_hold(tmp_path: Path) -> None:
    body = '"half \\ud83d pair, a \\u0000 and a whole \\ud83d\\ude00"'
    line = json.dumps(rest_pull(REPO, 9, body="BODY")).replace('"BODY"', body)

    (pull,) = written(tmp_path / "dump.json", line).pulls

    assert pull.body == "half ? pair, a  and a whole \U0001f600"


def test_a_huge_body_is_cut(tmp_path: Path) -> None:
    text = json.dumps(rest_pull(REPO, 9, body="x" * 5_000_000 + " fixes #4"))

    (pull,) = written(tmp_path / "dump.json", text).pulls

    assert len(pull.body) == TEXT_LIMIT


@pytest.mark.parametrize("text", ["", "[]", "\n\n", "not JSON at all", '{"message": "Not Found"}'])
def test_a_dump_without_pull_requests_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(UsageError) as caught:
        written(tmp_path / "dump.json", text)

    assert len(caught.value.lines()) == 3
    assert "no pull request" in caught.value.what


def test_what_cannot_be_opened_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be used"):
        read_dump(tmp_path / "absent.json")
    with pytest.raises(UsageError, match="holds no"):
        read_dump(tmp_path)


def test_a_page_of_a_later_version_is_refused(tmp_path: Path) -> None:
    page = {"schema_name": "regreen.api_page", "schema_version": 2, "answer": []}

    with pytest.raises(UsageError, match="version 2"):
        written(tmp_path / "dump.jsonl", json.dumps(page))


def test_an_issue_that_is_not_in_the_dump_is_counted(tmp_path: Path) -> None:
    dump = written(tmp_path / "d.json", json.dumps(rest_pull(REPO, 9, body="fixes #4, fixes #5")))

    assert [(one.count, "not in the dump" in one.reason) for one in dump.skipped] == [(2, True)]


def test_the_dump_of_the_reference_reads_as_it_says(tmp_path: Path) -> None:
    page = (Path(__file__).parents[3] / "docs" / "reference" / "pulls.md").read_text()
    (shown,) = re.findall(r"^```json\n(.*?)^```", page, re.MULTILINE | re.DOTALL)

    dump = written(tmp_path / "dump.json", shown)

    (pull,) = dump.pulls
    assert dump.skipped == ()
    assert [issue.title for issue in pull.issues] == ["Empty input fails"]
    assert pull.hints == "Only since 2.0."
    assert pull.messages == ("Test the length",)
