"""What lies below a directory: its files, and the git directories in it or behind it.

Links are not followed, except those by which a working tree finds its git directory: a file with
``gitdir:`` in it, or a link of that name.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from regreen.guard.scan.repository import Repository, is_git_dir
from regreen.guard.scan.walk import folders_of, reason_of

__all__ = ["Inventory"]


@dataclass
class Inventory:
    """What lies below a directory."""

    root: Path
    """Where the walk began."""
    files: list[Path] = field(default_factory=list)
    """Everything that is no directory."""
    repositories: list[Repository] = field(default_factory=list)
    """Git directories, those outside that a tree leads to among them."""
    notes: list[tuple[str, str]] = field(default_factory=list)
    """Places that could not be looked at, with the reason."""

    @classmethod
    def of(cls, root: Path) -> Inventory:
        """Walk a directory; a file stands for itself."""
        found = cls(root)
        if root.is_file():
            found.files.append(root)
            return found
        for here, folders, files in folders_of(root, found._failed):
            try:
                found._visit(here, folders, files)
            except (OSError, RuntimeError) as exc:  # a path that is too long, links in a circle
                found.notes.append((found.relative(here), reason_of(exc)))
        return found

    def relative(self, path: Path) -> str:
        """A path as it is shown."""
        try:
            return path.relative_to(self.root).as_posix() if path != self.root else path.name
        except ValueError:
            return str(path)

    def close(self) -> None:
        """Remove the scratch repositories."""
        for repository in self.repositories:
            repository.close()

    def _failed(self, path: Path, reason: str) -> None:
        self.notes.append((self.relative(path), reason))

    def _visit(self, here: Path, links: list[str], files: list[str]) -> None:
        self.files += [here / name for name in files]
        if is_git_dir(here):
            self._add_repository(here)
        for name in links:
            self._link(here / name)
        if ".git" in files:
            self._linked_git(here / ".git")

    def _link(self, path: Path) -> None:
        target, link = path.resolve(), path.readlink()
        in_image = link.is_absolute() and (self.root / str(link).lstrip("/")).is_dir()
        if in_image or target.is_relative_to(self.root.resolve()):
            return  # the walk comes by
        if path.name == ".git" and is_git_dir(target):
            self._add_repository(target, "worktree", path.parent)
        else:
            self.notes.append((self.relative(path), f"a link to {link}, not followed"))

    def _add_repository(self, git_dir: Path, kind: str = "", tree: Path | None = None) -> None:
        if any(known.git_dir.resolve() == git_dir.resolve() for known in self.repositories):
            return
        inside = git_dir.relative_to(self.root).parts if git_dir.is_relative_to(self.root) else ()
        if not kind and ".git" in inside and "modules" in inside[inside.index(".git") :]:
            kind = "submodule"
        elif (
            not kind
            and inside not in ((), (".git",))
            and any(
                repository.root == self.root and repository.kind == ""
                for repository in self.repositories
            )
        ):
            kind = "nested_repository"
        if tree is None and git_dir.name == ".git":
            tree = git_dir.parent
        label = self.relative(git_dir) if git_dir != self.root else "."
        self.repositories.append(Repository(git_dir, label, self.root, kind, tree))

    def _linked_git(self, path: Path) -> None:
        """A ``.git`` file leads to a git directory elsewhere, and that one perhaps to another."""
        text = path.read_text(errors="surrogateescape") if path.is_file() else ""
        if not text.startswith("gitdir:"):
            if path.is_symlink():
                words = f"a link to {path.readlink()}, where no git directory is"
                self.notes.append((self.relative(path), words))
            return
        target = path.parent / text[7:].strip()
        common = target / "commondir"
        if common.is_file():
            target = target / common.read_text(errors="surrogateescape").strip()
        inside = target.resolve().is_relative_to(self.root.resolve())
        if not is_git_dir(target):
            self.notes.append(
                (self.relative(path), f"leads to {target}, which is no git directory")
            )
        elif not inside:
            self._add_repository(target.resolve(), "worktree")
