"""The model's door: completions for an agent that runs inside a box, and nothing else of the model.

An agent of ours runs outside the box and needs none of this. A foreign one, a command of its own,
gets an address on the box's loopback and a token of the rollout; the real key is put in here. The
body is read and written anew, so that what was judged is what the service gets.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Literal
from urllib.parse import urlsplit

import httpx2
from pydantic import BaseModel, ConfigDict, SecretStr

from regreen.core.errors import UsageError
from regreen.core.trajectory import Incident
from regreen.guard.completions import completions_only, server_side
from regreen.guard.doors.door import Door
from regreen.guard.doors.exchange import Answer, Broken, Limits, Note, Request, refusal
from regreen.guard.doors.log import RequestLog
from regreen.sandbox.lifeline import RunDirectory, run_base

__all__ = ["CompletionGateway", "GatewayGrant", "GatewaySettings"]

_PASSED = ("accept", "anthropic-version", "anthropic-beta", "openai-beta")
_RETURNED = ("content-type", "retry-after", "request-id", "x-request-id")
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


class GatewaySettings(BaseModel):
    """Where completions come from."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    base_url: str
    """Root of the service, with or without its ``/v1``."""
    api_key: SecretStr | None = None
    """The real key; it never enters a box."""
    messages_key: Literal["x-api-key", "authorization"] = "x-api-key"
    """Header that carries the key to ``/v1/messages``; elsewhere it is ``authorization``."""
    models: tuple[str, ...] = ()
    """Models that may be asked; empty allows all that the service has."""
    log: Path | None = None
    """Takes one JSON line per request; None keeps no log."""
    body_bytes: int = 64 << 20
    """Largest request."""
    stall_seconds: float = 600.0
    """Longest silence of the service."""
    total_seconds: float = 3600.0
    """Longest time for one completion."""
    connections: int = 32
    """Connections one box may hold open at once."""
    port: int = 3142
    """Port of the box's own loopback."""


class GatewayGrant:
    """One rollout's access to the model; see the ``Grant`` protocol."""

    def __init__(self, door: Door) -> None:
        self._door = door
        self.rollout_id = door.rollout_id
        self.name = door.name
        self.token = door.token
        self.socket = door.path

    @property
    def env(self) -> Mapping[str, str]:
        """Variables that clients of the common services read."""
        root = f"http://127.0.0.1:{self._door.port}"
        return {
            "OPENAI_BASE_URL": f"{root}/v1",
            "OPENAI_API_BASE": f"{root}/v1",
            "OPENAI_API_KEY": self.token,
            "ANTHROPIC_BASE_URL": root,
            "ANTHROPIC_API_KEY": self.token,
        }

    @property
    def binds(self) -> tuple[tuple[Path, str], ...]:
        """Read-only binds of the box."""
        return self._door.binds

    def forwarder(self, python: str = "") -> list[str]:
        """Arguments of the command that has to run in the box's background."""
        return self._door.forwarder(python)

    def incidents(self) -> tuple[Incident, ...]:
        """Requests for tools of the service, in order."""
        return self._door.incidents()

    def news(self) -> tuple[str, ...]:
        """Reasons of refusals since the last call, each once."""
        return self._door.news()

    async def revoke(self) -> None:
        """Close the socket; the token is worth nothing from now on."""
        await self._door.revoke()

    async def __aenter__(self) -> GatewayGrant:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.revoke()


