from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from github_server import (
    TOKEN,
    Fault,
    GitHub,
    HeldClock,
    Request,
    hang,
    rest_comment,
    rest_commit,
    rest_issue,
)
from pydantic import SecretStr

from regreen.core.errors import RegreenError, UsageError
from regreen.tasks.pulls.dump import read_dump
from regreen.tasks.pulls.github import fetch_pulls, github_token
from regreen.tasks.pulls.patient import PatientClient
from regreen.tasks.pulls.request import PullRequest

BEFORE, AFTER = "2024-02-05T08:00:00Z", "2024-02-20T08:00:00Z"


@pytest.fixture
def hub() -> Iterator[GitHub]:
    """Seven pull requests on three pages, one open; three issues, one of them elsewhere."""
    made = GitHub()
    for number in (1, 2, 5, 6, 7, 8, 11):
        made.add_pull(number)
    made.lists["pulls"][1] |= {"body": "Fixes #3", "merged_at": "2024-03-01T12:00:00Z"}
    made.lists["pulls"][3] |= {"merged_at": None, "state": "open"}
    made.add_issue(3, (BEFORE, "It fails on Mondays."), (AFTER, "Fixed now."))
    made.add_issue(4, *((BEFORE, f"Comment {count}") for count in range(5)))
    made.closing[5] = [("acme/parser", 4)]
    for count in range(4):
        made.lists["pulls/2/commits"].append(rest_commit(made.repo, f"{count + 500:040x}"))
    made.lists["pulls/2/commits"][-1]["commit"]["message"] = "Last: closes #9"
    made.objects["issues/9"] = rest_issue(made.repo, 9, body=None, user=None)
    review = {"id": 1, "pull_request_url": f"{made.url}/repos/acme/parser/pulls/2"}
    made.lists["pulls/2/reviews"] = [review | {"body": "Good.", "state": "APPROVED"}]
    made.lists["pulls/2/comments"] = [review | {"body": "Why?", "path": "a.py", "user": None}]
    yield made
    made.close()


def fetch(hub: GitHub, cache: Path, notes: list[str] | None = None, **more: Any) -> list[Any]:
    asked: dict[str, Any] = {
        "repo": "acme/parser",
        "token": SecretStr(TOKEN),
        "base_url": hub.url,
        "clock": hub.clock,
        "note": (notes if notes is not None else []).append,
    } | more
    return asyncio.run(fetch_pulls(asked.pop("repo"), cache=cache, **asked))


def by_number(pulls: list[PullRequest]) -> dict[int, PullRequest]:
    return {pull.number: pull for pull in pulls}


def status(code: int, body: Any = b"", **headers: str) -> Fault:
    return lambda request: request.reply(code, body, **headers)


def test_merged_pull_requests_come_with_all_that_was_said(hub: GitHub, tmp_path: Path) -> None:
    notes: list[str] = []
    found = by_number(fetch(hub, tmp_path / "cache.jsonl", notes))

    assert sorted(found) == [1, 2, 5, 7, 8, 11]
    two = found[2]
    assert [issue.number for issue in two.issues] == [3, 9]
    assert two.issues[0].comments == ("It fails on Mondays.", "Fixed now.")
    assert two.issues[1].body == ""
    assert two.hints == "It fails on Mondays."
    assert len(two.messages) == 5
    assert two.reviews == ("Good.", "Why?") or two.reviews == ("Why?", "Good.")
    assert [issue.number for issue in found[5].issues] == [4]
    assert len(found[5].issues[0].comments) == 5
    assert found[1].issues == ()
    assert notes == []
    assert hub.tokens == {f"Bearer {TOKEN}"}
    assert max(Counter(path for path in hub.asked if path != "/graphql").values()) == 1
    assert hub.asked.count("/graphql") == 3


def test_the_cache_is_a_dump_without_token_and_addresses(hub: GitHub, tmp_path: Path) -> None:
    cache = tmp_path / "cache.jsonl"
    found = fetch(hub, cache)

    assert [pull for pull in read_dump(cache).pulls if pull.merged_at] == found
    assert read_dump(cache).skipped == ()
    assert TOKEN not in cache.read_text()
    assert "example.org" not in cache.read_text()


def test_only_the_numbers_asked_for_are_fetched(hub: GitHub, tmp_path: Path) -> None:
    found = fetch(hub, tmp_path / "cache.jsonl", numbers={2, 6, 99})

    assert [(pull.number, pull.merged_at is None) for pull in found] == [(2, False), (6, True)]
    parts = {re.search(r"pulls/(\d+)/", path) for path in hub.asked}
    assert {match[1] for match in parts if match} == {"2", "6"}


