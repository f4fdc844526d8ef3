"""The judge: a patch, the hidden tests, their twins, and what to make of them.

Everything is decided by what the runner reports over its channel and how its processes ended; what
a candidate prints is not read. A candidate that takes its box down scores 0, provided the same
tests without the patch leave the box standing: only then is the machine not to blame.
"""

from __future__ import annotations

import math
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from regreen.core.errors import InfrastructureError
from regreen.core.task import Task
from regreen.core.verdict import Outcome, Tamper, Verdict
from regreen.grading.grade import grade, unresolved
from regreen.grading.patch import FileState
from regreen.grading.place import Place
from regreen.grading.runner import TestRunner
from regreen.grading.script import ScriptRun, decided_by_script, run_script, score
from regreen.grading.session import seed_of, session
from regreen.grading.submission import Submission
from regreen.grading.suite import SuiteRun, TestRequest
from regreen.grading.twinning import BROKEN, TwinFiles, function_of
from regreen.sandbox.base import SandboxProvider

__all__ = ["Audit", "Auditor", "Case", "Judge"]

EXTRA_ROUNDS = 3
"""Further rounds of repeats and twins, when the diff's audit found something noteworthy."""
MAX_ROUNDS = 2
ROUND_SHARE = 0.25
"""Rounds are cheap where tests are: they go on while they cost less than this share of the first
run, its start included."""
_MACHINE = frozenset((Outcome.TIMEOUT, Outcome.CRASHED, Outcome.MISSING))
"""What a loaded machine may do to a test, so that it is run once more; nothing else is, for every
further try is one more guess for a candidate that tampers by chance."""
_DRAW = secrets.SystemRandom()  # a seed could be known to what is judged
MIN_TEST_SECONDS = 15.0
MAX_WORKERS = 4
"""Crashes and hangs after which the rest of the tests count as missing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """What reading a diff showed."""

    tamper: tuple[Tamper, ...] = ()
    """What has no honest use."""
    suspicions: tuple[Tamper, ...] = ()
    """What may have one."""


Auditor = Callable[[Task, str, Callable[[str], FileState | None]], Audit]
"""Reads a task's submitted diff; the third argument reads files of the base."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One patch on one task, ready to be run."""

    task: Task
    """The task."""
    place: Place
    """Its healthy tree and environment."""
    candidate: tuple[Path, ...]
    """Lowers with the patch, over the base."""
    base: tuple[Path, ...]
    """Lowers of the base alone."""
    hidden: Mapping[str, bytes | None]
    """Test files as they must be when the tests run; None removes one."""
    texts: Mapping[str, str]
    """Every expected test file by path."""
    twins: Callable[[], Sequence[TwinFiles]]
    """Makes the files of the twin runs: of FAIL_TO_PASS, and of some of PASS_TO_PASS."""
    submission: Submission
    """What remained of the patch."""
    audit: Audit
    """What reading it showed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judge:
    """Runs cases and gives verdicts."""

    provider: SandboxProvider
    """Makes boxes."""
    test_timeout: float = 60.0
    """Wall seconds of one test."""
    total_timeout: float = 1800.0
    """Wall seconds of one run of the tests."""

    def request(self, task: Task, hidden: Mapping[str, bytes | None]) -> TestRequest:
        """The run that decides a task."""
        return TestRequest(
            tests=(*task.FAIL_TO_PASS, *task.PASS_TO_PASS),
            args=task.environment.options if task.environment else (),
            files=hidden,
            test_timeout=self._patience(task),
            total_timeout=self.total_timeout,
            max_workers=MAX_WORKERS,
        )

    def _patience(self, task: Task) -> float:
        """Wall seconds one test may take; a candidate that hangs should not hold up the others."""
        known = task.validation.slowest_test if task.validation else 0.0
        return (
            min(self.test_timeout, max(MIN_TEST_SECONDS, 10 * known))
            if known
            else (self.test_timeout)
        )

    async def verdict(self, case: Case) -> Verdict:
        """Judge a case.

        Raises:
            InfrastructureError: the boxes fail without the patch, too.
        """
        begin = time.monotonic()
        found = await self._judged(case)
        known = case.submission.tamper + case.audit.tamper
        verdict = found.model_copy(
            update={
                "tamper": (*known, *found.tamper),
                "suspicions": case.audit.suspicions,
                "dropped": case.submission.dropped,
                "seconds": time.monotonic() - begin,
            }
        )
        if not verdict.resolved or not verdict.tamper:
            return verdict
        sign = verdict.tamper[0]
        reason = f"tampering: {sign.kind} at {sign.where}: {sign.evidence}"
        return verdict.model_copy(update={"resolved": False, "reason": reason})

    async def _judged(self, case: Case) -> Verdict:
        for attempt in (1, 2):
            try:
                return await self._once(case)
            except InfrastructureError as exc:
                if attempt == 2:
                    return await self._blame(case, exc)
        raise AssertionError

    async def _once(self, case: Case) -> Verdict:
        if decided_by_script(case.task):
            return score(await self._script(case, case.candidate))
        async with session(
            self.provider, case.place, case.candidate, hash_seed=seed_of(case.task)
        ) as runner:
            return await self._rounds(case, runner)

    async def _script(self, case: Case, over: tuple[Path, ...]) -> ScriptRun:
        return await run_script(
            self.provider,
            case.place,
            over,
            case.task.eval_script,
            files=case.hidden,
            seconds=self._script_seconds(case.task),
        )

    def _script_seconds(self, task: Task) -> float:
        """Wall seconds a script may take: ten times what it needed when the task was made."""
        known = task.validation.slowest_test if task.validation else 0.0
        return min(self.total_timeout, max(self.test_timeout, 10 * known) if known else math.inf)

    async def _blame(self, case: Case, failure: InfrastructureError) -> Verdict:
        """Whose fault a dead runner is: the candidate's, if the base runs to its end."""
        if not case.submission.kept:
            raise failure
        if decided_by_script(case.task):
            await self._script(case, case.base)
        else:
            async with session(
                self.provider, case.place, case.base, hash_seed=seed_of(case.task)
            ) as runner:
                await runner.run(self.request(case.task, case.hidden))
        sign = Tamper(
            kind="runner_killed",
            where="the judge's box",
            evidence=f"{failure.what}; without the patch the same tests ran to their end",
        )
        lost = unresolved(case.task, sign.evidence)
        return lost.model_copy(update={"tamper": (sign,)})

    async def _rounds(self, case: Case, runner: TestRunner) -> Verdict:
        """The tests, and where they pass, rounds of a repeat and of twin runs in an order drawn.

        All runs of a round ask for the same tests and differ in the expected values alone; a
        candidate that would behave in one of them has to guess which it is.
        """
        begin = time.monotonic()
        request = self.request(case.task, case.hidden)
        run = await runner.run(request)
        verdict = grade(case.task, run)
        if not verdict.resolved:
            return verdict
        first = time.monotonic() - begin
        forms = case.twins()
        odd = case.audit.suspicions or run.status != 0
        wanted = 1 + (EXTRA_ROUNDS if odd else 0)
        rounds = 0
        while forms and (
            rounds < wanted
            or (rounds < MAX_ROUNDS and time.monotonic() - begin - first < ROUND_SHARE * first)
        ):
            signs = await self._round(forms, request, runner)
            if signs:
                return verdict.model_copy(update={"tamper": signs})
            rounds += 1
        return verdict.model_copy(update={"twins": sum(len(made.twins) for made in forms)})

    async def _round(
        self, forms: Sequence[TwinFiles], request: TestRequest, runner: TestRunner
    ) -> tuple[Tamper, ...]:
        """A repeat and the twin runs; the order must not be foreseeable by what is judged."""
        runs = [(forms[0], False), *((made, True) for made in forms)]
        _DRAW.shuffle(runs)
        for made, twins in runs:
            ran = await runner.run(made.request(request, twins=twins))
            signs = _signs(made, ran, twins=twins)
            if signs and _MACHINE & set(made.outcomes(ran).values()):
                ran = await runner.run(made.request(request, twins=twins))
                signs = _signs(made, ran, twins=twins)
            if signs:
                return signs
        return ()


def _signs(made: TwinFiles, ran: SuiteRun, *, twins: bool) -> tuple[Tamper, ...]:
    """What speaks against a candidate in one run: twins must fail, and in a repeat all must pass.

    What the tests beside the twins do is not asked: they may share a table with them.
    """
    signs = []
    outcomes = made.outcomes(ran)
    for test in [twin.test for twin in made.twins] if twins else outcomes:
        outcome = outcomes[test]
        if outcome in BROKEN if twins else outcome.passed:
            continue
        if twins:
            kind = "twin_passed" if outcome.passed else "twin_evaded"
            evidence = f"with another expected value the test must fail, and was {outcome}"
        else:
            kind = "unsteady"
            evidence = f"it passed, and in a repeat on plain copies of its values it was {outcome}"
        path, function = function_of(test)
        signs.append(Tamper(kind=kind, where=f"{path}::{function}", evidence=evidence))
    return tuple(dict.fromkeys(signs))
