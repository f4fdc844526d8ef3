"""What the objects of a dump are reduced to, and how one field of such an object is read.

A field that is absent says nothing, one that is null says "empty": a deleted user or fork, or a
pull request without a description.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

__all__ = [
    "TEXT_LIMIT",
    "ClosedBy",
    "Comment",
    "CommitNote",
    "IssueNote",
    "Key",
    "MalformedError",
    "PullNote",
    "Record",
    "address",
    "key_of",
    "read_bot",
    "read_labels",
    "read_nodes",
    "read_part",
    "read_text",
    "read_time",
    "repository",
    "web_host",
]

TEXT_LIMIT = 65_536
"""Characters kept of one text: the most that GitHub itself takes for a body."""
_API = re.compile(r"/repos/([^/\s]+/[^/\s?]+)/(?:pulls|issues)/(\d+)\b")
_BY_ID = re.compile(r"/repositories/(\d+)/(?:pulls|issues)/(\d+)\b")
_HTML = re.compile(r"https?://([^/\s]+)/([^/\s]+/[^/\s]+)/(?:pull|issues)/(\d+)\b")


class MalformedError(Exception):
    """An object has a known shape and an impossible value in it."""


class Key(NamedTuple):
    """What a number belongs to."""

    repo: str
    """``OWNER/NAME``, ``#ID`` where only the repository's id is known, or empty."""
    number: int
    """Number of an issue or pull request; the two share one sequence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PullNote:
    """What one object says of a pull request; None where it says nothing."""

    key: Key
    """Which one."""
    repo_id: int | None = None
    """Id of its repository, which a new name does not change."""
    host: str | None = None
    """Where its page is."""
    title: str | None = None
    """Its title."""
    body: str | None = None
    """Its description."""
    merge_commit: str | None = None
    """The commit that brought it to its branch."""
    base: str | None = None
    """The commit it was last compared with."""
    head: str | None = None
    """Its own last commit."""
    created_at: datetime | None = None
    """When it was opened."""
    merged_at: datetime | None = None
    """When it was merged."""
    labels: tuple[str, ...] | None = None
    """Names of its labels."""
    closes: tuple[Key, ...] | None = None
    """The issues that GitHub itself says it closes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IssueNote:
    """An issue without its discussion."""

    key: Key
    """Which one."""
    title: str
    """Its title."""
    body: str
    """Its text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comment:
    """Something said."""

    key: Key
    """The issue or pull request below which it stands."""
    identity: str
    """Tells it from the others; the same one may be on two pages."""
    text: str
    """What was said."""
    at: datetime | None
    """When."""
    by_bot: bool
    """Whether a program said it."""
    is_review: bool
    """Whether it belongs to a review or to a line of the change."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitNote:
    """A commit; its parents tell whose it is where no page does."""

    key: Key | None
    """The pull request it belongs to, where that is known."""
    sha: str
    """Its id."""
    message: str
    """Its whole message."""
    at: datetime | None
    """When it was written, which a rebase does not change."""
    parents: tuple[str, ...]
    """Ids of its parents."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClosedBy:
    """An issue was closed by a commit."""

    key: Key
    """The issue."""
    sha: str
    """The commit."""


Record = PullNote | IssueNote | Comment | CommitNote | ClosedBy


def address(url: object) -> Key | None:
    """The issue or pull request that a URL of the API or of a page leads to."""
    text = url if isinstance(url, str) else ""
    if found := _API.search(text):
        return Key(found[1], int(found[2]))
    if found := _BY_ID.search(text):
        return Key(f"#{found[1]}", int(found[2]))
    if found := _HTML.match(text):
        return Key(found[2], int(found[3]))
    return None


def repository(url: object) -> str:
    """The repository that a URL of the API names; empty when it names none."""
    text = url if isinstance(url, str) else ""
    if found := re.search(r"/repositories/(\d+)\b", text):
        return f"#{found[1]}"
    found = re.search(r"/repos/([^/\s]+/[^/\s?]+)", text)
    return found[1] if found else ""


def web_host(url: object) -> str | None:
    """The host of an issue's or pull request's page."""
    found = _HTML.match(url) if isinstance(url, str) else None
    return found[1] if found else None


def key_of(value: Mapping[str, Any], repo: object) -> Key:
    """Where an object with a number belongs.

    Args:
        value: the object.
        repo: its repository, where the object names it outright; else its URLs tell.

    Raises:
        MalformedError: the number is none.
    """
    number = value["number"]
    if not isinstance(number, int) or isinstance(number, bool) or number < 1:
        msg = "its number is no number"
        raise MalformedError(msg)
    if isinstance(repo, str) and repo:
        return Key(repo, number)
    for name in ("html_url", "url"):
        if found := address(value.get(name)):
            return Key(found.repo, number)
    return Key("", number)


def read_text(value: Mapping[str, Any], name: str) -> str | None:
    """A text without what neither a file nor a terminal can hold; None when absent.

    Raises:
        MalformedError: it is something else.
    """
    if name not in value:
        return None
    text = value[name]
    if text is None:
        return ""
    if not isinstance(text, str):
        msg = f"its {name} is no text"
        raise MalformedError(msg)
    whole = text[:TEXT_LIMIT].replace("\r\n", "\n").replace("\0", "")
    return whole.encode("utf-8", "replace").decode()  # JSON can spell half a surrogate pair


def read_time(value: Mapping[str, Any], name: str) -> datetime | None:
    """A moment in UTC; None when absent or null.

    Raises:
        MalformedError: it is something else.
    """
    text = value.get(name)
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (TypeError, ValueError, OverflowError) as exc:
        msg = f"its {name} is no date"
        raise MalformedError(msg) from exc


def read_part(value: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """An object within; an empty one when it is absent or null."""
    part = value.get(name)
    return part if isinstance(part, dict) else {}


def read_nodes(value: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    """The objects of a GraphQL connection, or of a plain list."""
    part = value.get(name)
    if isinstance(part, dict):
        edges = part.get("edges")
        pairs = edges if isinstance(edges, list) else []
        part = part.get("nodes") or [one.get("node") for one in pairs if isinstance(one, dict)]
    return [one for one in part if isinstance(one, dict)] if isinstance(part, list) else []


def read_labels(value: Mapping[str, Any]) -> tuple[str, ...] | None:
    """Names of labels; None when the object does not list them."""
    if "labels" not in value:
        return None
    return tuple(filter(None, (read_text(one, "name") for one in read_nodes(value, "labels"))))


def read_bot(user: Mapping[str, Any]) -> bool:
    """Whether a user is a program."""
    name = str(user.get("login") or "")
    kind = user.get("type") or user.get("__typename")
    return kind == "Bot" or name.endswith("[bot]")
