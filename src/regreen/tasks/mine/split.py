"""A change divided into the patch that repairs and the patch that checks.

What is on neither side stays as it was before the change, so the repaired state is the base with
these two patches, and nothing else of the commit.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from regreen.grading.patch import FileState, patch_between
from regreen.tasks.history.change import Change, FileChange
from regreen.tasks.history.objects import Objects
from regreen.tasks.mine.named import differs_in_named_tests
from regreen.tasks.mine.reasons import Reason, Rejected
from regreen.tasks.mine.sides import Side, maybe_test, side_of
from regreen.tasks.repo.discovery import Suite
from regreen.tasks.repo.semantics import changed_tests, definitions, meaning, parsed

__all__ = ["Limits", "Split", "screened", "split"]

_SUBMODULE, _LINK = "160000", "120000"
_LFS = b"version https://git-lfs.github.com/spec/"
_BINARY_PROBE = 8000
_PROGRAMS = (".py", ".pyx", ".c", ".h", ".cpp", ".rs")
_MOST_BYTES = 8 << 20
"""Of all states of a change's files: a difference of more takes minutes to find."""
States = Mapping[str, FileState | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How large a change may be."""

    files: int = 15
    """Source files."""
    lines: int = 1000
    """Lines that the source side adds plus those it removes."""
    patch_bytes: int = 400_000
    """Bytes of both patches together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """The two sides of a change."""

    source: Mapping[str, tuple[FileState | None, FileState | None]]
    """Path -> state before and after, of the side that repairs."""
    tests: Mapping[str, tuple[FileState | None, FileState | None]]
    """The same of the side that checks."""
    aside: tuple[str, ...]
    """Paths on neither side."""
    test_files: tuple[str, ...]
    """Test modules that are there after the change and differ, sorted."""
    touched: Mapping[str, tuple[str, ...] | None]
    """Test module -> its new and changed test functions; None when it cannot be parsed here."""
    patch: str
    """Of the source side, git's format."""
    test_patch: str
    """Of the test side."""


def screened(change: Change, objects: Objects, *, limits: Limits, all_kinds: bool = False) -> None:
    """Refuse what its paths alone show to be none.

    Args:
        change: the step.
        objects: reads the project's settings, where no path looks like one of tests.
        limits: most source files; twice as many paths are let through to the exact count.
        all_kinds: let sync merges through, because they were asked for.

    Raises:
        Rejected: with the reason.
    """
    python = [one for one in change.files if one.path.endswith(_PROGRAMS)]
    if not any(maybe_test(one.path) for one in change.files):
        if not python:
            raise Rejected(Reason.NO_SOURCE)
        if not differs_in_named_tests(change, objects):
            raise Rejected(Reason.NO_TESTS)
    if not python:
        raise Rejected(Reason.NO_SOURCE, "no Python file differs")
    if all(_is_plainly_test(one.path) for one in python):
        raise Rejected(Reason.NO_SOURCE, "only files below tests differ")
    if is_sync_merge(change) and not all_kinds:
        raise Rejected(Reason.SYNC_MERGE, change.subject[:120])
    sources = [one for one in python if not maybe_test(one.path)]
    if len(sources) > 4 * limits.files:
        raise Rejected(
            Reason.TOO_MANY_FILES, f"about {len(sources)}, and {limits.files} are allowed"
        )


def is_sync_merge(change: Change) -> bool:
    """Whether the change is a merge of one main line into another."""
    from regreen.tasks.history.messages import is_sync

    return change.kind == "merge" and is_sync(change.subject)


def _is_plainly_test(path: str) -> bool:
    return path.startswith(("tests/", "test/")) or path.rpartition("/")[2].startswith("test_")


def split(
    change: Change,
    objects: Objects,
    suite: Suite,
    library: tuple[str, ...],
    *,
    limits: Limits,
    tests_needed: bool = True,
) -> Split:
    """Divide a change.

    Args:
        change: the step.
        objects: reads its files.
        suite: of the state after it.
        library: top-level packages and modules of that state.
        limits: how large it may be.
        tests_needed: whether a change without new or changed tests is refused.

    Raises:
        Rejected: with the reason.
        Missing: a file's content is not there.
    """
    sides: dict[Side, dict[str, tuple[FileState | None, FileState | None]]]
    sides = {"source": {}, "test": {}, "aside": {}}
    for one in change.files:
        side = side_of(one.path, suite, library)
        if side == "test" and one.path.endswith(".py") and not suite.is_plainly_test(one.path):
            side = _inside(one, objects)
        if _SUBMODULE in (one.old_mode, one.new_mode):
            if side != "aside":
                raise Rejected(Reason.SUBMODULE, one.path)
            continue
        sides[side][one.path] = _states(one, objects) if side != "aside" else (None, None)
    _check_bytes({**sides["source"], **sides["test"]})
    source, empty = _programs(sides["source"])
    tests = {path: pair for path, pair in sides["test"].items() if pair[0] != pair[1]}
    _check_source(source, empty)
    touched = _touched(tests, suite)
    if tests_needed:
        _check_tests(tests, sides["test"], touched, suite)
    _check_files(source, tests, limits)
    made = Split(
        source=source,
        tests=tests,
        aside=tuple(sorted({*sides["aside"], *empty})),
        test_files=tuple(sorted(touched)),
        touched=touched,
        patch=_patch(source),
        test_patch=_patch(tests, literal=[path for path in tests if not path.endswith(".py")]),
    )
    _check_size(made, limits)
    return made


def _inside(one: FileChange, objects: Objects) -> Side:
    """The side of a module that pytest collects whatever its name: what it holds decides.

    Raises:
        Rejected: it holds tests and what they test; hidden tests are placed file by file.
    """
    module = parsed(objects.read(one.new_blob if one.new_mode != "000000" else one.old_blob))
    tests, others = definitions(module) if module else (1, 0)
    if tests and others:
        raise Rejected(Reason.TESTS_IN_SOURCE, one.path)
    return "test" if tests else "source"


def _states(one: FileChange, objects: Objects) -> tuple[FileState | None, FileState | None]:
    return (
        _state(one.old_mode, one.old_blob, objects),
        _state(one.new_mode, one.new_blob, objects),
    )


def _state(mode: str, blob: str, objects: Objects) -> FileState | None:
    if mode == "000000":
        return None
    return FileState(objects.read(blob), executable=mode == "100755", symlink=mode == _LINK)


def _check_bytes(files: Mapping[str, tuple[FileState | None, FileState | None]]) -> None:
    size = sum(len(state.data) for pair in files.values() for state in pair if state)
    if size > _MOST_BYTES:
        raise Rejected(Reason.TOO_LARGE, f"the files that differ hold {size} bytes")


def _programs(
    found: Mapping[str, tuple[FileState | None, FileState | None]],
) -> tuple[dict[str, tuple[FileState | None, FileState | None]], dict[str, str]]:
    """Files of the source side that change what it does, and the others with what they change."""
    kept, empty = {}, {}
    for path, (old, new) in found.items():
        what = "program"
        if path.endswith(".py") and old and new:  # a module that says nothing can be imported
            what = meaning(old.data, new.data)
        if what == "program":
            kept[path] = (old, new)
        else:
            empty[path] = what
    return kept, empty


def _check_source(source: Mapping[str, object], empty: Mapping[str, str]) -> None:
    if not any(path.endswith(_PROGRAMS) for path in source):
        if not empty:
            raise Rejected(Reason.NO_SOURCE)
        only = set(empty.values())
        raise Rejected(Reason.VERSION_ONLY if "version" in only else Reason.FORMATTING_ONLY)


def _check_tests(
    tests: Mapping[str, object],
    all_tests: Mapping[str, object],
    touched: Mapping[str, tuple[str, ...] | None],
    suite: Suite,
) -> None:
    if not tests:
        raise Rejected(Reason.NO_TESTS if not all_tests else Reason.TESTS_UNCHANGED)
    if not touched:
        raise Rejected(Reason.NO_TESTS, "test files are only removed, or only their data differs")
    if all(found == () for found in touched.values()) and not _data(tests, suite):
        raise Rejected(Reason.TESTS_UNCHANGED)


def _touched(
    tests: Mapping[str, tuple[FileState | None, FileState | None]], suite: Suite
) -> dict[str, tuple[str, ...] | None]:
    return {
        path: changed_tests(old.data if old else None, new.data)
        for path, (old, new) in tests.items()
        if new is not None and suite.collects(path)
    }


def _data(tests: Mapping[str, object], suite: Suite) -> bool:
    """Whether something beside test modules differs: fixtures, snapshots, a conftest."""
    return any(not suite.collects(path) for path in tests)


def _check_files(
    source: Mapping[str, tuple[FileState | None, FileState | None]],
    tests: Mapping[str, tuple[FileState | None, FileState | None]],
    limits: Limits,
) -> None:
    if len(source) > limits.files:
        raise Rejected(Reason.TOO_MANY_FILES, f"{len(source)}, and {limits.files} are allowed")
    for path, pair in {**source, **tests}.items():
        for state in filter(None, pair):
            if state.data.startswith(_LFS):
                raise Rejected(Reason.LFS, path)
            if path in source:
                if state.symlink:
                    raise Rejected(Reason.LINK, path)
                if b"\0" in state.data[:_BINARY_PROBE]:
                    raise Rejected(Reason.BINARY, path)
            is_data = path in tests and not path.endswith(".py") and not state.symlink
            is_binary = b"\0" in state.data[:_BINARY_PROBE]
            if not is_data and not is_binary and not _is_utf8(state.data):
                raise Rejected(Reason.NOT_UTF8, path)
        if not _is_utf8(path.encode("utf-8", "surrogateescape")):
            raise Rejected(Reason.NOT_UTF8, repr(path))


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _patch(
    files: Mapping[str, tuple[FileState | None, FileState | None]],
    *,
    literal: Collection[str] = (),
) -> str:
    """In git's format; what is no text is written as git writes binary files, where it may."""
    no_text = {
        path for path in literal for state in files[path] if state and not _is_utf8(state.data)
    }
    return patch_between(
        {path: old for path, (old, _) in files.items()},
        {path: new for path, (_, new) in files.items()},
        literal=no_text,
    )


def _check_size(made: Split, limits: Limits) -> None:
    lines = sum(
        line[:1] in "+-" and line[:3] not in ("+++", "---")
        for line in made.patch.split("\n")
        if line
    )
    if lines > limits.lines:
        raise Rejected(Reason.TOO_LARGE, f"{lines} lines of source differ")
    size = len(made.patch) + len(made.test_patch)
    if size > limits.patch_bytes:
        raise Rejected(Reason.TOO_LARGE, f"{size} bytes of patches")
