"""What the package index proxy costs: pip in a box, directly and through the proxy, side by side.

    python benchmarks/index_proxy.py [--rounds 9] [--requests 3000] [--json FILE]

Both ask the same simple index, a server of this process with one small wheel. Directly means a box
on the host's network; through the proxy means a box without a route, the forwarder and the bound
socket. Installs alternate, so that both see the same load of the machine; the ratio is of medians.
Requests per second are of listings and of the wheel's file, over kept connections to the socket.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import io
import json
import os
import statistics
import sys
import tempfile
import threading
import time
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx2
import pip

from regreen.guard.doors.forwarding import forwarding
from regreen.guard.index.proxy import IndexGrant, IndexProxy
from regreen.guard.index.settings import IndexSettings
from regreen.guard.walls import WallPolicy, spec_for
from regreen.sandbox import provider
from regreen.sandbox.base import BoxSpec, Sandbox

PYTHON = os.path.realpath(sys.executable)
WHEEL = "small-1.0-py3-none-any.whl"
CONNECTIONS = 8


def wheel() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as made:
        made.writestr("small.py", "x = 1\n" * 2000)
        made.writestr(
            "small-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: small\nVersion: 1.0\n"
        )
        made.writestr("small-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        made.writestr("small-1.0.dist-info/RECORD", "")
    return out.getvalue()


def index() -> ThreadingHTTPServer:
    data = wheel()
    row = {
        "filename": WHEEL,
        "url": f"/files/{WHEEL}",
        "hashes": {"sha256": hashlib.sha256(data).hexdigest()},
        "size": len(data),
        "upload-time": "2023-01-01T00:00:00Z",
    }
    page = json.dumps({"meta": {"api-version": "1.1"}, "name": "small", "files": [row]}).encode()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            body = data if self.path.endswith(".whl") else page
            self.send_response(200)
            self.send_header("Content-Type", "application/vnd.pypi.simple.v1+json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


async def install(box: Sandbox, env: dict[str, str]) -> float:
    argv = [PYTHON, "-m", "pip", "install", "-q", "--no-cache-dir", "--no-compile", "--no-deps"]
    begun = time.perf_counter()
    done = await box.exec([*argv, "--target", f"/tmp/{time.time_ns()}", "small"], env=env)
    seconds = time.perf_counter() - begun
    if done.exit_code:
        raise SystemExit(done.stderr.decode())
    return seconds


async def rate(grant: IndexGrant, path: str, requests: int) -> float:
    headers = {"Accept": "application/vnd.pypi.simple.v1+json"}

    async def some(client: httpx2.AsyncClient) -> None:
        for _ in range(requests // CONNECTIONS):
            answer = await client.get(path, headers=headers)
            answer.raise_for_status()

    transport = httpx2.AsyncHTTPTransport(uds=str(grant.socket))
    auth = ("rollout", grant.token)
    async with httpx2.AsyncClient(transport=transport, base_url="http://i", auth=auth) as client:
        await some(client)
        begun = time.perf_counter()
        await asyncio.gather(*(some(client) for _ in range(CONNECTIONS)))
        return requests / (time.perf_counter() - begun)


async def measure(rounds: int, requests: int, scratch: Path) -> dict[str, Any]:
    server, boxes = index(), provider()
    url = f"http://127.0.0.1:{server.server_port}/simple/"
    base = BoxSpec(
        binds=((Path(pip.__file__).parent, "/opt/pip/pip"),),
        env={"PYTHONPATH": "/opt/pip", "PYTHONDONTWRITEBYTECODE": "1"},
        workdir="/tmp",
    )
    settings = IndexSettings(
        upstream=url,
        cache=scratch / "cache",
        log=scratch / "log.jsonl",
        requests_per_second=1e6,  # what it can do, not what it grants one box
    )
    try:
        async with IndexProxy(settings) as proxy:
            grant = await proxy.grant("bench", ["target"], before="2024-01-01")
            direct = await boxes.create(spec_for("build", base))
            walled = await boxes.create(spec_for("act", base, WallPolicy(index="proxy"), grant))
            plain = {"PIP_INDEX_URL": url, "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
            seconds: dict[str, list[float]] = {"direct": [], "proxy": []}
            begun = time.perf_counter()
            async with forwarding(walled, grant):
                start = time.perf_counter() - begun
                for number in range(rounds + 1):
                    once = await install(direct, plain), await install(walled, {})
                    if number:  # the first fills caches
                        seconds["direct"].append(once[0])
                        seconds["proxy"].append(once[1])
            rates = {
                "listings_per_second": await rate(grant, "/simple/small/", requests),
                "files_per_second": await rate(grant, f"/files/small/{WHEEL}", requests),
            }
    finally:
        await boxes.close()
        server.shutdown()
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    return {
        "direct_seconds": medians["direct"],
        "proxy_seconds": medians["proxy"],
        "ratio": medians["proxy"] / medians["direct"],
        "forwarder_start_seconds": start,
        "rounds": rounds,
        "wheel_bytes": len(wheel()),
        **rates,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--requests", type=int, default=3000)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        found = asyncio.run(measure(options.rounds, options.requests, Path(scratch)))
    for name, value in found.items():
        print(f"{name:26} {value:.4g}")
    if options.json:
        options.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
