"""Code objects out of .pyc files of any Python 3, read as data.

The standard reader understands its own version only and may crash on bytes somebody has made up;
this one builds nothing but tuples. Format: CPython's ``Python/marshal.c`` and PEP 552.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

__all__ = ["Code", "Header", "code_objects", "header_of", "read_marshal"]

_POSITIONAL_ONLY = 3410  # 3.8
_ONE_TABLE_OF_LOCALS = 3450  # 3.11
_FLAGS_IN_HEADER = 3390  # 3.7
_MAX_DEPTH = 200


@dataclass(frozen=True, slots=True)
class Code:
    """What of a code object does not depend on where it stood."""

    name: str
    """Function's name."""
    code: bytes
    """Instructions."""
    constants: tuple[Any, ...]
    """Constants; nested code among them."""
    names: tuple[str, ...]
    """Attributes and globals."""
    local_names: tuple[str, ...]
    """Parameters and variables."""


@dataclass(frozen=True, slots=True)
class Header:
    """The first bytes of a .pyc file."""

    magic: int
    """Version of the instruction set."""
    length: int
    """Bytes of the header."""
    source_size: int | None
    """Size of the source, or None for files that hold a hash."""
    source_hash: bytes
    """Hash of the source, or nothing."""


def header_of(data: bytes) -> Header | None:
    """The header of a .pyc file; None when it is none."""
    if len(data) < 16 or data[2:4] != b"\r\n":
        return None
    magic = int.from_bytes(data[:2], "little")
    if not 3200 <= magic < 5000:
        return None
    if magic < _FLAGS_IN_HEADER:
        return Header(magic, 12, int.from_bytes(data[8:12], "little"), b"")
    if data[4] & 1:
        return Header(magic, 16, None, data[8:16])
    return Header(magic, 16, int.from_bytes(data[12:16], "little"), b"")


def read_marshal(data: bytes, magic: int) -> Any:
    """The object in marshalled bytes.

    Raises:
        ValueError: the bytes are cut off or unknown.
    """
    try:
        return _Reader(data, magic).read(0)
    except (IndexError, struct.error, UnicodeError, TypeError) as exc:
        msg = f"not readable as marshalled data: {exc}"
        raise ValueError(msg) from exc


def code_objects(value: Any) -> Iterator[Code]:
    """All code objects in a value, however deep."""
    if isinstance(value, Code):
        yield value
        value = value.constants
    if isinstance(value, tuple):
        for part in value:
            yield from code_objects(part)


class _Reader:
    def __init__(self, data: bytes, magic: int) -> None:
        self.data, self.at, self.magic = data, 0, magic
        self.refs: list[Any] = []

    def take(self, size: int) -> bytes:
        found = self.data[self.at : self.at + size]
        if size < 0 or len(found) < size:
            msg = "cut off"
            raise ValueError(msg)
        self.at += size
        return found

    def number(self) -> int:
        return int(struct.unpack("<i", self.take(4))[0])

    def read(self, depth: int) -> Any:
        if depth > _MAX_DEPTH:
            msg = "nested too deep"
            raise ValueError(msg)
        mark = self.take(1)[0]
        kind, kept = chr(mark & 0x7F), bool(mark & 0x80)
        if kind == "r":
            return self.refs[self.number()]
        slot = len(self.refs)
        if kept:
            self.refs.append(None)
        value = self._value(kind, depth)
        if kept:
            self.refs[slot] = value
        return value

    def _value(self, kind: str, depth: int) -> Any:
        simple = {"N": None, "F": False, "T": True, "S": "StopIteration", ".": ..., "0": "NULL"}
        if kind in simple:
            return simple[kind]
        if kind in "iIgyfxl":
            return self._numeric(kind)
        if kind in "stuaAzZ":
            return self._text(kind)
        if kind in "()[<>":
            size = self.take(1)[0] if kind == ")" else self.number()
            items = tuple(self.read(depth + 1) for _ in range(size))
            return tuple(sorted(items, key=repr)) if kind in "<>" else items
        if kind == ":":
            return ("slice", *(self.read(depth + 1) for _ in range(3)))
        if kind == "c":
            return self._code(depth + 1)
        msg = f"unknown mark {kind!r}"
        raise ValueError(msg)

    def _numeric(self, kind: str) -> Any:
        if kind == "i":
            return self.number()
        if kind == "I":
            return struct.unpack("<q", self.take(8))[0]
        if kind == "g":
            return struct.unpack("<d", self.take(8))[0]
        if kind == "y":
            return complex(*struct.unpack("<dd", self.take(16)))
        if kind == "l":
            size = self.number()
            digits = struct.unpack(f"<{abs(size)}H", self.take(2 * abs(size)))
            value = sum(digit << (15 * place) for place, digit in enumerate(digits))
            return -value if size < 0 else value
        return tuple(self.take(self.take(1)[0]) for _ in range(2 if kind == "x" else 1))

    def _text(self, kind: str) -> Any:
        size = self.take(1)[0] if kind in "zZ" else self.number()
        raw = self.take(size)
        return raw if kind == "s" else raw.decode("utf-8", "surrogatepass")

    def _code(self, depth: int) -> Code:
        modern = self.magic >= _ONE_TABLE_OF_LOCALS
        counts = 5 if modern else 6 if self.magic >= _POSITIONAL_ONLY else 5
        self.take(4 * counts)
        code, constants, names, local_names = (self.read(depth) for _ in range(4))
        self.read(depth)  # kinds of locals, or free variables
        if not modern:
            self.read(depth)  # cell variables
        self.read(depth)  # file name
        name = self.read(depth)
        if modern:
            self.read(depth)  # qualified name
        self.number()  # first line
        self.read(depth)  # line table
        if modern:
            self.read(depth)  # exception table
        return Code(str(name), code, constants, names, local_names)
