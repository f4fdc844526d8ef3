"""The two states of a change, as a builder and its judge see them: the bug, and resolved.

The files of the change's tests stand in both, for they belong to the verifier and not to the
repair; what tells the two apart is the gold patch alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

from regreen.grading.patch import FileState, apply_patch, patch_paths
from regreen.sandbox.layers import Layer
from regreen.sandbox.overlay import merged_file

__all__ = ["ChangeStates", "Files", "State"]

State = Literal["bug", "resolved"]
Files = Mapping[str, FileState | None]
"""Files by path; None where there is none."""


@dataclass(frozen=True, kw_only=True)
class ChangeStates:
    """One change and what its box is made of."""

    instance_id: str
    """Of the task that is to be."""
    repo: str
    """``owner/name`` or the name alone."""
    source: str
    """Where the repository came from."""
    commit: str
    """The commit before the change."""
    statement: str
    """What is wrong, as the task will tell it."""
    patch: str
    """The gold patch."""
    test_patch: str = ""
    """What the change did to tests; may be empty."""
    base: Layer
    """The tree of ``commit``."""
    healthy: Layer
    """The same with both patches applied."""
    env: Layer | None = None
    """An environment to begin with, mounted at /opt/env; None begins with an empty one."""
    as_of: str = ""
    """Latest upload time of packages, ISO 8601; told to the builder."""
    created_at: str = ""
    """Date of the change, ISO 8601."""
    version: str = ""
    """Release line of the source."""
    language: str = "python"
    """Language of the repository."""
    license: str = ""
    """Licence of the source, SPDX when known."""

    @cached_property
    def sources(self) -> frozenset[str]:
        """Paths of the gold patch that no test patch decides."""
        return frozenset(patch_paths(self.patch)) - self.tests

    @cached_property
    def tests(self) -> frozenset[str]:
        """Paths of the test patch."""
        return frozenset(patch_paths(self.test_patch))

    @cached_property
    def resolved(self) -> Files:
        """Every path of both patches after the change."""
        return {path: _read(self.healthy, path) for path in sorted(self.sources | self.tests)}

    @cached_property
    def bug(self) -> Files:
        """The same paths before the change, those of tests already as after it."""
        placed = apply_patch(self.test_patch, lambda path: _read(self.base, path))
        return {
            path: placed[path] if path in placed else _read(self.base, path)
            for path in self.resolved
        }

    def files(self, state: State) -> Files:
        """The paths of both patches in one state."""
        return self.bug if state == "bug" else self.resolved

    def lowers(self, build: Layer | None) -> tuple[Path, ...]:
        """Of /testbed below a state's files, topmost first.

        Args:
            build: what the builder's installation left in the tree.
        """
        return (*((build.path,) if build else ()), self.base.path)


def _read(tree: Layer, path: str) -> FileState | None:
    place = merged_file((tree.path,), path)
    return FileState.read(place) if place else None
