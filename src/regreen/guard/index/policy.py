"""What a rollout may have of an index: decided by names and dates, one sentence for each refusal.

The date is the stronger of the two, because nothing uploaded before the task's date can hold a fix
made after it. The names are what is left where the fix is older than that: a task made by putting a
fault into a finished release.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

from packaging.utils import canonicalize_name

from regreen.guard.index.pages import Page, PageFile

__all__ = ["IndexPolicy", "make_policy"]


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexPolicy:
    """The rules of one rollout."""

    subjects: frozenset[str]
    """Normalised names of the distributions that the task is about."""
    before: datetime | None
    """Latest upload that is allowed; None leaves dates out."""
    undated: Literal["refuse", "allow"] = "refuse"
    """What becomes of a file without an upload time when ``before`` is set."""
    apart: Mapping[str, datetime] = field(default_factory=dict)
    """Latest upload of single projects, by normalised name, in the place of ``before``."""

    def refuses_project(self, name: str) -> str:
        """The reason to refuse a project, or an empty text."""
        if canonicalize_name(name) not in self.subjects:
            return ""
        return (
            f"Prohibited: fetching '{canonicalize_name(name)}' from a package index. It is what"
            " this task is about, so its releases may hold the answer. Work on the code in the"
            " repository instead."
        )

    def refuses_file(self, file: PageFile, project: str = "") -> str:
        """The reason to refuse a file of a project that is allowed, or an empty text.

        Args:
            file: which.
            project: its project's normalised name, for those with a date of their own.
        """
        before = self.apart.get(project, self.before)
        if before is None:
            return ""
        limit = f"{before:%Y-%m-%d %H:%M} UTC"
        if file.uploaded is None:
            if self.undated == "allow":
                return ""
            return (
                f"Prohibited: fetching {file.filename}. The index does not tell when it was"
                f" uploaded, and this task allows only files from before {limit}."
            )
        if file.uploaded <= before:
            return ""
        return (
            f"Prohibited: fetching {file.filename}. It was uploaded on {file.uploaded:%Y-%m-%d},"
            f" after this task's date ({limit}). Choose an older version."
        )

    def visible(self, page: Page) -> Page:
        """The page without the files that are refused."""
        kept = tuple(file for file in page.files if not self.refuses_file(file, page.project))
        return page if len(kept) == len(page.files) else page.model_copy(update={"files": kept})


def make_policy(
    subjects: Iterable[str],
    before: datetime | str | None,
    undated: Literal["refuse", "allow"],
    *,
    apart: Mapping[str, datetime] | None = None,
) -> IndexPolicy:
    """A policy from what a task says; a date without a zone is in UTC.

    Raises:
        ValueError: the date cannot be read.
    """
    date = datetime.fromisoformat(before) if isinstance(before, str) else before
    if date is not None:
        date = date.astimezone(UTC) if date.tzinfo else date.replace(tzinfo=UTC)
    names = frozenset(str(canonicalize_name(name)) for name in subjects if name.strip())
    return IndexPolicy(subjects=names, before=date, undated=undated, apart=apart or {})
