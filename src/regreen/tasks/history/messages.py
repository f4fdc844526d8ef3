"""What a commit's message says about its kind: whose pull request it was, and what it only syncs.

The forms are those that GitHub, GitLab, Bitbucket and bors write, and git's own for merges.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = ["Told", "is_sync", "read_message"]

_MERGES = (
    re.compile(r"Merge pull request #(?P<number>[0-9]{1,10})(?: from \S+)?(?P<title>:? .*)?$"),
    re.compile(r"Merged in .* \(pull request #(?P<number>[0-9]{1,10})\)$"),
    re.compile(r"Merge (?:PR )?#(?P<number>[0-9]{1,10})(?P<title>:? .*)?$"),
    re.compile(r"Auto merge of #(?P<number>[0-9]{1,10})\b.*$"),
)
_REQUEST = re.compile(r"^See merge request \S*!([0-9]{1,10})[ \t]*$", re.MULTILINE)
_SQUASH = re.compile(r"\((?:PR )?#([0-9]{1,10})\)$")
_MAIN_LINE = (
    r"(?:main|master|develop(?:ment)?|devel|dev|trunk|default|stable|next|head"
    r"|v?\d+(?:\.\d+|\.x)*(?:[-_.]?(?:x|dev|stable|maint\w*|branch))?"
    r"|(?:release|maint(?:enance)?|stable|support|version)[-_/.]?v?[\d.x]*)"
)
_SYNC = re.compile(
    r"Merge (?:remote[- ]tracking )?branch(?:es)? '?(?:refs/heads/)?(?:[\w.-]+/)?"
    + _MAIN_LINE
    + r"'?(?: of \S+)?(?: into .+)?$",
    re.IGNORECASE,
)
_OTHER_SYNC = re.compile(
    r"(?:Merge|Sync|Pull|Forward[- ]?port)(?: changes)? (?:from|with|in) (?:the )?"
    r"(?:'?[\w.-]+/)?" + _MAIN_LINE + r"'?(?: branch)?\b",
    re.IGNORECASE,
)
_INTO = re.compile(rf"Merge ['\"`]?{_MAIN_LINE}['\"`]? into ['\"`]?{_MAIN_LINE}\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Told:
    """A message, read."""

    number: int | None
    """Number of the pull or merge request; None when none is named."""
    subject: str
    """What it is about: the first line, or the title that a merge quotes below it."""
    body: str
    """The rest."""


def read_message(message: str, *, merge: bool) -> Told:
    """Read a commit's message.

    Args:
        message: all of it.
        merge: whether the commit has several parents.
    """
    first, _, rest = message.strip().partition("\n")
    first, rest = first.strip(), rest.strip()
    if merge:
        for form in _MERGES:
            if found := form.match(first):
                title = (found.groupdict().get("title") or "").lstrip(": ").strip()
                return _titled(int(found["number"]), title, rest, first)
        if found := _REQUEST.search(rest):
            return _titled(int(found[1]), "", _REQUEST.sub("", rest).strip(), first)
    if found := _SQUASH.search(first):
        return Told(int(found[1]), first[: found.start()].rstrip(), rest)
    return Told(None, first, rest)


def _titled(number: int, title: str, rest: str, first: str) -> Told:
    """A merge's title stands below its first line, where there is one."""
    if not title:
        title, _, rest = rest.partition("\n")
    return Told(number, title.strip() or first, rest.strip())


def is_sync(subject: str) -> bool:
    """Whether a merge brings one main line into another, so that its changes are others' work.

    Args:
        subject: what the merge is about, as :func:`read_message` gives it.
    """
    return any(form.match(subject) for form in (_SYNC, _OTHER_SYNC, _INTO))
