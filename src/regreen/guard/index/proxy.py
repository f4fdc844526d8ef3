"""The package index of boxes: one upstream for all rollouts, a door and a desk for each."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from types import TracebackType

from regreen.core.clock import Clock, SystemClock
from regreen.core.errors import UsageError
from regreen.core.trajectory import Incident
from regreen.guard.doors.door import Door
from regreen.guard.doors.exchange import Limits
from regreen.guard.doors.log import RequestLog
from regreen.guard.index.cache import Download, FileCache, PageCache
from regreen.guard.index.configured import index_url
from regreen.guard.index.desk import Desk
from regreen.guard.index.pages import Page, PageFile
from regreen.guard.index.policy import IndexPolicy, make_policy
from regreen.guard.index.screen import Screen
from regreen.guard.index.settings import IndexSettings
from regreen.guard.index.upstream import open_upstream
from regreen.sandbox.lifeline import RunDirectory, run_base

__all__ = ["IndexGrant", "IndexProxy"]


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
        screen: Screen | None = None,
        apart: Mapping[str, datetime] | None = None,
    ) -> IndexGrant:
        """Open a door for one rollout.

        Args:
            rollout_id: named in the log.
            subjects: distributions that the task is about, under every name they are released as.
            before: latest upload that is allowed (ISO 8601 or a date and time); None allows all.
            screen: looks into each file before it is sent (``screen.gold_screen`` of the task's
                patch); None looks into none.
            apart: dates in the place of ``before`` for single projects, by normalised name.

        Raises:
            UsageError: the date cannot be read.
            InfrastructureError: the socket cannot be made.
        """
        try:
            policy = make_policy(subjects, before, self.settings.undated, apart=apart)
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
                requests_per_second=settings.requests_per_second,
                burst=settings.burst,
            ),
        )
        desk = Desk(door, policy, settings, self, screen)
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
