"""A verdict: which tests passed, and whether that resolves the task.

A test that is missing, skipped, expected to fail or reported twice is a failure: silence is
never success.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from pydantic import BaseModel, ConfigDict

__all__ = ["Outcome", "Reward", "Tamper", "Verdict"]


class Outcome(StrEnum):
    """What became of one test."""

    PASSED = "passed"
    FAILED = "failed"
    ERROR = "error"  # set-up, tear-down or collection
    SKIPPED = "skipped"
    XFAILED = "xfailed"
    XPASSED = "xpassed"
    TIMEOUT = "timeout"
    CRASHED = "crashed"  # the process died while it ran
    MISSING = "missing"
    DUPLICATE = "duplicate"

    @property
    def passed(self) -> bool:
        """Only a plain pass counts."""
        return self is Outcome.PASSED


class Reward(BaseModel):
    """One named score with its weight."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    """For example ``resolved``."""
    score: float
    """In [0, 1] unless the reward says otherwise."""
    weight: float = 1.0
    """Its share in the sum."""


class Tamper(BaseModel):
    """One sign that a patch works on its judge instead of on the problem."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: str
    """What it does, for example ``twin_passed`` or ``runner_hook``."""
    where: str
    """The test, file or process concerned."""
    evidence: str
    """What was seen, one sentence or the line itself."""


class Verdict(BaseModel):
    """The graded result of one patch on one task."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_name: Literal["regreen.verdict"] = "regreen.verdict"
    """Name of this format."""
    schema_version: Literal[1] = 1
    """Version of this format."""
    resolved: bool
    """Every expected test passed, and nothing contradicts that."""
    fail_to_pass: dict[str, Outcome]
    """Outcome of each FAIL_TO_PASS test."""
    pass_to_pass: dict[str, Outcome]
    """Outcome of each PASS_TO_PASS test."""
    reason: str = ""
    """Why it is not resolved, one sentence."""
    seconds: float = 0.0
    """Wall seconds of the test run."""
    tamper: tuple[Tamper, ...] = ()
    """Signs of tampering; one of them is enough for the verdict not to be resolved."""
    suspicions: tuple[Tamper, ...] = ()
    """What the diff's audit found noteworthy: it buys more twin runs and decides nothing."""
    dropped: tuple[str, ...] = ()
    """Paths of the patch that were put back before the tests ran, with the reason after a colon."""
    twins: int = 0
    """Perturbed twins that ran and failed, as they must."""

    @property
    def clean(self) -> bool:
        """No sign of tampering was found."""
        return not self.tamper
