"""What gives a fix away: exact contents, lines in their surroundings, lines of their own, bytecode.

How little is enough depends on where it is found. In a repository anything that the base tree does
not hold is telling; in a library of other people three short lines prove nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from regreen.guard.scan.bytecode import CodeEvidence
from regreen.guard.scan.hunks import FilePatch, blob_ids
from regreen.guard.scan.needles import Needle, patch_needles, secret_needles
from regreen.guard.scan.text import LEAST, NeedleSet, canonical, stands_alone

__all__ = ["Evidence", "Match"]

_FAR_LINES = 3
_LEAST_CONTENT = 16
_FULL = (40, 64)


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
        contents |= {file.binary: file.new for file in files if file.binary and file.new}
        prefixes = {file.new_id: file.new or "" for file in files if file.new_id}
        full = {start for start in prefixes if len(start) in _FULL}
        known_ids = set(blob_ids(b""))
        secrets = {data: name for name, data in forbidden.items() if len(data) >= _LEAST_CONTENT}
        wanted = list(_distinct(patch_needles(files, known), secret_needles(forbidden, known)))
        search = NeedleSet([needle.text for needle in wanted])
        dropped: set[int] = set()
        for text in (*base.values(), *(held or ())):
            dropped |= search.hits(canonical(text))
            contents.pop(text, None)
            secrets.pop(text, None)
            known_ids.update(blob_ids(text) if full else ())
        known_ids.update(name for text in base.values() for name in blob_ids(text))
        kept = [number for number in range(len(wanted)) if number not in dropped]
        self.needles = tuple(wanted[number] for number in kept)
        self.contents = contents
        self.secrets = secrets
        self.paths = tuple({path for file in files for path in (file.old, file.new) if path})
        self.prefixes = {
            start: path
            for start, path in prefixes.items()
            if not any(name.startswith(start) for name in known_ids)
        }
        """Starts of the ids of repaired contents."""
        self._full = {start: self.prefixes[start] for start in full & self.prefixes.keys()}
        self.ids = {
            identity: path for data, path in contents.items() for identity in blob_ids(data)
        }
        self.code = CodeEvidence(base, {path: data for data, path in contents.items()})
        self._sizes = {len(data) for data in (*contents, *secrets)}
        self._search = NeedleSet([needle.text for needle in self.needles])
        self.longest = max((len(needle.text) for needle in self.needles), default=0)

    def __bool__(self) -> bool:
        return bool(self.needles or self.contents or self.secrets or self.prefixes)

    def __len__(self) -> int:
        return len(self.needles) + len(self.ids) + len(self.secrets) + len(self.prefixes)

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
        for found in set(blob_ids(data)) & self._full.keys() if self._full else ():
            return Match("content", f"the repaired content of {self._full[found]}")
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
