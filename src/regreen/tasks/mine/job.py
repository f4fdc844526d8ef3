"""A mining job: every change of a main line is read, tried, and written down as it is decided.

Reading comes first and is cheap; it says which changes can share a ground. Trying follows in the
order of the grounds, several at once. The tasks are written in the order of the history, so the
same history gives the same bytes with any number of workers, interrupted or not.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from regreen.core.errors import InfrastructureError, TaskError
from regreen.core.task import Task
from regreen.core.together import together
from regreen.sandbox.base import SandboxProvider
from regreen.sandbox.layers import LayerStore
from regreen.tasks.build.interpreters import Interpreter
from regreen.tasks.mine.change import Change
from regreen.tasks.mine.examine import Patience, Proof, examine
from regreen.tasks.mine.ground import Ground, GroundKey, Grounds, Rung, lay_out
from regreen.tasks.mine.history import History
from regreen.tasks.mine.journal import Entry, Journal
from regreen.tasks.mine.ladder import dated, rungs
from regreen.tasks.mine.objects import Missing
from regreen.tasks.mine.reasons import Reason, Rejected
from regreen.tasks.mine.row import Origin, row
from regreen.tasks.mine.split import Limits, screened
from regreen.tasks.mine.states import states
from regreen.tasks.mine.survey import Survey, Surveyor
from regreen.tasks.repo.git import describe
from regreen.tasks.repo.sources import Checkout, described_version

__all__ = ["MineSettings", "Mined", "Progress", "mine"]

_NO_CANDIDATE = (Reason.FIRST_COMMIT, Reason.NO_SOURCE, Reason.NO_TESTS, Reason.SYNC_MERGE,
                 Reason.TOO_MANY_FILES)  # fmt: skip
_OF_THE_GROUND = (Reason.ENVIRONMENT_BUILD, Reason.ENVIRONMENT_COLLECT, Reason.ENVIRONMENT_FAILS)


class MineSettings(BaseModel):
    """What to mine."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_files: int = Field(default=15, ge=1)
    """Source files that a change may touch."""
    max_lines: int = Field(default=1000, ge=1)
    """Lines that its source side may add and remove together."""
    pass_to_pass: int = Field(default=250, ge=1)
    """Tests that must stay green, at most; those nearest to the change are taken."""
    test_seconds: float = Field(default=60.0, gt=0)
    """Wall seconds of one test."""
    run_seconds: float = Field(default=600.0, gt=0)
    """Wall seconds of one run of a change's tests."""
    installed: bool = False
    """Copy each environment from this installation, without network: enough for pure Python without
    dependencies."""
    row_bytes: int = Field(default=50_000, ge=1000)
    """Bytes that a task's row may have."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a job is."""

    decided: int
    """Candidates decided."""
    verified: int
    """Those that became tasks."""
    candidates: int
    """Candidates in all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mined:
    """What a job made."""

    tasks: tuple[Task, ...]
    """Verified tasks, in the order of the history."""
    entries: tuple[Entry, ...]
    """What became of every change, in the same order."""
    cpu_seconds: float
    """CPU seconds of this process and of all it started, environments included."""


@dataclass(frozen=True, slots=True)
class _Plan:
    """A change that will be tried, and what decides its grounds."""

    commit: str
    name: str
    change: Change
    needs: str
    options: tuple[str, ...]
    foreign: bool


@dataclass(slots=True)
class _Attempt:
    """What trying one change on its ladder has shown so far."""

    rungs: list[str] = field(default_factory=list)
    failures: list[Rejected] = field(default_factory=list)
    spent: list[float] = field(default_factory=list)
    built: bool = False
    validated: bool = False

    def failed(self, rung: Rung, exc: Rejected) -> bool:
        """Note a failure; True when another ground cannot change it."""
        self.failures.append(exc)
        self.rungs.append(f"{rung.name}: {exc.reason}: {exc.what}")
        if exc.reason in _OF_THE_GROUND:
            self.built = self.built or exc.reason is Reason.ENVIRONMENT_FAILS
            return False
        self.built = self.validated = True
        return True

    @property
    def verdict(self) -> Rejected:
        """The failure that says most: of the change, else of the first ground that got furthest."""
        return max(self.failures, key=lambda exc: _weight(exc.reason))


def _weight(reason: Reason) -> int:
    return _OF_THE_GROUND.index(reason) if reason in _OF_THE_GROUND else len(_OF_THE_GROUND)


class _Job:
    """The state of one job."""

    def __init__(
        self,
        *,
        history: History,
        origin: Origin,
        surveyor: Surveyor,
        grounds: Grounds,
        journal: Journal,
        settings: MineSettings,
        interpreters: Sequence[Interpreter],
        listed: bool,
        report: Callable[[Progress], None],
    ) -> None:
        self.history = history
        self.origin = origin
        self.surveyor = surveyor
        self.grounds = grounds
        self.journal = journal
        self.settings = settings
        self.running, *self.others = interpreters
        self.listed = listed
        self.report = report
        self.plans: list[_Plan] = []
        self.candidates = 0
        self._newest: dict[tuple[str, str], _Plan] = {}
        self._seen: dict[str, str] = {}

    def plan(self, commits: Sequence[str]) -> None:
        """Read every change; what cannot become a task is written down at once."""
        for name in commits:
            try:
                change = self.history.change(name)
            except Missing as exc:
                first = "before the first" in exc.what
                reason = Reason.FIRST_COMMIT if first else Reason.UNREADABLE
                fields = {"commit": name, **self._out(Rejected(reason, exc.what))}
                self._note(Entry.model_validate(fields))
                continue
            known = self.journal.entries.get(name)
            if known and known.status != "verified" and known.reason in _EARLY:
                self.candidates += known.status == "rejected"
                continue
            self._read(name, change)

    def _read(self, name: str, change: Change) -> None:
        limits = self.surveyor.limits
        try:
            screened(change, limits=limits, all_kinds=self.listed)
            survey = self.surveyor.read(change)
            self._refuse_twice(survey)
        except Rejected as exc:
            self._note(self._entry(name, change, **self._out(exc)))
            return
        except Missing as exc:
            out = self._out(Rejected(Reason.UNREADABLE, exc.what))
            self._note(self._entry(name, change, **out))
            return
        self.candidates += 1
        plan = _Plan(name, name, change, survey.needs, survey.options, survey.foreign)
        self.plans.append(plan)
        for rung in self._ladder(plan):
            self._newest[self._group(plan, rung)] = plan

    def _refuse_twice(self, survey: Survey) -> None:
        """A backport or a change merged twice is one task.

        Raises:
            Rejected: the same lines were changed before.
        """
        lines = [line for line in survey.split.patch.splitlines() if line[:1] in "+-"]
        key = hashlib.sha256("\n".join(lines).encode("utf-8", "surrogateescape")).hexdigest()
        first = self._seen.setdefault(key, survey.change.commit)
        if first != survey.change.commit:
            raise Rejected(Reason.DUPLICATE, f"of {first[:10]}")

    def _out(self, exc: Rejected) -> dict[str, str]:
        dropped = exc.reason in _NO_CANDIDATE and not self.listed
        status = "dropped" if dropped else "rejected"
        return {"status": status, "reason": exc.reason, "detail": exc.what}

    def _note(self, entry: Entry) -> None:
        self.candidates += entry.status == "rejected"
        if entry.commit not in self.journal.entries:
            self.journal.add(entry)

    @staticmethod
    def _entry(name: str, change: Change, **fields: object) -> Entry:
        return Entry(
            commit=name,
            number=change.number,
            subject=change.subject[:200],
            date=change.date.isoformat(),
            **fields,  # type: ignore[arg-type]
        )

    def _ladder(self, plan: _Plan) -> tuple[Rung, ...]:
        return rungs(
            plan.change.date,
            self.running,
            self.others,
            foreign=plan.foreign,
            installed=self.settings.installed,
        )

    def _group(self, plan: _Plan, rung: Rung) -> tuple[str, str]:
        """What shares a ground, as far as the tree is concerned."""
        date = dated(plan.change.date, rung.interpreter)
        return plan.needs, f"{rung.name} {date} {plan.options}"

    async def run(self, workers: int) -> None:
        """Try what is planned and not yet decided, several changes at once."""
        slots = asyncio.Semaphore(workers)
        waiting = [plan for plan in self.plans if plan.commit not in self.journal.entries]
        self._report()

        async def one(plan: _Plan) -> None:
            async with slots:
                self.journal.add(await self._try(plan))
                self._report()

        order = {key: place for place, key in enumerate(self._newest)}
        first = self._ladder(waiting[0])[0] if waiting else Rung(self.running)
        waiting.sort(key=lambda plan: order[self._group(plan, first)])
        await together(map(one, waiting))

    def _report(self) -> None:
        entries = [one for one in self.journal.entries.values() if one.status != "dropped"]
        verified = sum(one.status == "verified" for one in entries)
        self.report(Progress(len(entries), verified, self.candidates))

    async def _try(self, plan: _Plan) -> Entry:
        attempt = _Attempt()
        fields: dict[str, object]
        try:
            survey = self.surveyor.read(plan.change)
            task = await self._climb(plan, survey, attempt)
            fields = {"status": "verified", "task": task, "built": True, "validated": True}
        except Rejected as exc:
            fields = {"status": "rejected", "reason": exc.reason, "detail": exc.what}
            fields |= {"built": attempt.built, "validated": attempt.validated}
        except Missing as exc:
            fields = {"status": "rejected", "reason": Reason.UNREADABLE, "detail": exc.what}
        except InfrastructureError as exc:
            fields = {"status": "rejected", "reason": Reason.INFRASTRUCTURE, "detail": exc.what}
        spent = round(sum(attempt.spent), 3)
        return self._entry(
            plan.name, plan.change, rungs=tuple(attempt.rungs), cpu_seconds=spent, **fields
        )

    async def _climb(self, plan: _Plan, survey: Survey, attempt: _Attempt) -> Task:
        """Try the strategies in turn until one decides the change.

        Raises:
            Rejected: none makes it a task.
        """
        base = self.history.objects.tree(plan.change.base)
        after = self.history.objects.tree(plan.change.commit)
        for rung in self._ladder(plan):
            try:
                ground = await self._ground(plan, rung)
            except TaskError as exc:
                attempt.failed(rung, Rejected(Reason.ENVIRONMENT_BUILD, exc.what))
                continue
            given = states(ground, base, after, survey.split, self.history.objects)
            try:
                proof = await examine(
                    ground,
                    given,
                    survey.split,
                    survey.others,
                    patience=self._patience(),
                    spent=attempt.spent,
                )
                task = self._task(survey, proof, ground)
                attempt.rungs.append(f"{rung.name}: verified")
                return task
            except Rejected as exc:
                if attempt.failed(rung, exc):
                    break
        raise attempt.verdict

    def _patience(self) -> Patience:
        return Patience(
            test_seconds=self.settings.test_seconds,
            run_seconds=self.settings.run_seconds,
            pass_to_pass=self.settings.pass_to_pass,
        )

    async def _ground(self, plan: _Plan, rung: Rung) -> Ground:
        """The ground of a group, made on the newest change that belongs to it."""
        newest = self._newest[self._group(plan, rung)]
        date = dated(plan.change.date, rung.interpreter)
        key = GroundKey(plan.needs, date, rung, plan.options)
        return await self.grounds.get(key, lambda: self._checkout(newest))

    def _checkout(self, plan: _Plan) -> Checkout:
        objects, change = self.history.objects, plan.change
        survey = self.surveyor.read(change)
        name = survey.name or self.origin.repo.rpartition("/")[2]
        return Checkout(
            name=name,
            repo=self.origin.repo,
            spec=self.origin.spec,
            commit=change.commit,
            date=change.date,
            tree=lay_out(
                objects.tree(change.commit), objects, self.surveyor.store, where=self.origin.spec
            ),
            version=self._version(change.commit),
            license=survey.license,
        )

    def _version(self, commit: str) -> str:
        return described_version(describe(self.history.objects.repository, commit)) or "0.0.0"

    def _task(self, survey: Survey, proof: Proof, ground: Ground) -> Task:
        change = self.history.with_messages(survey.change)
        task = row(
            survey,
            proof,
            ground,
            self.origin,
            repaired=self.surveyor.digest(survey),
            version=self._version(change.base),
            statement=f"{change.subject}\n\n{change.body}".strip() + "\n",
            hints="",
        )
        while (size := len(task.model_dump_json())) > self.settings.row_bytes:
            kept = task.PASS_TO_PASS[: len(task.PASS_TO_PASS) // 2]
            if not kept:
                detail = f"a row of {size} bytes; {self.settings.row_bytes} are allowed"
                raise Rejected(Reason.TOO_LARGE, detail)
            task = task.model_copy(update={"PASS_TO_PASS": kept})
        return task


_EARLY = frozenset(Reason) - {*_OF_THE_GROUND, Reason.INFRASTRUCTURE}


async def mine(
    history: History,
    origin: Origin,
    *,
    provider: SandboxProvider,
    store: LayerStore,
    settings: MineSettings,
    interpreters: Sequence[Interpreter],
    commits: Sequence[str],
    listed: bool = False,
    workers: int = 2,
    journal: Path | None = None,
    resume: bool = False,
    report: Callable[[Progress], None] = lambda _: None,
    note: Callable[[str], None] = lambda _: None,
) -> Mined:
    """Make verified tasks of the changes of a history.

    Args:
        history: the main line.
        origin: the repository, for the rows.
        provider: makes the boxes.
        store: takes the environments' layers.
        settings: what to mine.
        interpreters: the running Python, then others of this machine.
        commits: changes to try, oldest first.
        listed: whether they were named one by one: then none is left out as no candidate.
        workers: changes tried at once.
        journal: file that remembers what is decided; None keeps it in memory.
        resume: go on with what the file holds.
        report: told after every candidate.
        note: told about each environment, one line at a time.

    Raises:
        UsageError: the journal is of another job.
        PrerequisiteError: no package index can be reached.
    """
    before = _cpu_seconds()
    header = {
        "source": origin.spec,
        "interpreters": [one.version for one in interpreters],
        "settings": settings.model_dump(mode="json"),
    }
    memory = Journal(journal, header=header, resume=resume)
    limits = Limits(files=settings.max_files, lines=settings.max_lines)
    grounds = Grounds(provider, store, history.objects, workers=workers, note=note)
    job = _Job(
        history=history,
        origin=origin,
        surveyor=Surveyor(history.objects, store, limits, settings.pass_to_pass, origin.spec),
        grounds=grounds,
        journal=memory,
        settings=settings,
        interpreters=interpreters,
        listed=listed,
        report=report,
    )
    try:
        job.plan(commits)
        await job.run(workers)
    finally:
        await grounds.close()
        memory.close()
    entries = tuple(memory.entries[name] for name in commits if name in memory.entries)
    tasks = _distinct(memory.tasks(commits))
    spent = _cpu_seconds() - before + grounds.cpu
    return Mined(tasks=tasks, entries=entries, cpu_seconds=round(spent, 3))


def _distinct(tasks: Sequence[Task]) -> tuple[Task, ...]:
    """Tasks with different ids: a pull request merged in two steps gives two tasks."""
    counts = Counter(task.instance_id for task in tasks)
    return tuple(
        task
        if counts[task.instance_id] == 1
        else task.model_copy(update={"instance_id": f"{task.instance_id}-{task.base_commit[:7]}"})
        for task in tasks
    )


def _cpu_seconds() -> float:
    """Of this process and of every one it has started and seen end; not of a box's runners."""
    spent = os.times()
    return spent.user + spent.system + spent.children_user + spent.children_system
