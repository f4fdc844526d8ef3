"""The index client, against an index of its own on loopback."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from regreen.core.errors import PrerequisiteError, RegreenError, UsageError
from regreen.sandbox.layers import LayerStore
from regreen.tasks.repo.index import DEFAULT_INDEX, fetch_sdist, index_url, redact
from regreen.tasks.repo.sources import resolve

Member = tuple[str, bytes, bytes]  # name, kind, content or link target


def sdist(*members: Member) -> bytes:
    """A tar.gz with exactly these members."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for name, kind, data in members:
            info = tarfile.TarInfo(name)
            info.type, info.mtime, info.mode = kind, 1_700_000_000, 0o644
            if kind == tarfile.REGTYPE:
                info.size = len(data)
            else:
                info.linkname = data.decode()
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


GOOD = sdist(
    ("demo-1.0/PKG-INFO", tarfile.REGTYPE, b"Name: demo\nVersion: 1.0\nLicense: MIT\n\n"),
    ("demo-1.0/demo.py", tarfile.REGTYPE, b"x = 1\n"),
    ("demo-1.0/.git/config", tarfile.REGTYPE, b"[core]\n"),
    ("demo-1.0/test_demo.py", tarfile.REGTYPE, b"def test(): pass\n"),
    ("demo-1.0/alias.py", tarfile.SYMTYPE, b"demo.py"),
    ("demo-1.0/same.py", tarfile.LNKTYPE, b"demo-1.0/demo.py"),
)


