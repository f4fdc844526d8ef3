"""Which pull request a change came from: by commit, then by number, then by what it says.

A number alone proves nothing, for histories carry numbers of forks and of former trackers: title or
date must agree. A wrong text would make a wrong task, while a missing one costs the plainer text of
the commit.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta

from regreen.core.errors import UsageError
from regreen.tasks.history.change import Change
from regreen.tasks.pulls.request import PullRequest

__all__ = ["match"]

_NEAR = timedelta(days=7)


def match(
    changes: Sequence[Change], pulls: Sequence[PullRequest], *, repo: str = ""
) -> dict[str, PullRequest]:
    """Pull requests by the commit of their change.

    A merge or squash has one change; of a pull request that was rebased, each commit is one.

    Args:
        changes: of one repository's main line.
        pulls: those of several repositories may be among them.
        repo: ``OWNER/NAME`` of the repository that the changes are of; where it is empty and
            ``pulls`` name several, the one whose merge commits are in the history.

    Raises:
        UsageError: no pull request is of ``repo``, or it cannot be told which are.
    """
    own = _own(changes, pulls, repo)
    found = _by_commit(changes, own)
    landed = {pull.number for pull in found.values()}
    rest = [change for change in changes if change.commit not in found]
    numbered = _by_number(rest, [pull for pull in own if pull.number not in landed])
    plain = [c for c in rest if c.commit not in numbered and c.kind == "commit" and not c.number]
    # A merge or squash brings all of a pull request at once, a rebase brings it in pieces.
    whole = {found[c.commit].number for c in changes if c.commit in found and c.kind != "commit"}
    whole |= {pull.number for pull in numbered.values()}
    pieces = [pull for pull in own if pull.number not in whole]
    found |= numbered | _by_text(plain, pieces, lambda pull: pull.messages, _message)
    landed = {pull.number for pull in found.values()}
    rest = [change for change in changes if change.commit not in found and not change.number]
    titled = [pull for pull in own if pull.number not in landed]
    return found | _by_text(rest, titled, lambda pull: (pull.title,), lambda one: one.subject)


def _own(changes: Sequence[Change], pulls: Sequence[PullRequest], repo: str) -> list[PullRequest]:
    """The pull requests of the repository that the changes are of."""
    names = sorted({pull.repo.lower() for pull in pulls})
    listed = ", ".join(sorted({pull.repo or "(no name)" for pull in pulls}))
    wanted = repo.lower()
    if wanted and pulls and wanted not in names and names != [""]:
        what = f"no pull request is of {repo}"
        raise UsageError(what, where=f"pull requests of {listed}", mend="check the name")
    if not wanted and len(names) > 1:
        commits = {change.commit for change in changes}
        counts = Counter(p.repo.lower() for p in pulls if p.merge_commit in commits)
        best = counts.most_common(2)
        if not best or (len(best) == 2 and best[0][1] == best[1][1]):
            what = "the pull requests are of several repositories, and none has its merges here"
            mend = "give a dump of the one repository that is mined"
            raise UsageError(what, where=f"pull requests of {listed}", mend=mend)
        wanted = best[0][0]
    return [pull for pull in pulls if not wanted or pull.repo.lower() in (wanted, "")]


def _by_commit(changes: Sequence[Change], pulls: Sequence[PullRequest]) -> dict[str, PullRequest]:
    """The merge commit itself, or a commit of the pull request that was moved in unchanged."""
    here = {change.commit for change in changes}
    # Commits of this line may also be those of a pull request to another branch, a release.
    moved = [p for p in pulls if p.merged_at and (not p.merge_commit or p.merge_commit in here)]
    known = {sha: pull for pull in moved for sha in (*pull.commits, pull.head)}
    known |= {pull.merge_commit: pull for pull in pulls}
    known.pop("", None)
    return {change.commit: known[change.commit] for change in changes if change.commit in known}


def _by_number(changes: Sequence[Change], pulls: Sequence[PullRequest]) -> dict[str, PullRequest]:
    """The number in the message; of several changes with one number, the nearest to the merge."""
    known = {pull.number: pull for pull in pulls}
    named: dict[int, list[Change]] = defaultdict(list)
    for change in changes:
        pull = known.get(change.number) if change.number else None
        if pull and (_near(change, pull) or _same_title(change, pull)):
            named[pull.number].append(change)
    return {_nearest(group, known[n]).commit: known[n] for n, group in named.items()}


def _by_text(
    changes: Sequence[Change],
    pulls: Sequence[PullRequest],
    texts: Callable[[PullRequest], Iterable[str]],
    said: Callable[[Change], str],
) -> dict[str, PullRequest]:
    """A text that one pull request has, and one change at about the time of its merge."""
    owners: dict[str, list[PullRequest]] = defaultdict(list)
    for pull in pulls:
        for text in {_plain(text) for text in texts(pull)} - {""}:
            owners[text].append(pull)
    found: dict[tuple[int, str], list[Change]] = defaultdict(list)
    known = {}
    for change in changes:
        near = [pull for pull in owners.get(_plain(said(change)), ()) if _near(change, pull)]
        if len(near) == 1:
            known[near[0].number] = near[0]
            found[near[0].number, _plain(said(change))].append(change)
    single = {key: group[0] for key, group in found.items() if len(group) == 1}
    return {change.commit: known[number] for (number, _), change in single.items()}


def _near(change: Change, pull: PullRequest) -> bool:
    return pull.merged_at is not None and abs(change.date - pull.merged_at) <= _NEAR


def _nearest(changes: list[Change], pull: PullRequest) -> Change:
    """The one closest to the merge; the first one where no merge is known."""
    merged = pull.merged_at or min(change.date for change in changes)
    return min(changes, key=lambda change: (abs(change.date - merged), change.commit))


def _same_title(change: Change, pull: PullRequest) -> bool:
    subject = _plain(change.subject.strip().removesuffix(f"(#{change.number})"))
    title = _plain(pull.title)
    for mark in ("…", "..."):
        if subject.endswith(mark) and len(subject) > 20:  # cut at the length of a subject line
            return title.startswith(subject.removesuffix(mark))
    return bool(subject) and subject == title


def _message(change: Change) -> str:
    return f"{change.subject}\n{change.body}"


def _plain(text: str) -> str:
    return " ".join(text.split()).casefold()
