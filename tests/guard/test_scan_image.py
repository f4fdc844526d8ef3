"""Images are looked at as a container sees them, and below what later layers hide."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from regreen.guard.scan import scan, scan_report

BASE = "def total(items, fee):\n    result = sum(items)\n    return result - fee\n"
FIXED = BASE.replace("- fee", "+ fee")
PATCH = """--- a/purse/money.py
+++ b/purse/money.py
@@ -1,3 +1,3 @@
 def total(items, fee):
     result = sum(items)
-    return result - fee
+    return result + fee
"""


def tar(files: Mapping[str, bytes | str]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, data in files.items():
            raw = data.encode() if isinstance(data, str) else data
            member = tarfile.TarInfo(name)
            member.size = len(raw)
            archive.addfile(member, io.BytesIO(raw))
    return out.getvalue()


LAYERS = [
    {"testbed/purse/money.py": FIXED, "tmp/fix.diff": PATCH, "etc/motd": "hello\n"},
    {"testbed/purse/money.py": BASE, "tmp/.wh.fix.diff": ""},
]


def docker_save(path: Path, layers: list[bytes]) -> Path:
    names = [f"{number}/layer.tar" for number in range(len(layers))]
    manifest = [{"Config": "config.json", "Layers": names}]
    files: dict[str, bytes | str] = {"manifest.json": json.dumps(manifest), "config.json": "{}"}
    path.write_bytes(tar(files | dict(zip(names, layers, strict=True))))
    return path


def oci_layout(path: Path, layers: list[bytes]) -> Path:
    blobs = path / "blobs" / "sha256"
    blobs.mkdir(parents=True)

    def put(data: bytes) -> dict[str, str]:
        name = hashlib.sha256(data).hexdigest()
        (blobs / name).write_bytes(data)
        return {"digest": f"sha256:{name}"}

    rows = [put(gzip.compress(layer)) for layer in layers]
    manifest = put(json.dumps({"config": put(b"{}"), "layers": rows}).encode())
    (path / "index.json").write_text(json.dumps({"manifests": [manifest]}))
    (path / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    return path


@pytest.fixture(params=["docker", "oci", "oci tar"])
def image(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    layers = [tar(layer) for layer in LAYERS]
    if request.param == "docker":
        return docker_save(tmp_path / "image.tar", layers)
    layout = oci_layout(tmp_path / "layout", layers)
    if request.param == "oci":
        return layout
    with tarfile.open(tmp_path / "layout.tar", "w") as archive:
        archive.add(layout, arcname=".")
    return tmp_path / "layout.tar"


def test_what_later_layers_hide_is_named(image: Path) -> None:
    report = scan_report(image, PATCH)

    assert {leak.kind for leak in report.leaks} == {"hidden_layer"}
    assert sorted(leak.where.partition(":")[0] for leak in report.leaks) == [
        "hidden-by-layer-2/testbed/purse/money.py",
        "hidden-by-layer-2/tmp/fix.diff",
    ]
    assert report.unreadable == ()


def test_an_image_of_the_base_alone_is_clean(tmp_path: Path) -> None:
    image = docker_save(tmp_path / "image.tar", [tar({"testbed/purse/money.py": BASE})])

    assert scan_report(image, PATCH).leaks == ()


def test_an_image_with_the_fix_in_sight_is_a_fixed_tree(tmp_path: Path) -> None:
    image = docker_save(tmp_path / "image.tar", [tar({"testbed/purse/money.py": FIXED})])

    assert [leak.kind for leak in scan(image, PATCH)] == ["fixed_tree"]


def test_members_that_lead_out_are_not_unpacked(tmp_path: Path) -> None:
    image = docker_save(tmp_path / "image.tar", [tar({"../../escaped": FIXED, "a": BASE})])

    report = scan_report(image, PATCH)

    assert any("escaped" in line for line in report.unreadable)
    assert not (tmp_path.parent / "escaped").exists()
