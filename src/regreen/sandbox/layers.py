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
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Layer", "LayerStore", "tree_digest"]


@dataclass(frozen=True, slots=True)
class Layer:
    """A read-only directory and the digest of what it holds."""

    digest: str
    """``sha256`` in hexadecimal."""
    path: Path
    """Where it lies on this machine."""


def tree_digest(root: Path) -> str:
    """SHA-256 over a tree's sorted entries: path, kind, executable bit, content."""
    total = hashlib.sha256()
    for folder, names, files in os.walk(root):
        names.sort()
        for name in sorted(files + [n for n in names if os.path.islink(os.path.join(folder, n))]):
            path = Path(folder, name)
            info = path.lstat()
            entry = path.relative_to(root).as_posix().encode("utf-8", "surrogateescape")
            if stat.S_ISLNK(info.st_mode):
                total.update(b"L" + entry + b"\0" + os.fsencode(path.readlink()) + b"\0")
            elif stat.S_ISREG(info.st_mode):
                kind = b"X" if info.st_mode & stat.S_IXUSR else b"F"
                with path.open("rb") as handle:
                    content = hashlib.file_digest(handle, "sha256").digest()
                total.update(kind + entry + b"\0" + content)
            else:
                total.update(b"W" + entry + b"\0")
        if not files and not names:
            entry = Path(folder).relative_to(root).as_posix().encode("utf-8", "surrogateescape")
            total.update(b"D" + entry + b"\0")
    return total.hexdigest()


class LayerStore:
    """Layers below one root directory, safe for several processes at once."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for name in ("layers", "aliases", "staging"):
            (root / name).mkdir(parents=True, exist_ok=True)

    def stage(self) -> Path:
        """A fresh empty directory on the store's own filesystem, to be filled and committed."""
        path = self.root / "staging" / secrets.token_hex(8)
        path.mkdir()
        return path

    def commit(self, staged: Path) -> Layer:
        """Turn a staged directory into a layer; an equal one that stands already wins."""
        digest = tree_digest(staged)
        target = self.root / "layers" / digest
        try:
            staged.rename(target)
        except OSError:
            if not target.is_dir():
                raise
            shutil.rmtree(staged)
        return Layer(digest, target)

    def get(self, digest: str) -> Layer | None:
        """The layer of that digest, or None when this machine does not hold it."""
        path = self.root / "layers" / digest
        return Layer(digest, path) if digest and path.is_dir() else None

    def alias(self, key: str) -> Layer | None:
        """The layer an earlier ``remember`` recorded for this input key."""
        link = self.root / "aliases" / hashlib.sha256(key.encode()).hexdigest()
        try:
            return self.get(link.read_text().strip())
        except FileNotFoundError:
            return None

    def remember(self, key: str, layer: Layer) -> None:
        """Record that the input ``key`` led to ``layer``."""
        link = self.root / "aliases" / hashlib.sha256(key.encode()).hexdigest()
        scratch = self.root / "staging" / secrets.token_hex(8)
        scratch.write_text(layer.digest)
        scratch.rename(link)