def test_without_a_token_the_texts_tell_which_issues_were_closed(
    hub: GitHub, tmp_path: Path
) -> None:
    found = by_number(fetch(hub, tmp_path / "cache.jsonl", token=None))

    assert [issue.number for issue in found[2].issues] == [3, 9]
    assert found[5].issues == ()
    assert hub.tokens == {None}
    assert "/graphql" not in hub.asked


def test_a_second_fetch_asks_only_whether_pages_have_changed(hub: GitHub, tmp_path: Path) -> None:
    cache = tmp_path / "cache.jsonl"
    before = fetch(hub, cache)
    hub.asked.clear()
    hub.sent.clear()

    assert fetch(hub, cache) == before
    assert [(path.split("?")[0].rpartition("/")[2], code) for path, code in hub.sent] == [
        ("pulls", 304)
    ] * 3
    assert hub.asked == [path for path, _ in hub.sent]


def test_a_second_fetch_brings_what_is_new_and_what_has_changed(
    hub: GitHub, tmp_path: Path
) -> None:
    cache = tmp_path / "cache.jsonl"
    fetch(hub, cache)
    hub.lists["pulls"][2] |= {"title": "New title", "updated_at": "2024-04-01T00:00:00Z"}
    hub.lists["pulls/5/comments"] = []
    hub.lists["issues/5/comments"] = [
        rest_comment(hub.repo, 5, "Early.", "2024-02-06T00:00:00Z", identity=77)
    ]
    hub.add_pull(12)
    hub.sent.clear()

    found = by_number(fetch(hub, cache))

    assert found[5].title == "New title"
    assert found[5].hints.endswith("Early.")
    assert 12 in found
    fresh = {path.split("?")[0] for path, code in hub.sent if code == 200}
    assert {path for path in fresh if re.search(r"/(5|12)/", path)} == {
        "/repos/acme/parser/issues/5/comments",
        "/repos/acme/parser/pulls/12/commits",
        "/repos/acme/parser/pulls/12/comments",
        "/repos/acme/parser/pulls/12/reviews",
        "/repos/acme/parser/issues/12/comments",
    }
    assert not [path for path, _ in hub.sent if "/pulls/8/" in path]


def test_the_end_of_the_rate_limit_is_waited_for(hub: GitHub, tmp_path: Path) -> None:
    hub.remaining = 5
    notes: list[str] = []

    found = fetch(hub, tmp_path / "cache.jsonl", notes)

    assert len(found) == 6
    assert 1700 < sum(hub.clock.slept) < 1900
    assert len(hub.clock.slept) == 1
    assert "going on in" in notes[0]


def test_the_last_request_of_a_window_is_not_followed_by_another(
    hub: GitHub, tmp_path: Path
) -> None:
    reset = str(int(hub.clock.now().timestamp()) + 600)
    spent = {"x_ratelimit_remaining": "0", "x_ratelimit_reset": reset}
    hub.fault("pulls/1/commits", status(200, [], **spent))

    assert len(fetch(hub, tmp_path / "cache.jsonl")) == 6
    assert hub.clock.slept == [pytest.approx(601)]


def test_a_server_whose_clock_is_wrong_is_waited_for_by_its_own_clock(
    hub: GitHub, tmp_path: Path
) -> None:
    clock = HeldClock()
    clock.slept.append(50_000.0)
    hub.remaining = 5

    assert len(fetch(hub, tmp_path / "cache.jsonl", clock=clock)) == 6
    assert clock.slept[1:] == [pytest.approx(1801)]


def cut(request: Request) -> None:
    request.cut(b'[{"number": 1')


def hang_up(request: Request) -> None:
    request.close_connection = True


SECONDARY = status(403, {"message": "You have exceeded a secondary rate limit"})


