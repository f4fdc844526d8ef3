"""Foreign files become a clean tree: one writer for archives, commits and plain directories.

Every source hands over plain entries and nothing is unpacked by a tool that could follow a link,
run a filter or set an owner. Links are written last, so no file can be written through one.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath

from regreen.core.errors import UsageError
from regreen.core.task import BASE_AUTHOR

__all__ = ["EPOCH", "EXECUTABLE", "FILE", "LINK", "Entry", "commit_id", "scan", "write_tree"]

FILE, EXECUTABLE, LINK = "100644", "100755", "120000"
EPOCH = 315_532_800
"""Every file's time, 1980-01-01: the earliest a zip archive can hold, so wheels still build."""
MAX_FILES = 200_000
MAX_BYTES = 4 << 30
MAX_DEPTH = 200
_SKIPPED = {
    *(".git", ".hg", ".svn", "__pycache__", ".tox", ".nox", ".venv", "venv", "node_modules"),
    *(".pytest_cache", ".mypy_cache", ".ruff_cache", ".hypothesis"),
}
AUTHOR = BASE_AUTHOR


@dataclass(frozen=True, slots=True)
class Entry:
    """One file or link of a tree, as git sees it."""

    path: str
    """Relative, with forward slashes."""
    mode: str
    """``100644``, ``100755`` or ``120000``."""
    data: bytes
    """Content, or the target of a link."""


def write_tree(entries: Iterable[Entry], target: Path, *, where: str) -> dict[str, tuple[str, str]]:
    """Write entries below an empty directory, all with the same time.

    Returns:
        For each path its mode and git blob id.

    Raises:
        UsageError: an entry would leave the directory, or there is too much of it.
    """
    written: dict[str, tuple[str, str]] = {}
    links: list[Entry] = []
    total = 0
    for entry in entries:
        check_path(entry.path, where=where)
        total += len(entry.data)
        if total > MAX_BYTES or len(written) >= MAX_FILES:
            what = f"the source holds more than {MAX_FILES} files or {MAX_BYTES >> 30} GiB"
            raise UsageError(what, where=where, mend="choose a smaller repository")
        written[entry.path] = (entry.mode, blob_id(entry.data))
        if entry.mode == LINK:
            links.append(entry)
        else:
            _write_file(entry, target, where=where)
    for entry in links:
        place = target / entry.path
        if b"\0" in entry.data:
            what = f"the source holds a link to no path: {entry.path!r}"
            raise UsageError(what, where=where, mend="repair the source")
        if any((target / above).is_symlink() for above in PurePosixPath(entry.path).parents):
            raise _contradiction(entry.path, where)
        place.parent.mkdir(parents=True, exist_ok=True)
        if not place.exists():
            place.symlink_to(os.fsdecode(entry.data))
            os.utime(place, (EPOCH, EPOCH), follow_symlinks=False)
    return written


def _write_file(entry: Entry, target: Path, *, where: str) -> None:
    place = target / entry.path
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(entry.data)
    except (FileExistsError, NotADirectoryError, IsADirectoryError) as exc:
        raise _contradiction(entry.path, where) from exc
    place.chmod(0o755 if entry.mode == EXECUTABLE else 0o644)
    os.utime(place, (EPOCH, EPOCH))


def _contradiction(path: str, where: str) -> UsageError:
    what = f"one path is both a directory and something else: {path}"
    return UsageError(what, where=where, mend="repair the source")


def check_path(path: str, *, where: str) -> None:
    """Refuse a path that is absolute, climbs, hides a git directory, or is nested without end.

    Raises:
        UsageError: it does.
    """
    parts = path.split("/")
    bad = any(part in {"", ".", ".."} or part.lower() == ".git" for part in parts)
    if bad or "\0" in path or "\\" in parts[0] or len(parts) > MAX_DEPTH:
        what = f"the source holds an unsafe path: {path[:200]!r}"
        raise UsageError(what, where=where, mend="do not trust this source")


def link_inside(path: str, target: str) -> bool:
    """Whether a link at ``path`` stays inside the tree."""
    if target.startswith("/"):
        return False
    depth = 0
    for part in (*PurePosixPath(path).parent.parts, *target.split("/")):
        depth += -1 if part == ".." else part not in {"", "."}
        if depth < 0:
            return False
    return True


def scan(root: Path) -> Iterator[Entry]:
    """The entries of a plain directory, without version control, caches and special files."""
    for folder, names, files in os.walk(root):
        names[:] = sorted(set(names) - _SKIPPED)
        linked = [name for name in names if Path(folder, name).is_symlink()]
        for name in sorted(files + linked):
            path = Path(folder, name)
            relative = path.relative_to(root).as_posix()
            if path.is_symlink():
                yield Entry(relative, LINK, os.fsencode(path.readlink()))
            elif path.is_file() and path.suffix != ".pyc":
                mode = EXECUTABLE if os.access(path, os.X_OK) else FILE
                yield Entry(relative, mode, path.read_bytes())


def blob_id(data: bytes) -> str:
    """Git's id of a file's content."""
    return _git_object(b"blob", data).hex()


def commit_id(written: Mapping[str, tuple[str, str]], *, date: datetime, message: str) -> str:
    """The id git would give a first commit of this tree by a fixed author.

    Computed here rather than by ``git add`` so that attributes in the tree cannot change it.
    """
    stamp = f"{AUTHOR} {int(date.timestamp())} +0000"
    text = f"tree {_tree(written).hex()}\nauthor {stamp}\ncommitter {stamp}\n\n{message}\n"
    return _git_object(b"commit", text.encode()).hex()


def _tree(level: Mapping[str, tuple[str, str]]) -> bytes:
    rows: list[tuple[bytes, bytes]] = []
    folders: dict[str, dict[str, tuple[str, str]]] = {}
    for path, (mode, blob) in level.items():
        name, below, rest = path.partition("/")
        if below:
            folders.setdefault(name, {})[rest] = (mode, blob)
        else:
            rows.append(_row(name, mode, bytes.fromhex(blob)))
    rows += [_row(name, "40000", _tree(held)) for name, held in folders.items()]
    return _git_object(b"tree", b"".join(row for _, row in sorted(rows)))


def _row(name: str, mode: str, identity: bytes) -> tuple[bytes, bytes]:
    """A line of a tree object after its sort key: git orders a folder as if it ended in a slash."""
    raw = os.fsencode(name)
    return raw + b"/" * (mode == "40000"), mode.encode() + b" " + raw + b"\0" + identity


def _git_object(kind: bytes, data: bytes) -> bytes:
    header = kind + b" " + str(len(data)).encode() + b"\0"
    return hashlib.sha1(header + data, usedforsecurity=False).digest()
