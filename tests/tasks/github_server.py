"""A server that speaks the part of GitHub's API that is used, with its limits and its failures."""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TOKEN = "ghp_" + "x" * 36
START = datetime(2024, 5, 1, tzinfo=UTC)
Fault = Callable[["Request"], None]


class HeldClock:
    """Time that passes only while somebody sleeps."""

    def __init__(self) -> None:
        self.slept: list[float] = []

    def now(self) -> datetime:
        return START + timedelta(seconds=sum(self.slept))

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        await asyncio.sleep(0)


class Request(BaseHTTPRequestHandler):
    """One request; answers are built by the server it came to."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    hub: GitHub

    def do_GET(self) -> None:
        self.hub.answer(self)

    def do_POST(self) -> None:
        self.hub.answer(self)

    def log_message(self, *_: object) -> None:
        pass

    def reply(self, status: int, body: bytes | Any, **headers: str) -> None:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response_only(status)
        self.send_header("Date", formatdate(self.hub.clock.now().timestamp(), usegmt=True))
        self.send_header("Content-Length", str(len(data)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(data)

    def cut(self, data: bytes) -> None:
        """Promise more than is sent, then hang up."""
        self.send_response_only(200)
        self.send_header("Content-Length", str(len(data) + 1000))
        self.end_headers()
        self.wfile.write(data)
        self.close_connection = True


class GitHub:
    """One repository behind the API; what it was asked stands in ``asked``."""

    def __init__(self, repo: str = "acme/parser", *, page_size: int = 3) -> None:
        self.repo = repo
        self.page_size = page_size
        self.clock = HeldClock()
        self.former: set[str] = set()
        self.lists: dict[str, list[Any]] = {"pulls": []}
        self.objects: dict[str, Any] = {}
        self.closing: dict[int, list[tuple[str, int]]] = {}
        self.faults: dict[str, list[Fault]] = {}
        self.asked: list[str] = []
        self.sent: list[tuple[str, int]] = []
        self.tokens: set[str | None] = set()
        self.remaining: int | None = None
        handler = type("Handler", (Request,), {"hub": self})
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()

    def add_pull(self, number: int, **more: Any) -> dict[str, Any]:
        pull = rest_pull(self.repo, number, **more)
        self.lists["pulls"].append(pull)
        self.lists[f"pulls/{number}/commits"] = [rest_commit(self.repo, f"{number:040x}")]
        for part in ("pulls/{}/comments", "pulls/{}/reviews", "issues/{}/comments"):
            self.lists[part.format(number)] = []
        return pull

    def add_issue(self, number: int, *comments: tuple[str, str], **more: Any) -> None:
        issue = rest_issue(self.repo, number, comments=len(comments), **more)
        self.objects[f"issues/{number}"] = issue
        self.lists[f"issues/{number}/comments"] = [
            rest_comment(self.repo, number, text, at, identity=1000 * number + count)
            for count, (at, text) in enumerate(comments)
        ]

    def fault(self, path: str, *faults: Fault) -> None:
        """The next answers for a path that contains ``path``."""
        self.faults.setdefault(path, []).extend(faults)

    def answer(self, request: Request) -> None:
        length = int(request.headers.get("Content-Length") or 0)
        data = request.rfile.read(length)
        path = request.path
        self.asked.append(path)
        self.tokens.add(request.headers.get("Authorization"))
        for name, waiting in self.faults.items():
            if name in path and waiting:
                waiting.pop(0)(request)
                return
        token = request.headers.get("Authorization")
        if token not in (None, f"Bearer {TOKEN}"):
            request.reply(401, {"message": "Bad credentials"})
        elif self.remaining == 0:
            reset = str(int(self.clock.now().timestamp()) + 1800)
            self.remaining = 5000
            limit = {"x_ratelimit_remaining": "0", "x_ratelimit_reset": reset}
            request.reply(403, {"message": "API rate limit exceeded"}, **limit)
        elif path == "/graphql":
            self._graphql(request, json.loads(data))
        else:
            self._resource(request)

    def _graphql(self, request: Request, body: dict[str, Any]) -> None:
        numbers = map(int, re.findall(r"pullRequest\(number:(\d+)\)", body["query"]))
        answer = {
            f"p{number}": {
                "number": number,
                "url": f"https://github.com/{self.repo}/pull/{number}",
                "closingIssuesReferences": {
                    "nodes": [
                        {"number": issue, "repository": {"nameWithOwner": repo}}
                        for repo, issue in self.closing.get(number, [])
                    ]
                },
            }
            for number in numbers
        }
        request.reply(200, {"data": {"repository": answer}})

    def _resource(self, request: Request) -> None:
        path, _, query = request.path.lstrip("/").partition("?")
        for name in self.former:
            if path.startswith(f"repos/{name}/"):
                there = path.replace(f"repos/{name}/", "repositories/77/") + f"?{query}"
                request.reply(301, {"message": "Moved Permanently"}, location=f"{self.url}/{there}")
                return
        found = re.fullmatch(rf"(?:repos/{re.escape(self.repo)}|repositories/77)/(.*)", path)
        name = found[1] if found else ""
        if name in self.objects:
            self._tagged(request, self.objects[name], {})
        elif name in self.lists:
            page = int(next(iter(re.findall(r"(?:^|&)page=(\d+)", query)), "1"))
            rows = self.lists[name]
            begin = (page - 1) * self.page_size
            link = {}
            if begin + self.page_size < len(rows):
                after = f"{self.url}/repositories/77/{name}?per_page=100&page={page + 1}"
                link["Link"] = f'<{after}>; rel="next", <{self.url}/x>; rel="last"'
            self._tagged(request, rows[begin : begin + self.page_size], link)
        else:
            request.reply(404, {"message": "Not Found"})

    def _tagged(self, request: Request, body: Any, headers: dict[str, str]) -> None:
        data = json.dumps(body).encode()
        tag = f'W/"{hashlib.sha256(data).hexdigest()[:16]}"'
        if self.remaining is not None:
            self.remaining -= 1
            headers |= {"x_ratelimit_remaining": str(self.remaining)}
        if request.headers.get("If-None-Match") == tag:
            self.sent.append((request.path, 304))
            request.reply(304, b"", ETag=tag, **headers)
            return
        self.sent.append((request.path, 200))
        request.reply(200, data, ETag=tag, **headers)


def hang(started: threading.Event) -> Fault:
    """Say that the request is here, and answer nothing."""

    def wait(request: Request) -> None:
        started.set()
        time.sleep(0.5)
        request.close_connection = True

    return wait


def api(repo: str, rest: str) -> str:
    return f"https://api.github.com/repos/{repo}/{rest}"


def rest_pull(repo: str, number: int, **more: Any) -> dict[str, Any]:
    return {
        "id": number * 7,
        "number": number,
        "state": "closed",
        "url": api(repo, f"pulls/{number}"),
        "html_url": f"https://github.com/{repo}/pull/{number}",
        "title": f"Change number {number}",
        "body": f"What change {number} does.",
        "user": {"login": "ann", "type": "User", "email": "ann@example.org"},
        "labels": [{"id": 5, "name": "bug", "color": "red"}],
        "created_at": "2024-02-10T10:00:00Z",
        "updated_at": "2024-03-01T12:00:00Z",
        "merged_at": "2024-03-01T12:00:00Z",
        "merge_commit_sha": f"{number + 0xA000:040x}",
        "head": {"sha": f"{number:040x}", "ref": "topic", "repo": None},
        "base": {"sha": "b" * 40, "ref": "main", "repo": {"id": 77, "full_name": repo}},
    } | more


def rest_issue(repo: str, number: int, **more: Any) -> dict[str, Any]:
    return {
        "id": number * 11,
        "number": number,
        "url": api(repo, f"issues/{number}"),
        "repository_url": api(repo, "").rstrip("/"),
        "html_url": f"https://github.com/{repo}/issues/{number}",
        "title": f"Problem {number}",
        "body": f"It breaks in way {number}.",
        "user": {"login": "bob", "type": "User"},
        "state": "closed",
        "comments": 0,
        "created_at": "2024-02-01T10:00:00Z",
    } | more


def rest_comment(
    repo: str, number: int, text: str | None, at: str, *, identity: int, **more: Any
) -> dict[str, Any]:
    return {
        "id": identity,
        "issue_url": api(repo, f"issues/{number}"),
        "body": text,
        "user": {"login": "eve", "type": "User"},
        "created_at": at,
    } | more


def rest_commit(repo: str, sha: str, message: str = "Work", **more: Any) -> dict[str, Any]:
    when = more.pop("at", "2024-02-10T09:00:00Z")
    return {
        "sha": sha,
        "url": api(repo, f"commits/{sha}"),
        "commit": {
            "message": message,
            "author": {"name": "Ann", "email": "ann@example.org", "date": when},
            "committer": {"name": "Ann", "email": "ann@example.org", "date": when},
        },
        "author": None,
        "parents": [],
    } | more
