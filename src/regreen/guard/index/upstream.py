"""Where the proxy gets pages and files: any simple index, or a directory of wheels.

Redirects are followed here and never by the box, and only within the index: to itself, to hosts
that the settings name, and to those that its own pages name for their files. A host named by a page
has to be a public name behind https, so that no page can aim the proxy at this machine.
"""

from __future__ import annotations

import asyncio
import hashlib
import ipaddress
import re
import zipfile
from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager
from email.parser import HeaderParser
from pathlib import Path
from typing import NamedTuple, Protocol
from urllib.parse import unquote, urljoin, urlsplit, urlunsplit

import httpx2

from regreen.core.errors import UsageError
from regreen.guard.index.pages import HTML, JSON, Page, PageFile, belongs, parse_html, parse_json

__all__ = ["HttpIndex", "Origin", "Upstream", "UpstreamError", "Wheelhouse", "open_upstream"]

_ACCEPT = f"{JSON}, {HTML};q=0.2, text/html;q=0.1"
_REDIRECTS = 5
_BLOCK = 1 << 16
_PORTS = {"http": 80, "https": 443}


class UpstreamError(Exception):
    """The upstream could not serve, in words that may be shown to a box."""


class Upstream(Protocol):
    """What the proxy asks."""

    async def page(self, project: str) -> Page | None:
        """A project's page; None when the upstream has no such project.

        Raises:
            UpstreamError: it does not answer, or answers something else.
        """
        ...

    def blocks(self, page: Page, file: PageFile, *, metadata: bool) -> AsyncGenerator[bytes, None]:
        """The bytes of a file, or of its metadata file, as they come.

        Raises:
            UpstreamError: it does not answer, or the file is not where it may be.
        """
        ...

    async def close(self) -> None:
        """Free connections."""
        ...


class Origin(NamedTuple):
    """Scheme, host and port of a URL."""

    scheme: str
    host: str
    port: int

    @classmethod
    def of(cls, url: str) -> Origin:
        """The origin of a URL.

        Raises:
            ValueError: it has none.
        """
        parts = urlsplit(url)
        scheme, host = parts.scheme.lower(), (parts.hostname or "").lower()
        if scheme not in _PORTS or not host:
            msg = "not a URL of http"
            raise ValueError(msg)
        return cls(scheme, host, parts.port or _PORTS[scheme])

    @property
    def public(self) -> bool:
        """Whether it is a name behind https that does not mean this machine."""
        if self.scheme != "https" or "." not in self.host or self.host.endswith(".localhost"):
            return False
        try:
            ipaddress.ip_address(self.host)
        except ValueError:
            return True
        return False


