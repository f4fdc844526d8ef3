"""The package index of boxes: pages without what the task forbids, files checked on their way.

Every file's link leads back to the proxy, and a request for a file names a project and a file name
and no URL: where the upstream keeps it is looked up in the project's page. So there is nothing a
box could write into a request that would make the proxy ask another host.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Literal
from urllib.parse import unquote

from packaging.utils import canonicalize_name
from pydantic import BaseModel, ConfigDict

from regreen.core.clock import Clock, SystemClock
from regreen.core.errors import UsageError
from regreen.core.trajectory import Incident
from regreen.guard.doors.door import Door
from regreen.guard.doors.exchange import Answer, Broken, Limits, Note, Request, refusal
from regreen.guard.doors.log import RequestLog
from regreen.guard.index.cache import Download, FileCache, PageCache
from regreen.guard.index.configured import index_url
from regreen.guard.index.pages import HTML, JSON, Page, PageFile, render_html, render_json
from regreen.guard.index.policy import IndexPolicy, make_policy
from regreen.guard.index.upstream import UpstreamError, open_upstream
from regreen.sandbox.lifeline import RunDirectory, run_base

__all__ = ["IndexGrant", "IndexProxy", "IndexSettings"]

_NAME = r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?"
_PAGE = re.compile(rf"/simple/(?P<project>{_NAME})/?")
_FILE = re.compile(rf"/files/(?P<project>{_NAME})/(?P<file>[A-Za-z0-9][A-Za-z0-9._+!-]*)")


class IndexSettings(BaseModel):
    """How the proxy works, for all rollouts of a run."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    cache: Path
    """Directory of pages and files; runs share it."""
    upstream: str = ""
    """URL of a simple index, or a directory of wheels as a path or ``file://`` URL; empty is what
    this machine's installers are set up for."""
    file_hosts: tuple[str, ...] = ()
    """Origins that may hold its files (``https://files.example.org``), besides its own and those
    public ones that its pages name."""
    log: Path | None = None
    """Takes one JSON line per request; None keeps no log."""
    undated: Literal["refuse", "allow"] = "refuse"
    """What becomes of files without an upload time when a task has a date."""
    page_seconds: float = 3600.0
    """How long a page is believed before the upstream is asked again."""
    max_page_bytes: int = 64 << 20
    """Largest page taken from the upstream."""
    max_file_bytes: int = 2 << 30
    """Largest file."""
    rollout_bytes: int = 16 << 30
    """Most bytes one rollout may fetch."""
    stall_seconds: float = 30.0
    """Longest silence of the upstream or of a box."""
    total_seconds: float = 900.0
    """Longest time for one file."""
    connections: int = 32
    """Connections one box may hold open at once."""
    port: int = 3141
    """Port of the box's own loopback."""


class IndexGrant:
    """One rollout's access to the index; see the ``Grant`` protocol."""

    def __init__(self, door: Door, policy: IndexPolicy) -> None:
        self._door, self.policy = door, policy
        self.rollout_id = door.rollout_id
        self.name = door.name
        self.token = door.token
        self.socket = door.path

    @property
    def env(self) -> Mapping[str, str]:
        """Variables for pip and uv; both show the address without its token."""
        url = f"http://rollout:{self.token}@127.0.0.1:{self._door.port}/simple/"
        return {
            "PIP_INDEX_URL": url,
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            "PIP_NO_INPUT": "1",
            "UV_DEFAULT_INDEX": url,
            "UV_INDEX_URL": url,
            "UV_PYTHON_DOWNLOADS": "never",
        }

    @property
    def binds(self) -> tuple[tuple[Path, str], ...]:
        """Read-only binds of the box."""
        return self._door.binds

    def forwarder(self, python: str = "") -> list[str]:
        """Arguments of the command that has to run in the box's background."""
        return self._door.forwarder(python)

    def incidents(self) -> tuple[Incident, ...]:
        """Refused requests for what the task is about, in order."""
        return self._door.incidents()

    def news(self) -> tuple[str, ...]:
        """Reasons of refusals since the last call, each once."""
        return self._door.news()

    async def revoke(self) -> None:
        """Close the socket; the token is worth nothing from now on."""
        await self._door.revoke()

    async def __aenter__(self) -> IndexGrant:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.revoke()


