"""HTTP to one endpoint: time-outs, retries and refusals, for chat and for token ids alike.

It retries only what a retry can mend (no connection, 429, 5xx), inside a budget of seconds and
not of attempts: a person waits for time, and attempts say nothing about it. The key travels in
one header and in no message, log line or ``repr``.
"""

from __future__ import annotations

import asyncio
import random
import re
import time
from collections.abc import Callable
from urllib.parse import urlsplit

import httpx2
from pydantic import BaseModel, ConfigDict, SecretStr

from regreen.core.errors import ModelError
from regreen.inference.errors import (
    ContextOverflow,
    EndpointRefused,
    EndpointTimeout,
    EndpointUnreachable,
)

__all__ = ["Endpoint", "Wire"]

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


class Wire:
    """Connections to one endpoint; safe to share.

    Args:
        endpoint: whom to ask.
        root: what paths are relative to; None takes the endpoint's ``base_url``.
        mend: what to do when a request is refused for its content.
        seed: decides the jitter of the pauses between retries.
    """

    def __init__(
        self, endpoint: Endpoint, *, root: str | None = None, mend: str, seed: int = 0
    ) -> None:
        # glibc maps and unmaps every block larger than the largest it has seen freed; requests only
        # grow, so each would pay its page faults anew. One large block freed at first ends that.
        bytes(1 << 24)
        self._endpoint = endpoint
        self._root = (endpoint.base_url if root is None else root).rstrip("/")
        self._mend = mend
        parts = urlsplit(self._root)
        self.where = _shown(self._root)
        """The endpoint without a password, for messages."""
        self._random = random.Random(seed)
        self._turns = asyncio.Semaphore(endpoint.connections)
        key = endpoint.api_key
        self._http = httpx2.AsyncClient(
            headers={"Authorization": f"Bearer {key.get_secret_value()}"} if key else {},
            timeout=httpx2.Timeout(endpoint.timeout, connect=10.0, pool=None),
            limits=httpx2.Limits(max_connections=endpoint.connections),
            verify=parts.scheme == "https",
            # A proxy from the environment cannot reach this machine's loopback.
            trust_env=parts.hostname not in _LOOPBACK,
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def patiently(
        self, path: str, body: bytes, *, broken: Callable[[], None] = lambda: None
    ) -> httpx2.Response:
        """Post until an answer that no retry would change, or until the budget is spent.

        Args:
            path: below the root.
            body: JSON.
            broken: called when a connection fails, behind which another server may come.

        Raises:
            ContextOverflow: the endpoint says that the prompt no longer fits.
            ModelError: any other failure, after the retries it deserves.
        """
        deadline = time.monotonic() + self._endpoint.retry_seconds
        pause = 0.5
        while True:
            wait = pause * self._random.uniform(0.5, 1.5)
            failure: ModelError
            try:
                response = await self.send("POST", path, body)
            except EndpointUnreachable as exc:
                failure = exc
                broken()
            else:
                if response.status_code < 400:
                    return response
                failure = self.refusal(response)
                wait = max(wait, _retry_after(response))
            if not isinstance(failure, EndpointUnreachable) or time.monotonic() + wait > deadline:
                raise failure
            await asyncio.sleep(wait)
            pause = min(pause * 2, 30.0)

    async def send(self, method: str, path: str, body: bytes = b"") -> httpx2.Response:
        """One request, whatever its status; time spent waiting for a turn is not counted.

        Raises:
            EndpointTimeout: no complete answer in time.
            EndpointRefused: the URL is none.
            EndpointUnreachable: nobody answers, or not to the end.
        """
        headers = {"Content-Type": "application/json"} if body else {}
        url = self._root + path
        try:
            # The client's own timeouts are per read: a server that drips bytes trips none.
            async with self._turns, asyncio.timeout(self._endpoint.timeout):
                return await self._http.request(method, url, content=body, headers=headers)
        except (TimeoutError, httpx2.ReadTimeout, httpx2.WriteTimeout) as exc:
            what = f"no complete answer within {self._endpoint.timeout:g} s"
            mend = "raise the endpoint's timeout, or lower max_tokens"
            raise EndpointTimeout(what, where=self.where, mend=mend) from exc
        except (httpx2.UnsupportedProtocol, httpx2.InvalidURL) as exc:
            what = f"not a usable URL: {exc}"
            mend = "give base_url as http://HOST:PORT/v1"
            raise EndpointRefused(what, where=self.where, mend=mend) from exc
        except httpx2.TransportError as exc:
            what = f"the endpoint does not answer: {type(exc).__name__}: {exc}"
            mend = "start the server, or correct base_url"
            raise EndpointUnreachable(what, where=self.where, mend=mend) from exc

    def refusal(self, response: httpx2.Response) -> ModelError:
        """The error that a status of 400 or more stands for."""
        status = response.status_code
        said = self.redacted(response.content[:500])
        where = f"{self.where} (HTTP {status})"
        if status in {400, 413, 422} and _OVERFLOW.search(response.content):
            return ContextOverflow(f"the conversation no longer fits the model: {said}")
        if status in {401, 403}:
            return EndpointRefused(
                f"the endpoint refuses the key: {said}", where=where, mend="set OPENAI_API_KEY"
            )
        if status == 404:
            models = _shown(self._endpoint.base_url.rstrip("/"))
            return EndpointRefused(
                f"no such path or model {self._endpoint.model!r}: {said}",
                where=where,
                mend=f"see which models it serves: curl {models}/models",
            )
        if status == 429 or status >= 500:
            return EndpointUnreachable(
                f"the endpoint is overloaded or broken: {said}",
                where=where,
                mend="lower -j, or look into the server's log",
            )
        what = f"the endpoint refuses the request: {said}"
        return EndpointRefused(what, where=where, mend=self._mend)

    def redacted(self, body: bytes) -> str:
        """A body as text, without the key."""
        text = body.decode("utf-8", "replace").strip()
        key = self._endpoint.api_key
        secret = key.get_secret_value() if key else ""
        return text.replace(secret, "***") if secret else text


def _shown(url: str) -> str:
    """A URL without what may be a password."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def _retry_after(response: httpx2.Response) -> float:
    """Seconds the endpoint asks us to wait; its date form is rare and read as none."""
    try:
        return max(0.0, float(response.headers.get("Retry-After", "0")))
    except ValueError:
        return 0.0
