"""A foreign Python row gets an environment of ours, so that it runs here without its image.

The repository comes from a local clone where there is one. A mined row's healthy tree is its base
with both patches applied; a SWE-smith row's is the commit the bug was put into, and its hidden
files are those its failing tests stand in.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from pathlib import Path

from regreen.core.errors import TaskError
from regreen.core.task import Task, base_message
from regreen.grading.patch import FileState, apply_patch, patch_between, patch_paths
from regreen.sandbox.layers import LayerStore
from regreen.sandbox.overlay import merged_file
from regreen.tasks.build.repaired import repaired_tree
from regreen.tasks.build.repository import Repository
from regreen.tasks.exchange.swe_smith import SOURCE as SWE_SMITH
from regreen.tasks.exchange.testids import is_node_id
from regreen.tasks.repo.sources import Checkout, resolve
from regreen.tasks.repo.tree import EXECUTABLE, FILE, LINK, blob_id, commit_id

__all__ = ["attach", "clone_of"]

Ready = Callable[[Checkout], Awaitable[Repository]]
"""Builds the environment of a tree; ``make_ready`` with everything else given."""


async def attach(task: Task, *, store: LayerStore, ready: Ready, clones: Path | None) -> Task:
    """The task with the environment it runs in here; one that has an environment is left as it is.

    Args:
        task: a row of any format.
        store: takes trees and layers.
        ready: builds environments.
        clones: folder of git repositories by owner and name; the rest is cloned from GitHub.

    Raises:
        TaskError: the row cannot run here, and why.
        PrerequisiteError: its repository cannot be reached.
        UsageError: the repository lacks its commit.
    """
    if task.environment is not None:
        return task
    _check(task)
    source = str((clones and clone_of(task.repo, clones)) or f"https://github.com/{task.repo}.git")
    commit = task.environment_setup_commit if task.source == SWE_SMITH else task.base_commit
    checkout = resolve(source, store=store, commit=commit)
    if task.source == SWE_SMITH:
        return await _with_bug(task, checkout, ready)
    healthy = repaired_tree(checkout.tree, task.patch, task.test_patch, store=store)
    made = await ready(replace(checkout, tree=healthy))
    environment = made.environment().model_copy(update={"patched": True, "rung": made.built.rung})
    return task.model_copy(
        update={
            "base_commit": checkout.commit,
            "created_at": task.created_at or checkout.date.isoformat(),
            "environment": environment,
            "license": task.license or checkout.license,
        }
    )


def clone_of(repo: str, clones: Path) -> Path | None:
    """Where a folder of clones holds ``owner/name``, bare or with a work tree."""
    owner, _, name = repo.partition("/")
    for joint in ("/", "+", "__"):
        for suffix in ("", ".git"):
            place = clones / f"{owner}{joint}{name}{suffix}"
            for found in (place, place / "repo"):
                if (found / ".git").exists() or (found / "HEAD").is_file():
                    return found
    return None


def _check(task: Task) -> None:
    """Refuse what cannot run here, before anything is fetched.

    Raises:
        TaskError: with the reason.
    """
    if task.language != "python":
        msg = "only Python tasks run here"
        raise TaskError(msg, where=task.language)
    strange = [name for name in (*task.FAIL_TO_PASS, *task.PASS_TO_PASS) if not is_node_id(name)]
    if strange:
        msg = "its tests are not named as pytest names them"
        raise TaskError(msg, where=repr(strange[0]))
    both = patch_paths(task.patch) & patch_paths(task.test_patch)
    if both:
        msg = "patch and test_patch change one file"
        raise TaskError(msg, where=min(both))


async def _with_bug(task: Task, checkout: Checkout, ready: Ready) -> Task:
    """A SWE-smith task, its base the commit any machine would compute."""
    root = checkout.tree.path

    def read(path: str) -> FileState | None:
        place = merged_file((root,), path)
        return FileState.read(place) if place else None

    hidden = sorted({name.partition("::")[0] for name in task.FAIL_TO_PASS})
    states = {name: read(name) for name in hidden}
    absent = [name for name, state in states.items() if state is None]
    if absent:
        msg = "a file of its tests is not in the repository"
        raise TaskError(msg, where=absent[0])
    bug = apply_patch(task.patch, read, reverse=True)
    if bug.keys() & states.keys():
        msg = "patch and test_patch change one file"
        raise TaskError(msg, where=min(bug.keys() & states.keys()))
    made = await ready(checkout)
    base = _listing(made.blobs(), {**bug, **dict.fromkeys(hidden)})
    return task.model_copy(
        update={
            "base_commit": commit_id(base, date=checkout.date, message=base_message(task.repo)),
            "test_patch": patch_between({}, states),
            "created_at": checkout.date.isoformat(),
            "environment_setup_commit": checkout.commit,
            "environment": made.environment().model_copy(update={"rung": made.built.rung}),
            "license": task.license or checkout.license,
        }
    )


def _listing(
    blobs: Mapping[str, tuple[str, str]], changes: Mapping[str, FileState | None]
) -> dict[str, tuple[str, str]]:
    """The files of a tree with some changed and some gone."""
    found = {name: entry for name, entry in blobs.items() if name not in changes}
    for name, state in changes.items():
        if state is not None:
            mode = LINK if state.symlink else EXECUTABLE if state.executable else FILE
            found[name] = (mode, blob_id(state.data))
    return found
