"""Whether an environment may be trusted: it collects what the source promises, and does so twice.

KAT-Coder-V2.5 (arXiv 2607.05471) accepts above 90 % of the expected tests collected with results
that repeat, and reports that its builds became sound by it. The two runs here differ in test order
and hash seed. The figures stay in the record, those of a refusal too.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from pydantic import BaseModel, ConfigDict

from regreen.core.errors import InfrastructureError, TaskError
from regreen.core.verdict import Outcome
from regreen.grading.place import Place
from regreen.grading.runner import TestRunner
from regreen.grading.suite import SuiteRun, TestRequest
from regreen.sandbox.base import SandboxProvider
from regreen.sandbox.layers import LayerStore
from regreen.tasks.build.expected import Expected, function_of

__all__ = ["LEAST_AGREEMENT", "LEAST_COLLECTED", "Acceptance", "accept", "judge_runs"]

LEAST_COLLECTED, LEAST_AGREEMENT = 0.90, 0.99
_SCHEMA = "regreen.acceptance:1"
_NAMED = 5


@dataclass(frozen=True, slots=True)
class _Variation:
    hash_seed: int
    order_seed: int | None


_VARIATIONS = (_Variation(0, None), _Variation(1, 11))


class Acceptance(BaseModel):
    """What the two runs of a suite showed, and what follows."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    accepted: bool
    """Whether there is no reason against it."""
    reasons: tuple[str, ...] = ()
    """Why it is refused, one sentence each, naming files and functions."""
    expected: int = 0
    """Test functions that the source promises."""
    found: int = 0
    """Of these, collected in both runs."""
    least_collected: float = LEAST_COLLECTED
    """Share of the expected functions that must be."""
    collected: int = 0
    """Tests collected in the first run, every set of parameters counted."""
    agreeing: int = 0
    """Tests with the same outcome in both runs."""
    compared: int = 0
    """Tests that either run collected."""
    least_agreement: float = LEAST_AGREEMENT
    """Share of these that must agree."""
    outcomes: dict[str, int] = {}
    """Tests of the first run by outcome."""
    missing: tuple[str, ...] = ()
    """Expected functions that were not collected; a file of which none was stands for all."""
    uncollected: dict[str, str] = {}
    """Files that could not be imported, with the last line of the reason."""
    flaky: tuple[str, ...] = ()
    """Tests whose outcomes differ."""
    seconds: float = 0.0
    """Wall seconds of both runs."""
    cpu: float = 0.0
    """CPU seconds of both runs."""

    def require(self, where: str) -> None:
        """Refuse what was not accepted.

        Raises:
            TaskError: with the reasons.
        """
        if not self.accepted:
            what = f"the environment is refused: {'; '.join(self.reasons)}"
            mend = "add what the tests import, try another --python or --commit"
            raise TaskError(what, where=where, mend=mend)


async def accept(
    place: Place,
    expected: Expected,
    *,
    store: LayerStore,
    provider: SandboxProvider,
    test_seconds: float = 60.0,
    suite_seconds: float = 1800.0,
) -> Acceptance:
    """Run a suite twice and judge its environment; an acceptance is remembered by its layers.

    Args:
        place: layers and pytest arguments of the suite.
        expected: what its source promises.
        store: remembers the answer.
        provider: makes the boxes.
        test_seconds: wall seconds after which a test counts as hanging.
        suite_seconds: wall seconds of one run.

    Raises:
        InfrastructureError: the boxes failed.
    """
    lowers = [path.name for path in (*place.tree, *place.env)]
    call = [*place.args, "--", *place.paths, test_seconds, suite_seconds]
    key = json.dumps([_SCHEMA, lowers, call, expected.functions])
    if known := store.alias(key):
        return Acceptance.model_validate_json((known.path / "acceptance.json").read_bytes())
    request = TestRequest(
        paths=place.paths,
        args=place.args,
        test_timeout=test_seconds,
        total_timeout=suite_seconds,
    )
    started = time.monotonic()
    runs = [await _run(place, request, one, provider) for one in _VARIATIONS]
    answer = judge_runs(runs[0], runs[1], expected, seconds=time.monotonic() - started)
    if not answer.accepted:  # perhaps the machine's fault: the next call looks again
        return answer
    staged = store.stage()
    try:
        (staged / "acceptance.json").write_text(answer.model_dump_json(indent=1))
        store.remember(key, store.commit(staged))
    finally:
        shutil.rmtree(staged, ignore_errors=True)
    return answer


