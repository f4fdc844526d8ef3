"""Why a change does not become a task: every reason there is, in the order they are asked.

A reason is data: it stands in the journal with a sentence of detail, and in the funnel as a count.
"""

from __future__ import annotations

from enum import StrEnum

from regreen.core.errors import TaskError

__all__ = ["REASONS", "Reason", "Rejected"]


class Reason(StrEnum):
    """A reason; its name is what journals and funnels show."""

    UNREADABLE = "unreadable"
    FIRST_COMMIT = "first_commit"
    NO_SOURCE = "no_source"
    NO_TESTS = "no_tests"
    SYNC_MERGE = "sync_merge"
    JOINED = "joined"
    TOO_MANY_FILES = "too_many_files"
    TOO_LARGE = "too_large"
    SUBMODULE = "submodule"
    LFS = "lfs"
    BINARY = "binary"
    NOT_UTF8 = "not_utf8"
    UNSAFE_PATH = "unsafe_path"
    LINK = "link"
    VERSION_ONLY = "version_only"
    FORMATTING_ONLY = "formatting_only"
    TESTS_UNCHANGED = "tests_unchanged"
    TESTS_IN_SOURCE = "tests_in_source"
    DUPLICATE = "duplicate"
    CONTAMINATED = "contaminated"
    ENVIRONMENT_BUILD = "environment_build"
    ENVIRONMENT_COLLECT = "environment_collect"
    ENVIRONMENT_FAILS = "environment_fails"
    NO_FAIL_TO_PASS = "no_fail_to_pass"
    NO_PASS_TO_PASS = "no_pass_to_pass"
    UNSTABLE = "unstable"
    TOO_SLOW = "too_slow"
    CONTROL = "control"
    LEAKED = "leaked"
    INFRASTRUCTURE = "infrastructure"


REASONS = {
    Reason.UNREADABLE: "an object of it is missing or damaged, as in a shallow clone",
    Reason.FIRST_COMMIT: "nothing comes before it",
    Reason.NO_SOURCE: "no source file differs: documentation, packaging, settings or tests only",
    Reason.NO_TESTS: "no test file differs, or tests were only removed",
    Reason.SYNC_MERGE: "it merges one main line into another; its changes are counted where made",
    Reason.JOINED: "it is tried together with the other commits of its pull request",
    Reason.TOO_MANY_FILES: "it touches too many source files",
    Reason.TOO_LARGE: "its patch, or the row it would make, is too large",
    Reason.SUBMODULE: "it moves a submodule, whose content is not in this repository",
    Reason.LFS: "a file of it is a Git LFS pointer; the content is elsewhere",
    Reason.BINARY: "its source side holds a binary file, which no text patch can ask for",
    Reason.NOT_UTF8: "a file that is no data of its tests is not UTF-8, so no row can hold it",
    Reason.UNSAFE_PATH: "a path of it cannot be written safely",
    Reason.LINK: "it changes a symbolic link on the source side",
    Reason.VERSION_ONLY: "only a version number differs",
    Reason.FORMATTING_ONLY: "the program is the same: comments, docstrings, annotations or layout",
    Reason.TESTS_UNCHANGED: "no test function is new or differs",
    Reason.TESTS_IN_SOURCE: "its only tests stand inside source files, which the fix rewrites",
    Reason.DUPLICATE: "the same fix was seen earlier, as in a backport",
    Reason.CONTAMINATED: "it is in a benchmark it must not be in",
    Reason.ENVIRONMENT_BUILD: "no strategy installs what it needs",
    Reason.ENVIRONMENT_COLLECT: "its tests cannot be collected with the fix in place",
    Reason.ENVIRONMENT_FAILS: "its tests fail with the fix in place, whatever the strategy",
    Reason.NO_FAIL_TO_PASS: "no test fails before and passes after",
    Reason.NO_PASS_TO_PASS: "no test passes on both sides, so breaking everything would go unseen",
    Reason.UNSTABLE: "the tests that would decide it change their outcome between repeats",
    Reason.TOO_SLOW: "its tests take longer than the limit",
    Reason.CONTROL: "a patch that must score 0 scored 1, or gold did not score 1",
    Reason.LEAKED: "the repair lies in the box of whoever is to find it",
    Reason.INFRASTRUCTURE: "the machine failed; a resumed job tries it again",
}
"""Reason -> what it means."""


class Rejected(TaskError):
    """A change is out.

    Args:
        reason: which.
        detail: one sentence about this change.
    """

    def __init__(self, reason: Reason, detail: str = "") -> None:
        super().__init__(detail or REASONS[reason])
        self.reason = reason
