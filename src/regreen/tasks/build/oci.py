"""Layers as an OCI image layout: a directory that many images share, or one archive.

What overlayfs marks by devices and attributes, OCI marks by names: ``.wh.NAME`` deletes,
``.wh..wh..opq`` hides what lies below a directory. Everything that could differ between two exports
of the same layers (times, owners, order, modes) is fixed, so equal layers are one blob.

Formats: OCI image specification 1.1 (image-layout, manifest, config, layer).
"""

from __future__ import annotations

import fcntl
import gzip
import hashlib
import json
import os
import platform
import re
import secrets
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal, Protocol, cast

from regreen.core.errors import TaskError, UsageError
from regreen.sandbox.overlay import Change, read_changes
from regreen.store.atomic import disk_error, replacing, write_text

__all__ = [
    "Compression",
    "ImageLayout",
    "Part",
    "Written",
    "image_name",
    "write_archive",
    "write_layer_file",
]

Compression = Literal["gzip", "zstd"]
_TIME = 315532800  # 1980-01-01, the earliest time a zip file made inside can hold
_CREATED = "1980-01-01T00:00:00Z"
_INDEX = "application/vnd.oci.image.index.v1+json"
_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_CONFIG = "application/vnd.oci.image.config.v1+json"
_LAYER = "application/vnd.oci.image.layer.v1.tar+"
_REF = "org.opencontainers.image.ref.name"
_MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}
_STICKY = ("tmp", "var/tmp")


@dataclass(frozen=True, slots=True)
class Part:
    """One layer of an image."""

    target: str
    """Absolute directory that it lies over; ``/`` for a whole root."""
    path: Path
    """Its directory here, in overlayfs form."""
    title: str
    """What it is, for the image's history."""


@dataclass(frozen=True, slots=True)
class Written:
    """One layer as it lies in a layout."""

    title: str
    """As in its part."""
    digest: str
    """``sha256:…`` of the compressed blob."""
    diff_id: str
    """``sha256:…`` of the tar."""
    size: int
    """Bytes of the blob."""
    unpacked: int
    """Bytes of the tar."""
    media_type: str
    """With the compression."""


