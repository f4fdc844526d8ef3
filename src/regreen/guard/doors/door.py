"""One door of one box: its socket, its token, and what the box needs in order to use it.

There is a socket per rollout and not one for all, so that a token that left its box opens nothing:
the other rollouts' sockets are not in the file system of the box that holds it.
"""

from __future__ import annotations

import asyncio
import hmac
import os
import secrets
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Protocol

from regreen.core.errors import InfrastructureError
from regreen.core.trajectory import Incident
from regreen.guard.doors.exchange import Answer, Exchange, Handler, Limits, Note, Pace, Request
from regreen.guard.doors.log import RequestLog

__all__ = ["BOX_CODE", "Door", "Grant"]

BOX_CODE = "/run/regreen-doors"
"""Where a box finds the forwarder; ``<BOX_CODE>-<name>/socket`` is a door."""
_MOST_INCIDENTS, _MOST_NEWS = 1000, 20
_FORWARDER = Path(__file__).parent / "box"


class Grant(Protocol):
    """What a rollout is given, whatever lies behind the door."""

    rollout_id: str

    @property
    def name(self) -> str:
        """Which door it is: ``index`` or ``gateway``."""
        ...

    @property
    def env(self) -> Mapping[str, str]:
        """Variables that point the box's clients at the door."""
        ...

    @property
    def binds(self) -> tuple[tuple[Path, str], ...]:
        """Read-only binds of the box: the socket and the forwarder."""
        ...

    def forwarder(self, python: str = "") -> list[str]:
        """Arguments of the command that has to run in the box's background."""
        ...

    def incidents(self) -> tuple[Incident, ...]:
        """What the door refused that the trajectory should show, in order."""
        ...

    def news(self) -> tuple[str, ...]:
        """Reasons of refusals since the last call, each once.

        Show them beside the tool's output: pip says no more of a refused listing than that it
        found nothing.
        """
        ...

    async def revoke(self) -> None:
        """Close the door and cut what is open; calling it twice is harmless."""
        ...


class Door:
    """A listening socket with the things every door has.

    Args:
        name: ``index`` or ``gateway``.
        rollout_id: whom it serves.
        directory: where the socket is made; nobody but this user may enter it.
        port: the port of the box's loopback that the forwarder takes.
        log: gets a row per request.
        limits: see ``Limits``.
    """

    def __init__(
        self,
        name: str,
        rollout_id: str,
        *,
        directory: Path,
        port: int,
        log: RequestLog,
        limits: Limits,
    ) -> None:
        self.name, self.rollout_id, self.port = name, rollout_id, port
        self.token = secrets.token_urlsafe(24)
        self.path = directory / secrets.token_hex(8)
        self.sent = 0
        self._log, self._limits = log, limits
        self._incidents: list[Incident] = []
        self._news: dict[str, None] = {}
        self._connections: dict[int, asyncio.Task[None]] = {}
        self._count = 0
        self._server: asyncio.Server | None = None

    async def open(self, handle: Handler) -> None:
        """Begin to listen.

        Raises:
            InfrastructureError: the socket cannot be made.
        """
        pace = Pace(self._limits)

        def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            if len(self._connections) >= self._limits.connections:
                writer.close()
                return
            self._count += 1
            number = self._count
            exchange = Exchange(
                reader,
                writer,
                number=number,
                pace=pace,
                handle=handle,
                log=self._row,
                limits=self._limits,
            )
            task = self._connections[number] = asyncio.ensure_future(exchange.run())
            task.add_done_callback(lambda _: self._connections.pop(number, None))

        try:
            self._server = await asyncio.start_unix_server(connected, str(self.path))
            self.path.chmod(0o600)
        except OSError as exc:
            what = f"the socket of a box cannot be made: {exc.strerror or exc}"
            mend = "set TMPDIR to a short path you can write"
            raise InfrastructureError(what, where=str(self.path), mend=mend) from exc

    def _row(self, request: Request, answer: Answer, note: Note, sent: int, seconds: float) -> None:
        self.sent += sent
        told = len(self._news) < _MOST_NEWS
        if note.decision == "refuse" and answer.status == 403 and told:
            self._news[note.reason] = None
        if note.more.get("elsewhere"):
            rule = f"wall.{self.name}.elsewhere"
            self.report(Incident(rule=rule, message=note.reason, blocked=True, layer="wall"))
        self._log.write(
            {
                "door": self.name,
                "rollout": self.rollout_id,
                "method": request.method,
                "path": request.target,
                **note.more,
                "decision": note.decision,
                "reason": note.reason,
                "status": answer.status,
                "bytes": sent,
                "seconds": round(seconds, 4),
            }
        )

    def is_open(self, connection: int) -> bool:
        """Whether a connection still stands."""
        return connection in self._connections

    def knows(self, token: str) -> bool:
        """Whether this is the rollout's token."""
        return hmac.compare_digest(token.encode(), self.token.encode())

    def report(self, incident: Incident) -> None:
        """Keep what the trajectory should show; a thousand tell as much as more."""
        if len(self._incidents) < _MOST_INCIDENTS:
            self._incidents.append(incident)

    def incidents(self) -> tuple[Incident, ...]:
        """What was reported, in order."""
        return tuple(self._incidents)

    def news(self) -> tuple[str, ...]:
        """Reasons of refusals since the last call, each once."""
        news, self._news = self._news, {}
        return tuple(news)

    @property
    def socket_in_box(self) -> str:
        """Where the box finds the socket."""
        return f"{BOX_CODE}-{self.name}/socket"

    @property
    def binds(self) -> tuple[tuple[Path, str], ...]:
        """Read-only binds of the box; a socket takes connections on a read-only mount too."""
        return ((_FORWARDER, BOX_CODE), (self.path, self.socket_in_box))

    def forwarder(self, python: str = "") -> list[str]:
        """Arguments of the forwarder.

        Args:
            python: an interpreter of the box; the one that runs us, which every box of namespaces
                shows at the same place, when empty.
        """
        program = python or os.path.realpath(sys.executable)
        code = f"{BOX_CODE}/forward.py"
        return [program, "-I", "-S", code, str(self.port), self.socket_in_box]

    async def revoke(self) -> None:
        """Close the socket and cut its connections."""
        if self._server is not None:
            server, self._server = self._server, None
            server.close()
            tasks = list(self._connections.values())
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            with suppress(FileNotFoundError):
                self.path.unlink()

    async def __aenter__(self) -> Door:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.revoke()
