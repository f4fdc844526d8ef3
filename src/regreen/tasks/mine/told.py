"""A proved change in words: what its agent is told, and the labels by which tasks are chosen."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import PurePosixPath

from regreen.core.task import Task
from regreen.tasks.history.change import Change
from regreen.tasks.labels.difficulty import rated
from regreen.tasks.labels.quality import rate
from regreen.tasks.mine.split import Split
from regreen.tasks.pulls.request import PullRequest
from regreen.tasks.words.interface import interface
from regreen.tasks.words.statement import Statement, statement

__all__ = ["in_words", "labelled", "needed_names", "told_of"]

_MOST_SAID = 10_000
_ROOTS = frozenset(("src", "lib", "python"))


def in_words(
    task: Task,
    change: Change,
    pull: PullRequest | None,
    split: Split,
    *,
    messages: Sequence[str],
    library: str,
    tree: Collection[str],
) -> tuple[Task, Statement]:
    """A row with its statement, interface, discussion and labels, and where the statement is from.

    Args:
        task: the row, its statement still empty.
        change: with the messages it merged.
        pull: its pull request, when one is known.
        split: its two sides.
        messages: reports of the failing tests at the base.
        library: the library's name.
        tree: paths of the state after the change.
    """
    names = needed_names(split, tree)
    told = statement(
        change,
        pull,
        patch=task.patch,
        test_patch=task.test_patch,
        fail_to_pass=task.FAIL_TO_PASS,
        messages=messages,
        library=library,
        interface=names,
        sources=_texts(split, split.test_files),
    )
    words = {
        "problem_statement": told.text,
        "hints_text": _shortened(told.hints),
        "review_text": _shortened(told.reviews),
        "interface": names,
    }
    return labelled(task.model_copy(update=words), issues=told.issues), told


def told_of(told: Statement, pull: PullRequest | None) -> dict[str, object]:
    """What a journal keeps of where a statement is from."""
    issues = pull.issues if pull else ()
    return {"told_by": told.source, "issues": tuple(f"{i.repo}#{i.number}" for i in issues)}


def labelled(task: Task, *, issues: int = 0) -> Task:
    """The row with difficulty and quality by rules.

    Args:
        task: with its statement.
        issues: linked issues that the statement quotes.
    """
    measured = rated(task)
    return measured.model_copy(update={"quality": rate(measured, issues=issues)})


def needed_names(split: Split, tree: Collection[str]) -> str:
    """Signatures of what the tests of a change name and its base lacks."""
    sources = [path for path in split.source if path.endswith(".py")]
    before = {path: split.source[path][0] for path in sources}
    after = {path: split.source[path][1] for path in sources}
    root = next(filter(None, (_root(path, tree) for path in sources)), "")
    return interface(
        {path: _text(state.data) for path, state in before.items() if state},
        {path: _text(state.data) for path, state in after.items() if state},
        _texts(split, split.test_files).values(),
        root=root,
    )


def _root(path: str, tree: Collection[str]) -> str:
    """The folder of a source file that is on the import path; empty for the tree's own."""
    first = PurePosixPath(path).parts[0]
    return first if first in _ROOTS and f"{first}/__init__.py" not in tree else ""


def _texts(split: Split, paths: Sequence[str]) -> dict[str, str]:
    states = {path: split.tests[path][1] for path in paths}
    return {path: _text(state.data) for path, state in states.items() if state}


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")


def _shortened(said: str) -> str:
    if len(said) <= _MOST_SAID:
        return said
    return said[:_MOST_SAID].rpartition("\n")[0] + "\n\n[...]"
