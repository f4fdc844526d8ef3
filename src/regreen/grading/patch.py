"""Patches: made from bytes, applied by git, always between exact trees.

``git apply`` is the reference for what a patch means, so what is recorded is what is graded; it
runs in an empty directory that holds only the files the patch names, with every configuration
file of the machine switched off.
"""

from __future__ import annotations

import difflib
import os
import re
import stat
import subprocess
import tempfile
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from regreen.core.errors import InfrastructureError, TaskError

__all__ = ["FileState", "apply_patch", "patch_between", "patch_paths", "text_patch"]

_GIT_ENV = {
    "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CEILING_DIRECTORIES": "/",
    "LC_ALL": "C.UTF-8",
    "HOME": "/nonexistent",
}
_HEADER = re.compile(
    rb"^(?:--- (?P<old>.*)|\+\+\+ (?P<new>.*)|rename (?:from|to) (?P<ren>.*)"
    rb"|copy (?:from|to) (?P<copy>.*)|diff --git (?P<git>.*))$"
)
_CONTEXT = 3


@dataclass(frozen=True, slots=True)
class FileState:
    """One file of a tree: its bytes, or where a link points, and whether it can be run."""

    data: bytes
    """Content, or the target of a symbolic link."""
    executable: bool = False
    """The executable bit."""
    symlink: bool = False
    """True when ``data`` is a link's target."""

    @classmethod
    def read(cls, path: Path) -> FileState | None:
        """The state of a file on disk; None when nothing usable is there."""
        try:
            info = path.lstat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        if stat.S_ISLNK(info.st_mode):
            return cls(os.fsencode(path.readlink()), symlink=True)
        if stat.S_ISREG(info.st_mode):
            return cls(path.read_bytes(), executable=bool(info.st_mode & stat.S_IXUSR))
        return None

    @property
    def plain(self) -> bool:
        """Neither a link nor a program: its bytes are all there is to it."""
        return not self.symlink and not self.executable

    def write(self, path: Path) -> None:
        """Put the file on disk, making parent directories."""
        path.parent.mkdir(parents=True, exist_ok=True)
        if self.symlink:
            path.symlink_to(os.fsdecode(self.data))
            return
        path.write_bytes(self.data)
        path.chmod(0o755 if self.executable else 0o644)


def _git(
    arguments: list[str], *, cwd: Path, stdin: bytes = b""
) -> subprocess.CompletedProcess[bytes]:
    command = ["git", "-c", "core.autocrlf=false", "-c", "core.quotePath=true", *arguments]
    try:
        return subprocess.run(
            command, cwd=cwd, input=stdin, capture_output=True, env=_GIT_ENV, check=False
        )
    except FileNotFoundError as exc:
        msg = "git is not installed"
        raise InfrastructureError(msg, mend="apt-get install git") from exc


def _hunk(old: list[str], new: list[str]) -> list[str]:
    """Unified hunks of two line lists that keep their line ends."""
    prefix = 0
    for before, after in zip(old, new, strict=False):
        if before != after:
            break
        prefix += 1
    suffix = 0
    limit = min(len(old), len(new)) - prefix
    while suffix < limit and old[-1 - suffix] == new[-1 - suffix]:
        suffix += 1
    # difflib sees only the changed middle and its context: whole files are quadratic for it.
    start = max(0, prefix - _CONTEXT)
    end = max(0, suffix - _CONTEXT)
    rows = list(
        difflib.unified_diff(
            old[start : len(old) - end], new[start : len(new) - end], n=_CONTEXT, lineterm=""
        )
    )[2:]
    shifted = []
    for row in rows:
        if row.startswith("@@"):
            shifted.append(_shift(row, start) + "\n")
        else:
            shifted.append(row if row.endswith("\n") else row + "\n\\ No newline at end of file\n")
    return shifted


