"""A pull request as a task needs it: its texts, its issues, and the commits it is known by.

``hints`` is the only discussion that is safe to show: it ends before the first commit. What was
said later may give the fix away.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

__all__ = ["Issue", "PullRequest"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Issue:
    """One issue that a pull request closes."""

    repo: str
    """``OWNER/NAME``; an issue of another repository can be closed too."""
    number: int
    """Its number there."""
    title: str
    """Its title."""
    body: str
    """Its text, line ends as line feeds; empty when it has none."""
    comments: tuple[str, ...]
    """All that people, not bots, said below it, oldest first; the later ones may give the fix
    away."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PullRequest:
    """One pull request with all that is known of it."""

    repo: str
    """``OWNER/NAME`` of the repository it was made to; empty when the dump does not tell."""
    number: int
    """Its number there."""
    title: str
    """Its title."""
    body: str
    """Its description, line ends as line feeds; empty when it has none."""
    merge_commit: str
    """The commit that brought it to its branch; empty when it was not merged."""
    base: str
    """The commit it was last compared with; empty when unknown."""
    head: str
    """Its own last commit, before any rebase or squash; empty when unknown."""
    merged_at: datetime | None
    """When it was merged, in UTC; None when it was not, or was landed by hand."""
    labels: tuple[str, ...]
    """Names of its labels."""
    commits: tuple[str, ...]
    """Ids of its own commits, oldest first; empty when unknown."""
    messages: tuple[str, ...]
    """Whole messages of those commits."""
    issues: tuple[Issue, ...]
    """The issues it closes, those named first before others."""
    reviews: tuple[str, ...]
    """What people said in reviews and about lines, oldest first."""
    hints: str
    """What people said below the issues and the pull request before its first commit was written,
    oldest first, with empty lines between."""
