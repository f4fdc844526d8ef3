"""A reader of OCI image layouts that knows the specification and nothing of the writer."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import shutil
import tarfile
from pathlib import Path
from typing import Any


def opened(path: Path, scratch: Path) -> Path:
    """The layout as a directory, unpacked when it is an archive."""
    if path.is_dir():
        return path
    with tarfile.open(path) as archive:
        archive.extractall(scratch, filter="data")
    return scratch


def blob(layout: Path, descriptor: dict[str, Any]) -> bytes:
    kind, _, name = descriptor["digest"].partition(":")
    data = (layout / "blobs" / kind / name).read_bytes()
    assert kind == "sha256"
    assert hashlib.sha256(data).hexdigest() == name
    assert len(data) == descriptor["size"]
    return data


def image(layout: Path, name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Manifest and configuration of the image with that reference."""
    assert json.loads((layout / "oci-layout").read_text()) == {"imageLayoutVersion": "1.0.0"}
    index = json.loads((layout / "index.json").read_text())
    found = [
        row
        for row in index["manifests"]
        if row["annotations"]["org.opencontainers.image.ref.name"] == name
    ]
    assert len(found) == 1
    manifest = json.loads(blob(layout, found[0]))
    return manifest, json.loads(blob(layout, manifest["config"]))


def unpack(layout: Path, name: str, target: Path) -> dict[str, Any]:
    """Apply the image's layers to an empty directory; its configuration."""
    manifest, config = image(layout, name)
    identities = config["rootfs"]["diff_ids"]
    assert len(identities) == len(manifest["layers"])
    target.mkdir(parents=True, exist_ok=True)
    for descriptor, identity in zip(manifest["layers"], identities, strict=True):
        data = plain(blob(layout, descriptor), descriptor["mediaType"])
        assert identity == f"sha256:{hashlib.sha256(data).hexdigest()}"
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as archive:
            apply(archive, target)
    settings: dict[str, Any] = config["config"]
    return settings


def plain(data: bytes, media_type: str) -> bytes:
    if media_type.endswith("+gzip"):
        return gzip.decompress(data)
    import pyarrow

    with pyarrow.CompressedInputStream(pyarrow.BufferReader(data), "zstd") as stream:
        return bytes(stream.read())


def apply(archive: tarfile.TarFile, root: Path) -> None:
    """One layer: what it deletes concerns the layers below, so deletions come first."""
    members = archive.getmembers()
    for member in members:
        path = root / member.name
        if path.name == ".wh..wh..opq":
            for below in path.parent.iterdir() if path.parent.is_dir() else ():
                remove(below)
        elif path.name.startswith(".wh."):
            remove(path.parent / path.name.removeprefix(".wh."))
    for member in members:
        path = root / member.name
        if path.name.startswith(".wh."):
            continue
        if member.isdir():
            if path.is_symlink() or not path.is_dir():
                remove(path)
                path.mkdir()
            path.chmod(member.mode)
            continue
        remove(path)
        if member.issym():
            path.symlink_to(member.linkname)
        else:
            source = archive.extractfile(member)
            assert source is not None, f"{member.name} is of a kind that no test expects"
            path.write_bytes(source.read())
            path.chmod(member.mode)


def remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
