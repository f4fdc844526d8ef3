"""Folders read to any depth: with a stack of our own, because Python's walk recurses.

A made-up tree may be deeper than the interpreter recurses and its paths longer than the system
takes; either is a folder that cannot be read and never the end of a scan.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

__all__ = ["Folder", "files_below", "folders_of", "reason_of"]

Folder = tuple[Path, list[str], list[str]]
"""A folder, the links to folders in it, and everything else in it that is no folder."""


def folders_of(root: Path, failed: Callable[[Path, str], None]) -> Iterator[Folder]:
    """Every folder from a root down, in order; links are not followed.

    Args:
        root: where to begin.
        failed: called with a folder that cannot be read, and the reason.
    """
    stack = [root]
    while stack:
        here = stack.pop()
        folders, files, links = list[str](), list[str](), list[str]()
        try:
            with os.scandir(here) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(entry.name)
                    elif entry.is_symlink() and _leads_to_folder(entry):
                        links.append(entry.name)
                    else:
                        files.append(entry.name)
        except OSError as exc:
            failed(here, reason_of(exc))
        yield here, sorted(links), sorted(files)
        stack += [here / name for name in sorted(folders, reverse=True)]


def files_below(folder: Path) -> list[Path]:
    """Regular files in a folder at any depth, links to files among them; none where it is none."""
    found = (
        here / name
        for here, _, files in folders_of(folder, lambda _path, _reason: None)
        for name in files
    )
    return sorted(path for path in found if os.path.isfile(path))  # noqa: PTH113 - never raises


def reason_of(error: Exception) -> str:
    """Why something could not be read, in the system's words."""
    return (error.strerror if isinstance(error, OSError) else None) or str(error) or "not readable"


def _leads_to_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False
