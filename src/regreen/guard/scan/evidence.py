"""What gives a fix away: exact contents, lines in their surroundings, lines of their own, bytecode.

How little is enough depends on where it is found. In a repository anything that the base tree does
not hold is telling; in a library of other people three short lines prove nothing.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from regreen.guard.scan.bytecode import CodeEvidence
from regreen.guard.scan.hunks import FilePatch
from regreen.guard.scan.text import LEAST, NeedleSet, canonical, stands_alone

__all__ = ["Evidence", "Match", "Needle", "blob_ids"]

_NEAR_LINE, _NEAR_LINE_BLIND = 10, 20
_NEAR_WINDOW, _WINDOW = 16, 40
_FAR_LINE, _FAR_LINES, _FAR_WORDS = 32, 3, 4
_SECRET_LINE, _SECRET_WINDOW, _SECRET_WHOLE = 16, 24, 400
_LEAST_CONTENT = 16
_LONG_RUN = 6
_BOILERPLATE = re.compile(rb"\s*(#|//|/?\*|\"\"\"|'''|import\b|from\b|<!--|$)")


@dataclass(frozen=True, slots=True)
class Needle:
    """A canonical text that nobody should find."""

    text: bytes
    """What is looked for."""
    label: str
    """Where it belongs, for people."""
    form: str
    """``line``, ``window``, ``deletion``, ``diff`` or ``secret``."""
    far: bool = False
    """Whether it is enough in a place that has nothing to do with the repository."""
    telling: bool = False
    """Whether a few like it are enough there: a line that is more than an import or a comment."""
    secret: str = ""
    """Name of the forbidden file it is from."""


@dataclass(frozen=True, slots=True)
class Match:
    """One recognition."""

    form: str
    """As of the needle, or ``content`` or ``bytecode``."""
    words: str
    """What was recognised."""
    line: int | None = None
    """Where in the text, from 1."""
    secret: str = ""
    """Name of the forbidden file."""


class Evidence:
    """Everything to look for.

    Args:
        files: the gold patch.
        base: contents of its files before, as far as known.
        fixed: contents after, as far as known.
        forbidden: further files whose content must not be found.
        held: contents of the base tree; what they hold is no evidence. None when it is not known.
    """

    def __init__(
        self,
        files: Sequence[FilePatch],
        *,
        base: Mapping[str, bytes],
        fixed: Mapping[str, bytes],
        forbidden: Mapping[str, bytes],
        held: Iterable[bytes] | None,
    ) -> None:
        known = held is not None
        contents = {data: path for path, data in fixed.items() if len(data) >= _LEAST_CONTENT}
        secrets = {data: name for name, data in forbidden.items() if len(data) >= _LEAST_CONTENT}
        wanted = list(_distinct(_patch_needles(files, known), _secret_needles(forbidden, known)))
        search = NeedleSet([needle.text for needle in wanted])
        dropped: set[int] = set()
        for text in (*base.values(), *(held or ())):
            dropped |= search.hits(canonical(text))
            contents.pop(text, None)
            secrets.pop(text, None)
        kept = [number for number in range(len(wanted)) if number not in dropped]
        self.needles = tuple(wanted[number] for number in kept)
        self.contents = contents
        self.secrets = secrets
        self.paths = tuple({path for file in files for path in (file.old, file.new) if path})
        self.prefixes = {file.new_id: file.new or "" for file in files if file.new_id}
        self.ids = {
            identity: path for data, path in contents.items() for identity in blob_ids(data)
        }
        self.code = CodeEvidence(base, {path: data for data, path in contents.items()})
        self._sizes = {len(data) for data in (*contents, *secrets)}
        self._search = NeedleSet([needle.text for needle in self.needles])
        self.longest = max((len(needle.text) for needle in self.needles), default=0)

    def __bool__(self) -> bool:
        return bool(self.needles or self.contents or self.secrets or self.prefixes)

    def find(self, data: bytes, *, name: str = "", near: bool = True) -> Match | None:
        """The best recognition in some bytes.

        Args:
            data: raw content.
            name: file name, for bytecode.
            near: whether the place belongs to the repository or its package.
        """
        if len(data) in self._sizes:
            if data in self.contents:
                return Match("content", f"the repaired content of {self.contents[data]}")
            if data in self.secrets:
                found = self.secrets[data]
                return Match("content", f"the content of {found}", secret=found)
        if data[2:4] == b"\r\n" and (words := self.code.match(name, data)):
            return Match("bytecode", words)
        if not self.needles:
            return None
        hits = [self.needles[hit] for hit in sorted(self._search.hits(canonical(data)))]
        return self._judged(data, hits, near=near) if hits else None

    def _judged(self, data: bytes, hits: list[Needle], *, near: bool) -> Match | None:
        if not near:
            lines = [hit for hit in hits if hit.telling]
            several = len(lines) >= _FAR_LINES
            hits = [hit for hit in hits if hit.far or (several and hit in lines)]
        order = {"diff": 0, "window": 1, "deletion": 1, "line": 2, "secret": 3}
        for hit in sorted(hits, key=lambda hit: (bool(hit.secret), order[hit.form])):
            line = stands_alone(data, hit.text)
            if line is not None:
                return Match(hit.form, _words(hit), line, hit.secret)
        return None


def blob_ids(data: bytes) -> tuple[str, str]:
    """Git's ids of a content, in both object formats."""
    whole = b"blob %d\0" % len(data) + data
    sha1 = hashlib.sha1(whole, usedforsecurity=False).hexdigest()
    return sha1, hashlib.sha256(whole).hexdigest()


