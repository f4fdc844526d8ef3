"""What is wrong with a verifying script, as data: one kind, one place, one piece of evidence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from regreen.grading.script import ScriptRun

__all__ = ["KINDS", "REASONS", "Attempt", "Finding", "Kind", "Trial"]

Kind = Literal[
    # read from the text
    "reads_source", "inspects_source", "changes_source", "applies_patch", "holds_gold",
    "git_state", "file_times", "existence", "state_marker", "runs_nothing", "unreadable",
    # seen when it ran
    "resolved_fails", "bug_passes", "follows_text", "needs_text", "passes_without_tests",
    "passes_early_exit", "unsteady", "leak", "grader_differs",
    # nothing to read or run
    "missing_script", "too_large",
]  # fmt: skip
KINDS: tuple[Kind, ...] = get_args(Kind)

REASONS: dict[Kind, str] = {
    "reads_source": "it reads the text of a file that the change repairs instead of running it",
    "inspects_source": "it looks at a program's source or bytecode instead of what it does",
    "changes_source": "it writes to a file that the change repairs",
    "applies_patch": "it applies a patch or puts other versions of files in place",
    "holds_gold": "it holds a line of the repair",
    "git_state": "it asks git what changed",
    "file_times": "it asks when files changed",
    "existence": "it asks whether a file of the change is there",
    "state_marker": "it asks for a file that is in neither state of the repository",
    "runs_nothing": "it runs no program",
    "unreadable": "it is empty, too long, or no shell would run it",
    "resolved_fails": "it does not exit 0 on the resolved state",
    "bug_passes": "it exits 0 on the state with the bug",
    "follows_text": "it exits 0 where only the repair's text is there and the bug still is",
    "needs_text": "it fails where the repaired program behaves as it should and only its text"
    " cannot be read",
    "passes_without_tests": "it exits 0 with the bug once the tests are deleted",
    "passes_early_exit": "it exits 0 when the program under test just ends early with status 0",
    "unsteady": "repeated runs on the same state differ",
    "leak": "what was installed gives the repair away",
    "grader_differs": "judged as a task, it scores otherwise than it did here",
    "missing_script": "there is no script",
    "too_large": "the box holds more than a layer may",
}
"""One sentence for each kind."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One reason to refuse a script."""

    kind: Kind
    """Which reason."""
    where: str
    """The command, the file or the run concerned."""
    evidence: str = ""
    """What was seen there."""

    def told(self) -> str:
        """One line for the builder."""
        seen = f" ({self.evidence})" if self.evidence else ""
        return f"{self.kind}: {REASONS[self.kind]}; at {self.where}{seen}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One run of a script on one form of the repository."""

    name: str
    """``bug``, ``resolved``, or a control."""
    expected_zero: bool
    """Whether a sound script exits 0 there."""
    run: ScriptRun
    """How it ended."""

    @property
    def right(self) -> bool:
        """Whether it ended as it should."""
        return self.run.passed == self.expected_zero


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One script handed in, and what was made of it."""

    script: str
    """Its text."""
    findings: tuple[Finding, ...] = ()
    """Why it was refused; empty when it was accepted."""
    trials: tuple[Trial, ...] = ()
    """Its runs, in order."""

    @property
    def accepted(self) -> bool:
        """Whether nothing speaks against it."""
        return not self.findings
