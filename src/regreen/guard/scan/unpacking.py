"""What lies inside other bytes: compressed files, archives, packages, and blobs written as text.

Formats are told by their first bytes and never by a file's name. Whatever cannot be opened, or
would grow past the bounds, is noted; nothing is left out silently.
"""

from __future__ import annotations

import base64
import binascii
import bz2
import contextlib
import gzip
import io
import lzma
import re
import tarfile
import urllib.parse
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import IO, Any

import numpy as np

from regreen.guard.scan.dumps import dumped, embedded_streams

__all__ = ["MAX_DEPTH", "MAX_PART", "Part", "parts"]

MAX_DEPTH = 6
MAX_PART = 1 << 30
"""Bytes of one unpacked part."""
_ENCODED = 40
_ZSTD = b"\x28\xb5\x2f\xfd"
_GAP = 16
_SHORT = 16
_TEXT_BOUND = 64 << 20
_BASE64 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=-_\r\n"
_PRINTABLE = bytes(range(33, 127)) + b"\r\n"
_BASE85 = re.compile(rb"[0-9A-Za-z!#$%&()*+\-;<=>?@^_`{|}~]{40,}")
_URL_SAFE = bytes.maketrans(b"-_", b"+/")
_TEXT = re.compile(rb"[\t\n\r\x20-\x7e]+")
_DIGIT = re.compile(rb"[0-9]")
_NOT_BASE64 = re.compile(rb"[!#$%&()*;<>?@^`{|}~]")
_ASCII85 = re.compile(rb"(?:<~)?([!-uz]{40,})(?:~>)?")


@dataclass(frozen=True, slots=True)
class Part:
    """Something that was inside."""

    suffix: str
    """What to add to the place of the whole."""
    data: bytes
    """Its bytes."""
    encoded: bool = False
    """Whether it was written as text, in contrast to an archive."""
    final: bool = False
    """Whether nothing further is to be opened in it."""


def parts(data: bytes, note: Callable[[str], None], *, texts: bool = True) -> Iterator[Part]:
    """What some bytes hold, one step deep.

    Args:
        data: the bytes.
        note: called with a reason for whatever could not be opened.
        texts: whether to look for blobs written as text too.
    """
    try:
        packed = _packed(data)
        if packed is not None:
            yield from packed
            return
    except (OSError, EOFError, ValueError, zlib.error, lzma.LZMAError, tarfile.TarError,
            zipfile.BadZipFile, NotImplementedError, RuntimeError, MemoryError) as exc:  # fmt: skip
        note(f"cannot be unpacked in full: {exc}")
    if texts and len(data) <= _TEXT_BOUND:
        yield from _written(data)


def _packed(data: bytes) -> Iterator[Part] | None:
    for magic, opener in _STREAMS:
        if data.startswith(magic):
            return _stream(opener(io.BytesIO(data)))
    for told, unpack in _CONTAINERS:
        if told(data):
            return unpack(data)
    return None


_STREAMS: tuple[tuple[bytes, Callable[[IO[bytes]], Any]], ...] = (
    (b"\x1f\x8b", lambda file: gzip.GzipFile(fileobj=file)),
    (b"BZh", bz2.BZ2File),
    (b"\xfd7zXZ\0", lzma.LZMAFile),
    (b"]\0\0", lzma.LZMAFile),
)


def _stream(file: IO[bytes]) -> Iterator[Part]:
    found = io.BytesIO()
    try:
        # In one step each, for a longer read would throw away what it has when the file is cut off.
        read = getattr(file, "read1", file.read)
        while block := read(1 << 20):
            found.write(block)
            _bounded(found.tell())
    except (OSError, EOFError, zlib.error, lzma.LZMAError):
        yield Part("!", found.getvalue())  # what could be read of a file that is cut off
        raise
    yield Part("!", found.getvalue())


def _deflated(data: bytes) -> Iterator[Part]:
    reader = zlib.decompressobj()
    try:
        found = reader.decompress(data, MAX_PART)
    except zlib.error:
        return iter(())  # two bytes that look like a header are common in plain text
    return iter([Part("!", found)]) if found else iter(())


def _arrow(data: bytes) -> Iterator[Part]:
    import pyarrow

    kind = "zstd" if data.startswith(_ZSTD) else "lz4"
    with pyarrow.CompressedInputStream(pyarrow.BufferReader(data), kind) as file:
        yield from _stream(file)


