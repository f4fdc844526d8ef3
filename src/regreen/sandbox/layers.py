"""Content-addressed read-only directories that serve as overlay lowers.

A layer's name is the digest of its tree (paths, modes, contents, links, whiteouts; not times),
so two builds that end in the same files share one directory. Aliases remember which input led
to which layer, so that nothing is built twice.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from regreen.core.errors import InfrastructureError

__all__ = ["OPAQUE", "Layer", "LayerStore", "is_opaque", "is_whiteout", "tree_digest"]

OPAQUE = "user.overlay.opaque"
"""The extended attribute of an opaque directory, as overlayfs mounted with ``userxattr`` names it.
The kernel hides it inside a box, so that only the host can set it on a layer."""


@dataclass(frozen=True, slots=True)
class Layer:
    """A read-only directory and the digest of what it holds."""

    digest: str
    """``sha256`` in hexadecimal."""
    path: Path
    """Where it lies on this machine."""


def is_whiteout(info: os.stat_result) -> bool:
    """Whether this is overlayfs' mark for "deleted": a character device 0/0."""
    return stat.S_ISCHR(info.st_mode) and info.st_rdev == 0


def is_opaque(path: str | os.PathLike[str]) -> bool:
    """Whether a directory hides what the lowers have below it."""
    try:
        return os.getxattr(path, OPAQUE, follow_symlinks=False) == b"y"
    except OSError:
        return False


def _entry_digest(path: Path, entry: bytes) -> bytes:
    info = path.lstat()
    if stat.S_ISLNK(info.st_mode):
        return b"L" + entry + b"\0" + os.fsencode(path.readlink()) + b"\0"
    if stat.S_ISREG(info.st_mode):
        kind = b"X" if info.st_mode & stat.S_IXUSR else b"F"
        with path.open("rb") as handle:
            return kind + entry + b"\0" + hashlib.file_digest(handle, "sha256").digest()
    return b"W" + entry + b"\0"


def tree_digest(root: Path) -> str:
    """SHA-256 over a tree's sorted entries: path, kind, executable bit, content, opaque marks."""
    total = hashlib.sha256()
    for folder, names, files in os.walk(root):
        names.sort()
        here = Path(folder)
        links = [name for name in names if (here / name).is_symlink()]
        entry = here.relative_to(root).as_posix().encode("utf-8", "surrogateescape")
        if is_opaque(here):
            total.update(b"O" + entry + b"\0")
        elif not files and not names:
            total.update(b"D" + entry + b"\0")
        for name in sorted(files + links):
            path = here / name
            relative = path.relative_to(root).as_posix().encode("utf-8", "surrogateescape")
            total.update(_entry_digest(path, relative))
    return total.hexdigest()


class LayerStore:
    """Layers below one root directory, safe for several processes at once.

    Args:
        root: the directory, made when absent.
        behind: another store on the same filesystem, whose layers are read but not added to.
    """

    def __init__(self, root: Path, *, behind: LayerStore | None = None) -> None:
        self.root = root
        self.behind = behind
        try:
            for name in ("layers", "aliases", "staging"):
                (root / name).mkdir(parents=True, exist_ok=True)
        except OSError as exc:
            raise self.failure(exc) from exc

    def failure(self, exc: OSError) -> InfrastructureError:
        """What to raise for an error of the disk below the store."""
        what = f"the layer store cannot be written to: {exc.strerror}"
        mend = "free space there, or choose another directory for the store"
        return InfrastructureError(what, where=str(self.root), mend=mend)

    def stage(self) -> Path:
        """A fresh empty directory on the store's own filesystem, to be filled and committed."""
        path = self.root / "staging" / secrets.token_hex(8)
        try:
            path.mkdir()
        except OSError as exc:
            raise self.failure(exc) from exc
        return path

    @property
    def lasting(self) -> LayerStore:
        """The store that stays: this one, or the one behind all others."""
        return self.behind.lasting if self.behind else self

    @contextmanager
    def scratch(self) -> Iterator[LayerStore]:
        """A store for what is needed for a while: its own layers are gone when it ends."""
        root = self.stage()
        try:
            yield LayerStore(root, behind=self)
        finally:
            shutil.rmtree(root, ignore_errors=True)

    def adopt(self, layer: Layer) -> Layer:
        """Keep a layer of a scratch store; one that lies here already stays as it is."""
        target = self.root / "layers" / layer.digest
        if not target.is_dir():
            try:
                layer.path.rename(target)
            except OSError as exc:
                if not target.is_dir():
                    raise self.failure(exc) from exc
        return Layer(layer.digest, target)

    def commit(self, staged: Path) -> Layer:
        """Turn a staged directory into a layer; an equal one that stands already wins."""
        digest = tree_digest(staged)
        if known := self.behind and self.behind.get(digest):
            shutil.rmtree(staged)
            return known
        target = self.root / "layers" / digest
        try:
            # an empty directory would take the place of an empty layer that boxes live on
            if target.is_dir():
                raise FileExistsError(target)
            staged.rename(target)
        except OSError:
            if not target.is_dir():
                raise
            shutil.rmtree(staged)
        return Layer(digest, target)

    def get(self, digest: str) -> Layer | None:
        """The layer of that digest, or None when this machine does not hold it."""
        path = self.root / "layers" / digest
        if digest and path.is_dir():
            return Layer(digest, path)
        return self.behind.get(digest) if self.behind else None

    def alias(self, key: str) -> Layer | None:
        """The layer an earlier ``remember`` recorded for this input key."""
        link = self.root / "aliases" / hashlib.sha256(key.encode()).hexdigest()
        try:
            return self.get(link.read_text().strip())
        except FileNotFoundError:
            return self.behind.alias(key) if self.behind else None

    def remember(self, key: str, layer: Layer) -> None:
        """Record that the input ``key`` led to ``layer``."""
        link = self.root / "aliases" / hashlib.sha256(key.encode()).hexdigest()
        scratch = self.root / "staging" / secrets.token_hex(8)
        scratch.write_text(layer.digest)
        scratch.rename(link)