class IndexProxy:
    """Serves one upstream to any number of rollouts, each through a socket of its own.

    Args:
        settings: see ``IndexSettings``.
        clock: tells the time.

    Raises:
        UsageError: the upstream or the log cannot be used.
    """

    def __init__(self, settings: IndexSettings, *, clock: Clock | None = None) -> None:
        self.settings = settings
        self._clock = clock or SystemClock()
        source = settings.upstream or index_url()
        self._upstream = open_upstream(
            source,
            file_hosts=settings.file_hosts,
            stall_seconds=settings.stall_seconds,
            max_page_bytes=settings.max_page_bytes,
        )
        named = hashlib.sha256(source.encode()).hexdigest()[:16]
        self._pages = PageCache(settings.cache / "pages" / named, seconds=settings.page_seconds)
        self._files = FileCache(
            settings.cache / "files",
            max_bytes=settings.max_file_bytes,
            total_seconds=settings.total_seconds,
        )
        self._log = RequestLog(settings.log, self._clock)
        self._directory: RunDirectory | None = None
        self._grants: dict[str, list[Door]] = {}

    async def __aenter__(self) -> IndexProxy:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def grant(
        self,
        rollout_id: str,
        subjects: Iterable[str],
        *,
        before: datetime | str | None = None,
    ) -> IndexGrant:
        """Open a door for one rollout.

        Args:
            rollout_id: named in the log.
            subjects: distributions that the task is about, under every name they are released as.
            before: latest upload that is allowed (ISO 8601 or a date and time); None allows all.

        Raises:
            UsageError: the date cannot be read.
            InfrastructureError: the socket cannot be made.
        """
        try:
            policy = make_policy(subjects, before, self.settings.undated)
        except ValueError as exc:
            what = f"the task's date cannot be read: {before!r}"
            raise UsageError(what, where=rollout_id, mend="write it as 2024-05-06") from exc
        self._directory = self._directory or RunDirectory(run_base())
        settings = self.settings
        door = Door(
            "index",
            rollout_id,
            directory=self._directory.path,
            port=settings.port,
            log=self._log,
            limits=Limits(
                idle_seconds=settings.stall_seconds,
                total_seconds=settings.total_seconds,
                connections=settings.connections,
            ),
        )
        desk = _Desk(door, policy, settings, self)
        await door.open(desk.handle)
        self._grants.setdefault(rollout_id, []).append(door)
        return IndexGrant(door, policy)

    def incidents(self, rollout_id: str) -> tuple[Incident, ...]:
        """What a rollout was refused that its trajectory should show, over all its grants."""
        return tuple(one for door in self._grants.get(rollout_id, ()) for one in door.incidents())

    async def page(self, project: str) -> Page | None:
        """A project's page, from the cache or the upstream.

        Raises:
            UpstreamError: the upstream cannot serve.
        """
        return await self._pages.get(project, self._upstream.page)

    def download(self, page: Page, file: PageFile, *, metadata: bool) -> Download:
        """A file or its metadata file, from the cache or on its way."""
        url = f"{file.url}.metadata" if metadata else file.url
        hashes = file.hashes
        if metadata:
            hashes = file.metadata if isinstance(file.metadata, dict) else {}
        return self._files.open(
            url,
            hashes,
            None if metadata else file.size,
            lambda: self._upstream.blocks(page, file, metadata=metadata),
        )

    async def close(self) -> None:
        """Close every door, give up what is on its way, free connections."""
        for doors in self._grants.values():
            for door in doors:
                await door.revoke()
        await self._files.close()
        await self._upstream.close()
        self._log.close()
        if self._directory is not None:
            self._directory.close()
            self._directory = None