async def _run(
    place: Place, request: TestRequest, variation: _Variation, provider: SandboxProvider
) -> SuiteRun:
    """One run in a box that shows the tests no process but their own."""
    asked = replace(request, order_seed=variation.order_seed)
    box = await provider.create(place.spec(writable=False, nested=True))
    runner = TestRunner(box, isolate=True, legacy=place.python.legacy)
    try:
        await runner.start(hash_seed=variation.hash_seed)
        return await runner.run(asked)
    except InfrastructureError as exc:
        # the box stood, so what ended its runner is the environment's doing
        return SuiteRun(tests={}, problem=f"{exc.what}: {exc.where}")
    finally:
        await asyncio.shield(runner.close())


def judge_runs(
    first: SuiteRun, second: SuiteRun, expected: Expected, *, seconds: float = 0.0
) -> Acceptance:
    """Judge two runs of one suite.

    Args:
        first: in the suite's own order.
        second: in another order and under another hash seed.
        expected: what the source promises.
        seconds: wall seconds of both.
    """
    collected = [frozenset(map(function_of, run.collected)) for run in (first, second)]
    both = collected[0] & collected[1]
    missing = [name for name in expected.functions if name not in both]
    compared = dict.fromkeys((*first.collected, *second.collected))
    flaky = tuple(name for name in compared if first.outcome(name) != second.outcome(name))
    errors = {**second.collect_errors, **first.collect_errors}
    uncollected = {name: _last_line(text) for name, text in sorted(errors.items())}
    named = _by_file(missing, expected.functions)
    reasons = [
        *_of_collection(len(expected.functions), len(missing), named, uncollected),
        *_of_runs(first, second),
        *_of_agreement(len(compared), flaky),
    ]
    return Acceptance(
        accepted=not reasons,
        reasons=tuple(reasons),
        expected=len(expected.functions),
        found=len(expected.functions) - len(missing),
        collected=len(first.collected),
        agreeing=len(compared) - len(flaky),
        compared=len(compared),
        outcomes=dict(sorted(Counter(str(first.outcome(one)) for one in first.collected).items())),
        missing=tuple(named),
        uncollected=uncollected,
        flaky=flaky,
        seconds=round(seconds, 1),
        cpu=round(first.cpu + second.cpu, 2),
    )


def _of_collection(
    expected: int, missing: int, named: Mapping[str, int], uncollected: Mapping[str, str]
) -> Iterable[str]:
    if not missing or (expected - missing) >= LEAST_COLLECTED * expected:
        return
    share = (expected - missing) / expected
    told = []
    for name, count in list(named.items())[:_NAMED]:
        why = f", {uncollected[name]}" if name in uncollected else ""
        counted = f"{count} function" if count == 1 else f"{count} functions"
        told.append(f"{name} ({counted}{why})" if "::" not in name else name)
    more = f" and {len(named) - _NAMED} more" if len(named) > _NAMED else ""
    yield (
        f"{expected - missing} of {expected} expected test functions are collected"
        f" ({share:.0%}, at least {LEAST_COLLECTED:.0%} are needed);"
        f" not collected: {', '.join(told)}{more}"
    )


def _of_runs(first: SuiteRun, second: SuiteRun) -> Iterable[str]:
    for number, run in enumerate((first, second), 1):
        outcomes = {run.outcome(name) for name in run.collected}
        calm = outcomes <= {Outcome.PASSED, Outcome.SKIPPED, Outcome.XFAILED, Outcome.XPASSED}
        if run.problem:
            yield f"run {number} has a problem: {run.problem}"
        elif not run.collected:
            yield f"run {number} collects no test"
        elif run.status not in (0, None) and calm and not run.collect_errors:
            yield f"run {number} ends with status {run.status} though no test fails"
        elif Outcome.PASSED not in outcomes:
            yield f"run {number} passes no test"


def _of_agreement(compared: int, flaky: tuple[str, ...]) -> Iterable[str]:
    agreeing = compared - len(flaky)
    if agreeing < LEAST_AGREEMENT * compared:
        more = f" and {len(flaky) - _NAMED} more" if len(flaky) > _NAMED else ""
        yield (
            f"{agreeing} of {compared} tests agree in two runs ({agreeing / compared:.1%}, at least"
            f" {LEAST_AGREEMENT:.0%} are needed); not: {', '.join(flaky[:_NAMED])}{more}"
        )


def _by_file(missing: list[str], functions: tuple[str, ...]) -> dict[str, int]:
    """Missing functions, those of a file that has none left as the file with their number."""
    per_file = Counter(name.partition("::")[0] for name in functions)
    gone = Counter(name.partition("::")[0] for name in missing)
    whole = {path: count for path, count in gone.items() if count == per_file[path]}
    single = [name for name in missing if name.partition("::")[0] not in whole]
    return {**whole, **dict.fromkeys(single, 1)}


def _last_line(text: str) -> str:
    """The line of a failure that says most: the last of the exception's own, else the last."""
    lines = [line for line in text.strip().splitlines() if line.strip()] or [""]
    own = [line[1:] for line in lines if line.startswith("E  ")]
    return " ".join((own or lines)[-1].split())[:300]