class Index:
    """A package index that can misbehave."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.rows: list[dict[str, object]] = []
        self.page: bytes | None = None
        self.cut = 0
        self.requests: list[tuple[str, str | None]] = []
        index = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                index.answer(self)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/simple/"

    def add(self, filename: str, data: bytes = GOOD, **more: object) -> None:
        self.files[filename] = data
        hashes = {"sha256": hashlib.sha256(data).hexdigest()}
        row = {"filename": filename, "url": f"../../files/{filename}", "hashes": hashes}
        self.rows.append(row | {"upload-time": "2024-05-06T07:08:09.5Z"} | more)

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        self.requests.append((request.path, request.headers.get("Range")))
        name = request.path.rpartition("/")[2]
        if request.path == "/simple/demo/":
            page = json.dumps({"meta": {"api-version": "1.1"}, "files": self.rows}).encode()
            self.send(request, 200, self.page or page)
        elif name in self.files:
            start = int((request.headers.get("Range") or "bytes=0-")[6:-1])
            self.send(request, 206 if start else 200, self.files[name][start:])
        else:
            self.send(request, 404, b"no")

    def send(self, request: BaseHTTPRequestHandler, status: int, body: bytes) -> None:
        request.send_response(status)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        cut, self.cut = (self.cut, 0) if "/files/" in request.path else (0, self.cut)
        request.wfile.write(body[: len(body) - cut])
        request.close_connection = True


@pytest.fixture
def index(monkeypatch: pytest.MonkeyPatch) -> Iterator[Index]:
    served = Index()
    monkeypatch.setenv("UV_DEFAULT_INDEX", served.url)
    yield served
    served.server.shutdown()
    served.server.server_close()


def test_the_newest_final_release_that_installs_here_wins(index: Index, tmp_path: Path) -> None:
    index.add("demo-1.0.tar.gz")
    index.add("demo-1.10.tar.gz")
    index.add("demo-1.9.tar.gz")
    index.add("demo-2.0rc1.tar.gz")
    index.add("demo-3.0.tar.gz", yanked="broken")
    index.add("demo-4.0.tar.gz", **{"requires-python": ">=99"})
    index.add("demo-5.0-py3-none-any.whl")
    found, archive = fetch_sdist("Demo", None, tmp_path / "cache", index=index.url)
    assert (found.name, found.version) == ("demo", "1.10")
    assert archive.read_bytes() == GOOD


def test_a_pinned_version_is_fetched_once_and_then_needs_no_network(
    index: Index, tmp_path: Path
) -> None:
    index.add("demo-1.0.tar.gz", yanked=True)
    first = fetch_sdist("demo", "1.0", tmp_path, index=index.url)
    asked = len(index.requests)
    assert fetch_sdist("demo", "1.0", tmp_path, index="http://127.0.0.1:9/simple/") == first
    assert len(index.requests) == asked
    assert [one.name for one in tmp_path.iterdir() if one.suffix == ".part"] == []


def test_a_broken_download_resumes_where_it_stopped(index: Index, tmp_path: Path) -> None:
    index.add("demo-1.0.tar.gz")
    index.cut = 100
    _, archive = fetch_sdist("demo", None, tmp_path, index=index.url)
    assert archive.read_bytes() == GOOD
    assert index.requests[-1][1] == f"bytes={len(GOOD) - 100}-"


@pytest.mark.parametrize(
    ("name", "version", "error", "said", "mend"),
    [
        ("absent", None, UsageError, "no distribution is named absent", "git URL"),
        ("demo", "1.1", UsageError, "no source archive of version 1.1", "1.0, 1.2"),
        ("demo", "one", UsageError, "not a version", "demo==1.2.3"),
    ],
)
def test_what_is_not_there_is_told_with_what_is(
    index: Index,
    tmp_path: Path,
    name: str,
    version: str | None,
    error: type[RegreenError],
    said: str,
    mend: str,
) -> None:
    index.add("demo-1.0.tar.gz")
    index.add("demo-1.2.tar.gz")
    with pytest.raises(error, match=said) as caught:
        fetch_sdist(name, version, tmp_path, index=index.url)
    assert mend in caught.value.mend


def test_a_project_without_source_archives_points_to_its_repository(
    index: Index, tmp_path: Path
) -> None:
    index.add("demo-1.0-py3-none-any.whl")
    with pytest.raises(UsageError, match="no source archive") as caught:
        fetch_sdist("demo", None, tmp_path, index=index.url)
    assert "git URL" in caught.value.mend


def test_a_wrong_hash_is_refused_and_leaves_nothing(index: Index, tmp_path: Path) -> None:
    index.add("demo-1.0.tar.gz", hashes={"sha256": "0" * 64})
    with pytest.raises(RegreenError, match="does not match its hash"):
        fetch_sdist("demo", None, tmp_path, index=index.url)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("page", [b"<html>a browser's page</html>", b"[]", b"{}"])
def test_an_index_without_the_json_api_is_told_apart(
    index: Index, tmp_path: Path, page: bytes
) -> None:
    index.page = page
    with pytest.raises(PrerequisiteError, match="simple API") as caught:
        fetch_sdist("demo", None, tmp_path, index=index.url)
    assert "PEP 691" in caught.value.mend


def test_no_network_is_a_missing_prerequisite_and_shows_no_password(tmp_path: Path) -> None:
    with pytest.raises(PrerequisiteError, match="does not answer") as caught:
        fetch_sdist("demo", None, tmp_path, index="http://me:secret@127.0.0.1:9/simple/")
    assert "secret" not in "\n".join(caught.value.lines())
    assert redact("x https://u:p@h/a y https://h/@b") == "x https://h/a y https://h/@b"


def test_the_index_is_the_one_uv_and_pip_are_set_up_for(tmp_path: Path) -> None:
    home = {"HOME": str(tmp_path), "PIP_CONFIG_FILE": str(tmp_path / "pip.conf")}
    (tmp_path / "pip.conf").write_text("[global]\nindex-url = https://c.example/%20/simple\n")
    assert index_url(home | {"PIP_INDEX_URL": "https://b.example/"}) == "https://b.example/"
    assert index_url(home | {"UV_INDEX_URL": "https://a.example"}) == "https://a.example/"
    assert index_url(home) == "https://c.example/%20/simple/"
    (tmp_path / "pip.conf").write_text("[install]\n")
    assert index_url(home) == DEFAULT_INDEX


def test_a_source_archive_becomes_a_repository_of_one_commit(index: Index, tmp_path: Path) -> None:
    index.add("demo-1.0.tar.gz")
    found = resolve("pypi:demo", store=LayerStore(tmp_path / "a"))
    again = resolve("pypi:demo==1.0", store=LayerStore(tmp_path / "b"))
    assert (found.commit, found.tree.digest) == (again.commit, again.tree.digest)
    assert (found.spec, found.version, found.license) == ("pypi:demo==1.0", "1.0", "MIT")
    assert found.date.isoformat() == "2024-05-06T07:08:09.500000+00:00"
    names = sorted(one.name for one in found.tree.path.iterdir())
    assert names == ["PKG-INFO", "alias.py", "demo.py", "same.py", "test_demo.py"]
    assert (found.tree.path / "alias.py").is_symlink()
    assert (found.tree.path / "same.py").read_bytes() == b"x = 1\n"


@pytest.mark.parametrize(
    "member",
    [
        ("../out.py", tarfile.REGTYPE, b""),
        ("/demo-1.0/out.py", tarfile.REGTYPE, b""),
        ("demo-1.0/a/../../../out.py", tarfile.REGTYPE, b""),
        ("demo-1.0/link", tarfile.SYMTYPE, b"../../outside"),
        ("demo-1.0/link", tarfile.SYMTYPE, b"/etc"),
        ("demo-1.0/hard", tarfile.LNKTYPE, b"/etc/passwd"),
        ("demo-1.0/pipe", tarfile.FIFOTYPE, b""),
        ("demo-1.0/null", tarfile.CHRTYPE, b""),
    ],
)
def test_an_archive_cannot_reach_outside(index: Index, tmp_path: Path, member: Member) -> None:
    index.add("demo-1.0.tar.gz", sdist(("demo-1.0/ok.py", tarfile.REGTYPE, b""), member))
    with pytest.raises(UsageError, match="not safe"):
        resolve("pypi:demo", store=LayerStore(tmp_path / "store"))
    left = {one.name for one in tmp_path.iterdir()}
    assert left == {"store"}
    assert list((tmp_path / "store" / "staging").iterdir()) == []


def test_a_link_cannot_be_written_through(index: Index, tmp_path: Path) -> None:
    through = sdist(
        ("demo-1.0/real/x.py", tarfile.REGTYPE, b""),
        ("demo-1.0/door", tarfile.SYMTYPE, b"real"),
        ("demo-1.0/door/inner", tarfile.SYMTYPE, b"x.py"),
    )
    index.add("demo-1.0.tar.gz", through)
    with pytest.raises(UsageError, match="both a directory and something else"):
        resolve("pypi:demo", store=LayerStore(tmp_path))


def test_a_damaged_archive_is_told_with_its_place(index: Index, tmp_path: Path) -> None:
    index.add("demo-1.0.tar.gz", GOOD[: len(GOOD) // 2])
    with pytest.raises(RegreenError, match="damaged") as caught:
        resolve("pypi:demo", store=LayerStore(tmp_path))
    assert "downloads" in caught.value.where
