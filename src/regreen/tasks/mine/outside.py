"""What a job knows that its history does not tell: pull requests, and lists to keep clear of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from regreen.core.task import Task
from regreen.tasks.history.change import Change
from regreen.tasks.labels.decontaminate import Known
from regreen.tasks.mine.reasons import Reason, Rejected
from regreen.tasks.pulls.request import PullRequest

__all__ = ["Outside"]


@dataclass(frozen=True, kw_only=True)
class Outside:
    """What a job is given beside the repository."""

    pulls: Sequence[PullRequest] = ()
    """Pull requests of the repository, perhaps of others too."""
    repo: str = ""
    """``owner/name`` of those that count; empty has the history tell."""
    known: Known | None = None
    """Problems that must not come out."""
    identity: Mapping[str, str] = field(default_factory=dict)
    """What must be equal for a job to be gone on with."""

    def refuse_listed_change(
        self, change: Change, pull: PullRequest | None, repo: str, patch: str
    ) -> None:
        """Refuse a change that is listed, before anything of it is run.

        Raises:
            Rejected: it is.
        """
        if self.known is None:
            return
        commits = (change.base, change.commit, *((pull.merge_commit, pull.head) if pull else ()))
        found = self.known.of_change(repo=repo, number=change.number, commits=filter(None, commits))
        found = found or self.known.of_content(patch=patch, statement="")
        if found:
            raise Rejected(Reason.CONTAMINATED, found.reason)

    def refuse_listed_task(self, task: Task) -> None:
        """Refuse a task that is listed, now that its words are known.

        Raises:
            Rejected: it is.
        """
        found = self.known.of_task(task) if self.known else None
        if found:
            raise Rejected(Reason.CONTAMINATED, found.reason)
