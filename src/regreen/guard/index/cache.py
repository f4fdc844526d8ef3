"""What the proxy fetched, kept on disk, so that a run of many rollouts asks the upstream once.

Files lie under their digest. One that is still on its way is read by everyone who wants it while
it arrives; its last byte is held back until the digest has been checked, so that no client ever
takes a file that is not the one the index described for complete.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import math
import secrets
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing, suppress
from functools import partial
from pathlib import Path

from regreen.guard.index.pages import Page
from regreen.guard.index.upstream import UpstreamError

__all__ = ["Download", "FileCache", "PageCache"]

_BLOCK = 1 << 18
_PAGE_SCHEMA = "regreen.index_page:1"
_CHECKED = ("sha256", "sha512", "sha384", "sha224", "blake2b", "sha1", "md5")
Source = Callable[[], AsyncGenerator[bytes, None]]


class Download:
    """A file on its way into the cache, or there already.

    Args:
        path: where it will lie.
        hashes: digests it must have, by algorithm.
        length: bytes it must have, when known.
        max_bytes: bytes it may have.
        total_seconds: longest time it may take.
    """

    def __init__(
        self,
        path: Path,
        *,
        hashes: dict[str, str],
        length: int | None,
        max_bytes: int,
        total_seconds: float,
    ) -> None:
        self.path, self.length = path, length
        self._hashes, self._max_bytes, self._total_seconds = hashes, max_bytes, total_seconds
        self._partial = path.with_name(f"{secrets.token_hex(8)}.part")
        self._written = 0
        self._done = False
        self._failure = ""
        self._news = asyncio.Condition()

    async def fetch(self, source: Source) -> None:
        """Bring it from its source; a failure is told to the readers."""
        failure = "the package index was given up"
        try:
            async with asyncio.timeout(self._total_seconds):
                await self._copy(source)
            failure = ""
        except UpstreamError as exc:
            failure = str(exc)
        except TimeoutError:
            failure = f"the package index took longer than {self._total_seconds:g} s"
        except OSError as exc:
            failure = f"the cache of the package index cannot be written: {exc.strerror}"
        finally:
            self._failure, self._done = failure, True
            async with self._news:
                self._news.notify_all()
            if failure:
                self._partial.unlink(missing_ok=True)

    async def _copy(self, source: Source) -> None:
        found = {name: hashlib.new(name) for name in _CHECKED if name in self._hashes}
        limit = self._max_bytes if self.length is None else min(self.length, self._max_bytes)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self._partial.open("wb", buffering=0) as handle:
            async with aclosing(source()) as blocks:
                async for block in blocks:
                    if self._written + len(block) > limit:
                        msg = f"the file is larger than {limit} bytes"
                        raise UpstreamError(msg)
                    handle.write(block)
                    for digest in found.values():
                        digest.update(block)
                    self._written += len(block)
                    async with self._news:
                        self._news.notify_all()
        if self.length is not None and self._written != self.length:
            msg = "the file is shorter than the index says"
            raise UpstreamError(msg)
        for name, digest in found.items():
            if digest.hexdigest() != self._hashes[name]:
                msg = f"the file does not match its {name}"
                raise UpstreamError(msg)
        self.length = self._written
        self._partial.rename(self.path)

    async def begun(self) -> None:
        """Wait for its first bytes.

        Raises:
            UpstreamError: there are none.
        """
        async with self._news:
            await self._news.wait_for(lambda: self._done or self._written > 0)
        if self._failure and not self._written:
            raise UpstreamError(self._failure)

    async def finished(self) -> None:
        """Wait for its last byte.

        Raises:
            UpstreamError: it broke off, or is not what the index described.
        """
        async with self._news:
            await self._news.wait_for(lambda: self._done)
        if self._failure:
            raise UpstreamError(self._failure)

    async def blocks(self) -> AsyncGenerator[bytes, None]:
        """Its bytes from the first to the last.

        Raises:
            UpstreamError: it broke off, or is not what the index described.
        """
        sent = 0
        with (self.path if self.path.exists() else self._partial).open("rb") as handle:
            while True:
                async with self._news:
                    await self._news.wait_for(partial(self._ahead, sent))
                if self._failure:
                    raise UpstreamError(self._failure)
                complete = self._done
                upto = self._written if complete else self._written - 1
                while sent < upto and (block := handle.read(min(_BLOCK, upto - sent))):
                    sent += len(block)
                    yield block
                if complete:
                    return

    def _ahead(self, sent: int) -> bool:
        return self._done or self._written > sent + 1

    @classmethod
    def present(cls, path: Path) -> Download:
        """One that is there already."""
        size = path.stat().st_size
        made = cls(path, hashes={}, length=size, max_bytes=size, total_seconds=0)
        made._written, made._done = size, True
        return made


class FileCache:
    """Files by digest.

    Args:
        root: directory; made when needed.
        max_bytes: of one file.
        total_seconds: longest time for one file.
    """

    def __init__(self, root: Path, *, max_bytes: int, total_seconds: float) -> None:
        self._root, self._max_bytes, self._total_seconds = root, max_bytes, total_seconds
        self._running: dict[str, tuple[Download, asyncio.Task[None]]] = {}

    def open(
        self, url: str, hashes: dict[str, str], length: int | None, source: Source
    ) -> Download:
        """A file, from the disk or being fetched.

        Args:
            url: names it where the index gives no sha256.
            hashes: its digests as the index tells them.
            length: its size as the index tells it.
            source: fetches it.
        """
        known = hashes.get("sha256", "")
        key = known or "url-" + hashlib.sha256(url.encode()).hexdigest()
        path = self._root / key[-2:] / key
        if path.is_file():
            return Download.present(path)
        if key not in self._running:
            download = Download(
                path,
                hashes=hashes,
                length=length,
                max_bytes=self._max_bytes,
                total_seconds=self._total_seconds,
            )
            task = asyncio.create_task(download.fetch(source))
            self._running[key] = (download, task)
            task.add_done_callback(lambda _: self._running.pop(key, None))
        return self._running[key][0]

    async def close(self) -> None:
        """Give up what is on its way."""
        tasks = [task for _, task in self._running.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class PageCache:
    """Pages by project, asked again when they are old.

    Args:
        root: directory of one upstream; made when needed.
        seconds: how long a page is believed.
    """

    def __init__(self, root: Path, *, seconds: float) -> None:
        self._root, self._seconds = root, seconds
        self._known: dict[str, tuple[float, Page | None]] = {}
        self._locks: dict[str, asyncio.Lock] = {}

    async def get(
        self, project: str, fetch: Callable[[str], Awaitable[Page | None]]
    ) -> Page | None:
        """The page, from memory, disk or ``fetch``; None when there is no such project.

        Raises:
            UpstreamError: as ``fetch``.
        """
        async with self._locks.setdefault(project, asyncio.Lock()):
            when, page = self._known.get(project) or self._read(project) or (-math.inf, None)
            if time.time() - when > self._seconds:
                when, page = time.time(), await fetch(project)
                if page is not None:
                    self._write(when, page)
            self._known[project] = (when, page)
            return page

    def _read(self, project: str) -> tuple[float, Page] | None:
        try:
            row = json.loads((self._root / f"{project}.json").read_bytes())
            if row["schema"] != _PAGE_SCHEMA:
                return None
            return float(row["fetched"]), Page.model_validate(row["page"])
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def _write(self, when: float, page: Page) -> None:
        row = {"schema": _PAGE_SCHEMA, "fetched": when, "page": page.model_dump(mode="json")}
        with suppress(OSError):
            self._root.mkdir(parents=True, exist_ok=True)
            scratch = self._root / f"{secrets.token_hex(8)}.part"
            scratch.write_text(json.dumps(row))
            scratch.rename(self._root / f"{page.project}.json")