@pytest.mark.parametrize(
    ("where", "faults", "slept"),
    [
        ("pulls?", [status(502, b"<html>Bad gateway")], [1]),
        ("graphql", [status(502, b"<html>Bad gateway")], [1]),
        ("issues/3", [cut], [1]),
        ("pulls?", [cut], [1]),
        ("pulls/2/commits", [hang_up], [1]),
        ("pulls/2/commits", [status(200, b'[{"number": 1')], [1]),
        ("pulls/2/commits", [status(500), cut, status(504)], [1, 2, 4]),
        ("pulls/2/commits", [status(403, {}, retry_after="7")], [7]),
        ("pulls?", [status(429, retry_after="30"), status(429, retry_after="5")], [30, 5]),
        ("issues/3", [SECONDARY] * 3, [60, 120, 240]),
        ("graphql", [status(429, b"<html>")], [60]),
    ],
)
def test_what_a_retry_can_mend_is_retried(
    hub: GitHub, tmp_path: Path, where: str, faults: list[Fault], slept: list[float]
) -> None:
    hub.fault(where, *faults)

    found = fetch(hub, tmp_path / "cache.jsonl", numbers={2})

    assert hub.clock.slept == slept
    assert by_number(found)[2].hints == "It fails on Mondays."


@pytest.mark.parametrize("code", [403, 404, 410, 451])
def test_what_is_not_given_is_recorded_and_passed_over(
    hub: GitHub, tmp_path: Path, code: int
) -> None:
    cache, notes = tmp_path / "cache.jsonl", []
    hub.fault("issues/3", status(code, {"message": "Gone for good"}))
    hub.fault("pulls/8/reviews", status(code, {"message": "Not for you"}))

    found = fetch(hub, cache, notes)

    assert len(found) == 6
    assert [issue.number for issue in by_number(found)[2].issues] == [9]
    assert sorted(note.partition(": ")[2] for note in notes) == [
        f"Gone for good (HTTP {code})",
        f"Not for you (HTTP {code})",
    ]
    assert any(json.loads(line)["status"] == code for line in cache.read_text().splitlines()[:-1])


def test_what_the_server_fails_to_give_is_asked_for_the_next_time(
    hub: GitHub, tmp_path: Path
) -> None:
    cache, notes = tmp_path / "cache.jsonl", []
    hub.fault("issues/3", *[status(502)] * 6)

    first = by_number(fetch(hub, cache, notes))
    hub.asked.clear()
    second = by_number(fetch(hub, cache))

    assert [issue.number for issue in first[2].issues] == [9]
    assert "1 answers did not come" in notes[-1]
    assert [issue.number for issue in second[2].issues] == [3, 9]
    assert [path for path in hub.asked if "/pulls?" not in path] == [
        "/repos/acme/parser/issues/3",
        "/repos/acme/parser/issues/3/comments?per_page=100",
    ]


def test_a_server_that_fails_throughout_ends_the_fetch(hub: GitHub, tmp_path: Path) -> None:
    hub.fault("pulls/", *[status(502, {"message": "Oops"})] * 100)

    with pytest.raises(RegreenError, match="Oops") as caught:
        fetch(hub, tmp_path / "cache.jsonl")

    assert len(caught.value.lines()) == 3
    assert len(hub.asked) < 25


@pytest.mark.parametrize(
    ("code", "text", "mend"),
    [
        (401, "refuses the token: Bad credentials for ***", "GITHUB_TOKEN"),
        (404, "does not give acme/parser: Not Found", "check the name"),
        (451, "does not give acme/parser", "check the name"),
        (503, "does not give acme/parser", "run the same command again"),
    ],
)
def test_a_repository_that_is_not_given_is_told_in_three_lines(
    hub: GitHub, tmp_path: Path, code: int, text: str, mend: str
) -> None:
    message = {401: f"Bad credentials for {TOKEN}", 404: "Not Found"}.get(code, "No")
    hub.fault("pulls?", *[status(code, {"message": message})] * 9)

    with pytest.raises(RegreenError) as caught:
        fetch(hub, tmp_path / "cache.jsonl")

    shown = "\n".join(caught.value.lines())
    assert len(caught.value.lines()) == 3
    assert text in shown
    assert mend in shown
    assert TOKEN not in shown


def test_a_wrong_token_is_refused(hub: GitHub, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="refuses the token: Bad credentials"):
        fetch(hub, tmp_path / "cache.jsonl", token=SecretStr("ghp_wrong"))


def test_a_repository_with_a_new_name_is_followed(hub: GitHub, tmp_path: Path) -> None:
    cache, notes = tmp_path / "cache.jsonl", []
    hub.former.add("old/name")

    found = fetch(hub, cache, notes, repo="old/name")

    assert {pull.repo for pull in found} == {"acme/parser"}
    assert by_number(found)[2].hints == "It fails on Mondays."
    assert len(by_number(found)[2].messages) == 5
    assert notes == ["old/name is now called acme/parser"]


