"""Content behind the older disguises: uuencode, quoted-printable, hex dumps, escaped characters.

Each is told by marks of its own, so that an ordinary text costs a search for them and no more.
"""

from __future__ import annotations

import binascii
import contextlib
import quopri
import re
import zlib
from collections.abc import Iterator

__all__ = ["dumped", "embedded_streams"]

_UU = re.compile(
    rb"^begin [0-7]{3,4} [^\r\n]*\r?\n(.*?)^(?:`| )?\r?\n?end\b", re.DOTALL | re.MULTILINE
)
_SOFT = re.compile(rb"=\r?\n|=3D|=20\r?\n")
_DUMP = re.compile(
    rb"^[ \t]*[0-9a-fA-F]{4,16}:?[ \t]+((?:[0-9a-fA-F]{2,8} {1,2}){2,16})", re.MULTILINE
)
_ESCAPED = re.compile(rb"\\(?:u00|x)(0[9aAdD]|[2-7][0-9a-fA-F])")
_FEW = 4
_HEAD = 8192
_ZLIB = re.compile(rb"\x78[\x01\x5e\x9c\xda]")
_LEAST_STREAM, _STREAM_BOUND = 16, 64 << 20


def dumped(data: bytes) -> Iterator[tuple[str, bytes]]:
    """Names of disguises, and what is behind them."""
    if b"\0" in data[:_HEAD]:
        return  # a program or an image; its chance marks would be read again and again
    for match in _UU.finditer(data) if b"begin " in data else ():
        yield "uuencode", b"".join(_uu_lines(match[1]))
    if data.count(b"=3D") + data.count(b"=\n") + data.count(b"=\r\n") and _SOFT.search(data):
        yield "quoted", quopri.decodestring(data)
    rows = _DUMP.findall(data)
    if len(rows) >= _FEW:
        with contextlib.suppress(ValueError):
            yield "hexdump", bytes.fromhex(b"".join(rows).decode())
    if data.count(b"\\u00") >= _FEW or data.count(b"\\x") >= _FEW:
        yield "escaped", _ESCAPED.sub(lambda found: bytes([int(found[1], 16)]), data)


def embedded_streams(data: bytes) -> Iterator[bytes]:
    """Deflated values in a data base, which keeps them between its own bytes."""
    if not data.startswith(b"SQLite format 3\0"):
        return
    for match in _ZLIB.finditer(data):
        with contextlib.suppress(zlib.error):
            found = zlib.decompressobj().decompress(data[match.start() :], _STREAM_BOUND)
            if len(found) >= _LEAST_STREAM:
                yield found


def _uu_lines(body: bytes) -> Iterator[bytes]:
    for line in body.splitlines():
        with contextlib.suppress(binascii.Error):
            yield binascii.a2b_uu(line)
