"""Silence, repetition and contradiction never count as success."""

from __future__ import annotations

import pytest

from regreen.core.task import Task
from regreen.core.verdict import Outcome
from regreen.grading.grade import grade, rewards, unresolved
from regreen.grading.suite import SuiteRun, TestRecord

TASK = Task(
    instance_id="t",
    repo="r",
    base_commit="0" * 40,
    patch="--- a/conftest.py\n+++ b/conftest.py\n@@ -1 +1 @@\n-a\n+b\n",
    test_patch="--- /dev/null\n+++ b/tests/test_a.py\n@@ -0,0 +1 @@\n+x\n",
    problem_statement="",
    FAIL_TO_PASS=("tests/test_a.py::f",),
    PASS_TO_PASS=("tests/test_b.py::p",),
)


def run(f: str | None = "passed", p: str | None = "passed", **fields: object) -> SuiteRun:
    outcomes = {"tests/test_a.py::f": f, "tests/test_b.py::p": p}
    tests = {k: TestRecord(outcome=Outcome(v)) for k, v in outcomes.items() if v}
    return SuiteRun(tests=tests, **fields)  # type: ignore[arg-type]


def test_all_passed_is_resolved() -> None:
    verdict = grade(TASK, run())

    assert verdict.resolved
    assert [reward.score for reward in rewards(verdict)] == [1.0, 1.0, 1.0]


@pytest.mark.parametrize("outcome", [None, *(o for o in Outcome if o is not Outcome.PASSED)])
def test_anything_but_a_pass_fails(outcome: str | None) -> None:
    if outcome in (Outcome.MISSING, Outcome.DUPLICATE):
        outcome = None

    assert not grade(TASK, run(f=outcome)).resolved
    assert not grade(TASK, run(p=outcome)).resolved


def test_a_test_reported_twice_fails() -> None:
    verdict = grade(TASK, run(duplicates=("tests/test_a.py::f",)))

    assert verdict.fail_to_pass["tests/test_a.py::f"] is Outcome.DUPLICATE
    assert not verdict.resolved


def test_a_run_that_ended_oddly_fails() -> None:
    verdict = grade(TASK, run(problem="exit status 3 contradicts the reported 0"))

    assert not verdict.resolved
    assert "contradicts" in verdict.reason


def test_a_task_without_expected_failures_cannot_be_resolved() -> None:
    task = TASK.model_copy(update={"FAIL_TO_PASS": ()})

    assert not grade(task, run()).resolved


def test_an_unrunnable_patch_has_missing_tests() -> None:
    verdict = unresolved(TASK, "does not apply")

    assert set(verdict.fail_to_pass.values()) == {Outcome.MISSING}
    assert rewards(verdict)[0].score == 0.0
