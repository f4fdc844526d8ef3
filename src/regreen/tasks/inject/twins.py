"""Perturbed twins for a whole repository's tasks: the healthy side is tried once for all of them.

Every task of a repository has the same repaired tree, so whether a twin fails there is remembered;
only the broken side is run for each task.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from regreen.core.task import Twin
from regreen.core.verdict import Outcome
from regreen.grading.suite import SuiteRun, TestRequest
from regreen.grading.twinning import (
    BROKEN,
    Side,
    TwinFiles,
    function_of,
    prove_twins,
    targets,
    tests_to_twin,
)
from regreen.tasks.inject.candidate import Candidate, Finding
from regreen.tasks.prove.baseline import Baseline
from regreen.tasks.prove.bench import SuiteRunner

__all__ = ["TwinMaker"]

_TEST_SECONDS = 10.0


class TwinMaker:
    """Proves the twins of a repository's candidates.

    Args:
        root: the healthy tree.
        seed: decides the changed values; the healthy commit.
        baseline: of its suite.
        bench: runs tests.
    """

    def __init__(self, root: Path, *, seed: str, baseline: Baseline, bench: SuiteRunner) -> None:
        self._root = root
        self._seed = seed
        self._baseline = baseline
        self._bench = bench
        self._order = _order(baseline.runs[0])
        self._healthy: dict[Twin, bool] = {}
        self._passing: dict[tuple[object, ...], set[str]] = {}

    async def prove(self, candidate: Candidate, finding: Finding) -> tuple[Twin, ...]:
        """The twins of a verified candidate's tests."""
        tests = tuple(
            test
            for test in tests_to_twin(finding.fail_to_pass, finding.pass_to_pass)
            if function_of(test)[0].endswith(".py")  # twins are made of Python
        )
        if not tests:
            return ()
        wanted = targets(tests, order=self._order, lines=dict(finding.lines))
        trial = _CandidateTrial(self, candidate)
        twins = await prove_twins(wanted, self._texts(tests), seed=self._seed, trial=trial)
        return twins.proved

    def _texts(self, tests: Sequence[str]) -> dict[str, str]:
        texts = {}
        for name in dict.fromkeys(function_of(test)[0] for test in tests):
            path = self._root / name
            if path.is_file():
                texts[name] = path.read_bytes().decode("utf-8", "surrogateescape")
        return texts

    async def healthy(self, made: TwinFiles) -> set[str]:
        """The tests whose twins fail on the healthy tree."""
        unknown = {twin.test for twin in made.twins if twin not in self._healthy}
        if unknown:
            ran = await self.run(made.only(unknown), twins=True, files={})
            for twin in made.twins:
                if twin.test in unknown:
                    self._healthy[twin] = ran[twin.test] in BROKEN
        return {twin.test for twin in made.twins if self._healthy[twin]}

    async def passing(self, made: TwinFiles) -> set[str]:
        """The tests that pass on the healthy tree as the repeats run them."""
        key = (made.twins, tuple(sorted(made.repeats.items())))
        if key not in self._passing:
            ran = await self.run(made, twins=False, files={})
            self._passing[key] = {test for test, outcome in ran.items() if outcome.passed}
        return self._passing[key]

    async def run(
        self, made: TwinFiles, *, twins: bool, files: Mapping[str, bytes | None]
    ) -> dict[str, Outcome]:
        """Outcomes of twins, or of their tests, with ``files`` over the healthy tree."""
        seconds = [self._baseline.seconds.get(twin.test, 0.0) for twin in made.twins]
        slowest = max(seconds, default=0.0)
        like = TestRequest(
            args=self._baseline.place.args,
            files=files,
            test_timeout=max(_TEST_SECONDS, 10 * slowest),
            collect_timeout=30.0,
            total_timeout=120.0 + 10 * sum(seconds),
        )
        return made.outcomes(await self._bench.run(made.request(like, twins=twins)))


class _CandidateTrial:
    """One candidate's two trees; the healthy one is everybody's."""

    def __init__(self, maker: TwinMaker, candidate: Candidate) -> None:
        self._maker = maker
        self._files = {path: text.encode() for path, (_, text) in candidate.files.items()}

    async def failing(self, side: Side, made: TwinFiles) -> set[str]:
        if side == "gold":
            return await self._maker.healthy(made)
        ran = await self._maker.run(made, twins=True, files=self._files)
        return {test for test, outcome in ran.items() if outcome in BROKEN}

    async def passing(self, made: TwinFiles) -> set[str]:
        return await self._maker.passing(made)


def _order(run: SuiteRun) -> dict[str, tuple[str, ...]]:
    """Node ids of every parametrized function, in the order of collection."""
    found: dict[str, list[str]] = {}
    for test in run.collected:
        found.setdefault(test.partition("[")[0], []).append(test)
    return {name: tuple(ids) for name, ids in found.items()}
