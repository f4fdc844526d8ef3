"""The objects of GitHub's API, recognised by their shape alone.

A REST object names its pull request or issue by URL, except a commit, which takes the pull request
of the page it is on.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from regreen.tasks.pulls.graphql import graphql_pull, is_graphql_pull
from regreen.tasks.pulls.records import (
    ClosedBy,
    Comment,
    CommitNote,
    IssueNote,
    Key,
    MalformedError,
    PullNote,
    Record,
    address,
    key_of,
    read_bot,
    read_labels,
    read_part,
    read_text,
    read_time,
    repository,
    web_host,
)

__all__ = ["records"]

_Object = Mapping[str, Any]
_COMMIT_PAGE = re.compile(r"\bpulls?[/_-](\d+)[/_-]commits\b")


def records(value: _Object, context: str) -> Iterator[Record] | None:
    """What an object says, or None when its shape is not known.

    Args:
        value: one JSON object.
        context: URL or path of the page that holds it.

    Raises:
        MalformedError: while iterating; a value has the wrong type.
    """
    return next((read(value, context) for fits, read in _SHAPES if fits(value)), None)


def _is_event(value: _Object) -> bool:
    return isinstance(value.get("issue"), dict) and "event" in value and "commit_id" in value


def _is_numbered(value: _Object) -> bool:
    """Milestones and discussions have a number and a title too."""
    if "number" not in value or "title" not in value:
        return False
    urls = [url for url in (value.get("html_url"), value.get("url")) if isinstance(url, str)]
    return not urls or any(map(address, urls))


def _pull(value: _Object, _: str) -> Iterator[Record]:
    base = read_part(value, "base")
    repo = read_part(base, "repo")
    merged_at = read_time(value, "merged_at")
    repo_id = repo.get("id")
    yield PullNote(
        key=key_of(value, repo.get("full_name")),
        repo_id=repo_id if isinstance(repo_id, int) else None,
        host=web_host(value.get("html_url")),
        title=read_text(value, "title"),
        body=read_text(value, "body"),
        # Before the merge this field names a trial merge, which no history holds.
        merge_commit=read_text(value, "merge_commit_sha") if merged_at else None,
        base=read_text(base, "sha"),
        head=read_text(read_part(value, "head"), "sha"),
        created_at=read_time(value, "created_at"),
        merged_at=merged_at,
        labels=read_labels(value),
    )


def _issue(value: _Object, _: str) -> Iterator[Record]:
    """An issue, or what the issues' part of the API says of a pull request."""
    key = key_of(value, repository(value.get("repository_url")))
    title, body = read_text(value, "title") or "", read_text(value, "body") or ""
    if "pull_request" not in value and "/pull/" not in str(value.get("html_url")):
        yield IssueNote(key=key, title=title, body=body)
        return
    yield PullNote(
        key=key,
        host=web_host(value.get("html_url")),
        title=title,
        body=body,
        created_at=read_time(value, "created_at"),
        merged_at=read_time(read_part(value, "pull_request"), "merged_at"),
        labels=read_labels(value),
    )


def _event(value: _Object, context: str) -> Iterator[Record]:
    issue, sha = value["issue"], value["commit_id"]
    if "number" not in issue:
        msg = "the issue of an event has no number"
        raise MalformedError(msg)
    if "title" in issue:
        yield from _issue(issue, context)
    if value["event"] == "closed" and isinstance(sha, str):
        yield ClosedBy(key=key_of(issue, repository(issue.get("repository_url"))), sha=sha)


def _review(value: _Object, _: str) -> Iterator[Record]:
    return _comment(value, value["pull_request_url"], is_review=True)


def _said(value: _Object, _: str) -> Iterator[Record]:
    return _comment(value, value["issue_url"], is_review=False)


def _comment(value: _Object, url: object, *, is_review: bool) -> Iterator[Record]:
    key = address(url)
    if key is None:
        msg = "it does not say what it comments"
        raise MalformedError(msg)
    said = read_text(value, "body") or ""
    # Comments on lines are numbered apart from reviews.
    kind = "line" if "path" in value or "diff_hunk" in value else "said"
    yield Comment(
        key=key,
        identity=f"{kind} {value['id']}" if value.get("id") else said,
        text=said,
        at=read_time(value, "created_at") or read_time(value, "submitted_at"),
        by_bot=read_bot(read_part(value, "user")),
        is_review=is_review,
    )


def _commit(value: _Object, context: str) -> Iterator[Record]:
    inner = read_part(value, "commit")
    page = _COMMIT_PAGE.search(context)
    repo = repository(value.get("url")) or repository(context)
    parents = value.get("parents")
    listed = parents if isinstance(parents, list) else []
    shas = (one.get("sha") for one in listed if isinstance(one, dict))
    yield CommitNote(
        key=Key(repo, int(page[1])) if page else None,
        sha=read_text(value, "sha") or "",
        message=read_text(inner, "message") or "",
        at=read_time(read_part(inner, "author"), "date")
        or read_time(read_part(inner, "committer"), "date"),
        parents=tuple(sha for sha in shas if isinstance(sha, str)),
    )


# The first that fits: what has the fields of several is the richest of them.
_SHAPES: tuple[
    tuple[Callable[[_Object], bool], Callable[[_Object, str], Iterator[Record]]], ...
] = (
    (is_graphql_pull, lambda value, _: graphql_pull(value)),
    (lambda value: "number" in value and isinstance(value.get("base"), dict), _pull),
    (_is_event, _event),
    (lambda value: "pull_request_url" in value and "body" in value, _review),
    (lambda value: "issue_url" in value and "body" in value, _said),
    (_is_numbered, _issue),
    (lambda value: "sha" in value and isinstance(value.get("commit"), dict), _commit),
)
