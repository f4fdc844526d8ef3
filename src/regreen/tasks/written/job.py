"""Model-written bugs from end to end: targets, drafts, candidates, findings, tasks.

Targets are taken in a fixed order in rounds, and a round's outcome in the round's order: with the
same answers the same seed gives the same set, with any number of workers. Answers and findings are
kept as they come, so a job that is killed goes on without asking or running anything twice.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from regreen.core.errors import UsageError
from regreen.core.funnel import Funnel
from regreen.core.task import Task
from regreen.core.together import together
from regreen.sandbox.base import SandboxProvider
from regreen.sandbox.layers import LayerStore
from regreen.tasks.build.repository import Repository
from regreen.tasks.inject.candidate import Candidate, Finding, prepare_text
from regreen.tasks.inject.findings import Findings
from regreen.tasks.inject.prover import Progress, Prover
from regreen.tasks.language.base import Language
from regreen.tasks.language.python import Python
from regreen.tasks.prove.baseline import Baseline
from regreen.tasks.prove.sealing import SealGate
from regreen.tasks.written.answers import Answers
from regreen.tasks.written.draft import Draft, Refusal, Target, draft_function
from regreen.tasks.written.issue import Evidence, evidence_of
from regreen.tasks.written.mirror import Past, draft_mirror

__all__ = ["Written", "WrittenSettings", "library_texts", "usable_functions", "write"]

ROUND = 16
_QUESTIONS_PER_TASK = 10


class WrittenSettings(BaseModel):
    """What to make."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    by: Literal["rewrite", "modify", "mirror"] = "modify"
    """Functions written anew, functions with one named kind of mistake, or real changes undone."""
    limit: int = 100
    """Verified tasks wanted."""
    seed: int = 0
    """Decides the order of functions, the kinds offered and the sampling."""
    attempts: int = Field(default=3, ge=1)
    """Answers asked for per function."""
    questions: int | None = Field(default=None, ge=1)
    """Questions to the model after which nothing more is begun; ten for each wanted task when
    None."""
    min_complexity: int = Field(default=3, ge=1)
    """Functions simpler than this are left out; each branch, loop or comparison counts 1."""
    max_lines: int = Field(default=150, ge=1)
    """Functions longer than this are left out."""
    max_covering: float = Field(default=0.25, gt=0, le=1)
    """Functions reached by more than this share of the suite are left out as too central."""
    test_seconds: float = Field(default=60.0, gt=0)
    """Wall seconds after which a test of the healthy suite counts as hanging."""
    suite_seconds: float = Field(default=1800.0, gt=0)
    """Wall seconds of one run of the healthy suite; tests that did not run by then are not used."""


@dataclass(frozen=True, slots=True)
class Written:
    """What a job made."""

    tasks: tuple[Task, ...]
    """Verified tasks, in the order they were found."""
    funnel: Funnel
    """What became of the candidates; refused answers count as such."""
    evidence: Mapping[str, Evidence]
    """Task id -> what a writer of its issue is shown."""


def library_texts(tree: Path, language: Language, *, where: str) -> dict[str, str]:
    """Library files as text with their line ends; files that are not UTF-8 are left out.

    Raises:
        TaskError: there are no tests.
    """
    found = {}
    for name in language.sources(tree, where=where).library:
        try:
            found[name] = (tree / name).read_bytes().decode("utf-8")
        except UnicodeDecodeError:
            continue
    return found


def usable_functions(
    texts: Mapping[str, str], baseline: Baseline, settings: WrittenSettings, language: Language
) -> list[Target]:
    """Functions that some, but not too many, stable tests reach, in the job's order."""
    most = max(40.0, settings.max_covering * len(baseline.stable))
    found: list[Target] = []
    for path in sorted(set(texts) & set(baseline.reach.files)):
        try:
            functions = language.functions(path, texts[path])
        except UsageError:
            continue
        for function in functions:
            body = range(function.body_line, function.end_line + 1)
            tests = baseline.reach.tests(path, body, import_time=False)
            if (
                0 < len(tests) <= most + len(baseline.reach.opaque)
                and function.complexity >= settings.min_complexity
                and len(body) <= settings.max_lines
            ):
                found.append(Target(path, function))
    return sorted(found, key=lambda one: _rank(one, settings.seed))


def _rank(target: Target, seed: int) -> str:
    key = (seed, target.path, target.function.name, target.function.line)
    return hashlib.sha256(repr(key).encode()).hexdigest()


