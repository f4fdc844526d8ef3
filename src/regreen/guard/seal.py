"""Sealing: a repository with the tree an agent starts from and nothing that leads beyond it.

The tree is exported object by object into a new repository, for a clone that is cleaned afterwards
keeps whatever the list of clean-up commands forgot. What is written is what the commit holds:
attributes, filters and replace references of the source are never consulted.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

from regreen.core.errors import RegreenError, UsageError
from regreen.core.task import BASE_AUTHOR, base_message
from regreen.guard.scan.git_store import ScratchStore, TreeFile, object_format
from regreen.guard.scan.references import head_commit, resolved
from regreen.guard.scan.repository import Repository, git_dir_of

__all__ = ["SealedTree", "seal"]

_LINK, _SUBMODULE = "120000", "160000"
_DATE = datetime(2000, 1, 1, tzinfo=UTC)
_AUTHOR = re.compile(r"(?P<name>[^<>\n]*?)\s*<(?P<email>[^<>\n]*)>")
_CONFIG = """[core]
\trepositoryformatversion = {version}
\tfilemode = true
\tbare = false
\thooksPath = /dev/null
\tautocrlf = false
[gc]
\tauto = 0
[user]
\tname = {name}
\temail = {email}
"""
_ATTRIBUTES = "* -text -eol -filter -ident -working-tree-encoding\n"


@dataclass(frozen=True)
class SealedTree:
    """A sealed repository."""

    path: Path
    """Its working tree; the repository lies in ``.git`` below it."""
    commit: str
    """The commit that is checked out."""
    tree: str
    """Id of its tree, the same as in the source."""
    num_files: int
    """Files and links written."""
    submodules: tuple[str, ...] = ()
    """Paths of submodules: their entries are kept, their content is not there."""


def seal(
    source: Path,
    target: Path,
    *,
    commit: str = "HEAD",
    history: bool = False,
    when: datetime = _DATE,
    author: str = BASE_AUTHOR,
    message: str = "",
) -> SealedTree:
    """Export a commit of a local repository into a new repository that holds nothing else.

    Args:
        source: a repository, bare or with a working tree.
        target: a directory that does not exist or is empty.
        commit: ``HEAD``, a branch, a tag or an id.
        history: keep the commits before it; otherwise there is one new commit.
        when: date of the new commit, and of every file.
        author: ``NAME <EMAIL>`` of the new commit.
        message: of the new commit.

    Raises:
        UsageError: the source has no such commit, its tree cannot be written safely, or the target
            is not empty.
        RegreenError: objects of the commit are missing.
    """
    git_dir = git_dir_of(source)
    if git_dir is None:
        msg = "this is no git repository"
        raise UsageError(msg, where=str(source), mend="give a repository, or git init one")
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        msg = "the sealed repository needs an empty place"
        raise UsageError(msg, where=str(target), mend="give a directory that does not exist")
    repository = Repository(git_dir, str(source), Path("/"))
    try:
        store = repository.store
        base = _commit(repository, commit)
        files = store.tree(base)
        _check(files, str(source))
        tree = store.run("rev-parse", f"{base}^{{tree}}").decode().strip()
        tip = base if history else _new_commit(store, tree, when, author, message or _title(source))
        target.mkdir(parents=True, exist_ok=True)
        _write(store, files, target, when)
        _repository(repository, target, tip, author)
    finally:
        repository.close()
    submodules = tuple(file.path for file in files if file.mode == _SUBMODULE)
    return SealedTree(target, tip, tree, len(files) - len(submodules), submodules)


def _title(source: Path) -> str:
    return base_message(source.resolve().name.removesuffix(".git"))


def _commit(repository: Repository, name: str) -> str:
    """The id of a commit, found without asking the source's own configuration."""
    choices = (name, *(f"refs/{kind}/{name}" for kind in ("heads", "tags", "remotes")))
    found = head_commit(repository.git_dir)[0] if name == "HEAD" else ""
    if not found and ".." not in name:
        found = next(
            filter(None, (resolved(repository.git_dir, choice) for choice in choices)), name
        )
    try:
        if re.fullmatch(r"[0-9a-f]{4,64}", found):
            asked = ("rev-parse", "--verify", "--quiet", f"{found}^{{commit}}")
            return repository.store.run(*asked).decode().strip()
    except RegreenError:
        pass
    msg = f"the repository has no commit {name}"
    raise UsageError(msg, where=str(repository.git_dir), mend="give one that `git log` shows")


