"""Where tasks come from: a path, a git URL or ``pypi:NAME[==VERSION]`` becomes one tree.

The tree is a layer of its own, without history: the same commit gives the same digest wherever it
came from. A source without version control becomes one commit whose id any machine computes alike.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

from packaging.version import InvalidVersion, Version

from regreen.core.errors import InfrastructureError, PrerequisiteError, RegreenError, UsageError
from regreen.sandbox.layers import Layer, LayerStore
from regreen.tasks.repo.archive import newest_time, read_archive
from regreen.tasks.repo.git import (
    clone,
    commit_date,
    describe,
    entries,
    git,
    is_git_url,
    resolve_commit,
)
from regreen.tasks.repo.index import fetch_sdist, index_url, redact
from regreen.tasks.repo.project import Project
from regreen.tasks.repo.tree import EPOCH, Entry, commit_id, scan, write_tree

__all__ = ["Checkout", "described_version", "owner_and_name", "plain_name", "resolve"]

_LFS = b"version https://git-lfs.github.com/spec/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkout:
    """One commit of a repository, as a tree on this machine."""

    name: str
    """Name of the distribution or directory, usable in file names."""
    repo: str
    """``owner/name`` when a remote tells, else the name."""
    spec: str
    """Where it came from, exact: ``pypi:toolz==1.0.0``, an absolute path or a URL."""
    commit: str
    """Git id of the commit, 40 hexadecimal digits."""
    date: datetime
    """When it was committed or uploaded, in UTC."""
    tree: Layer
    """Its files, without ``.git``."""
    version: str
    """Version to tell build back ends that would ask version control."""
    license: str
    """Licence as the project states it; may be empty."""
    notes: tuple[str, ...] = ()
    """What a person should know: uncommitted changes, submodules, an outdated clone."""


def resolve(spec: str, *, store: LayerStore, commit: str | None = None) -> Checkout:
    """Fetch a source and lay its tree into the store; nothing of it is run.

    Args:
        spec: a directory, a git URL or ``pypi:NAME[==VERSION]``.
        store: takes the tree, downloads and clones.
        commit: commit, tag or branch of a git source; its HEAD when None.

    Raises:
        UsageError: the source is not there or cannot be used.
        PrerequisiteError: it cannot be reached.
        InfrastructureError: the store cannot be written.
    """
    try:
        if spec.startswith("pypi:"):
            return _from_index(spec, store, commit)
        if is_git_url(spec):
            return _from_url(spec, store, commit)
        return _from_path(spec, store, commit)
    except (PermissionError, BlockingIOError) as exc:
        mend = "make it readable and the store writable, or give another place"
        what = f"no access: {exc}"
        raise UsageError(what, where=str(exc.filename), mend=mend) from exc
    except OSError as exc:
        mend = f"free some space below {store.root}"
        what = f"the tree cannot be stored: {exc}"
        raise InfrastructureError(what, mend=mend) from exc


def _from_index(spec: str, store: LayerStore, commit: str | None) -> Checkout:
    found = re.fullmatch(r"pypi:([A-Za-z0-9][\w.-]*)(?:==([\w.!+-]+))?", spec)
    if found is None:
        what = f"not a distribution: {spec}"
        raise UsageError(what, mend="write pypi:NAME or pypi:NAME==VERSION")
    sdist, archive = fetch_sdist(
        found[1], found[2], store.root / "downloads", index=index_url(os.environ)
    )
    exact = f"pypi:{sdist.name}=={sdist.version}"
    date = datetime.fromisoformat(sdist.uploaded) if sdist.uploaded else newest_time(archive)
    tree, blobs = _store_tree(read_archive(archive), store, where=exact)
    identity = commit_id(blobs, date=date, message=f"{sdist.name} {sdist.version}")
    _only_commit(commit, identity, where=exact)
    return Checkout(
        name=sdist.name,
        repo=sdist.name,
        spec=exact,
        commit=identity,
        date=date.astimezone(UTC),
        tree=tree,
        version=sdist.version,
        license=Project(tree.path).license,
    )


def _from_url(url: str, store: LayerStore, commit: str | None) -> Checkout:
    repository, fresh = clone(url, store.root / "clones", commit=commit)
    notes = () if fresh else ("the repository did not answer; this is the state last fetched",)
    spec = redact(url)
    return _from_git(repository, store, commit, spec=spec, remote=spec, prefix="", notes=notes)


def _from_path(spec: str, store: LayerStore, commit: str | None) -> Checkout:
    root = Path(spec).expanduser().resolve()
    if not root.is_dir():
        mend = "give a directory, a git URL (https://…) or pypi:NAME"
        what = "there is no such directory"
        raise UsageError(what, where=spec, mend=mend)
    kind = _repository_kind(root)
    if not kind:
        return _from_directory(root, store, commit)
    notes: tuple[str, ...] = ()
    if kind == "work tree" and _born(root):
        changed = git(root, "diff-index", "--name-only", "HEAD", "--").splitlines()
        if changed:
            notes = (f"{len(changed)} files differ from HEAD; only what is committed is used",)
    try:
        remote = redact(git(root, "config", "--get", "remote.origin.url"))
    except RegreenError:
        remote = ""
    prefix = git(root, "rev-parse", "--show-prefix").rstrip("/") if kind == "work tree" else ""
    return _from_git(root, store, commit, spec=str(root), remote=remote, prefix=prefix, notes=notes)


def _repository_kind(root: Path) -> str:
    """``work tree``, ``bare``, or nothing for a plain directory."""
    try:
        answer = git(root, "rev-parse", "--is-inside-work-tree", "--is-bare-repository")
    except PrerequisiteError:
        raise
    except RegreenError as exc:
        if "safe.directory" in exc.mend:
            raise
        return ""
    return {"true\nfalse": "work tree", "false\ntrue": "bare"}.get(answer, "")


def _born(root: Path) -> bool:
    try:
        return bool(git(root, "rev-parse", "--verify", "--quiet", "HEAD"))
    except RegreenError:
        return False


def _from_directory(root: Path, store: LayerStore, commit: str | None) -> Checkout:
    tree, blobs = _store_tree(scan(root), store, where=str(root))
    newest = max((int((root / path).lstat().st_mtime) for path in blobs), default=EPOCH)
    project = Project(tree.path)
    name = project.name or plain_name(root.name)
    # the id must not hang on file times, which a copy changes, so its date is a constant
    identity = commit_id(blobs, date=datetime.fromtimestamp(EPOCH, UTC), message=name)
    _only_commit(commit, identity, where=str(root))
    return Checkout(
        name=name,
        repo=name,
        spec=str(root),
        commit=identity,
        date=datetime.fromtimestamp(newest, UTC),
        tree=tree,
        version=project.released_version or "0.0.0",
        license=project.license,
    )


def _from_git(
    repository: Path,
    store: LayerStore,
    commit: str | None,
    *,
    spec: str,
    remote: str,
    prefix: str,
    notes: tuple[str, ...],
) -> Checkout:
    identity = resolve_commit(repository, commit, where=spec)
    submodules: list[str] = []
    found = entries(repository, identity, prefix, submodules)
    tree, _ = _store_tree(found, store, where=f"{spec}@{identity[:10]}")
    if submodules:
        notes += (f"submodules are left empty: {', '.join(sorted(submodules)[:5])}",)
    if pointers := _pointers(tree.path):
        notes += (f"{pointers} files are Git LFS pointers; their content is not fetched",)
    project = Project(tree.path)
    return Checkout(
        name=project.name or plain_name(Path(urlsplit(spec).path).name),
        repo=owner_and_name(remote) or project.name or plain_name(Path(spec).name),
        spec=spec,
        commit=identity,
        date=commit_date(repository, identity),
        tree=tree,
        version=described_version(describe(repository, identity))
        or project.released_version
        or "0.0.0",
        license=project.license,
        notes=notes,
    )


def _store_tree(
    found: Iterable[Entry], store: LayerStore, *, where: str
) -> tuple[Layer, dict[str, tuple[str, str]]]:
    staged = store.stage()
    try:
        blobs = write_tree(found, staged, where=where)
        if not blobs:
            mend = "give a repository with Python files and tests"
            what = "the source holds no files"
            raise UsageError(what, where=where, mend=mend)
        return store.commit(staged), blobs
    finally:
        shutil.rmtree(staged, ignore_errors=True)


def _only_commit(asked: str | None, identity: str, *, where: str) -> None:
    if asked and not identity.startswith(asked):
        what = f"this source has one commit only, {identity[:10]}, not {asked}"
        raise UsageError(what, where=where, mend="leave the commit out, or give a git repository")


def _pointers(tree: Path) -> int:
    count = 0
    for path in tree.rglob("*"):
        if path.is_file() and not path.is_symlink() and path.stat().st_size < 1024:
            count += path.read_bytes().startswith(_LFS)
    return count


def plain_name(name: str) -> str:
    """A name that can stand in file names."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name.removesuffix(".git")).strip("-._") or "repository"


def owner_and_name(remote: str) -> str:
    """``owner/name`` of a remote on another machine; a path tells nothing about an owner."""
    if not is_git_url(remote) or remote.startswith("file:"):
        return ""
    path = urlsplit(remote).path if "://" in remote else remote.partition(":")[2]
    parts = [part for part in path.removesuffix(".git").split("/") if part]
    return "/".join(parts[-2:]) if len(parts) > 1 else ""


def described_version(described: str) -> str:
    """What setuptools_scm would say, without the local part: the next patch's ``.devN``."""
    found = re.fullmatch(r"\D*?(\d.*)-(\d+)-g[0-9a-f]+", described)
    if found is None:
        return ""
    try:
        tag = Version(found[1].replace("_", "."))
    except InvalidVersion:
        return ""
    if found[2] == "0":
        return str(tag)
    return f"{tag.major}.{tag.minor}.{tag.micro + 1}.dev{found[2]}"