def _old_tar(data: bytes) -> bool:
    """A tar of before 1988 has no magic; its header's checksum tells."""
    if (
        len(data) < 1024
        or len(data) % 512
        or not re.fullmatch(rb"[0-7 ]{6}[\0 ]{2}", data[148:156])
    ):
        return False
    total = sum(data[:148]) + 8 * 32 + sum(data[156:512])
    return total == int(data[148:156].strip(b"\0 ") or b"0", 8)


def _tar(data: bytes) -> Iterator[Part]:
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:", ignore_zeros=True) as archive:
        for member in archive:
            if member.isfile():
                _bounded(member.size)
                file = archive.extractfile(member)
                if file is not None:
                    yield Part(f"!/{member.name}", file.read())


def _zip(data: bytes) -> Iterator[Part]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        if archive.comment:
            yield Part("!comment", archive.comment)
        for member in archive.infolist():
            if not member.is_dir():
                _bounded(member.file_size)
                yield Part(f"!/{member.filename}", archive.read(member))


def _ar(data: bytes) -> Iterator[Part]:
    """Members of ``ar``, the outer format of Debian packages."""
    at = 8
    while at + 60 <= len(data):
        header = data[at : at + 60]
        size = int(header[48:58].strip() or b"0")
        name = header[:16].strip().decode("utf-8", "replace").rstrip("/")
        yield Part(f"!/{name}", data[at + 60 : at + 60 + size])
        at += 60 + size + size % 2


def _bounded(size: int) -> None:
    if size > MAX_PART:
        msg = f"a part is larger than {MAX_PART >> 20} MiB"
        raise ValueError(msg)


_CONTAINERS: tuple[tuple[Callable[[bytes], bool], Callable[[bytes], Iterator[Part]]], ...] = (
    (lambda data: data[:1] == b"\x78" and int.from_bytes(data[:2], "big") % 31 == 0, _deflated),
    (lambda data: data.startswith((_ZSTD, b"\x04\x22\x4d\x18")), _arrow),
    (lambda data: data[257:262] == b"ustar" or _old_tar(data), _tar),
    (lambda data: data.startswith(b"!<arch>\n"), _ar),
    (lambda data: b"PK\x05\x06" in data[-66_000:], _zip),
)


def _written(data: bytes) -> Iterator[Part]:
    """Blobs written as text: long runs of an encoding's letters, also over several lines.

    Most runs are paths and names, and decode to noise: noise is put into one part.
    """
    noise: list[bytes] = []
    plain = data.replace(b"\\n", b"\n") if b"\\n" in data else data
    decoded = (found for run in _blobs(plain) for found in _decodings(run))
    runs = (plain[begin:end] for begin, end in _runs(plain, _PRINTABLE_TABLE))
    others = (
        ("base85", found)
        for run in filter(_dense, runs)
        for found in _base85(run.translate(None, b"\n\r"))
    )
    for number, (name, found) in enumerate(chain(decoded, others)):
        if found.isascii() or _promising(found):
            yield Part(f"!{name}[{number}]", found, encoded=True)
        else:
            noise.append(found)
    if noise:
        yield Part("!text", b"\n".join(noise), encoded=True, final=True)
    for name, found in dumped(data):
        again = name in {"uuencode", "hexdump"}
        yield Part(f"!{name}", found, encoded=True, final=not again)
    for number, found in enumerate(embedded_streams(data)):
        yield Part(f"!zlib[{number}]", found)
    if b"%0A" in data or b"%0a" in data or data.count(b"%20") > 2:
        unquoted = urllib.parse.unquote_to_bytes(data.replace(b"+", b" "))
        yield Part("!percent", unquoted, encoded=True, final=True)


def _promising(data: bytes) -> bool:
    """Whether decoded bytes are of a format that is opened or read further."""
    known = data.startswith((*(magic for magic, _ in _STREAMS), b"PACK", b"# v")) or (
        data[2:4] == b"\r\n"
    )
    return known or any(told(data) for told, _ in _CONTAINERS)


