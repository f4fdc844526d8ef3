"""The healthy suite, measured once per repository: what is stable, what reaches what, how fast.

Flaky tests are found here, before any bug is made: one run with coverage and one per perturbation
must agree. The repaired state of every injected task is this very tree, byte for byte, so these
runs are also its repeats on the green side.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace

from regreen.core.errors import TaskError
from regreen.core.verdict import Outcome
from regreen.grading.place import TESTBED, Place
from regreen.grading.runner import TestRunner
from regreen.grading.suite import SuiteRun, TestRequest
from regreen.sandbox.base import SandboxProvider
from regreen.sandbox.layers import LayerStore
from regreen.tasks.bench import PERTURBATIONS, Bench, Perturbation
from regreen.tasks.reach import Reach

__all__ = ["Baseline", "measure"]

_SUITE_SECONDS = 1800.0
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
    cpu: float
    """CPU seconds of all these runs."""
    warm: tuple[str, ...]
    """Modules its runs may start with; empty for a suite that notices."""
    runs: tuple[SuiteRun, ...]
    """The perturbed repeats."""


async def _first_run(
    place: Place, provider: SandboxProvider, store: LayerStore
) -> tuple[SuiteRun, Place]:
    """The run with coverage, in a plain box whose bytecode later boxes start from."""
    box = await provider.create(place.spec())
    runner = TestRunner(box, isolate=False)
    try:
        await runner.start()
        run = await runner.run(
            TestRequest(
                paths=place.paths, args=place.args, coverage=True, total_timeout=_SUITE_SECONDS
            )
        )
        upper = await box.snapshot(TESTBED, store)
    finally:
        await runner.close()
    staged = store.stage()
    for folder in upper.path.rglob("__pycache__"):
        shutil.copytree(folder, staged / folder.relative_to(upper.path), dirs_exist_ok=True)
    bytecode = store.commit(staged)
    if any(bytecode.path.iterdir()):
        place = replace(place, tree=(bytecode.path, *place.tree))
    return run, place


def _check(run: SuiteRun, where: str) -> None:
    if run.collected and any(record.outcome.passed for record in run.tests.values()):
        return
    if not run.collected and not run.collect_errors:
        msg = "no tests were found"
        raise TaskError(
            msg, where=where, mend="name them: --tests PATH, or use a source that ships its tests"
        )
    reasons = [*run.collect_errors.values(), *(r.message for r in run.tests.values() if r.message)]
    last = reasons[0].strip().splitlines()[-1] if reasons else run.problem
    msg = f"no test of the suite passes in a box without network: {last}"
    raise TaskError(msg, where=where, mend="run it once by hand; give missing packages with --with")


async def measure(
    place: Place, *, provider: SandboxProvider, store: LayerStore, where: str, workers: int = 2
) -> Baseline:
    """Run the healthy suite until its stable part is known.

    Args:
        place: layers and pytest arguments of the suite.
        provider: makes the boxes.
        store: keeps the bytecode layer.
        where: the source, for error messages.
        workers: perturbed repeats run at once.

    Raises:
        TaskError: no tests, or none that passes.
    """
    first, place = await _first_run(place, provider, store)
    _check(first, where)
    assert first.coverage is not None
    for warm in (first.modules, ()):
        bench = Bench(provider, place, workers=workers, warm=warm)
        try:
            runs = await asyncio.gather(*(_repeat(bench, one, first) for one in PERTURBATIONS))
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


async def _repeat(bench: Bench, perturbation: Perturbation, first: SuiteRun) -> SuiteRun:
    slowest = max((record.seconds for record in first.tests.values()), default=1.0)
    request = TestRequest(
        paths=bench.place.paths,
        args=bench.place.args,
        order_seed=perturbation.order_seed,
        clock_offset=perturbation.clock_offset,
        test_timeout=max(10.0, 5 * slowest),
        total_timeout=_SUITE_SECONDS,
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
        cpu=cpu,
        warm=warm,
        runs=runs,
    )
