"""The header of packed shards: all that is needed to read a row, and what the rows were made from.

It is written last and as a whole, so a directory that has one is complete. It holds nothing per row
or per document; those stand in flat files that are mapped, so that opening a large set costs no
more than opening a small one.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from numbers import Real
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from regreen.core.errors import UsageError
from regreen.store.atomic import disk_error, write_text

__all__ = [
    "DEFAULT_WEIGHTS",
    "HEADER",
    "LOSS",
    "ROLES",
    "FileRecord",
    "PackedHeader",
    "ShardRecord",
    "SourceRecord",
    "VocabularyRecord",
    "read_header",
    "role_weights",
    "write_header",
]

HEADER = "header.json"
"""Name of the header in its directory."""

ROLES = (
    "pad",
    "context",
    "system",
    "user",
    "tool",
    "frame",
    "assistant",
    "reasoning",
    "call",
    "end",
    "text",
)
"""What a token is, by the low seven bits of its label. ``pad`` belongs to no document; ``context``
stands elsewhere too (a head written again, text that many places hold), follows from nothing here
(the token behind such a head), or is a plain text's own prompt; ``frame`` is what a template puts
around an answer; ``end`` is the mark with which a model ends its turn; ``text`` is plain text. The
others are what the message's role and kind say."""

LOSS = 0x80
"""The bit of a label that is set where a model would have written the token."""

DEFAULT_WEIGHTS: Mapping[str, float] = dict.fromkeys(
    ("assistant", "reasoning", "call", "end", "text"), 1.0
)
"""Weight in the loss by role; what is not named has none."""


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class VocabularyRecord(_Record):
    """The vocabulary that the token ids are of."""

    name: str
    """``qwen``, ``bytes``, or the name of the file."""
    digest: str
    """SHA-256 of the file, or of the special tokens of ``bytes``."""
    size: int
    """One more than the largest id."""
    pad: int
    """Id that fills the end of a row."""
    end_of_text: int | None = None
    """Id behind each plain text; None where the vocabulary has none."""
    specials: tuple[str, ...] = ()
    """Special tokens in the order of their ids, for ``bytes``."""


class SourceRecord(_Record):
    """One source of documents."""

    path: str
    """As it was given."""
    digest: str
    """SHA-256 of its content."""


class FileRecord(_Record):
    """One file of the directory."""

    name: str
    """Its name."""
    bytes: int
    """Its size."""
    digest: str
    """SHA-256 of its content."""


class ShardRecord(FileRecord):
    """One file of rows."""

    rows: int = Field(ge=0)
    """Rows in it."""
    pieces: int = Field(ge=0)
    """Pieces of documents in those rows."""


class PackedHeader(_Record):
    """Everything about packed shards but the rows."""

    schema_name: Literal["regreen.packed"] = "regreen.packed"
    """Name of this format."""
    schema_version: Literal[1] = 1
    """Version of this format."""
    capacity: int = Field(ge=1, le=(1 << 31) - 1)
    """Tokens of a row, pads included."""
    policy: str
    """How documents were put into rows."""
    seed: int
    """Decides the order of rows and the drawn formats."""
    vocabulary: VocabularyRecord
    """What the ids mean."""
    token_bytes: Literal[2, 4]
    """Bytes of a token id: unsigned, little-endian."""
    roles: tuple[str, ...] = ROLES
    """Role of each label."""
    weights: dict[str, float]
    """Weight in the loss by role; may be replaced at reading."""
    config: dict[str, Any]
    """The resolved configuration."""
    config_digest: str
    """Digest of ``config``."""
    sources: tuple[SourceRecord, ...]
    """Where the documents come from."""
    num_rows: int = Field(ge=0)
    """Rows in all."""
    rows_per_shard: int = Field(ge=1)
    """Rows of every shard but the last."""
    num_documents: int = Field(ge=0)
    """Documents asked for; one that a policy leaves out stands in no row."""
    num_templates: int = Field(ge=0)
    """Templates that were used."""
    shards: tuple[ShardRecord, ...]
    """The files of rows, in order."""
    files: tuple[FileRecord, ...]
    """The other files."""
    statistics: dict[str, Any]
    """The report."""


def role_weights(given: Mapping[str, float]) -> dict[str, float]:
    """The weight of every role that may have one, in the order of ``ROLES``.

    Raises:
        UsageError: an unknown role, or a weight below zero or not finite.
    """
    named = [role for role in ROLES if role not in {"pad", "context"}]
    for role, weight in given.items():
        if role not in named:
            what = f"no token has the role {role!r}"
            raise UsageError(what, where="--weight", mend=f"choose of {', '.join(named)}")
        if not (isinstance(weight, Real) and math.isfinite(weight) and weight >= 0):
            what = f"{weight!r} is no weight"
            raise UsageError(what, where=f"--weight {role}", mend="give a number from 0 on")
    return {role: float(given.get(role, DEFAULT_WEIGHTS.get(role, 0.0))) for role in named}


def write_header(directory: Path, header: PackedHeader) -> None:
    """Write the header, which makes the directory complete.

    Raises:
        UsageError: it cannot be written.
        InfrastructureError: the disk is full.
    """
    write_text(directory / HEADER, json.dumps(header.model_dump(mode="json"), indent=1) + "\n")


def read_header(directory: Path) -> PackedHeader:
    """The header of a directory of packed shards.

    Raises:
        UsageError: there is none, it is of another version, or it was altered.
    """
    path = directory / HEADER
    if not path.is_file():
        unfinished = (directory / "spool").is_dir()
        what = "packing has not finished here" if unfinished else "there are no packed shards here"
        mend = "finish it by the same command with --resume" if unfinished else "run regreen pack"
        raise UsageError(what, where=str(directory), mend=mend)
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise disk_error(error, path) from error
    except ValueError as error:
        what = f"the header is not JSON: {error}"
        raise UsageError(what, where=str(path), mend="pack the sources again") from error
    _check_version(found, path)
    try:
        header = PackedHeader.model_validate(found)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        what = f"{'.'.join(map(str, first['loc']))} of the header: {first['msg']}"
        raise UsageError(what, where=str(path), mend="pack the sources again") from error
    counts = [shard.rows for shard in header.shards]
    full = [header.rows_per_shard] * (len(counts) - 1)
    uneven = counts[:-1] != full or max(counts, default=0) > header.rows_per_shard
    if header.roles != ROLES or sum(counts) != header.num_rows or uneven:
        what = "the header contradicts itself"
        raise UsageError(what, where=str(path), mend="pack the sources again")
    return header


def _check_version(found: Any, path: Path) -> None:
    named = found if isinstance(found, dict) else {}
    name, version = named.get("schema_name"), named.get("schema_version")
    if name != "regreen.packed":
        what = f"this is a {name!r}, not a 'regreen.packed'"
        raise UsageError(what, where=str(path), mend="name a directory that regreen pack wrote")
    if version != 1 or isinstance(version, bool):
        what = f"this has regreen.packed version {version!r} and this reader knows version 1"
        mend = "upgrade regreen, or pack the sources again with this version"
        raise UsageError(what, where=str(path), mend=mend)
