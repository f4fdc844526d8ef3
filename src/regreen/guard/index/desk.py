"""Answers one rollout's requests to the package index: decided, looked up, and told in words.

A request for a file names a project and a file name and no URL: where the upstream keeps it is
looked up in the project's page. So there is nothing a box could write into a request that would
make the proxy ask another host.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import re
from collections.abc import AsyncGenerator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote

from packaging.utils import canonicalize_name

from regreen.core.trajectory import Incident
from regreen.guard.doors.door import Door
from regreen.guard.doors.exchange import Answer, Broken, Note, Request, refusal
from regreen.guard.index.cache import Download
from regreen.guard.index.pages import HTML, JSON, Page, PageFile, render_html, render_json
from regreen.guard.index.policy import IndexPolicy
from regreen.guard.index.screen import Screen
from regreen.guard.index.settings import IndexSettings
from regreen.guard.index.upstream import UpstreamError

__all__ = ["Desk", "Stock", "chosen_form", "token_of"]

_NAME = r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?"
_PAGE = re.compile(rf"/simple/(?P<project>{_NAME})/?")
_FILE = re.compile(rf"/files/(?P<project>{_NAME})/(?P<file>[A-Za-z0-9][A-Za-z0-9._+!-]*)")


class Stock(Protocol):
    """What desks share: the pages and files of one upstream."""

    async def page(self, project: str) -> Page | None:
        """A project's page; None when there is no such project."""
        ...

    def download(self, page: Page, file: PageFile, *, metadata: bool) -> Download:
        """A file or its metadata file."""
        ...


class Desk:
    """Answers one rollout's requests.

    Args:
        door: the rollout's.
        policy: what it may have.
        settings: of the proxy.
        stock: where pages and files come from.
        screen: looks into files; None looks into none.
    """

    def __init__(
        self,
        door: Door,
        policy: IndexPolicy,
        settings: IndexSettings,
        stock: Stock,
        screen: Screen | None,
    ) -> None:
        self._door, self._policy, self._screen = door, policy, screen
        self._screened: dict[Path, str] = {}
        self._settings, self._stock = settings, stock
        self._served: set[int] = set()

    async def handle(self, request: Request) -> Answer:
        """Answer a request."""
        if request.method not in ("GET", "HEAD"):
            return refusal(f"Prohibited: {request.method}; this package index is only read")
        if not self._door.knows(token_of(request.headers.get("authorization", ""))):
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
            self._served = {one for one in self._served if self._door.is_open(one)}
            meant = bool(filename) or not self._served
            self._report(reason, project, filename, meant=meant)
            return refusal(reason, more=columns)
        if self._door.sent > self._settings.rollout_bytes:
            reason = f"Refused: this rollout fetched {self._door.sent} bytes, which is its limit"
            return refusal(reason, more=columns)
        try:
            page = await self._stock.page(project)
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
            return refusal(self._policy.refuses_file(page.files[-1], page.project), more=columns)
        self._served.add(request.connection)
        as_json, kind = chosen_form(request.headers.get("accept", ""))
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
        if file and (reason := self._policy.refuses_file(file, page.project)):
            return refusal(reason, more=columns)
        if file is None or (metadata and not file.metadata):
            reason = f"The package index has no file '{filename}' of '{page.project}'"
            return refusal(reason, status=404, more=columns)
        if (file.size or 0) > self._settings.max_file_bytes:
            limit = self._settings.max_file_bytes
            reason = f"Refused: {filename} has {file.size} bytes; the limit is {limit}"
            return refusal(reason, more=columns)
        download = self._stock.download(page, file, metadata=metadata)
        if reason := await self._look_into(download, filename):
            self._report(reason, page.project, filename, meant=False)
            return refusal(reason, more=columns)
        await download.begun()
        return Answer(
            status=200,
            headers=(("content-type", "application/octet-stream"),),
            body=_body(download),
            length=download.length,
            note=Note(more=columns),
        )

    async def _look_into(self, download: Download, filename: str) -> str:
        """What the screen says of a file, once it is here as a whole."""
        if self._screen is None:
            return ""
        await download.finished()
        if download.path not in self._screened:
            self._screened[download.path] = await asyncio.to_thread(
                self._screen, download.path, filename
            )
        return self._screened[download.path]

    def _report(self, reason: str, project: str, filename: str, *, meant: bool) -> None:
        """Make an incident; what a resolver may have asked for is not held against the agent.

        A client that was given another project's page and is still connected is resolving
        dependencies, one of which is the target; the command of an agent that asks for the target
        itself begins with it.
        """
        self._door.report(
            Incident(
                rule="wall.index.subject",
                message=f"{reason} (asked for {filename or f'the listing of {project}'})",
                blocked=True,
                layer="wall",
                confirmed=meant,
            )
        )


async def _body(download: Download) -> AsyncGenerator[bytes, None]:
    try:
        async for block in download.blocks():
            yield block
    except (UpstreamError, OSError) as exc:
        raise Broken(str(exc)) from exc


def token_of(header: str) -> str:
    """The password of basic authentication; the user's name does not matter."""
    kind, _, value = header.partition(" ")
    if kind.lower() != "basic":
        return ""
    with suppress(binascii.Error, UnicodeDecodeError):
        text = base64.b64decode(value.strip(), validate=True).decode()
        return text.partition(":")[2]
    return ""


def chosen_form(accept: str) -> tuple[bool, str]:
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
