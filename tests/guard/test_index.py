"""The index proxy at its socket, before a real index on loopback that can misbehave."""

from __future__ import annotations

import asyncio
import hashlib
import json
import threading
import time
import zipfile
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx2
import pytest

from regreen.core.errors import UsageError
from regreen.guard.index.configured import DEFAULT_INDEX
from regreen.guard.index.proxy import IndexGrant, IndexProxy
from regreen.guard.index.settings import IndexSettings

JSON = "application/vnd.pypi.simple.v1+json"
EARLY, LATE = "2023-05-01T00:00:00Z", "2024-05-01T00:00:00.123456Z"
DATE = "2024-01-01"


def wheel(name: str, version: str, *, requires_python: str = ">=3.8", filler: int = 0) -> bytes:
    """A wheel with one module that tells its version."""
    info = f"{name}-{version}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    out = BytesIO()
    with zipfile.ZipFile(out, "w") as made:
        made.writestr(f"{name}.py", f"version = '{version}'\n" + "#" * filler)
        made.writestr(f"{info}/METADATA", f"{metadata}Requires-Python: {requires_python}\n")
        made.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        made.writestr(f"{info}/RECORD", "")
    return out.getvalue()


class Upstream:
    """A simple index; its files are served below /files, other paths as the test says."""

    def __init__(self) -> None:
        self.projects: dict[str, list[dict[str, Any]]] = {}
        self.files: dict[str, bytes] = {}
        self.special: dict[str, Callable[[BaseHTTPRequestHandler], None]] = {}
        self.asked: list[str] = []
        self.html = False
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.asked.append(self.path)
                outer.answer(self)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()
        self.root = f"http://127.0.0.1:{self.server.server_port}"
        self.url = f"{self.root}/simple/"

    def add(self, name: str, version: str, when: str | None = EARLY, **more: Any) -> str:
        filename = f"{name}-{version}-py3-none-any.whl"
        data = wheel(name, version, filler=more.pop("filler", 0))
        row: dict[str, Any] = {
            "filename": filename,
            "url": f"../../files/{filename}",
            "hashes": {"sha256": hashlib.sha256(data).hexdigest()},
            "size": len(data),
        }
        if when:
            row["upload-time"] = when
        self.files[filename] = data
        self.projects.setdefault(name, []).append(row | more)
        return filename

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        path = request.path
        if path in self.special:
            self.special[path](request)
            return
        kind, _, name = path.strip("/").partition("/")
        if kind == "simple" and name in self.projects:
            self.page(request, name)
        elif kind == "files" and name in self.files:
            send(request, 200, self.files[name])
        else:
            send(request, 404, b"")

    def page(self, request: BaseHTTPRequestHandler, name: str) -> None:
        rows = self.projects[name]
        if not self.html:
            page = {"meta": {"api-version": "1.1"}, "name": name, "files": rows}
            send(request, 200, json.dumps(page).encode(), ("Content-Type", JSON))
            return
        links = (
            f'<a href="{row["url"]}#sha256={row["hashes"]["sha256"]}">{row["filename"]}</a>'
            for row in rows
        )
        send(request, 200, "\n".join(links).encode(), ("Content-Type", "text/html"))


def send(
    request: BaseHTTPRequestHandler, status: int, body: bytes, *headers: tuple[str, str]
) -> None:
    request.send_response(status)
    for name, value in headers:
        request.send_header(name, value)
    request.send_header("Content-Length", str(len(body)))
    request.end_headers()
    request.wfile.write(body)


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    made = Upstream()
    made.add("demo", "1.0")
    made.add("demo", "2.0", LATE)
    made.add("target", "1.0")
    yield made
    made.server.shutdown()
    made.server.server_close()


Story = Callable[[IndexProxy, IndexGrant, httpx2.AsyncClient], Awaitable[Any]]


def client(grant: IndexGrant, token: str | None = None) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(
        transport=httpx2.AsyncHTTPTransport(uds=str(grant.socket)),
        base_url="http://index",
        auth=("rollout", grant.token if token is None else token),
        timeout=10,
    )


@pytest.fixture
def served(upstream: Upstream, tmp_path: Path) -> Callable[..., Any]:
    """Run a story with a proxy, a grant of it and a client that holds the token."""

    def run(story: Story, before: str | None = DATE, **fields: Any) -> Any:
        async def main() -> Any:
            settings = {
                "upstream": upstream.url,
                "cache": tmp_path / "cache",
                "log": tmp_path / "log.jsonl",
            }
            async with IndexProxy(IndexSettings(**settings | fields)) as proxy:
                grant = await proxy.grant("r#1", ["Tar.Get", "target"], before=before)
                async with client(grant) as asks:
                    return await story(proxy, grant, asks)

        return asyncio.run(main())

    return run