class _Desk:
    """Answers one rollout's requests."""

    def __init__(
        self,
        door: Door,
        policy: IndexPolicy,
        settings: IndexSettings,
        proxy: IndexProxy,
    ) -> None:
        self._door, self._policy = door, policy
        self._settings, self._proxy = settings, proxy
        self._served: set[int] = set()

    async def handle(self, request: Request) -> Answer:
        if request.method not in ("GET", "HEAD"):
            return refusal(f"Prohibited: {request.method}; this package index is only read")
        if not self._door.knows(_token(request.headers.get("authorization", ""))):
            return refusal("Prohibited: a request without this rollout's token")
        path = unquote(request.target.partition("?")[0], errors="replace")
        page, file = _PAGE.fullmatch(path), _FILE.fullmatch(path)
        if match := page or file:
            project = str(canonicalize_name(match["project"]))
            filename = file["file"] if file else ""
            return await self._serve(request, project, filename)
        return refusal(
            "Prohibited: a path other than /simple/PROJECT/ and /files/PROJECT/FILE;"
            " this is a package index and nothing else"
        )

    async def _serve(self, request: Request, project: str, filename: str) -> Answer:
        columns = {"project": project, "file": filename}
        if reason := self._policy.refuses_project(project):
            self._report(reason, project, filename)
            return refusal(reason, more=columns)
        if self._door.sent > self._settings.rollout_bytes:
            reason = f"Refused: this rollout fetched {self._door.sent} bytes, which is its limit"
            return refusal(reason, more=columns)
        try:
            page = await self._proxy.page(project)
            if page is None:
                reason = f"The package index has no project '{project}'"
                return refusal(reason, status=404, more=columns)
            if filename:
                return await self._file(page, filename, columns)
            return self._page(page, request, columns)
        except UpstreamError as exc:
            return refusal(f"Not served: {exc}", status=502, more=columns)

    def _page(self, page: Page, request: Request, columns: Mapping[str, str]) -> Answer:
        visible = self._policy.visible(page)
        withheld = len(page.files) - len(visible.files)
        if withheld and not visible.files:
            return refusal(self._policy.refuses_file(page.files[-1]), more=columns)
        self._served.add(request.connection)
        as_json, kind = _form(request.headers.get("accept", ""))
        return Answer(
            status=200,
            headers=(("content-type", kind), ("cache-control", "no-store")),
            body=render_json(visible) if as_json else render_html(visible),
            note=Note(more={**columns, "withheld": withheld}),
        )

    async def _file(self, page: Page, filename: str, columns: Mapping[str, str]) -> Answer:
        file, metadata = page.file(filename), False
        if file is None and filename.endswith(".metadata"):
            file = page.file(filename.removesuffix(".metadata"))
            metadata = True
        if file and (reason := self._policy.refuses_file(file)):
            return refusal(reason, more=columns)
        if file is None or (metadata and not file.metadata):
            reason = f"The package index has no file '{filename}' of '{page.project}'"
            return refusal(reason, status=404, more=columns)
        if (file.size or 0) > self._settings.max_file_bytes:
            limit = self._settings.max_file_bytes
            reason = f"Refused: {filename} has {file.size} bytes; the limit is {limit}"
            return refusal(reason, more=columns)
        download = self._proxy.download(page, file, metadata=metadata)
        await download.begun()
        return Answer(
            status=200,
            headers=(("content-type", "application/octet-stream"),),
            body=_body(download),
            length=download.length,
            note=Note(more=columns),
        )

    def _report(self, reason: str, project: str, filename: str) -> None:
        """Make an incident; a listing that a resolver may have asked for is not held against it.

        A client that was given another project's page and is still connected is resolving
        dependencies, one of which is the target; the command of an agent that asks for the target
        itself begins with it.
        """
        self._served = {number for number in self._served if self._door.is_open(number)}
        self._door.report(
            Incident(
                rule="wall.index.subject",
                message=f"{reason} (asked for {filename or f'the listing of {project}'})",
                blocked=True,
                layer="wall",
                confirmed=bool(filename) or not self._served,
            )
        )


async def _body(download: Download) -> AsyncGenerator[bytes, None]:
    try:
        async for block in download.blocks():
            yield block
    except (UpstreamError, OSError) as exc:
        raise Broken(str(exc)) from exc


def _token(header: str) -> str:
    """The password of basic authentication; the user's name does not matter."""
    kind, _, value = header.partition(" ")
    if kind.lower() != "basic":
        return ""
    with suppress(binascii.Error, UnicodeDecodeError):
        text = base64.b64decode(value.strip(), validate=True).decode()
        return text.partition(":")[2]
    return ""


def _form(accept: str) -> tuple[bool, str]:
    """Whether to answer in JSON, with the content type (PEP 691, "Version + Format Selection")."""
    quality: dict[str, float] = {}
    for part in accept.lower().split(","):
        kind, *parameters = (word.strip() for word in part.split(";"))
        weight = 1.0
        for one in parameters:
            if one.startswith("q="):
                with suppress(ValueError):
                    weight = float(one[2:])
        quality[kind.replace("simple.latest", "simple.v1")] = weight
    html = max(quality.get(HTML, 0.0), quality.get("text/html", 0.0))
    if quality.get(JSON, 0.0) > html:
        return True, JSON
    return False, HTML if quality.get(HTML, 0.0) > quality.get("text/html", 0.0) else "text/html"
