"""Closing keywords: which issues a text says it closes, by the rules that GitHub documents.

One keyword closes one issue; code, quotes and HTML comments say nothing. The rules are those of
https://docs.github.com/issues/tracking-your-work-with-issues/linking-a-pull-request-to-an-issue
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

__all__ = ["DEFAULT_HOST", "Reference", "closed_issues"]

DEFAULT_HOST = "github.com"
_CLOSING = re.compile(
    r"(?<![\w-])(?:close[sd]?|fix(?:e[sd])?|resolve[sd]?)(?::[ \t]*|[ \t]+)"
    r"(?:(?:(?P<repo>[A-Za-z0-9][\w-]*/[\w.-]+)?#|GH-)(?P<number>[1-9]\d{0,9})(?!\w)"
    r"|https?://(?P<host>[\w.:-]+)/(?P<path>[A-Za-z0-9][\w-]*/[\w.-]+)/issues/"
    r"(?P<there>[1-9]\d{0,9})(?![\w/]))",
    re.IGNORECASE | re.ASCII,
)
_FENCE = re.compile(r"(?:[-*+]\s+|\d+[.)]\s+)?(`{3,})[^`]*$|(?:[-*+]\s+|\d+[.)]\s+)?(~{3,})")
_HIDDEN = re.compile(r"<!--.*?(?:-->|\Z)", re.DOTALL)
_INLINE = re.compile(r"(?<!`)(`++)[^\n]+?(?<!`)\1(?!`)")


class Reference(NamedTuple):
    """An issue, as a text names it."""

    repo: str
    """``OWNER/NAME``."""
    number: int
    """Its number there."""


def closed_issues(
    texts: Iterable[str], *, repo: str, host: str = DEFAULT_HOST
) -> tuple[Reference, ...]:
    """The issues that texts say they close, in order and each once.

    Args:
        texts: title, description and commit messages.
        repo: what a bare ``#N`` belongs to.
        host: where the repository's pages are; addresses of other hosts are of other trackers.
    """
    found: dict[tuple[str, int], Reference] = {}
    for text in texts:
        for match in _CLOSING.finditer(_said(text)):
            if match["there"] and match["host"].lower() != host.lower():
                continue
            where = match["path"] or match["repo"] or repo
            named = Reference(where, int(match["there"] or match["number"]))
            found.setdefault((where.lower(), named.number), named)
    return tuple(found.values())


def _said(text: str) -> str:
    """The text without code, quotes and hidden comments."""
    kept, fence = [], ""
    for line in text.splitlines():
        bare = line.strip()
        if fence:
            if bare.startswith(fence) and not bare.strip(fence[0]):
                fence = ""
        elif opened := _FENCE.match(bare):
            fence = opened[1] or opened[2]
        elif not bare.startswith(">"):
            kept.append(line)
    return _INLINE.sub(" ", _HIDDEN.sub(" ", "\n".join(kept)))
