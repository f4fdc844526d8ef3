"""Container images as directories: what a container would see, and what later layers hide.

Layers are unpacked by hand into a scratch directory; a file that a later layer replaces or removes
is moved aside and looked at as well, for it still lies in the image. Formats: OCI image layout 1.1
and ``docker save``.
"""

from __future__ import annotations

import json
import os
import shutil
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO, Any

from regreen.core.errors import UsageError

__all__ = ["Image", "is_image", "opened_image"]

_ZSTD = b"\x28\xb5\x2f\xfd"
_MARKS = {"manifest.json", "oci-layout"}


@dataclass(frozen=True)
class Image:
    """An unpacked image."""

    merged: Path
    """What a container sees."""
    hidden: Path
    """What it does not see, by the layer that hides it; and the image's own descriptions."""
    notes: list[str] = field(default_factory=list)
    """Members that could not be unpacked."""


def is_image(path: Path) -> bool:
    """Whether a path is an OCI layout, an unpacked ``docker save``, or a tar of either."""
    if path.is_dir():
        return (path / "oci-layout").is_file() or (
            (path / "manifest.json").is_file() and bool(_docker_manifest(path))
        )
    try:
        with tarfile.open(path) as archive:
            return any(member.name.removeprefix("./") in _MARKS for member in archive)
    except (tarfile.TarError, OSError, EOFError):
        return False


@contextmanager
def opened_image(path: Path) -> Iterator[Image]:
    """An image, unpacked until the block ends.

    Raises:
        UsageError: it names layers that it does not hold, or none.
    """
    with tempfile.TemporaryDirectory(prefix="regreen-image-") as scratch:
        root = Path(scratch)
        image = Image(root / "merged", root / "hidden")
        image.merged.mkdir()
        image.hidden.mkdir()
        source = path
        if path.is_file():
            source = root / "source"
            source.mkdir()
            with tarfile.open(path) as archive:
                _Layer(archive, image, source, 0).unpack()
        try:
            _unpack_all(source, image)
        except (json.JSONDecodeError, KeyError, TypeError, OSError, tarfile.TarError) as exc:
            msg = f"the image cannot be read: {exc}"
            raise UsageError(
                msg, where=str(path), mend="save it again: docker save IMAGE -o FILE"
            ) from exc
        yield image


def _unpack_all(source: Path, image: Image) -> None:
    manifests = _docker_manifest(source) or list(_oci_manifests(source))
    if not manifests:
        msg = "no manifest in it"
        raise KeyError(msg)
    used: set[str] = set()
    for number, layers in enumerate(manifests):
        several = len(manifests) > 1
        merged = image.merged / f"image{number}" if several else image.merged
        merged.mkdir(exist_ok=True)
        for depth, name in enumerate(layers, 1):
            used.add(name)
            with (
                _opened(_inside(source, name)) as file,
                tarfile.open(fileobj=file, mode="r|*") as tar,
            ):
                _Layer(tar, image, merged, depth).unpack()
    for path in sorted(source.rglob("*")):
        name = path.relative_to(source).as_posix()
        if path.is_file() and not path.is_symlink() and name not in used:
            target = image.hidden / "image" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)


def _inside(source: Path, name: str) -> Path:
    path = source / name
    if not path.resolve().is_relative_to(source.resolve()):
        msg = f"{name} leads out of the image"
        raise KeyError(msg)
    return path


def _docker_manifest(source: Path) -> list[list[str]]:
    try:
        rows: Any = json.loads((source / "manifest.json").read_bytes())
        return [list(row["Layers"]) for row in rows]
    except (OSError, ValueError, KeyError, TypeError):
        return []


def _oci_manifests(source: Path) -> Iterator[list[str]]:
    queue: list[Any] = [json.loads((source / "index.json").read_bytes())]
    while queue:
        found = queue.pop(0)
        if "layers" in found:
            yield [_blob(row["digest"]) for row in found["layers"]]
        for row in found.get("manifests", ()):
            blob = _inside(source, _blob(row["digest"]))
            if blob.is_file():
                queue.append(json.loads(blob.read_bytes()))


def _blob(digest: str) -> str:
    algorithm, _, name = digest.partition(":")
    return f"blobs/{algorithm}/{name}"


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    with path.open("rb") as file:
        zstd = file.read(4) == _ZSTD
        file.seek(0)
        if not zstd:
            yield file
            return
        import pyarrow

        with pyarrow.CompressedInputStream(pyarrow.PythonFile(file), "zstd") as stream:
            yield stream


@dataclass
class _Layer:
    archive: tarfile.TarFile
    image: Image
    merged: Path
    depth: int

    def unpack(self) -> None:
        for member in self.archive:
            parts = [part for part in PurePosixPath(member.name).parts if part not in {"/", "."}]
            if ".." in parts:
                self.image.notes.append(f"{member.name}: leads out of the image, not unpacked")
            elif parts:
                self._member(member, parts)

    def _member(self, member: tarfile.TarInfo, parts: list[str]) -> None:
        folder = self.merged.joinpath(*parts[:-1])
        if parts[-1] == ".wh..wh..opq":
            for path in list(folder.iterdir()) if folder.is_dir() else ():
                self._hide(path)
        elif parts[-1].startswith(".wh."):
            self._hide(folder / parts[-1][4:])
        else:
            self._put(member, self._folder(parts[:-1]) / parts[-1])

    def _folder(self, parts: list[str]) -> Path:
        """A directory below the root; whatever else stands there moves aside."""
        here = self.merged
        for part in parts:
            here = here / part
            if here.is_symlink() or (here.exists() and not here.is_dir()):
                self._hide(here)
            here.mkdir(exist_ok=True)
        return here

    def _put(self, member: tarfile.TarInfo, path: Path) -> None:
        if member.isdir():
            self._folder(list(path.relative_to(self.merged).parts))
        elif member.issym():
            self._hide(path)
            path.symlink_to(member.linkname)
        elif member.islnk():
            parts = [
                part
                for part in PurePosixPath(member.linkname).parts
                if part not in {"/", ".", ".."}
            ]
            source = self.merged.joinpath(*parts)
            if source.is_file() and not source.is_symlink() and source != path:
                self._hide(path)
                shutil.copyfile(source, path)
        elif member.isfile():
            file = self.archive.extractfile(member)
            if file is not None:
                self._hide(path)
                with path.open("wb") as target:
                    shutil.copyfileobj(file, target, 1 << 20)

    def _hide(self, path: Path) -> None:
        if not path.is_symlink() and not path.exists():
            return
        aside = self.image.hidden / f"hidden-by-layer-{self.depth}" / path.relative_to(self.merged)
        aside.parent.mkdir(parents=True, exist_ok=True)
        number = 0
        while aside.exists() or aside.is_symlink():
            number += 1
            aside = aside.with_name(f"{path.name}.{number}")
        os.rename(path, aside)  # noqa: PTH104 - a link itself is moved
