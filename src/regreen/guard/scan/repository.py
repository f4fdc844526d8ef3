"""One git directory: what its names lead to, what its objects hold, what its settings let out.

Objects are found first and explained afterwards: which reference reaches them is asked only for the
few that hold the fix.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from regreen.core.errors import RegreenError
from regreen.guard.scan.collecting import Collector, first_of
from regreen.guard.scan.evidence import Match
from regreen.guard.scan.git_store import ScratchStore, TreeFile, object_format
from regreen.guard.scan.places import secret_kind
from regreen.guard.scan.references import (
    Reference,
    config_findings,
    head_commit,
    references,
    reflog_entries,
)
from regreen.guard.scan.walk import files_below

__all__ = ["Repository", "find_alternates", "git_dir_of", "is_git_dir"]

_MANY = 100
_NAMED_REFS = 200


def is_git_dir(path: Path) -> bool:
    """Whether a directory looks like a repository's own."""
    return os.path.isfile(path / "HEAD") and os.path.isdir(path / "objects")  # noqa: PTH112, PTH113 - never raise


def git_dir_of(path: Path) -> Path | None:
    """The git directory of a working tree or a bare repository; None where there is none."""
    inner = path / ".git"
    if inner.is_file():
        text = inner.read_text(errors="surrogateescape")
        inner = path / text.removeprefix("gitdir:").strip()
    return next((found for found in (inner, path) if is_git_dir(found) or _linked(found)), None)


def _linked(path: Path) -> bool:
    return (path / "HEAD").is_file() and (path / "commondir").is_file()


def find_alternates(objects: Path, root: Path) -> list[Path]:
    """Stores a store borrows from, directly and through others.

    Args:
        objects: the borrower.
        root: where absolute paths of a foreign file system begin.
    """
    found: dict[Path, None] = {}
    queue = [objects]
    while queue:
        store = queue.pop()
        try:
            lines = (store / "info" / "alternates").read_text(errors="surrogateescape").splitlines()
        except OSError:
            continue
        for line in filter(None, (line.strip().strip('"') for line in lines)):
            choices = [store / line, root / line.lstrip("/")]
            place = next((path for path in choices if path.is_dir()), choices[0])
            if not line.startswith("#") and place not in found and place != objects:
                found[place] = None
                queue.append(place)
    return list(found)


