"""The spool of a packing job: documents as they were rendered, before it is known where they go.

Rows can be planned only when every length is known, and a corpus does not fit in memory, so the
documents wait on disk. What counts is the state file, which is replaced now and then: a resumed job
cuts every other file back to the size it names and goes on with the source row it names. A file
that is shorter than that was damaged, and refused.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections import Counter
from collections.abc import Mapping
from io import BufferedRandom
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, NonNegativeInt, ValidationError

from regreen.core.errors import UsageError
from regreen.store.atomic import disk_error, write_text
from regreen.store.jsonl import encode_row
from regreen.store.packed_documents import DOCUMENTS, TEMPLATES, PackedDocument
from regreen.store.rendered import AsideRow
from regreen.store.writer_lock import WriterLock

__all__ = ["REJECTED", "Spool", "SpooledDocuments"]

REJECTED = "rejected.jsonl"
"""Rows of the sources that became no document, with the reason; absent when there are none."""
_STATE = "state.json"
_LOCK = ".writer"
_FILES = ("tokens", "labels", "lengths", "borders", DOCUMENTS, TEMPLATES, REJECTED)
_LENGTHS = np.dtype([("length", "<i8"), ("head", "<i4"), ("template", "<i4"), ("borders", "<i8")])
_SCHEMA = {"schema_name": "regreen.spool", "schema_version": 1}


class SpooledDocuments(NamedTuple):
    """All documents of a spool, mapped from disk. D documents, N tokens."""

    tokens: NDArray[Any]
    """(N,) token ids, one document behind the other."""
    labels: NDArray[np.uint8]
    """(N,) role and loss bit."""
    lengths: NDArray[np.int64]
    """(D,) tokens of each."""
    heads: NDArray[np.int64]
    """(D,) tokens of its head."""
    templates: NDArray[np.int32]
    """(D,) number of its template."""
    border_counts: NDArray[np.int64]
    """(D,) how many places it may be cut at; 0 where none was asked for."""
    borders: NDArray[np.int64]
    """The places, one document behind the other."""


class Spool:
    """A directory of documents that grows; one process at a time.

    Args:
        path: the directory; made when absent.
        job: what decides about every byte; a spool of another job is refused.
        token_bytes: bytes of a token id.
        resume: go on with what is there, where something is.

    Raises:
        UsageError: a spool is there and ``resume`` is not given, it is of another job, or it is not
            whole.
    """

    def __init__(
        self, path: Path, job: Mapping[str, Any], *, token_bytes: int, resume: bool
    ) -> None:
        self.path = path
        self._kind = np.dtype(f"<u{token_bytes}")
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise disk_error(error, path) from error
        self._lock = _locked(path)
        self._files: dict[str, BufferedRandom] = {}
        try:
            self._state = self._found(dict(job), resume=resume)
            self._open()
        except BaseException:
            self.close()
            raise
        self.reasons = Counter(self._state["reasons"])
        """Reasons of the rejected rows, with their number."""
        self.notes = Counter(self._state["notes"])
        """What was mended or left out, with its number."""

    @property
    def read(self) -> int:
        """Source rows that are dealt with."""
        return int(self._state["read"])

    @property
    def documents(self) -> int:
        """Documents that are committed."""
        return int(self._state["sizes"]["lengths"]) // _LENGTHS.itemsize

    @property
    def complete(self) -> bool:
        """Whether every source row is dealt with."""
        return bool(self._state["complete"])

    def append(
        self,
        tokens: NDArray[Any],
        labels: NDArray[np.uint8],
        borders: NDArray[np.int64],
        template: str,
        document: Mapping[str, Any],
    ) -> None:
        """Add a document.

        Args:
            tokens: its ids.
            labels: role and loss bit of each.
            borders: places where it may be cut.
            template: what rendered it; empty for plain text.
            document: the other columns of ``PackedDocument``.

        Raises:
            InfrastructureError: the disk is full; what was committed before still stands.
        """
        number = self._templates.get(template)
        if number is None:
            number = self._templates[template] = len(self._templates)
            self._put(TEMPLATES, json.dumps(template).encode() + b"\n")
        row = PackedDocument(template=number, length=len(tokens), **document)
        record = np.array([(row.length, row.head, number, len(borders))], _LENGTHS)
        self._put("tokens", tokens.astype(self._kind, copy=False).tobytes())
        self._put("labels", labels.tobytes())
        self._put("lengths", record.tobytes())
        self._put("borders", borders.astype("<i8", copy=False).tobytes())
        self._put(DOCUMENTS, encode_row(row.model_dump()))

    def reject(self, row: AsideRow) -> None:
        """Add a source row that became no document."""
        self.reasons[row.reason] += 1
        self._put(REJECTED, encode_row(row.model_dump()))

    def commit(self, read: int, *, complete: bool = False) -> None:
        """Make everything so far durable.

        Args:
            read: source rows that are dealt with.
            complete: whether those are all.

        Raises:
            InfrastructureError: the disk is full; what was committed before still stands.
        """
        sizes = {name: file.tell() for name, file in self._files.items()}
        try:
            for name, file in self._files.items():
                if sizes[name] != self._state["sizes"][name]:
                    file.flush()
                    os.fsync(file.fileno())
        except OSError as error:
            raise disk_error(error, self.path) from error
        self._state |= {
            "read": read,
            "complete": complete,
            "sizes": sizes,
            "reasons": dict(self.reasons),
            "notes": dict(self.notes),
        }
        self._write_state()

    def finish(self, name: str, digest: str) -> None:
        """Remember a file that was made of the spool, so that a resumed job may keep it.

        Raises:
            InfrastructureError: the disk is full; what was committed before still stands.
        """
        self._state["finished"][name] = digest
        self._write_state()

    def finished(self, name: str) -> str | None:
        """Digest of a file when it was finished; None where it was not."""
        found: str | None = self._state["finished"].get(name)
        return found

    def map(self) -> SpooledDocuments:
        """The committed documents."""
        records = self._map("lengths", _LENGTHS)
        return SpooledDocuments(
            tokens=self._map("tokens", self._kind),
            labels=self._map("labels", np.dtype(np.uint8)),
            lengths=records["length"].astype(np.int64),
            heads=records["head"].astype(np.int64),
            templates=records["template"].astype(np.int32),
            border_counts=records["borders"].astype(np.int64),
            borders=self._map("borders", np.dtype("<i8")),
        )

    def templates(self) -> list[str]:
        """Templates by number."""
        return list(self._templates)

    def remove(self) -> None:
        """Delete the spool."""
        self.close()
        shutil.rmtree(self.path)

    def close(self) -> None:
        """Close the files and let others write; what is not committed is lost."""
        for file in self._files.values():
            with contextlib.suppress(OSError):  # a full disk takes no more; it is lost in any case
                file.close()
        self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _found(self, job: dict[str, Any], *, resume: bool) -> dict[str, Any]:
        path = self.path / _STATE
        if path.exists():
            state = _read_state(path)
            _check(state, job, self.path, resume=resume)
            return _State.model_validate(state).model_dump()
        sizes = dict.fromkeys(_FILES, 0)
        return _State.model_validate({**_SCHEMA, "job": job, "sizes": sizes}).model_dump()

    def _open(self) -> None:
        try:
            for name in _FILES:
                file = self._files[name] = (self.path / name).open("a+b")
                size = self._state["sizes"][name]
                if os.fstat(file.fileno()).st_size < size:  # truncate would fill it with zeros
                    raise _damaged(self.path / name, "it is shorter than what was committed")
                file.truncate(size)
                file.seek(0)
            lines = self._files[TEMPLATES].read().splitlines()
            self._templates = _numbered(lines, self.path / TEMPLATES)
            for file in self._files.values():
                file.seek(0, os.SEEK_END)
        except OSError as error:
            raise disk_error(error, self.path) from error
        if not (self.path / _STATE).exists():
            self._write_state()

    def _put(self, name: str, data: bytes) -> None:
        try:
            self._files[name].write(data)
        except OSError as error:
            raise disk_error(error, self.path / name) from error

    def _write_state(self) -> None:
        write_text(self.path / _STATE, json.dumps(self._state, indent=1) + "\n")

    def _map(self, name: str, kind: np.dtype[Any]) -> NDArray[Any]:
        size = int(self._state["sizes"][name])
        if not size:
            return np.empty(0, kind)
        found: NDArray[Any] = np.memmap(self.path / name, kind, "r", shape=size // kind.itemsize)
        return found


class _State(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_name: str
    """Which kind of file it is."""
    schema_version: int
    """Which version of it."""
    job: dict[str, Any]
    """Sources and settings; another job's spool is refused."""
    read: NonNegativeInt = 0
    """Source rows that are dealt with."""
    complete: bool = False
    """Whether all sources have been read."""
    sizes: dict[str, NonNegativeInt]
    """Bytes of each file that belong to the rows dealt with."""
    reasons: dict[str, int] = {}
    """Reasons of the rejected rows, with their number."""
    notes: dict[str, int] = {}
    """What was mended or left out, with its number."""
    finished: dict[str, str] = {}
    """Digests of the shards that are written."""