class ImageLayout:
    """An OCI image layout in a directory, to which images are added.

    Args:
        root: the directory; made when it is not there, and refused when it holds anything else.
        compression: of new layers.
    """

    def __init__(self, root: Path, *, compression: Compression = "gzip") -> None:
        self.root = root
        self.compression = compression
        self._known: dict[Part, Written] = {}
        marker = root / "oci-layout"
        try:
            root.mkdir(parents=True, exist_ok=True)
            with _locked(root):
                if not marker.is_file() and any(root.iterdir()):
                    what = "the directory holds something that is no image layout"
                    raise UsageError(what, where=str(root), mend="name a new directory")
                self.blobs.mkdir(parents=True, exist_ok=True)
                write_text(marker, '{"imageLayoutVersion":"1.0.0"}')
        except OSError as exc:
            raise disk_error(exc, root) from exc

    @property
    def blobs(self) -> Path:
        """Where blobs lie, by digest."""
        return self.root / "blobs" / "sha256"

    def layer(self, part: Part) -> Written:
        """Put one layer into the layout; an equal one that lies there is used.

        Raises:
            TaskError: a file has a name that the format reserves.
            InfrastructureError: the disk is full.
        """
        if part not in self._known:
            self._known[part] = self._write(part)
        return self._known[part]

    def image(
        self,
        name: str,
        parts: Sequence[Part],
        *,
        settings: Mapping[str, Any],
        annotations: Mapping[str, str],
    ) -> tuple[str, tuple[Written, ...]]:
        """Add an image; one of the same name is replaced.

        Args:
            name: its reference in the index.
            parts: its layers, the lowest first.
            settings: the ``config`` object: ``Env``, ``WorkingDir``, ``Cmd``.
            annotations: of the manifest.

        Returns:
            The manifest's digest, and the layers.
        """
        layers = tuple(map(self.layer, parts))
        config = self._json(
            {
                "created": _CREATED,
                "architecture": _MACHINES.get(platform.machine(), platform.machine()),
                "os": "linux",
                "config": dict(settings),
                "rootfs": {"type": "layers", "diff_ids": [one.diff_id for one in layers]},
                "history": [
                    {"created": _CREATED, "created_by": f"regreen: {one.title}"} for one in layers
                ],
            }
        )
        manifest = self._json(
            {
                "schemaVersion": 2,
                "mediaType": _MANIFEST,
                "config": {"mediaType": _CONFIG, **config},
                "layers": [
                    {"mediaType": one.media_type, "digest": one.digest, "size": one.size}
                    for one in layers
                ],
                "annotations": dict(sorted(annotations.items())),
            }
        )
        self._list({"mediaType": _MANIFEST, **manifest, "annotations": {_REF: name}})
        return manifest["digest"], layers

    def _write(self, part: Part) -> Written:
        scratch = self.blobs / f".{secrets.token_hex(8)}.tmp"
        try:
            with scratch.open("wb") as file:
                blob, inner = _stream(part, file, self.compression)
            digest = blob.digest
            if not (self.blobs / digest).exists():
                scratch.replace(self.blobs / digest)
        except OSError as exc:
            raise disk_error(exc, self.root) from exc
        finally:
            scratch.unlink(missing_ok=True)
        return Written(
            title=part.title,
            digest=f"sha256:{digest}",
            diff_id=f"sha256:{inner.digest}",
            size=blob.size,
            unpacked=inner.size,
            media_type=_LAYER + self.compression,
        )

    def _json(self, value: Mapping[str, Any]) -> dict[str, Any]:
        """Store an object as a blob; its digest and size."""
        data = json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
        digest = hashlib.sha256(data).hexdigest()
        with replacing(self.blobs / digest) as file:
            file.write(data)
        return {"digest": f"sha256:{digest}", "size": len(data)}

    def _list(self, entry: dict[str, Any]) -> None:
        """Name an image in the index; several processes may do so at once."""
        path = self.root / "index.json"
        with _locked(self.root):
            rows: list[dict[str, Any]] = []
            if path.is_file():
                rows = json.loads(path.read_bytes())["manifests"]
            name = entry["annotations"][_REF]
            kept = [row for row in rows if row.get("annotations", {}).get(_REF) != name]
            listed = sorted([*kept, entry], key=lambda row: row["annotations"][_REF])
            index = {"schemaVersion": 2, "mediaType": _INDEX, "manifests": listed}
            write_text(path, json.dumps(index, sort_keys=True, indent=1) + "\n")


def write_layer_file(part: Part, target: Path) -> None:
    """Write one layer alone, as a tar compressed with gzip.

    Raises:
        UsageError: the place cannot be written to.
        InfrastructureError: the disk is full.
    """
    with replacing(target) as file:
        _stream(part, file, "gzip")


def write_archive(layout: Path, target: Path) -> None:
    """Write a layout as one tar, the same bytes for the same images.

    Raises:
        UsageError: the place cannot be written to.
        InfrastructureError: the disk is full.
    """
    with replacing(target) as file, tarfile.open(fileobj=file, mode="w") as archive:
        for path in sorted([layout, *layout.rglob("*")]):
            name = path.relative_to(layout).as_posix()
            if name == "." or path.name.startswith("."):
                continue
            info = _entry(name, tarfile.DIRTYPE if path.is_dir() else tarfile.REGTYPE)
            if path.is_dir():
                info.mode = 0o755
                archive.addfile(info)
            else:
                info.size = path.stat().st_size
                with path.open("rb") as content:
                    archive.addfile(info, content)