def rows(tmp_path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]


async def get(asks: httpx2.AsyncClient, path: str, accept: str = JSON) -> tuple[int, bytes]:
    answer = await asks.get(path, headers={"Accept": accept})
    return answer.status_code, answer.content


def test_a_page_lists_what_the_date_allows_and_leads_back_to_the_proxy(
    served: Callable[..., Any], upstream: Upstream, tmp_path: Path
) -> None:
    async def story(_: IndexProxy, __: IndexGrant, asks: httpx2.AsyncClient) -> Any:
        as_json = await asks.get("/simple/demo/", headers={"Accept": JSON})
        as_html = await asks.get("/simple/Demo", headers={"Accept": "text/html"})
        file = await asks.get(as_json.json()["files"][0]["url"])
        return as_json, as_html, file

    as_json, as_html, file = served(story)

    page = as_json.json()
    name = "demo-1.0-py3-none-any.whl"
    digest = hashlib.sha256(upstream.files[name]).hexdigest()
    assert [row["filename"] for row in page["files"]] == [name]
    assert page["versions"] == ["1.0"]
    assert page["files"][0]["upload-time"] == EARLY
    assert page["files"][0]["hashes"] == {"sha256": digest}
    assert f'href="/files/demo/{name}#sha256={digest}"' in as_html.text
    assert "2.0" not in as_html.text
    assert as_html.headers["content-type"] == "text/html"
    assert file.content == upstream.files[name]
    log = rows(tmp_path)
    assert [(row["decision"], row["project"], row["file"]) for row in log] == [
        ("allow", "demo", ""),
        ("allow", "demo", ""),
        ("allow", "demo", name),
    ]
    assert log[2]["bytes"] == len(file.content)
    assert log[0]["withheld"] == 1
    assert {row["rollout"] for row in log} == {"r#1"}


def test_the_upstream_is_asked_once_for_many_rollouts(
    served: Callable[..., Any], upstream: Upstream
) -> None:
    name = upstream.add("big", "1.0", filler=300_000)

    async def story(proxy: IndexProxy, _: IndexGrant, __: httpx2.AsyncClient) -> Any:
        grants = [await proxy.grant(f"r{number}", [], before=DATE) for number in range(6)]

        async def one(grant: IndexGrant) -> bytes:
            async with client(grant) as asks:
                await get(asks, "/simple/big/")
                return (await get(asks, f"/files/big/{name}"))[1]

        return await asyncio.gather(*(one(grant) for grant in grants))

    assert served(story) == [upstream.files[name]] * 6
    assert sorted(upstream.asked) == [f"/files/{name}", "/simple/big/"]
    served(story)  # another proxy, the same cache
    assert len(upstream.asked) == 2


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("/simple/target/", "'target'"),
        ("/simple/Target/", "'target'"),
        ("/simple/tar-get/", "'tar-get'"),
        ("/simple/TAR_._get/", "'tar-get'"),
        ("/simple/%74arget/", "'target'"),
        ("/files/target/target-1.0-py3-none-any.whl", "'target'"),
        ("/files/demo/demo-2.0-py3-none-any.whl", "after this task's date"),
        ("/files/demo/demo-2.0-py3-none-any.whl.metadata", "after this task's date"),
        ("/", "a path other than"),
        ("/simple/", "a path other than"),
        ("/pypi/target/json", "a path other than"),
        ("/simple/../pypi/target/json", "a path other than"),
        ("/simple/demo/../target/", "a path other than"),
        ("/simple/demo%2F..%2Ftarget/", "a path other than"),
        ("/files/demo/..%2ftarget%2ftarget-1.0-py3-none-any.whl", "a path other than"),
        ("/files/demo/%2e%2e/x", "a path other than"),
        ("//example.org/simple/demo/", "a path other than"),
        ("/simple/demo/%00", "a path other than"),
        ("/simple/demo%0d%0aHost:%20x/", "a path other than"),
        ("/files/https://example.org/demo-1.0-py3-none-any.whl", "a path other than"),
    ],
)
def test_what_is_prohibited_is_named(
    served: Callable[..., Any], upstream: Upstream, tmp_path: Path, path: str, says: str
) -> None:
    async def story(_: IndexProxy, grant: IndexGrant, asks: httpx2.AsyncClient) -> Any:
        return await raw(grant, "GET", path, grant.token), grant.news(), grant.news()

    answer, news, later = served(story)

    assert answer.startswith(b"HTTP/1.1 403 ")
    assert says in answer.decode()
    assert "Prohibited" in answer.splitlines()[0].decode()
    assert [says in reason for reason in news] == [True]
    assert later == ()
    assert rows(tmp_path)[0]["decision"] == "refuse"
    assert not any("target" in one or "pypi/" in one for one in upstream.asked)


