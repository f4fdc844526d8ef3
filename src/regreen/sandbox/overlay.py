"""Overlay directories as data: what an upper changed, and what stacked lowers show.

The on-disk form is that of the kernel (Documentation/filesystems/overlayfs.rst) when mounted with
``userxattr``: a whiteout is a character device 0/0, which needs no privilege to make, and an opaque
directory carries ``user.overlay.opaque=y``.
"""

from __future__ import annotations

import errno
import filecmp
import os
import shutil
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from regreen.core.errors import AgentError
from regreen.sandbox.layers import OPAQUE, Layer, LayerStore, is_opaque, is_whiteout

__all__ = [
    "Change",
    "copy_difference",
    "copy_layer",
    "copy_merged",
    "merged_file",
    "merged_tree",
    "read_changes",
    "write_layer",
]

MAX_LAYER_BYTES = 4 << 30
MAX_LAYER_ENTRIES = 1_000_000
"""What a frozen upper may hold: sparse files and empty ones cost a box nothing, but their copy."""
_ITS_OWN_FAULT = frozenset((errno.EFBIG, errno.ENAMETOOLONG, errno.ELOOP))

Kind = Literal["file", "symlink", "deleted", "directory", "opaque"]


@dataclass(frozen=True, slots=True)
class Change:
    """One entry of an upper."""

    path: str
    """Relative to the mount, with ``/``; undecodable bytes as surrogates."""
    kind: Kind
    """``opaque`` is a directory that hides what the lowers have below it."""
    executable: bool
    """Whether the owner may execute it; False for all but files."""
    source: Path
    """Where it lies on the host."""


def _open_up(entry: os.DirEntry[str]) -> None:
    """Let an ordinary user read what a box has shut against its own user; root reads anyway."""
    if os.geteuid() == 0 or entry.is_symlink():
        return
    mode = entry.stat(follow_symlinks=False).st_mode
    needed = stat.S_IRWXU if stat.S_ISDIR(mode) else stat.S_IRUSR if stat.S_ISREG(mode) else 0
    if mode & needed != needed:
        with suppress(OSError):
            Path(entry.path).chmod(stat.S_IMODE(mode) | needed)


def _walk(root: Path) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """Entries below ``root`` with their relative paths, parents first, sorted."""
    with os.scandir(root) as entries:
        found = sorted(entries, key=lambda entry: entry.name)
    for entry in found:
        _open_up(entry)
        yield entry.name, entry
        if entry.is_dir(follow_symlinks=False):
            for name, below in _walk(Path(entry.path)):
                yield f"{entry.name}/{name}", below


def read_changes(upper: Path) -> list[Change]:
    """What an upper changes, parents before children, siblings sorted.

    Sockets, pipes and devices other than whiteouts are left out: they are nobody's work.
    """
    changes = []
    for path, entry in _walk(upper):
        info = entry.stat(follow_symlinks=False)
        kind: Kind
        executable = False
        if stat.S_ISLNK(info.st_mode):
            kind = "symlink"
        elif stat.S_ISREG(info.st_mode):
            kind, executable = "file", bool(info.st_mode & stat.S_IXUSR)
        elif stat.S_ISDIR(info.st_mode):
            kind = "opaque" if is_opaque(entry.path) else "directory"
        elif is_whiteout(info):
            kind = "deleted"
        else:
            continue
        changes.append(Change(path, kind, executable, Path(entry.path)))
    return changes


def merged_file(lowers: Sequence[Path], path: str) -> Path | None:
    """The host path of what a stack shows at ``path``, topmost lower first; None when nothing."""
    parts = Path(path).parts
    for lower in lowers:
        here = lower
        for index, part in enumerate(parts):
            here = here / part
            try:
                info = here.lstat()
            except (FileNotFoundError, NotADirectoryError):
                break
            if is_whiteout(info):
                return None
            last = index == len(parts) - 1
            if last:
                return here
            if not stat.S_ISDIR(info.st_mode):
                return None
        else:
            return lower
        if _hides(lower, parts):
            return None
    return None


def _hides(lower: Path, parts: tuple[str, ...]) -> bool:
    """Whether an opaque directory of this lower ends the search for what lies below it."""
    here = lower
    for part in parts[:-1]:
        here = here / part
        if not here.is_dir():
            return False
        if is_opaque(here):
            return True
    return False


def merged_tree(lowers: Sequence[Path]) -> dict[str, Path]:
    """Every file and link that a stack shows, by relative path; topmost lower first."""
    found: dict[str, Path] = {}
    for lower in reversed(lowers):
        for change in read_changes(lower):
            if change.kind in {"deleted", "opaque"}:
                _drop(found, change.path)
            elif change.kind == "directory":
                found.pop(change.path, None)
            else:
                _drop(found, change.path)
                found[change.path] = change.source
    return dict(sorted(found.items()))


