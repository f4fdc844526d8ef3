"""A model that is asked each question once: answers are kept, so a resumed job asks nothing again.

The key is a hash of everything that decides an answer: model, sampling, seed and conversation. A
failure is no answer and is not kept.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from regreen.core.errors import UsageError
from regreen.core.trajectory import Usage
from regreen.inference import ChatClient, Completion, Endpoint, Message
from regreen.inference.messages import encode
from regreen.store.jsonl import JsonlWriter, read_jsonl

__all__ = ["Answers"]

_SCHEMA = {"schema_name": "regreen.answers", "schema_version": 1}


class Answers:
    """Asks a client, or remembers.

    Args:
        client: the model.
        path: file to append answers to; None keeps them in memory.
        workers: questions asked at once.

    Raises:
        UsageError: the file is not one of answers.
    """

    def __init__(self, client: ChatClient, path: Path | None = None, *, workers: int = 2) -> None:
        self._client = client
        self._slots = asyncio.Semaphore(workers)
        self._known: dict[str, Completion] = {}
        self._writer: JsonlWriter | None = None
        self.questions = 0
        """Questions so far, those answered from memory included."""
        self.cost = 0.0
        """Money the endpoint reported for all of them."""
        if path is not None:
            self._writer = JsonlWriter(path)
            if path.stat().st_size:
                self._read(path)
            else:
                self._writer.append(_SCHEMA)

    def _read(self, path: Path) -> None:
        rows = read_jsonl(path)
        _, first = next(rows, (0, {}))
        if first != _SCHEMA:
            msg = "this file does not hold a model's answers, or is of another version"
            raise UsageError(msg, where=str(path), mend="remove it, or give another --out")
        for number, row in rows:
            try:
                self._known[row["key"]] = _completion(
                    row["content"], row["finish_reason"], row["tokens"], row["cost"]
                )
            except (KeyError, TypeError, ValueError) as exc:
                msg, mend = "this row is no answer", "delete the row; its question is asked again"
                raise UsageError(msg, where=f"{path}:{number}", mend=mend) from exc

    @property
    def endpoint(self) -> Endpoint:
        """Whom it asks."""
        return self._client.endpoint

    async def complete(
        self, messages: Sequence[Message], *, seed: int | None = None, max_tokens: int | None = None
    ) -> Completion:
        """The answer to a conversation.

        Args:
            messages: the conversation so far.
            seed: another seed is another question, whether or not the endpoint honours it.
            max_tokens: limit of the answer.

        Raises:
            ModelError: the endpoint failed.
        """
        self.questions += 1
        sampling = self._client.sampling.model_dump(exclude_none=True)
        asked = [self.endpoint.model, sampling, seed, max_tokens, list(messages)]
        key = hashlib.sha256(encode(asked)).hexdigest()
        if key not in self._known:
            async with self._slots:
                got = await self._client.complete(messages, seed=seed, max_tokens=max_tokens)
            content = str(got.message.get("content") or "")
            tokens = (got.usage.prompt_tokens, got.usage.completion_tokens)
            self._known[key] = _completion(content, got.finish_reason, tokens, got.cost)
            if self._writer:
                row = {"key": key, "content": content, "finish_reason": got.finish_reason}
                self._writer.append({**row, "tokens": list(tokens), "cost": got.cost})
        self.cost += self._known[key].cost
        return self._known[key]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._writer:
            self._writer.close()


def _completion(content: str, finish: str, tokens: Sequence[int], cost: float) -> Completion:
    prompt, answer = tokens
    return Completion(
        message={"role": "assistant", "content": content},
        finish_reason=finish,
        usage=Usage(prompt_tokens=prompt, completion_tokens=answer),
        cost=float(cost),
    )
