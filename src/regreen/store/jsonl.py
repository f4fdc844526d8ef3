"""Append-only JSON lines: one row, one write, one fsync; what was written is never lost.

A row that could not be written whole is cut off again, at once when the disk is full and on the
next opening after a crash, so every line of the file is either absent or complete.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import threading
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

from regreen.core.errors import UsageError
from regreen.store.atomic import disk_error, sync_directory

__all__ = ["JsonlWriter", "decode_lines", "encode_row", "read_jsonl", "whole_lines"]

_BLOCK = 1 << 16


def encode_row(row: Mapping[str, Any]) -> bytes:
    r"""One line of strict JSON with its line feed.

    Lone surrogates, which UTF-8 cannot hold, are written as ``\udXXX`` escapes, and non-finite
    numbers as the strings ``NaN`` and ``Infinity``, which pydantic reads back as numbers.
    """
    try:
        text = json.dumps(row, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except ValueError:
        text = json.dumps(_finite(row), ensure_ascii=False, separators=(",", ":"))
    try:
        return text.encode() + b"\n"
    except UnicodeEncodeError:
        return json.dumps(json.loads(text), separators=(",", ":")).encode() + b"\n"


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value


class JsonlWriter:
    """Appends rows to a file; safe to share between threads.

    Opening repairs a torn last line: an unfinished row is cut off, a whole row that lacks only its
    line feed gets it.

    Args:
        path: the file; it and its directory are made when absent.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._guard = threading.Lock()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            is_new = not path.exists()
            self._file = path.open("a+b", buffering=0)
            if is_new:
                sync_directory(path.parent)
            self.repaired_bytes = _repair(self._file)
        except OSError as error:
            raise disk_error(error, path) from error

    def append(self, row: Mapping[str, Any]) -> None:
        """Write one row and wait until the disk has it.

        Raises:
            InfrastructureError: the disk is full or failing; rows written before still stand.
        """
        data = encode_row(row)
        with self._guard:
            end = self._file.seek(0, os.SEEK_END)
            try:
                _write_all(self._file, data)
                os.fsync(self._file.fileno())
            except OSError as error:
                with contextlib.suppress(OSError):  # the next opening repairs what this cannot
                    self._file.truncate(end)
                raise disk_error(error, self.path) from error

    def close(self) -> None:
        """Close the file; calling it twice is harmless."""
        self._file.close()

    def __enter__(self) -> JsonlWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _write_all(file: Any, data: bytes) -> None:  # an unbuffered write may be partial
    view = memoryview(data)
    while view:
        view = view[file.write(view) :]


def _repair(file: Any) -> int:
    """Cut an unfinished last row off; returns the bytes removed."""
    size: int = file.seek(0, os.SEEK_END)
    start = _last_line_start(file, size)
    if start == size:
        return 0
    file.seek(start)
    try:
        json.loads(file.read(size - start).decode())
    except ValueError:
        file.truncate(start)
        return size - start
    _write_all(file, b"\n")
    return 0


def _last_line_start(file: Any, size: int) -> int:
    position = size
    while position > 0:
        step = min(_BLOCK, position)
        position -= step
        file.seek(position)
        found = file.read(step).rfind(b"\n")
        if found >= 0:
            return int(position + found + 1)
    return 0


def read_jsonl(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield line number (from 1) and object of each line; blank lines are passed over.

    Raises:
        UsageError: the path is no file, or a line is no JSON object; ``where`` is ``file:line``.
    """
    if path.is_dir():
        what = "this is a directory, not a file of JSON lines"
        raise UsageError(what, where=str(path), mend="name the file inside it")
    try:
        file = path.open("rb")
    except OSError as error:
        raise disk_error(error, path) from error
    with file:
        yield from decode_lines(file, str(path))


def whole_lines(file: BinaryIO) -> Iterator[bytes]:
    """Lines that end in a line feed: what a reader may use of a file that is being written."""
    return (line for line in file if line.endswith(b"\n"))


def decode_lines(lines: Iterable[bytes], name: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """As :func:`read_jsonl`, from any source of lines; ``name`` is what errors call it."""
    for number, line in enumerate(lines, start=1):
        if line.strip():
            yield number, _decode(line, f"{name}:{number}")


def _decode(line: bytes, where: str) -> dict[str, Any]:
    try:
        row = json.loads(line.decode())
    except UnicodeDecodeError as error:
        what = f"this is not UTF-8 text (byte {error.start} of the line)"
        mend = "name a file of JSON lines, or a Parquet file that ends in .parquet"
        raise UsageError(what, where=where, mend=mend) from error
    except (ValueError, RecursionError) as error:
        torn = "" if line.endswith(b"\n") else "; the file ends in the middle of it"
        what = f"this line is not JSON: {error}{torn}"
        mend = "delete or restore this line; regreen rollout --resume repairs those of a run"
        raise UsageError(what, where=where, mend=mend) from error
    if not isinstance(row, dict):
        what = f"this line holds a JSON {type(row).__name__}, not an object"
        raise UsageError(what, where=where, mend="write one JSON object per line")
    return row