def _blobs(data: bytes) -> Iterator[bytes]:
    """Runs of base64 letters, and lines of equal length that quotes or margins keep apart."""
    row: list[bytes] = []
    last = 0
    for begin, end in _runs(data, _BASE64_TABLE, least=_SHORT):
        run = data[begin:end]
        if not _DIGIT.search(run):
            continue  # words; a blob of this length has digits
        if end - begin >= _ENCODED and _dense(run):
            yield run
            yield from _blocks(run)
        if row and (begin - last > _GAP or len(row[-1]) != len(row[0])):
            if len(row) > 1:
                yield b"".join(row)
            row = []
        row.append(run.strip(b"\r\n"))
        last = end
    if len(row) > 1:
        yield b"".join(row)


def _blocks(run: bytes) -> Iterator[bytes]:
    """Lines of one length with a shorter last one, where a run has other lines as well.

    Words right before a blob, as in ``Content-Transfer-Encoding: base64``, are letters of base64
    too and would shift all that follows.
    """
    found: list[list[bytes]] = []
    whole = True
    for line in run.replace(b"\r\n", b"\n").split(b"\n"):
        if found and line and not whole and len(line) <= len(found[-1][0]):
            found[-1].append(line)
            whole = len(line) < len(found[-1][0])
        else:
            found.append([line])
            whole = not line
    blocks = [b"".join(lines) for lines in found if lines[0]]
    if len(blocks) > 1:
        yield from (block for block in blocks if len(block) >= _ENCODED and _DIGIT.search(block))


def _base85(run: bytes) -> Iterator[bytes]:
    run = run.strip(b"\"'")
    if not _NOT_BASE64.search(run):
        return
    bare = run.removeprefix(b"b'").removeprefix(b'b"')
    for body in {*_BASE85.findall(run), *_BASE85.findall(bare)}:
        with contextlib.suppress(ValueError):
            yield base64.b85decode(body)
    if match := _ASCII85.fullmatch(bare):
        with contextlib.suppress(ValueError):
            yield base64.a85decode(match[1])


def _table(letters: bytes) -> bytes:
    return bytes(letter in letters for letter in range(256))


_BASE64_TABLE = _table(_BASE64)
_PRINTABLE_TABLE = _table(_PRINTABLE)


def _runs(data: bytes, table: bytes, *, least: int = _ENCODED) -> list[tuple[int, int]]:
    """Where letters of an encoding stand together for long."""
    inside = np.frombuffer(data.translate(table), bool)
    edges = np.flatnonzero(inside[1:] != inside[:-1]) + 1
    first = [0] if inside[:1].any() else []
    last = [len(inside)] if inside[-1:].any() else []
    bounds = np.concatenate((np.array(first, int), edges, np.array(last, int)))
    begins, ends = bounds[::2], bounds[1::2]
    long = ends - begins >= least
    return list(zip(begins[long].tolist(), ends[long].tolist(), strict=True))


def _dense(run: bytes) -> bool:
    """Lists of short words, one a line, are no blob."""
    return len(run) >= _ENCODED * (1 + run.count(b"\n")) // 2


def _decodings(run: bytes) -> Iterator[tuple[str, bytes]]:
    run = run.translate(None, b"\r\n")
    if re.fullmatch(rb"[0-9a-fA-F]+", run):
        yield "hex", binascii.unhexlify(run[: len(run) // 2 * 2])
    if re.fullmatch(rb"[A-Z2-7]+=*", run):
        with_padding = run.rstrip(b"=")
        with_padding += b"=" * (-len(with_padding) % 8)
        with contextlib.suppress(binascii.Error):
            yield "base32", base64.b32decode(with_padding)
    for piece in run.translate(_URL_SAFE).split(b"="):
        if len(piece) >= _SHORT and _DIGIT.search(piece):
            for shift in (0, *_shifts(piece)):
                body = piece[shift : len(piece) - ((len(piece) - shift) % 4 == 1)]
                with contextlib.suppress(binascii.Error):
                    yield "base64", base64.b64decode(body + b"=" * (-len(body) % 4))


def _shifts(piece: bytes) -> Iterator[int]:
    """Where else a blob may begin whose start has grown together with a word or a path.

    Only text shows that it was read from the right letter on.
    """
    middle = len(piece) // 8 * 4
    for shift in (1, 2, 3):
        sample = piece[middle + shift : middle + shift + 24]
        if len(sample) == 24 and _TEXT.fullmatch(base64.b64decode(sample)):
            yield shift
