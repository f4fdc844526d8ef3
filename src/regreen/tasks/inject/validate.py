"""Prove a candidate by execution: broken, repairable, stable, and not to be talked into green.

The first run is the screen: only the tests that reach the fault, with some neighbours, in a fresh
box forked from a warm process. Survivors of the screen are repeated under another hash seed, test
order and clock. The repaired side needs no runs of its own: the gold patch restores the healthy
tree byte for byte, which ``_restores`` checks, and that tree was repeated when it was measured.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import partial

from regreen.core.verdict import Outcome
from regreen.grading.patch import FileState, apply_patch, text_patch
from regreen.grading.protect import Protection
from regreen.grading.suite import SuiteRun, TestRequest
from regreen.tasks.inject.candidate import Candidate, Finding, Status
from regreen.tasks.language.python import Python
from regreen.tasks.prove.baseline import Baseline
from regreen.tasks.prove.bench import PERTURBATIONS, Perturbation, SuiteRunner

__all__ = ["MAX_FAILING_SHARE", "examine", "gold_patch"]

MAX_FAILING_SHARE = 0.5
MESSAGES = 3
_MIN_PASSING = 4
_MIN_COVERING = 4
_SCREEN_CPU = 0.2
_PASSING_CPU = 0.03
_PROCESS_CPU = 0.1
"""What a test that starts a process is taken to cost, since its own clock does not see it."""
_BROKEN = frozenset((Outcome.FAILED, Outcome.ERROR))
_ADDRESS = re.compile(r" at 0x[0-9a-f]{6,16}\b")
_SKIP_ALL = "def pytest_collection_modifyitems(items):\n    items.clear()\n"


def gold_patch(candidate: Candidate) -> str:
    """The patch from the broken files back to the healthy ones."""
    return "".join(
        text_patch(path, broken, healthy) for path, (healthy, broken) in candidate.files.items()
    )


async def examine(
    candidate: Candidate, *, baseline: Baseline, bench: SuiteRunner, forged: str = Python.forged
) -> Finding:
    """Run a candidate through screen, repeats and controls; the first failure ends it.

    Dear tests are run only when no cheap one notices the fault.

    Args:
        candidate: the broken files and their tests.
        baseline: of the healthy suite.
        bench: runs tests.
        forged: code that prints what a green suite prints, for the control that must not pass.
    """
    cheap, dear = _affordable(candidate.covering, baseline)
    prove = partial(_prove, candidate, baseline=baseline, bench=bench, forged=forged)
    finding = await prove(cheap, unrun=dear)
    if finding.status != "survived" or not dear:
        return finding
    again = await prove(dear, unrun=())
    return replace(again, cpu=finding.cpu + again.cpu)


def _affordable(
    covering: tuple[str, ...], baseline: Baseline
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Covering tests, cheapest first, split where they pass the budget of a screen."""
    spent = 0.0
    for position, name in enumerate(covering):
        spent += baseline.reach.cpu[name] + _PROCESS_CPU * (name in baseline.reach.opaque)
        if position >= _MIN_COVERING and spent > _SCREEN_CPU:
            return covering[:position], covering[position:]
    return covering, ()


async def _prove(
    candidate: Candidate,
    covering: tuple[str, ...],
    *,
    unrun: tuple[str, ...],
    baseline: Baseline,
    bench: SuiteRunner,
    forged: str,
) -> Finding:
    """Screen, repeats and controls on some of the covering tests."""
    tests = (*covering, *candidate.neighbours)
    runs: list[SuiteRun] = []
    cpu = 0.0
    for perturbation in PERTURBATIONS:
        run = await _run(candidate.files, tests, perturbation, baseline=baseline, bench=bench)
        runs.append(run)
        cpu += run.cpu
        status = _status(runs, tests, baseline)
        if status:
            return Finding(status=status, cpu=cpu)
        if len(runs) == 1:
            tests = _worth_repeating(run, tests, baseline)
    failing = tuple(t for t in tests if all(run.outcome(t) in _BROKEN for run in runs))
    passing = tuple(t for t in tests if all(run.outcome(t).passed for run in runs))
    flaky = tuple(t for t in tests if t not in failing and t not in passing)
    if not failing or not passing:
        return Finding(status="no_pass_left" if failing else "unstable", flaky=flaky, cpu=cpu)
    controls, spent = await _controls(
        candidate, failing, passing, baseline=baseline, bench=bench, forged=forged
    )
    cpu += spent
    sound = all(expected == score for _, expected, score in controls)
    return Finding(
        status="verified" if sound else "control",
        fail_to_pass=failing,
        pass_to_pass=passing,
        flaky=flaky,
        unrun=unrun,
        messages=tuple(_plain(text) for name in failing if (text := runs[0].tests[name].message)),
        lines=tuple((name, runs[0].tests[name].lines) for name in failing),
        controls=controls,
        cpu=cpu,
    )