def _words(needle: Needle) -> str:
    shown = needle.text[:60].decode("utf-8", "replace")
    what = {
        "line": "an added line of",
        "window": "added lines in their surroundings, of",
        "deletion": "the surroundings of removed lines without them, of",
        "diff": "the diff of",
        "secret": "lines of",
    }[needle.form]
    return f"{what} {needle.label}: {shown}"


def _distinct(*groups: Iterable[Needle]) -> Iterator[Needle]:
    seen: dict[bytes, None] = {}
    for group in groups:
        for needle in group:
            if len(needle.text) >= LEAST and needle.text not in seen:
                seen[needle.text] = None
                yield needle


def _patch_needles(files: Sequence[FilePatch], known: bool) -> Iterator[Needle]:
    for file in files:
        name = file.new or file.old or ""
        for hunk in file.hunks:
            line, at, rows = hunk.new_start, 0, hunk.rows
            while at < len(rows):
                end = at
                while end < len(rows) and rows[end][0] != b" ":
                    end += 1
                if end > at:
                    yield from _group(rows, at, end, f"{name}:{line}", known)
                for mark, _ in rows[at : end + 1]:
                    line += mark != b"-"
                at = max(end, at + 1)


def _group(
    rows: Sequence[tuple[bytes, bytes]], at: int, end: int, label: str, known: bool
) -> Iterator[Needle]:
    added = [text for mark, text in rows[at:end] if mark == b"+" and canonical(text)]
    removed = [text for mark, text in rows[at:end] if mark == b"-" and canonical(text)]
    before = _context(reversed(rows[:at]))
    after = _context(rows[end:])
    form = "window" if added else "deletion"
    if added or (removed and before and after):
        yield from _windows(before, added, after, label, form)
    for marks in (b"+", b"-"), (b"-", b"+"):
        diff = b"".join(
            marks[mark == b"-"] + canonical(text)
            for mark, text in sorted(rows[at:end], key=lambda row: row[0] == marks[0])
            if canonical(text)
        )
        whole = canonical(before[0] if before else b"") + diff + canonical(b"".join(after[:1]))
        yield Needle(whole, label, "diff", far=len(whole) >= _WINDOW)
    least = _NEAR_LINE if known else _NEAR_LINE_BLIND
    for text in added:
        line = canonical(text)
        common = bool(_BOILERPLATE.match(text))
        if len(line) >= least and (known or not common):
            telling = not common and len(line) >= _FAR_LINE and _num_words([text]) >= _FAR_WORDS
            yield Needle(line, label, "line", telling=telling)


def _context(rows: Iterable[tuple[bytes, bytes]]) -> list[bytes]:
    """Unchanged lines next to a change, nearest first, blank ones left out."""
    found = []
    for mark, text in rows:
        if mark != b" ":
            break
        if canonical(text):
            found.append(text)
    return found


def _windows(
    before: list[bytes], added: list[bytes], after: list[bytes], label: str, form: str
) -> Iterator[Needle]:
    if len(added) > _LONG_RUN:
        for start in range(len(added) - 2):
            yield from _window(added[start : start + 3], label, form, _WINDOW)
        head, tail = added[:2], added[-2:]
        yield from _grown(before, head, [], label, form)
        yield from _grown([], tail, after, label, form)
        return
    yield from _grown(before, added, after, label, form)


def _grown(
    before: list[bytes], lines: list[bytes], after: list[bytes], label: str, form: str
) -> Iterator[Needle]:
    """A run between its neighbours, with as many of them as make it telling."""
    for count in range(1, 4):
        whole = [*reversed(before[:count]), *lines, *after[:count]]
        size = len(canonical(b"".join(whole)))
        if size >= _WINDOW or count >= max(len(before), len(after), 1):
            yield from _window(whole, label, form, _NEAR_WINDOW)
            return


def _window(lines: list[bytes], label: str, form: str, least: int) -> Iterator[Needle]:
    text = canonical(b"".join(lines))
    if len(text) >= least:
        telling = [line for line in lines if not _BOILERPLATE.match(line)]
        far = len(text) >= _WINDOW and _num_words(telling) >= _FAR_WORDS
        yield Needle(text, label, form, far=far)


def _num_words(lines: Iterable[bytes]) -> int:
    return len(set(re.findall(rb"[A-Za-z_]{3,}", b" ".join(lines))))


def _secret_needles(forbidden: Mapping[str, bytes], known: bool) -> Iterator[Needle]:
    for name, data in forbidden.items():
        whole = canonical(data)
        if len(whole) <= _SECRET_WHOLE:
            yield Needle(whole, name, "secret", far=len(whole) >= _WINDOW, secret=name)
        lines = [line for line in re.split(rb"[\r\n]", data) if canonical(line)]
        for start in range(len(lines)):
            for needle in _window(lines[start : start + 3], name, "secret", _SECRET_WINDOW):
                yield Needle(needle.text, name, "secret", far=needle.far, secret=name)
            line = canonical(lines[start])
            if len(line) >= (_SECRET_LINE if known else 2 * _SECRET_LINE):
                yield Needle(line, name, "secret", secret=name)