def test_the_token_goes_to_no_other_host(hub: GitHub, tmp_path: Path) -> None:
    other = GitHub()
    hub.fault("pulls?", status(302, b"", location=f"{other.url}/repos/acme/parser/pulls"))

    with pytest.raises(RegreenError, match="another host"):
        fetch(hub, tmp_path / "cache.jsonl")

    link = f'<{other.url}/x?page=2>; rel="next"'
    hub.fault("pulls?", status(200, [], link=link))
    with pytest.raises(RegreenError, match="another host"):
        fetch(hub, tmp_path / "other.jsonl")
    assert other.asked == []
    other.close()


def test_pages_in_a_circle_end(hub: GitHub, tmp_path: Path) -> None:
    again = f'<{hub.url}/repos/acme/parser/pulls/1/commits?per_page=100>; rel="next"'
    hub.fault("pulls/1/commits", *[status(200, [], link=again)] * 50)

    assert len(fetch(hub, tmp_path / "cache.jsonl")) == 6
    assert len([path for path in hub.asked if "pulls/1/commits" in path]) == 1


def test_redirects_in_a_circle_end(hub: GitHub, tmp_path: Path) -> None:
    hub.fault("pulls?", *[status(302, b"", location=f"{hub.url}/repos/acme/parser/pulls?a=1")] * 99)

    with pytest.raises(RegreenError, match="circle"):
        fetch(hub, tmp_path / "cache.jsonl")


def test_what_is_no_list_of_pull_requests_is_refused(hub: GitHub, tmp_path: Path) -> None:
    hub.fault("pulls?", status(200, {"status": "healthy"}))

    with pytest.raises(UsageError, match="no list"):
        fetch(hub, tmp_path / "cache.jsonl")


def test_strange_bytes_and_values_cost_only_themselves(hub: GitHub, tmp_path: Path) -> None:
    broken = [7, None, {"number": "x", "base": None}, {"number": 1}, hub.lists["pulls"][0]]
    broken[-1]["base"] = {"repo": None, "sha": None}
    hub.fault("pulls?", status(200, broken))
    hub.fault("pulls/1/commits", status(200, b'[{"sha": "\xff\xfe", "commit": {"message": 3}}]'))
    hub.fault("pulls/1/comments", status(200, {"a": "list?"}))

    (pull,) = fetch(hub, tmp_path / "cache.jsonl")

    assert (pull.number, pull.messages) == (1, ())


def test_an_answer_without_end_is_cut_off(hub: GitHub, tmp_path: Path) -> None:
    def endless(request: Request) -> None:
        request.send_response_only(200)
        request.end_headers()
        request.close_connection = True
        block = b" " * (1 << 20)
        for _ in range(70):
            request.wfile.write(block)

    notes: list[str] = []
    hub.fault("issues/3", endless)

    (pull,) = fetch(hub, tmp_path / "cache.jsonl", notes, numbers={2})

    assert [issue.number for issue in pull.issues] == [9]
    assert "larger than 64 MiB" in notes[0]


def test_graphql_that_is_not_there_leaves_the_texts(hub: GitHub, tmp_path: Path) -> None:
    notes: list[str] = []
    hub.fault("graphql", *[status(404, {"message": "Not Found"})] * 9)

    found = by_number(fetch(hub, tmp_path / "cache.jsonl", notes))

    assert [issue.number for issue in found[2].issues] == [3, 9]
    assert len([path for path in hub.asked if path == "/graphql"]) == 1
    assert notes == ["GitHub does not say which issues were closed (Not Found); texts have to do"]


PROGRAM = """
import asyncio, sys
from pathlib import Path
from pydantic import SecretStr
from regreen.tasks.pulls.github import fetch_pulls
from regreen.tasks.pulls.patient import RealClock
url, token, cache = sys.argv[1:]
asyncio.run(fetch_pulls("acme/parser", token=SecretStr(token), base_url=url, cache=Path(cache),
                        clock=RealClock(), note=print))
"""


