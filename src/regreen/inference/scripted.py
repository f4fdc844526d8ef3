"""A real endpoint with a script for a model: tests and benchmarks talk to it over a socket.

With a list, the reply is picked by the number of assistant messages in the request, so that the
server keeps no state and any number of rollouts may share it. That count is taken from the raw
bytes: inside a JSON string the quotes would be escaped, hence the match is exact, and an instant
model stays instant on megabytes of history.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

from regreen.inference.messages import Message, encode

__all__ = ["Reply", "Script", "ScriptedEndpoint", "call", "calls", "render", "say"]

_ASSISTANT = re.compile(rb'"role"\s*:\s*"assistant"')
_REASONS = {200: "OK", 404: "Not Found", 429: "Too Many Requests"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """One scripted answer."""

    content: str | None = None
    """Text of the answer."""
    tool_calls: tuple[tuple[str, str], ...] = ()
    """``(name, arguments as JSON text)``; the text is sent as it is, also when malformed."""
    finish_reason: str = ""
    """``tool_calls`` or ``stop`` by the kind of answer when empty."""
    completion_tokens: int | None = None
    """Reported usage; a quarter of the answer's bytes when None."""
    status: int = 200
    """HTTP status; an error sends ``content`` as its message."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Further response headers."""
    body: bytes | None = None
    """Sent instead of a completion, for answers that are not one."""
    delay: float = 0.0
    """Seconds to wait before answering."""
    extra: Mapping[str, Any] = field(default_factory=dict)
    """Further keys of the choice, such as ``token_ids``."""


Script = Sequence[Reply] | Callable[[list[Message]], Reply]
"""Replies in order, or a function of the conversation so far."""


def say(text: str) -> Reply:
    """An answer without a call."""
    return Reply(content=text)


def calls(*several: tuple[str, dict[str, Any]], content: str | None = None) -> Reply:
    """An answer with any number of calls in one turn."""
    encoded = tuple((name, json.dumps(arguments)) for name, arguments in several)
    return Reply(content=content, tool_calls=encoded)


def call(tool: str, /, **arguments: Any) -> Reply:
    """An answer with one call."""
    return calls((tool, arguments))


def render(reply: Reply, turn: int, prompt_bytes: int = 0) -> bytes:
    """The body of a completion; ``turn`` makes the ids of its calls unique."""
    message: Message = {"role": "assistant", "content": reply.content}
    if reply.tool_calls:
        message["tool_calls"] = [
            {
                "id": f"call_{turn}_{i}",
                "type": "function",
                "function": {"name": name, "arguments": arguments},
            }
            for i, (name, arguments) in enumerate(reply.tool_calls)
        ]
    reason = reply.finish_reason or ("tool_calls" if reply.tool_calls else "stop")
    sampled = reply.completion_tokens
    usage = {
        "prompt_tokens": prompt_bytes // 4,
        "completion_tokens": len(encode(message)) // 4 if sampled is None else sampled,
    }
    choice = {"index": 0, "message": message, "finish_reason": reason} | dict(reply.extra)
    return encode({"object": "chat.completion", "choices": [choice], "usage": usage})


class ScriptedEndpoint:
    """Serves ``/v1/chat/completions`` and ``/v1/models`` on loopback while it is entered.

    Args:
        script: what to answer.
        port: 0 takes a free one.
    """

    def __init__(self, script: Script, *, port: int = 0) -> None:
        self._script = script
        self._port = port
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.Task[None]] = set()
        self.requests = 0
        """Completions asked for so far."""

    @property
    def base_url(self) -> str:
        """Root of the API, for ``Endpoint``."""
        return f"http://127.0.0.1:{self._port}/v1"

    async def __aenter__(self) -> ScriptedEndpoint:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self._port)
        self._port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Stop answering at once, also in the middle of an answer."""
        if self._server:
            self._server.close()
        for task in self._open:
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, kept alive for request after request."""
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        try:
            with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
                while True:
                    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                    length = re.search(r"(?i)\r\ncontent-length:\s*(\d+)", head)
                    body = await reader.readexactly(int(length[1])) if length else b""
                    reply, answer = await self._answer(head.split(" ", 2)[1], body)
                    writer.write(_http(reply, answer))
                    await writer.drain()
        except asyncio.CancelledError:
            pass  # closing: the connection goes with us
        finally:
            self._open.discard(task)
            writer.close()

    async def _answer(self, path: str, body: bytes) -> tuple[Reply, bytes]:
        if path.endswith("/models"):
            models = {"object": "list", "data": [{"id": "scripted", "object": "model"}]}
            return Reply(), encode(models)
        if not path.endswith("/chat/completions"):
            return Reply(status=404), encode({"error": {"message": f"no such path: {path}"}})
        self.requests += 1
        turn = len(_ASSISTANT.findall(body))
        reply = self._reply(turn, body)
        await asyncio.sleep(reply.delay)
        if reply.body is not None:
            return reply, reply.body
        if reply.status != 200:
            return reply, encode({"error": {"message": reply.content}})
        return reply, render(reply, turn, len(body))

    def _reply(self, turn: int, body: bytes) -> Reply:
        if callable(self._script):
            return self._script(json.loads(body)["messages"])
        if turn < len(self._script):
            return self._script[turn]
        return Reply(status=400, content=f"the script ends after {turn} replies")


def _http(reply: Reply, body: bytes) -> bytes:
    reason = _REASONS.get(reply.status, "Status")
    head = [
        f"HTTP/1.1 {reply.status} {reason}",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        *(f"{name}: {value}" for name, value in reply.headers.items()),
    ]
    return ("\r\n".join(head) + "\r\n\r\n").encode("latin-1") + body
