"""Bug injection from end to end: sites, rounds of candidates, findings, tasks.

Every finding is appended to a file beside the taskset as it comes, so a job that is killed goes
on where it stood: the schedule is deterministic, and a candidate found in the file is not run.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from regreen.core.funnel import Funnel
from regreen.core.task import Task
from regreen.sandbox.base import SandboxProvider
from regreen.sandbox.layers import LayerStore
from regreen.tasks.build.repository import Repository
from regreen.tasks.inject.candidate import Candidate, Finding, prepare
from regreen.tasks.inject.findings import Findings
from regreen.tasks.inject.operators import Site, combine, enumerate_sites
from regreen.tasks.inject.operators.combine import Level
from regreen.tasks.inject.prover import Progress, Prover
from regreen.tasks.inject.schedule import Schedule
from regreen.tasks.prove.baseline import Baseline
from regreen.tasks.prove.bench import Bench
from regreen.tasks.prove.sealing import SealGate

__all__ = ["InjectSettings", "Injection", "Progress", "inject", "usable_sites"]

ROUND = 48
COMBINATION_LEVELS: tuple[Level, ...] = ("function", "file", "module")


class InjectSettings(BaseModel):
    """What to make."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    limit: int = 100
    """Verified tasks wanted."""
    seed: int = 0
    """Decides between equals; the same seed gives the same set."""
    operators: tuple[str, ...] = ()
    """Fault classes to use; all when empty."""
    max_share: float = Field(default=0.15, gt=0, le=1)
    """Largest share of one fault class in the set."""
    mix: dict[str, float] = {}
    """Wanted largest share per fault class, over ``max_share``."""
    combined: float = Field(default=0.1, ge=0, le=1)
    """Share of the set that joins several validated faults."""
    combine_size: int = Field(default=2, ge=2)
    """Faults in a combination."""
    max_covering: float = Field(default=0.25, gt=0, le=1)
    """Sites reached by more than this share of the suite are left out as too central."""
    test_seconds: float = Field(default=60.0, gt=0)
    """Wall seconds after which a test of the healthy suite counts as hanging."""
    suite_seconds: float = Field(default=1800.0, gt=0)
    """Wall seconds of one run of the healthy suite; tests that did not run by then are not used."""


@dataclass(frozen=True, slots=True)
class Injection:
    """What a job made."""

    tasks: tuple[Task, ...]
    """Verified tasks, in the order they were found."""
    funnel: Funnel
    """What became of the candidates."""


def usable_sites(
    texts: Mapping[str, str], baseline: Baseline, settings: InjectSettings
) -> Iterator[Site]:
    """Sites that some, but not too many, stable tests reach."""
    most = max(40.0, settings.max_covering * len(baseline.stable))
    for path in sorted(set(texts) & set(baseline.reach.files)):
        for site in enumerate_sites(path, texts[path], operators=settings.operators or None):
            tests = baseline.reach.tests(path, site.reach, import_time=site.import_time)
            if 0 < len(tests) <= most + len(baseline.reach.opaque):
                yield site


