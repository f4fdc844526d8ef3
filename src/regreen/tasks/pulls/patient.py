"""Requests to GitHub's API that wait where it asks to wait, and retry what a retry can mend.

One request at a time, as GitHub asks: https://docs.github.com/rest/using-the-rest-api. The token
travels in one header, to one origin, and in no message; redirects elsewhere are not followed.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Any, Protocol, Self
from urllib.parse import urljoin, urlsplit

import httpx2
from pydantic import SecretStr

from regreen.core.errors import RegreenError, UsageError

__all__ = ["TOO_LARGE", "Answer", "PatientClient", "RealClock", "WaitingClock"]

_TRIES = 6
_LIMIT_TRIES = 12
_REDIRECTS = 5
_BODY_LIMIT = 64 << 20
TOO_LARGE = 413
"""Status given to an answer that is too large to read."""
_REQUEST_SECONDS = 120.0
_LONGEST_WAIT = 3700.0  # a window of the rate limit is an hour
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}


class WaitingClock(Protocol):
    """A clock that can also be waited on."""

    def now(self) -> datetime:
        """The present moment, in UTC."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Return when so many seconds have passed."""
        ...


class RealClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """The present moment, in UTC."""
        return datetime.now(UTC)

    async def sleep(self, seconds: float) -> None:
        """Return when so many seconds have passed."""
        await asyncio.sleep(seconds)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came back, after all waiting."""

    status: int
    """HTTP status; of 5xx and of refusals the last one."""
    body: Any
    """The JSON, or None where there is none."""
    etag: str
    """Tag to ask again with; empty for none."""
    next: str
    """Address of the next page; empty for none."""
    said: str
    """What a refusal says, without the token."""


@dataclass(frozen=True, slots=True)
class _Raw:
    status: int
    headers: httpx2.Headers
    data: bytes
    next: str


class _BrokenError(Exception):
    """The answer did not arrive, or not whole."""


class PatientClient:
    """Asks one API; an async context manager.

    Args:
        base_url: root of the REST API.
        token: sent with each request when given.
        clock: what is waited on.
        note: told about waits, in words.

    Raises:
        UsageError: the address or the token cannot be used.
    """

    def __init__(
        self,
        base_url: str,
        *,
        token: SecretStr | None,
        clock: WaitingClock,
        note: Callable[[str], None],
    ) -> None:
        self.base_url = base_url.rstrip("/")
        self._clock = clock
        self._note = note
        self._not_before: datetime | None = None
        self._secret = token.get_secret_value() if token else ""
        _check(self.base_url, self._secret)
        self._origin = _origin(self.base_url)
        headers = {
            "Accept": "application/vnd.github+json",
            "X-GitHub-Api-Version": "2022-11-28",
            "User-Agent": "regreen",
        }
        if self._secret:
            headers["Authorization"] = f"Bearer {self._secret}"
        self._http = httpx2.AsyncClient(
            headers=headers,
            timeout=httpx2.Timeout(60.0, connect=15.0),
            follow_redirects=False,
            verify=self._origin[0] == "https",
            # A proxy from the environment cannot reach this machine's loopback.
            trust_env=urlsplit(self.base_url).hostname not in _LOOPBACK,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._http.aclose()

    async def get(self, url: str, *, etag: str = "") -> Answer:
        """Get a page.

        Args:
            url: absolute.
            etag: tag of the page as it is known; 304 is answered when it has not changed.

        Raises:
            UsageError: the token is refused.
            RegreenError: nobody answers, time after time.
        """
        return await self._ask("GET", url, b"", {"If-None-Match": etag} if etag else {})

    async def post(self, url: str, body: Any) -> Answer:
        """Post JSON that changes nothing there, such as a query; raises as :meth:`get`."""
        data = json.dumps(body).encode()
        return await self._ask("POST", url, data, {"Content-Type": "application/json"})

    async def _ask(self, method: str, url: str, data: bytes, headers: dict[str, str]) -> Answer:
        tries = limited = 0
        while True:
            await self._wait_for_turn()
            failure = ""
            try:
                raw = await self._follow(method, url, data, headers)
                if raw.status < 500:
                    if (pause := self._pause(raw, limited)) is None:
                        return self._answer(raw, url)
                    limited += 1
                    await self._rest(pause, raw)
                    continue
            except _BrokenError as exc:
                raw, failure = None, str(exc)
            tries += 1
            if tries >= _TRIES:
                if raw is not None:
                    return self._answer(raw, url)
                what = f"GitHub does not answer: {self._redacted(failure)}"
                raise RegreenError(what, where=url, mend=_AGAIN)
            await self._clock.sleep(2.0 ** (tries - 1))

    async def _wait_for_turn(self) -> None:
        """Wait until the rate limit's window ends, when the last answer was the last in it."""
        if self._not_before and (left := _until(self._not_before, self._clock.now())) > 0:
            self._note(f"the rate limit is used up; going on in {left:.0f} s")
            await self._clock.sleep(left)
        self._not_before = None

    def _pause(self, raw: _Raw, limited: int) -> float | None:
        """Seconds that an answer asks to wait before it is asked again; None when it stands."""
        remaining, reset = raw.headers.get("x-ratelimit-remaining"), self._reset(raw)
        if raw.status not in (403, 429):
            if remaining == "0":
                self._not_before = reset
            return None
        if limited >= _LIMIT_TRIES:
            return None
        if after := _seconds(raw.headers.get("retry-after")):
            return min(after, _LONGEST_WAIT)
        if remaining == "0" and reset:
            return min(_until(reset, self._clock.now()), _LONGEST_WAIT)
        text = raw.data[:4000].lower()
        if raw.status == 429 or b"rate limit" in text or b"abuse" in text:
            return min(60.0 * 2.0**limited, _LONGEST_WAIT)
        return None

    def _reset(self, raw: _Raw) -> datetime | None:
        """When the window ends by our clock, which may differ from the server's."""
        stamp = _seconds(raw.headers.get("x-ratelimit-reset"))
        if not stamp:
            return None
        now = self._clock.now()
        try:
            there = parsedate_to_datetime(raw.headers["date"]) if "date" in raw.headers else now
        except ValueError:
            there = now
        left = stamp - there.timestamp() + 1.0
        return datetime.fromtimestamp(now.timestamp() + min(max(left, 1.0), _LONGEST_WAIT), UTC)

    async def _rest(self, pause: float, raw: _Raw) -> None:
        self._note(f"GitHub asks to slow down (HTTP {raw.status}); going on in {pause:.0f} s")
        await self._clock.sleep(pause)

    async def _follow(self, method: str, url: str, data: bytes, headers: dict[str, str]) -> _Raw:
        for _ in range(_REDIRECTS):
            raw = await self._send(method, url, data, headers)
            if raw.status not in (301, 302, 307, 308):
                return raw
            url = urljoin(url, raw.headers.get("location", ""))
            self._expect_here(url)
        msg = "it redirects in a circle"
        raise _BrokenError(msg)

    async def _send(self, method: str, url: str, data: bytes, headers: dict[str, str]) -> _Raw:
        self._expect_here(url)
        body = bytearray()
        try:
            async with (
                asyncio.timeout(_REQUEST_SECONDS),
                self._http.stream(method, url, content=data, headers=headers) as response,
            ):
                async for block in response.aiter_bytes():
                    body += block
                    if len(body) > _BODY_LIMIT:  # asking again would not make it smaller
                        said = f"the answer is larger than {_BODY_LIMIT >> 20} MiB".encode()
                        return _Raw(TOO_LARGE, httpx2.Headers(), said, "")
        except (TimeoutError, httpx2.HTTPError, httpx2.InvalidURL) as exc:
            msg = f"{type(exc).__name__} {exc}".strip()
            raise _BrokenError(msg) from exc
        if response.status_code == 200:
            _parsed(bytes(body))  # a broken body is asked for again
        following = response.links.get("next", {}).get("url", "")
        after = urljoin(url, following) if following else ""
        return _Raw(response.status_code, response.headers, bytes(body), after)

    def _expect_here(self, url: str) -> None:
        if _origin(url) != self._origin:
            what = "GitHub's answer leads to another host, which must not see the token"
            mend = "give the address of the API that it leads to as the base URL"
            raise RegreenError(what, where=self._redacted(url[:200]), mend=mend)

    def _answer(self, raw: _Raw, url: str) -> Answer:
        if raw.status == 401:
            what = f"GitHub refuses the token: {self._said(raw)}"
            mend = "set GITHUB_TOKEN to a token that is valid, or unset it"
            raise UsageError(what, where=url, mend=mend)
        body = _parsed(raw.data) if raw.status == 200 else None
        etag = raw.headers.get("etag", "")
        said = "" if raw.status in (200, 304) else self._said(raw)
        return Answer(status=raw.status, body=body, etag=etag, next=raw.next, said=said)

    def _said(self, raw: _Raw) -> str:
        text = raw.data[:2000].decode("utf-8", "replace")
        try:
            text = str(json.loads(text)["message"])
        except (ValueError, KeyError, TypeError):
            text = text.strip()
        return self._redacted(" ".join(text.split())[:200]) or f"HTTP {raw.status}"

    def _redacted(self, text: str) -> str:
        return text.replace(self._secret, "***") if self._secret else text


