"""Whether a change or a task is one of those that a list names, whoever wrote the row.

A pull request's number is enough where the repository agrees, a commit is enough by itself, and
content is compared in case a list names neither: the same added code, or nearly the same words.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from regreen.core.task import Task
from regreen.tasks.labels.known import Entry, entry_of_id, read_known
from regreen.tasks.tell.fixlines import is_prose
from regreen.tasks.tell.specified import unspecified

__all__ = ["SIMILAR", "Known", "Overlap", "decontaminated", "load_known"]

Kind = Literal["instance_id", "number", "commit", "patch", "statement"]
SIMILAR = 0.8
"""Share of word groups that two statements have in common, from which they are the same."""
_GROUP = 5  # words
_FEW_WORDS = 12
_LEAST_CODE = 30  # characters of added code; less is too common to tell a change


@dataclass(frozen=True, slots=True)
class Overlap:
    """Why something is on a list."""

    kind: Kind
    """What agreed."""
    entry: str
    """The list's name of the problem."""

    @property
    def reason(self) -> str:
        """One sentence."""
        return f"same {self.kind.replace('_', ' ')} as {self.entry}"


@dataclass(slots=True)
class Known:
    """Everything on the lists, indexed; built by :func:`load_known`."""

    size: int = 0
    _ids: dict[str, str] = field(default_factory=dict)
    _numbers: dict[tuple[str, int], list[tuple[str, str]]] = field(
        default_factory=lambda: defaultdict(list)
    )
    _commits: dict[str, list[tuple[str, str]]] = field(default_factory=lambda: defaultdict(list))
    _patches: dict[str, str] = field(default_factory=dict)
    _statements: list[tuple[frozenset[int], str]] = field(default_factory=list)
    _groups: dict[int, list[int]] = field(default_factory=lambda: defaultdict(list))
    _short: dict[str, str] = field(default_factory=dict)

    def add(self, entry: Entry) -> None:
        """Take in one problem."""
        self.size += 1
        if entry.instance_id:
            self._ids.setdefault(entry.instance_id.lower(), entry.name)
        if entry.number is not None and entry.repo:
            key = (entry.repo.rpartition("/")[2], entry.number)
            self._numbers[key].append((entry.repo, entry.name))
        for commit in entry.commits:
            self._commits[commit[:7]].append((commit, entry.name))
        if code := _patch_key(entry.patch):
            self._patches.setdefault(code, entry.name)
        if entry.statement:
            self._add_statement(entry.statement, entry.name)

    def _add_statement(self, text: str, name: str) -> None:
        words = _words(text)
        if len(words) < _FEW_WORDS:
            self._short.setdefault(" ".join(words), name)
            return
        groups = _groups(words)
        for group in _prefix(groups):
            self._groups[group].append(len(self._statements))
        self._statements.append((groups, name))

    def of_change(self, *, repo: str, number: int | None, commits: Iterable[str]) -> Overlap | None:
        """Whether a change is listed, before anything of it is built.

        Args:
            repo: ``owner/name``, or the name alone: then any owner's agrees.
            number: of its pull request.
            commits: it starts from and ends in.
        """
        for commit in commits:
            for other, name in self._commits.get(commit[:7].lower(), ()):
                if other.startswith(commit.lower()) or commit.lower().startswith(other):
                    return Overlap("commit", name)
        if number is None:
            return None
        mine = repo.lower()
        for other, name in self._numbers.get((mine.rpartition("/")[2], number), ()):
            if other == mine or "/" not in other or "/" not in mine:
                return Overlap("number", name)
        return None

    def of_content(self, *, patch: str, statement: str) -> Overlap | None:
        """Whether a gold patch adds the same code, or a statement says nearly the same words."""
        if name := self._patches.get(_patch_key(patch)):
            return Overlap("patch", name)
        words = _words(unspecified(statement))
        if len(words) < _FEW_WORDS:
            name = self._short.get(" ".join(words), "")
            return Overlap("statement", name) if name and len(words) > 3 else None
        groups = _groups(words)
        near = {index for group in _prefix(groups) for index in self._groups.get(group, ())}
        for index in sorted(near):
            other, name = self._statements[index]
            if len(groups & other) >= SIMILAR * len(groups | other):
                return Overlap("statement", name)
        return None

    def of_task(self, task: Task) -> Overlap | None:
        """Whether a row is listed, by what it is called, where it starts, or what it holds."""
        if name := self._ids.get(task.instance_id.lower()):
            return Overlap("instance_id", name)
        told = entry_of_id(task.instance_id)
        commits = (task.base_commit, *told.commits)
        found = self.of_change(repo=task.repo, number=told.number, commits=commits)
        return found or self.of_content(patch=task.patch, statement=task.problem_statement)


def load_known(paths: Iterable[Path]) -> Known:
    """Index the problems of files.

    Raises:
        UsageError: a file cannot be read or names no problem.
    """
    known = Known()
    for path in paths:
        for entry in read_known(path):
            known.add(entry)
    return known


def decontaminated(tasks: Iterable[Task], known: Known) -> Iterator[tuple[Task, Overlap | None]]:
    """Each task with why it must go, or None; any number of them, one at a time."""
    for task in tasks:
        yield task, known.of_task(task)


def _patch_key(patch: str) -> str:
    """Digest of the code a patch adds, whatever its spaces and file order; empty for too little."""
    files: dict[str, list[str]] = {}
    lines: list[str] = []
    inside = False
    for line in patch.splitlines():
        if line.startswith("diff --git "):
            path = line.rpartition(" b/")[2].strip('"')
            inside, lines = False, []
            if not is_prose(path):
                files[path] = lines
        elif line.startswith("@@"):
            inside = True
        elif inside and line[:1] == "+":
            bare = re.sub(r"\s+", "", line[1:])
            if bare and not bare.startswith("#"):
                lines.append(bare)
    texts = sorted("\n".join(added) for added in files.values() if added)
    whole = "\n\n".join(texts)
    return hashlib.sha256(whole.encode()).hexdigest() if len(whole) >= _LEAST_CODE else ""


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


def _groups(words: list[str]) -> frozenset[int]:
    """Every run of five words, hashed."""
    runs = {" ".join(words[i : i + _GROUP]) for i in range(max(1, len(words) - _GROUP + 1))}
    return frozenset(
        int.from_bytes(hashlib.blake2b(run.encode(), digest_size=8).digest()) for run in runs
    )


def _prefix(groups: frozenset[int]) -> list[int]:
    """The groups to look up: two sets that are similar enough share one of each other's.

    Of sets in one common order, those beyond the share that may differ are enough (prefix filter:
    Chaudhuri, Ganti and Kaushik, ICDE 2006).
    """
    least = math.ceil(SIMILAR * len(groups))
    return sorted(groups)[: len(groups) - least + 1]
