"""The healthy suite, measured once per repository: what is stable, what reaches what, how fast.

Flaky tests are found here, before any bug is made: one run with coverage and one per perturbation
must agree. The repaired state of every injected task is this very tree, byte for byte, so these
runs are also its repeats on the green side.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace

from regreen.core.errors import InfrastructureError, TaskError
from regreen.core.together import together
from regreen.core.verdict import Outcome
from regreen.grading.place import TESTBED, Place
from regreen.grading.runner import TestRunner, run_alone
from regreen.grading.suite import Coverage, SuiteRun, TestRequest
from regreen.sandbox.base import SandboxProvider
from regreen.sandbox.layers import LayerStore
from regreen.tasks.prove.bench import PERTURBATIONS, Bench, Perturbation, SuiteRunner
from regreen.tasks.prove.reach import Reach

__all__ = ["Baseline", "measure", "measure_blind"]

_COST_STEP = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """The suite of the healthy tree."""

    place: Place
    """Where it runs, with the bytecode of the first run as topmost lower."""
    reach: Reach
    """Which stable test reaches which line."""
    seconds: Mapping[str, float]
    """Wall seconds of each stable test, the slowest of the repeats."""
    stable: tuple[str, ...]
    """Passed in every run."""
    flaky: Mapping[str, tuple[str, ...]]
    """Tests whose outcomes differed, with the outcomes."""
    failing: Mapping[str, str]
    """Tests that never passed, with their outcome."""
    uncollected: Mapping[str, str]
    """Test files that could not be imported, with the last line of the reason."""
    cpu: float
    """CPU seconds of all these runs."""
    warm: tuple[str, ...]
    """Modules its runs may start with; empty for a suite that notices."""
    runs: tuple[SuiteRun, ...]
    """The perturbed repeats."""


async def _first_run(
    place: Place, request: TestRequest, provider: SandboxProvider, store: LayerStore
) -> tuple[SuiteRun, Place]:
    """The run with coverage, in a plain box whose bytecode later boxes start from.

    Tests may kill every process they see, the runner included; such a suite is run again in a
    box that shows it no process but its own, and does without the bytecode.
    """
    box = await provider.create(place.spec())
    runner = TestRunner(box, isolate=False, legacy=place.python.legacy)
    try:
        await runner.start()
        run = await runner.run(request)
        if _lost(run):
            run = _joined(run, await runner.run(_without_lost(run, request)))
        upper = await box.snapshot(TESTBED, store)
    except InfrastructureError:
        return await _confined_run(place, request, provider), place
    finally:
        await runner.close()
    staged = store.stage()
    for folder in upper.path.rglob("__pycache__"):
        shutil.copytree(folder, staged / folder.relative_to(upper.path), dirs_exist_ok=True)
    bytecode = store.commit(staged)
    if any(bytecode.path.iterdir()):
        place = replace(place, tree=(bytecode.path, *place.tree))
    return run, place


async def _confined_run(place: Place, request: TestRequest, provider: SandboxProvider) -> SuiteRun:
    spec = place.spec(writable=False, nested=True)
    run = await run_alone(
        await provider.create(spec), request, isolate=True, legacy=place.python.legacy
    )
    if not _lost(run):
        return run
    box = await provider.create(spec)
    return _joined(
        run,
        await run_alone(box, _without_lost(run, request), isolate=True, legacy=place.python.legacy),
    )


def _lost(run: SuiteRun) -> bool:
    """Whether a test took its process, and with it the coverage of others, along."""
    gone = (Outcome.CRASHED, Outcome.TIMEOUT)
    return any(record.outcome in gone for record in run.tests.values())


def _without_lost(run: SuiteRun, request: TestRequest) -> TestRequest:
    """The same request for the tests that passed."""
    passed = tuple(name for name in run.tests if run.outcome(name).passed)
    return replace(request, tests=passed)


def _joined(run: SuiteRun, again: SuiteRun) -> SuiteRun:
    """What happened in the first run, and what was reached in the second."""
    return replace(run, coverage=again.coverage, modules=again.modules, cpu=run.cpu + again.cpu)


def _check(run: SuiteRun, where: str) -> None:
    if run.collected and any(record.outcome.passed for record in run.tests.values()):
        if run.coverage is not None:
            return
        msg = f"the suite cannot be measured: {run.problem or 'its process ended early'}"
        raise TaskError(msg, where=where, mend="leave out the tests that end their own process")
    if not run.collected and not run.collect_errors and run.problem:
        msg = f"the tests cannot be collected: {run.problem}"
        raise TaskError(msg, where=where, mend="run `pytest --collect-only` once by hand")
    if not run.collected and not run.collect_errors:
        msg = "no tests were found"
        raise TaskError(
            msg, where=where, mend="name them: --tests PATH, or use a source that ships its tests"
        )
    reasons = [*run.collect_errors.values(), *(r.message for r in run.tests.values() if r.message)]
    last = _reason(reasons[0]) if reasons else run.problem
    msg = f"no test of the suite passes in a box without network: {last}"
    mend = "run it once by hand without a network; name tests that can pass with --tests PATH"
    raise TaskError(msg, where=where, mend=mend)


def _reason(text: str) -> str:
    """The line of a failure that says most: the last of the exception's own, else the last."""
    lines = [line for line in text.strip().splitlines() if line.strip()] or [""]
    own = [line[1:] for line in lines if line.startswith("E  ")]
    return " ".join((own or lines)[-1].split())


