"""Where a history is read from: a path or a URL becomes a git directory on this machine."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from regreen.core.errors import RegreenError, UsageError
from regreen.sandbox.layers import LayerStore
from regreen.tasks.repo.git import clone, git, is_git_url
from regreen.tasks.repo.index import redact
from regreen.tasks.repo.sources import owner_and_name, plain_name

__all__ = ["Origin", "Source", "open_source"]


@dataclass(frozen=True, slots=True)
class Origin:
    """The repository that changes come from."""

    spec: str
    """Path or URL, exact."""
    repo: str
    """``owner/name``, or the name alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A repository with history."""

    repository: Path
    """Work tree or git directory; nothing in it is changed."""
    origin: Origin
    """How rows name it."""
    notes: tuple[str, ...]
    """What a person should know."""


def open_source(spec: str, *, store: LayerStore, repo: str | None = None) -> Source:
    """Find a repository's history, cloning it when it is not here.

    Args:
        spec: a directory with a repository, bare or not, or a git URL.
        store: takes clones.
        repo: ``owner/name`` for the rows; the remote tells when None.

    Raises:
        UsageError: there is no repository.
        PrerequisiteError: it cannot be reached.
    """
    notes: tuple[str, ...] = ()
    if is_git_url(spec):
        found, fresh = clone(spec, store.root / "clones", commit=None)
        notes += () if fresh else ("the repository did not answer; this is the state last fetched",)
        exact = remote = redact(spec)
    else:
        found = _local(spec)
        exact, remote = str(found), _remote(found)
    name = repo or owner_and_name(remote) or plain_name(Path(exact).name)
    _check_hashes(found)
    if git(found, "rev-parse", "--is-shallow-repository") == "true":
        notes += ("the clone is shallow: changes at its edge are left out (git fetch --unshallow)",)
    if _config(found, "--get-regexp", r"^(extensions\.partialclone|remote\..*\.promisor)$"):
        notes += ("the clone is partial: changes whose files were not fetched are left out",)
    return Source(repository=found, origin=Origin(exact, name), notes=notes)


def _local(spec: str) -> Path:
    root = Path(spec).expanduser().resolve()
    what = "a history is needed, and there is none here"
    mend = "give a directory with a git repository, or a git URL (https://…)"
    if not root.is_dir():
        raise UsageError(what, where=str(root), mend=mend)
    try:
        git(root, "rev-parse", "--verify", "--quiet", "HEAD^{commit}")
    except RegreenError as exc:
        if "safe.directory" in exc.mend:
            raise
        if _is_repository(root):
            what = "its HEAD names no commit that can be read: it is empty, or it is damaged"
            mend = "commit something first, check it with git fsck, or make a full clone"
        raise UsageError(what, where=str(root), mend=mend) from exc
    return root


def _is_repository(root: Path) -> bool:
    try:
        git(root, "rev-parse", "--git-dir")
    except RegreenError:
        return False
    return True


def _check_hashes(repository: Path) -> None:
    """Rows, records and trees name objects by SHA-1, as the formats they are written in do.

    Raises:
        UsageError: the repository names its objects otherwise.
    """
    kind = git(repository, "rev-parse", "--show-object-format")
    if kind != "sha1":
        what = f"the repository names its objects by {kind}, and rows name them by sha1"
        mend = "convert a copy: git fast-export --all, into git fast-import of a new repository"
        raise UsageError(what, where=str(repository), mend=mend)


def _remote(repository: Path) -> str:
    return redact(_config(repository, "--get", "remote.origin.url"))


def _config(repository: Path, *asked: str) -> str:
    try:
        return git(repository, "config", *asked)
    except RegreenError:
        return ""
