"""The objects of foreign git stores, read so that the store can neither hide nor run anything.

Git reads them for us from a scratch repository that only borrows the objects: the foreign
configuration, hooks, replace references, grafts and commit graphs are never opened. Packs without
an index are indexed in the scratch repository.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from regreen.core.errors import PrerequisiteError, RegreenError

__all__ = ["GitObject", "ScratchStore", "TreeFile", "object_format"]

_ENV = {
    "GIT_ALLOW_PROTOCOL": "none",
    "GIT_ATTR_NOSYSTEM": "1",
    "GIT_CEILING_DIRECTORIES": "/",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_TERMINAL_PROMPT": "0",
    "HOME": "/nonexistent",
    "LC_ALL": "C.UTF-8",
    "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
}
_OPTIONS = (
    *("-c", "core.hooksPath=/dev/null"),
    *("-c", "core.fsmonitor=false"),
    *("-c", "core.commitGraph=false"),
    *("-c", "core.multiPackIndex=false"),
    *("-c", "core.autocrlf=false"),
    *("-c", "gc.auto=0"),
    *("-c", "safe.directory=*"),
)


@dataclass(frozen=True, slots=True)
class GitObject:
    """One object with its content."""

    id: str
    """Hexadecimal."""
    kind: str
    """``blob``, ``commit``, ``tree`` or ``tag``."""
    data: bytes
    """Content without the header."""


@dataclass(frozen=True, slots=True)
class TreeFile:
    """One row of a tree."""

    path: str
    """From the top of the tree."""
    mode: str
    """As git writes it."""
    id: str
    """Of the content."""


def object_format(git_dir: Path) -> str:
    """``sha1`` or ``sha256``, as the repository's configuration says."""
    linked = git_dir / "commondir"
    try:
        if linked.is_file():
            git_dir = git_dir / linked.read_text(errors="surrogateescape").strip()
        text = (git_dir / "config").read_text(errors="replace")
    except OSError:
        return "sha1"
    found = re.search(r"^\s*objectformat\s*=\s*\"?(\w+)", text, re.IGNORECASE | re.MULTILINE)
    return "sha256" if found and found[1].lower() == "sha256" else "sha1"


