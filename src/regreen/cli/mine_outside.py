"""What ``regreen tasks mine`` is given beside a history: pull requests, and lists to avoid."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from regreen.core.console import Console
from regreen.core.errors import UsageError
from regreen.tasks.history.change import Change
from regreen.tasks.history.line import History
from regreen.tasks.labels.decontaminate import load_known
from regreen.tasks.mine.outside import Outside
from regreen.tasks.mine.reasons import Rejected
from regreen.tasks.mine.split import Limits, screened
from regreen.tasks.pulls.dump import read_dump, read_pages
from regreen.tasks.pulls.github import API_URL, fetch_pulls, github_token
from regreen.tasks.pulls.matching import match
from regreen.tasks.pulls.patient import RealClock
from regreen.tasks.pulls.rebased import readable
from regreen.tasks.pulls.request import PullRequest

__all__ = ["OutsideFlags", "check_outside", "look_outside"]


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class OutsideFlags:
    """Flags about what is known beside the history."""

    prs: Path | None = None
    """Pull requests and issues for the statements: a dump of GitHub's API, a file or a folder."""
    github: Annotated[bool, Parameter(negative="")] = False
    """Fetch them from GitHub, for the repository that --repo or the clone's remote names; the token
    is read from GITHUB_TOKEN, and OUT.pulls.jsonl keeps what came."""
    github_url: str | None = None
    """Root of the REST API, for an Enterprise server https://HOST/api/v3."""
    decontaminate: Annotated[tuple[Path, ...], Parameter(consume_multiple=True, negative="")] = ()
    """Files that name what must not come out, as for `regreen tasks decontaminate`."""


def check_outside(flags: OutsideFlags) -> None:
    """Refuse flags that cannot go together.

    Raises:
        UsageError: they cannot.
    """
    if flags.prs and flags.github:
        msg = "pull requests come from a dump or from GitHub"
        raise UsageError(msg, where="--prs, --github", mend="leave one of them out")
    if flags.github_url and not flags.github:
        msg = "nothing is fetched"
        raise UsageError(msg, where="--github-url", mend="add --github")


async def look_outside(
    flags: OutsideFlags,
    history: History,
    repo: str,
    commits: Sequence[str],
    *,
    cache: Path,
    limits: Limits,
    console: Console,
) -> Outside:
    """Read the lists, and read or fetch the pull requests.

    Args:
        flags: where they are.
        history: the main line.
        repo: the repository's name, ``owner/name`` where it is known.
        commits: changes that will be tried.
        cache: takes what is fetched.
        limits: how large a change may be: others need no texts.
        console: is told what was found.

    Raises:
        UsageError: a file cannot be used, or the repository has no such name.
        RegreenError: GitHub does not answer.
    """
    identity: dict[str, str] = {}
    known = None
    if flags.decontaminate:
        known = load_known(flags.decontaminate)
        identity["decontaminate"] = _digest(flags.decontaminate)
        console.note(f"{known.size} problems on {len(flags.decontaminate)} lists")
    pulls: Sequence[PullRequest] = ()
    name = ""
    if flags.prs:
        dump = read_dump(flags.prs)
        for skipped in dump.skipped:
            console.note(f"{skipped.count} x left out of the dump: {skipped.reason}")
        pulls, name = dump.pulls, repo if "/" in repo else ""
        identity["pulls"] = _digest([flags.prs])
    elif flags.github:
        pulls = await _fetched(
            flags, history, repo, commits, cache=cache, limits=limits, console=console
        )
        identity["pulls"] = repo
    if flags.prs or flags.github:
        console.note(
            f"{len(pulls)} pull requests, {sum(bool(p.issues) for p in pulls)} with issues"
        )
    return Outside(pulls=pulls, repo=name, known=known, identity=identity)


async def _fetched(
    flags: OutsideFlags,
    history: History,
    repo: str,
    commits: Sequence[str],
    *,
    cache: Path,
    limits: Limits,
    console: Console,
) -> Sequence[PullRequest]:
    """List the pull requests, then fetch the texts of those whose changes may become tasks."""
    if repo.count("/") != 1:
        msg = "GitHub knows repositories by owner and name"
        raise UsageError(msg, where=repo, mend="add --repo OWNER/NAME")

    async def fetch(numbers: frozenset[int]) -> list[PullRequest]:
        return await fetch_pulls(
            repo,
            token=github_token(),
            cache=cache,
            clock=RealClock(),
            note=console.note,
            base_url=flags.github_url or API_URL,
            numbers=numbers,
        )

    await fetch(frozenset())
    changes = list(readable(history, commits).values())
    matched = match(changes, read_pages(cache).pulls)
    return await fetch(
        frozenset(
            matched[one.commit].number
            for one in changes
            if one.commit in matched and _may_need(one, history, limits)
        )
    )


def _may_need(change: Change, history: History, limits: Limits) -> bool:
    """Whether a change may become a task, alone or with others of a rebased pull request."""
    try:
        screened(change, history.objects, limits=limits)
    except Rejected:
        return change.kind == "commit"
    return True


def _digest(paths: Sequence[Path]) -> str:
    """Digest of files, or of all files of folders."""
    whole = hashlib.sha256()
    for path in paths:
        files = sorted(path.rglob("*")) if path.is_dir() else [path]
        for one in files:
            if one.is_file():
                whole.update(one.name.encode("utf-8", "surrogateescape") + b"\0")
                whole.update(one.read_bytes())
    return whole.hexdigest()
