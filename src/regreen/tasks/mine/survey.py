"""What can be known of a change without running it: its sides, its suite, what it needs.

The tree after the change is laid out once, read, and removed; nothing of it is run.
"""

from __future__ import annotations

import errno
import re
import shutil
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from regreen.core.errors import InfrastructureError, TaskError, UsageError
from regreen.sandbox.layers import LayerStore, tree_digest
from regreen.tasks.build.needs import kin_digest, needs_digest
from regreen.tasks.history.change import Change
from regreen.tasks.history.objects import Objects, Tree
from regreen.tasks.mine.reasons import Reason, Rejected
from regreen.tasks.mine.sides import BESIDE
from regreen.tasks.mine.split import Limits, Split, split
from regreen.tasks.mine.states import repaired_tree
from regreen.tasks.repo.discovery import Suite, find_suite, source_files
from regreen.tasks.repo.packages import package_roots
from regreen.tasks.repo.parsing import parses
from regreen.tasks.repo.project import Project, inside
from regreen.tasks.repo.semantics import property_tests
from regreen.tasks.repo.tree import Entry, write_tree

__all__ = ["Outline", "Survey", "Surveyor"]

_SUBMODULE = "160000"
IMPORTLIB = ("--import-mode=importlib",)
"""For test modules of one name in several folders that are no packages: by default pytest would
import only the first of them."""
_OF_THE_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS)
_PROPERTIES = 5
_TEST = re.compile(rb"^\s*(?:async )?def test", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outline:
    """What the tree after a change shows: a few kilobytes, kept for the next time it is read."""

    suite: Suite
    """The tests of the state after it."""
    library: tuple[str, ...]
    """Its top-level packages and modules."""
    needs: str
    """Digest of what its environment depends on."""
    kin: str
    """Digest of what no environment can make up for: its packages' places and what is compiled."""
    options: tuple[str, ...]
    """Options of pytest that its tree needs, whatever the environment."""
    spared: tuple[str, ...]
    """Property-based tests that the change does not touch, but for the first few: each runs a
    hundred examples, and more of them would tell little."""
    foreign: bool
    """Whether a file of the library or of the changed tests is no Python to the running one."""
    others: tuple[str, ...]
    """Test files that it does not touch, those nearest to the change first, as many as the tests
    that must stay green may come from."""
    name: str
    """Name of the distribution; empty when its files do not tell."""
    license: str
    """Licence as the project states it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """One change, read."""

    change: Change
    """The step of the history."""
    split: Split
    """Its two sides."""
    outline: Outline
    """What the tree after it shows."""


@dataclass(frozen=True, slots=True)
class Surveyor:
    """Reads changes.

    Args:
        objects: of the repository.
        store: lends a directory to lay trees out.
        limits: how large a change may be.
        tests: how many tests must stay green at most.
        where: the source, for records.
    """

    objects: Objects
    store: LayerStore
    limits: Limits
    tests: int
    where: str
    _known: dict[tuple[str, str], Outline] = field(default_factory=dict)

    def read(self, change: Change) -> Survey:
        """Divide a change and find its tests.

        Raises:
            Rejected: it is none of those that tests can decide.
            Missing: an object of it is not there.
            InfrastructureError: the disk is full.
        """
        known = self._known.get((change.base, change.commit))
        if known:
            made = split(change, self.objects, known.suite, known.library, limits=self.limits)
        else:
            made, known = self._laid_out(change)
            self._known[change.base, change.commit] = known
        return Survey(change=change, split=made, outline=known)

    def outline(self, change: Change) -> Outline:
        """What the tree after a change says of itself.

        Raises:
            Rejected: as :meth:`read`.
            Missing: an object of it is not there.
            InfrastructureError: the disk is full.
        """
        return self._known.get((change.base, change.commit)) or self.read(change).outline

    def recall(self, change: Change, outline: Outline) -> None:
        """Take what an earlier job read of the tree after a change."""
        self._known[change.base, change.commit] = outline

    def _laid_out(self, change: Change) -> tuple[Split, Outline]:
        after = self.objects.tree(change.commit)
        staged = self.store.stage()
        try:
            self._write(after, staged)
            try:
                suite = find_suite(staged, where=self.where)
            except TaskError as exc:
                raise Rejected(Reason.NO_TESTS, exc.what) from exc
            library = package_roots(staged)
            made = split(change, self.objects, suite, library, limits=self.limits)
            project = Project(staged)
            others = self._others(after, suite, made)
            return made, Outline(
                suite=suite,
                library=library,
                needs=needs_digest(staged, suite),
                foreign=_foreign(staged, source_files(staged, suite), made),
                kin=kin_digest(staged, suite),
                options=IMPORTLIB if _clash(after, suite) else (),
                others=others,
                spared=_spared(staged, made, others),
                name=project.name,
                license=project.license,
            )
        finally:
            shutil.rmtree(staged, ignore_errors=True)

    def digest(self, survey: Survey) -> str:
        """Digest of the layer that holds the repaired state, which is not kept."""
        change = survey.change
        base, after = self.objects.tree(change.base), self.objects.tree(change.commit)
        staged = self.store.stage()
        try:
            self._write(repaired_tree(base, after, survey.split), staged)
            return tree_digest(staged)
        finally:
            shutil.rmtree(staged, ignore_errors=True)

    def _write(self, tree: Tree, staged: Path) -> None:
        entries = (
            Entry(path, mode, self.objects.read(blob))
            for path, (mode, blob) in tree.items()
            if mode != _SUBMODULE
        )
        try:
            write_tree(entries, staged, where=self.where)
        except UsageError as exc:
            raise Rejected(Reason.UNSAFE_PATH, exc.what) from exc
        except OSError as exc:
            if exc.errno in _OF_THE_DISK:
                what, mend = f"a tree cannot be laid out: {exc.strerror}", "free some space"
                raise InfrastructureError(what, where=str(staged), mend=mend) from exc
            raise Rejected(Reason.UNSAFE_PATH, exc.strerror or str(exc)) from exc

    def _others(self, after: Tree, suite: Suite, made: Split) -> tuple[str, ...]:
        """Untouched test files, nearest first, until all together hold enough tests."""
        stems = {PurePosixPath(path).stem.strip("_") for path in made.source}
        folders = {path.rpartition("/")[0] for path in made.test_files}

        def distance(path: str) -> tuple[bool, bool, str]:
            stem = PurePosixPath(path).stem.removeprefix("test_").removesuffix("_test")
            return stem not in stems, path.rpartition("/")[0] not in folders, path

        chosen: list[str] = []
        count = sum(self._tests_in(after, path) for path in made.test_files)
        for path in sorted((one for one in after if _in_suite(one, suite)), key=distance):
            if path in made.tests or after[path][0] == _SUBMODULE or count >= self.tests:
                continue
            found = self._tests_in(after, path)
            if found:
                chosen.append(path)
                count += found
        return tuple(chosen)

    def _tests_in(self, tree: Tree, path: str) -> int:
        """How many test functions a file seems to hold."""
        return len(_TEST.findall(self.objects.read(tree[path][1]))) if path in tree else 0


def _spared(tree: Path, made: Split, others: tuple[str, ...]) -> tuple[str, ...]:
    """Property-based tests that are not run."""
    found = []
    for path in (*made.test_files, *others):
        touched = made.touched.get(path, ())
        if touched is not None and inside(tree, tree / path):
            names = property_tests((tree / path).read_bytes())
            found += [f"{path}::{name}" for name in names if name not in touched]
    return tuple(found[_PROPERTIES:])


def _foreign(tree: Path, library: tuple[str, ...], made: Split) -> bool:
    """Whether something that will be imported cannot be parsed."""
    paths = (tree / path for path in (*library, *made.test_files))
    return not all(parses(path.read_bytes()) for path in paths if inside(tree, path))


def _in_suite(path: str, suite: Suite) -> bool:
    """Whether the suite as it is usually started holds a file; benchmarks never count."""
    beside = set(PurePosixPath(path).parts[:-1]) & BESIDE
    places = [one.removesuffix("/") for one in suite.command.args if one != "."]
    inside = not places or any(path == one or path.startswith(f"{one}/") for one in places)
    return inside and not beside and suite.collects(path)


def _clash(tree: Tree, suite: Suite) -> bool:
    """Whether two test modules outside packages have one name."""
    names = [
        PurePosixPath(path).name
        for path in tree
        if _in_suite(path, suite) and f"{path.rpartition('/')[0]}/__init__.py" not in tree
    ]
    return len(names) != len(set(names))
