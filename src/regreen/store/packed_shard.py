"""One file of packed rows: a preamble of 64 bytes, then flat little-endian arrays.

Every row has the capacity's number of slots, pads included, so that a row is found by one
multiplication; with the padding that a plan leaves, offsets per row would save less than they cost.
The sizes of all arrays follow from four numbers in the preamble, so a file that was cut short or
mixed up is refused before anything of it is read.

    slots   tokens    R * C  unsigned, 2 or 4 bytes   token ids
            labels    R * C  uint8                    role in the low seven bits, 0x80: trained
    rows    rows      R + 1  int64                    pieces of row r: rows[r] to rows[r + 1]
            borders   P + R  int32                    row r: where each piece begins, then where the
                                                      last one ends; from rows[r] + r on
    pieces  document  P      int64                    which document
            start     P      int64                    its first token in the document
            head      P      int32                    tokens of the head in front of that token
            template  P      int32                    which template rendered the document

(R rows, C capacity, P pieces; each array begins at a multiple of 64 bytes.)
"""

from __future__ import annotations

import hashlib
import mmap
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from regreen.core.errors import UsageError
from regreen.store.atomic import disk_error, replacing
from regreen.store.packed_header import ShardRecord

__all__ = ["ShardArrays", "ShardShape", "ShardTable", "digest_of", "open_shard", "write_shard"]

Array = NDArray[Any]

_MAGIC = b"regreen.packed\x00\x00"
_VERSION = 1
_PREAMBLE = struct.Struct("<16sIIQQQ")
_ALIGN = 64


class ShardTable(NamedTuple):
    """What a shard holds beside its slots."""

    rows: Array
    """(R + 1,) see the module."""
    borders: Array
    """(P + R,) see the module."""
    document: Array
    """(P,) see the module."""
    start: Array
    """(P,) see the module."""
    head: Array
    """(P,) see the module."""
    template: Array
    """(P,) see the module."""


class ShardArrays(NamedTuple):
    """A shard as it lies in memory, nothing copied."""

    tokens: Array
    """(R, C) token ids."""
    labels: Array
    """(R, C) role and loss bit."""
    table: ShardTable
    """The pieces."""


@dataclass(frozen=True)
class ShardShape:
    """The four numbers that the size of a shard follows from."""

    token_bytes: int
    """Bytes of a token id."""
    capacity: int
    """Tokens of a row."""
    rows: int
    """Rows."""
    pieces: int
    """Pieces in them."""

    def sections(self) -> dict[str, tuple[str, int, int]]:
        """Type, offset in bytes and length of each array, and of what stands behind the last."""
        slots, found, at = self.rows * self.capacity, {}, _ALIGN
        for name, kind, length in (
            ("tokens", f"<u{self.token_bytes}", slots),
            ("labels", "|u1", slots),
            ("rows", "<i8", self.rows + 1),
            ("borders", "<i4", self.pieces + self.rows),
            ("document", "<i8", self.pieces),
            ("start", "<i8", self.pieces),
            ("head", "<i4", self.pieces),
            ("template", "<i4", self.pieces),
        ):
            found[name] = (kind, at, length)
            at += -(-length * np.dtype(kind).itemsize // _ALIGN) * _ALIGN
        found["end"] = ("|u1", at, 0)
        return found

    def preamble(self) -> bytes:
        """The first bytes of the file."""
        numbers = (self.token_bytes, self.capacity, self.rows, self.pieces)
        return _PREAMBLE.pack(_MAGIC, _VERSION, *numbers).ljust(_ALIGN, b"\x00")


class _Hashing:
    """A file that is hashed as it is written."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._hash = hashlib.sha256()
        self.size = 0

    def write(self, data: bytes) -> None:
        self._file.write(data)
        self._hash.update(data)
        self.size += len(data)

    def pad_to(self, offset: int) -> None:
        self.write(bytes(offset - self.size))

    @property
    def digest(self) -> str:
        return self._hash.hexdigest()


def write_shard(
    path: Path,
    shape: ShardShape,
    tokens: Iterable[Array],
    labels: Iterable[Array],
    table: ShardTable,
) -> ShardRecord:
    """Write a shard as a whole: the file is there complete or not at all.

    Args:
        path: the file.
        shape: its numbers.
        tokens: blocks of rows, (rows of the block, C) each, in order.
        labels: the same for the labels; asked for when the tokens are written, so that one block
            of rows is all that need be in memory.
        table: the pieces.

    Raises:
        UsageError: the path cannot be written to.
        InfrastructureError: the disk is full; no file is left.
    """
    sections = shape.sections()
    parts = {"tokens": tokens, "labels": labels} | {
        name: (array,) for name, array in zip(ShardTable._fields, table, strict=True)
    }
    with replacing(path) as file:
        out = _Hashing(file)
        out.write(shape.preamble())
        for name, blocks in parts.items():
            kind, offset, _ = sections[name]
            out.pad_to(offset)
            for block in blocks:
                out.write(np.ascontiguousarray(block, dtype=kind).tobytes())
        out.pad_to(sections["end"][1])
    return ShardRecord(
        name=path.name, bytes=out.size, digest=out.digest, rows=shape.rows, pieces=shape.pieces
    )


def open_shard(path: Path, shape: ShardShape) -> ShardArrays:
    """Map a shard; nothing is read but its preamble.

    Raises:
        UsageError: it is missing, of another version, or not of this shape.
    """
    mend = "restore the file, or pack the sources again"
    sections = shape.sections()
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(0)
            first = file.read(_ALIGN)
            _check_preamble(first, shape, path)
            if size != sections["end"][1]:
                what = f"the shard has {size} bytes and should have {sections['end'][1]}"
                raise UsageError(what, where=str(path), mend=mend)
            whole = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except OSError as error:
        raise disk_error(error, path) from error
    arrays = {
        name: np.frombuffer(whole, dtype=kind, count=length, offset=offset)
        for name, (kind, offset, length) in sections.items()
        if name != "end"
    }
    grid = (shape.rows, shape.capacity)
    tokens, labels = (arrays.pop(name).reshape(grid) for name in ("tokens", "labels"))
    return ShardArrays(tokens, labels, ShardTable(**arrays))


def _check_preamble(first: bytes, shape: ShardShape, path: Path) -> None:
    where, mend = str(path), "restore the file, or pack the sources again"
    if len(first) < _ALIGN or first[: len(_MAGIC)] != _MAGIC:
        what = "this is no shard of packed rows"
        raise UsageError(what, where=where, mend=mend)
    version = _PREAMBLE.unpack_from(first)[1]
    if version != _VERSION:
        what = f"this shard has version {version} and this reader knows version {_VERSION}"
        raise UsageError(what, where=where, mend="upgrade regreen, or pack the sources again")
    if first != shape.preamble():
        what = "the shard is not the one that the header names"
        raise UsageError(what, where=where, mend=mend)


def digest_of(path: Path) -> str:
    """SHA-256 of a file.

    Raises:
        UsageError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise disk_error(error, path) from error