def _read_state(path: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        named = found if isinstance(found, dict) else {}
        if named.get("schema_version") == 1:  # of another version, that is said instead
            _State.model_validate(named)
    except OSError as error:
        raise disk_error(error, path) from error
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        raise _damaged(path, f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from error
    except ValueError as error:
        raise _damaged(path, f"it is not JSON: {error}") from error
    if not isinstance(found, dict) or found.get("sizes", {}).keys() != set(_FILES):
        raise _damaged(path, "it names other files")
    return found


def _numbered(lines: list[bytes], path: Path) -> dict[str, int]:
    try:
        found = {json.loads(line): place for place, line in enumerate(lines)}
    except (ValueError, TypeError) as error:
        raise _damaged(path, f"it is not JSON: {error}") from error
    if len(found) != len(lines) or not all(isinstance(name, str) for name in found):
        raise _damaged(path, "it holds other things than templates")
    return found


def _damaged(path: Path, how: str) -> UsageError:
    mend = f"delete {path.parent.parent} and pack again"
    return UsageError(f"the spool is not whole: {how}", where=str(path), mend=mend)


def _locked(path: Path) -> WriterLock:
    try:
        return WriterLock(path / _LOCK)
    except UsageError as error:
        if not isinstance(error.__cause__, BlockingIOError):
            raise
        what, mend = "another process packs into this directory", "wait until it ends"
        raise UsageError(what, where=str(path.parent), mend=mend) from error


def _check(state: Mapping[str, Any], job: Mapping[str, Any], path: Path, *, resume: bool) -> None:
    if any(state.get(key) != value for key, value in _SCHEMA.items()):
        what = "the spool is of another version of regreen"
        raise UsageError(what, where=str(path), mend="delete the directory and pack again")
    if not resume:
        what = "packing was begun here and not finished"
        mend = "go on with it by --resume, or delete the directory to begin anew"
        raise UsageError(what, where=str(path.parent), mend=mend)
    differ = [key for key in job if state["job"].get(key) != job[key]]
    if differ:
        what = f"packing was begun here with other settings: {', '.join(sorted(differ))}"
        mend = "give the settings and sources it was begun with, or delete it to begin anew"
        raise UsageError(what, where=str(path.parent), mend=mend)