def _plain(message: str) -> str:
    """A failure's text without memory addresses, which tell nothing and differ in every run."""
    return _ADDRESS.sub("", message)


def _worth_repeating(run: SuiteRun, tests: tuple[str, ...], baseline: Baseline) -> tuple[str, ...]:
    """All that failed, and passing tests within a budget: the rest would prove nothing more."""
    cpu = baseline.reach.cpu
    failed = [name for name in tests if not run.outcome(name).passed]
    passed = sorted((name for name in tests if name not in failed), key=lambda n: (cpu[n], n))
    kept: list[str] = []
    spent = 0.0
    for name in passed:
        spent += cpu[name] + (_PROCESS_CPU if name in baseline.reach.opaque else 0.0)
        if len(kept) >= _MIN_PASSING and spent > _PASSING_CPU:
            break
        kept.append(name)
    return (*failed, *kept)


async def _run(
    files: Mapping[str, tuple[str, str]],
    tests: tuple[str, ...],
    perturbation: Perturbation,
    *,
    baseline: Baseline,
    bench: SuiteRunner,
) -> SuiteRun:
    slowest = max(baseline.seconds[name] for name in tests)
    request = TestRequest(
        tests=tests,
        args=baseline.place.args,
        files={path: broken.encode() for path, (_, broken) in files.items()},
        order_seed=perturbation.order_seed,
        clock_offset=perturbation.clock_offset,
        test_timeout=max(2.0, 10 * slowest),
        collect_timeout=30.0,
        total_timeout=120.0 + 10 * sum(baseline.seconds[name] for name in tests),
        max_workers=1,
        messages=MESSAGES if perturbation is PERTURBATIONS[0] else 0,
    )
    return await bench.run(request, hash_seed=perturbation.hash_seed)


def _status(runs: list[SuiteRun], tests: tuple[str, ...], baseline: Baseline) -> Status | None:
    """Why a candidate is out after these runs; None while it is in."""
    last = runs[-1]
    outcomes = [last.outcome(name) for name in tests]
    if Outcome.TIMEOUT in outcomes:
        return "hang"
    if Outcome.CRASHED in outcomes:
        return "crash"
    if last.collect_errors or Outcome.MISSING in outcomes:
        return "import_break"
    failed = sum(outcome in _BROKEN for outcome in outcomes)
    if not failed:
        return "survived" if len(runs) == 1 else "unstable"
    if failed > MAX_FAILING_SHARE * len(baseline.stable) and failed > 3:
        return "too_broad"
    return None


async def _controls(
    candidate: Candidate,
    failing: tuple[str, ...],
    passing: tuple[str, ...],
    *,
    baseline: Baseline,
    bench: SuiteRunner,
    forged: str,
) -> tuple[tuple[tuple[str, float, float], ...], float]:
    """Scores of patches with a known right score.

    A control whose graded tree equals one that ran already takes that run's score: the grader
    drops what a patch does to tests and runner settings, so deleting or skipping the tests
    leaves the broken tree. Printing does change the tree, and is run.
    """
    tests = frozenset(name.partition("::")[0] for name in (*failing, *passing))
    protection = Protection(tests)
    removed = {name: None for name in tests}
    skipping = {"conftest.py": _SKIP_ALL, **{name: "" for name in tests}}
    broken = 0.0
    gold = 1.0 if _restores(candidate) else 0.0
    printed = {
        path: (healthy, broken_text.rstrip("\n") + "\n" + forged)
        for path, (healthy, broken_text) in candidate.files.items()
    }
    # one test that must stay red decides as much as all of them
    run = await _run(printed, failing[:1], PERTURBATIONS[0], baseline=baseline, bench=bench)
    score = float(run.outcome(failing[0]).passed)
    return (
        ("no_op", 0.0, broken),
        ("gold", 1.0, gold),
        ("delete_tests", 0.0, broken if _all_covered(protection, removed) else 1.0),
        ("skip_tests", 0.0, broken if _all_covered(protection, skipping) else 1.0),
        ("print_passed", 0.0, score),
    ), run.cpu


def _all_covered(protection: Protection, paths: Iterable[str]) -> bool:
    return all(protection.covers(path) for path in paths)


def _restores(candidate: Candidate) -> bool:
    """Whether git, given the gold patch, turns the broken files into the healthy ones."""
    broken = {path: FileState(text.encode()) for path, (_, text) in candidate.files.items()}
    result = apply_patch(gold_patch(candidate), broken.get)
    return result == {path: FileState(text.encode()) for path, (text, _) in candidate.files.items()}