class CompletionGateway:
    """Serves one model service to any number of rollouts, each through a socket of its own.

    Args:
        settings: see ``GatewaySettings``.

    Raises:
        UsageError: the address or the log cannot be used.
    """

    def __init__(self, settings: GatewaySettings) -> None:
        parts = urlsplit(settings.base_url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            what = "this is not the address of a model's service"
            mend = "write it as http://HOST:PORT/v1"
            raise UsageError(what, where=settings.base_url, mend=mend)
        self.settings = settings
        self._root = settings.base_url.rstrip("/").removesuffix("/v1")
        self._http = httpx2.AsyncClient(
            timeout=httpx2.Timeout(settings.stall_seconds, connect=10.0),
            follow_redirects=False,
            trust_env=parts.hostname not in _LOOPBACK,
        )
        self._log = RequestLog(settings.log)
        self._directory: RunDirectory | None = None
        self._doors: list[Door] = []

    async def __aenter__(self) -> CompletionGateway:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def grant(self, rollout_id: str) -> GatewayGrant:
        """Open a door for one rollout.

        Raises:
            InfrastructureError: the socket cannot be made.
        """
        self._directory = self._directory or RunDirectory(run_base())
        settings = self.settings
        door = Door(
            "gateway",
            rollout_id,
            directory=self._directory.path,
            port=settings.port,
            log=self._log,
            limits=Limits(
                body_bytes=settings.body_bytes,
                idle_seconds=settings.stall_seconds,
                total_seconds=settings.total_seconds,
                connections=settings.connections,
            ),
        )

        async def handle(request: Request) -> Answer:
            return await self._answer(door, request)

        await door.open(handle)
        self._doors.append(door)
        return GatewayGrant(door)

    async def _answer(self, door: Door, request: Request) -> Answer:
        if not any(door.knows(token) for token in _tokens(request.headers)):
            return refusal("Prohibited: a request without this rollout's token")
        path = request.target.partition("?")[0]
        if not completions_only(path, request.method):
            reason = f"Prohibited: {request.method} {path[:200]}; this gateway serves completions"
            return refusal(f"{reason} only")
        body: dict[str, Any] | None = None
        if request.method == "POST":
            try:
                body = json.loads(request.body)
            except (ValueError, RecursionError):
                body = None
            if not isinstance(body, dict):
                return refusal("Refused: the body is not a JSON object", status=400)
            if reason := self._refuses(door, body):
                return refusal(reason)
        try:
            return await self._forward(request, path, body)
        except httpx2.HTTPError as exc:
            return refusal(
                f"The model's service does not answer ({type(exc).__name__})", status=502
            )

    def _refuses(self, door: Door, body: Mapping[str, Any]) -> str:
        if self.settings.models and body.get("model") not in self.settings.models:
            return f"Prohibited: the model '{body.get('model')}', which this rollout may not ask"
        if not (found := server_side(body)):
            return ""
        reason = (
            f"Prohibited: {found}, which the model's service would carry out itself, with a network"
            " this task does not allow. Offer only tools that run in the box."
        )
        incident = Incident(
            rule="wall.gateway.server_tool",
            message=reason,
            blocked=True,
            layer="wall",
            # A harness may offer such a tool by default, without the agent having asked for it.
            confirmed=False,
        )
        door.report(incident)
        return reason

    async def _forward(self, request: Request, path: str, body: Mapping[str, Any] | None) -> Answer:
        headers = {name: request.headers[name] for name in _PASSED if name in request.headers}
        headers["accept-encoding"] = "identity"
        if key := self.settings.api_key:
            if path == "/v1/messages" and self.settings.messages_key == "x-api-key":
                headers["x-api-key"] = key.get_secret_value()
            else:
                headers["authorization"] = f"Bearer {key.get_secret_value()}"
        content = None
        if body is not None:
            headers["content-type"] = "application/json"
            content = json.dumps(body).encode()
        message = self._http.build_request(
            request.method, f"{self._root}{path}", headers=headers, content=content
        )
        answer = await self._http.send(message, stream=True)
        if 300 <= answer.status_code < 400:
            await answer.aclose()
            return refusal("The model's service answers with a redirect", status=502)
        return Answer(
            status=answer.status_code,
            headers=tuple(
                (name, answer.headers[name]) for name in _RETURNED if name in answer.headers
            ),
            body=_body(answer),
            note=Note(more={"model": (body or {}).get("model", "")}),
        )

    async def close(self) -> None:
        """Close every door and the connections."""
        for door in self._doors:
            await door.revoke()
        await self._http.aclose()
        self._log.close()
        if self._directory is not None:
            self._directory.close()
            self._directory = None


async def _body(answer: httpx2.Response) -> AsyncGenerator[bytes, None]:
    try:
        async for block in answer.aiter_raw():
            yield block
    except httpx2.HTTPError as exc:
        msg = f"the model's service broke off ({type(exc).__name__})"
        raise Broken(msg) from exc
    finally:
        await answer.aclose()


def _tokens(headers: Mapping[str, str]) -> tuple[str, ...]:
    """What may be the token: a bearer's, or the key as the messages API sends it."""
    kind, _, value = headers.get("authorization", "").partition(" ")
    bearer = value.strip() if kind.lower() == "bearer" else ""
    return tuple(token for token in (bearer, headers.get("x-api-key", "")) if token)