async def raw(grant: IndexGrant, method: str, target: str, token: str, *lines: str) -> bytes:
    """Ask word for word, so that no client tidies the path."""
    import base64

    reader, writer = await asyncio.open_unix_connection(str(grant.socket))
    secret = base64.b64encode(f"rollout:{token}".encode()).decode()
    head = [f"{method} {target} HTTP/1.1", "Host: x", f"Authorization: Basic {secret}"]
    writer.write("\r\n".join([*head, *lines, "Connection: close", "", ""]).encode())
    try:
        return await asyncio.wait_for(reader.read(), 10)
    finally:
        writer.close()


@pytest.mark.parametrize(
    ("method", "target", "lines", "status"),
    [
        ("CONNECT", "example.org:443", (), 403),
        ("GET", "http://example.org/simple/demo/", (), 403),
        ("POST", "/simple/demo/", ("Content-Length: 0",), 403),
        ("PUT", "/files/demo/x.whl", (), 403),
        ("TRACE", "/simple/demo/", (), 403),
        ("OPTIONS", "*", (), 403),
        ("GET", "/simple/demo/", ("Transfer-Encoding: gzip",), 400),
        ("GET", "/simple/demo/", ("Content-Length: 1", "Content-Length: 2"), 400),
        ("GET", "/simple/demo/ HTTP/1.1\r\nX: y\r\n\r\nGET /", (), 400),
        ("GET", "/simple/demo/", ("X: " + "y" * 40_000,), 400),
    ],
)
def test_other_requests_are_refused(
    served: Callable[..., Any],
    upstream: Upstream,
    method: str,
    target: str,
    lines: tuple[str, ...],
    status: int,
) -> None:
    async def story(_: IndexProxy, grant: IndexGrant, asks: httpx2.AsyncClient) -> Any:
        return await raw(grant, method, target, grant.token, *lines)

    answer = served(story)

    assert answer.split(b" ")[1] == str(status).encode(), answer[:200]
    assert upstream.asked == []


def test_a_token_opens_its_own_door_only(
    served: Callable[..., Any], upstream: Upstream, tmp_path: Path
) -> None:
    async def story(proxy: IndexProxy, grant: IndexGrant, asks: httpx2.AsyncClient) -> Any:
        other = await proxy.grant("r#2", [])
        statuses = []
        for token in ("", "wrong", other.token, grant.token):
            async with client(grant, token) as one:
                statuses.append((await get(one, "/simple/demo/"))[0])
        async with httpx2.AsyncClient(
            transport=httpx2.AsyncHTTPTransport(uds=str(grant.socket))
        ) as bare:
            statuses.append((await bare.get("http://x/simple/demo/")).status_code)
        return statuses

    assert served(story) == [403, 403, 403, 200, 403]
    assert "this rollout's token" in rows(tmp_path)[0]["reason"]


def test_a_revoked_grant_is_gone(served: Callable[..., Any]) -> None:
    async def story(_: IndexProxy, grant: IndexGrant, asks: httpx2.AsyncClient) -> Any:
        assert (await get(asks, "/simple/demo/"))[0] == 200
        await grant.revoke()
        await grant.revoke()
        with pytest.raises(httpx2.TransportError):
            await get(asks, "/simple/demo/")
        return grant.socket.exists()

    assert served(story) is False


def test_refusals_of_the_target_are_incidents(
    served: Callable[..., Any], upstream: Upstream
) -> None:
    async def story(proxy: IndexProxy, grant: IndexGrant, asks: httpx2.AsyncClient) -> Any:
        await get(asks, "/simple/target/")
        await get(asks, "/simple/demo/")
        await get(asks, "/simple/target/")  # by now a resolver may be at work
        await get(asks, "/files/target/target-1.0-py3-none-any.whl")
        await get(asks, "/files/demo/demo-2.0-py3-none-any.whl")
        return proxy.incidents("r#1"), grant.incidents(), proxy.incidents("r#2")

    seen, same, none = served(story)

    assert seen == same
    assert none == ()
    assert [(one.rule, one.layer, one.blocked, one.confirmed) for one in seen] == [
        ("wall.index.subject", "wall", True, True),
        ("wall.index.subject", "wall", True, False),
        ("wall.index.subject", "wall", True, True),
    ]
    assert "target-1.0" in seen[2].message