@pytest.mark.parametrize(
    "where",
    [
        pytest.param("pulls?", marks=pytest.mark.slow),
        "pulls/2/reviews",
        pytest.param("issues/4", marks=pytest.mark.slow),
    ],
)
def test_a_fetch_that_is_killed_goes_on_without_asking_twice(
    hub: GitHub, tmp_path: Path, where: str
) -> None:
    cache, started = tmp_path / "cache.jsonl", threading.Event()
    hub.fault(where, hang(started))
    command = [sys.executable, "-c", PROGRAM, hub.url, TOKEN, str(cache)]
    with subprocess.Popen(command, env={**os.environ}) as process:
        assert started.wait(60)
        process.send_signal(signal.SIGKILL)
        assert process.wait(60) == -signal.SIGKILL
    answered, unanswered = hub.asked[:-1], hub.asked[-1]
    hub.asked.clear()

    found = fetch(hub, cache)

    assert hub.asked[0] == unanswered
    resumed = answered + hub.asked
    hub.asked.clear()
    assert found == fetch(hub, tmp_path / "other.jsonl")
    assert resumed == hub.asked


@pytest.mark.parametrize("parts", [6, pytest.param(200, marks=pytest.mark.slow)])
def test_a_cache_that_is_cut_anywhere_is_completed(hub: GitHub, tmp_path: Path, parts: int) -> None:
    whole = tmp_path / "whole.jsonl"
    expected = fetch(hub, whole, numbers={1, 2})
    data, asked = whole.read_bytes(), list(hub.asked)
    for part in range(parts):
        cut = tmp_path / f"cut{part}.jsonl"
        cut.write_bytes(data[: len(data) * part // parts])
        kept = cut.read_bytes().count(b"\n")
        hub.asked.clear()

        assert fetch(hub, cut, numbers={1, 2}) == expected
        assert hub.asked == asked[kept:]
        assert cut.read_bytes() == data


def test_two_fetches_into_one_file_are_refused(hub: GitHub, tmp_path: Path) -> None:
    cache, inside = tmp_path / "cache.jsonl", []

    def second(request: Request) -> None:
        with pytest.raises(UsageError, match="another process") as caught:
            fetch(hub, cache)
        inside.append(len(caught.value.lines()))
        request.reply(200, [])

    hub.fault("pulls?", second)
    fetch(hub, cache)

    assert inside == [3]
    assert list(tmp_path.iterdir()) == [cache]


def test_a_file_that_is_no_cache_is_refused(hub: GitHub, tmp_path: Path) -> None:
    cache = tmp_path / "cache.jsonl"
    for text in (
        '{"schema_name": "regreen.api_page", "schema_version": 2}',
        '{"schema_name": "regreen.api_page", "schema_version": 1, "page": "x"}',
    ):
        cache.write_text(text + "\n")
        with pytest.raises(UsageError) as caught:
            fetch(hub, cache)
        assert str(caught.value.where) == f"{cache}:1"
    cache.unlink()
    cache.mkdir()
    with pytest.raises(UsageError, match="cannot be used"):
        fetch(hub, cache)


@pytest.mark.parametrize(
    ("url", "token", "text"),
    [
        ("ftp://example.org", None, "not the address"),
        ("https://ann:secret@example.org", None, "not the address"),
        ("http://[", None, "not the address"),
        ("http://example.org/api/v3", TOKEN, "plain http"),
        ("https://example.org/api/v3", "ghp_a b", "characters"),
        ("https://example.org/api/v3", "ghp_\u00e9", "characters"),
        ("https://example.org/api/v3", "ghp_a\nX: y", "characters"),
    ],
)
def test_addresses_and_tokens_that_cannot_be_used_are_refused(
    url: str, token: str | None, text: str
) -> None:
    secret = SecretStr(token) if token else None
    with pytest.raises(UsageError, match=text) as caught:
        PatientClient(url, token=secret, clock=HeldClock(), note=print)

    shown = "\n".join(caught.value.lines())
    assert len(caught.value.lines()) == 3
    assert "secret" not in shown
    assert "ghp_" not in shown


def test_a_name_that_is_no_repository_is_refused(hub: GitHub, tmp_path: Path) -> None:
    for name in ("parser", "a/b/c", "../x", "a/b?x=1", ""):
        with pytest.raises(UsageError, match="not the name"):
            asyncio.run(
                fetch_pulls(
                    name,
                    token=None,
                    cache=tmp_path / "c",
                    clock=hub.clock,
                    note=print,
                    base_url=hub.url,
                )
            )
    assert hub.asked == []


def test_the_token_comes_from_one_variable() -> None:
    found = github_token({"GITHUB_TOKEN": f" {TOKEN}\n", "GH_TOKEN": "other"})

    assert found is not None
    assert found.get_secret_value() == TOKEN
    assert TOKEN not in repr(found)
    assert github_token({"GITHUB_TOKEN": "", "GH_TOKEN": "other"}) is None
