"""Pull requests laid on a main line, those that were rebased joined to one change again.

A rebased pull request stands on the main line as its commits, in their order and with their
messages. Its tests may have come with another commit than its repair, so the commits are tried
together when all of them are there behind each other, and one by one when they are not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from regreen.tasks.history.change import Change
from regreen.tasks.history.line import History
from regreen.tasks.history.objects import Missing
from regreen.tasks.pulls.matching import match
from regreen.tasks.pulls.request import PullRequest

__all__ = ["Laid", "lay", "readable"]


@dataclass(frozen=True, kw_only=True)
class Laid:
    """The changes to try, with what is known of each."""

    names: tuple[str, ...]
    """In the order of the history; a joined one stands behind its commits."""
    pulls: Mapping[str, PullRequest] = field(default_factory=dict)
    """By name of the change."""
    joined: Mapping[str, str] = field(default_factory=dict)
    """Commit -> the range it is tried with."""


def readable(history: History, names: Sequence[str]) -> dict[str, Change]:
    """The changes of names, without those that cannot be read."""
    found = {}
    for name in names:
        try:
            found[name] = history.change(name)
        except Missing:
            continue
    return found


def lay(
    history: History,
    names: Sequence[str],
    pulls: Sequence[PullRequest],
    *,
    repo: str = "",
    join: bool = True,
) -> Laid:
    """Find the pull request of every change.

    Args:
        history: the main line.
        names: commits and ranges to try, oldest first.
        pulls: those of several repositories may be among them.
        repo: whose count; empty has the history tell.
        join: whether commits of one pull request may become one change.

    Raises:
        UsageError: no pull request is of ``repo``, or it cannot be told which are.
    """
    if not pulls:
        return Laid(names=tuple(names))
    changes = readable(history, names)
    by_commit = match(list(changes.values()), pulls, repo=repo)
    found = {
        name: by_commit[one.commit] for name, one in changes.items() if one.commit in by_commit
    }
    ranges = _ranges(list(changes.items()), found) if join else {}
    joined = {name: whole for whole, parts in ranges.items() for name in parts}
    last = {parts[-1]: whole for whole, parts in ranges.items()}
    order = [one for name in names for one in (name, last.get(name)) if one is not None]
    whole = {last[name]: pull for name, pull in found.items() if name in last}
    return Laid(names=tuple(order), pulls={**found, **whole}, joined=joined)


def _ranges(
    line: list[tuple[str, Change]], found: Mapping[str, PullRequest]
) -> dict[str, list[str]]:
    """Range -> the commits of the one pull request that it is."""
    last = {
        pull.number: (place, pull)
        for place, (name, _) in enumerate(line)
        if (pull := found.get(name))
    }
    ranges: dict[str, list[str]] = {}
    for place, pull in last.values():
        begin = place + 1 - len(pull.messages)
        window = line[max(0, begin) : place + 1]
        if begin >= 0 and len(window) > 1 and _is_whole(window, pull, found):
            base, commit = window[0][1].base, window[-1][1].commit
            ranges[f"{base}..{commit}"] = [name for name, _ in window]
    return ranges


def _is_whole(
    window: list[tuple[str, Change]], pull: PullRequest, found: Mapping[str, PullRequest]
) -> bool:
    """Whether changes are the commits of a pull request, one by one."""
    follow = all(after.base == before.commit for (_, before), (_, after) in pairwise(window))
    return follow and all(
        change.kind == "commit"
        and found.get(name, pull).number == pull.number
        and f"{change.subject}\n{change.body}".split() == message.split()
        for (name, change), message in zip(window, pull.messages, strict=True)
    )
