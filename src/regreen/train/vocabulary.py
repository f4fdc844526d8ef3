"""The vocabulary of packed rows and that of a checkpoint are the same, or nothing is trained.

Ids mean something in one vocabulary only, and a mistaken one shows nowhere but in what the model
says. Beside a checkpoint stand ``vocabulary.json``, the record that packed rows carry, and the
``tokenizer.json`` itself where the vocabulary is a file; the bytes' vocabulary is its record.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import ValidationError

from regreen.core.errors import UsageError
from regreen.store.atomic import disk_error
from regreen.store.packed_header import PackedHeader, VocabularyRecord
from regreen.store.packed_shard import digest_of
from regreen.templates import ByteTokenizer, JsonTokenizer, Tokenizer, qwen_vocabulary

__all__ = [
    "TOKENIZER",
    "VOCABULARY",
    "check_vocabulary",
    "checkpoint_tokenizer",
    "checkpoint_vocabulary",
    "companions",
    "one_vocabulary",
]

VOCABULARY = "vocabulary.json"
"""Name of the record beside a checkpoint."""
TOKENIZER = "tokenizer.json"
"""Name of the vocabulary itself beside a checkpoint, where it is a file."""


def one_vocabulary(headers: Mapping[str, PackedHeader]) -> VocabularyRecord:
    """The vocabulary that all sets share; the larger one where one goes on behind the other.

    Args:
        headers: by path, at least one.

    Raises:
        UsageError: two sets are of different vocabularies.
    """
    (path, first), *others = headers.items()
    found = first.vocabulary
    for other, header in others:
        larger = _joined(found, header.vocabulary)
        if larger is None:
            what = f"this is packed in another vocabulary than {path}: "
            what += f"{_said(header.vocabulary)}, not {_said(found)}"
            mend = "pack both with one tokenizer.json, or together in one go"
            raise UsageError(what, where=other, mend=mend)
        found = larger
    return found


def check_vocabulary(
    record: VocabularyRecord, folder: Path | None, vocab_size: int, *, packed: str
) -> str:
    """Compare what was packed with what a checkpoint knows.

    Args:
        record: of the packed rows.
        folder: the checkpoint; None for new weights.
        vocab_size: rows of the model's embedding.
        packed: where the rows are, for the message.

    Returns:
        What could not be compared, in words; empty where all was.

    Raises:
        UsageError: another vocabulary, or ids that the model has no row for.
    """
    mend = "pack the sources again with the tokenizer of the checkpoint (--tokenizer)"
    if record.size > vocab_size:
        what = f"the rows have ids up to {record.size - 1}, the model knows {vocab_size}"
        raise UsageError(what, where=packed, mend=mend)
    if folder is None:
        return ""
    known = checkpoint_vocabulary(folder)
    if known is not None and _joined(known, record) != known:
        what = f"the rows are in another vocabulary than {folder}: {_said(record)}, not "
        raise UsageError(what + _said(known), where=packed, mend=mend)
    file = folder / TOKENIZER
    if known is None and file.is_file():
        if (digest := digest_of(file)) != record.digest:
            what = f"the rows are in another vocabulary than {folder}: {_said(record)}, not "
            what += f"{TOKENIZER} ({digest[:12]})"
            mend = f"pack the sources again with --tokenizer {file}"
            raise UsageError(what, where=packed, mend=mend)
        return ""
    if known is None:
        return f"{folder} names no vocabulary; only its size could be compared with the rows'"
    return ""


def checkpoint_vocabulary(folder: Path) -> VocabularyRecord | None:
    """The record beside a checkpoint; None where there is none.

    Raises:
        UsageError: it cannot be read.
    """
    path = folder / VOCABULARY
    try:
        return VocabularyRecord.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise disk_error(error, path) from error
    except ValidationError as error:
        what = f"this is no record of a vocabulary: {error.errors()[0]['msg']}"
        raise UsageError(what, where=str(path), mend="copy it from the run's folder") from error


def checkpoint_tokenizer(folder: Path) -> Tokenizer:
    """The vocabulary that a checkpoint was trained in.

    Raises:
        UsageError: the folder holds none, or one whose record says otherwise.
    """
    record, file = checkpoint_vocabulary(folder), folder / TOKENIZER
    if record is not None and record.name == "bytes":
        return ByteTokenizer(record.specials)
    if not file.is_file():
        what = f"there is no {TOKENIZER} beside this checkpoint"
        raise UsageError(what, where=str(folder), mend="copy the tokenizer's file there")
    if record is not None and digest_of(file) != record.digest:
        what = f"{TOKENIZER} is not the vocabulary that {VOCABULARY} names"
        raise UsageError(what, where=str(folder), mend="restore the file")
    return JsonTokenizer(file)


def companions(
    record: VocabularyRecord, headers: Sequence[PackedHeader], folder: Path | None
) -> dict[str, bytes]:
    """What stands beside every checkpoint of a run, by name.

    Args:
        record: of the packed rows.
        headers: of the packed rows, which name the tokenizer's file.
        folder: the checkpoint that training began with.

    Raises:
        UsageError: the vocabulary is a file and nowhere to be found any more.
    """
    found = {VOCABULARY: (json.dumps(record.model_dump(), indent=1) + "\n").encode()}
    if record.name == "bytes":
        return found
    places = [] if folder is None else [folder / TOKENIZER]
    places += [qwen_vocabulary()] if record.name == "qwen" else []
    places += [Path(header.config["settings"]["tokenizer"]) for header in headers]
    for place in places:
        if place.is_file():
            content = place.read_bytes()
            if hashlib.sha256(content).hexdigest() == record.digest:
                return {**found, TOKENIZER: content}
    what = f"the vocabulary of the rows is nowhere: {_said(record)}"
    mend = f"put its file where it was when they were packed, at {places[-1]}"
    raise UsageError(what, where=str(places[-1]), mend=mend)


def _joined(one: VocabularyRecord, other: VocabularyRecord) -> VocabularyRecord | None:
    """The record in which the ids of both mean the same; None where there is none."""
    if one.digest == other.digest and one.size == other.size:
        return one
    if one.name == other.name == "bytes":
        small, large = sorted((one, other), key=lambda record: len(record.specials))
        if large.specials[: len(small.specials)] == small.specials:
            return large
    return None


def _said(record: VocabularyRecord) -> str:
    return f"{record.name} of {record.size} ids ({record.digest[:12]})"