def image_name(text: str) -> str:
    """A reference that every tool takes: lower case and marked where anything had to change."""
    plain = re.sub(r"[^a-z0-9]+", lambda found: _separator(found[0]), text.lower()).strip("-._")
    if plain == text:
        return plain
    return f"{plain[:100]}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def _separator(found: str) -> str:
    return found if found in {".", "_", "__", "-"} else "-"


@contextmanager
def _locked(directory: Path) -> Iterator[None]:
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


class _Sink(Protocol):
    """Takes bytes."""

    def write(self, data: bytes, /) -> object:
        """Take some."""
        ...


class _Counted:
    """Passes bytes on, counting and digesting them."""

    closed = False

    def __init__(self, sink: _Sink) -> None:
        self._sink = sink
        self._sha256 = hashlib.sha256()
        self.size = 0

    @property
    def digest(self) -> str:
        return self._sha256.hexdigest()

    def write(self, data: bytes) -> int:
        self._sha256.update(data)
        self.size += len(data)
        self._sink.write(data)
        return len(data)

    def flush(self) -> None:
        """What pyarrow asks of a file."""

    def close(self) -> None:
        """The sink's owner closes it."""


@contextmanager
def _compressed(sink: _Counted, compression: Compression) -> Iterator[_Sink]:
    if compression == "gzip":
        file = cast("IO[bytes]", sink)
        with gzip.GzipFile("", "wb", compresslevel=6, fileobj=file, mtime=0) as stream:
            yield cast(_Sink, stream)
        return
    import pyarrow

    with pyarrow.CompressedOutputStream(pyarrow.PythonFile(sink, "w"), "zstd") as stream:
        yield stream


def _stream(part: Part, file: _Sink, compression: Compression) -> tuple[_Counted, _Counted]:
    """Write a layer; what was counted outside and inside of the compression."""
    blob = _Counted(file)
    with _compressed(blob, compression) as stream:
        inner = _Counted(stream)
        _write_tar(part, inner)
    return blob, inner


def _entry(name: str, kind: bytes) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.mtime, info.uid, info.gid, info.uname, info.gname = kind, _TIME, 0, 0, "", ""
    return info


def _write_tar(part: Part, sink: _Counted) -> None:
    with tarfile.open(
        fileobj=cast("IO[bytes]", sink),
        mode="w|",
        format=tarfile.PAX_FORMAT,
        encoding="utf-8",
        errors="surrogateescape",
    ) as archive:
        above = part.target.strip("/").split("/") if part.target.strip("/") else []
        for depth in range(len(above)):
            _add_directory(archive, "/".join(above[: depth + 1]))
        for change in read_changes(part.path):
            _add(archive, change, "/".join([*above, change.path]))


def _add_directory(archive: tarfile.TarFile, name: str) -> None:
    info = _entry(name, tarfile.DIRTYPE)
    info.mode = 0o1777 if name in _STICKY else 0o755
    archive.addfile(info)


def _add(archive: tarfile.TarFile, change: Change, name: str) -> None:
    folder, _, last = name.rpartition("/")
    if last.startswith(".wh."):
        what = "a name that image layers reserve for deletions"
        raise TaskError(what, where=name, mend="leave this file out of the image")
    if change.kind in ("directory", "opaque"):
        _add_directory(archive, name)
        if change.kind == "opaque":
            archive.addfile(_entry(f"{name}/.wh..wh..opq", tarfile.REGTYPE))
    elif change.kind == "deleted":
        archive.addfile(_entry(f"{folder}/.wh.{last}".lstrip("/"), tarfile.REGTYPE))
    elif change.kind == "symlink":
        info = _entry(name, tarfile.SYMTYPE)
        info.linkname, info.mode = os.fspath(change.source.readlink()), 0o777
        archive.addfile(info)
    else:
        info = _entry(name, tarfile.REGTYPE)
        info.mode = 0o755 if change.executable else 0o644
        with change.source.open("rb") as content:
            info.size = os.fstat(content.fileno()).st_size
            archive.addfile(info, content)
