"""Records of one or many pages, joined into pull requests by repository and number.

A repository may change its name while it is fetched, so its id decides which names are one; where
all pull requests name one repository, what names none is taken to belong to it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import fields, replace

from regreen.tasks.pulls.closing import DEFAULT_HOST, closed_issues
from regreen.tasks.pulls.records import (
    Comment,
    CommitNote,
    IssueNote,
    Key,
    PullNote,
    Record,
)
from regreen.tasks.pulls.request import Issue, PullRequest

__all__ = ["MISSING_ISSUE", "join"]

MISSING_ISSUE = "an issue that a pull request closes is not in the dump"


def join(records: Sequence[Record]) -> tuple[tuple[PullRequest, ...], Counter[str]]:
    """Pull requests by repository and number, and what was missing, counted.

    Args:
        records: in any order; what comes later about the same thing wins.
    """
    joined = _Joined(_Names(records))
    for record in records:
        joined.add(record)
    return joined.pulls(), joined.missing


class _Names:
    """Which spelling of a repository's name stands for all of them."""

    def __init__(self, records: Iterable[Record]) -> None:
        self._by_id: dict[str, str] = {}
        self._by_name: dict[str, str] = {}
        ids: dict[str, str] = {}
        all_names: dict[str, None] = {}
        for record in records:
            name = record.key.repo if record.key else ""
            all_names[name] = None
            if isinstance(record, PullNote) and record.repo_id:
                ids[name] = f"#{record.repo_id}"
                self._by_id[ids[name]] = name
        pulls = {r.key.repo for r in records if isinstance(r, PullNote)} - {""}
        for name in (*ids, *all_names):
            known = self._by_id.get(ids.get(name, name), name)
            self._by_name.setdefault(name.lower(), known)
        named = {self._by_name[name.lower()] for name in pulls or all_names if name}
        self._only = named.pop() if len(named) == 1 else ""

    def key(self, key: Key) -> Key:
        """The key under the one name."""
        return Key(self._by_name.get(key.repo.lower(), key.repo) or self._only, key.number)


class _Joined:
    """Everything by key; one name for each repository."""

    def __init__(self, names: _Names) -> None:
        self.missing: Counter[str] = Counter()
        self._names = names
        self._pulls: dict[Key, PullNote] = {}
        self._issues: dict[Key, IssueNote] = {}
        self._comments: dict[Key, dict[tuple[bool, str], Comment]] = defaultdict(dict)
        self._loose: dict[str, CommitNote] = {}
        self._owned: dict[Key, dict[str, CommitNote]] = defaultdict(dict)
        self._closed: dict[str, list[Key]] = defaultdict(list)

    def add(self, record: Record) -> None:
        """Take one record."""
        key = self._names.key(record.key) if record.key else None
        if isinstance(record, CommitNote):
            (self._owned[key] if key else self._loose)[record.sha] = record
        elif key is None:
            return
        elif isinstance(record, PullNote):
            known = self._pulls.get(key)
            self._pulls[key] = _newer(known, record) if known else record
        elif isinstance(record, IssueNote):
            self._issues[key] = record
        elif isinstance(record, Comment):
            self._comments[key][record.is_review, record.identity] = record
        else:
            self._closed[record.sha].append(key)

    def pulls(self) -> tuple[PullRequest, ...]:
        """All of them, by repository and number."""
        return tuple(self._compose(key, note) for key, note in sorted(self._pulls.items()))

    def _compose(self, key: Key, note: PullNote) -> PullRequest:
        commits = list(self._owned[key].values()) if key in self._owned else self._walk(note)
        issues = self._closes(key, note, commits)
        return PullRequest(
            repo=key.repo,
            number=key.number,
            title=note.title or "",
            body=note.body or "",
            merge_commit=note.merge_commit or "",
            base=note.base or "",
            head=note.head or "",
            merged_at=note.merged_at,
            labels=note.labels or (),
            commits=tuple(commit.sha for commit in commits),
            messages=tuple(commit.message for commit in commits),
            issues=tuple(map(self._issue, issues)),
            reviews=tuple(c.text for c in self._said(key) if c.is_review),
            hints=self._hints([*issues, key], note, commits),
        )

    def _issue(self, key: Key) -> Issue:
        note = self._issues[key]
        comments = tuple(comment.text for comment in self._said(key))
        return Issue(
            repo=key.repo, number=key.number, title=note.title, body=note.body, comments=comments
        )

    def _hints(self, keys: list[Key], note: PullNote, commits: list[CommitNote]) -> str:
        """What was said below issues and pull request before the first commit was written."""
        written = [commit.at for commit in commits if commit.at]
        first = min(written) if written else note.created_at
        if first is None:
            return ""
        said = [one for key in keys for one in self._said(key) if not one.is_review]
        early = sorted((one for one in said if one.at and one.at < first), key=_order)
        return "\n\n".join(one.text.strip() for one in early)

    def _said(self, key: Key) -> list[Comment]:
        """What people said below an issue or a pull request, oldest first."""
        group = self._comments[key].values() if key in self._comments else ()
        return sorted((c for c in group if c.text.strip() and not c.by_bot), key=_order)

    def _closes(self, key: Key, note: PullNote, commits: list[CommitNote]) -> list[Key]:
        """The issues it closes that are here: GitHub's own word, then texts, then events."""
        texts = (note.title or "", note.body or "", *(commit.message for commit in commits))
        named = closed_issues(texts, repo=key.repo, host=note.host or DEFAULT_HOST)
        told = (*(note.closes or ()), *(Key(*one) for one in named))
        shas = dict.fromkeys((note.merge_commit or "", *(commit.sha for commit in commits)))
        events = [one for sha in shas for one in self._closed.get(sha, ())]
        found = []
        for one in dict.fromkeys((*map(self._names.key, told), *events)):
            if one in self._issues:
                found.append(one)
            elif one not in self._pulls:  # a pull request can close another, which is no issue
                self.missing[MISSING_ISSUE] += 1
        return found

    def _walk(self, note: PullNote) -> list[CommitNote]:
        """Loose commits that its head reaches and its base does not, oldest first."""
        others = set(self._reach(note.base or ""))
        own = [sha for sha in self._reach(note.head or "") if sha not in others]
        return [self._loose[sha] for sha in reversed(own)]

    def _reach(self, sha: str) -> list[str]:
        seen: dict[str, None] = {}
        waiting = [sha]
        while waiting:
            one = waiting.pop()
            if one in self._loose and one not in seen:
                seen[one] = None
                waiting.extend(self._loose[one].parents)
        return list(seen)


def _newer(known: PullNote, note: PullNote) -> PullNote:
    said = {one.name: getattr(note, one.name) for one in fields(note)}
    return replace(known, **{name: value for name, value in said.items() if value is not None})


def _order(comment: Comment) -> tuple[float, str]:
    return (comment.at.timestamp() if comment.at else float("inf"), comment.identity)
