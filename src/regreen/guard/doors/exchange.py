"""One HTTP connection of a box: requests in, answers out, every request logged.

The bytes are parsed by h11 and no request of a box is ever passed on as it came: what goes further
is written anew from what was understood and judged.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import h11

__all__ = [
    "Answer",
    "Broken",
    "Exchange",
    "Handler",
    "Limits",
    "Note",
    "Pace",
    "Request",
    "refusal",
]

_READ = 1 << 14
_HEADERS = 1 << 14


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one connection may take of the host."""

    body_bytes: int = 0
    """Largest body of a request."""
    idle_seconds: float = 30.0
    """Longest wait for the box to send or to take a piece."""
    total_seconds: float = 900.0
    """Longest time for one request with its answer."""
    connections: int = 128
    """Open at once for one box; more are closed as they come."""
    requests_per_second: float = 100.0
    """Sustained rate of one box; faster ones wait, since all boxes share this process."""
    burst: int = 500
    """Requests that may come at once before that holds."""


class Pace:
    """Makes a box that asks too fast wait, all its connections together.

    Args:
        limits: see ``Limits``.
    """

    def __init__(self, limits: Limits) -> None:
        self._cost = 1.0 / limits.requests_per_second
        self._credit = limits.burst * self._cost
        self._due = 0.0

    async def turn(self) -> None:
        """Wait for a request's turn."""
        now = time.monotonic()
        self._due = max(self._due, now) + self._cost
        if (wait := self._due - now - self._credit) > 0:
            await asyncio.sleep(wait)


