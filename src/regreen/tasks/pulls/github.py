"""Fetches merged pull requests with what was said about them, from GitHub or an Enterprise server.

Pull requests are listed by age, so that pages keep their content while the fetch runs or rests;
everything that arrives goes to a file first, which is then read like any other dump.
"""

from __future__ import annotations

import os
import re
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import SecretStr

from regreen.core.errors import RegreenError, UsageError
from regreen.tasks.pulls.closing import DEFAULT_HOST, closed_issues
from regreen.tasks.pulls.dump import read_pages
from regreen.tasks.pulls.pages import Page, Pages
from regreen.tasks.pulls.patient import TOO_LARGE, Answer, PatientClient, WaitingClock
from regreen.tasks.pulls.request import PullRequest

__all__ = ["API_URL", "fetch_pulls", "github_token"]

API_URL = "https://api.github.com"
"""GitHub's own; an Enterprise server has ``https://HOST/api/v3``."""
_REPOSITORY = re.compile(r"[A-Za-z0-9][\w-]*/[\w.-]+", re.ASCII)
_LIST = "pulls?state=all&sort=created&direction=asc&per_page=100"
_PARTS = ("pulls/{}/commits", "pulls/{}/comments", "pulls/{}/reviews", "issues/{}/comments")
_CERTAIN = (200, 410, 451)  # a better token changes none of these
_REFUSED = (403, 404, 410, 422, 451, TOO_LARGE)
_CLOSING_PAGE = "?closing="
_ISSUES = 30  # of one pull request; a text can name any number
_GIVE_UP = 3  # resources in a row that the server fails to deliver
_CLOSING = "closingIssuesReferences(first:20){nodes{number repository{nameWithOwner}}}"


def github_token(environ: Mapping[str, str] = os.environ) -> SecretStr | None:
    """The token of ``GITHUB_TOKEN``, or None."""
    value = environ.get("GITHUB_TOKEN", "").strip()
    return SecretStr(value) if value else None


async def fetch_pulls(
    repo: str,
    *,
    token: SecretStr | None,
    cache: Path,
    clock: WaitingClock,
    note: Callable[[str], None],
    base_url: str = API_URL,
    numbers: Collection[int] | None = None,
) -> list[PullRequest]:
    """Fetch a repository's merged pull requests; run again, it asks for what is new.

    Args:
        repo: ``OWNER/NAME``.
        token: raises the rate limit from 60 to 5,000 requests an hour, opens private repositories,
            and lets GitHub say itself which issues were closed.
        cache: file of JSON lines that every page is appended to; a dump for ``--prs`` as well.
        clock: what is waited on when GitHub asks to.
        note: told what is waited for and what could not be had, in words.
        base_url: root of the REST API.
        numbers: pull requests wanted, whether marked as merged or not; None takes all merged.

    Raises:
        UsageError: no such repository, or the token is refused.
        RegreenError: nobody answers; the cache holds what has arrived.
    """
    if not _REPOSITORY.fullmatch(repo):
        mend = "write it as OWNER/NAME, for example pytoolz/toolz"
        raise UsageError("this is not the name of a repository", where=repo, mend=mend)  # noqa: EM101
    with Pages(cache) as pages:
        async with PatientClient(base_url, token=token, clock=clock, note=note) as client:
            fetch = _Fetch(client, pages, repo, note, asks_closing=token is not None)
            await fetch.all(None if numbers is None else frozenset(numbers))
    own = [pull for pull in read_pages(cache).pulls if pull.repo.lower() == fetch.repo.lower()]
    if numbers is None:
        return [pull for pull in own if pull.merged_at]
    return [pull for pull in own if pull.number in numbers]


