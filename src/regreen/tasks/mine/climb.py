"""One change on its ladder: strategies in turn until one decides it.

A failure that speaks of the ground sends it to the next; one that speaks of the change ends it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial

from regreen.core.errors import InfrastructureError, TaskError
from regreen.core.task import Task
from regreen.tasks.history.change import Change
from regreen.tasks.history.line import History
from regreen.tasks.history.objects import Missing
from regreen.tasks.history.source import Origin
from regreen.tasks.mine.examine import Patience, Proof, examine
from regreen.tasks.mine.ground import Ground, GroundKey, Grounds, lay_out
from regreen.tasks.mine.journal import Entry
from regreen.tasks.mine.ladder import of_the_age, of_the_language
from regreen.tasks.mine.outside import Outside
from regreen.tasks.mine.plan import Plan, Planner, entry
from regreen.tasks.mine.reasons import Reason, Rejected
from regreen.tasks.mine.row import row
from regreen.tasks.mine.settings import MineSettings
from regreen.tasks.mine.states import states
from regreen.tasks.mine.survey import Survey, Surveyor
from regreen.tasks.mine.told import in_words, told_of
from regreen.tasks.repo.git import describe
from regreen.tasks.repo.sources import Checkout, described_version

__all__ = ["Climber"]

_OF_THE_GROUND = (Reason.ENVIRONMENT_BUILD, Reason.ENVIRONMENT_COLLECT, Reason.ENVIRONMENT_FAILS)


@dataclass(slots=True)
class _Attempt:
    """What trying one change on its ladder has shown so far."""

    rungs: list[str] = field(default_factory=list)
    failures: list[Rejected] = field(default_factory=list)
    spent: list[float] = field(default_factory=list)
    built: bool = False
    validated: bool = False
    told: dict[str, object] = field(default_factory=dict)

    def failed(self, key: GroundKey, exc: Rejected) -> bool:
        """Note a failure; True when another ground cannot change it."""
        self.failures.append(exc)
        self.rungs.append(f"{key.name}: {exc.reason}: {exc.what}")
        if exc.reason in _OF_THE_GROUND:
            self.built = self.built or exc.reason is Reason.ENVIRONMENT_FAILS
            return False
        self.built = self.validated = True
        return True

    @property
    def incurable(self) -> bool:
        """Whether other packages could not have helped the last ground."""
        last = self.failures[-1]
        return last.reason is Reason.ENVIRONMENT_COLLECT and of_the_language(last.what)

    @property
    def of_its_subject(self) -> bool:
        """Whether a test failed with the fix in place for no want of what was there in its time."""
        last = self.failures[-1]
        return last.reason is Reason.ENVIRONMENT_FAILS and not of_the_age(last.what)

    @property
    def verdict(self) -> Rejected:
        """The failure that says most: of the change, else of the first ground that got furthest."""
        return max(self.failures, key=lambda exc: _weight(exc.reason))


def _weight(reason: Reason) -> int:
    return _OF_THE_GROUND.index(reason) if reason in _OF_THE_GROUND else len(_OF_THE_GROUND)


@dataclass(slots=True)
class Climber:
    """Tries planned changes.

    Args:
        history: the main line.
        origin: the repository, for the rows.
        surveyor: reads a change again when its turn comes.
        planner: knows on which change a ground is made.
        grounds: environments and runners.
        settings: how much is run.
        outside: lists to keep clear of.
    """

    history: History
    origin: Origin
    surveyor: Surveyor
    planner: Planner
    grounds: Grounds
    settings: MineSettings
    outside: Outside = field(default_factory=Outside)

    async def climb(self, plan: Plan) -> Entry:
        """Decide one change."""
        attempt = _Attempt()
        fields: dict[str, object]
        try:
            survey = self.surveyor.read(plan.change)
            task = await self._task(plan, survey, attempt)
            fields = {"status": "verified", "task": task, "built": True, "validated": True}
            fields |= attempt.told
        except Rejected as exc:
            fields = {"status": "rejected", "reason": exc.reason, "detail": exc.what}
            fields |= {"built": attempt.built, "validated": attempt.validated}
        except Missing as exc:
            fields = {"status": "rejected", "reason": Reason.UNREADABLE, "detail": exc.what}
        except InfrastructureError as exc:
            fields = {"status": "rejected", "reason": Reason.INFRASTRUCTURE, "detail": exc.what}
        spent = round(sum(attempt.spent), 3)
        return entry(
            plan.name, plan.change, rungs=tuple(attempt.rungs), cpu_seconds=spent, **fields
        )

    async def _task(self, plan: Plan, survey: Survey, attempt: _Attempt) -> Task:
        """Try the strategies in turn until one decides the change.

        Raises:
            Rejected: none makes it a task.
        """
        base = self.history.objects.tree(plan.change.base)
        after = self.history.objects.tree(plan.change.commit)
        for key in plan.grounds:
            if not key.shared and (attempt.incurable or self._same_as_shared(plan, key)):
                continue
            if key.rung.adapted and attempt.of_its_subject:
                continue
            try:
                ground = await self.ground(key)
            except TaskError as exc:
                attempt.failed(key, Rejected(Reason.ENVIRONMENT_BUILD, exc.what))
                continue
            try:
                given = states(ground, base, after, survey.split, self.history.objects)
                proof = await examine(
                    ground,
                    given,
                    survey.split,
                    survey.outline.others,
                    patience=self._patience(),
                    spent=attempt.spent,
                    spared=survey.outline.spared,
                )
                task = self._row(plan, survey, proof, ground, attempt)
                attempt.rungs.append(f"{key.name}: verified")
                return task
            except Rejected as exc:
                if attempt.failed(key, exc):
                    break
        raise attempt.verdict

    async def ground(self, key: GroundKey) -> Ground:
        """The ground of a key, made on the newest change that asked for it.

        Raises:
            TaskError: it cannot be made.
        """
        anchors = self.planner.anchors(key)
        return await self.grounds.get(key, [partial(self._checkout, one.change) for one in anchors])

    def _patience(self) -> Patience:
        return Patience(
            test_seconds=self.settings.test_seconds,
            run_seconds=self.settings.run_seconds,
            pass_to_pass=self.settings.pass_to_pass,
        )

    def _same_as_shared(self, plan: Plan, key: GroundKey) -> bool:
        """Whether the ground that was shared was made on a change of the same needs."""
        shared = next(one for one in plan.grounds if one.shared and one.rung == key.rung)
        anchors, commit = self.planner.anchors(shared), self.grounds.made_on(shared)
        made_for = next((one for one in anchors if one.change.commit == commit), anchors[0])
        return made_for.needs == plan.needs

    def _checkout(self, change: Change) -> Checkout:
        objects = self.history.objects
        outline = self.surveyor.outline(change)
        name = outline.name or self.origin.repo.rpartition("/")[2]
        return Checkout(
            name=name,
            repo=self.origin.repo,
            spec=self.origin.spec,
            commit=change.commit,
            date=change.date,
            tree=lay_out(
                objects.tree(change.commit), objects, self.surveyor.store, where=self.origin.spec
            ),
            version=self.version(change.commit),
            license=outline.license,
        )

    def version(self, commit: str) -> str:
        """The release line of a commit."""
        return described_version(describe(self.history.objects.repository, commit)) or "0.0.0"

    def _row(
        self, plan: Plan, survey: Survey, proof: Proof, ground: Ground, attempt: _Attempt
    ) -> Task:
        made = row(
            survey,
            proof,
            ground,
            self.origin,
            repaired=self.surveyor.digest(survey),
            version=self.version(survey.change.base),
        )
        task, told = in_words(
            made,
            self.history.with_messages(survey.change),
            plan.pull,
            survey.split,
            messages=list(proof.messages.values()),
            library=survey.outline.name or self.origin.repo.rpartition("/")[2],
            tree=self.history.objects.tree(survey.change.commit),
        )
        attempt.told = told_of(told, plan.pull)
        self.outside.refuse_listed_task(task)
        return self.fitting(task)

    def fitting(self, task: Task) -> Task:
        """The row, with as many tests that must stay green as it has room for.

        Raises:
            Rejected: it is too large without them.
        """
        while (size := len(task.model_dump_json().encode())) > self.settings.row_bytes:
            kept = task.PASS_TO_PASS[: len(task.PASS_TO_PASS) // 2]
            if not kept:
                detail = f"a row of {size} bytes; {self.settings.row_bytes} are allowed"
                raise Rejected(Reason.TOO_LARGE, detail)
            task = task.model_copy(update={"PASS_TO_PASS": kept})
        return task