@dataclass
class Repository:
    """A git directory to look into."""

    git_dir: Path
    """The directory itself."""
    label: str
    """How it is called in findings."""
    root: Path
    """Where the scan began."""
    kind: str = ""
    """Kind of every leak in it, for submodules and the like; empty for an ordinary one."""
    work_tree: Path | None = None
    """The checked-out files, where they are known."""
    readable: bool = field(default=True, init=False)
    """Whether all of its objects could be read in place."""

    @cached_property
    def objects_dir(self) -> Path:
        """Where its objects lie; those of a linked working tree are in the main repository."""
        common = self.git_dir / "commondir"
        if common.is_file():
            return self.git_dir / common.read_text(errors="surrogateescape").strip() / "objects"
        return self.git_dir / "objects"

    @cached_property
    def alternates(self) -> list[Path]:
        """Stores it borrows from."""
        return find_alternates(self.objects_dir, self.root)

    @cached_property
    def store(self) -> ScratchStore:
        """A scratch repository with its objects."""
        try:
            shallow = (self.git_dir / "shallow").read_bytes()
        except OSError:
            shallow = b""
        stores = [self.objects_dir, *(path for path in self.alternates if path.is_dir())]
        return ScratchStore(stores, algorithm=object_format(self.git_dir), shallow=shallow)

    @cached_property
    def listing(self) -> dict[str, tuple[str, int]]:
        """Kind and size of all objects."""
        try:
            return self.store.listing()
        except RegreenError:
            self.readable = False
            return {}

    @cached_property
    def head(self) -> str:
        """The commit that is checked out, where the store holds it."""
        found, _ = head_commit(self.git_dir)
        return found if found in self.listing else ""

    @cached_property
    def head_tree(self) -> dict[str, TreeFile]:
        """Files of HEAD by path."""
        try:
            return {row.path: row for row in self.store.tree(self.head)} if self.head else {}
        except RegreenError:
            return {}

    @cached_property
    def past(self) -> set[str]:
        """HEAD and the commits before it."""
        return self.store.commits([self.head]) if self.head else set()

    def read(self, path: str) -> bytes | None:
        """A file of HEAD."""
        row = self.head_tree.get(path)
        return next((found.data for found in self.store.objects([row.id])), None) if row else None

    def held(self) -> Iterator[bytes]:
        """Contents of HEAD."""
        ids = {row.id for row in self.head_tree.values() if row.mode != "160000"}
        return (found.data for found in self.store.objects(ids))

    def close(self) -> None:
        """Remove the scratch repository."""
        self.store.close()

    def handled(self, inside: tuple[str, ...]) -> bool:
        """Whether a file of the object store was read as objects already."""
        if not self.readable or inside[0] != "objects" or len(inside) != 3:
            return False
        folder, name = inside[1:]
        if len(folder) == 2:
            return folder + name in self.listing
        pack = self.objects_dir / folder / name
        return folder == "pack" and name.endswith(".pack") and _indexed(pack)

    def structure(self, out: Collector) -> None:
        """Report what leads beyond HEAD or out of the repository, whatever it holds."""
        for config in ("config", "config.worktree"):
            for kind, words in config_findings(self.git_dir / config):
                out.add(kind, f"{self.label}/{config}", words, fix=False)
        for folder in ("remotes", "branches"):
            for path in files_below(self.git_dir / folder):
                out.add("remote", self._inside(path), "a remote in the old form", fix=False)
        for path in files_below(self.git_dir / "hooks"):
            if path.suffix != ".sample":
                out.add("hook", self._inside(path), "a hook", fix=False)
        for name in ("alternates", "http-alternates"):
            path = self.objects_dir / "info" / name
            if path.is_file() and path.stat().st_size:
                words = f"borrows objects from {first_of(path.read_text(errors='replace').split())}"
                out.add("alternate", self._inside(path), words, fix=False)
        for kind, folder in (("worktree", "worktrees"), ("submodule", "modules")):
            for path in sorted((self.git_dir / folder).glob("*")):
                out.add(kind, self._inside(path), f"a {kind} of the repository", fix=False)
        self._names(out)
        self._future(out)

    def _names(self, out: Collector) -> None:
        for ref in references(self.git_dir):
            if self._beyond(ref) and not (
                ref.kind == "message_file" and ref.target not in self.listing
            ):
                words = f"leads to {ref.target[:12]}, {self._described(ref.target)}"
                out.add(ref.kind, f"{self.label}/{ref.name}", words, fix=False)
        fetched = self.git_dir / "FETCH_HEAD"
        if fetched.is_file() and fetched.stat().st_size:
            out.add("message_file", self._inside(fetched), "says what was fetched", fix=False)
        seen: dict[str, list[str]] = {}
        for name, identity, message in reflog_entries(self.git_dir):
            if identity not in self.past:
                seen.setdefault(name, []).append(f"{identity[:12]} {message[:60]}")
            elif "://" in message or "clone: from" in message:
                seen.setdefault(name, []).append(f"names its origin: {message[:80]}")
        for name, entries in seen.items():
            out.add("reflog", f"{self.label}/{name}", first_of(entries), fix=False)

    def _beyond(self, ref: Reference) -> bool:
        if ref.always:
            return True
        if ref.target in self.past:
            return False
        reached = self.store.commits([ref.target]) if ref.target in self.listing else {ref.target}
        return not reached or bool(reached - self.past)

    def _future(self, out: Collector) -> None:
        commits = [name for name, (kind, _) in self.listing.items() if kind == "commit"]
        future = [name for name in commits if name not in self.past]
        for name in future[:_MANY]:
            words = f"HEAD does not descend from it: {self._described(name)}"
            out.add("future_commit", f"{self.label} commit {name}", words, fix=False)
        if len(future) > _MANY:
            words = f"{len(future) - _MANY} more commits that HEAD does not descend from"
            out.add("future_commit", self.label, words, fix=False)

    def _described(self, identity: str) -> str:
        kind, _ = self.listing.get(identity, ("an object that is not here", 0))
        if kind not in {"commit", "tag"}:
            return kind
        data = next((found.data for found in self.store.objects([identity])), b"")
        title = data.partition(b"\n\n")[2].strip().partition(b"\n")[0][:80]
        return f"{kind} “{title.decode('utf-8', 'replace')}”"

    def settings(self, out: Collector) -> None:
        """Note what git itself cannot read: it may hold what it does not show."""
        for config in ("config", "config.worktree"):
            path = self.git_dir / config
            self._asked(out, path, "config", "--file", str(path.resolve()), "--no-includes", "-l")
        for index in (self.git_dir / "index", *self.git_dir.glob("worktrees/*/index")):
            self._asked(out, index, "ls-files", "--stage", "-z", index=index)

    def _asked(
        self, out: Collector, path: Path, *arguments: str, index: Path | None = None
    ) -> None:
        if not os.path.isfile(path):  # noqa: PTH113 - never raises
            return
        env = {"GIT_INDEX_FILE": str(index.resolve())} if index else None
        try:
            self.store.run(*arguments, env=env)
        except RegreenError as exc:
            out.note(self._inside(path), f"git cannot read it: {exc.what}")

    def contents(self, out: Collector, base_ids: Iterable[str]) -> None:
        """Report every object that holds the fix, and what reaches it."""
        known = set(base_ids)
        wanted = [
            name for name, (kind, _) in self.listing.items() if kind != "tree" and name not in known
        ]
        evidence = out.evidence
        hits: dict[str, list[tuple[str, Match]]] = {}
        answered = 0
        for found in self.store.objects(wanted):
            answered += 1
            out.counts["objects"] += 1
            if found.id in evidence.ids or any(map(found.id.startswith, evidence.prefixes)):
                path = evidence.ids.get(found.id) or next(
                    path for start, path in evidence.prefixes.items() if found.id.startswith(start)
                )
                hits[found.id] = [("", Match("content", f"the repaired content of {path}"))]
                continue
            place = f"{self.label} {found.kind} {found.id[:12]}"
            name = f"{place} {self._path_of(found.id)}" if found.data[2:4] == b"\r\n" else place
            for where, _, match in out.examine(name, found.data, in_repository=True):
                hits.setdefault(found.id, []).append((where.removeprefix(name), match))
        if answered < len(wanted):
            self.readable = False
            out.note(self.label, f"git could not read {len(wanted) - answered} of its objects")
        if hits:
            self._explain(out, hits)

    @cached_property
    def _paths(self) -> dict[str, str]:
        tips = [ref.target for ref in references(self.git_dir)]
        tips += [name for _, name, _ in reflog_entries(self.git_dir)]
        tips += [name for name, (kind, _) in self.listing.items() if kind == "commit"]
        return self.store.reached(name for name in tips if name in self.listing)

    def _path_of(self, identity: str) -> str:
        return self._paths.get(identity, "")

    def _explain(self, out: Collector, hits: dict[str, list[tuple[str, Match]]]) -> None:
        reasons = self._reasons(set(hits))
        for identity, matches in hits.items():
            kind, words = reasons.get(identity, ("unreachable", "no reference reaches it"))
            path = self._path_of(identity)
            what = self.listing[identity][0]
            place = f"{self.label} {what} {identity[:12]}" + (f" ({path})" if path else "")
            for suffix, match in matches[:10]:
                if match.secret:
                    kind = secret_kind(match.secret)
                out.add(self.kind or kind, place + suffix, f"{match.words}; {words}")

    def _reasons(self, hits: set[str]) -> dict[str, tuple[str, str]]:
        """For each object the kind and name of what reaches it; the plainest first."""
        found: dict[str, tuple[str, str]] = {}

        def claim(reached: Iterable[str], kind: str, words: str) -> None:
            for name in hits & set(reached):
                found.setdefault(name, (kind, words))

        for store in self.alternates if self.alternates else ():
            with ScratchStore([store], algorithm=object_format(self.git_dir)) as borrowed:
                claim(borrowed.listing(), "alternate", f"borrowed from {store}")
        paths = out_paths = {row.id: row.path for row in self.head_tree.values()}
        claim(out_paths, "fixed_tree", "in the tree of HEAD")
        claim(self.store.reached([self.head]) if self.head else (), "history", "reached from HEAD")
        refs = [ref for ref in references(self.git_dir) if ref.target in self.listing]
        order = ("stash", "note", "replace", "tag", "branch", "remote_branch", "ref", "worktree",
                 "message_file")  # fmt: skip
        refs.sort(key=lambda ref: order.index(ref.kind))
        for ref in refs[:_NAMED_REFS]:
            if hits <= found.keys():
                return found
            reached = self.store.reached([ref.target], without=[self.head] if self.head else [])
            claim({*reached, ref.target}, ref.kind, f"reached from {ref.name}")
        rest = [ref.target for ref in refs[_NAMED_REFS:]]
        claim(
            self.store.reached(rest), "ref", f"reached from one of {len(rest)} further references"
        )
        entries = [name for _, name, _ in reflog_entries(self.git_dir) if name in self.listing]
        claim(self.store.reached(entries), "reflog", "reached from the reflog")
        claim(set(self._index_ids()) - paths.keys(), "index", "an entry of the index")
        return found

    def _index_ids(self) -> Iterator[str]:
        for index in (self.git_dir / "index", *self.git_dir.glob("worktrees/*/index")):
            if index.is_file():
                try:
                    listed = self.store.run(
                        "ls-files", "--stage", "-z", env={"GIT_INDEX_FILE": str(index.resolve())}
                    )
                except RegreenError:
                    continue
                yield from (row.split()[1].decode() for row in listed.split(b"\0") if row)

    def _inside(self, path: Path) -> str:
        return f"{self.label}/{path.relative_to(self.git_dir).as_posix()}"


def _indexed(pack: Path) -> bool:
    """Whether a pack has a whole index that counts as many objects as the pack does."""
    try:
        with pack.open("rb") as file:
            count = file.read(12)[8:]
        index = pack.with_suffix(".idx").read_bytes()
    except OSError:
        return False
    last = index[1028:1032] if index.startswith(b"\xfftOc") else index[1020:1024]
    sums = (
        hashlib.sha1(index[:-20], usedforsecurity=False).digest() == index[-20:],
        hashlib.sha256(index[:-32]).digest() == index[-32:],
    )
    return len(count) == 4 and count == last and any(sums)