def _shift(header: str, offset: int) -> str:
    def moved(match: re.Match[str]) -> str:
        sign, first, rest = match.groups()
        # An empty side counts from line 0; its number stays one before the first line.
        return f"{sign}{int(first) + offset}{rest or ''}"

    return re.sub(r"([-+])(\d+)(,\d+)?", moved, header)


def text_patch(path: str, old: str | None, new: str | None) -> str:
    """A git-format patch of one UTF-8 text file; None is an absent file.

    The caller reads text with ``newline=""`` so that carriage returns survive.
    """
    if old == new:
        return ""
    rows = [f"diff --git a/{path} b/{path}\n"]
    if old is None:
        rows.append("new file mode 100644\n")
    if new is None:
        rows.append("deleted file mode 100644\n")
    rows.append(f"--- a/{path}\n" if old is not None else "--- /dev/null\n")
    rows.append(f"+++ b/{path}\n" if new is not None else "+++ /dev/null\n")
    rows += _hunk(_lines(old or ""), _lines(new or ""))
    return "".join(rows)


def _lines(text: str) -> list[str]:
    """Lines as git counts them: only a line feed ends one."""
    parts = text.split("\n")
    lines = [part + "\n" for part in parts[:-1]]
    return [*lines, parts[-1]] if parts[-1] else lines


def patch_between(
    before: Mapping[str, FileState | None],
    after: Mapping[str, FileState | None],
    *,
    literal: Collection[str] = (),
) -> str:
    """The git patch that turns one set of files into another; keys of both are paths.

    Args:
        before: one set.
        after: the other.
        literal: paths written as git writes binary files, in ASCII, though they hold no NUL.

    Raises:
        InfrastructureError: git failed.
    """
    changed = [name for name in {*before, *after} if before.get(name) != after.get(name)]
    texts = [name for name in changed if name not in literal]
    others = [name for name in changed if name in literal]
    return _difference(texts, before, after) + _difference(others, before, after, "* -diff\n")


def _difference(
    changed: Sequence[str],
    before: Mapping[str, FileState | None],
    after: Mapping[str, FileState | None],
    attributes: str = "",
) -> str:
    if not changed:
        return ""
    with tempfile.TemporaryDirectory(prefix="regreen-diff-") as scratch:
        root = Path(scratch)
        for side, files in (("a", before), ("b", after)):
            (root / side).mkdir()
            for name in changed:
                state = files.get(name)
                if state is not None:
                    state.write(root / side / name)
        (root / "attributes").write_text(attributes)
        result = _git(
            ["-c", f"core.attributesFile={root}/attributes", "diff", "--no-index", "--no-prefix",
             "--binary", "--no-renames", "--no-color", "--no-ext-diff", "--no-textconv", "a", "b"],
            cwd=root,
        )  # fmt: skip
    if result.returncode not in (0, 1):
        msg = "git diff failed"
        raise InfrastructureError(msg, where=result.stderr.decode(errors="replace"))
    patch = result.stdout.decode("utf-8", "surrogateescape")
    return re.sub(r"^diff --git (.+)$", _both_sides, patch, flags=re.MULTILINE)


def _both_sides(match: re.Match[str]) -> str:
    """A header with both prefixes: git names an added or removed file by one side twice."""
    names = match[1]
    half = len(names) // 2
    left, right = names[:half], names[half + 1 :]
    mark = '"' if left.startswith('"') else ""
    start = len(mark)
    return f"diff --git {mark}a{left[start + 1 :]} {mark}b{right[start + 1 :]}"


def _unquote(raw: bytes) -> str:
    """A path from a diff header, without its a/ or b/ prefix and with C quoting undone."""
    raw = raw.split(b"\t")[0].rstrip(b"\r")
    if raw.startswith(b'"') and raw.endswith(b'"'):
        raw = raw[1:-1].decode("latin-1").encode().decode("unicode_escape").encode("latin-1")
    return raw.decode("utf-8", "surrogateescape")