@dataclass(frozen=True, slots=True)
class Request:
    """A request as the box sent it."""

    method: str
    """In capitals."""
    target: str
    """The request line's second word, untouched."""
    headers: Mapping[str, str]
    """By lower-case name; of several with one name, the last."""
    body: bytes = b""
    """Read to its end."""
    connection: int = 0
    """Number of the connection it came by, never used again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """What the log says about a request besides its method and path."""

    decision: str = "allow"
    """``allow``, ``refuse`` or ``fail`` (the far side could not serve it)."""
    reason: str = ""
    """Why it was not allowed."""
    more: Mapping[str, Any] = field(default_factory=dict)
    """Further columns, for example the project and the file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the box is told."""

    status: int
    """HTTP status."""
    headers: tuple[tuple[str, str], ...] = ()
    """Without those that frame the message."""
    body: bytes | AsyncGenerator[bytes, None] = b""
    """Whole, or in pieces as they come."""
    length: int | None = None
    """Length of a body in pieces, when known; otherwise it is sent in chunks."""
    reason: str = ""
    """Text of the status line: some clients show it and nothing else."""
    note: Note = Note()
    """For the log."""


class Broken(Exception):
    """A body in pieces cannot be finished: the connection is cut, so that the client knows."""


Handler = Callable[[Request], Awaitable[Answer]]
Log = Callable[[Request, Answer, Note, int, float], None]


def refusal(reason: str, *, status: int = 403, more: Mapping[str, Any] | None = None) -> Answer:
    """An answer that names what is prohibited, in its body and in its status line.

    Args:
        reason: a sentence for whoever asked.
        status: HTTP status; from 500 on it is logged as a failure of the far side.
        more: further columns of the log.
    """
    line = "".join(letter if " " <= letter < "\x7f" else "?" for letter in reason)
    return Answer(
        status=status,
        headers=(("content-type", "text/plain; charset=utf-8"),),
        body=f"{reason}\n".encode(),
        reason=line[:400],
        note=Note(decision="refuse" if status < 500 else "fail", reason=reason, more=more or {}),
    )


class Exchange:
    """Serves the requests of one connection, one after the other.

    Args:
        reader: what the box sends.
        writer: what it gets.
        handle: answers a request.
        log: told of each request when its answer is out.
        limits: see ``Limits``.
        number: told with each request.
        pace: shared by the connections of one box.
    """

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        *,
        number: int,
        pace: Pace,
        handle: Handler,
        log: Log,
        limits: Limits,
    ) -> None:
        self._reader, self._writer = reader, writer
        self._handle, self._log, self._limits = handle, log, limits
        self._number, self._pace = number, pace
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=_HEADERS)

    async def run(self) -> None:
        """Serve until either side ends; errors of the connection end it quietly."""
        try:
            with suppress(OSError, TimeoutError, h11.ProtocolError):
                while await self._once():
                    self._http.start_next_cycle()
        finally:
            self._writer.close()

    async def _once(self) -> bool:
        """Serve one request; whether another may follow."""
        async with asyncio.timeout(self._limits.total_seconds):
            await self._pace.turn()
            begun = time.monotonic()
            try:
                request = await self._request()
            except h11.RemoteProtocolError as exc:
                request = Request("?", "?", {})
                answer = refusal(f"Refused: not a request of HTTP ({exc})", status=400)
                await self._answer(request, answer, begun)
                return False
            if request is None:
                return False
            answer = await self._respond(request)
            await self._answer(request, answer, begun)
            done = (h11.DONE, h11.DONE)
            return (self._http.our_state, self._http.their_state) == done

    async def _respond(self, request: Request) -> Answer:
        if request.method in ("CONNECT", "TRACE") or not request.target.startswith("/"):
            reason = f"Prohibited: {request.method} {request.target[:200]}, which is another host"
            return refusal(reason, more={"elsewhere": True})
        return await self._handle(request)

    async def _request(self) -> Request | None:
        head = await self._event()
        if not isinstance(head, h11.Request):
            return None
        body = bytearray()
        while not isinstance(event := await self._event(), h11.EndOfMessage):
            if not isinstance(event, h11.Data):
                return None
            body += event.data
            if len(body) > self._limits.body_bytes:
                msg = f"its body is larger than {self._limits.body_bytes} bytes"
                raise h11.RemoteProtocolError(msg)
        headers = {
            name.decode("latin-1").lower(): value.decode("latin-1") for name, value in head.headers
        }
        method, target = head.method.decode("ascii"), head.target.decode("ascii")
        return Request(method, target, headers, bytes(body), self._number)

    async def _event(self) -> h11.Event | type[h11.PAUSED]:
        while (event := self._http.next_event()) is h11.NEED_DATA:
            if self._http.they_are_waiting_for_100_continue:
                go_on = h11.InformationalResponse(status_code=100, headers=[], reason=b"Continue")
                await self._send(go_on)
            async with asyncio.timeout(self._limits.idle_seconds):
                self._http.receive_data(await self._reader.read(_READ))
        return event  # type: ignore[return-value]

    async def _send(self, event: h11.Event) -> int:
        data = self._http.send(event)
        if data:
            self._writer.write(data)
            async with asyncio.timeout(self._limits.idle_seconds):
                await self._writer.drain()
        return len(data or b"")

    async def _answer(self, request: Request, answer: Answer, begun: float) -> None:
        sent, note = 0, answer.note
        try:
            async for block in self._pieces(request, answer):
                await self._send(h11.Data(data=block))
                sent += len(block)
            await self._send(h11.EndOfMessage())
        except Broken as exc:
            note = Note(decision="fail", reason=str(exc), more=note.more)
            raise ConnectionAbortedError(str(exc)) from exc
        except (OSError, TimeoutError, h11.LocalProtocolError, asyncio.CancelledError):
            note = Note(decision=note.decision, reason=note.reason or "cut off", more=note.more)
            raise
        finally:
            self._log(request, answer, note, sent, time.monotonic() - begun)

    async def _pieces(self, request: Request, answer: Answer) -> AsyncGenerator[bytes, None]:
        """Send the head, then yield the body; a HEAD has none, but says how long it would be."""
        body = answer.body
        length = len(body) if isinstance(body, bytes) else answer.length
        frame = ("transfer-encoding", "chunked")
        if length is not None:
            frame = ("content-length", str(length))
        reason = answer.reason or HTTPStatus(answer.status).phrase
        head = h11.Response(
            status_code=answer.status,
            headers=[*answer.headers, frame],
            reason=reason.encode("ascii", "replace"),
        )
        if isinstance(body, bytes):
            await self._send(head)
            if body and request.method != "HEAD":
                yield body
            return
        async with aclosing(body) as blocks:
            await self._send(head)
            if request.method != "HEAD":
                async for block in blocks:
                    yield block
