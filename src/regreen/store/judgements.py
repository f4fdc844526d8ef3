"""What a model was asked about rows and what it said, one line each, never asked twice.

A judgement's key is the digest of everything that decides about it: the kind, the model, how it is
sampled, the seed, the words of the question. So a file may serve several jobs, and a changed row,
question or model is simply asked anew. What could not be read is recorded as unreadable: asking
again would draw until an answer pleases.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict

from regreen.core.errors import UsageError
from regreen.core.trajectory import Usage
from regreen.store.jsonl import JsonlWriter, read_jsonl
from regreen.store.rows import to_record

__all__ = ["UNREADABLE", "Judgement", "Judgements"]

UNREADABLE = "unreadable"
"""The verdict of an answer that says nothing that was asked for."""


class Judgement(BaseModel):
    """One question to a model, with its answer."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_name: Literal["regreen.judgement"] = "regreen.judgement"
    """Name of this format."""
    schema_version: Literal[1] = 1
    """Version of this format."""
    key: str
    """Digest of all that decides about it."""
    kind: Literal["user", "pair"]
    """A simulated user's trial of one answer, or a comparison of two."""
    rows: tuple[str, ...]
    """Rows it is about, by file and line."""
    model: str
    """Who was asked."""
    seed: int
    """Seed of the request."""
    messages: tuple[dict[str, Any], ...]
    """The question, and everything said and seen since."""
    verdict: str
    """``helped``, ``useless``, ``first``, ``second``, ``tie``, or ``unreadable``."""
    reason: str = ""
    """Why, in the model's words, or why nothing could be read."""
    checklist: dict[str, str] = {}
    """Criterion to ``first``, ``second`` or ``tie``, for a comparison."""
    usage: Usage = Usage()
    """Tokens of all calls."""
    cost: float = 0.0
    """Money, where the endpoint reports any."""


class Judgements:
    """A file of judgements that is read once and then grows.

    Args:
        path: the file.
        resume: use what is in it.

    Raises:
        UsageError: it is there and ``resume`` is not given, or holds something else.
    """

    def __init__(self, path: Path, *, resume: bool) -> None:
        if path.exists() and not resume:
            what = "there are judgements of an earlier job"
            mend = "go on with them by --resume, or name another --out"
            raise UsageError(what, where=str(path), mend=mend)
        self._writer = JsonlWriter(path)
        self._known: dict[str, Judgement] = {}
        self._locks: dict[str, asyncio.Lock] = {}
        self.asked: list[Judgement] = []
        """Judgements of this job that had to be asked for."""
        self.used: set[str] = set()
        """Keys of recorded judgements that this job could use."""
        for number, row in read_jsonl(path):
            found = to_record(Judgement, row, f"{path}:{number}")
            self._known[found.key] = found
        self._recorded = frozenset(self._known)

    def alone(self, key: str) -> asyncio.Lock:
        """Held while a question is asked, so that equal rows at work together ask it once."""
        return self._locks.setdefault(key, asyncio.Lock())

    def get(self, key: str) -> Judgement | None:
        """The judgement with this key, if one is recorded."""
        found = self._known.get(key)
        if found is not None and key in self._recorded:
            self.used.add(key)
        return found

    def put(self, judgement: Judgement) -> Judgement:
        """Record a judgement; it is on the disk when this returns."""
        self._writer.append(judgement.model_dump(mode="json"))
        self._known[judgement.key] = judgement
        self.asked.append(judgement)
        return judgement

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._writer.close()
