"""The two states of a change as a runner is given them: what differs from the ground's own tree."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from regreen.tasks.history.objects import Objects, Tree
from regreen.tasks.mine.ground import Ground
from regreen.tasks.mine.reasons import Reason, Rejected
from regreen.tasks.mine.split import Split

__all__ = ["States", "repaired_tree", "states"]

_SUBMODULE, _PLAIN = "160000", "100644"
Files = dict[str, bytes | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class States:
    """Files to put over the ground's tree, relative to its root; None removes one."""

    before: Mapping[str, bytes | None]
    """The base with the tests of the change."""
    after: Mapping[str, bytes | None]
    """The same, repaired."""
    modes: Mapping[str, Mapping[str, str]]
    """For each of the two, by name: git's modes of those that are links or programs, or were in the
    ground's tree."""


def repaired_tree(base: Tree, after: Tree, split: Split) -> Tree:
    """The base with both sides of the change, and nothing else of it."""
    tree = dict(base)
    for path in (*split.source, *split.tests):
        tree.pop(path, None)
        if path in after:
            tree[path] = after[path]
    return dict(sorted(tree.items()))


def states(ground: Ground, base: Tree, after: Tree, split: Split, objects: Objects) -> States:
    """What a ground's tree lacks to be each of the two states.

    What the installation wrote lies over the tree, here as where the task is judged.

    Raises:
        Missing: a file's content is not there.
        Rejected: the installation wrote a file of the change.
    """
    written = ground.written
    if both := written & {*split.source, *split.tests}:
        raise Rejected(Reason.ENVIRONMENT_BUILD, f"the installation writes {min(both)}")
    repaired = repaired_tree(base, after, split)
    broken = dict(repaired)
    for path, (old, _) in split.source.items():
        broken.pop(path, None)
        if old is not None:
            broken[path] = base[path]
    modes: dict[str, dict[str, str]] = {"before": {}, "after": {}}
    sides = []
    for side, tree in (("before", broken), ("after", repaired)):
        files: Files = {}
        for path in {*tree, *ground.anchor} - written:
            wanted, there = tree.get(path), ground.anchor.get(path)
            if wanted == there or _SUBMODULE in (wanted or there or ("",)):
                continue
            files[path] = objects.read(wanted[1]) if wanted else None
            if wanted and {wanted[0], there[0] if there else _PLAIN} != {_PLAIN}:
                modes[side][path] = wanted[0]
        sides.append(dict(sorted(files.items())))
    return States(before=sides[0], after=sides[1], modes=modes)
