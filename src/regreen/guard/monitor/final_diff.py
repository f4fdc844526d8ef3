"""The final diff as lines per file: what it adds, what it takes away, what stood around that."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["FileLines", "read_diff"]


@dataclass(frozen=True, slots=True)
class FileLines:
    """One file of a diff."""

    path: str
    """Where it lies afterwards, or lay before it was deleted."""
    state: Literal["new", "modified", "deleted"]
    """What became of it."""
    added: str
    """Added lines."""
    removed: str
    """Removed lines."""
    before: str
    """Removed lines and context: what is known of the file as it was."""


def read_diff(patch: str) -> tuple[FileLines, ...]:
    """The files of a unified diff, git's or plain; never fails."""
    sections: list[list[str]] = []
    for line in patch.splitlines():
        starts_plain = line.startswith("--- ") and (not sections or _has_hunk(sections[-1]))
        if line.startswith("diff --git ") or starts_plain:
            sections.append([])
        if sections:
            sections[-1].append(line)
    found = (_section(lines) for lines in sections)
    return tuple(section for section in found if section is not None)


def _has_hunk(lines: list[str]) -> bool:
    return any(line.startswith("@@") for line in lines)


def _section(lines: list[str]) -> FileLines | None:
    old = new = ""
    body: list[str] = []
    for line in lines:
        if body or line.startswith("@@"):
            body.append(line)
        elif line.startswith("--- "):
            old = _name(line[4:])
        elif line.startswith("+++ "):
            new = _name(line[4:])
        elif line.startswith("rename to "):
            new = line[10:]
        elif line.startswith("diff --git ") and " b/" in line:
            old = new = line.rpartition(" b/")[2]
    head = "\n".join(lines[:6])
    deleted = new == "/dev/null" or "\ndeleted file mode" in head
    fresh = old == "/dev/null" or "\nnew file mode" in head
    path = old if deleted else new
    if not path or path == "/dev/null":
        return None
    return FileLines(
        path=path,
        state="deleted" if deleted else "new" if fresh else "modified",
        added=_lines(body, "+"),
        removed=_lines(body, "-"),
        before=_lines(body, "- "),
    )


def _name(text: str) -> str:
    name = text.partition("\t")[0].strip().strip('"')
    return name[2:] if name.startswith(("a/", "b/")) else name


def _lines(body: list[str], marks: str) -> str:
    return "\n".join(line[1:] for line in body if line[:1] and line[0] in marks)
