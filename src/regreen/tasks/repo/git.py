"""Git without trust: read commits of foreign repositories so that nothing of theirs can run.

Trees are read object by object (``ls-tree``, ``cat-file``) instead of checked out: a checkout would
apply the filters, line endings and export rules that the repository's own attributes ask for.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from regreen.core.errors import PrerequisiteError, RegreenError, UsageError
from regreen.tasks.repo.index import redact
from regreen.tasks.repo.tree import LINK, Entry

__all__ = [
    "clone",
    "commit_date",
    "describe",
    "entries",
    "git",
    "is_git_url",
    "reading",
    "resolve_commit",
]

_URL = re.compile(r"(https|ssh|file)://|[\w.-]+@[\w.-]+:")
_PROTOCOLS = "https:ssh:file"
_CLONE_SECONDS = 1800.0
_READ_SECONDS = 120.0
_OPTIONS = (
    *("-c", "core.hooksPath=/dev/null"),
    *("-c", "core.fsmonitor=false"),
    *("-c", "gc.auto=0"),
    *("-c", "http.lowSpeedLimit=1000"),
    *("-c", "http.lowSpeedTime=30"),
)


def is_git_url(spec: str) -> bool:
    """Whether a source names a repository to clone."""
    return bool(_URL.match(spec))


def git(repository: Path, *arguments: str, network: bool = False) -> str:
    """Run git and give back what it printed, without the last newline.

    Raises:
        PrerequisiteError: git is not installed.
        RegreenError: git failed or took too long.
    """
    command = ["git", "-C", str(repository), *_OPTIONS, *arguments]
    limit = _CLONE_SECONDS if network else _READ_SECONDS
    try:
        done = subprocess.run(
            command,
            check=False,
            capture_output=True,
            env=_environment(network=network),
            stdin=subprocess.DEVNULL,
            timeout=limit,
        )
    except FileNotFoundError as exc:
        raise _missing() from exc
    except subprocess.TimeoutExpired as exc:
        what = f"git {arguments[0]} took longer than {limit:.0f} s"
        mend = "check the connection, or clone by hand and give the path"
        raise RegreenError(what, where=str(repository), mend=mend) from exc
    if done.returncode:
        said = redact(done.stderr.decode(errors="replace").strip())
        last = said.splitlines()[-1] if said else f"exit status {done.returncode}"
        mend = "run the git command by hand to see more; git fsck finds damage"
        if "dubious ownership" in said:
            last = "the repository belongs to another user"
            mend = f"git config --global --add safe.directory {repository}"
        what = f"git {arguments[0]} failed: {last}"
        raise RegreenError(what, where=str(repository), mend=mend)
    return done.stdout.decode("utf-8", "surrogateescape").rstrip("\n")


def _environment(*, network: bool) -> dict[str, str]:
    """Of the caller's variables all but git's own, then: no prompts, and only chosen protocols."""
    kept = {k: v for k, v in os.environ.items() if k == "GIT_SSL_CAINFO" or k[:4] != "GIT_"}
    return kept | {
        "GIT_ALLOW_PROTOCOL": _PROTOCOLS if network else "none",
        "GIT_ASKPASS": "true",
        "GIT_GRAFT_FILE": os.devnull,
        "GIT_NO_LAZY_FETCH": "1",
        "GIT_NO_REPLACE_OBJECTS": "1",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_SSH_COMMAND": "ssh -o BatchMode=yes -o ConnectTimeout=20",
        "GIT_TERMINAL_PROMPT": "0",
        "LC_ALL": "C",
        "SSH_ASKPASS": "true",
    }


def clone(url: str, cache: Path, *, commit: str | None) -> tuple[Path, bool]:
    """A bare clone of ``url`` in the cache, brought up to date unless ``commit`` is there.

    Returns:
        The clone, and False when it could not be brought up to date.

    Raises:
        PrerequisiteError: there is no clone yet and the repository cannot be reached.
    """
    cache.mkdir(parents=True, exist_ok=True)
    target = cache / hashlib.sha256(url.encode()).hexdigest()[:24]
    if target.is_dir():
        if commit and _holds(target, commit):
            return target, True
        return target, _update(target)
    scratch = cache / f"{secrets.token_hex(8)}.part"
    options = ("--bare", "--template=", "--no-local", "--quiet")
    try:
        git(cache, "clone", *options, "--", url, str(scratch), network=True)
        scratch.rename(target)
    except RegreenError as exc:
        mend = "check the URL and the network; private ones need a key or a credential helper"
        what = f"the repository cannot be cloned: {exc.what}"
        raise PrerequisiteError(what, where=redact(url), mend=mend) from exc
    except OSError:
        if not target.is_dir():
            raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return target, True


def _holds(repository: Path, commit: str) -> bool:
    try:
        git(repository, "cat-file", "-e", f"{commit}^{{commit}}")
    except RegreenError:
        return False
    return bool(re.fullmatch(r"[0-9a-f]{7,40}", commit))


def _update(repository: Path) -> bool:
    refs = ("+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*")
    try:
        git(repository, "fetch", "--quiet", "--prune", "origin", *refs, network=True)
    except RegreenError:
        return False
    return True


def resolve_commit(repository: Path, name: str | None, *, where: str) -> str:
    """The full id of a commit.

    Raises:
        UsageError: the repository holds no such commit, or none at all.
    """
    wanted = name or "HEAD"
    try:
        if not wanted.startswith("-"):
            return git(repository, "rev-parse", "--verify", "--quiet", f"{wanted}^{{commit}}")
    except RegreenError as exc:
        if "dubious ownership" in exc.what or "safe.directory" in exc.mend:
            raise
    what = f"the repository has no commit {name}" if name else "the repository has no commits"
    mend = "give a commit, tag or branch that `git log` shows" if name else "commit something first"
    raise UsageError(what, where=where, mend=mend)


def commit_date(repository: Path, commit: str) -> datetime:
    """When the commit was made, in UTC."""
    stamp = git(repository, "show", "--no-patch", "--format=%ct", commit)
    return datetime.fromtimestamp(int(stamp), UTC)


def describe(repository: Path, commit: str) -> str:
    """``TAG``, ``TAG-DISTANCE-gID``, or nothing when no tag is an ancestor."""
    try:
        return git(repository, "describe", "--tags", "--long", "--match", "*[0-9]*", commit)
    except RegreenError:
        return ""


def entries(repository: Path, commit: str, prefix: str, skipped: list[str]) -> Iterator[Entry]:
    """The files of a commit below ``prefix``; submodules are added to ``skipped`` instead."""
    listing = git(repository, "ls-tree", "-r", "-z", "--full-tree", f"{commit}:{prefix}")
    with reading(repository, "cat-file", "--batch") as reader:
        assert reader.stdin is not None
        assert reader.stdout is not None
        for row in filter(None, listing.split("\0")):
            head, _, path = row.partition("\t")
            mode, kind, blob = head.split()
            if kind != "blob":
                skipped.append(path)
                continue
            reader.stdin.write(blob.encode() + b"\n")
            reader.stdin.flush()
            found = reader.stdout.readline().split()
            if len(found) != 3:
                what = f"the repository lacks the content of {path}"
                raise RegreenError(what, where=str(repository), mend="make a full clone")
            data = reader.stdout.read(int(found[2]))
            reader.stdout.read(1)
            yield Entry(path, LINK if mode == LINK else f"100{mode[-3:]}", data)
        reader.stdin.close()


def reading(repository: Path, *arguments: str) -> subprocess.Popen[bytes]:
    """A git process that answers questions on its standard input.

    Raises:
        PrerequisiteError: git is not installed.
    """
    command = ["git", "-C", str(repository), *_OPTIONS, *arguments]
    try:
        return subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=_environment(network=False),
        )
    except FileNotFoundError as exc:
        raise _missing() from exc


def _missing() -> PrerequisiteError:
    return PrerequisiteError(
        "git is not installed", mend="install git, for example: apt install git"
    )
