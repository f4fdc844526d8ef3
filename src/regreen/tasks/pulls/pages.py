"""Pages of an API, kept as they come: a fetch that is killed goes on without asking twice.

The file is a dump in its own right. A line says which fetch is complete; what stands before it is
asked for again only with the tag it came with, what stands after it not at all.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from regreen.core.errors import UsageError
from regreen.store.atomic import disk_error
from regreen.store.jsonl import JsonlWriter, read_jsonl
from regreen.store.writer_lock import WriterLock
from regreen.tasks.pulls.dump import FINISHED_SCHEMA, PAGE_SCHEMA

__all__ = ["KEPT_FIELDS", "Page", "Pages"]

KEPT_FIELDS = frozenset(
    {
        "author",
        "base",
        "body",
        "closingIssuesReferences",
        "comments",
        "commit",
        "commit_id",
        "committer",
        "created_at",
        "data",
        "date",
        "diff_hunk",
        "event",
        "full_name",
        "head",
        "html_url",
        "id",
        "issue",
        "issue_url",
        "labels",
        "login",
        "merge_commit_sha",
        "merged_at",
        "message",
        "name",
        "nameWithOwner",
        "nodes",
        "number",
        "parents",
        "path",
        "pull_request",
        "pull_request_url",
        "repo",
        "repository",
        "repository_url",
        "sha",
        "state",
        "submitted_at",
        "title",
        "type",
        "updated_at",
        "url",
        "user",
    }
)
"""What is kept of GitHub's objects, which are far larger; e-mail addresses are not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One answer."""

    request: str
    """What was asked, without the page's number."""
    number: int
    """Which page of the answer, from 1."""
    status: int
    """HTTP status: 200, or a lasting refusal such as 404."""
    etag: str
    """What to show when asking again; empty when the server gave none."""
    next: str
    """Address of the page behind it; empty on the last."""
    answer: Any
    """The kept part of what was answered; None for a refusal."""
    is_fresh: bool
    """Whether it belongs to a fetch that is still under way."""


class Pages:
    """Pages by request and number, in memory and in a file.

    Args:
        path: the file; made when absent.

    Raises:
        UsageError: another process writes it, or it holds what this version does not know.
    """

    def __init__(self, path: Path) -> None:
        self._known: dict[tuple[str, int], Page] = {}
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise disk_error(error, path.parent) from error
        self._lock = _lock(path)
        try:
            self._writer = JsonlWriter(path)  # cuts off a line that a kill left unfinished
            self._read(path)
        except BaseException:
            self._lock.remove()
            raise

    def _read(self, path: Path) -> None:
        for number, row in read_jsonl(path):
            name, version = row.get("schema_name"), row.get("schema_version")
            if name not in (PAGE_SCHEMA["schema_name"], FINISHED_SCHEMA["schema_name"]):
                continue  # a dump that was not fetched is a fine thing to add to
            if version != 1:
                what = f"this line has version {version} of its schema"
                raise UsageError(what, where=f"{path}:{number}", mend="use a newer regreen")
            if name == FINISHED_SCHEMA["schema_name"]:
                self._age()
                continue
            try:
                self._recall(row)
            except (KeyError, TypeError, ValueError) as error:
                what = "this line is no page of a fetch"
                mend = "delete the line; its page is asked for again"
                raise UsageError(what, where=f"{path}:{number}", mend=mend) from error

    def _recall(self, row: dict[str, Any]) -> None:
        key = (str(row["request"]), int(row["page"]))
        if row["status"] == 304:
            self._known[key] = replace(self._known[key], is_fresh=True)
            return
        self._known[key] = Page(
            request=key[0],
            number=key[1],
            status=int(row["status"]),
            etag=str(row["etag"]),
            next=str(row["next"]),
            answer=row["answer"],
            is_fresh=True,
        )

    def _age(self) -> None:
        self._known = {key: replace(page, is_fresh=False) for key, page in self._known.items()}

    def get(self, request: str, number: int) -> Page | None:
        """A page that is known, fresh or not."""
        return self._known.get((request, number))

    def known(self) -> Iterator[Page]:
        """All pages."""
        return iter(self._known.values())

    def add(self, page: Page) -> Page:
        """Keep a page, reduced to what is needed; it is on the disk on return."""
        kept = replace(page, answer=_kept(page.answer), is_fresh=True)
        self._append(kept, status=kept.status)
        return kept

    def confirm(self, page: Page) -> Page:
        """The server says that a page has not changed."""
        self._append(replace(page, answer=None), status=304)
        kept = replace(page, is_fresh=True)
        self._known[page.request, page.number] = kept
        return kept

    def _append(self, page: Page, *, status: int) -> None:
        self._writer.append(
            {
                **PAGE_SCHEMA,
                "request": page.request,
                "page": page.number,
                "status": status,
                "etag": page.etag,
                "next": page.next,
                "answer": page.answer,
            }
        )
        if status != 304:
            self._known[page.request, page.number] = page

    def finish(self) -> None:
        """All was fetched; a later fetch asks again what may have changed."""
        self._writer.append(FINISHED_SCHEMA)
        self._age()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._writer.close()
        self._lock.remove()


def _lock(path: Path) -> WriterLock:
    """Two fetches of the same would ask everything twice."""
    try:
        return WriterLock(path.with_name(f"{path.name}.lock"))
    except UsageError as error:
        if error.__cause__ is None or not isinstance(error.__cause__, BlockingIOError):
            raise
        what = "another process fetches into this file"
        mend = "wait until it ends, or name another file"
        raise UsageError(what, where=str(path), mend=mend) from error


def _kept(value: Any) -> Any:
    """A value with only the fields that are kept; keys of a query's own aliases are kept too."""
    if isinstance(value, list):
        return [_kept(one) for one in value]
    if isinstance(value, dict):
        return {
            name: _kept(one)
            for name, one in value.items()
            if name in KEPT_FIELDS or (name[:1] == "p" and name[1:].isdigit())
        }
    return value