def _bare(url: str) -> tuple[str, httpx2.BasicAuth | None]:
    """The URL without credentials, and those credentials."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    bare = urlunsplit((parts.scheme, host, parts.path, parts.query, ""))
    if not parts.username and not parts.password:
        return bare, None
    return bare, httpx2.BasicAuth(unquote(parts.username or ""), unquote(parts.password or ""))


class HttpIndex:
    """A simple index behind http or https.

    Args:
        url: its base, credentials included where it needs some; they stay on this side.
        file_hosts: origins (``https://host``) that may hold its files besides those its pages name.
        stall_seconds: longest wait for it to send anything.
        max_page_bytes: largest page.

    Raises:
        UsageError: a URL is none.
    """

    def __init__(
        self,
        url: str,
        *,
        file_hosts: Iterable[str] = (),
        stall_seconds: float = 30.0,
        max_page_bytes: int = 64 << 20,
    ) -> None:
        bare, self._auth = _bare(url)
        self._base = bare.rstrip("/") + "/"
        self._max_page_bytes = max_page_bytes
        try:
            self._origin = Origin.of(self._base)
            self._hosts = frozenset((self._origin, *map(Origin.of, file_hosts)))
        except ValueError as exc:
            where = ", ".join((self._base, *file_hosts))
            mend = "write the index as https://HOST/simple/ and file hosts as https://HOST"
            raise UsageError("this is not the URL of an index", where=where, mend=mend) from exc  # noqa: EM101
        self._http = httpx2.AsyncClient(
            timeout=stall_seconds,
            follow_redirects=False,
            # A proxy from the environment cannot reach this machine's loopback.
            trust_env=self._origin.host not in ("localhost", "127.0.0.1", "::1"),
        )

    async def page(self, project: str) -> Page | None:
        """A project's page; see the protocol."""
        url = f"{self._base}{project}/"
        try:
            async with self._open(url, _ACCEPT, frozenset((self._origin,))) as answer:
                if answer.status_code in (404, 410):
                    return None
                self._expect_success(answer)
                body = bytearray()
                async for block in answer.aiter_bytes():
                    body += block
                    if len(body) > self._max_page_bytes:
                        msg = "the package index answers with a page that is too large"
                        raise UpstreamError(msg)
                kind = answer.headers.get("content-type", "")
                parse = parse_json if "json" in kind else parse_html
                return parse(bytes(body), str(answer.url), project)
        except (httpx2.HTTPError, httpx2.InvalidURL) as exc:
            msg = f"the package index does not answer ({type(exc).__name__})"
            raise UpstreamError(msg) from exc
        except ValueError as exc:
            msg = "the package index answers something else than the simple API"
            raise UpstreamError(msg) from exc

    async def blocks(
        self, page: Page, file: PageFile, *, metadata: bool
    ) -> AsyncGenerator[bytes, None]:
        """The bytes of a file; see the protocol."""
        url = file.url
        if metadata:
            parts = urlsplit(url)
            url = urlunsplit(parts._replace(path=f"{parts.path}.metadata"))
        try:
            async with self._open(url, "*/*", self._file_origins(page)) as answer:
                self._expect_success(answer)
                async for block in answer.aiter_raw(_BLOCK):
                    yield block
        except (httpx2.HTTPError, httpx2.InvalidURL, ValueError) as exc:
            msg = f"the package index does not answer ({type(exc).__name__})"
            raise UpstreamError(msg) from exc

    def _file_origins(self, page: Page) -> frozenset[Origin]:
        """Where files of a page may lie."""
        named = {Origin.of(file.url) for file in page.files if file.url.startswith("https:")}
        return self._hosts | {origin for origin in named if origin.public}

    @asynccontextmanager
    async def _open(
        self, url: str, accept: str, allowed: frozenset[Origin]
    ) -> AsyncGenerator[httpx2.Response, None]:
        """Ask for a URL and follow redirects within ``allowed``."""
        headers = {"Accept": accept, "Accept-Encoding": "identity"}
        for _ in range(_REDIRECTS + 1):
            url, _auth = _bare(url)
            origin = Origin.of(url)
            if origin not in allowed:
                msg = "the package index points to a host that does not belong to it"
                raise UpstreamError(msg)
            auth = self._auth if origin == self._origin else None
            async with self._http.stream("GET", url, headers=headers, auth=auth) as answer:
                if answer.status_code not in (301, 302, 303, 307, 308):
                    yield answer
                    return
                url = urljoin(url, answer.headers.get("location", ""))
        msg = "the package index redirects in a circle"
        raise UpstreamError(msg)

    @staticmethod
    def _expect_success(answer: httpx2.Response) -> None:
        if answer.status_code != 200:
            msg = f"the package index answers with status {answer.status_code}"
            raise UpstreamError(msg)

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()


class Wheelhouse:
    """A directory of wheels and source archives, as ``pip --find-links`` takes it.

    It tells no upload times: times of files on a disk say when they were copied.

    Args:
        root: the directory.

    Raises:
        UsageError: there is none.
    """

    def __init__(self, root: Path) -> None:
        if not root.is_dir():
            msg = "the directory of packages is not there"
            raise UsageError(msg, where=str(root), mend="name a directory that holds wheels")
        self._root = root
        self._known: dict[tuple[str, int, int], PageFile] = {}

    async def page(self, project: str) -> Page | None:
        """A project's page; see the protocol."""
        files = await asyncio.to_thread(self._files, project)
        return Page(project=project, files=files) if files else None

    def _files(self, project: str) -> tuple[PageFile, ...]:
        names = (path.name for path in self._root.iterdir())
        found = sorted(name for name in names if belongs(name, project, strict=True))
        return tuple(self._describe(self._root / name) for name in found)

    def _describe(self, path: Path) -> PageFile:
        info = path.stat()
        key = (path.name, info.st_size, info.st_mtime_ns)
        if key not in self._known:
            with path.open("rb") as handle:
                digest = hashlib.file_digest(handle, "sha256").hexdigest()
            self._known[key] = PageFile(
                filename=path.name,
                url=path.as_uri(),
                hashes={"sha256": digest},
                requires_python=_requires_python(path),
                size=info.st_size,
            )
        return self._known[key]

    async def blocks(
        self, page: Page, file: PageFile, *, metadata: bool
    ) -> AsyncGenerator[bytes, None]:
        """The bytes of a file; see the protocol."""
        if metadata:
            msg = "a directory of wheels has no metadata files"
            raise UpstreamError(msg)
        try:
            with (self._root / file.filename).open("rb") as handle:
                while block := await asyncio.to_thread(handle.read, _BLOCK):
                    yield block
        except OSError as exc:
            msg = f"a file of {page.project} cannot be read"
            raise UpstreamError(msg) from exc

    async def close(self) -> None:
        """Nothing is held."""


def _requires_python(path: Path) -> str:
    if path.suffix != ".whl":
        return ""
    try:
        with zipfile.ZipFile(path) as wheel:
            name = next(
                name
                for name in wheel.namelist()
                if re.fullmatch(r"[^/]+\.dist-info/METADATA", name)
            )
            text = wheel.read(name).decode("utf-8", "replace")
    except (OSError, zipfile.BadZipFile, StopIteration):
        return ""
    return str(HeaderParser().parsestr(text, headersonly=True).get("Requires-Python", ""))


def open_upstream(
    url: str, *, file_hosts: Iterable[str], stall_seconds: float, max_page_bytes: int
) -> Upstream:
    """The upstream of a URL, a ``file://`` URL or a path; see ``HttpIndex`` for the arguments.

    Raises:
        UsageError: it is none of them.
    """
    if url.startswith(("http://", "https://")):
        return HttpIndex(
            url,
            file_hosts=file_hosts,
            stall_seconds=stall_seconds,
            max_page_bytes=max_page_bytes,
        )
    if url.startswith("file://"):
        return Wheelhouse(Path(unquote(urlsplit(url).path)))
    return Wheelhouse(Path(url).expanduser())
