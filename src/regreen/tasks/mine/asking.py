"""A model's words for verified tasks, as they come: statements told anew, quality judged.

An answer is kept in the journal, so a job that goes on asks for none twice. An endpoint that fails
says nothing about a task: its rules' words stay, and a resumed job asks again.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from regreen.core.errors import ModelError
from regreen.core.task import Task
from regreen.inference import Endpoint, Message
from regreen.inference.completion import Completion
from regreen.tasks.labels.judge import judge
from regreen.tasks.mine.journal import Entry
from regreen.tasks.mine.reasons import Rejected
from regreen.tasks.mine.told import labelled
from regreen.tasks.tell.retell import Teller, retell

__all__ = ["Asking"]

_AT_ONCE = 8
_PATIENCE = 3
"""Failures in a row after which nothing more is asked."""


@dataclass(slots=True)
class Asking:
    """Asks one model about tasks.

    Args:
        client: the model.
        fit: cuts a row to its size.
    """

    client: Teller
    fit: Callable[[Task], Task]
    lost: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    _slots: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_AT_ONCE))

    async def ask(self, entry: Entry) -> Entry:
        """The entry with its task in the model's words; as it was where nobody answered."""
        if entry.task is None or entry.model:
            return entry
        async with self._slots:
            line = _Line(self)
            (told,) = await retell([entry.task], line, workers=1)
            quoted = len(entry.issues) if entry.told_by == "issue" else 0
            (judged,) = await judge([labelled(told, issues=quoted)], line, workers=1)
        self.counts["asked"] += 1
        if line.failed:
            self.counts["failed"] += 1
            return entry
        self.counts["told"] += told != entry.task
        self.counts["judged"] += bool(judged.quality and judged.quality.judge)
        try:
            task = self.fit(judged)
        except Rejected:
            task = entry.task
        return entry.model_copy(update={"task": task, "model": self.client.endpoint.model})

    def summary(self) -> list[str]:
        """What came of it, for a person; nothing when nothing was asked."""
        if not self.counts["asked"]:
            return []
        lines = [
            f"{self.counts['told']} of {self.counts['asked']} statements written and"
            f" {self.counts['judged']} tasks judged by {self.client.endpoint.model};"
            " the rules' words stay for the others"
        ]
        if self.counts["failed"]:
            why = self.lost[-1] if self.lost else "the endpoint failed"
            lines.append(f"{self.counts['failed']} were not answered ({why}); --resume asks again")
        return lines


@dataclass(slots=True)
class _Line:
    """The model as one task reaches it: it remembers whether it failed."""

    asking: Asking
    failed: bool = False

    @property
    def endpoint(self) -> Endpoint:
        return self.asking.client.endpoint

    async def complete(
        self, messages: Sequence[Message], *, max_tokens: int | None = None
    ) -> Completion:
        lost = self.asking.lost
        if len(lost) >= _PATIENCE:
            self.failed = True
            raise ModelError(lost[-1])
        try:
            answer = await self.asking.client.complete(messages, max_tokens=max_tokens)
        except ModelError as exc:
            self.failed = True
            lost.append(exc.what)
            raise
        lost.clear()
        return answer
