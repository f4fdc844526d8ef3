"""The vocabulary a corpus is packed in, by name, and what is recorded of it.

``bytes`` holds the special tokens of the formats that may be drawn, so its ids depend on them; the
record names them in order, which is all that is needed to make it again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from regreen.store.packed_header import VocabularyRecord
from regreen.store.packed_shard import digest_of
from regreen.templates.diversity.draw import drawn_format
from regreen.templates.tokens.byte_tokenizer import ByteTokenizer
from regreen.templates.tokens.tokenizers import JsonTokenizer, Tokenizer, qwen_vocabulary

__all__ = ["open_vocabulary", "record_vocabulary"]


def record_vocabulary(
    name: str, formats: Iterable[str], end_of_text: str, more: Iterable[str] = ()
) -> VocabularyRecord:
    """What a vocabulary is, without holding it.

    Args:
        name: a ``tokenizer.json``, ``qwen`` or ``bytes``.
        formats: formats that may be used.
        end_of_text: see ``PackConfig``.
        more: special tokens beside those of the formats, for ``bytes``.

    Raises:
        PrerequisiteError: it is not installed.
        UsageError: it is none.
    """
    if name == "bytes":
        marks = dict.fromkeys(mark for form in formats for mark in drawn_format(form).chat.specials)
        specials = tuple(dict.fromkeys([*marks, *filter(None, [end_of_text]), *more]))
        digest = hashlib.sha256(json.dumps(specials).encode()).hexdigest()
        found: Tokenizer = ByteTokenizer(specials)
    else:
        path = _path(name)
        specials, found, digest = (), _opened(path), digest_of(path)
    end = found.specials.get(end_of_text)
    return VocabularyRecord(
        name=name if name in {"bytes", "qwen"} else Path(name).name,
        digest=digest,
        size=found.size,
        pad=0 if end is None else end,
        end_of_text=end,
        specials=specials,
    )


def open_vocabulary(name: str, record: VocabularyRecord) -> Tokenizer:
    """The vocabulary of a record, in this process.

    Raises:
        PrerequisiteError: it is not installed.
    """
    if name == "bytes":
        return ByteTokenizer(record.specials)
    return _opened(_path(name))


def _path(name: str) -> Path:
    return qwen_vocabulary() if name == "qwen" else Path(name)


@cache
def _opened(path: Path) -> JsonTokenizer:
    return JsonTokenizer(path)