def test_a_copy_under_another_name_is_refused(
    served: Callable[..., Any], upstream: Upstream
) -> None:
    copy = upstream.add("carrier", "1.0", filler=40)

    async def story(proxy: IndexProxy, _: IndexGrant, __: httpx2.AsyncClient) -> Any:
        looked: list[str] = []

        def screen(path: Path, filename: str) -> str:
            looked.append(filename)
            return f"Prohibited: {filename}" if b"carrier.py" in path.read_bytes() else ""

        grant = await proxy.grant("s", [], screen=screen)
        async with client(grant) as asks:
            paths = (f"/files/carrier/{copy}", "/files/demo/demo-1.0-py3-none-any.whl")
            statuses = [(await get(asks, path))[0] for path in (*paths, *paths)]
        return statuses, looked, grant.incidents()

    statuses, looked, incidents = served(story)
    assert statuses == [403, 200, 403, 200]
    assert looked == [copy, "demo-1.0-py3-none-any.whl"]
    assert {one.confirmed for one in incidents} == {False}  # nobody knows what a file carries


def test_files_without_a_date(served: Callable[..., Any], upstream: Upstream) -> None:
    name = upstream.add("undated", "1.0", None)

    async def story(_: IndexProxy, __: IndexGrant, asks: httpx2.AsyncClient) -> Any:
        page = await get(asks, "/simple/undated/")
        return page, (await get(asks, f"/files/undated/{name}"))[0]

    (status, body), file = served(story)
    assert (status, file) == (403, 403)
    assert b"does not tell when" in body
    assert served(story, undated="allow")[1] == 200
    assert served(story, before=None)[1] == 200


def test_an_html_index_with_hashes(served: Callable[..., Any], upstream: Upstream) -> None:
    upstream.html = True

    async def story(_: IndexProxy, __: IndexGrant, asks: httpx2.AsyncClient) -> Any:
        page = json.loads((await get(asks, "/simple/demo/"))[1])
        return page, (await get(asks, page["files"][1]["url"]))[1]

    page, data = served(story, before=None)
    assert [row["filename"] for row in page["files"]] == list(upstream.files)[:2]
    assert data == upstream.files["demo-2.0-py3-none-any.whl"]


def test_metadata_files_are_passed_and_checked(
    served: Callable[..., Any], upstream: Upstream
) -> None:
    digest = hashlib.sha256(b"Name: meta\n").hexdigest()
    good = upstream.add("meta", "1.0", **{"core-metadata": {"sha256": digest}})
    bad = upstream.add("meta", "2.0", **{"core-metadata": {"sha256": "0" * 64}})
    none = upstream.add("meta", "3.0")
    for name in (good, bad, none):
        upstream.files[f"{name}.metadata"] = b"Name: meta\n"

    async def story(_: IndexProxy, __: IndexGrant, asks: httpx2.AsyncClient) -> Any:
        page = json.loads((await get(asks, "/simple/meta/"))[1])
        found = await get(asks, f"/files/meta/{good}.metadata")
        with pytest.raises(httpx2.RemoteProtocolError):
            await get(asks, f"/files/meta/{bad}.metadata")
        return page, found, await get(asks, f"/files/meta/{none}.metadata")

    page, found, missing = served(story)
    assert page["files"][0]["core-metadata"] == {"sha256": digest}
    assert found == (200, b"Name: meta\n")
    assert missing[0] == 404


