"""The changes of a repository's main line, oldest first, from its commits alone.

Each first-parent step is one change, so a merge or squash of a pull request is one, whatever was
committed on its branch. Side branches are walked once, for their messages. Where one main line was
merged into another the line is both: whoever was fast-forwarded to the merge is its second parent.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from regreen.core.errors import RegreenError, UsageError
from regreen.tasks.history.change import Change, FileChange, Kind
from regreen.tasks.history.messages import is_sync, read_message
from regreen.tasks.history.objects import FOLDER, Commit, Missing, Objects, bounded
from regreen.tasks.repo.git import git, resolve_commit

__all__ = ["History", "differing", "read_list"]

_ABSENT = ("000000", "0" * 40)
_YEARS = (1900, 9999)
_RANGE = re.compile(r"(\S+?)\.\.(\S+)")


@dataclass(frozen=True, slots=True)
class _Way:
    """A commit to go on from."""

    name: str
    """Which."""
    inside: frozenset[str] | None = None
    """Commits that no other part of the line counts; None for the line itself."""

    def holds(self, name: str) -> bool:
        return self.inside is None or name in self.inside


class History:
    """The main line that ends at one commit.

    Args:
        objects: of the repository.
        head: commit, tag or branch it ends at; HEAD when None.
        where: the source, for error messages.

    Raises:
        UsageError: there is no such commit.
    """

    def __init__(self, objects: Objects, *, head: str | None = None, where: str) -> None:
        self.objects = objects
        self.head = resolve_commit(objects.repository, head, where=where)
        self.where = where
        self.shallow = git(objects.repository, "rev-parse", "--is-shallow-repository") == "true"

    def line(self, *, since: datetime | None = None) -> list[str]:
        """Commits of the main line, oldest first; all, or those since a date.

        A merge of another main line has the steps of that one right before it.
        Where a commit is damaged or missing the line begins with it: what came before cannot be
        found any more. The edge of a shallow clone is no damage.
        """
        found: list[str] = []
        waiting = [_Way(self.head)]
        while waiting:
            way = waiting.pop()
            try:
                read = self.objects.commit(way.name)
            except Missing:
                found += [] if self.shallow else [way.name]
                continue
            if since and read.time < since.timestamp():
                continue
            found.append(way.name)
            if read.parents and way.holds(read.parents[0]):
                waiting.append(_Way(read.parents[0], way.inside))
            waiting += self._merged(read, way)
        return found[::-1]

    def _merged(self, read: Commit, way: _Way) -> Iterator[_Way]:
        """The main lines that a commit merges into this one, what is counted already left out."""
        if len(read.parents) < 2 or not is_sync(read_message(read.message, merge=True).subject):
            return
        for place, other in enumerate(read.parents[1:], start=1):
            beyond = (f"^{one}" for one in read.parents[:place])
            try:
                new = git(self.objects.repository, "rev-list", other, *beyond).split()
            except RegreenError:
                new = [other]  # reading it tells what is damaged
            inside = frozenset(filter(way.holds, new))
            if other in inside:
                yield _Way(other, inside)

    def changes(self, commits: Iterable[str]) -> Iterator[Change | tuple[str, Missing]]:
        """The change that each commit made; what cannot be read comes as its name and why."""
        for commit in commits:
            try:
                yield self.change(commit)
            except Missing as exc:
                yield commit, exc

    def change(self, name: str) -> Change:
        """One step of the line, or the range ``A..B`` as one change.

        Raises:
            Missing: a commit or tree of it is not there, or there is nothing before it.
        """
        found = _RANGE.fullmatch(name)
        if found:
            base, commit = (self._resolve(part) for part in found.groups())
            return self._joined(base, commit)
        commit = self._resolve(name)
        read = self.objects.commit(commit)
        if not read.parents:
            what = "nothing comes before the first commit"
            raise Missing(what, where=commit, first=True)
        merge = len(read.parents) > 1
        told = read_message(read.message, merge=merge)
        kind: Kind = "merge" if merge else "squash" if told.number is not None else "commit"
        return Change(
            commit=commit,
            base=read.parents[0],
            kind=kind,
            number=told.number,
            subject=told.subject,
            body=told.body,
            messages=(),
            date=_date(read, commit),
            files=self._files(read.parents[0], commit),
        )

    def _joined(self, base: str, commit: str) -> Change:
        last = self.objects.commit(commit)
        told = read_message(last.message, merge=len(last.parents) > 1)
        return Change(
            commit=commit,
            base=base,
            kind="range",
            number=told.number,
            subject=told.subject,
            body=told.body,
            messages=(),
            date=_date(last, commit),
            files=self._files(base, commit),
        )

    def _resolve(self, name: str) -> str:
        if re.fullmatch(r"[0-9a-f]{40}", name):
            return name
        try:
            return resolve_commit(self.objects.repository, name, where=self.where)
        except UsageError as exc:
            raise Missing(exc.what, where=self.where, mend=exc.mend) from exc

    def with_messages(self, change: Change) -> Change:
        """The change with the messages of what it merged or joined, merges themselves left out.

        Raises:
            Missing: a commit of it is not there.
        """
        if change.kind not in ("merge", "range"):
            return change
        asked = ("rev-list", "--no-merges", "--reverse", "--max-count=200")
        try:
            listed = git(self.objects.repository, *asked, change.commit, f"^{change.base}").split()
        except RegreenError as exc:
            raise Missing(exc.what, where=change.commit) from exc
        found = (self.objects.commit(one).message for one in listed if one != change.commit)
        return replace(change, messages=tuple(found))

    def _files(self, base: str, commit: str) -> tuple[FileChange, ...]:
        before, after = self.objects.commit(base).tree, self.objects.commit(commit).tree
        found = bounded(differing(self.objects, before, after), where=commit)
        return tuple(sorted(found, key=lambda one: one.path))


def differing(objects: Objects, before: str, after: str) -> Iterator[FileChange]:
    """What differs between two tree objects; equal folders are not opened.

    Raises:
        Missing: a tree is not there.
    """
    waiting: list[tuple[str, str | None, str | None]] = [("", before, after)]
    while waiting:
        prefix, *trees = waiting.pop()
        old, new = (objects.folder(tree) if tree else {} for tree in trees)
        for name in {*old, *new}:
            one, other = old.get(name, _ABSENT), new.get(name, _ABSENT)
            if one == other:
                continue
            left, right = (entry[1] if entry[0] == FOLDER else None for entry in (one, other))
            if left or right:
                waiting.append((f"{prefix}{name}/", left, right))
            one, other = (_ABSENT if entry[0] == FOLDER else entry for entry in (one, other))
            if one != other:
                yield FileChange(
                    path=prefix + name,
                    old_mode=one[0],
                    new_mode=other[0],
                    old_blob=one[1],
                    new_blob=other[1],
                )


def read_list(path: Path) -> list[str]:
    """Commits named in a file, one a line, ``#`` begins a comment; ranges as ``A..B``.

    Raises:
        UsageError: it cannot be read, or names none.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as exc:
        what = f"the list of commits cannot be read: {exc}"
        raise UsageError(what, where=str(path), mend="give a text file, one commit a line") from exc
    names = [line.partition("#")[0].strip() for line in lines]
    names = list(dict.fromkeys(name for name in names if name))
    if not names or any(name.startswith("-") or " " in name for name in names):
        what = "this is no list of commits"
        raise UsageError(what, where=str(path), mend="write one commit a line")
    return names


def _date(commit: Commit, name: str) -> datetime:
    """When it was committed.

    Raises:
        Missing: in a year that no package index knows and no calendar counts on from.
    """
    try:
        found = datetime.fromtimestamp(commit.time, UTC)
        if found.year in range(*_YEARS):
            return found
    except (OverflowError, ValueError, OSError):
        pass
    what = f"its date is out of range: {commit.time} seconds after 1970"
    raise Missing(what, where=name)