@dataclass
class _Fetch:
    """One fetch and how far it is."""

    client: PatientClient
    pages: Pages
    repo: str
    note: Callable[[str], None]
    asks_closing: bool
    failed: int = 0
    failed_in_a_row: int = 0
    settled: dict[int, str] = field(default_factory=dict)
    closed: dict[int, list[tuple[str, int]]] = field(default_factory=dict)

    async def all(self, numbers: frozenset[int] | None) -> None:
        """List the pull requests and fetch the parts of those that are wanted."""
        self._recall()
        async for page in self._listing(f"repos/{self.repo}/{_LIST}", is_root=True):
            pulls = [one for one in page.answer if _is_pull(one)]
            self._rename(pulls)
            wanted = [one for one in pulls if _wanted(one, numbers)]
            await self._ask_closed([one["number"] for one in wanted if not self._is_told(one)])
            for one in wanted:
                await self._pull(one)
        if self.failed:
            self.note(f"{self.failed} answers did not come; the next fetch asks for them again")
        self.pages.finish()

    def _recall(self) -> None:
        """What earlier fetches learned: when each pull request changed last, what it closes."""
        for page in self.pages.known():
            if _CLOSING_PAGE in page.request:
                self.closed |= _closed(page.answer)
            elif "/pulls?" in page.request and not page.is_fresh:
                pulls = [one for one in page.answer or () if _is_pull(one)]
                self.settled |= {one["number"]: str(one.get("updated_at")) for one in pulls}

    def _is_settled(self, pull: dict[str, Any]) -> bool:
        return self.settled.get(pull["number"]) == str(pull.get("updated_at"))

    def _is_told(self, pull: dict[str, Any]) -> bool:
        """Whether an earlier fetch asked what it closes: one may have wanted other numbers."""
        return self._is_settled(pull) and pull["number"] in self.closed

    def _rename(self, pulls: list[dict[str, Any]]) -> None:
        names = [str((one["base"].get("repo") or {}).get("full_name") or "") for one in pulls]
        name = next(filter(_REPOSITORY.fullmatch, names), self.repo)
        if name.lower() != self.repo.lower():
            self.note(f"{self.repo} is now called {name}")
            self.repo = name

    async def _pull(self, pull: dict[str, Any]) -> None:
        """The parts of one pull request, then the issues it closes."""
        number, settled = pull["number"], self._is_settled(pull)
        texts = [str(pull.get("title") or ""), str(pull.get("body") or "")]
        for part in _PARTS:
            request = f"repos/{self.repo}/{part.format(number)}?per_page=100"
            async for page in self._listing(request, settled=settled):
                if part.endswith("/commits"):
                    texts += [_message(one) for one in page.answer or ()]
        host = urlsplit(str(pull.get("html_url") or "")).netloc or DEFAULT_HOST
        named = closed_issues(texts, repo=self.repo, host=host)
        issues = list(dict.fromkeys((*self.closed.get(number, ()), *named)))
        if len(issues) > _ISSUES:
            self.note(f"#{number} names {len(issues)} issues; the first {_ISSUES} are fetched")
        for where, issue in issues[:_ISSUES]:
            await self._issue(f"repos/{where}/issues/{issue}", settled=settled)

    async def _issue(self, path: str, *, settled: bool) -> None:
        async for page in self._listing(path, settled=settled):
            issue = page.answer
            if isinstance(issue, dict) and "pull_request" not in issue and issue.get("comments"):
                async for _ in self._listing(f"{path}/comments?per_page=100", settled=settled):
                    pass

    async def _ask_closed(self, numbers: list[int]) -> None:
        """Ask GitHub itself what each pull request closes, where it can be asked."""
        if not (numbers and self.asks_closing):
            return
        url = f"{_api_root(self.client.base_url)}/graphql"
        request = f"{url}{_CLOSING_PAGE}{self.repo}:{','.join(map(str, numbers))}"
        known = self.pages.get(request, 1)
        if known and known.is_fresh:
            return
        owner, name = self.repo.split("/")
        asked = " ".join(f"p{n}: pullRequest(number:{n}){{number url {_CLOSING}}}" for n in numbers)
        query = f'{{repository(owner:"{owner}",name:"{name}"){{{asked}}}}}'
        answer = await self.client.post(url, {"query": query})
        if isinstance(answer.body, dict) and isinstance(answer.body.get("data"), dict):
            self.closed |= _closed(self.pages.add(_page(request, 1, answer)).answer)
            return
        self.asks_closing = False
        said = answer.said or "it answers without data"
        self.note(f"GitHub does not say which issues were closed ({said}); texts have to do")

    async def _listing(
        self, path: str, *, settled: bool = False, is_root: bool = False
    ) -> AsyncIterator[Page]:
        """The pages of one resource, asked for only where they are not known."""
        request = url = f"{self.client.base_url}/{path}"
        number, seen = 1, {""}
        while url not in seen:
            seen.add(url)
            page = self.pages.get(request, number)
            if page is None or not (page.is_fresh or (settled and page.status in _CERTAIN)):
                answer = await self.client.get(url, etag=page.etag if page else "")
                if is_root and not (answer.status == 304 or isinstance(answer.body, list)):
                    raise _refusal(self.repo, answer)
                page = self._keep(page, request, number, answer)
            if page is None:
                return
            yield page
            url, number = page.next, number + 1

    def _keep(self, known: Page | None, request: str, number: int, answer: Answer) -> Page | None:
        """The page that an answer is; None when it may come another time."""
        if answer.status == 304 and known:
            return self.pages.confirm(known)
        if answer.status != 200:
            self.note(f"{request}: {answer.said} (HTTP {answer.status})")
        if answer.status in (200, *_REFUSED):
            self.failed_in_a_row = 0
            return self.pages.add(_page(request, number, answer))
        self.failed += 1
        self.failed_in_a_row += 1
        if self.failed_in_a_row >= _GIVE_UP:
            raise _refusal(self.repo, answer)
        return None


def _api_root(base_url: str) -> str:
    """What GraphQL lies below: an Enterprise server has it beside the REST API."""
    return base_url.removesuffix("/v3") if base_url.endswith("/api/v3") else base_url


def _page(request: str, number: int, answer: Answer) -> Page:
    return Page(
        request=request,
        number=number,
        status=answer.status,
        etag=answer.etag,
        next=answer.next,
        answer=answer.body,
        is_fresh=True,
    )


def _refusal(repo: str, answer: Answer) -> RegreenError:
    what = f"GitHub does not give {repo}: {answer.said or 'no list'} (HTTP {answer.status})"
    if answer.status >= 500 or answer.status == 429:
        mend = "run the same command again later; it goes on where it stopped"
        return RegreenError(what, where=repo, mend=mend)
    mend = "check the name, or set GITHUB_TOKEN to a token that may read it"
    return UsageError(what, where=repo, mend=mend)


def _is_pull(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and isinstance(value.get("number"), int)
        and isinstance(value.get("base"), dict)
    )


def _wanted(pull: dict[str, Any], numbers: frozenset[int] | None) -> bool:
    return bool(pull.get("merged_at")) if numbers is None else pull["number"] in numbers


def _message(commit: Any) -> str:
    inner = commit.get("commit") if isinstance(commit, dict) else None
    return str(inner.get("message") or "") if isinstance(inner, dict) else ""


def _closed(answer: Any) -> dict[int, list[tuple[str, int]]]:
    """Issues by pull request, out of GraphQL's answer."""
    found: dict[int, list[tuple[str, int]]] = {}
    repository = (answer.get("data") or {}).get("repository") or {}
    for pull in filter(None, repository.values()):
        nodes = (pull.get("closingIssuesReferences") or {}).get("nodes") or ()
        found[pull["number"]] = [
            (one["repository"]["nameWithOwner"], one["number"]) for one in nodes if one
        ]
    return found
