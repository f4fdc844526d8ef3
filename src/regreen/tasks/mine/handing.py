"""Changes that no rule could decide, handed to the building agent.

The newest come first, and no more than were asked for: a model's time is what they cost. What it
makes of a change is written down as it comes, so a job that goes on hands none over twice.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from regreen.agents.base import Model
from regreen.core.errors import InfrastructureError, ModelError, RegreenError, TaskError
from regreen.core.task import Task
from regreen.sandbox.layers import Layer, LayerStore
from regreen.tasks.builder.agent import Built, Refused, build_by_agent
from regreen.tasks.builder.settings import BuilderSettings
from regreen.tasks.builder.states import ChangeStates
from regreen.tasks.history.change import Change
from regreen.tasks.history.objects import Missing, Tree
from regreen.tasks.mine.climb import Climber
from regreen.tasks.mine.ground import lay_out
from regreen.tasks.mine.journal import Entry
from regreen.tasks.mine.meter import Meter
from regreen.tasks.mine.reasons import Reason, Rejected
from regreen.tasks.mine.row import instance_id
from regreen.tasks.mine.split import Split, is_sync_merge, split
from regreen.tasks.mine.states import repaired_tree
from regreen.tasks.mine.told import in_words, labelled, told_of
from regreen.tasks.pulls.request import PullRequest
from regreen.tasks.repo.discovery import Suite, TestCommand, find_suite
from regreen.tasks.repo.packages import package_roots
from regreen.tasks.repo.project import Project

__all__ = ["AgentJob", "Handing"]

_FOR_THE_AGENT = (
    Reason.ENVIRONMENT_BUILD,
    Reason.ENVIRONMENT_COLLECT,
    Reason.ENVIRONMENT_FAILS,
    Reason.NO_TESTS,
    Reason.NO_FAIL_TO_PASS,
)
_MARK, _NOT = "agent: ", "not handed over"
_PATIENCE = 3
_NO_SUITE = Suite(TestCommand((), "layout"), ("test_*.py", "*_test.py"), ("tests", "test"))


@dataclass(frozen=True, kw_only=True)
class AgentJob:
    """What the building agent is given."""

    client: Model
    """The model."""
    changes: int = 20
    """Changes handed over, at most."""
    settings: BuilderSettings = field(default_factory=BuilderSettings)
    """What it may spend on each."""
    logs: Path | None = None
    """Folder for its conversations; None keeps none."""


@dataclass(slots=True)
class Handing:
    """Hands changes over.

    Args:
        climber: what tried them before.
        job: the model and its budget.
        note: told about each script.
    """

    climber: Climber
    job: AgentJob
    note: Callable[[str], None] = lambda _: None
    left: int = 0
    lost: int = 0
    meter: Meter = field(default_factory=Meter)

    def chosen(self, entries: Sequence[Entry]) -> list[Entry]:
        """What rules left undecided and was not handed over yet, the newest first.

        Args:
            entries: of the whole job, oldest first.
        """
        told = [one.rungs[-1] for one in entries if one.rungs and one.rungs[-1].startswith(_MARK)]
        self.left = self.job.changes - sum(not one.startswith(_MARK + _NOT) for one in told)
        chosen = [one for one in entries if one.reason in _FOR_THE_AGENT and not _is_decided(one)]
        return chosen[::-1]

    async def hand_over(self, entry: Entry) -> Entry:
        """What became of one change; the entry as it was where the machine or the model failed."""
        if self.lost >= _PATIENCE or self.left <= 0:
            return entry
        self.meter.begin(entry.commit)
        try:
            made = await self._tried(entry)
        finally:
            spent = self.meter.end(entry.commit)
        if made == entry:
            return entry
        return made.model_copy(update={"cpu_seconds": round(entry.cpu_seconds + spent, 3)})

    async def _tried(self, entry: Entry) -> Entry:
        try:
            change = self.climber.planner.change(entry.commit)
            pull = self.climber.planner.laid.pulls.get(entry.commit)
            with self.climber.surveyor.store.scratch() as store:
                return await self._handed(entry, change, pull, store)
        except (Rejected, Missing) as exc:
            return _with_rung(entry, f"{_NOT}: {exc.what}")
        except ModelError as exc:
            self.lost += 1
            self.note(f"{entry.commit[:10]}: the model failed: {exc.what}")
        except (InfrastructureError, TaskError) as exc:
            self.note(f"{entry.commit[:10]}: {exc.what}")
        return entry

    async def _handed(
        self, entry: Entry, change: Change, pull: PullRequest | None, store: LayerStore
    ) -> Entry:
        climber = self.climber
        states, made, words = await self._states(entry, change, pull, store)
        logs = self.job.logs
        if self.left <= 0:
            return entry
        self.left -= 1
        result = await build_by_agent(
            states,
            self.job.client,
            provider=climber.grounds.provider,
            store=store,
            settings=self.job.settings,
            note=self.note,
            log=logs / f"{states.instance_id}.jsonl" if logs else None,
        )
        self.lost = 0
        spent = f"{len(result.attempts)} scripts, {result.spent.turns} turns"
        if isinstance(result, Refused):
            return _with_rung(entry, f"{result.reason}: {result.detail} ({spent})")
        assert isinstance(result, Built)
        row = result.task.model_copy(
            update={
                "hints_text": made.hints_text,
                "review_text": made.review_text,
                "interface": made.interface,
            }
        )
        try:
            climber.outside.refuse_listed_task(row)
            task = climber.fitting(labelled(row))
        except Rejected as exc:
            update = {"status": "rejected", "reason": exc.reason, "detail": exc.what}
            return _with_rung(entry, f"{exc.reason}: {exc.what}").model_copy(update=update)
        _keep(task, store)
        found = {"status": "verified", "reason": "", "detail": "", "task": task} | words
        found |= {"built": True, "validated": True}
        return _with_rung(entry, f"accepted ({spent})").model_copy(update=found)

    async def _states(
        self, entry: Entry, change: Change, pull: PullRequest | None, store: LayerStore
    ) -> tuple[ChangeStates, Task, dict[str, object]]:
        """The two states, a row with the words alone, and what the journal keeps of these.

        Raises:
            Rejected: it is no change that anything could decide.
            Missing: an object of it is not there.
        """
        climber = self.climber
        objects = climber.history.objects
        base, after = objects.tree(change.base), objects.tree(change.commit)
        if is_sync_merge(change):
            raise Rejected(Reason.SYNC_MERGE, change.subject[:120])
        sides, name, license_ = self._read(change, after, store)
        climber.planner.refuse_twice(change, sides.patch)
        climber.outside.refuse_listed_change(change, pull, climber.origin.repo, sides.patch)
        bare = Task(
            instance_id=instance_id(climber.origin.repo, change.number, change.commit),
            repo=climber.origin.repo,
            base_commit=change.base,
            patch=sides.patch,
            test_patch=sides.test_patch,
            problem_statement="",
            FAIL_TO_PASS=(),
            PASS_TO_PASS=(),
        )
        full = climber.history.with_messages(change)
        library = name or climber.origin.repo.rpartition("/")[2]
        made, told = in_words(bare, full, pull, sides, messages=(), library=library, tree=after)

        def layer(tree: Tree) -> Layer:
            return lay_out(tree, objects, store, where=climber.origin.spec)

        states = ChangeStates(
            instance_id=bare.instance_id,
            repo=bare.repo,
            source=climber.origin.spec,
            commit=change.base,
            statement=made.problem_statement,
            patch=sides.patch,
            test_patch=sides.test_patch,
            base=layer(base),
            healthy=layer(repaired_tree(base, after, sides)),
            env=await self._environment(entry),
            as_of=change.date.isoformat(),
            created_at=change.date.isoformat(),
            version=climber.version(change.base),
            license=license_,
        )
        return states, made, told_of(told, pull)

    def _read(self, change: Change, after: Tree, store: LayerStore) -> tuple[Split, str, str]:
        """Sides of a change that need not have tests, its library's name and licence."""
        climber = self.climber
        surveyor = climber.surveyor
        laid = lay_out(after, surveyor.objects, store, where=surveyor.where).path
        try:
            suite = find_suite(laid)
        except TaskError:
            suite = _NO_SUITE
        sides = split(
            change,
            surveyor.objects,
            suite,
            package_roots(laid),
            limits=surveyor.limits,
            tests_needed=False,
        )
        project = Project(laid)
        return sides, project.name, project.license

    async def _environment(self, entry: Entry) -> Layer | None:
        """What the running Python's strategy built, to begin with; None where there is none."""
        climber = self.climber
        plan = next((one for one in climber.planner.plans if one.name == entry.commit), None)
        running = climber.planner.interpreters[0]
        for key in plan.grounds if plan else ():
            if key.rung.interpreter == running and not key.rung.adapted:
                try:
                    return (await climber.ground(key)).built.env
                except RegreenError:
                    continue
        return None


def _keep(task: Task, store: LayerStore) -> None:
    """Take what a row needs for good out of a scratch store; its trees are made when asked for."""
    environment = task.environment
    for digest in (environment.env_layer, environment.build_layer) if environment else ():
        if layer := store.get(digest):
            store.lasting.adopt(layer)


def _is_decided(entry: Entry) -> bool:
    return any(one.startswith(_MARK) for one in entry.rungs)


def _with_rung(entry: Entry, said: str) -> Entry:
    return entry.model_copy(update={"rungs": (*entry.rungs, f"{_MARK}{said}")})
