"""A project's page of the simple API, read from either form and written in either form.

Formats: PEP 503 (HTML) and PEP 691 (JSON), with PEP 592 (yanked), 658 and 714 (metadata files) and
700 (sizes, upload times). HTML has no upload times, so pages read from it are undated.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from html import escape
from html.parser import HTMLParser
from typing import Any
from urllib.parse import quote, unquote, urldefrag, urljoin, urlsplit

from packaging.utils import canonicalize_name
from pydantic import BaseModel, ConfigDict

__all__ = [
    "HTML",
    "JSON",
    "Page",
    "PageFile",
    "belongs",
    "parse_html",
    "parse_json",
    "render_html",
    "render_json",
]

JSON = "application/vnd.pypi.simple.v1+json"
HTML = "application/vnd.pypi.simple.v1+html"
_FILENAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+!-]*")
_SOURCES = (".tar.gz", ".zip", ".tar.bz2", ".tar.xz", ".tgz")
_HASH = re.compile(r"(?P<name>[a-z0-9_]+)=(?P<value>[0-9a-fA-F]+)")


class _Row(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class PageFile(_Row):
    """One file of a project."""

    filename: str
    """Unique within the project."""
    url: str
    """Where the upstream keeps it; absolute, never shown to a box."""
    hashes: dict[str, str] = {}
    """Hexadecimal digests by algorithm."""
    requires_python: str = ""
    """A specifier, or empty."""
    metadata: bool | dict[str, str] = False
    """Whether ``<url>.metadata`` exists, with its digests when they are known."""
    yanked: bool | str = False
    """True or a reason when the file was withdrawn."""
    size: int | None = None
    """Bytes, when the upstream tells."""
    uploaded: datetime | None = None
    """When it was uploaded, in UTC; None when the upstream does not tell."""


class Page(_Row):
    """One project as the upstream lists it."""

    project: str
    """Normalised name (PEP 503)."""
    files: tuple[PageFile, ...]
    """In the upstream's order; what an installer could not use is left out."""

    def file(self, filename: str) -> PageFile | None:
        """The file of that name."""
        return next((one for one in self.files if one.filename == filename), None)


def belongs(filename: str, project: str, *, strict: bool = False) -> bool:
    """Whether a file's own name says that it is a wheel or source archive of the project.

    Args:
        filename: for example ``demo-1.0.tar.gz``.
        project: normalised name.
        strict: refuse versions with a dash, which old archives have: without an index to ask,
            ``demo-2-1.0.tar.gz`` is ``demo-2`` and must not be taken for ``demo``.
    """
    if not _FILENAME.fullmatch(filename):
        return False
    if filename.endswith(".whl"):
        return canonicalize_name(filename.partition("-")[0]) == project
    for ending in _SOURCES:
        if filename.endswith(ending):
            stem = filename.removesuffix(ending)
            if canonicalize_name(stem.rpartition("-")[0]) == project:
                return True
            return not strict and canonicalize_name(stem).startswith(f"{project}-")
    return False


def _date(text: Any) -> datetime | None:  # JSON edge
    if not isinstance(text, str):
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)


def _digests(value: Any) -> dict[str, str]:  # JSON edge
    if not isinstance(value, dict):
        return {}
    return {str(name).lower(): str(digest).lower() for name, digest in value.items()}


def _metadata(row: dict[str, Any]) -> bool | dict[str, str]:
    for key in ("core-metadata", "data-dist-info-metadata", "dist-info-metadata"):
        if value := row.get(key):
            return _digests(value) or True
    return False


def parse_json(body: bytes, url: str, project: str) -> Page:
    """Read the JSON form.

    Args:
        body: the page.
        url: where it came from, which relative links refer to.
        project: normalised name.

    Raises:
        ValueError: it is something else.
    """
    page = json.loads(body)
    if not isinstance(page, dict) or not isinstance(page.get("files"), list):
        msg = "no list of files"
        raise ValueError(msg)
    if not str(page.get("meta", {}).get("api-version", "1.0")).startswith("1."):
        msg = "a version of the simple API that is not 1"
        raise ValueError(msg)
    files = []
    for row in page["files"]:
        if not isinstance(row, dict) or not belongs(str(row.get("filename")), project):
            continue
        size = row.get("size")
        files.append(
            PageFile(
                filename=row["filename"],
                url=urljoin(url, str(row.get("url", ""))),
                hashes=_digests(row.get("hashes")),
                requires_python=str(row.get("requires-python") or ""),
                metadata=_metadata(row),
                yanked=row.get("yanked") or False,
                size=size if isinstance(size, int) else None,
                uploaded=_date(row.get("upload-time")),
            )
        )
    return Page(project=project, files=tuple(files))


