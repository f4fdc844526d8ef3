"""An index of a layer, so that the tasks of one repository need not read their environment again.

It holds hashes of lines and of neighbouring lines and says where nothing can be; what it does not
exclude is scanned in earnest, so a chance hit costs time and never a task.
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from regreen.core.errors import UsageError
from regreen.guard.scan.collecting import Collector
from regreen.guard.scan.evidence import Evidence
from regreen.guard.scan.findings import Leak
from regreen.guard.scan.hunks import parse_patch
from regreen.guard.scan.places import Places
from regreen.guard.scan.scanner import Reader, scan
from regreen.guard.scan.text import LEAST, canonical_lines
from regreen.guard.scan.walk import files_below

__all__ = ["LineIndex", "line_index", "lines_of_patch", "seal_check"]

_MAGIC = b"regreen.lines/1\n"
_MARKS = b"+-><|#*!"


@dataclass(frozen=True, eq=False)
class LineIndex:
    """Hashes of every line of a layer, in archives and encodings too."""

    hashes: np.ndarray
    """Sorted, unique, 64 bits each: CRC-32 below the length."""
    complete: bool
    """Whether all of the layer could be read; if not, nothing is excluded."""

    def holds(self, texts: Iterable[bytes]) -> list[bytes]:
        """Which canonical lines, or pairs of lines one after the other, may be in the layer."""
        wanted = list(texts)
        hashes = np.array([_hash(text) for text in wanted], dtype=np.uint64)
        places = np.searchsorted(self.hashes, hashes)
        places[places == len(self.hashes)] = 0
        same = self.hashes[places] == hashes if len(self.hashes) else np.zeros(len(wanted), bool)
        return [text for text, held in zip(wanted, same, strict=True) if held]

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


def line_index(layer: Path) -> LineIndex:
    """Read a layer once."""
    reader = _Lines()
    for path in files_below(layer):
        if not path.is_symlink():
            reader.read(path.relative_to(layer).as_posix(), path)
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
    trees: Sequence[Path], index: LineIndex, patch: str, base: Reader | None
) -> tuple[Leak, ...]:
    """Whether the layers below a task hold its fix.

    Args:
        trees: the layers that ``index`` was made of.
        index: their lines; with several layers the union, by :func:`joined`.
        patch: the gold patch.
        base: reads a file of the task's broken tree.
    """
    known = _base_lines(patch, base)
    wanted = [line for line in lines_of_patch(patch) if line not in known]
    if index.complete and not index.holds(wanted):
        return ()
    return tuple(leak for tree in trees for leak in scan(tree, patch, base=base, only_fix=True))


def joined(indices: Iterable[LineIndex]) -> LineIndex:
    """One index of several layers."""
    parts = list(indices)
    hashes = np.unique(np.concatenate([part.hashes for part in parts] or [np.zeros(0, "<u8")]))
    return LineIndex(hashes, all(part.complete for part in parts))


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


def _hash(text: bytes) -> int:
    return zlib.crc32(text) | (len(text) & 0xFFFFFFFF) << 32


class _Lines(Evidence):
    """Evidence that recognises nothing and remembers every line it is shown."""

    def __init__(self) -> None:
        super().__init__((), base={}, fixed={}, forbidden={}, held=None)
        self._found: list[np.ndarray] = []
        self._new: set[int] = set()
        self._out = Collector(self, Places())

    def __bool__(self) -> bool:
        return True

    def find(self, data: bytes, *, name: str = "", near: bool = True) -> None:
        """Remember the lines of some bytes."""
        last = 0
        size = 0
        for line in canonical_lines(data):
            bare = line.lstrip(_MARKS)
            for text in (line, bare) if bare != line else (line,):
                if len(text) >= LEAST:
                    self._new.add(_hash(text))
            if line:
                if size:
                    whole = size + len(line)
                    self._new.add(zlib.crc32(line, last) | whole << 32)
                last, size = zlib.crc32(line), len(line)
        if len(self._new) > 1 << 20:
            self._settle()

    def read(self, where: str, path: Path) -> None:
        """Read a file and everything inside it."""
        try:
            data = path.read_bytes()
        except OSError as exc:
            self._out.note(where, exc.strerror or "not readable")
            return
        for _ in self._out.examine(where, data):
            pass

    def index(self) -> LineIndex:
        """What was remembered."""
        self._settle()
        hashes = np.unique(np.concatenate(self._found))
        return LineIndex(hashes, not self._out.report().unreadable)

    def _settle(self) -> None:
        self._found.append(np.fromiter(self._new, dtype=np.uint64, count=len(self._new)))
        self._new.clear()
