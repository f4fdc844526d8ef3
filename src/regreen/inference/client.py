"""A client of any OpenAI-compatible chat endpoint.

It retries only what a retry can mend (no connection, 429, 5xx), inside a budget of seconds and
not of attempts: a person waits for time, and attempts say nothing about it. The key travels in
one header and in no message, log line or ``repr``.
"""

from __future__ import annotations

import asyncio
import random
import re
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

import httpx2
from pydantic import BaseModel, ConfigDict, SecretStr

from regreen.core.errors import ModelError
from regreen.core.trajectory import Sampling
from regreen.inference.completion import Completion, read_completion
from regreen.inference.errors import (
    ContextOverflow,
    EndpointRefused,
    EndpointTimeout,
    EndpointUnreachable,
)
from regreen.inference.messages import Message, MessageList, encode

__all__ = ["ChatClient", "Endpoint"]

_OVERFLOW = re.compile(
    rb"context_length_exceeded|maximum context length|context window|context size"
    rb"|longer than the model's context|prompt is too long",
    re.IGNORECASE,
)
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}


class Endpoint(BaseModel):
    """Where a model answers, and how patient to be with it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    base_url: str
    """Root of the API, for example ``http://127.0.0.1:8000/v1``."""
    model: str
    """Name of the model as the endpoint knows it."""
    api_key: SecretStr | None = None
    """Bearer token; the command reads it from ``OPENAI_API_KEY``."""
    timeout: float = 600.0
    """Wall seconds one call may take."""
    retry_seconds: float = 60.0
    """Wall seconds to spend on retries of one call before it is given up."""
    connections: int = 64
    """Calls in flight at once; more wait their turn."""
    token_ids: bool = False
    """Ask for token ids and log-probabilities (vLLM's ``return_token_ids``)."""


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
        # glibc maps and unmaps every block larger than the largest it has seen freed; requests only
        # grow, so each would pay its page faults anew. One large block freed at first ends that.
        bytes(1 << 24)
        parts = urlsplit(endpoint.base_url)
        self._where = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
        self._random = random.Random(seed)
        key = endpoint.api_key
        self._http = httpx2.AsyncClient(
            headers={"Authorization": f"Bearer {key.get_secret_value()}"} if key else {},
            timeout=httpx2.Timeout(endpoint.timeout, connect=10.0, pool=None),
            limits=httpx2.Limits(max_connections=endpoint.connections),
            verify=parts.scheme == "https",
            # A proxy from the environment cannot reach this machine's loopback.
            trust_env=parts.hostname not in _LOOPBACK,
        )

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
        await self._http.aclose()

    async def check(self) -> None:
        """Ask for the list of models once, without retries, so that a run fails before it starts.

        Raises:
            ModelError: nobody answers there, or the key is refused.
        """
        response = await self._send("GET", "/models", b"")
        if response.status_code >= 400:
            raise self._refusal(response)

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
        response = await self._patiently(body, begin + self.endpoint.retry_seconds)
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

    async def _patiently(self, body: bytes, deadline: float) -> httpx2.Response:
        """Send until an answer that no retry would change, or until ``deadline``."""
        pause = 0.5
        while True:
            wait = pause * self._random.uniform(0.5, 1.5)
            failure: ModelError
            try:
                response = await self._send("POST", "/chat/completions", body)
            except EndpointUnreachable as exc:
                failure = exc
            else:
                if response.status_code < 400:
                    return response
                failure = self._refusal(response)
                wait = max(wait, _retry_after(response))
            if not isinstance(failure, EndpointUnreachable) or time.monotonic() + wait > deadline:
                raise failure
            await asyncio.sleep(wait)
            pause = min(pause * 2, 30.0)

    async def _send(self, method: str, path: str, body: bytes) -> httpx2.Response:
        url = self.endpoint.base_url.rstrip("/") + path
        headers = {"Content-Type": "application/json"} if body else {}
        try:
            # The client's own timeouts are per read: a server that drips bytes trips none.
            async with asyncio.timeout(self.endpoint.timeout):
                return await self._http.request(method, url, content=body, headers=headers)
        except (TimeoutError, httpx2.ReadTimeout, httpx2.WriteTimeout) as exc:
            what = f"no complete answer within {self.endpoint.timeout:g} s"
            mend = "raise the endpoint's timeout, or lower max_tokens"
            raise EndpointTimeout(what, where=self._where, mend=mend) from exc
        except (httpx2.UnsupportedProtocol, httpx2.InvalidURL) as exc:
            what = f"not a usable URL: {exc}"
            mend = "give base_url as http://HOST:PORT/v1"
            raise EndpointRefused(what, where=self._where, mend=mend) from exc
        except httpx2.TransportError as exc:
            what = f"the endpoint does not answer: {type(exc).__name__}: {exc}"
            mend = "start the server, or correct base_url"
            raise EndpointUnreachable(what, where=self._where, mend=mend) from exc

    def _refusal(self, response: httpx2.Response) -> ModelError:
        status = response.status_code
        said = self._redacted(response.content[:500])
        where = f"{self._where} (HTTP {status})"
        if status in {400, 413, 422} and _OVERFLOW.search(response.content):
            return ContextOverflow(f"the conversation no longer fits the model: {said}")
        if status in {401, 403}:
            return EndpointRefused(
                f"the endpoint refuses the key: {said}", where=where, mend="set OPENAI_API_KEY"
            )
        if status == 404:
            return EndpointRefused(
                f"no such path or model {self.endpoint.model!r}: {said}",
                where=where,
                mend=f"see which models it serves: curl {self._where}/models",
            )
        if status == 429 or status >= 500:
            return EndpointUnreachable(
                f"the endpoint is overloaded or broken: {said}",
                where=where,
                mend="lower -j, or look into the server's log",
            )
        return EndpointRefused(
            f"the endpoint refuses the request: {said}",
            where=where,
            mend="check that it supports tool calls and the sampling options given",
        )

    def _redacted(self, body: bytes) -> str:
        text = body.decode("utf-8", "replace").strip()
        key = self.endpoint.api_key
        secret = key.get_secret_value() if key else ""
        return text.replace(secret, "***") if secret else text


def _retry_after(response: httpx2.Response) -> float:
    """Seconds the endpoint asks us to wait; its date form is rare and read as none."""
    try:
        return max(0.0, float(response.headers.get("Retry-After", "0")))
    except ValueError:
        return 0.0