_AGAIN = "check the network and run the same command again; it goes on where it stopped"


def _parsed(data: bytes) -> Any:
    try:
        return json.loads(data.decode("utf-8", "replace"))
    except (ValueError, RecursionError) as exc:
        msg = "an answer is not JSON"
        raise _BrokenError(msg) from exc


def _check(base_url: str, secret: str) -> None:
    try:
        parts = urlsplit(base_url)
        usable = parts.scheme in ("http", "https") and parts.hostname and "@" not in parts.netloc
    except ValueError:
        usable = False
    if not usable:
        what = "this is not the address of an API"
        where = re.sub(r"//[^/]*@", "//", base_url)
        raise UsageError(what, where=where, mend="write it as https://HOST/api/v3")
    if not secret:
        return
    if not secret.isascii() or not secret.isprintable() or " " in secret:
        what = "the token holds characters that no token has"
        raise UsageError(what, where="GITHUB_TOKEN", mend="set it again, without spaces or quotes")
    if parts.scheme == "http" and parts.hostname not in _LOOPBACK:
        what = "a token must not travel over plain http"
        raise UsageError(what, where=base_url, mend="use https, or unset GITHUB_TOKEN")


def _origin(url: str) -> tuple[str, str, int | None]:
    try:
        parts = urlsplit(url)
        port = parts.port or {"https": 443, "http": 80}.get(parts.scheme)
    except ValueError:
        return "", "", None
    return parts.scheme, parts.hostname or "", port


def _until(moment: datetime, now: datetime) -> float:
    return max(0.0, (moment - now).total_seconds())


def _seconds(text: str | None) -> float:
    try:
        return max(0.0, float(text or "0"))
    except ValueError:
        return 0.0