def _drop(found: dict[str, Path], path: str) -> None:
    found.pop(path, None)
    prefix = f"{path}/"
    for name in [name for name in found if name.startswith(prefix)]:
        del found[name]


def write_layer(directory: Path, files: Mapping[str, bytes | None]) -> None:
    """Fill ``directory`` with files; None makes a whiteout, so that the path is gone.

    Args:
        directory: made when it is not there.
        files: contents by relative path.

    Raises:
        ValueError: a path leaves the directory.
    """
    directory.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        parts = Path(name).parts
        if not parts or Path(name).is_absolute() or ".." in parts:
            message = f"not a path inside a layer: {name!r}"
            raise ValueError(message)
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileNotFoundError):
            path.unlink()
        if content is None:
            os.mknod(path, stat.S_IFCHR, os.makedev(0, 0))
        else:
            path.write_bytes(content)


def _copy(source: Path, target: Path) -> None:
    """Copy a tree with its whiteouts and opaque marks; modes of files are kept."""
    size = 0
    for number, (path, entry) in enumerate(_walk(source)):
        info = entry.stat(follow_symlinks=False)
        size += info.st_size if stat.S_ISREG(info.st_mode) else 0
        if size > MAX_LAYER_BYTES or number >= MAX_LAYER_ENTRIES:
            raise OSError(errno.EFBIG, "more than a layer may hold", str(source))
        copy = target / path
        if stat.S_ISLNK(info.st_mode):
            copy.symlink_to(Path(entry.path).readlink())
        elif stat.S_ISREG(info.st_mode):
            shutil.copyfile(entry.path, copy)
            copy.chmod(stat.S_IMODE(info.st_mode) | stat.S_IRUSR)
        elif stat.S_ISDIR(info.st_mode):
            copy.mkdir()
            if is_opaque(entry.path):
                os.setxattr(copy, OPAQUE, b"y")
        elif is_whiteout(info):
            os.mknod(copy, stat.S_IFCHR, os.makedev(0, 0))


def copy_merged(lowers: Sequence[Path], target: Path) -> None:
    """Fill ``target`` with what a stack shows, empty directories included; topmost lower first."""
    target.mkdir(parents=True, exist_ok=True)
    for lower in reversed(lowers):
        for change in read_changes(lower):
            place = target / change.path
            if change.kind != "directory" or place.is_symlink() or not place.is_dir():
                _remove(place)
            if change.kind in {"directory", "opaque"}:
                place.mkdir(exist_ok=True)
            elif change.kind == "symlink":
                place.symlink_to(change.source.readlink())
            elif change.kind == "file":
                shutil.copy(change.source, place)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _same(one: Path, other: Path) -> bool:
    """Whether two files or links are alike in kind, content and executable bit."""
    if one.is_symlink() or other.is_symlink():
        alike = one.is_symlink() and other.is_symlink()
        return alike and one.readlink() == other.readlink()
    if (one.stat().st_mode ^ other.stat().st_mode) & stat.S_IXUSR:
        return False
    return filecmp.cmp(one, other, shallow=False)


def copy_difference(lowers: Sequence[Path], tree: Path, store: LayerStore) -> Layer:
    """Freeze what makes ``tree`` differ from a stack, so that the layer on top of it shows it.

    Raises:
        InfrastructureError: the store's disk is full or may not be written to.
    """
    before = merged_tree(lowers)
    after = merged_tree([tree])
    staged = store.stage()
    try:
        for path, source in after.items():
            if path in before and _same(before[path], source):
                continue
            copy = staged / path
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, copy, follow_symlinks=False)
        for path in before.keys() - after.keys():
            # Below what is now a file nothing is left to hide.
            if any(str(above) in after for above in Path(path).parents):
                continue
            (staged / path).parent.mkdir(parents=True, exist_ok=True)
            if not (staged / path).is_dir():
                os.mknod(staged / path, stat.S_IFCHR, os.makedev(0, 0))
        return store.commit(staged)
    except OSError as exc:
        shutil.rmtree(staged, ignore_errors=True)
        raise store.failure(exc) from exc


def copy_layer(upper: Path, store: LayerStore) -> Layer:
    """Freeze what an upper holds now as a layer of ``store``.

    Raises:
        AgentError: it holds more than a layer may.
        InfrastructureError: the store's disk is full or may not be written to.
    """
    staged = store.stage()
    try:
        _copy(upper, staged)
        return store.commit(staged)
    except OSError as exc:
        shutil.rmtree(staged, ignore_errors=True)
        if exc.errno in _ITS_OWN_FAULT:
            what = "the box holds more files, bytes or nested directories than can be frozen"
            limits = f"{MAX_LAYER_ENTRIES} entries, {MAX_LAYER_BYTES >> 30} GiB"
            raise AgentError(what, where=limits) from exc
        raise store.failure(exc) from exc
