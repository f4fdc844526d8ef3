"""An index of a layer, so that the tasks of one repository need not read their environment again.

It holds hashes of lines and of neighbouring lines and says where nothing can be; what it does not
exclude is scanned in earnest, so a chance hit costs time and never a task.
"""

from __future__ import annotations

import io
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from regreen.core.errors import UsageError
from regreen.guard.scan.collecting import Collector
from regreen.guard.scan.evidence import Evidence
from regreen.guard.scan.findings import Leak
from regreen.guard.scan.hunks import parse_patch
from regreen.guard.scan.places import Places
from regreen.guard.scan.scanner import Reader, scan
from regreen.guard.scan.text import LEAST, canonical_lines, joined_lines

__all__ = ["LineIndex", "Package", "line_index", "lines_of_patch", "seal_check"]

_MAGIC = b"regreen.lines/2\n"
_MARKS = b"+-><|#*!"
_BLOCK = 1 << 18
_BASE = 0x9E3779B97F4A7C15
"""Odd, so that it has an inverse modulo 2 to the 64."""
_LONGEST = 1 << 20
"""Bytes of a line; longer ones, as of a data base or minified code, are not indexed."""
_PER_BYTE = np.uint64(0xD6E8FEB86659FD93)


@dataclass(frozen=True, eq=False)
class LineIndex:
    """Hashes of every line of a layer, in archives and encodings too."""

    hashes: np.ndarray
    """Sorted, unique, 64 bits each."""
    complete: bool
    """Whether all of the layer could be read; if not, nothing is excluded."""

    def holds(self, texts: Iterable[bytes]) -> list[bytes]:
        """Which canonical lines, or pairs of lines one after the other, may be in the layer."""
        wanted = list(texts)
        return [
            text for text, held in zip(wanted, self.marks(_hashed(wanted)), strict=True) if held
        ]

    def marks(self, hashes: np.ndarray) -> np.ndarray:
        """Of some hashes, which are among these."""
        places = np.searchsorted(self.hashes, hashes)
        places[places == len(self.hashes)] = 0
        there: np.ndarray = np.zeros(len(hashes), bool)
        if len(self.hashes):
            there = self.hashes[places] == hashes
        return there

    def to_bytes(self) -> bytes:
        """As it is kept on disk."""
        out = io.BytesIO()
        out.write(_MAGIC + (b"\1" if self.complete else b"\0"))
        out.write(self.hashes.astype("<u8").tobytes())
        return out.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes) -> LineIndex:
        """Read what :meth:`to_bytes` has written.

        Raises:
            UsageError: it is something else, or of another version.
        """
        head = len(_MAGIC) + 1
        if not data.startswith(_MAGIC) or (len(data) - head) % 8:
            msg = "this is no index of lines"
            raise UsageError(msg, where="the line index", mend="delete it; it is made again")
        return cls(np.frombuffer(data, "<u8", offset=head), bool(data[head - 1]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """Files of a layer that are read together."""

    layer: Path
    """Where it lies."""
    files: Sequence[Path]
    """Its files, links too."""
    index: LineIndex
    """Their lines."""

    def laid_out(self, target: Path) -> None:
        """Put the files below another directory, as links to the same content."""
        for path in self.files:
            place = target / path.relative_to(self.layer)
            place.parent.mkdir(parents=True, exist_ok=True)
            try:
                os.link(path, place, follow_symlinks=False)
            except OSError:  # another filesystem, or one without links
                with suppress(OSError):  # nobody could read it
                    shutil.copy2(path, place, follow_symlinks=False)


def line_index(files: Iterable[Path]) -> LineIndex:
    """Read some files of a layer once; links are left out."""
    reader = _Lines()
    for path in files:
        if not path.is_symlink():
            reader.read(path)
    return reader.index()


def lines_of_patch(patch: str) -> list[bytes]:
    """What to ask an index for: added lines, and the pairs that only the fixed files hold."""
    found: dict[bytes, None] = {}
    for file in parse_patch(patch):
        for hunk in file.hunks:
            last, changed = b"", False
            for mark, text in hunk.rows:
                line = b"".join(canonical_lines(text))
                if mark == b"-":
                    changed = True
                elif line:
                    if mark == b"+":
                        found[line] = None
                    if last and (changed or mark == b"+"):
                        found[last + line] = None
                    last, changed = line, mark == b"+"
    return [text for text in found if len(text) >= LEAST]


def seal_check(
    packages: Iterable[Package], patch: str, base: Reader | None, *, scratch: Path
) -> tuple[Leak, ...]:
    """Whether the layers below a task hold its fix.

    Args:
        packages: all of the layers.
        patch: the gold patch.
        base: reads a file of the task's broken tree.
        scratch: a directory on the layers' filesystem, for those that need a closer look.
    """
    known = _base_lines(patch, base)
    lines = [line for line in lines_of_patch(patch) if line not in known]
    wanted = _hashed(lines)
    told = lines and len(max(lines, key=len)) <= _LONGEST  # else no index knows
    suspects = [
        one
        for one in packages
        if not (told and one.index.complete) or one.index.marks(wanted).any()
    ]
    if not suspects:
        return ()
    with TemporaryDirectory(dir=scratch) as folder:
        trees = {one.layer: Path(folder, one.layer.name) for one in suspects}
        for one in suspects:
            one.laid_out(trees[one.layer])
        return tuple(
            leak for tree in trees.values() for leak in scan(tree, patch, base=base, only_fix=True)
        )


def _unique(parts: Sequence[np.ndarray]) -> np.ndarray:
    """Sorted, once each; numpy's own way costs three times as much."""
    together = np.sort(np.concatenate([*parts, np.zeros(0, "<u8")]))
    first = np.ones(len(together), bool)
    np.not_equal(together[1:], together[:-1], out=first[1:])
    return together[first]


def _base_lines(patch: str, base: Reader | None) -> set[bytes]:
    """Lines and pairs that the broken files hold themselves."""
    found: set[bytes] = set()
    for file in parse_patch(patch):
        data = base(file.old) if base and file.old else None
        found.update(_keys(data or b""))
    return found


def _keys(data: bytes) -> Iterator[bytes]:
    last = b""
    for line in canonical_lines(data):
        if line:
            yield line
            if last:
                yield last + line
            last = line


@dataclass(slots=True)
class _Powers:
    """Hashes of many parts of one text at once: a polynomial of their bytes modulo 2 to the 64.

    What is computed once up to every byte gives the hash of any part as a difference. Texts that
    collide on purpose only cost time.
    """

    up: np.ndarray
    """Powers of the base, from 0."""
    down: np.ndarray
    """Their inverses."""

    def hashes(self, text: bytes, begins: Sequence[int], ends: Sequence[int]) -> np.ndarray:
        """Of ``text[begin:end]``, one each; 64 bits, the length among what they are made of."""
        if len(self.up) <= len(text):
            self._grow(len(text) + 1)
        sums = np.zeros(len(text) + 1, np.uint64)
        np.cumsum(np.frombuffer(text, np.uint8) * self.up[: len(text)], out=sums[1:])
        first, last = np.asarray(begins, int), np.asarray(ends, int)
        lengths = (last - first).astype(np.uint64)
        found: np.ndarray = (sums[last] - sums[first]) * self.down[first] + _PER_BYTE * lengths
        return found

    def _grow(self, least: int) -> None:
        size = max(least, 2 * _BLOCK)
        for name, base in (("up", _BASE), ("down", pow(_BASE, -1, 1 << 64))):
            factors = np.full(size, base, np.uint64)
            factors[0] = 1
            setattr(self, name, np.cumprod(factors))


_POWERS = _Powers(np.ones(1, np.uint64), np.ones(1, np.uint64))
_IS_MARK = np.isin(np.arange(256), list(_MARKS))


def _hashed(texts: Sequence[bytes]) -> np.ndarray:
    ends = list(accumulate(map(len, texts)))
    return _POWERS.hashes(b"".join(texts), [0, *ends[:-1]] if ends else [], ends)


class _Lines(Evidence):
    """Evidence that recognises nothing and remembers every line it is shown."""

    def __init__(self) -> None:
        super().__init__((), base={}, fixed={}, forbidden={}, held=None)
        self._found: list[np.ndarray] = []
        self._new = 0
        self._out = Collector(self, Places())

    def __bool__(self) -> bool:
        return True

    def find(self, data: bytes, *, name: str = "", near: bool = True) -> None:
        """Remember the lines of some bytes."""
        text = joined_lines(data)
        last, at = b"", 0
        while at < len(text):
            end = text.find(b"\n", at + _BLOCK)
            block = text[at : end if end >= 0 else len(text)]
            at += len(block) + 1
            if len(block) > _LONGEST:
                rows = (row for row in block.split(b"\n") if len(row) <= _LONGEST)
                block = b"\n".join(rows)
            self._remember(last + b"\n" + block)
            last = block.rstrip(b"\n").rpartition(b"\n")[2] or last

    def _remember(self, text: bytes) -> None:
        """Lines and pairs of lines of a text in which nothing but their ends is white space."""
        breaks = np.flatnonzero(np.frombuffer(text, np.uint8) == ord("\n"))
        ends = np.append(breaks, len(text)) - np.arange(len(breaks) + 1)
        begins = np.concatenate(([0], ends[:-1]))
        filled = ends > begins
        begins, ends = begins[filled], ends[filled]
        whole = text.replace(b"\n", b"")
        letters = np.flatnonzero(~_IS_MARK[np.frombuffer(whole, np.uint8)])
        places = np.append(letters, len(whole))[np.searchsorted(letters, begins)]
        bare = np.minimum(places, ends)
        marked = bare > begins
        first = np.concatenate((begins, bare[marked], begins[:-1]))
        last = np.concatenate((ends, ends[marked], ends[1:]))
        long = last - first >= LEAST
        self._found.append(_POWERS.hashes(whole, first[long], last[long]))
        self._new += len(self._found[-1])
        if self._new > 1 << 22:
            self._settle()

    def read(self, path: Path) -> None:
        """Read a file and everything inside it."""
        try:
            data = path.read_bytes()
        except OSError as exc:
            self._out.note(str(path), exc.strerror or "not readable")
            return
        for _ in self._out.examine(path.name, data):
            pass

    def index(self) -> LineIndex:
        """What was remembered."""
        self._settle()
        return LineIndex(self._found[0], not self._out.report().unreadable)

    def _settle(self) -> None:
        self._found, self._new = [_unique(self._found)], 0
