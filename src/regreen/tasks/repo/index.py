"""A small client for a package index: find a source distribution, fetch it, check its hash.

It speaks the JSON form of the simple API (PEP 691, upload times from PEP 700) and nothing else,
so any mirror serves. A pinned version that was fetched before needs no network.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import platform
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import httpx2
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import InvalidSdistFilename, canonicalize_name, parse_sdist_filename
from packaging.version import InvalidVersion, Version

from regreen.core.errors import PrerequisiteError, RegreenError, UsageError
from regreen.guard.index.configured import DEFAULT_INDEX, index_url, redact

__all__ = ["DEFAULT_INDEX", "Sdist", "fetch_sdist", "index_url", "redact"]

_ACCEPT = "application/vnd.pypi.simple.v1+json"
_TRIES = 3
_TIMEOUT = 30.0


@dataclass(frozen=True, slots=True)
class Sdist:
    """One source distribution of an index."""

    name: str
    """Canonical name of the distribution."""
    version: str
    """Its version, as PEP 440 writes it."""
    filename: str
    """Name of the archive."""
    url: str
    """Where it is."""
    sha256: str
    """Its digest, as the index tells."""
    uploaded: str
    """ISO 8601; empty when the index does not tell."""


def fetch_sdist(name: str, version: str | None, cache: Path, *, index: str) -> tuple[Sdist, Path]:
    """Find a distribution's source archive and bring it into the cache.

    Args:
        name: the distribution.
        version: exact version; None takes the newest final release this Python can install.
        cache: directory of downloads; made when absent.
        index: base URL of the index.

    Raises:
        UsageError: no such distribution, version or source archive.
        PrerequisiteError: the index does not answer.
        RegreenError: what arrived does not match its hash.
    """
    cache.mkdir(parents=True, exist_ok=True)
    name = canonicalize_name(name)
    if version and (known := _recall(cache, name, version)):
        return known, _archive(cache, known)
    page = _page(name, index)
    sdist = _choose(name, version, page, urljoin(index, f"{name}/"))
    if not _archive(cache, sdist).exists():
        _download(sdist, cache)
    _remember(cache, sdist)
    return sdist, _archive(cache, sdist)


def _archive(cache: Path, sdist: Sdist) -> Path:
    return cache / f"{sdist.sha256[:16]}-{sdist.filename}"


def _recall(cache: Path, name: str, version: str) -> Sdist | None:
    note = cache / f"{name}-{version}.json"
    try:
        known = Sdist(**json.loads(note.read_text()))
    except (OSError, ValueError, TypeError):
        return None
    return known if _archive(cache, known).is_file() else None


def _remember(cache: Path, sdist: Sdist) -> None:
    scratch = cache / f"{secrets.token_hex(8)}.part"
    scratch.write_text(json.dumps(asdict(sdist), sort_keys=True))
    scratch.rename(cache / f"{sdist.name}-{sdist.version}.json")


@contextmanager
def _reachable(url: str) -> Iterator[None]:
    try:
        yield
    except httpx2.HTTPError as exc:
        what = f"the package index does not answer: {type(exc).__name__}: {redact(str(exc))}"
        mend = "connect to the network, or set UV_DEFAULT_INDEX to an index you can reach"
        raise PrerequisiteError(what, where=redact(url), mend=mend) from exc
    except (httpx2.InvalidURL, ValueError) as exc:
        what = f"the package index answers something else than the simple API: {exc}"
        mend = "set UV_DEFAULT_INDEX to an index that serves the JSON simple API (PEP 691)"
        raise PrerequisiteError(what, where=redact(url), mend=mend) from exc


def _page(name: str, index: str) -> dict[str, Any]:  # JSON edge
    url = urljoin(index, f"{name}/")
    with _reachable(url), httpx2.Client(follow_redirects=True, timeout=_TIMEOUT) as client:
        answer = client.get(url, headers={"Accept": _ACCEPT})
        if answer.status_code == 404:
            mend = "check the spelling, or give a path or a git URL"
            what = f"no distribution is named {name}"
            raise UsageError(what, where=redact(url), mend=mend)
        answer.raise_for_status()
        page = answer.json()
        if not isinstance(page, dict) or "files" not in page:
            raise ValueError("no list of files")  # noqa: EM101
        return page


def _choose(name: str, version: str | None, page: dict[str, Any], base: str) -> Sdist:
    found: dict[Version, dict[str, Any]] = {}
    for row in page["files"]:
        try:
            found[parse_sdist_filename(row["filename"])[1]] = row
        except (InvalidSdistFilename, KeyError):
            continue
    wanted = _pinned(name, version, found) if version else _newest(name, found)
    row = found[wanted]
    sha256 = (row.get("hashes") or {}).get("sha256", "")
    if not sha256:
        what = f"the index gives no sha256 for {row['filename']}"
        raise UsageError(what, where=redact(base), mend="choose another version or index")
    url, uploaded = urljoin(base, row["url"]), row.get("upload-time") or ""
    return Sdist(name, str(wanted), row["filename"], url, sha256, uploaded)


def _pinned(name: str, version: str, found: dict[Version, dict[str, Any]]) -> Version:
    try:
        wanted = Version(version)
    except InvalidVersion as exc:
        mend = f"write it as pypi:{name}==1.2.3"
        what = f"{version} is not a version"
        raise UsageError(what, where=f"pypi:{name}", mend=mend) from exc
    if wanted in found:
        return wanted
    known = sorted(found)
    near = difflib.get_close_matches(version, map(str, known), n=5, cutoff=0.5)
    listed = sorted(near, key=Version) or [str(one) for one in known[-5:]]
    mend = f"versions with one: {', '.join(listed)}" if listed else _no_sdist_mend()
    what = f"{name} has no source archive of version {version}"
    raise UsageError(what, where=f"pypi:{name}=={version}", mend=mend)


def _newest(name: str, found: dict[Version, dict[str, Any]]) -> Version:
    usable = {one: row for one, row in found.items() if not row.get("yanked") and _installs(row)}
    if not usable:
        what = f"{name} has no source archive that Python {platform.python_version()} can install"
        raise UsageError(what, where=f"pypi:{name}", mend=_no_sdist_mend())
    final = [one for one in usable if not one.is_prerelease]
    return max(final or usable)


def _no_sdist_mend() -> str:
    return "give the project's git URL instead"


def _installs(row: dict[str, Any]) -> bool:
    try:
        wanted = SpecifierSet(row.get("requires-python") or "")
    except InvalidSpecifier:
        return True
    return wanted.contains(platform.python_version(), prereleases=True)


def _download(sdist: Sdist, cache: Path) -> None:
    """Fetch into a file of its own and rename it; a broken connection resumes where it stopped."""
    partial = cache / f"{secrets.token_hex(8)}.part"
    try:
        with (
            _reachable(sdist.url),
            httpx2.Client(follow_redirects=True, timeout=_TIMEOUT) as client,
        ):
            for attempt in range(_TRIES):
                try:
                    _stream(client, sdist.url, partial)
                    break
                except httpx2.TransportError:
                    if attempt == _TRIES - 1:
                        raise
                    time.sleep(0.2 * 2**attempt)
        with partial.open("rb") as handle:
            found = hashlib.file_digest(handle, "sha256").hexdigest()
        if found != sdist.sha256:
            what = f"{sdist.filename} does not match its hash: got sha256 {found[:16]}…"
            mend = "run again; if it stays so, do not trust this index"
            raise RegreenError(what, where=redact(sdist.url), mend=mend)
        partial.rename(_archive(cache, sdist))
    finally:
        partial.unlink(missing_ok=True)


def _stream(client: httpx2.Client, url: str, partial: Path) -> None:
    have = partial.stat().st_size if partial.exists() else 0
    headers = {"Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
    with client.stream("GET", url, headers=headers) as answer:
        answer.raise_for_status()
        with partial.open("ab" if have and answer.status_code == 206 else "wb") as handle:
            for block in answer.iter_raw():
                handle.write(block)