@pytest.fixture
def secret() -> Iterator[ThreadingHTTPServer]:
    """Another service of the host."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            send(self, 200, b"secret")

        def log_message(self, *_: object) -> None:
            pass

    made = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=made.serve_forever, args=(0.01,), daemon=True).start()
    yield made
    made.shutdown()
    made.server_close()


def test_redirects_stay_within_the_index(
    served: Callable[..., Any], upstream: Upstream, secret: ThreadingHTTPServer
) -> None:
    other = f"http://127.0.0.1:{secret.server_port}"
    digest = hashlib.sha256(b"secret").hexdigest()

    def redirect(to: str) -> Callable[[BaseHTTPRequestHandler], None]:
        return lambda request: send(request, 302, b"", ("Location", to))

    inside = upstream.add("inside", "1.0")
    away = upstream.add("away", "1.0", size=6, hashes={"sha256": digest})
    upstream.add("listed", "1.0", url=f"{other}/listed.whl", size=6, hashes={"sha256": digest})
    upstream.add("odd", "1.0", url="file:///etc/passwd")
    circle = upstream.add("circle", "1.0")
    upstream.files["moved"] = upstream.files[inside]
    upstream.special[f"/files/{inside}"] = redirect("/files/moved")
    upstream.special[f"/files/{away}"] = redirect(f"{other}/{away}")
    upstream.special[f"/files/{circle}"] = redirect(f"/files/{circle}")
    upstream.special["/simple/gone/"] = redirect(f"{other}/simple/gone/")

    async def story(_: IndexProxy, __: IndexGrant, asks: httpx2.AsyncClient) -> Any:
        names = ("inside", "away", "listed", "odd", "circle")
        found = {
            name: await get(asks, f"/files/{name}/{name}-1.0-py3-none-any.whl") for name in names
        }
        return found | {"gone": await get(asks, "/simple/gone/")}

    found = served(story)
    assert found.pop("inside") == (200, upstream.files[inside])
    assert {status for status, _ in found.values()} == {502}
    assert not any(b"secret" in body or b"root:" in body for _, body in found.values())
    named = served(story, file_hosts=(other,))
    assert named["away"] == (200, b"secret")
    assert named["gone"][0] == 502  # a page is the index's own


def test_files_that_are_not_what_the_index_says(
    served: Callable[..., Any], upstream: Upstream, tmp_path: Path
) -> None:
    forged = upstream.add("forged", "1.0")
    upstream.files[forged] = b"x" * len(upstream.files[forged])
    short = upstream.add("short", "1.0")
    upstream.files[short] = upstream.files[short][:-5]
    long = upstream.add("long", "1.0")
    upstream.files[long] += b"more"
    huge = upstream.add("huge", "1.0", filler=50_000)
    unsized = upstream.add("unsized", "1.0", filler=50_000, size=None)
    names = {"forged": forged, "short": short, "long": long, "huge": huge, "unsized": unsized}

    async def story(_: IndexProxy, __: IndexGrant, asks: httpx2.AsyncClient) -> Any:
        found = {}
        for name, filename in names.items():
            try:
                found[name] = (await get(asks, f"/files/{name}/{filename}"))[0]
            except httpx2.TransportError:
                found[name] = 0  # cut before its end
        return found

    found = served(story, max_file_bytes=20_000)
    assert found["huge"] == 403
    assert set(found.values()) <= {0, 403, 502}, found
    reasons = {row["project"]: row["reason"] for row in rows(tmp_path)}
    assert "sha256" in reasons["forged"]
    assert "shorter" in reasons["short"]
    assert "larger" in reasons["long"]
    assert "larger" in reasons["unsized"]
    assert not [path for path in (tmp_path / "cache/files").rglob("*") if path.is_file()]


def test_a_slow_upstream_is_given_up(
    served: Callable[..., Any], upstream: Upstream, tmp_path: Path
) -> None:
    name = upstream.add("slow", "1.0")

    def stall(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.send_header("Content-Length", "100")
        request.end_headers()
        time.sleep(3)

    def drip(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.end_headers()
        for _ in range(30):
            request.wfile.write(b"x")
            time.sleep(0.1)

    drips = upstream.add("drips", "1.0")
    upstream.special[f"/files/{name}"] = stall
    upstream.special["/simple/stalls/"] = stall
    upstream.special[f"/files/{drips}"] = drip

    async def story(_: IndexProxy, __: IndexGrant, asks: httpx2.AsyncClient) -> Any:
        with pytest.raises(httpx2.TransportError):
            await get(asks, f"/files/drips/{drips}")
        return await asyncio.gather(
            get(asks, f"/files/slow/{name}"), get(asks, "/simple/stalls/"), get(asks, "/simple/x/")
        )

    found = served(story, stall_seconds=0.3, total_seconds=0.8)
    assert [status for status, _ in found] == [502, 502, 404]
    assert b"does not answer" in found[0][1]


def test_limits_of_a_rollout(served: Callable[..., Any], upstream: Upstream) -> None:
    async def story(_: IndexProxy, grant: IndexGrant, asks: httpx2.AsyncClient) -> Any:
        first = await get(asks, "/simple/demo/")
        second = await get(asks, "/simple/demo/")
        held = [await asyncio.open_unix_connection(str(grant.socket)) for _ in range(5)]
        refused = [await asyncio.wait_for(reader.read(1), 5) for reader, _ in held[3:]]
        idle = await asyncio.wait_for(held[0][0].read(1), 5)
        for _, writer in held:
            writer.close()
        return first[0], second[0], refused, idle

    found = served(story, rollout_bytes=10, connections=4, stall_seconds=0.5)
    assert found == (200, 403, [b"", b""], b"")


def test_a_box_that_floods_waits_and_fills_nothing(served: Callable[..., Any]) -> None:
    async def story(proxy: IndexProxy, grant: IndexGrant, asks: httpx2.AsyncClient) -> Any:
        begun = time.monotonic()
        for number in range(6):
            await asyncio.gather(*(get(asks, f"/no/{number}/{one}") for one in range(20)))
        return time.monotonic() - begun, len(grant.news()), proxy.incidents("r#1")

    # 120 requests, 20 of them at once and 100 each second: nothing makes this faster
    seconds, told, incidents = served(story, burst=20)
    assert seconds >= 0.95
    assert told == 1
    assert incidents == ()


def test_an_upstream_that_is_a_directory(served: Callable[..., Any], tmp_path: Path) -> None:
    house = tmp_path / "house"
    house.mkdir()
    (house / "demo-1.0-py3-none-any.whl").write_bytes(wheel("demo", "1.0"))
    (house / "demo-2-1.0.tar.gz").write_bytes(b"sdist")
    (house / "target-1.0-py3-none-any.whl").write_bytes(wheel("target", "1.0"))
    (house / "notes.txt").write_text("not a package")

    async def story(_: IndexProxy, __: IndexGrant, asks: httpx2.AsyncClient) -> Any:
        paths = (
            "/simple/demo/",
            "/files/demo/demo-1.0-py3-none-any.whl",
            "/files/demo-2/demo-2-1.0.tar.gz",
            "/files/notes/notes.txt",
            "/simple/target/",
        )
        return [await get(asks, path) for path in paths]

    page, file, sdist, notes, target = served(story, before=None, upstream=house.as_uri())
    (row,) = json.loads(page[1])["files"]
    assert row["requires-python"] == ">=3.8"
    assert hashlib.sha256(file[1]).hexdigest() == row["hashes"]["sha256"]
    assert sdist == (200, b"sdist")
    assert (notes[0], target[0]) == (404, 403)
    assert served(story, upstream=str(house))[0][0] == 403  # no dates


@pytest.mark.parametrize(
    ("fields", "before"),
    [
        ({"upstream": "/nowhere/at/all"}, None),
        ({"upstream": "http://"}, None),
        ({"file_hosts": ("files.example.org",)}, None),
        ({}, "last week"),
        ({}, ""),
    ],
)
def test_settings_that_cannot_be_used(
    served: Callable[..., Any], fields: dict[str, Any], before: str | None
) -> None:
    async def story(*_: Any) -> None:
        pass

    with pytest.raises(UsageError) as caught:
        served(story, before=before, **fields)
    assert len(caught.value.lines()) == 3


def test_the_configured_index_is_the_default(
    served: Callable[..., Any], upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UV_DEFAULT_INDEX", upstream.url)

    async def story(_: IndexProxy, __: IndexGrant, asks: httpx2.AsyncClient) -> Any:
        return (await get(asks, "/simple/demo/"))[0]

    assert served(story, upstream="") == 200
    assert DEFAULT_INDEX.startswith("https://")


def test_a_date_with_a_zone_is_compared_as_one_moment(
    served: Callable[..., Any], upstream: Upstream
) -> None:
    async def story(proxy: IndexProxy, _: IndexGrant, __: httpx2.AsyncClient) -> Any:
        found = []
        for before in ("2023-05-01T02:00:00+02:00", "2023-05-01T01:59:59+02:00",
                       datetime(2023, 5, 1, tzinfo=UTC), datetime(2023, 4, 30, 23)):  # fmt: skip  # noqa: DTZ001
            grant = await proxy.grant("z", [], before=before)
            async with client(grant) as asks:
                found.append((await get(asks, "/simple/demo/"))[0])
        return found

    assert served(story) == [200, 403, 200, 403]
