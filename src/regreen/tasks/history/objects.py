"""Commits, trees and files of a repository, read through one git process that stays open.

A job asks for tens of thousands of objects; a process for each would cost more than the tests.
Nothing is checked out, and an object that is absent or says nothing that git would write is an
answer, not a crash.
"""

from __future__ import annotations

import subprocess
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TypeVar

from regreen.core.errors import TaskError
from regreen.tasks.repo.git import reading
from regreen.tasks.repo.tree import EXECUTABLE, FILE, MAX_FILES

__all__ = ["FOLDER", "Commit", "Missing", "Objects", "Tree", "bounded"]

Tree = dict[str, tuple[str, str]]
"""Path -> (git's mode, object id); submodules have mode ``160000``."""
FOLDER = "40000"
_CACHE_BYTES = 64 << 20
_Item = TypeVar("_Item")


class Missing(TaskError):
    """What the repository should hold and does not: a shallow clone, or damaged objects.

    Args:
        what: which.
        where: the repository or commit.
        mend: what to do about it.
        first: whether nothing can be there, because it would come before the first commit.
    """

    def __init__(self, what: str, *, where: str, mend: str = "", first: bool = False) -> None:
        super().__init__(what, where=where, mend=mend)
        self.first = first


@dataclass(frozen=True, slots=True)
class Commit:
    """What a commit object says."""

    tree: str
    """Id of its tree."""
    parents: tuple[str, ...]
    """Ids of its parents, in order."""
    time: int
    """When it was committed, seconds since 1970."""
    message: str
    """Its whole message; undecodable bytes replaced."""


class Objects:
    """Reads objects by id; close it when done.

    Args:
        repository: work tree or git directory.
    """

    def __init__(self, repository: Path) -> None:
        self.repository = repository
        self._process: subprocess.Popen[bytes] | None = None
        self._kept: OrderedDict[str, bytes] = OrderedDict()
        self._size = 0

    def read(self, identity: str) -> bytes:
        """Content of an object.

        Raises:
            Missing: the repository does not hold it, or it is damaged.
        """
        if identity in self._kept:
            self._kept.move_to_end(identity)
            return self._kept[identity]
        _, data = self._ask(identity)
        self._kept[identity] = data
        self._size += len(data)
        while self._size > _CACHE_BYTES and len(self._kept) > 1:
            self._size -= len(self._kept.popitem(last=False)[1])
        return data

    def commit(self, identity: str) -> Commit:
        """A commit.

        Raises:
            Missing: it is not there, or malformed.
        """
        kind, data = self._ask(identity)
        if kind != "commit":
            what = f"{identity[:12]} is a {kind}, not a commit"
            raise Missing(what, where=str(self.repository))
        try:
            return _commit(data)
        except (LookupError, ValueError) as exc:
            raise self._malformed(identity) from exc

    def folder(self, identity: str) -> Tree:
        """Entries of one tree object, folders among them.

        Raises:
            Missing: it is not there, or is none.
        """
        try:
            found = _entries(self.read(identity))
        except ValueError as exc:
            raise self._malformed(identity) from exc
        return {name: (mode, entry) for mode, name, entry in found}

    def tree(self, commit: str) -> Tree:
        """Every file, link and submodule of a commit, sorted by path.

        Raises:
            Missing: a part of it is not there, or it holds more than any tree may.
        """
        where = str(self.repository)
        return dict(sorted(bounded(self._files(self.commit(commit).tree), where=where)))

    def _files(self, root: str) -> Iterator[tuple[str, tuple[str, str]]]:
        waiting = [("", root)]
        while waiting:
            prefix, tree = waiting.pop()
            for name, (mode, entry) in self.folder(tree).items():
                if mode == FOLDER:
                    waiting.append((f"{prefix}{name}/", entry))
                else:
                    yield prefix + name, (mode, entry)

    def _malformed(self, identity: str) -> Missing:
        what = f"object {identity[:12]} is malformed"
        return Missing(what, where=str(self.repository), mend="git fsck")

    def _ask(self, identity: str) -> tuple[str, bytes]:
        process = self._running()
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(identity.encode() + b"\n")
            process.stdin.flush()
            head = process.stdout.readline().decode().split()
            if len(head) == 3:
                return head[1], _exactly(process.stdout, int(head[2]))
        except (OSError, ValueError, EOFError):
            head = []
        if not head:  # git leaves on a damaged object; the next question starts another
            self.close()
        what = f"the repository lacks object {identity[:12]}, or it is damaged"
        raise Missing(what, where=str(self.repository), mend="make a full clone; git fsck")

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._process.poll() is not None:
            self._process = reading(self.repository, "cat-file", "--batch")
        return self._process

    def close(self) -> None:
        """End the process; a later question starts it again."""
        if self._process is None:
            return
        for stream in (self._process.stdin, self._process.stdout):
            if stream:
                stream.close()
        self._process.kill()
        self._process.wait()
        self._process = None


def _exactly(stream: IO[bytes], size: int) -> bytes:
    data = stream.read(size)
    if len(data) != size or stream.read(1) != b"\n":
        raise EOFError
    return data


def bounded(entries: Iterator[_Item], *, where: str) -> Iterator[_Item]:
    """Entries, as long as a tree may have so many: equal folders make 10^10 files of 11 objects.

    Raises:
        Missing: there are more.
    """
    for count, one in enumerate(entries):
        if count == MAX_FILES:
            what = f"a tree of it holds more than {MAX_FILES} files"
            raise Missing(what, where=where)
        yield one


def _commit(data: bytes) -> Commit:
    head, _, message = data.partition(b"\n\n")
    fields = [line.partition(b" ")[::2] for line in head.split(b"\n")]
    encoding = dict(fields).get(b"encoding", b"utf-8").decode("ascii", "replace")
    return Commit(
        tree=dict(fields)[b"tree"].decode(),
        parents=tuple(value.decode() for name, value in fields if name == b"parent"),
        time=int(dict(fields)[b"committer"].rsplit(b" ", 2)[1]),
        message=_decoded(message, encoding),
    )


def _entries(data: bytes) -> list[tuple[str, str, str]]:
    """Mode, name and id of each entry of a tree object."""
    found, start = [], 0
    while start < len(data):
        space = data.index(b" ", start)
        end = data.index(b"\0", space)
        name = data[space + 1 : end].decode("utf-8", "surrogateescape")
        found.append((_mode(data[start:space]), name, data[end + 1 : end + 21].hex()))
        start = end + 21
        if start > len(data):
            raise ValueError
    return found


def _mode(text: bytes) -> str:
    """The mode that git takes it for: old tools wrote ``040000`` and ``100664``."""
    bits = int(text, 8)
    if bits >> 12 == 0o10:
        return EXECUTABLE if bits & 0o100 else FILE
    return f"{bits & 0o170000:o}"


def _decoded(message: bytes, encoding: str) -> str:
    try:
        text = message.decode(encoding)
    except (LookupError, ValueError):
        text = message.decode("utf-8", "replace")
    return text.encode("utf-8", "replace").decode()  # some encodings spell halves of a character
