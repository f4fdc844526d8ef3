"""A client of any OpenAI-compatible chat endpoint; time-outs and retries are the wire's."""

from __future__ import annotations

import time
from collections.abc import Sequence
from types import TracebackType
from typing import Any

from regreen.core.trajectory import Sampling
from regreen.inference.completion import Completion, read_completion
from regreen.inference.messages import Message, MessageList, encode
from regreen.inference.wire import Endpoint, Wire

__all__ = ["ChatClient", "Endpoint"]


class ChatClient:
    """One endpoint, one sampling; safe to share between any number of rollouts.

    Args:
        endpoint: whom to ask.
        sampling: how to sample; None fields are left to the endpoint.
        seed: decides the jitter of the pauses between retries.
    """

    def __init__(
        self, endpoint: Endpoint, sampling: Sampling | None = None, *, seed: int = 0
    ) -> None:
        self.endpoint = endpoint
        self.sampling = sampling or Sampling()
        mend = "check that it supports tool calls and the sampling options given"
        self._wire = Wire(endpoint, mend=mend, seed=seed)

    async def __aenter__(self) -> ChatClient:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._wire.close()

    async def check(self) -> None:
        """Ask for the list of models once, without retries, so that a run fails before it starts.

        Raises:
            ModelError: nobody answers there, or the key is refused.
        """
        response = await self._wire.send("GET", "/models")
        if response.status_code >= 400:
            raise self._wire.refusal(response)

    async def complete(
        self,
        messages: MessageList | Sequence[Message],
        tools: Sequence[Message] = (),
        *,
        seed: int | None = None,
        max_tokens: int | None = None,
    ) -> Completion:
        """Sample one answer.

        Args:
            messages: the conversation; a ``MessageList`` is not serialised again.
            tools: functions the model may call, in OpenAI's shape.
            seed: sampling seed, when the endpoint honours one.
            max_tokens: lowers the sampling's own limit for this call.

        Raises:
            ContextOverflow: the conversation no longer fits.
            ModelError: any other failure of the endpoint, after the retries it deserves.
        """
        prompt = messages if isinstance(messages, MessageList) else MessageList(messages)
        options = encode(self._options(tools, seed, max_tokens))
        body = prompt.encoded(options[:-1] + b',"messages":', b"}")
        begin = time.monotonic()
        response = await self._wire.patiently("/chat/completions", body)
        seconds = time.monotonic() - begin
        return read_completion(response.content, prompt_bytes=len(body), seconds=seconds)

    def _options(
        self, tools: Sequence[Message], seed: int | None, max_tokens: int | None
    ) -> dict[str, Any]:
        options: dict[str, Any] = {"model": self.endpoint.model}
        options |= self.sampling.model_dump(exclude_none=True)
        if max_tokens is not None:
            options["max_tokens"] = min(max_tokens, options.get("max_tokens") or max_tokens)
        if seed is not None:
            options["seed"] = seed
        if tools:
            options["tools"] = list(tools)
        if self.endpoint.token_ids:
            options |= {"return_token_ids": True, "logprobs": True}
        return options