async def measure(
    place: Place,
    *,
    provider: SandboxProvider,
    store: LayerStore,
    where: str,
    workers: int = 2,
    test_seconds: float = 60.0,
    suite_seconds: float = 1800.0,
) -> Baseline:
    """Run the healthy suite until its stable part is known.

    Args:
        place: layers and pytest arguments of the suite.
        provider: makes the boxes.
        store: keeps the bytecode layer.
        where: the source, for error messages.
        workers: perturbed repeats run at once.
        test_seconds: wall seconds after which a test counts as hanging.
        suite_seconds: wall seconds of one run; what did not run by then is left out.

    Raises:
        TaskError: no tests, or none that passes.
        InfrastructureError: the boxes failed.
    """
    request = TestRequest(
        paths=place.paths,
        args=place.args,
        coverage=True,
        cover=place.sources,
        test_timeout=test_seconds,
        total_timeout=suite_seconds,
    )
    first, place = await _first_run(place, request, provider, store)
    _check(first, where)
    assert first.coverage is not None
    for warm in (first.modules, ()):
        bench = Bench(provider, place, workers=workers, warm=warm)
        try:
            runs = await together(_repeat(bench, one, first, request) for one in PERTURBATIONS)
        finally:
            await bench.close()
        if _agree(first, runs[0]):
            break
    made = _summary(place, first, tuple(runs), first.cpu + bench.cpu, warm=warm)
    if not made.stable:
        msg = "no test passes in every repeat: the suite cannot decide anything"
        seen = next(iter(made.flaky.items()), ("", ("",)))
        mend = "make the suite independent of hash seed, test order and clock"
        raise TaskError(msg, where=f"{where}: {seen[0]} was {', '.join(seen[1])}", mend=mend)
    return made


async def measure_blind(
    place: Place,
    runner: SuiteRunner,
    *,
    texts: Mapping[str, str],
    where: str,
    test_seconds: float = 60.0,
    suite_seconds: float = 1800.0,
) -> Baseline:
    """Like ``measure``, for a runner that cannot see which test reaches which line.

    Every stable test then counts as reaching every line of the library.

    Args:
        place: where the suite runs.
        runner: runs it.
        texts: the library's files.
        where: the source, for error messages.
        test_seconds: wall seconds after which a test counts as hanging.
        suite_seconds: wall seconds of one run.

    Raises:
        TaskError: no tests, or none that passes every time.
        InfrastructureError: the boxes failed.
    """
    request = TestRequest(
        paths=place.paths, args=place.args, test_timeout=test_seconds, total_timeout=suite_seconds
    )
    runs = []
    for one in PERTURBATIONS:
        asked = replace(request, order_seed=one.order_seed, clock_offset=one.clock_offset)
        runs.append(await runner.run(asked, hash_seed=one.hash_seed))
    tests = runs[0].collected
    lines = {
        path: dict.fromkeys(tests, tuple(range(1, text.count("\n") + 2)))
        for path, text in texts.items()
    }
    seen = Coverage(lines=lines, fixtures={}, forked=frozenset())
    first = replace(runs[0], coverage=seen)
    _check(first, where)
    made = _summary(place, first, tuple(runs), sum(run.cpu for run in runs), warm=())
    if not made.stable:
        msg = "no test passes in every repeat: the suite cannot decide anything"
        raise TaskError(msg, where=where, mend="make the suite independent of order and clock")
    return made


async def _repeat(
    bench: Bench, perturbation: Perturbation, first: SuiteRun, request: TestRequest
) -> SuiteRun:
    slowest = max((record.seconds for record in first.tests.values()), default=1.0)
    request = replace(
        request,
        coverage=False,
        order_seed=perturbation.order_seed,
        clock_offset=perturbation.clock_offset,
        test_timeout=min(request.test_timeout, max(10.0, 5 * slowest)),
    )
    return await bench.run(request, hash_seed=perturbation.hash_seed)


def _agree(first: SuiteRun, repeat: SuiteRun) -> bool:
    """Whether an unperturbed repeat passes most of what passed; else the warm start is to blame."""
    passed = [name for name in first.tests if first.outcome(name).passed]
    return sum(repeat.outcome(name).passed for name in passed) > len(passed) / 2


def _cost(seconds: float) -> float:
    """CPU seconds rounded down to a power of 8 milliseconds.

    Tests are chosen by what they cost; a measured time as it stands would choose others in every
    run, and the same job would not give the same taskset.
    """
    cost = 0.001
    while seconds >= _COST_STEP * cost:
        cost *= _COST_STEP
    return cost


def _summary(
    place: Place, first: SuiteRun, runs: tuple[SuiteRun, ...], cpu: float, *, warm: tuple[str, ...]
) -> Baseline:
    outcomes = {
        name: tuple(run.outcome(name) for run in (first, *runs)) for name in first.collected
    }
    stable = tuple(name for name, seen in outcomes.items() if all(o.passed for o in seen))
    agree = {name: seen for name, seen in outcomes.items() if len(set(seen)) == 1}
    assert first.coverage is not None
    seconds = {name: max(run.tests[name].seconds for run in runs) for name in stable}
    cpu_of = {name: _cost(min(run.tests[name].cpu for run in runs)) for name in stable}
    return Baseline(
        place=place,
        reach=Reach(first.coverage, cpu_of),
        seconds=seconds,
        stable=stable,
        flaky={
            name: tuple(str(o) for o in seen)
            for name, seen in outcomes.items()
            if name not in agree
        },
        failing={
            name: str(seen[0]) for name, seen in agree.items() if seen[0] is not Outcome.PASSED
        },
        uncollected={name: _reason(text) for name, text in first.collect_errors.items()},
        cpu=cpu,
        warm=warm,
        runs=runs,
    )
