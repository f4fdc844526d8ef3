"""A real endpoint with a script for a model: tests and benchmarks talk to it over a socket.

With a list, the reply is picked by the number of assistant messages in the request, so that the
server keeps no state and any number of rollouts may share it. That count is taken from the raw
bytes: inside a JSON string the quotes would be escaped, hence the match is exact, and an instant
model stays instant on megabytes of history.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

from regreen.inference.messages import Message, encode

__all__ = ["Reply", "Script", "ScriptedEndpoint", "call", "calls", "render", "say"]

_ASSISTANT = (b'"role":"assistant"', b'"role": "assistant"')
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
        self._open: set[_Connection] = set()
        self.requests = 0
        """Completions asked for so far."""

    @property
    def base_url(self) -> str:
        """Root of the API, for ``Endpoint``."""
        return f"http://127.0.0.1:{self._port}/v1"

    async def __aenter__(self) -> ScriptedEndpoint:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: _Connection(self._answer, self._open), "127.0.0.1", self._port
        )
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
        for connection in list(self._open):
            connection.abort()
        await asyncio.sleep(0)  # the sockets close in the loop's next round

    def _answer(self, path: str, body: bytearray, start: int, end: int) -> tuple[Reply, bytes]:
        """The reply to the request whose body is ``body[start:end]``, uncopied."""
        if path.endswith("/models"):
            models = {"object": "list", "data": [{"id": "scripted", "object": "model"}]}
            return Reply(), encode(models)
        if not path.endswith("/chat/completions"):
            return Reply(status=404), encode({"error": {"message": f"no such path: {path}"}})
        self.requests += 1
        turn = sum(body.count(form, start, end) for form in _ASSISTANT)
        reply = self._reply(turn, body, start, end)
        if reply.body is not None:
            return reply, reply.body
        if reply.status != 200:
            return reply, encode({"error": {"message": reply.content}})
        return reply, render(reply, turn, end - start)

    def _reply(self, turn: int, body: bytearray, start: int, end: int) -> Reply:
        if callable(self._script):
            return self._script(json.loads(body[start:end])["messages"])
        if turn < len(self._script):
            return self._script[turn]
        return Reply(status=400, content=f"the script ends after {turn} replies")


class _Connection(asyncio.BufferedProtocol):
    """One connection, kept alive; requests are received into one buffer that is used again."""

    def __init__(
        self,
        answer: Callable[[str, bytearray, int, int], tuple[Reply, bytes]],
        registry: set[_Connection],
    ) -> None:
        self._answer = answer
        self._registry = registry
        self._buffer = bytearray(1 << 16)
        self._filled = 0
        self._head = 0
        self._end = 0
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._registry.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._registry.discard(self)
        self._transport = None

    def abort(self) -> None:
        """Hang up without another word."""
        if self._transport is not None:
            self._transport.abort()

    def get_buffer(self, sizehint: int) -> memoryview:
        self._grow(self._filled + 1)
        return memoryview(self._buffer)[self._filled :]

    def buffer_updated(self, nbytes: int) -> None:
        self._filled += nbytes
        if not self._head:
            self._head = self._buffer.find(b"\r\n\r\n", 0, self._filled) + 4
            if self._head < 4:
                self._head = 0
                return
            head = bytes(self._buffer[: self._head])
            length = re.search(rb"(?i)\r\ncontent-length:\s*(\d+)", head)
            self._end = self._head + (int(length[1]) if length else 0)
            self._grow(self._end)
        if self._filled >= self._end:
            self._respond()

    def _grow(self, size: int) -> None:
        """Make room; generously, because each request of a conversation is a little longer."""
        if size > len(self._buffer):
            self._buffer = self._buffer + bytearray(size)

    def _respond(self) -> None:
        path = bytes(self._buffer[: self._head]).decode("latin-1").split(" ", 2)[1]
        reply, body = self._answer(path, self._buffer, self._head, self._end)
        self._filled = self._head = self._end = 0  # clients wait for the answer before they go on
        asyncio.get_running_loop().call_later(reply.delay, self._send, _http(reply, body))

    def _send(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)


def _http(reply: Reply, body: bytes) -> bytes:
    reason = _REASONS.get(reply.status, "Status")
    head = [
        f"HTTP/1.1 {reply.status} {reason}",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        *(f"{name}: {value}" for name, value in reply.headers.items()),
    ]
    return ("\r\n".join(head) + "\r\n\r\n").encode("latin-1") + body
