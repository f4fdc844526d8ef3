"""A patch taken apart: files, hunks and rows, and what a tree becomes when they are applied.

Hunks are applied here and not by git, because nothing of a foreign tree has to be written down for
it. As with ``git apply``, a hunk may have moved but every one of its lines must be there.
"""

from __future__ import annotations

import base64
import hashlib
import re
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

__all__ = ["FilePatch", "Hunk", "applied", "blob_ids", "parse_patch"]

_HUNK = re.compile(rb"^@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@")
_INDEX = re.compile(rb"^index [0-9a-f]+\.\.([0-9a-f]{7,64})")
_NONE = b"/dev/null"
_LENGTHS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True, slots=True)
class Hunk:
    """Rows of one hunk, each a mark (space, plus, minus) and a line with its end."""

    start: int
    """Line of the old file where it begins, from 1."""
    new_start: int
    """Line of the new file where it begins, from 1."""
    rows: tuple[tuple[bytes, bytes], ...]
    """Marks and lines."""

    def side(self, mark: bytes) -> list[bytes]:
        """Lines of the old side (``-``) or the new one (``+``)."""
        return [line for found, line in self.rows if found in (b" ", mark)]


@dataclass(frozen=True, slots=True)
class FilePatch:
    """What a patch does to one file."""

    old: str | None
    """Path before; None for a new file."""
    new: str | None
    """Path after; None for a removed file."""
    hunks: tuple[Hunk, ...] = ()
    """In file order."""
    new_id: str = ""
    """Start of the new content's git id, from the ``index`` row."""
    binary: bytes | None = field(default=None, repr=False)
    """The new content of a binary file, where the patch holds it in full."""

    @property
    def unseen(self) -> bool:
        """Whether the new content is named by its git id alone."""
        return bool(self.new_id) and not self.hunks and self.binary is None


def parse_patch(patch: str) -> tuple[FilePatch, ...]:
    """Take a unified diff apart; text around it is left out."""
    lines = patch.encode("utf-8", "surrogateescape").split(b"\n")
    return tuple(_files(lines))


def _files(lines: list[bytes]) -> Iterator[FilePatch]:
    at = 0
    while at < len(lines):
        if lines[at].startswith(b"diff --git "):
            found, at = _git_file(lines, at)
            yield found
        elif _plain_start(lines, at):
            old, new = _name(lines[at][4:]), _name(lines[at + 1][4:])
            hunks, at = _hunks(lines, at + 2)
            yield FilePatch(old, new, hunks)
        else:
            at += 1


def _plain_start(lines: list[bytes], at: int) -> bool:
    follows = lines[at + 1 : at + 3]
    return (
        lines[at].startswith(b"--- ")
        and len(follows) == 2
        and follows[0].startswith(b"+++ ")
        and bool(_HUNK.match(follows[1]))
    )


def _git_file(lines: list[bytes], at: int) -> tuple[FilePatch, int]:
    old, new = _git_names(lines[at][11:])
    new_id, binary = "", None
    hunks: tuple[Hunk, ...] = ()
    at += 1
    while at < len(lines) and not lines[at].startswith(b"diff --git "):
        line = lines[at]
        if match := _INDEX.match(line):
            new_id = match[1].decode()
        elif line.startswith(b"new file mode"):
            old = None
        elif line.startswith(b"deleted file mode"):
            new = None
        elif line.startswith((b"rename from ", b"copy from ")):
            old = _name(line.split(b" from ", 1)[1], prefixed=False)
        elif line.startswith((b"rename to ", b"copy to ")):
            new = _name(line.split(b" to ", 1)[1], prefixed=False)
        elif line.startswith(b"--- "):
            old = _name(line[4:])
        elif line.startswith(b"+++ "):
            new = _name(line[4:])
        elif line.startswith(b"GIT binary patch"):
            binary = _literal(lines, at + 1)
        elif _HUNK.match(line):
            hunks, at = _hunks(lines, at)
            continue
        at += 1
    return FilePatch(old, new, hunks, "" if set(new_id) == {"0"} else new_id, binary), at


def _hunks(lines: list[bytes], at: int) -> tuple[tuple[Hunk, ...], int]:
    found = []
    while at < len(lines) and (match := _HUNK.match(lines[at])):
        old_left, new_left = (int(match[group] or 1) for group in (2, 4))
        rows: list[tuple[bytes, bytes]] = []
        at += 1
        while at < len(lines) and (old_left > 0 or new_left > 0 or lines[at][:1] == b"\\"):
            mark, text = lines[at][:1] or b" ", lines[at][1:] + b"\n"
            if mark == b"\\":
                if rows:
                    rows[-1] = (rows[-1][0], rows[-1][1][:-1])
            elif mark in (b" ", b"+", b"-"):
                rows.append((mark, text))
                old_left -= mark != b"+"
                new_left -= mark != b"-"
            elif lines[at] == b"\r":
                rows.append((b" ", b"\r\n"))
                old_left, new_left = old_left - 1, new_left - 1
            else:
                break
            at += 1
        found.append(Hunk(int(match[1]), int(match[3]), tuple(rows)))
    return tuple(found), at


