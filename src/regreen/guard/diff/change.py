"""A diff as files before and after: the text of both sides, rebuilt in memory.

The audit asks what is new, and a hunk alone cannot say that: it needs the whole file on both
sides. Where a hunk does not fit the base file, its added lines stand for the new text.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

__all__ = ["FileChange", "read_changes"]

_HUNK = re.compile(r"^@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@")
_ESCAPE = re.compile(r"\\([0-7]{3}|.)")
_MAX_TRIES = 200
_SIMPLE = {"n": 10, "t": 9, "r": 13, "a": 7, "b": 8, "f": 12, "v": 11}


@dataclass(slots=True)
class _Hunk:
    start: int
    rows: list[str] = field(default_factory=list)


@dataclass(slots=True)
class _Section:
    old: str | None = None
    new: str | None = None
    mode: str = ""
    deleted: bool = False
    binary: bool = False
    hunks: list[_Hunk] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class FileChange:
    """One file a diff touches."""

    path: str
    """Where it lies afterwards; for a removed file, where it lay."""
    before: str | None
    """Its text in the base tree; None when it is new there."""
    after: str | None
    """Its text after the diff; None when removed, binary, or when a hunk does not fit."""
    added: tuple[tuple[int, str], ...]
    """Numbers (in the new file) and texts of added lines."""
    removed: tuple[str, ...]
    """Texts of removed lines."""
    mode: str = ""
    """The new mode where the diff names one, for example ``120000`` of a link."""
    deleted: bool = False
    """The file is removed."""
    binary: bool = False
    """The diff holds no text for it."""


def read_changes(patch: str, read: Callable[[str], bytes | None]) -> tuple[FileChange, ...]:
    """The files of a git-format or plain unified diff.

    Args:
        patch: the diff.
        read: bytes of a path in the base tree; None when absent.
    """
    return tuple(_change(section, read) for section in _sections(patch) if _named(section))


def _named(section: _Section) -> bool:
    return bool(section.new or section.old)


def _change(section: _Section, read: Callable[[str], bytes | None]) -> FileChange:
    path = section.new or section.old or ""
    raw = read(section.old) if section.old else None
    before = raw.decode("utf-8", "replace") if raw is not None else None
    deleted = section.deleted or section.new is None
    after = None if deleted or section.binary else _apply(before or "", section.hunks)
    return FileChange(
        path=path,
        before=before,
        after=after,
        added=tuple(_added(section.hunks)),
        removed=tuple(row[1:] for hunk in section.hunks for row in hunk.rows if row[:1] == "-"),
        mode=section.mode,
        deleted=deleted,
        binary=section.binary,
    )


def _added(hunks: list[_Hunk]) -> list[tuple[int, str]]:
    found, shift = [], 0
    for hunk in hunks:
        number = hunk.start + shift
        for row in hunk.rows:
            if row[:1] == "+":
                found.append((number, row[1:]))
            number += row[:1] != "-"
        shift += sum((row[:1] == "+") - (row[:1] == "-") for row in hunk.rows)
    return found


def _apply(text: str, hunks: list[_Hunk]) -> str | None:
    """The new text; None when a hunk's old lines are nowhere to be found."""
    lines = text.split("\n")
    shift = 0
    for hunk in hunks:
        old = [row[1:] for row in hunk.rows if row[:1] != "+"]
        new = [row[1:] for row in hunk.rows if row[:1] != "-"]
        place = _find(lines, old, max(0, hunk.start - 1 + shift))
        if place is None:
            return None
        lines[place : place + len(old)] = new
        shift += len(new) - len(old)
    return "\n".join(lines)


def _find(lines: list[str], old: list[str], expected: int) -> int | None:
    """Where the old lines stand, nearest to where the hunk says; ends of lines do not matter."""
    plain = [line.rstrip("\r") for line in old]

    def fits(place: int) -> bool:
        return [line.rstrip("\r") for line in lines[place : place + len(old)]] == plain

    if fits(expected) or not plain:
        return min(expected, len(lines))
    starts = [place for place, line in enumerate(lines) if line.rstrip("\r") == plain[0]]
    near = sorted(starts, key=lambda place: abs(place - expected))[:_MAX_TRIES]
    return next((place for place in near if fits(place)), None)


def _sections(patch: str) -> list[_Section]:
    sections: list[_Section] = []
    section = _Section()
    left = [0, 0]
    for line in patch.split("\n"):
        if left[0] > 0 or left[1] > 0:
            _take(section.hunks[-1], line, left)
            continue
        if line.startswith("diff --git ") or (line.startswith("--- ") and section.hunks):
            section = _Section()
            sections.append(section)
        if not sections:
            sections.append(section)
        if match := _HUNK.match(line):
            old, new = (int(match[place]) if match[place] else 1 for place in (2, 4))
            left = [old, new]
            section.hunks.append(_Hunk(start=int(match[1]) + (old == 0)))
        else:
            _header(section, line)
    return sections


def _take(hunk: _Hunk, line: str, left: list[int]) -> None:
    if line.startswith("\\"):
        return
    hunk.rows.append(line or " ")
    left[0] -= line[:1] != "+"
    left[1] -= line[:1] != "-"


def _header(section: _Section, line: str) -> None:
    if line.startswith("diff --git "):
        section.old, section.new = _git_names(line[11:])
    elif line.startswith("--- "):
        section.old = _name(line[4:])
    elif line.startswith("+++ "):
        section.new = _name(line[4:])
    elif line.startswith(("rename from ", "copy from ")):
        section.old = _unquote(line.split(" from ", 1)[1])
    elif line.startswith(("rename to ", "copy to ")):
        section.new = _unquote(line.split(" to ", 1)[1])
    elif line.startswith(("new file mode ", "new mode ")):
        section.mode = line.rpartition(" ")[2].strip()
        section.old = None if line.startswith("new file") else section.old
    elif line.startswith("deleted file mode "):
        section.deleted = True
    elif line.startswith(("GIT binary patch", "Binary files ")):
        section.binary = True


def _git_names(rest: str) -> tuple[str | None, str | None]:
    if rest.startswith('"'):
        parts = re.findall(r'"(?:[^"\\]|\\.)*"', rest)
        return (_name(parts[0]), _name(parts[-1])) if parts else (None, None)
    half = len(rest) // 2
    left, right = rest[:half], rest[half + 1 :]
    return (_name(left), _name(right)) if left[2:] == right[2:] else (None, None)


def _name(raw: str) -> str | None:
    text = _unquote(raw.split("\t", maxsplit=1)[0].rstrip("\r"))
    if text == "/dev/null":
        return None
    return text[2:] if text[:2] in ("a/", "b/") else text


def _unquote(raw: str) -> str:
    if not (raw.startswith('"') and raw.endswith('"') and len(raw) > 1):
        return raw
    data = bytearray()
    last = 0
    inner = raw[1:-1]
    for match in _ESCAPE.finditer(inner):
        data += inner[last : match.start()].encode("utf-8", "surrogateescape")
        code = match[1]
        value = int(code, 8) & 255 if len(code) == 3 else _SIMPLE.get(code, ord(code) & 255)
        data.append(value)
        last = match.end()
    data += inner[last:].encode("utf-8", "surrogateescape")
    return data.decode("utf-8", "surrogateescape")
