"""Real changes of a source's main line that could be undone: newest first, library files only."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from regreen.sandbox.layers import LayerStore
from regreen.tasks.history.change import Change
from regreen.tasks.history.line import History
from regreen.tasks.history.objects import Missing, Objects
from regreen.tasks.history.source import open_source
from regreen.tasks.repo.git import git
from regreen.tasks.repo.sources import Checkout
from regreen.tasks.written.mirror import Past

__all__ = ["past_changes"]


def past_changes(
    checkout: Checkout,
    texts: Mapping[str, str],
    *,
    url: str,
    store: LayerStore,
    max_files: int = 5,
    max_lines: int = 300,
) -> Iterator[Past]:
    """Changes whose library files are still there.

    Args:
        checkout: today's state.
        texts: its library files.
        url: the source as given, which may hold what the checkout's record leaves out.
        store: holds clones.
        max_files: library files a change may touch.
        max_lines: lines it may add and remove in them.

    Raises:
        UsageError: the source has no history.
    """
    repository = open_source(url, store=store).repository
    prefix = git(repository, "rev-parse", "--show-prefix")  # of a folder below the root
    objects = Objects(repository)
    try:
        history = History(objects, head=checkout.commit, where=checkout.spec)
        for change in history.changes(reversed(history.line())):
            if isinstance(change, Change):
                files = _files(change, objects, prefix, texts, max_files)
                if files and sum(_size(*pair) for pair in files.values()) <= max_lines:
                    yield Past(commit=change.commit, files=files)
    finally:
        objects.close()


def _files(
    change: Change, objects: Objects, prefix: str, texts: Mapping[str, str], most: int
) -> dict[str, tuple[str, str]]:
    """Library files it changed, as text; nothing when one of them came, went or cannot be read."""
    found: dict[str, tuple[str, str]] = {}
    touched = [
        one
        for one in change.files
        if one.path.startswith(prefix) and one.path.removeprefix(prefix) in texts
    ]
    if len(touched) > most:
        return {}
    for one in touched:
        if "000000" in (one.old_mode, one.new_mode):
            return {}
        try:
            pair = [objects.read(blob).decode("utf-8") for blob in (one.old_blob, one.new_blob)]
        except (Missing, UnicodeDecodeError):
            return {}
        found[one.path.removeprefix(prefix)] = (pair[0], pair[1])
    return found


def _size(before: str, after: str) -> int:
    """Lines of one that the other lacks, both ways."""
    old, new = set(before.splitlines()), set(after.splitlines())
    return len(old ^ new)
