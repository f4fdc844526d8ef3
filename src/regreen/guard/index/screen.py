"""Looks into archives for a copy of the answer under another name.

Installers and frameworks carry whole copies of other distributions ("vendored"), and forks are
released under names of their own; neither the target's name nor a date keeps those out. What tells
them is the repaired text itself: a stretch of lines as the gold patch leaves it, context included.
A file that holds one is refused before its first byte is sent.
"""

from __future__ import annotations

import io
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

from unidiff.errors import UnidiffParseError
from unidiff.patch import PatchSet

__all__ = ["Screen", "gold_screen", "repaired_stretches"]

Screen = Callable[[Path, str], str]
"""Takes a complete file and its name; returns the reason to refuse it, or an empty text."""
_LEAST_LINES, _LEAST_BYTES = 2, 24
_MEMBER_BYTES = 8 << 20
_TOTAL_BYTES = 1 << 30
_ARCHIVES = (".whl", ".zip", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
_DEPTH = 2


def repaired_stretches(patch: str) -> tuple[bytes, ...]:
    """Each hunk of a patch as the patch leaves it, except what is too short to mean anything."""
    try:
        hunks = [hunk for file in PatchSet(patch) for hunk in file]
    except UnidiffParseError:
        return ()
    found = []
    for hunk in hunks:
        lines = [line.value for line in hunk if line.is_context or line.is_added]
        text = "".join(lines).replace("\r\n", "\n").strip("\n")
        telling = [line for line in lines if line.strip()]
        if len(telling) >= _LEAST_LINES and len(text) >= _LEAST_BYTES:
            found.append(text.encode())
    return tuple(dict.fromkeys(found))


def gold_screen(patch: str) -> Screen:
    """A screen that refuses archives with a repaired stretch of the patch; runs in a thread."""
    stretches = repaired_stretches(patch)

    def screen(path: Path, filename: str) -> str:
        if not stretches:
            return ""
        with path.open("rb") as handle:
            for _, data in _members(handle, filename, _DEPTH):
                if any(stretch in data for stretch in stretches):
                    return (
                        f"Prohibited: fetching {filename}. It carries a copy of the code that this"
                        " task is about, which may hold the answer."
                    )
        return ""

    return screen


def _members(handle: IO[bytes], name: str, depth: int) -> Iterator[tuple[str, bytes]]:
    """The files of an archive, archives inside it included; what cannot be read ends the walk."""
    budget = _TOTAL_BYTES
    try:
        for inner, data in _zip(handle) if name.endswith((".whl", ".zip")) else _tar(handle):
            budget -= len(data)
            if budget < 0:
                return
            if inner.endswith(_ARCHIVES) and depth > 0:
                yield from _members(io.BytesIO(data), inner, depth - 1)
            else:
                yield inner, data.replace(b"\r\n", b"\n") if b"\r\n" in data else data
    except (OSError, EOFError, ValueError, NotImplementedError, RuntimeError):
        return
    except (zipfile.BadZipFile, tarfile.TarError):
        return


def _zip(handle: IO[bytes]) -> Iterator[tuple[str, bytes]]:
    with zipfile.ZipFile(handle) as archive:
        for member in archive.infolist():
            if not member.is_dir() and member.file_size <= _MEMBER_BYTES:
                yield member.filename, archive.read(member)


def _tar(handle: IO[bytes]) -> Iterator[tuple[str, bytes]]:
    with tarfile.open(fileobj=handle) as archive:
        for member in archive:
            if member.isfile() and member.size <= _MEMBER_BYTES:
                content = archive.extractfile(member)
                if content is not None:
                    yield member.name, content.read()
