"""Source distributions, opened without trusting them: tar.gz or zip, one top-level folder.

Python's own extractors are not used: their safe modes differ between the versions we support.
"""

from __future__ import annotations

import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from regreen.core.errors import RegreenError, UsageError
from regreen.tasks.repo.tree import EXECUTABLE, FILE, LINK, MAX_BYTES, MAX_FILES, Entry, link_inside

__all__ = ["newest_time", "read_archive"]

_BROKEN = (tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError, OSError)


def read_archive(archive: Path) -> Iterator[Entry]:
    """The files of a source distribution, without its top-level folder.

    Raises:
        UsageError: it holds a device, a link that leaves it, or an absolute path.
        RegreenError: it is damaged.
    """
    opened = _zip(archive) if archive.suffix == ".zip" else _tar(archive)
    try:
        for entry in opened:
            if entry.path:
                yield entry
    except _BROKEN as exc:
        mend = f"remove {archive} and run again"
        what = "the archive is damaged"
        raise RegreenError(what, where=str(archive), mend=mend) from exc


def newest_time(archive: Path) -> datetime:
    """The latest modification time inside; stands in for an upload time the index does not tell."""
    if archive.suffix == ".zip":
        with zipfile.ZipFile(archive) as opened:
            return max(datetime(*info.date_time, tzinfo=UTC) for info in opened.infolist())
    with tarfile.open(archive) as tar:
        return datetime.fromtimestamp(max(member.mtime for member in tar), UTC)


def _tar(archive: Path) -> Iterator[Entry]:
    with tarfile.open(archive) as tar:
        total = 0
        for count, member in enumerate(tar):
            total += member.size
            _check_size(count, total, archive)
            if member.isdir():
                continue
            path = _inner(member.name, archive)
            if member.issym():
                yield _link(path, member.linkname, archive)
            elif member.isfile() or member.islnk():
                yield Entry(path, _mode(member.mode), _content(tar, member, archive))
            else:
                what = f"{member.name} is neither a file nor a link"
                raise _unsafe(what, archive)


def _content(tar: tarfile.TarFile, member: tarfile.TarInfo, archive: Path) -> bytes:
    try:
        handle = tar.extractfile(member)
    except KeyError:
        handle = None
    if handle is None:
        what = f"{member.name} links to nothing inside"
        raise _unsafe(what, archive)
    with handle:
        return handle.read()


def _zip(archive: Path) -> Iterator[Entry]:
    with zipfile.ZipFile(archive) as opened:
        total = 0
        for count, info in enumerate(opened.infolist()):
            total += info.file_size
            _check_size(count, total, archive)
            if info.is_dir():
                continue
            path, mode = _inner(info.filename, archive), info.external_attr >> 16
            data = opened.read(info)
            if stat.S_ISLNK(mode):
                yield _link(path, data.decode("utf-8", "surrogateescape"), archive)
            else:
                yield Entry(path, _mode(mode), data)


def _inner(name: str, archive: Path) -> str:
    """The path below the top-level folder; the writer refuses what is still unsafe."""
    if name.startswith("/") or ".." in name.split("/"):
        what = f"{name} leaves the archive"
        raise _unsafe(what, archive)
    parts = [part for part in name.split("/") if part not in {"", "."}]
    return "" if ".git" in parts else "/".join(parts[1:])


def _link(path: str, target: str, archive: Path) -> Entry:
    if not link_inside(path, target):
        what = f"{path} links to {target}, outside the archive"
        raise _unsafe(what, archive)
    return Entry(path, LINK, target.encode("utf-8", "surrogateescape"))


def _mode(mode: int) -> str:
    return EXECUTABLE if mode & stat.S_IXUSR else FILE


def _check_size(count: int, total: int, archive: Path) -> None:
    if count > MAX_FILES or total > MAX_BYTES:
        what = "it unpacks to too much"
        raise _unsafe(what, archive)


def _unsafe(why: str, archive: Path) -> UsageError:
    what = f"the archive is not safe to unpack: {why}"
    return UsageError(what, where=str(archive), mend="do not trust this source")