def _git_names(raw: bytes) -> tuple[str | None, str | None]:
    if raw.startswith(b'"'):
        parts = re.findall(rb'"(?:[^"\\]|\\.)*"|\S+', raw)
        return _name(parts[0]), _name(parts[-1])
    half = len(raw) // 2
    return _name(raw[:half]), _name(raw[half + 1 :])


def _name(raw: bytes, *, prefixed: bool = True) -> str | None:
    raw = raw.split(b"\t")[0].rstrip(b"\r")
    if raw == _NONE:
        return None
    if raw.startswith(b'"') and raw.endswith(b'"') and len(raw) > 1:
        raw = re.sub(rb"\\([0-7]{3}|.)", _escaped, raw[1:-1])
    name = raw.decode("utf-8", "surrogateescape")
    return name[2:] if prefixed and name[:2] in ("a/", "b/") else name


def _escaped(match: re.Match[bytes]) -> bytes:
    code = match[1]
    if len(code) == 3:
        return bytes([int(code, 8) & 255])
    return {b"n": b"\n", b"t": b"\t", b"r": b"\r"}.get(code, code)


def _literal(lines: list[bytes], at: int) -> bytes | None:
    """The content of ``literal SIZE`` rows: a length letter and base 85, deflated."""
    if at >= len(lines) or not lines[at].startswith(b"literal "):
        return None
    packed = b""
    try:
        for line in lines[at + 1 :]:
            if not line:
                break
            packed += base64.b85decode(line[1:])[: _LENGTHS.index(line[:1]) + 1]
        return zlib.decompress(packed)
    except (ValueError, zlib.error):
        return None


def applied(
    files: tuple[FilePatch, ...],
    read: Callable[[str], bytes | None],
    *,
    reverse: bool = False,
    exact: bool = False,
) -> dict[str, bytes | None] | None:
    """Contents after a patch, by path; None for removed files.

    Args:
        files: the patch.
        read: contents before, by path.
        reverse: take the patch back.
        exact: every hunk has to stand where it says.

    Returns:
        None when some hunk finds no place, or the patch changes nothing.
    """
    found: dict[str, bytes | None] = {}
    for file in files:
        before, after = (file.new, file.old) if reverse else (file.old, file.new)
        data = read(before) if before else b""
        if data is None or (before is None and after and read(after) is not None):
            return None
        result = _patched(data, file, reverse=reverse, exact=exact)
        if result is None:
            return None
        if before and before != after:
            found[before] = None
        if after:
            found[after] = result
    return found or None


def _patched(data: bytes, file: FilePatch, *, reverse: bool, exact: bool) -> bytes | None:
    if file.binary is not None or file.unseen:
        repaired = data == file.binary or (
            file.unseen and any(found.startswith(file.new_id) for found in blob_ids(data))
        )
        if reverse:
            return b"" if repaired else None  # what it was before is not in the patch
        return None if repaired else data if file.binary is None else file.binary
    lines = data.splitlines(keepends=True) if b"\r" not in data else _lines(data)
    shift, out, taken = 0, list[bytes](), 0
    for hunk in file.hunks:
        old, new = hunk.side(b"-"), hunk.side(b"+")
        start = hunk.start
        if reverse:
            old, new, start = new, old, hunk.new_start
        place = _place(lines, old, max(taken, start - (1 if old else 0) + shift), taken)
        if place is None or (exact and place != start - (1 if old else 0)):
            return None
        shift = place - (start - (1 if old else 0))
        out += lines[taken:place] + new
        taken = place + len(old)
    return b"".join(out + lines[taken:])


def blob_ids(data: bytes) -> tuple[str, str]:
    """Git's ids of a content, in both object formats."""
    whole = b"blob %d\0" % len(data) + data
    sha1 = hashlib.sha1(whole, usedforsecurity=False).hexdigest()
    return sha1, hashlib.sha256(whole).hexdigest()


def _lines(data: bytes) -> list[bytes]:
    parts = data.split(b"\n")
    return [part + b"\n" for part in parts[:-1]] + ([parts[-1]] if parts[-1] else [])


def _place(lines: list[bytes], wanted: list[bytes], guess: int, least: int) -> int | None:
    """Where lines stand, nearest to a guess."""
    last = len(lines) - len(wanted)
    if not wanted:
        return guess if least <= guess <= len(lines) else None
    for distance in range(len(lines) + 1):
        for place in {guess - distance, guess + distance}:
            if least <= place <= last and lines[place : place + len(wanted)] == wanted:
                return place
    return None
