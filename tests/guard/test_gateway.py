"""The gateway at its socket, before a real service on loopback that notes what it gets."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Awaitable, Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from regreen.core.errors import UsageError
from regreen.guard.completions import server_side
from regreen.guard.gateway import CompletionGateway, GatewayGrant, GatewaySettings

KEY = "the-real-key"
PLAIN = {"model": "m", "messages": [{"role": "user", "content": "hello"}]}


class Service:
    """A model's service."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str, dict[str, str], bytes]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                headers = {name.lower(): value for name, value in self.headers.items()}
                outer.seen.append((self.command, self.path, headers, body))
                if b'"away"' in body:
                    self.send_response(302)
                    self.send_header("Location", "/v1/models")
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return
                self.send_response(429 if b'"busy"' in body else 200)
                self.send_header("Content-Type", "text/event-stream")
                self.send_header("X-Secret", "internal")
                self.end_headers()
                for number in range(3):
                    self.wfile.write(f"data: {number}\n\n".encode())

            do_GET = do_POST

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/v1"


@pytest.fixture
def service() -> Iterator[Service]:
    made = Service()
    yield made
    made.server.shutdown()
    made.server.server_close()


Story = Callable[[httpx2.AsyncClient, GatewayGrant], Awaitable[Any]]


@pytest.fixture
def gateway(service: Service, tmp_path: Path) -> Callable[..., Any]:
    def run(story: Story, **fields: Any) -> Any:
        async def main() -> Any:
            given = {"base_url": service.url, "api_key": KEY, "log": tmp_path / "log.jsonl"}
            async with CompletionGateway(GatewaySettings(**given | fields)) as made:
                grant = await made.grant("r#1")
                async with httpx2.AsyncClient(
                    transport=httpx2.AsyncHTTPTransport(uds=str(grant.socket)),
                    base_url="http://model",
                    headers={"Authorization": f"Bearer {grant.token}"},
                ) as asks:
                    return await story(asks, grant)

        return asyncio.run(main())

    return run


def test_a_completion_is_streamed_with_the_key_exchanged(
    gateway: Callable[..., Any], service: Service, tmp_path: Path
) -> None:
    async def story(asks: httpx2.AsyncClient, grant: GatewayGrant) -> Any:
        chat = await asks.post("/v1/chat/completions", json=PLAIN)
        message = await asks.post(
            "/v1/messages?beta=true",
            json=PLAIN,
            headers={"Authorization": "", "x-api-key": grant.token, "anthropic-version": "1"},
        )
        models = await asks.get("/v1/models")
        busy = await asks.post("/v1/completions", json={"model": "busy"})
        return chat, message, models.status_code, busy.status_code, grant.token

    chat, message, models, busy, token = gateway(story)

    assert chat.content == message.content == b"data: 0\n\ndata: 1\n\ndata: 2\n\n"
    assert "x-secret" not in chat.headers
    assert (models, busy) == (200, 429)
    assert [path for _, path, _, _ in service.seen] == [
        *("/v1/chat/completions", "/v1/messages", "/v1/models", "/v1/completions")
    ]
    assert service.seen[0][2]["authorization"] == f"Bearer {KEY}"
    assert service.seen[1][2]["x-api-key"] == KEY
    assert service.seen[1][2]["anthropic-version"] == "1"
    assert json.loads(service.seen[0][3]) == PLAIN
    assert not any(token in str(seen) for seen in service.seen)
    log = (tmp_path / "log.jsonl").read_text()
    assert KEY not in log
    assert token not in log
    assert json.loads(log.splitlines()[0])["model"] == "m"


