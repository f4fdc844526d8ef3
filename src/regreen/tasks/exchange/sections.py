"""A git patch taken apart into files and hunks, for what needs no tree: which paths, and reversal.

SWE-smith publishes the diff that puts a bug in; our ``patch`` is the one that takes it out. Lines
are counted as the hunk's header says, because a removed line may look like the next file's header.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from regreen.core.errors import TaskError

__all__ = ["Section", "flipped", "sections"]

_HUNK = re.compile(r"@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@(.*)\Z", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Section:
    """One file of a patch."""

    head: tuple[str, ...]
    """Lines before the first hunk, without their line feeds."""
    hunks: tuple[tuple[str, tuple[str, ...]], ...]
    """Header and lines of each hunk."""

    @property
    def adds(self) -> bool:
        """Whether the file is new."""
        return any(line.startswith("new file mode") for line in self.head)

    @property
    def removes(self) -> bool:
        """Whether the file goes away."""
        return any(line.startswith("deleted file mode") for line in self.head)


def sections(patch: str) -> tuple[Section, ...]:
    """The files of a patch in git's format; text before the first ``diff --git`` is passed over.

    Raises:
        TaskError: a hunk is shorter than its header says.
    """
    lines = patch.split("\n")
    starts = list(_starts(lines))
    borders = pairwise([*starts, len(lines)])
    return tuple(_section(lines[start:end]) for start, end in borders)


def flipped(patch: str) -> str:
    """The patch that undoes a patch.

    Raises:
        TaskError: it is not in git's format, or holds a copy or a binary file.
    """
    found = sections(patch)
    if not found:
        msg = "the patch names no file"
        raise TaskError(msg, where="git's format is needed to turn it round")
    return "".join(line + "\n" for one in found for line in _flipped_section(one))


def _starts(lines: list[str]) -> Iterator[int]:
    at = 0
    while at < len(lines):
        if lines[at].startswith("diff --git "):
            yield at
        hunk = _HUNK.match(lines[at])
        at = _hunk_end(lines, at, hunk) if hunk else at + 1


def _hunk_end(lines: list[str], at: int, hunk: re.Match[str]) -> int:
    """Index of the line after a hunk."""
    old, new = (int(hunk[n]) if hunk[n] is not None else 1 for n in (2, 4))
    at += 1
    while old > 0 or new > 0:
        line = lines[at] if at < len(lines) else ""
        kind = line[:1]
        if kind not in ("", " ", "+", "-", "\\") or at >= len(lines):
            msg = "a hunk is shorter than its header says"
            raise TaskError(msg, where=hunk[0].strip())
        old -= kind in ("", " ", "-")
        new -= kind in ("", " ", "+")
        at += 1
    while at < len(lines) and lines[at].startswith("\\"):
        at += 1
    return at


def _section(lines: list[str]) -> Section:
    head: list[str] = []
    hunks = []
    at = 0
    while at < len(lines):
        hunk = _HUNK.match(lines[at])
        if hunk:
            end = _hunk_end(lines, at, hunk)
            hunks.append((lines[at], tuple(lines[at + 1 : end])))
            at = end
        else:
            if not hunks and lines[at]:
                head.append(lines[at])
            at += 1
    return Section(tuple(head), tuple(hunks))


def _flipped_section(section: Section) -> Iterator[str]:
    yield from _flipped_head(section.head)
    for header, lines in section.hunks:
        hunk = _HUNK.match(header)
        assert hunk is not None
        old, new = (hunk[n] + ("" if hunk[n + 1] is None else f",{hunk[n + 1]}") for n in (1, 3))
        yield f"@@ -{new} +{old} @@{hunk[5]}"
        yield from _flipped_lines(lines)


def _flipped_head(head: tuple[str, ...]) -> Iterator[str]:
    named = {}
    for line in head:
        if line.startswith(_ONE_WAY):
            msg = "a copy or a binary file in the patch cannot be turned round"
            raise TaskError(msg, where=head[0])
        named.update({word: line[len(word) :] for word in _WORDS if line.startswith(word)})
    if "rename from " in named:
        new, old = named["rename to "], named["rename from "]
        yield f"diff --git {_prefixed('a/', new)} {_prefixed('b/', old)}"
    else:
        yield head[0]
    for word, opposite in _OPPOSITES.items():
        if opposite in named:
            value = named[opposite]
            if word == "index ":
                before, _, rest = value.partition("..")
                after, space, mode = rest.partition(" ")
                value = f"{after}..{before}{space}{mode}"
            elif word in ("--- ", "+++ "):
                value = _other_side(value, "ab" if word == "+++ " else "ba")
            yield word + value


_ONE_WAY = ("copy from ", "copy to ", "GIT binary patch", "Binary files ")
_OPPOSITES = {
    "old mode ": "new mode ",
    "new mode ": "old mode ",
    "deleted file mode ": "new file mode ",
    "new file mode ": "deleted file mode ",
    "similarity index ": "similarity index ",
    "dissimilarity index ": "dissimilarity index ",
    "rename from ": "rename to ",
    "rename to ": "rename from ",
    "index ": "index ",
    "--- ": "+++ ",
    "+++ ": "--- ",
}
_WORDS = tuple(_OPPOSITES)


def _prefixed(prefix: str, name: str) -> str:
    """A path with its side, inside the quotes when git has quoted it."""
    return f'"{prefix}{name[1:]}' if name.startswith('"') else prefix + name


def _other_side(name: str, sides: str) -> str:
    """``a/path`` as ``b/path`` or the other way round; ``/dev/null`` has no side."""
    return re.sub(rf'\A("?){sides[0]}/', rf"\g<1>{sides[1]}/", name)


def _flipped_lines(lines: tuple[str, ...]) -> Iterator[str]:
    """Removed lines first, as git writes them; a missing last line feed stays with its line."""
    removed: list[str] = []
    added: list[str] = []
    last: list[str] | None = None
    for line in lines:
        if line.startswith("+"):
            last = removed
            last.append("-" + line[1:])
        elif line.startswith("-"):
            last = added
            last.append("+" + line[1:])
        elif line.startswith("\\") and last is not None:
            last.append(line)
        else:
            yield from (*removed, *added, line)
            removed, added, last = [], [], None
    yield from (*removed, *added)
