"""No task whose repair lies about in its own box: a copy elsewhere in the tree, or in a package.

The repository an agent gets is written anew and holds one commit, so only files can leak. What the
environment's layers hold is indexed once for all tasks, package by package, for environments share
most of theirs; what the index cannot exclude is scanned in earnest.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping
from functools import cached_property, lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory

from regreen.core.task import Task
from regreen.grading.patch import apply_patch
from regreen.grading.workshop import Workshop
from regreen.guard.scan import scan
from regreen.guard.scan.hunks import parse_patch
from regreen.guard.scan.index import LineIndex, Package, line_index, seal_check
from regreen.guard.scan.text import canonical_lines
from regreen.guard.scan.walk import files_below
from regreen.sandbox.layers import LayerStore
from regreen.sandbox.overlay import copy_merged
from regreen.tasks.build.repository import Repository

__all__ = ["SealGate", "leaks_of"]

_LARGEST = 1 << 22
_SITE = "site-packages"
_KNOWN_LAYERS = 8


class SealGate:
    """Checks tasks that share their layers; what these hold is indexed when first asked.

    Args:
        layers: what lies in a task's box besides its own tree.
        store: keeps the indices of layers.
        tree: the tree whose other files may hold a copy; None where a copy is the project's own
            doing, as in a real change.
    """

    def __init__(
        self, layers: Iterable[Path], store: LayerStore, *, tree: Path | None = None
    ) -> None:
        self._layers = tuple(layers)
        self._store = store
        self._tree = tree

    @classmethod
    def of_repository(cls, repository: Repository, store: LayerStore) -> SealGate:
        """For bugs put into a repository's tree."""
        layers = (*repository.place.env, *repository.place.tree[:-1])
        return cls(layers, store, tree=repository.checkout.tree.path)

    @cached_property
    def _texts(self) -> dict[str, bytes]:
        return dict(_texts(self._tree)) if self._tree else {}

    def leaks(self, patch: str, base: Mapping[str, bytes]) -> tuple[str, ...]:
        """Places other than the repaired files themselves that hold the repair.

        Args:
            patch: the repair.
            base: broken content of the files it touches.
        """
        scratch = self._store.root / "staging"
        packages = _packages(self._layers, self._store)
        found = seal_check(packages, patch, base.get, scratch=scratch)
        copies = [
            path
            for file in parse_patch(patch)
            for hunk in file.hunks
            for path, text in self._texts.items()
            if path not in base and _joined(hunk.side(b"+")) in text
        ]
        return (*(leak.where for leak in found), *copies)


async def leaks_of(task: Task, workshop: Workshop, store: LayerStore) -> tuple[str, ...]:
    """What in a task's act box gives it away: places of the fix or of its hidden tests.

    Args:
        task: its environment must be on this machine.
        workshop: knows its layers.
        store: keeps the indices of layers.
    """
    lowers = await workshop.act_lowers(task)
    place = await workshop.place(task)
    read = await workshop.reader(task)
    hidden = {
        path: state.data for path, state in apply_patch(task.test_patch, read).items() if state
    }

    def base(path: str) -> bytes | None:
        state = read(path)
        return state.data if state else None

    with TemporaryDirectory(prefix="regreen-seal-") as scratch:
        copy_merged(lowers, Path(scratch))
        found = scan(Path(scratch), task.patch, base=base, forbidden=hidden)
    packages = _packages(place.env, store)
    found += seal_check(packages, task.patch, base, scratch=store.root / "staging")
    return tuple(f"{leak.kind} at {leak.where}" for leak in found)


def _joined(lines: Iterable[bytes]) -> bytes:
    return b"\n".join(line for text in lines for line in canonical_lines(text) if line)


def _texts(root: Path) -> Iterable[tuple[str, bytes]]:
    for path in sorted(root.rglob("*")):
        if path.is_file() and not path.is_symlink() and path.stat().st_size <= _LARGEST:
            yield path.relative_to(root).as_posix(), _joined([path.read_bytes()])


def _packages(layers: Iterable[Path], store: LayerStore) -> tuple[Package, ...]:
    return tuple(package for layer in layers for package in _packages_of(layer, store))


@lru_cache(maxsize=_KNOWN_LAYERS)
def _packages_of(layer: Path, store: LayerStore) -> tuple[Package, ...]:
    """Of a layer, which never changes; of a few at a time, for an index may have 20 MB."""
    found: dict[Path, list[Path]] = {}
    for path in files_below(layer):
        found.setdefault(_package(path.relative_to(layer)), []).append(path)
    return tuple(
        Package(layer=layer, files=files, index=_indexed(files, layer, store))
        for files in found.values()
    )


def _package(path: Path) -> Path:
    """The folder or module of ``site-packages`` that a file belongs to; one of all the others."""
    names = path.parts
    return Path(*names[: names.index(_SITE) + 2]) if _SITE in names else Path()


def _indexed(files: list[Path], layer: Path, store: LayerStore) -> LineIndex:
    digest = hashlib.sha256()
    for path in files:
        if not path.is_symlink():
            try:
                with path.open("rb") as handle:
                    digest.update(hashlib.file_digest(handle, "sha256").digest())
            except OSError:
                digest.update(b"not readable")  # the index will say that it is not complete
            digest.update(os.fsencode(path.relative_to(layer)) + b"\0")
    key = f"lines:2:{digest.hexdigest()}"
    known = store.alias(key)
    if known is None:
        staged = store.stage()
        (staged / "lines").write_bytes(line_index(files).to_bytes())
        known = store.commit(staged)
        store.remember(key, known)
    return LineIndex.from_bytes((known.path / "lines").read_bytes())
