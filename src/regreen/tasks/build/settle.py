"""Make what a build left fit for a layer: the same build gives the same digest.

Installers write times and bytecode; neither says anything about the environment. Everything here
was written by foreign code, so no link is followed.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
from pathlib import Path

from packaging.utils import canonicalize_name

__all__ = ["keep_changes", "keep_headers", "settle_environment"]

_JUNK_FOLDERS = {"__pycache__", ".pytest_cache", ".git", ".eggs", ".mypy_cache", ".ruff_cache"}
_JUNK_FILES = {"uv_cache.json", ".lock", "CACHEDIR.TAG"}


def settle_environment(root: Path, *, own: str = "") -> None:
    """Remove bytecode, locks and times below an environment, and order its RECORD files.

    Args:
        root: of the environment.
        own: name of the project it is for; the long description in its metadata is left out, for
            it may tell of changes that are still to be made.
    """
    for folder, names, files in os.walk(root):
        for name in [one for one in names if one in _JUNK_FOLDERS]:
            names.remove(name)
            _remove(Path(folder, name))
        for name in files:
            path = Path(folder, name)
            if name in _JUNK_FILES or name.endswith((".pyc", ".pyo")):
                path.unlink()
            elif name == "RECORD" and not path.is_symlink():
                _order_record(path)
            elif name == "METADATA" and _is_of(path, own):
                keep_headers(path)


def _is_of(path: Path, own: str) -> bool:
    """Whether metadata is a project's."""
    name = path.parent.name.rpartition(".")[0].partition("-")[0]
    return bool(own) and canonicalize_name(name) == canonicalize_name(own)


def keep_headers(path: Path) -> None:
    """Leave the long description out of metadata: a header of old formats, else what follows."""
    headers = path.read_bytes().partition(b"\n\n")[0].rstrip(b"\n") + b"\n"
    path.write_bytes(re.sub(rb"(?m)^Description:.*\n(?:[ \t].*\n)*", b"", headers))


def _order_record(path: Path) -> None:
    rows = path.read_text("utf-8", errors="surrogateescape").splitlines()
    kept = sorted(row for row in rows if not _is_junk(row.partition(",")[0]))
    path.write_text("\n".join(kept) + "\n", "utf-8", errors="surrogateescape")


def _is_junk(name: str) -> bool:
    return name.endswith((".pyc", ".pyo", *(f"/{one}" for one in _JUNK_FILES)))


def keep_changes(changes: Path, tree: Path, target: Path) -> bool:
    """Copy what a build really added or changed in the tree: no caches, nothing unchanged.

    Deletions are not kept: a build has no business deleting what it was given. Nor is a PKG-INFO at
    the root, which only told the back end a version, nor a list of sources: it may be younger than
    a task, and name the files of its repair.

    Args:
        changes: the snapshot of the build's upper.
        tree: the tree it was built from.
        target: empty directory that receives the changes.

    Returns:
        Whether there was anything.
    """
    found = False
    for folder, names, files in os.walk(changes):
        here = Path(folder).relative_to(changes)
        names[:] = sorted(
            one
            for one in names
            if one not in _JUNK_FOLDERS
            and not (one == "build" and not (tree / here / one).exists())
        )
        links = [one for one in names if Path(folder, one).is_symlink()]
        for name in sorted(files + links):
            path = Path(folder, name)
            if name == "SOURCES.txt" and here.suffix == ".egg-info":
                continue
            ours = name == "PKG-INFO" and not here.parts and not (tree / name).exists()
            if ours or name.endswith((".pyc", ".pyo")) or _unchanged(path, tree / here / name):
                continue
            mode = path.lstat().st_mode
            if stat.S_ISREG(mode) or stat.S_ISLNK(mode):
                (target / here).mkdir(parents=True, exist_ok=True)
                shutil.copy2(path, target / here / name, follow_symlinks=False)
                if name == "PKG-INFO" and stat.S_ISREG(mode):
                    keep_headers(target / here / name)
                found = True
    return found


def _unchanged(path: Path, before: Path) -> bool:
    if path.is_symlink() or before.is_symlink() or not path.is_file() or not before.is_file():
        return False
    same = path.stat().st_size == before.stat().st_size
    return same and path.read_bytes() == before.read_bytes()


def _remove(path: Path) -> None:
    path.unlink() if path.is_symlink() else shutil.rmtree(path)
