"""The verdict: expected tests against observed ones, where silence never counts as success."""

from __future__ import annotations

from collections.abc import Iterable

from regreen.core.task import Task
from regreen.core.verdict import Outcome, Reward, Tamper, Verdict
from regreen.grading.suite import SuiteRun

__all__ = ["grade", "rewards", "unresolved"]


def _first_failure(outcomes: dict[str, Outcome]) -> str:
    return next((f"{name}: {value}" for name, value in outcomes.items() if not value.passed), "")


def _uncollected(run: SuiteRun) -> str:
    """Why nothing was there to be judged; a run that collects nothing says nothing."""
    if run.collected or run.status is None:
        return ""
    errors = "; ".join(f"{name}: {text}"[-300:] for name, text in run.collect_errors.items())
    return f"no test was collected, pytest ended with status {run.status}. {errors}".strip()


def grade(task: Task, run: SuiteRun, *, seconds: float = 0.0) -> Verdict:
    """Judge one run of the task's tests.

    Resolved means: every FAIL_TO_PASS and PASS_TO_PASS test was reported exactly once and passed
    in set-up, call and tear-down, and the run itself ended as it said it would.
    """
    fail_to_pass = {name: run.outcome(name) for name in task.FAIL_TO_PASS}
    pass_to_pass = {name: run.outcome(name) for name in task.PASS_TO_PASS}
    reason = (
        run.problem
        or _uncollected(run)
        or _first_failure(fail_to_pass)
        or _first_failure(pass_to_pass)
    )
    if not task.FAIL_TO_PASS:
        reason = "the task names no FAIL_TO_PASS test"
    forged = Tamper(kind="forged_report", where="the results channel", evidence=run.problem)
    return Verdict(
        resolved=not reason,
        fail_to_pass=fail_to_pass,
        pass_to_pass=pass_to_pass,
        reason=reason,
        seconds=seconds,
        tamper=(forged,) if run.forged else (),
    )


def unresolved(task: Task, reason: str) -> Verdict:
    """The verdict of a patch that could not be run, such as one that does not apply."""
    return Verdict(
        resolved=False,
        fail_to_pass=dict.fromkeys(task.FAIL_TO_PASS, Outcome.MISSING),
        pass_to_pass=dict.fromkeys(task.PASS_TO_PASS, Outcome.MISSING),
        reason=reason,
    )


def rewards(verdict: Verdict) -> tuple[Reward, ...]:
    """``resolved`` carries the weight; the two rates are recorded for analysis."""

    def rate(outcomes: Iterable[Outcome]) -> float:
        values = [float(outcome.passed) for outcome in outcomes]
        return sum(values) / len(values) if values else 1.0

    return (
        Reward(name="resolved", score=float(verdict.resolved)),
        Reward(name="fail_to_pass", score=rate(verdict.fail_to_pass.values()), weight=0.0),
        Reward(name="pass_to_pass", score=rate(verdict.pass_to_pass.values()), weight=0.0),
    )
