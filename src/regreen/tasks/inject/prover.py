"""Candidates proved, remembered and counted, and made rows: what every kind of bug goes through."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from regreen.core.task import Task
from regreen.core.together import together
from regreen.tasks.build.repository import Repository
from regreen.tasks.inject.assemble import Assembler
from regreen.tasks.inject.candidate import Candidate, Finding
from regreen.tasks.inject.findings import Findings
from regreen.tasks.inject.tally import Tally
from regreen.tasks.inject.twins import TwinMaker
from regreen.tasks.inject.validate import examine, gold_patch
from regreen.tasks.language.base import Language
from regreen.tasks.language.python import Python
from regreen.tasks.prove.baseline import Baseline
from regreen.tasks.prove.bench import SuiteRunner
from regreen.tasks.prove.sealing import SealGate

__all__ = ["Progress", "Prover"]


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a job is."""

    examined: int
    verified: int
    wanted: int


class Prover:
    """The proof that the candidates of one job share.

    Args:
        repository: made ready.
        baseline: of its healthy suite.
        bench: runs tests.
        gate: finds repairs that lie about.
        findings: remembers, so that nothing is run twice.
        wanted: tasks the job is to make, for the reports.
        report: told after every candidate.
        language: of the repository; Python when None.
    """

    def __init__(
        self,
        repository: Repository,
        baseline: Baseline,
        *,
        bench: SuiteRunner,
        gate: SealGate,
        findings: Findings,
        wanted: int,
        report: Callable[[Progress], None] = lambda _: None,
        language: Language | None = None,
    ) -> None:
        self.baseline = baseline
        self.bench = bench
        self.gate = gate
        self.findings = findings
        self.wanted = wanted
        self.report = report
        self.language = language or Python()
        self.tally = Tally()
        self.tasks: list[Task] = []
        self.assembler = Assembler(repository, baseline.seconds, self.language)
        self._twins = TwinMaker(
            repository.checkout.tree.path,
            seed=repository.checkout.commit,
            baseline=baseline,
            bench=bench,
        )
        self._seen: set[str] = set()

    async def examined(self, candidates: Sequence[Candidate]) -> list[tuple[Candidate, Finding]]:
        """Findings of a round, in the round's order; an earlier change is never tried again."""
        new = []
        for candidate in candidates:
            key = repr(sorted((path, text) for path, (_, text) in candidate.files.items()))
            if key not in self._seen:
                self._seen.add(key)
                new.append(candidate)
        return list(zip(new, await together(map(self._examine, new)), strict=True))

    async def _examine(self, candidate: Candidate) -> Finding:
        known = self.findings.get(candidate.identity)
        if known is None:
            known = await examine(
                candidate, baseline=self.baseline, bench=self.bench, forged=self.language.forged
            )
            if known.status == "verified" and (leaks := self._leaks(candidate)):
                known = replace(known, status="leaked", leaks=leaks)
            if known.status == "verified":
                known = replace(known, twins=await self._twins.prove(candidate, known))
            self.findings.add(candidate, known)
        self.tally.add(candidate, known)
        self._tell()
        return known

    def refuse(self, operator: str, reason: str) -> None:
        """Count a candidate that was never made."""
        self.tally.refuse(operator, reason)
        self._tell()

    def _leaks(self, candidate: Candidate) -> tuple[str, ...]:
        base = {path: broken.encode() for path, (_, broken) in candidate.files.items()}
        return self.gate.leaks(gold_patch(candidate), base)

    def _tell(self) -> None:
        self.report(Progress(self.tally.examined, self.tally.verified, self.wanted))

    def keep(self, candidate: Candidate, finding: Finding) -> Task:
        """Make the task of a verified candidate."""
        task = self.assembler.task(candidate, finding)
        self.tasks.append(task)
        return task