class _Job:
    """The state of one job."""

    def __init__(
        self,
        prover: Prover,
        texts: Mapping[str, str],
        *,
        settings: WrittenSettings,
        language: Language,
        answers: Answers | None,
    ) -> None:
        self.prover = prover
        self.texts = texts
        self.settings = settings
        self.language = language
        self.answers = answers
        self.earlier: dict[str, list[str]] = {}
        self.evidence: dict[str, Evidence] = {}

    def passes(self, past: Iterable[Past]) -> Iterator[Iterator[Target | Past]]:
        """What to make drafts of, in order; each pass asks about a function once."""
        if self.settings.by == "mirror":
            yield iter(past)
            return
        functions = usable_functions(self.texts, self.prover.baseline, self.settings, self.language)
        for attempt in range(self.settings.attempts):
            yield (Target(one.path, one.function, attempt) for one in functions)

    async def rounds(self, targets: Iterator[Target | Past]) -> None:
        """Rounds of drafts until enough are verified, or targets or questions run out."""
        wanted = self.settings.limit
        while len(self.prover.tasks) < wanted and (left := self._questions_left()):
            count = min(ROUND, max(4, wanted - len(self.prover.tasks)), left)
            batch = list(islice(targets, count))
            if not batch:
                return
            candidates = self._candidates(await together(map(self._draft, batch)))
            for candidate, finding in await self.prover.examined(candidates):
                if finding.status == "verified" and len(self.prover.tasks) < wanted:
                    self._keep(candidate, finding)

    def _questions_left(self) -> int:
        most = self.settings.questions or _QUESTIONS_PER_TASK * self.settings.limit
        return max(0, most - self.answers.questions) if self.answers else most

    async def _draft(self, target: Target | Past) -> Draft | Refusal:
        seed = self.settings.seed
        if isinstance(target, Past):
            return await draft_mirror(
                target, self.texts, language=self.language, answers=self.answers, seed=seed
            )
        assert self.answers is not None
        assert self.settings.by != "mirror"
        return await draft_function(
            self.settings.by,
            target,
            self.texts[target.path],
            language=self.language,
            answers=self.answers,
            earlier=self.earlier,
            seed=seed,
        )

    def _candidates(self, drafts: Iterable[Draft | Refusal]) -> list[Candidate]:
        """Candidates of a round; what cannot become one is counted."""
        made: list[Candidate] = []
        for draft in drafts:
            if isinstance(draft, Refusal):
                self.prover.refuse(draft.operator, draft.reason)
                continue
            for path, (_, broken) in draft.files.items():
                self.earlier.setdefault(path, []).append(broken)
            candidate = prepare_text(
                draft.operator, draft.files, draft.regions, self.prover.baseline
            )
            if candidate is None:
                self.prover.refuse(draft.operator, "unreached")
            else:
                made.append(candidate)
        return made

    def _keep(self, candidate: Candidate, finding: Finding) -> None:
        task = self.prover.keep(candidate, finding)
        tests = self.prover.assembler.tests
        self.evidence[task.instance_id] = evidence_of(candidate, finding, tests, self.language)


async def write(
    repository: Repository,
    baseline: Baseline,
    *,
    provider: SandboxProvider,
    store: LayerStore,
    settings: WrittenSettings,
    answers: Answers | None,
    past: Iterable[Past] = (),
    language: Language | None = None,
    workers: int = 2,
    findings: Path | None = None,
    resume: bool = False,
    report: Callable[[Progress], None] = lambda _: None,
) -> Written:
    """Make verified tasks of a repository from bugs that a model writes.

    Args:
        repository: made ready.
        baseline: of its healthy suite.
        provider: makes the boxes.
        store: holds the repository's layers.
        settings: what to make.
        answers: the model; None leaves `mirror` to merges alone.
        past: changes to undo, for `mirror`.
        language: of the repository; Python when None.
        workers: candidates run at once.
        findings: file that remembers findings for ``resume``; None keeps them in memory.
        resume: go on with what the file holds.
        report: told after every candidate.

    Raises:
        UsageError: no model where one is needed, or findings of another job.
        ModelError: the endpoint cannot be reached.
        InfrastructureError: the boxes failed.
    """
    if answers is None and settings.by != "mirror":
        msg = f"functions are written by a model, and none is given to {settings.by} them"
        raise UsageError(msg, where="--by", mend="add --base-url URL/v1 --model NAME")
    started = time.process_time()
    language = language or Python()
    where = repository.checkout.spec
    bench = language.runner(baseline.place, provider=provider, workers=workers, warm=baseline.warm)
    header = {
        "commit": repository.checkout.commit,
        "env": repository.built.env.digest,
        "settings": settings.model_dump(mode="json", exclude={"limit", "attempts", "questions"}),
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
            language=language,
        )
        texts = library_texts(repository.checkout.tree.path, language, where=where)
        job = _Job(prover, texts, settings=settings, language=language, answers=answers)
        try:
            for targets in job.passes(past):
                await job.rounds(targets)
        finally:
            await bench.close()
    spent = time.process_time() - started + bench.cpu + baseline.cpu
    tasks = tuple(prover.tasks)
    return Written(tasks, prover.tally.funnel(where, tasks=len(tasks), cpu=spent), job.evidence)