class _Job:
    """The state of one injection."""

    def __init__(self, repository: Repository, settings: InjectSettings, prover: Prover) -> None:
        self.repository = repository
        self.settings = settings
        self.prover = prover
        self.texts = repository.texts()
        self.verified: list[Site] = []
        self.schedule = Schedule(())

    @property
    def tasks(self) -> list[Task]:
        """Tasks made so far."""
        return self.prover.tasks

    async def examined(self, groups: list[tuple[Site, ...]]) -> list[tuple[Candidate, Finding]]:
        """Findings of a round, in the round's order."""
        return await self.prover.examined(
            [prepare(sites, self.texts, self.prover.baseline) for sites in groups]
        )

    def prepare(self) -> None:
        """List the sites and make the schedule."""
        pool = list(usable_sites(self.texts, self.prover.baseline, self.settings))
        classes = len({site.operator for site in pool})
        self.schedule = Schedule(
            pool,
            seed=self.settings.seed,
            max_share=max(self.settings.max_share, 1 / max(classes, 1)),
            mix=self.settings.mix,
        )

    async def singles(self, wanted: int) -> None:
        """Rounds of single faults until enough are verified or the pool is dry."""
        while len(self.tasks) < wanted:
            count = min(ROUND, max(8, wanted - len(self.tasks)))
            sites = self.schedule.next(count, wanted=self.settings.limit)
            if not sites:
                return
            for candidate, finding in await self.examined([(site,) for site in sites]):
                site = candidate.sites[0]
                verified = finding.status == "verified"
                self.schedule.record(site, noticed=finding.status != "survived", accepted=verified)
                if verified and len(self.tasks) < wanted:
                    self.prover.keep(candidate, finding)
                    self.verified.append(site)

    def _within_share(self, sites: tuple[Site, ...]) -> bool:
        """Whether a task of these faults leaves every class within its share of the whole set."""
        counts = Counter(operator for task in self.tasks for operator in task.operators)
        return all(
            counts[name] < max(1, int(self.schedule.share(name) * self.settings.limit))
            for name in {site.operator for site in sites}
        )

    async def combinations(self, wanted: int) -> None:
        """Validated faults joined in one function, one file and one directory in turn."""
        pools = {self.repository.checkout.name: self.verified}
        for number, level in enumerate(COMBINATION_LEVELS, 1):
            goal = len(self.tasks) + max(0, wanted // (len(COMBINATION_LEVELS) + 1 - number))
            groups = combine(
                pools, level=level, size=self.settings.combine_size, seed=self.settings.seed
            )
            start = len(self.tasks)
            while groups and len(self.tasks) < goal:
                batch, groups = groups[: goal - len(self.tasks)], groups[goal - len(self.tasks) :]
                batch = [sites for sites in batch if self._within_share(sites)]
                for candidate, finding in await self.examined(batch):
                    if finding.status == "verified" and self._within_share(candidate.sites):
                        self.prover.keep(candidate, finding)
                        self.schedule.accepted.update(set(candidate.operators))
            wanted -= len(self.tasks) - start


async def inject(
    repository: Repository,
    baseline: Baseline,
    *,
    provider: SandboxProvider,
    store: LayerStore,
    settings: InjectSettings,
    workers: int = 2,
    findings: Path | None = None,
    resume: bool = False,
    report: Callable[[Progress], None] = lambda _: None,
) -> Injection:
    """Make verified tasks of a repository.

    Args:
        repository: made ready.
        baseline: of its healthy suite.
        provider: makes the boxes.
        store: holds the repository's layers.
        settings: what to make.
        workers: candidates run at once.
        findings: file that remembers findings for ``resume``; None keeps them in memory.
        resume: go on with what the file holds.
        report: told after every candidate.

    Raises:
        UsageError: an unknown fault class, or findings of another job.
        InfrastructureError: the boxes failed.
    """
    started = time.process_time()
    bench = Bench(provider, baseline.place, workers=workers, warm=baseline.warm)
    header = {
        "commit": repository.checkout.commit,
        "env": repository.built.env.digest,
        "settings": settings.model_dump(mode="json", exclude={"limit"}),
    }
    with Findings(findings, header=header, resume=resume) as memory:
        prover = Prover(
            repository,
            baseline,
            bench=bench,
            gate=SealGate.of_repository(repository, store),
            findings=memory,
            wanted=settings.limit,
            report=report,
        )
        job = _Job(repository, settings, prover)
        try:
            joined = int(settings.limit * settings.combined)
            job.prepare()
            await job.singles(settings.limit - joined)
            if joined and len(job.verified) > 1:
                await job.combinations(joined)
            await job.singles(settings.limit)  # what combinations left open
        finally:
            await bench.close()
    spent = time.process_time() - started + bench.cpu + baseline.cpu
    return Injection(
        tasks=tuple(job.tasks),
        funnel=prover.tally.funnel(repository.checkout.spec, tasks=len(job.tasks), cpu=spent),
    )
