"""A change: what a history, and nothing else, says about one step of its main line.

A merge counts as one change, taken against its first parent; so does a squashed pull request, a
plain commit, or a range of commits given as such.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

__all__ = ["Change", "FileChange", "Kind"]

Kind = Literal["merge", "squash", "commit", "range"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FileChange:
    """One path that differs between the two trees; a rename is a removal and an addition."""

    path: str
    """Relative to the repository's root; undecodable bytes as surrogates."""
    old_mode: str
    """Git's mode before, for example ``100644``; ``000000`` when the path is new."""
    new_mode: str
    """Git's mode after; ``000000`` when the path is gone. ``160000`` is a submodule."""
    old_blob: str
    """Id of the content before, zeros when the path is new."""
    new_blob: str
    """Id of the content after, zeros when the path is gone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One step of the main line."""

    commit: str
    """The state after, 40 hexadecimal digits."""
    base: str
    """The state before: its first parent, or the start of a range."""
    kind: Kind
    """What made the step."""
    number: int | None
    """Number of the pull request, as the message names it."""
    subject: str
    """First line of the message, or of the pull request's title where a merge quotes it."""
    body: str
    """The rest of the message."""
    messages: tuple[str, ...]
    """Whole messages of the commits that were merged or joined, oldest first; empty for one."""
    date: datetime
    """When it was committed, in UTC."""
    files: tuple[FileChange, ...]
    """What differs, sorted by path."""