def patch_paths(patch: str) -> set[str]:
    """Every path a git patch names, old and new; ``/dev/null`` is not one."""
    found = set()
    in_hunk = 0
    for line in patch.encode("utf-8", "surrogateescape").split(b"\n"):
        if in_hunk and line[:1] in (b" ", b"+", b"-", b"\\"):
            continue
        in_hunk = 1 if line.startswith(b"@@") else 0
        match = _HEADER.match(line)
        if not match:
            continue
        if match["git"] is not None:
            found |= _git_line_paths(match["git"])
            continue
        raw = next(value for value in match.groups() if value is not None)
        name = _unquote(raw)
        if name == "/dev/null":
            continue
        prefixed = match["old"] is not None or match["new"] is not None
        found.add(name[2:] if prefixed and name[:2] in ("a/", "b/") else name)
    return found


def _git_line_paths(raw: bytes) -> set[str]:
    """Paths of ``diff --git a/X b/X``; only needed where no ---/+++ line follows."""
    if raw.startswith(b'"'):
        parts = re.findall(rb'"(?:[^"\\]|\\.)*"', raw)
        return {_unquote(part)[2:] for part in parts}
    half = len(raw) // 2
    left, right = raw[:half], raw[half + 1 :]
    if left[2:] == right[2:]:
        return {_unquote(left)[2:]}
    return set()


def apply_patch(
    patch: str, read: Callable[[str], FileState | None], *, reverse: bool = False
) -> dict[str, FileState | None]:
    """Apply a git patch to files given by ``read`` and return the files it changed.

    Args:
        patch: git-format diff, paths prefixed ``a/`` and ``b/``.
        read: state of a path in the tree the patch is for; None when absent.
        reverse: undo the patch instead.

    Raises:
        TaskError: the patch does not apply.
    """
    if not patch.strip():
        return {}
    names = sorted(patch_paths(patch))
    if not names:
        msg = "the patch names no file"
        raise TaskError(msg, mend="give a diff in git's format")
    _refuse_escapes(names)
    with tempfile.TemporaryDirectory(prefix="regreen-apply-") as scratch:
        root = Path(scratch)
        before = {name: read(name) for name in names}
        for name, state in before.items():
            if state is not None:
                state.write(root / name)
        data = patch.encode("utf-8", "surrogateescape")
        if not data.endswith(b"\n"):
            data += b"\n"
        _refuse_unseen(names, data, cwd=root)
        direction = ["--reverse"] if reverse else []
        command = ["apply", *direction, "--whitespace=nowarn", "-p1", "-"]
        result = _git(command, cwd=root, stdin=data)
        if result.returncode:
            words = result.stderr.decode(errors="replace").strip()
            msg = "the patch does not apply"
            raise TaskError(msg, where=words)
        after = {name: _read_inside(root, name) for name in names}
    return {name: state for name, state in after.items() if state != before[name]}


def _refuse_unseen(names: Collection[str], data: bytes, *, cwd: Path) -> None:
    """Refuse a patch in which git sees a file that we do not: it would escape the policy."""
    seen = _git(["apply", "--numstat", "-z", "-p1", "-"], cwd=cwd, stdin=data).stdout
    for row in seen.split(b"\0"):
        name = row.rpartition(b"\t")[2].decode("utf-8", "surrogateescape")
        if name and name not in names:
            msg = "the patch hides a file's name"
            raise TaskError(msg, where=name)


def _read_inside(root: Path, name: str) -> FileState | None:
    """The state of a file below ``root``, never of one that a link leads to.

    Raises:
        TaskError: a directory on the way is a link.
    """
    here = root
    for part in Path(name).parts[:-1]:
        here = here / part
        if here.is_symlink():
            msg = "the patch names a file below a link"
            raise TaskError(msg, where=name)
    return FileState.read(root / name)


def _refuse_escapes(names: Iterable[str]) -> None:
    for name in names:
        parts = Path(name).parts
        if name.startswith("/") or ".." in parts or ".git" in parts:
            msg = "the patch leaves the repository"
            raise TaskError(msg, where=name)