REFUSED: dict[str, dict[str, Any]] = {
    "web_search_20250305": {"tools": [{"type": "web_search_20250305", "name": "web_search"}]},
    "web_search_preview": {"tools": [{"type": "web_search_preview"}]},
    "web_fetch": {"tools": [{"type": "web_fetch_20250910", "name": "web_fetch"}]},
    "code_interpreter": {"tools": [{"type": "code_interpreter", "container": {"type": "auto"}}]},
    "code_execution": {"tools": [{"type": "code_execution_20250825", "name": "code_execution"}]},
    "browser": {"tools": [{"type": "browser"}]},
    "file_search": {"tools": [{"type": "file_search", "vector_store_ids": ["x"]}]},
    "mcp": {"tools": [{"type": "mcp", "server_url": "https://mcp.example.org"}]},
    "mcp_servers": {"mcp_servers": [{"type": "url", "url": "https://mcp.example.org"}]},
    "google_search": {"tools": [{"google_search": {}}]},
    "among others": {"tools": [{"type": "function", "function": {}}, {"type": "web_search"}]},
    "plugins": {"plugins": [{"id": "web"}]},
    "web_search_options": {"web_search_options": {}},
    "search_parameters": {"search_parameters": {"mode": "auto"}},
    "enable_search": {"enable_search": True},
    "online model": {"model": "vendor/model:online"},
    "searching model": {"model": "gpt-4o-search-preview"},
    "image by link": {"messages": [{"role": "user", "content": [
        {"type": "image_url", "image_url": {"url": "https://example.org/fix.png"}}]}]},
    "document by link": {"messages": [{"role": "user", "content": [{"type": "tool_result",
        "content": [{"type": "document", "source": {"type": "url", "url": "https://x.org"}}]}]}]},
    "file by link": {"input": [{"role": "user", "content": [
        {"type": "input_file", "file_url": "https://example.org/fix.patch"}]}]},
}  # fmt: skip
PASSED: dict[str, dict[str, Any]] = {
    "plain": {},
    "function": {"tools": [{"type": "function", "function": {"name": "web_search"}}]},
    "flat function": {"tools": [{"type": "function", "name": "browser", "parameters": {}}]},
    "own tool": {"tools": [{"name": "web_fetch", "input_schema": {"type": "object"}}]},
    "custom": {"tools": [{"type": "custom", "name": "apply_patch"}]},
    "bash": {"tools": [{"type": "bash_20250124", "name": "bash"}]},
    "editor": {"tools": [{"type": "text_editor_20250728", "name": "edit"}]},
    "no tools": {"tools": None, "plugins": [], "enable_search": False},
    "link in a text": {"messages": [{"role": "user", "content": "see https://example.org/a"}]},
    "link in a part": {"messages": [{"role": "user", "content": [
        {"type": "text", "text": "https://example.org/a"}]}]},
    "link in a call": {"messages": [{"role": "assistant", "content": [
        {"type": "tool_use", "input": {"type": "image_url", "url": "https://x.org"}}]}]},
    "image in the message": {"messages": [{"role": "user", "content": [
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}]}]},
    "image source": {"messages": [{"role": "user", "content": [
        {"type": "image", "source": {"type": "base64", "data": "AA=="}}]}]},
    "text input": {"input": "fetch https://example.org"},
    "prompts": {"prompt": ["a", "b"]},
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_tools_of_the_service_are_named(name: str) -> None:
    assert server_side(PLAIN | REFUSED[name])


@pytest.mark.parametrize("name", PASSED)
def test_what_the_box_itself_does_is_passed(name: str) -> None:
    assert server_side(PLAIN | PASSED[name]) == ""


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(
        ["type", "content", "source", "url", "tools", "x"]), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


@given(st.dictionaries(st.sampled_from(["tools", "messages", "input", "model"]), VALUES))
def test_any_json_is_judged(body: dict[str, Any]) -> None:
    assert isinstance(server_side(body), str)


def test_what_is_refused_never_leaves(
    gateway: Callable[..., Any], service: Service, tmp_path: Path
) -> None:
    async def story(asks: httpx2.AsyncClient, grant: GatewayGrant) -> Any:
        bodies = (PLAIN | REFUSED["web_fetch"], PLAIN | {"model": "other"})
        answers = [await asks.post("/v1/messages", json=body) for body in bodies]
        answers.append(await asks.post("/v1/embeddings", json=PLAIN))
        answers.append(await asks.get("/v1/models/../../metrics"))
        answers.append(await asks.post("/v1/messages", content=b"[1]"))
        answers.append(await asks.post("/v1/messages", content=b"[" * 100_000))
        for token in ("", "Bearer wrong"):
            header = {"Authorization": token, "x-api-key": token}
            answers.append(await asks.post("/v1/messages", json=PLAIN, headers=header))
        return answers, grant.incidents(), grant.news()

    answers, incidents, news = gateway(story, models=("m",))

    assert [answer.status_code for answer in answers] == [403] * 4 + [400] * 2 + [403] * 2
    assert "web_fetch" in answers[0].text
    assert service.seen == []
    assert [(one.rule, one.blocked) for one in incidents] == [("wall.gateway.server_tool", True)]
    assert len(news) == 5


def test_trouble_with_the_service(gateway: Callable[..., Any]) -> None:
    async def away(asks: httpx2.AsyncClient, _: GatewayGrant) -> Any:
        return (await asks.post("/v1/messages", json={"model": "away"})).status_code

    async def none(asks: httpx2.AsyncClient, _: GatewayGrant) -> Any:
        return (await asks.get("/v1/models")).status_code

    async def large(asks: httpx2.AsyncClient, _: GatewayGrant) -> Any:
        try:
            body = PLAIN | {"x": "y" * 500_000}
            return (await asks.post("/v1/messages", json=body)).status_code
        except httpx2.TransportError:
            return 400

    assert gateway(away) == 502
    assert gateway(none, base_url="http://127.0.0.1:9") == 502
    assert gateway(large, body_bytes=1000) == 400
    with pytest.raises(UsageError):
        gateway(none, base_url="localhost:8000")
