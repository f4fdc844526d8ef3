"""A tree with patches applied, as a layer: what a task's healthy tree is when its base is real.

Files that no patch touches are hard links to those of the tree they come from, so that a thousand
tasks of one repository cost their changes and their directories, not a thousand trees.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath

from regreen.core.errors import TaskError
from regreen.core.task import Task
from regreen.grading.patch import FileState, apply_patch
from regreen.sandbox.layers import Layer, LayerStore
from regreen.sandbox.overlay import merged_file
from regreen.tasks.repo.sources import Checkout, resolve
from regreen.tasks.repo.tree import EPOCH

__all__ = ["healthy_checkout", "repaired_tree"]


def repaired_tree(base: Layer, patch: str, test_patch: str, *, store: LayerStore) -> Layer:
    """The tree ``base`` with both patches applied, the one after the other.

    Args:
        base: a whole tree, as ``resolve`` lays it into the store.
        patch: the gold patch.
        test_patch: the tests that come with it.
        store: takes the layer, and remembers it.

    Raises:
        TaskError: a patch does not apply, or would write through a link.
    """
    digest = hashlib.sha256()
    for text in (patch, test_patch):
        digest.update(hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest())
    key = f"repaired:1:{base.digest}:{digest.hexdigest()}"
    known = store.alias(key)
    if known is None:
        known = _write(base.path, _changes(base.path, patch, test_patch), store)
        store.remember(key, known)
    return known


def healthy_checkout(task: Task, *, store: LayerStore) -> Checkout:
    """The source of a task as its environment names it, its tree the healthy one.

    Raises:
        TaskError: the task names no environment, or its patches do not apply to its source.
        UsageError: the source is not there.
        PrerequisiteError: it cannot be reached.
    """
    environment = task.environment
    if environment is None:
        msg = f"{task.instance_id} names no environment we can make"
        raise TaskError(msg, mend="convert the task with --build first")
    checkout = resolve(environment.source, store=store, commit=environment.commit)
    if not environment.patched:
        return checkout
    return replace(
        checkout, tree=repaired_tree(checkout.tree, task.patch, task.test_patch, store=store)
    )


def _changes(base: Path, *patches: str) -> dict[str, FileState | None]:
    found: dict[str, FileState | None] = {}

    def read(path: str) -> FileState | None:
        if path in found:
            return found[path]
        place = merged_file((base,), path)
        return FileState.read(place) if place else None

    for patch in patches:
        found.update(apply_patch(patch, read))
    return found


def _write(base: Path, changes: Mapping[str, FileState | None], store: LayerStore) -> Layer:
    staged = store.stage()
    try:
        links = _link_unchanged(base, staged, changes)
        for path, state in changes.items():
            if state is not None and not state.symlink:
                state.write(staged / path)
                os.utime(staged / path, (EPOCH, EPOCH))
            elif state is not None:
                links[path] = os.fsdecode(state.data)
        # links come last, so that no file can be written through one
        for path, target in links.items():
            _write_link(staged, path, target)
        return store.commit(staged)
    except (FileExistsError, NotADirectoryError, IsADirectoryError) as exc:
        msg = "a patch makes one path both a directory and something else"
        where = str(exc.filename2 or exc.filename).removeprefix(f"{staged}/")
        raise TaskError(msg, where=where, mend="leave this change out") from exc
    finally:
        shutil.rmtree(staged, ignore_errors=True)


def _link_unchanged(
    base: Path, staged: Path, changes: Mapping[str, FileState | None]
) -> dict[str, str]:
    """Fill ``staged`` with the files no patch touches; the tree's symbolic links are returned."""
    links: dict[str, str] = {}
    for folder, names, files in os.walk(base):
        here = Path(folder)
        for name in files + [name for name in names if (here / name).is_symlink()]:
            source = here / name
            path = source.relative_to(base).as_posix()
            if path in changes:
                continue
            if source.is_symlink():
                links[path] = os.fsdecode(source.readlink())
                continue
            (staged / path).parent.mkdir(parents=True, exist_ok=True)
            try:
                (staged / path).hardlink_to(source)
            except OSError:  # a file system without links, or one file with too many
                shutil.copy2(source, staged / path)
    return links


def _write_link(staged: Path, path: str, target: str) -> None:
    place = staged / path
    if any((staged / above).is_symlink() for above in PurePosixPath(path).parents):
        msg = "a patch names a file below a link"
        raise TaskError(msg, where=path, mend="leave this change out")
    place.parent.mkdir(parents=True, exist_ok=True)
    place.symlink_to(target)
    os.utime(place, (EPOCH, EPOCH), follow_symlinks=False)
