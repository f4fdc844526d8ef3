"""Reads pull requests from a dump: GitHub's objects as the API answers them, in any arrangement.

JSON lines, a JSON list, answers behind each other, or a directory of such files. An object that
cannot be used is counted with its reason and first place; it never ends the reading.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from regreen.core.errors import UsageError
from regreen.store.atomic import disk_error
from regreen.tasks.pulls.gather import join
from regreen.tasks.pulls.records import MalformedError, Record
from regreen.tasks.pulls.request import PullRequest
from regreen.tasks.pulls.shapes import records

__all__ = ["FINISHED_SCHEMA", "PAGE_SCHEMA", "Dump", "Skipped", "read_dump", "read_pages"]

PAGE_SCHEMA = {"schema_name": "regreen.api_page", "schema_version": 1}
FINISHED_SCHEMA = {"schema_name": "regreen.api_fetch", "schema_version": 1}
_SUFFIXES = {".json", ".jsonl", ".ndjson"}
_DEPTH = 12  # wrappers around an object: data, repository, pullRequests, edges, node …
_BEGINNING = 4096


@dataclass(frozen=True, slots=True)
class Skipped:
    """Why some of a dump could not be used."""

    reason: str
    """In words."""
    count: int
    """How often."""
    first: str
    """File and line, or file, of the first; empty when it has no place."""


@dataclass(frozen=True, slots=True)
class Dump:
    """What a dump holds."""

    pulls: tuple[PullRequest, ...]
    """Pull requests, merged or not, by repository and number."""
    skipped: tuple[Skipped, ...]
    """What could not be used, by reason."""


class _Skips:
    """Counts reasons and keeps the first place of each."""

    def __init__(self) -> None:
        self._found: dict[str, list[str]] = {}
        self._counts: dict[str, int] = {}

    def add(self, reason: str, where: str, count: int = 1) -> None:
        self._counts[reason] = self._counts.get(reason, 0) + count
        self._found.setdefault(reason, [where])

    def all(self) -> tuple[Skipped, ...]:
        return tuple(Skipped(r, n, self._found[r][0]) for r, n in sorted(self._counts.items()))


@dataclass(frozen=True, slots=True)
class _Page:
    """Where a value comes from and where what it says goes."""

    context: str
    where: str
    found: list[Record]
    skips: _Skips


def read_dump(path: Path) -> Dump:
    """Read a dump that a person names.

    Args:
        path: a file, or a directory whose ``.json``, ``.jsonl`` and ``.ndjson`` files are read.

    Raises:
        UsageError: it cannot be read, or holds no pull request.
    """
    dump = read_pages(path)
    if not dump.pulls:
        worst = max(dump.skipped, key=lambda one: one.count, default=None)
        why = f"; {worst.count} times: {worst.reason}" if worst else ""
        what = f"the dump holds no pull request{why}"
        mend = "give GitHub's own JSON, for example: gh api --paginate repos/OWNER/NAME/pulls"
        raise UsageError(what, where=worst.first if worst else str(path), mend=mend)
    return dump


def read_pages(path: Path) -> Dump:
    """As :func:`read_dump`, of a dump that may still hold no pull request.

    Raises:
        UsageError: it cannot be read.
    """
    found: list[Record] = []
    skips = _Skips()
    for file in _files(path):
        for where, value in _values(file, skips):
            if not _take(value, _Page(str(file), where, found, skips)):
                skips.add("it has the shape of nothing a pull request needs", where)
    pulls, missing = join(found)
    for reason, count in missing.items():
        skips.add(reason, "", count)
    return Dump(pulls, skips.all())


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    files = sorted(one for one in path.rglob("*") if one.suffix in _SUFFIXES and one.is_file())
    if not files:
        what = "the directory holds no .json, .jsonl or .ndjson file"
        raise UsageError(what, where=str(path), mend="name the directory that holds the pages")
    return files


def _values(path: Path, skips: _Skips) -> Iterator[tuple[str, Any]]:
    """Each JSON value of a file, with its place."""
    try:
        with path.open("rb") as file:
            first = next((line for line in file if line.strip()), b"")
            file.seek(0)
            if _parses(first):
                yield from _lines(enumerate(file, start=1), path, skips)
                return
            data = file.read()
    except OSError as error:
        raise disk_error(error, path) from error
    whole = list(_sequence(data, path, skips))
    # A torn or foreign first line makes a file of JSON lines look like one value.
    yield from whole or _lines(enumerate(data.splitlines(), start=1), path, skips)


def _parses(line: bytes) -> bool:
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return False
    return True


def _lines(lines: enumerate[bytes], path: Path, skips: _Skips) -> Iterator[tuple[str, Any]]:
    for number, line in lines:
        where = f"{path}:{number}"
        if not line.strip():
            continue
        try:
            yield where, json.loads(_decoded(line, where, skips))
        except (ValueError, RecursionError):
            skips.add("a line is not JSON", where)


def _sequence(data: bytes, path: Path, skips: _Skips) -> Iterator[tuple[str, Any]]:
    """Values behind each other, as pages are printed one after another."""
    text = _decoded(data, str(path), skips).rstrip()
    decoder, line, counted = json.JSONDecoder(), 1, 0
    begin = position = _past_space(text, 0)
    while position < len(text):
        line, counted = line + text.count("\n", counted, position), position
        try:
            value, end = decoder.raw_decode(text, position)
        except (ValueError, RecursionError):
            if position > begin:
                skips.add("the file is not JSON from here on", f"{path}:{line}")
            return
        yield f"{path}:{line}", value
        position = _past_space(text, end)


def _past_space(text: str, position: int) -> int:
    while position < len(text) and text[position].isspace():
        position += 1
    return position


def _decoded(data: bytes, where: str, skips: _Skips) -> str:
    encoding = _encoding(data)
    try:
        return data.decode(encoding)
    except UnicodeDecodeError:
        skips.add(f"bytes that are not {encoding} were replaced", where)
        return data.decode(encoding, "replace")


def _encoding(data: bytes) -> str:
    """Where its first bytes make sixteen bits to a character, a bracket must follow in these."""
    found = json.detect_encoding(data)
    if found.startswith("utf-8"):
        return found
    begin = data[:_BEGINNING].decode(found, "replace").lstrip()
    return found if begin.startswith(("{", "[")) else "utf-8"


def _take(value: Any, page: _Page, depth: int = 0) -> bool:
    """Add what a value says to the page's records; False when nothing in it was recognised."""
    if isinstance(value, list):
        taken = [_take(one, page, depth + 1) for one in value]
        return any(taken) or not value
    if not isinstance(value, dict) or depth > _DEPTH:
        return False
    if value.get("schema_name") == PAGE_SCHEMA["schema_name"]:
        inner = replace(page, context=_request(value, page.where))
        return _take(value.get("answer"), inner, depth + 1) or True
    if value == FINISHED_SCHEMA or _recognised(value, page):
        return True
    parts = [one for one in value.values() if isinstance(one, dict | list)]
    return any([_take(one, page, depth + 1) for one in parts])


def _recognised(value: dict[str, Any], page: _Page) -> bool:
    try:
        known = records(value, page.context)
        page.found.extend(list(known or ()))
    except MalformedError as error:
        page.skips.add(f"an object is malformed: {error}", page.where)
        return True
    return known is not None


def _request(value: dict[str, Any], where: str) -> str:
    """What a page of a fetch was asked for."""
    if value.get("schema_version") != PAGE_SCHEMA["schema_version"]:
        what = f"this page has version {value.get('schema_version')} of its schema"
        raise UsageError(what, where=where, mend="use a newer regreen, or fetch again")
    return str(value.get("request", ""))