class ScratchStore:
    """A bare repository of our own that borrows the objects of others.

    Args:
        stores: ``objects`` directories.
        algorithm: ``sha1`` or ``sha256``.
        shallow: content of the borrower's ``shallow`` file.
    """

    def __init__(
        self, stores: Sequence[Path] = (), *, algorithm: str = "sha1", shallow: bytes = b""
    ) -> None:
        self._scratch = tempfile.TemporaryDirectory(prefix="regreen-scan-")
        self.path = Path(self._scratch.name) / "store.git"
        made = ("init", "-q", "--bare", "--template=", f"--object-format={algorithm}")
        self.run(*made, str(self.path), at=False)
        links = []
        for number, store in enumerate(stores):
            link = Path(self._scratch.name) / f"objects{number}"
            link.symlink_to(store.resolve())
            links.append(f"{link}\n")
        (self.path / "objects" / "info").mkdir(exist_ok=True)
        (self.path / "objects" / "info" / "alternates").write_text("".join(links))
        if shallow:
            (self.path / "shallow").write_bytes(shallow)

    def __enter__(self) -> ScratchStore:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Remove the scratch repository."""
        self._scratch.cleanup()

    def run(
        self,
        *arguments: str,
        stdin: bytes = b"",
        at: bool = True,
        env: dict[str, str] | None = None,
    ) -> bytes:
        """Run git in the scratch repository and give back its output.

        Raises:
            PrerequisiteError: git is not installed.
            RegreenError: git failed.
        """
        where = [f"--git-dir={self.path}"] if at else []
        try:
            done = subprocess.run(
                ["git", *where, *_OPTIONS, *arguments],
                input=stdin,
                capture_output=True,
                check=False,
                env={**_ENV, **(env or {})},
            )
        except FileNotFoundError as exc:
            msg = "git is not installed"
            raise PrerequisiteError(msg, mend="apt-get install git") from exc
        if done.returncode:
            said = done.stderr.decode(errors="replace").strip().splitlines()
            msg = f"git {arguments[0]} failed: {said[-1] if said else done.returncode}"
            raise RegreenError(msg, where=str(self.path), mend="git fsck says what is broken")
        return done.stdout

    def listing(self) -> dict[str, tuple[str, int]]:
        """Kind and size of every object, those of borrowed stores included."""
        form = "--batch-check=%(objectname) %(objecttype) %(objectsize)"
        out = self.run("cat-file", "--batch-all-objects", form)
        rows = (line.split() for line in out.decode().splitlines())
        return {row[0]: (row[1], int(row[2])) for row in rows if len(row) == 3}

    def objects(self, ids: Iterable[str]) -> Iterator[GitObject]:
        """Objects by id; those that are not there are left out."""
        asked = Path(self._scratch.name) / "asked"
        asked.write_text("".join(f"{identity}\n" for identity in ids))
        command = ["git", f"--git-dir={self.path}", *_OPTIONS, "cat-file", "--batch", "--buffer"]
        with (
            asked.open("rb") as wanted,
            subprocess.Popen(
                command,
                stdin=wanted,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=_ENV,
                bufsize=1 << 20,
            ) as reader,
        ):
            assert reader.stdout is not None
            while header := reader.stdout.readline().split():
                if len(header) != 3:
                    continue
                data = reader.stdout.read(int(header[2]))
                reader.stdout.read(1)
                yield GitObject(header[0].decode(), header[1].decode(), data)
            reader.stdout.close()

    def tree(self, revision: str) -> list[TreeFile]:
        """Files, links and submodules of a commit or tree."""
        out = self.run("ls-tree", "-r", "-z", "--full-tree", revision)
        rows = [row.partition(b"\t") for row in out.split(b"\0") if row]
        return [
            TreeFile(path.decode("utf-8", "surrogateescape"), *_mode_and_id(head))
            for head, _, path in rows
        ]

    def reached(self, tips: Iterable[str], *, without: Iterable[str] = ()) -> dict[str, str]:
        """Every object that tips reach, with a path in a tree where it has one."""
        rows = [*tips, *(f"^{tip}" for tip in without)]
        if not rows:
            return {}
        flags = ("--objects", "--ignore-missing", "--missing=allow-any", "--stdin")
        try:
            out = self.run("rev-list", *flags, stdin="\n".join(rows).encode() + b"\n")
        except RegreenError:
            return {}
        pairs = (line.partition(b" ") for line in out.splitlines())
        return {name.decode(): path.decode("utf-8", "replace") for name, _, path in pairs}

    def commits(self, tips: Iterable[str]) -> set[str]:
        """Commits that tips reach."""
        flags = ("--ignore-missing", "--missing=allow-any", "--stdin")
        wanted = list(tips)
        if not wanted:
            return set()
        try:
            return set(
                self.run("rev-list", *flags, stdin="\n".join(wanted).encode()).decode().split()
            )
        except RegreenError:
            return set(wanted)

    def add_pack(self, pack: bytes) -> bool:
        """Take in a pack of any origin; what can be read of it when it is damaged."""
        for command in (("index-pack", "--stdin", "--fix-thin"), ("unpack-objects", "-q", "-r")):
            try:
                self.run(*command, stdin=pack)
            except RegreenError:
                continue
            return True
        return bool(self.own_ids())

    def own_ids(self) -> set[str]:
        """Ids of what was added here and is not borrowed."""
        alternates = self.path / "objects" / "info" / "alternates"
        kept = alternates.read_text()
        alternates.write_text("")
        try:
            return set(self.listing())
        finally:
            alternates.write_text(kept)

    def copy_to(self, target: Path, tip: str) -> None:
        """Pack everything a commit reaches into another repository."""
        pack = self.run("pack-objects", "--revs", "--stdout", "-q", stdin=f"{tip}\n".encode())
        where = ("index-pack", "--stdin")
        done = subprocess.run(
            ["git", f"--git-dir={target}", *_OPTIONS, *where],
            input=pack, capture_output=True, check=False, env=_ENV,
        )  # fmt: skip
        if done.returncode:
            shutil.rmtree(target, ignore_errors=True)
            msg = "the sealed repository could not be written"
            raise RegreenError(
                msg, where=done.stderr.decode(errors="replace"), mend="check the disk"
            )


def _mode_and_id(head: bytes) -> tuple[str, str]:
    mode, _, identity = head.decode().split()
    return mode, identity