def _check(files: list[TreeFile], where: str) -> None:
    links = {file.path for file in files if file.mode in {_LINK, _SUBMODULE}}
    for file in files:
        parts = PurePosixPath(file.path).parts
        unsafe = file.path.startswith("/") or any(
            part in {"", ".", ".."} or part.lower() in {".git", "git~1"} for part in parts
        )
        through = any(str(above) in links for above in PurePosixPath(file.path).parents)
        if unsafe or through or "\0" in file.path:
            msg = f"the tree holds an unsafe path: {file.path!r}"
            raise UsageError(msg, where=where, mend="do not trust this source")


def _new_commit(store: ScratchStore, tree: str, when: datetime, author: str, message: str) -> str:
    match = _AUTHOR.fullmatch(author.strip())
    if match is None:
        msg = f"this is no author: {author!r}"
        raise UsageError(msg, where="seal", mend="give NAME <EMAIL>")
    stamp = f"{int(when.timestamp())} +0000"
    env = {
        f"GIT_{role}_{part}": value
        for role in ("AUTHOR", "COMMITTER")
        for part, value in (("NAME", match["name"]), ("EMAIL", match["email"]), ("DATE", stamp))
    }
    return store.run("commit-tree", "-m", message, tree, env=env).decode().strip()


def _write(store: ScratchStore, files: list[TreeFile], target: Path, when: datetime) -> None:
    paths: dict[str, list[TreeFile]] = {}
    for file in files:
        if file.mode == _SUBMODULE:
            (target / file.path).mkdir(parents=True, exist_ok=True)
        else:
            paths.setdefault(file.id, []).append(file)
    stamp = when.timestamp()
    written: set[str] = set()
    links: list[tuple[Path, bytes]] = []
    for found in store.objects(paths):
        written.add(found.id)
        for file in paths[found.id]:
            place = target / file.path
            place.parent.mkdir(parents=True, exist_ok=True)
            if file.mode == _LINK:
                links.append((place, found.data))
                continue
            place.write_bytes(found.data)
            place.chmod(0o755 if file.mode == "100755" else 0o644)
            os.utime(place, (stamp, stamp))
    for place, data in links:  # last, so that no file is written through one
        place.symlink_to(os.fsdecode(data))
        os.utime(place, (stamp, stamp), follow_symlinks=False)
    if missing := paths.keys() - written:
        msg = f"the repository lacks the content of {paths[min(missing)][0].path}"
        raise RegreenError(msg, where=str(target), mend="make a full clone of the source")


def _repository(source: Repository, target: Path, tip: str, author: str) -> None:
    """The ``.git`` of a sealed tree: one pack, one branch, an index, and settings of our own."""
    git_dir = target / ".git"
    algorithm = object_format(source.git_dir)
    store = source.store
    store.run("init", "-q", "--template=", f"--object-format={algorithm}", str(target), at=False)
    match = _AUTHOR.fullmatch(author.strip())
    name, email = (match["name"], match["email"]) if match else ("", "")
    config = _CONFIG.format(version=int(algorithm != "sha1"), name=name, email=email)
    if algorithm != "sha1":
        config += f"[extensions]\n\tobjectformat = {algorithm}\n"
    (git_dir / "config").write_text(config)
    store.copy_to(git_dir, tip)
    (git_dir / "HEAD").write_text("ref: refs/heads/main\n")
    (git_dir / "refs" / "heads" / "main").write_text(f"{tip}\n")
    shallow = store.path / "shallow"
    if shallow.exists():
        kept = [name for name in shallow.read_text().split() if name in store.commits([tip])]
        if kept:
            (git_dir / "shallow").write_text("".join(f"{name}\n" for name in kept))
    (git_dir / "info").mkdir(exist_ok=True)
    (git_dir / "info" / "attributes").write_text(_ATTRIBUTES)
    where = (f"--git-dir={git_dir}", f"--work-tree={target}")
    store.run(*where, "read-tree", "HEAD", at=False)
    store.run(*where, "update-index", "-q", "--refresh", at=False)
