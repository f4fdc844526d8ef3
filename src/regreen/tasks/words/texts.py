"""What a statement reads of issues and pull requests, whoever fetched or stored them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

__all__ = ["IssueText", "PullText"]


class IssueText(Protocol):
    """What is read of an issue."""

    @property
    def title(self) -> str:
        """First line."""
        ...

    @property
    def body(self) -> str:
        """The report, in Markdown."""
        ...


class PullText(Protocol):
    """What is read of a pull request."""

    @property
    def title(self) -> str:
        """First line."""
        ...

    @property
    def body(self) -> str:
        """What its author says of it, in Markdown."""
        ...

    @property
    def commits(self) -> Sequence[str]:
        """Ids of its own commits; empty when unknown."""
        ...

    @property
    def messages(self) -> Sequence[str]:
        """Whole messages of those commits, oldest first."""
        ...

    @property
    def issues(self) -> Sequence[IssueText]:
        """The issues it closes."""
        ...

    @property
    def hints(self) -> str:
        """Discussion before its first commit."""
        ...

    @property
    def reviews(self) -> Sequence[str]:
        """What reviewers said, oldest first."""
        ...
