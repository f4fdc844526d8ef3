"""Pull requests in GraphQL's shape: one object with its issues, comments and commits inside."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from regreen.tasks.pulls.records import (
    Comment,
    CommitNote,
    IssueNote,
    Key,
    MalformedError,
    PullNote,
    Record,
    key_of,
    read_bot,
    read_labels,
    read_nodes,
    read_part,
    read_text,
    read_time,
    web_host,
)

__all__ = ["graphql_pull", "is_graphql_pull"]

_FIELDS = {"closingIssuesReferences", "mergeCommit", "baseRefOid", "headRefOid", "mergedAt"}


def is_graphql_pull(value: Mapping[str, Any]) -> bool:
    """Whether an object is a pull request as GraphQL answers it."""
    return "number" in value and (
        bool(_FIELDS & value.keys()) or value.get("__typename") == "PullRequest"
    )


def graphql_pull(value: Mapping[str, Any]) -> Iterator[Record]:
    """The pull request and all that stands inside it.

    Raises:
        MalformedError: while iterating; a value has the wrong type.
    """
    repo = read_part(value, "baseRepository") or read_part(value, "repository")
    key = key_of(value, repo.get("nameWithOwner"))
    issues = read_nodes(value, "closingIssuesReferences")
    closes = tuple(map(_issue_key, issues)) if "closingIssuesReferences" in value else None
    yield PullNote(
        key=key,
        host=web_host(value.get("url")),
        title=read_text(value, "title"),
        body=read_text(value, "body"),
        merge_commit=read_text(read_part(value, "mergeCommit"), "oid"),
        base=read_text(value, "baseRefOid"),
        head=read_text(value, "headRefOid"),
        created_at=read_time(value, "createdAt"),
        merged_at=read_time(value, "mergedAt"),
        labels=read_labels(value),
        closes=closes,
    )
    for issue in issues:
        yield from _issue(issue)
    yield from _comments(value, key, "comments", is_review=False)
    yield from _comments(value, key, "reviews", is_review=True)
    for group in (*read_nodes(value, "reviews"), *read_nodes(value, "reviewThreads")):
        yield from _comments(group, key, "comments", is_review=True)
    for node in read_nodes(value, "commits"):
        yield _commit(read_part(node, "commit") or node, key)


def _issue_key(value: Mapping[str, Any]) -> Key:
    if "number" not in value:
        msg = "an issue it closes has no number"
        raise MalformedError(msg)
    return key_of(value, read_part(value, "repository").get("nameWithOwner"))


def _issue(value: Mapping[str, Any]) -> Iterator[Record]:
    key = _issue_key(value)
    if "title" in value:  # a query may ask for no more than the number
        body = read_text(value, "body") or ""
        yield IssueNote(key=key, title=read_text(value, "title") or "", body=body)
    yield from _comments(value, key, "comments", is_review=False)


def _comments(
    value: Mapping[str, Any], key: Key, name: str, *, is_review: bool
) -> Iterator[Comment]:
    for one in read_nodes(value, name):
        said = read_text(one, "body") or ""
        number = one.get("fullDatabaseId") or one.get("databaseId") or one.get("id")
        yield Comment(
            key=key,
            identity=f"said {number}" if number else said,
            text=said,
            at=read_time(one, "createdAt") or read_time(one, "submittedAt"),
            by_bot=read_bot(read_part(one, "author")),
            is_review=is_review,
        )


def _commit(value: Mapping[str, Any], key: Key) -> CommitNote:
    return CommitNote(
        key=key,
        sha=read_text(value, "oid") or "",
        message=read_text(value, "message") or "",
        at=read_time(value, "authoredDate") or read_time(value, "committedDate"),
        parents=(),
    )
