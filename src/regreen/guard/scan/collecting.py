"""One scan's growing result, and the look into one piece of data that every part of it shares."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from regreen.core.errors import RegreenError
from regreen.guard.scan.evidence import Evidence, Match
from regreen.guard.scan.findings import Leak, ScanReport
from regreen.guard.scan.git_store import ScratchStore
from regreen.guard.scan.places import Places
from regreen.guard.scan.unpacking import MAX_DEPTH, parts

__all__ = ["Collector", "pack_of"]

_CHUNK = 16 << 20
_OVERLAP = 1 << 20
_TOTAL = 8 << 30


class Collector:
    """Leaks, notes and counts of a scan.

    Args:
        evidence: what is looked for.
        places: what is known about paths.
        only_fix: leave out findings that do not hold the fix.
    """

    def __init__(self, evidence: Evidence, places: Places, *, only_fix: bool = False) -> None:
        self.evidence = evidence
        self.places = places
        self.only_fix = only_fix
        self.stores: list[Path] = []
        self.counts: Counter[str] = Counter()
        self._leaks: dict[tuple[str, str], Leak] = {}
        self._unreadable: dict[str, None] = {}
        self._budget = _TOTAL

    def add(self, kind: str, where: str, words: str, *, fix: bool = True) -> None:
        """Record a leak; the first evidence for a place stands."""
        if fix or not self.only_fix:
            leak = Leak(kind=kind, where=_shown(where), evidence=_shown(words))
            self._leaks.setdefault((leak.kind, leak.where), leak)

    def note(self, where: str, reason: str) -> None:
        """Record that something could not be looked at."""
        self._unreadable[_shown(f"{where}: {reason}")] = None

    def report(self) -> ScanReport:
        """What was found so far."""
        self.counts["evidence"] = len(self.evidence)
        return ScanReport(
            leaks=tuple(self._leaks.values()),
            scanned=dict(sorted(self.counts.items())),
            unreadable=tuple(self._unreadable),
        )

    def examine(
        self,
        where: str,
        data: bytes,
        *,
        in_repository: bool = False,
        depth: int = 0,
        final: bool = False,
    ) -> Iterator[tuple[str, str, Match]]:
        """Look at bytes and everything inside them.

        Yields:
            The place, ``encoded``, ``bundle``, ``git_pack`` or nothing, and what was recognised.
        """
        if not self.evidence or not data:
            return
        near = self.places.near(where, in_repository=in_repository)
        match = _find(self.evidence, data, where, near)
        if match is not None:
            yield where, "", match
        if final:
            return
        pack = pack_of(data)
        if pack is not None:
            yield from self._pack(where, data, pack, depth)
        for part in parts(data, lambda reason: self.note(where, reason)):
            if depth >= MAX_DEPTH:
                self.note(where, f"nested more than {MAX_DEPTH} deep, not opened further")
                return
            self.counts["archives"] += not part.encoded
            self._budget -= len(part.data)
            if self._budget < 0:
                self.note(
                    where, f"more than {_TOTAL >> 30} GiB unpacked in all, not opened further"
                )
                return
            if part.encoded and match is not None:
                continue  # the same text, once more
            inner = self.examine(
                where + part.suffix,
                part.data,
                in_repository=in_repository,
                depth=depth + 1,
                final=part.final,
            )
            for place, how, found in inner:
                yield place, how or ("encoded" if part.encoded else ""), found

    def _pack(
        self, where: str, data: bytes, at: int, depth: int
    ) -> Iterator[tuple[str, str, Match]]:
        """Objects of a pack that lies outside its place: a bundle, or one without an index."""
        kind = "bundle" if at else "git_pack"
        algorithm = "sha256" if b"object-format=sha256" in data[:at] else "sha1"
        stores = [store for store in self.stores if store.is_dir()]
        with ScratchStore(stores, algorithm=algorithm) as store:
            try:
                readable = store.add_pack(data[at:])
                own = store.own_ids()
            except RegreenError as exc:
                self.note(where, exc.what)
                return
            if not readable:
                self.note(where, "a git pack that cannot be read")
            for found in store.objects(own):
                self.counts["objects"] += 1
                place = f"{where}!{found.kind} {found.id[:12]}"
                if found.id in self.evidence.ids:
                    words = f"the repaired content of {self.evidence.ids[found.id]}"
                    yield place, kind, Match("content", words)
                elif found.kind != "tree":
                    inner = self.examine(place, found.data, in_repository=True, depth=depth + 1)
                    for name, _, match in inner:
                        yield name, kind, match


def pack_of(data: bytes) -> int | None:
    """Where a git pack begins in a pack file or a bundle; None when there is none."""
    if data.startswith(b"PACK") and data[4:8] in (b"\0\0\0\2", b"\0\0\0\3"):
        return 0
    if data.startswith((b"# v2 git bundle\n", b"# v3 git bundle\n")):
        end = data.find(b"\n\n")
        return end + 2 if end >= 0 else None
    return None


def _find(evidence: Evidence, data: bytes, where: str, near: bool) -> Match | None:
    if len(data) <= 2 * _CHUNK:
        return evidence.find(data, name=where, near=near)
    for start in range(0, len(data), _CHUNK):
        match = evidence.find(data[start : start + _CHUNK + _OVERLAP], name=where, near=near)
        if match is not None:
            return match
    return None


def _shown(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()


def first_of(names: Sequence[str], limit: int = 3) -> str:
    """A few names and how many more there are."""
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more