class _Links(HTMLParser):
    """Collects the attributes of every anchor that has a target."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[dict[str, str | None]] = []
        self.base = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag == "a" and values.get("href"):
            self.rows.append(values)
        if tag == "base" and not self.base:
            self.base = values.get("href") or ""


def _link_digests(text: str) -> dict[str, str]:
    match = _HASH.search(text)
    return {match["name"].lower(): match["value"].lower()} if match else {}


def parse_html(body: bytes, url: str, project: str) -> Page:
    """Read the HTML form; see ``parse_json`` for the arguments."""
    links = _Links()
    links.feed(body.decode("utf-8", "replace"))
    files = []
    for row in links.rows:
        target, fragment = urldefrag(urljoin(urljoin(url, links.base), row["href"] or ""))
        filename = unquote(urlsplit(target).path.rpartition("/")[2])
        if not belongs(filename, project):
            continue
        described = row.get("data-core-metadata", row.get("data-dist-info-metadata"))
        known = "data-core-metadata" in row or "data-dist-info-metadata" in row
        withdrawn = row.get("data-yanked") or True if "data-yanked" in row else False
        files.append(
            PageFile(
                filename=filename,
                url=target,
                hashes=_link_digests(fragment),
                requires_python=row.get("data-requires-python") or "",
                metadata=known
                and described != "false"
                and (_link_digests(described or "") or True),
                yanked=withdrawn,
            )
        )
    return Page(project=project, files=tuple(files))


def _version(filename: str, project: str) -> str:
    """The version in a file's name; empty when the name does not follow the rules."""
    if filename.endswith(".whl"):
        return filename.partition("-")[2].partition("-")[0]
    stem = next(filename.removesuffix(end) for end in _SOURCES if filename.endswith(end))
    return stem[len(project) + 1 :]


def _link(page: Page, file: PageFile) -> str:
    return f"/files/{page.project}/{quote(file.filename, safe='')}"


def render_json(page: Page) -> bytes:
    """The JSON form, its links leading to the proxy."""
    rows = []
    for file in page.files:
        row: dict[str, Any] = {
            "filename": file.filename,
            "url": _link(page, file),
            "hashes": file.hashes,
            "yanked": file.yanked,
        }
        if file.requires_python:
            row["requires-python"] = file.requires_python
        if file.metadata:
            row["core-metadata"] = row["dist-info-metadata"] = file.metadata
        if file.uploaded:
            row["upload-time"] = file.uploaded.isoformat().replace("+00:00", "Z")
        rows.append(row)
        if file.size is not None:
            row["size"] = file.size
    # Version 1.1 promises sizes and times of every file; a page that lacks one is of 1.0.
    full = all(file.size is not None for file in page.files)
    document: dict[str, Any] = {
        "meta": {"api-version": "1.1" if full else "1.0"},
        "name": page.project,
        "files": rows,
    }
    if full:
        names = (_version(file.filename, page.project) for file in page.files)
        document["versions"] = list(dict.fromkeys(name for name in names if name))
    return json.dumps(document).encode()


def _anchor(page: Page, file: PageFile) -> str:
    name = next((one for one in ("sha256", *file.hashes) if one in file.hashes), "")
    fragment = f"#{name}={file.hashes[name]}" if name else ""
    words = [f'href="{escape(_link(page, file) + fragment)}"']
    if file.requires_python:
        words.append(f'data-requires-python="{escape(file.requires_python)}"')
    if file.yanked is not False:
        reason = file.yanked if isinstance(file.yanked, str) else ""
        words.append(f'data-yanked="{escape(reason)}"')
    if file.metadata:
        known = file.metadata if isinstance(file.metadata, dict) else {}
        value = f"sha256={known['sha256']}" if "sha256" in known else "true"
        words += [f'data-core-metadata="{value}"', f'data-dist-info-metadata="{value}"']
    return f"<a {' '.join(words)}>{escape(file.filename)}</a><br>"


def render_html(page: Page) -> bytes:
    """The HTML form, its links leading to the proxy."""
    lines = [
        "<!DOCTYPE html>",
        '<html><head><meta name="pypi:repository-version" content="1.0">',
        f"<title>{escape(page.project)}</title></head><body>",
        *(_anchor(page, file) for file in page.files),
        "</body></html>",
    ]
    return "\n".join(lines).encode()
