"""A mining job: every change of a main line is read, tried, and written down as it is decided.

Reading comes first and is cheap; it says which changes can share a ground. Trying follows in the
order of the grounds, several at once. The tasks are written in the order of the history, so the
same history gives the same bytes with any number of workers, interrupted or not.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from regreen.core.errors import UsageError
from regreen.core.task import Task
from regreen.core.together import together
from regreen.sandbox.base import SandboxProvider
from regreen.sandbox.layers import LayerStore
from regreen.tasks.build.interpreters import Interpreter
from regreen.tasks.history.line import History
from regreen.tasks.history.source import Origin
from regreen.tasks.mine.asking import Asking
from regreen.tasks.mine.climb import Climber
from regreen.tasks.mine.ground import Grounds
from regreen.tasks.mine.handing import AgentJob, Handing
from regreen.tasks.mine.journal import Entry, Journal
from regreen.tasks.mine.meter import cpu_seconds
from regreen.tasks.mine.outside import Outside
from regreen.tasks.mine.plan import Plan, Planner
from regreen.tasks.mine.readings import Readings
from regreen.tasks.mine.settings import MineSettings
from regreen.tasks.mine.split import Limits
from regreen.tasks.mine.survey import Surveyor
from regreen.tasks.pulls.rebased import lay
from regreen.tasks.tell.retell import Teller

__all__ = ["Mined", "Progress", "mine"]


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
    outside: Outside | None = None,
    client: Teller | None = None,
    agent: AgentJob | None = None,
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
        outside: pull requests, and lists to keep clear of.
        client: model that tells and judges what was verified.
        agent: what is handed to the building agent; None hands over nothing.

    Raises:
        UsageError: the journal is of another job, or the pull requests are of another repository.
        PrerequisiteError: no package index can be reached.
    """
    before = cpu_seconds()
    outside = outside or Outside()
    laid = lay(history, commits, outside.pulls, repo=outside.repo, join=not listed)
    header = _header(origin, interpreters, settings, outside)
    memory, readings = _opened(journal, header, resume, names=laid.names, where=origin.spec)
    grounds = Grounds(provider, store, history.objects, workers=workers, note=note)
    planner = _planner(
        history, origin, memory, settings=settings, interpreters=interpreters, store=store
    )
    planner = replace(planner, listed=listed, laid=laid, outside=outside, readings=readings)
    climber = Climber(history, origin, planner.surveyor, planner, grounds, settings, outside)
    try:
        for name in laid.names:
            planner.read(name)
        asking = Asking(client, climber.fitting) if client else None
        await _climb_all(climber, memory, asking, workers=workers, report=report)
        handing = Handing(climber, agent, note) if agent else None
        await _hand_over(handing, memory, asking, names=laid.names, workers=workers)
        for line in asking.summary() if asking else ():
            note(line)
    finally:
        await grounds.close()
        memory.close()
        readings.close()
    entries = tuple(memory.entries[name] for name in laid.names if name in memory.entries)
    spent = round(cpu_seconds() - before + grounds.cpu, 3)
    return Mined(tasks=_distinct(memory.tasks(laid.names)), entries=entries, cpu_seconds=spent)


def _opened(
    path: Path | None,
    header: Mapping[str, object],
    resume: bool,
    *,
    names: Collection[str],
    where: str,
) -> tuple[Journal, Readings]:
    """The journal, and beside it what was read of the changes that are planned."""
    memory = Journal(path, header=header, resume=resume)
    _refuse_other_history(memory, names, where)
    beside = path and path.with_name(f"{path.name.removesuffix('.journal.jsonl')}.plan.jsonl")
    return memory, Readings(beside, header=header)


def _refuse_other_history(journal: Journal, names: Collection[str], where: str) -> None:
    """What was verified of changes that are no longer asked for would be lost without a word.

    Raises:
        UsageError: there is such a change.
    """
    known = set(names)
    lost = [one for one in journal.entries.values() if one.task and one.commit not in known]
    if lost:
        journal.close()
        what = f"{len(lost)} changes that this job verified are not among those asked for now"
        mend = "ask for the same changes (--head, --limit, --commits), or give another --out"
        raise UsageError(what, where=f"{where}: {lost[0].commit[:12]}", mend=mend)


def _header(
    origin: Origin,
    interpreters: Sequence[Interpreter],
    settings: MineSettings,
    outside: Outside,
) -> dict[str, object]:
    """What must be equal for a job to be gone on with; a model may come and go."""
    return {
        "source": origin.spec,
        "interpreters": [one.version for one in interpreters],
        "settings": settings.model_dump(mode="json"),
        "outside": dict(outside.identity),
    }


def _planner(
    history: History,
    origin: Origin,
    journal: Journal,
    *,
    settings: MineSettings,
    interpreters: Sequence[Interpreter],
    store: LayerStore,
) -> Planner:
    """What reads the changes of a history."""
    limits = Limits(files=settings.max_files, lines=settings.max_lines)
    surveyor = Surveyor(history.objects, store, limits, settings.pass_to_pass, origin.spec)
    return Planner(
        history,
        surveyor,
        journal,
        interpreters,
        installed=settings.installed,
        repo=origin.repo,
    )


async def _climb_all(
    climber: Climber,
    journal: Journal,
    asking: Asking | None,
    *,
    workers: int,
    report: Callable[[Progress], None],
) -> None:
    """Try what is planned and not yet decided, several changes at once."""
    slots = asyncio.Semaphore(workers)
    planner = climber.planner

    def tell() -> None:
        decided = [one for one in journal.entries.values() if one.status != "dropped"]
        verified = sum(one.status == "verified" for one in decided)
        report(Progress(len(decided), verified, planner.candidates))

    async def one(plan: Plan) -> None:
        async with slots:
            journal.add(await climber.climb(plan))
            tell()
        await _ask(asking, journal, plan.name)

    tell()
    known = list(journal.entries)
    await together(one(plan) for plan in planner.order() if plan.name not in known)
    await together(_ask(asking, journal, name) for name in known)


async def _ask(asking: Asking | None, journal: Journal, name: str) -> None:
    """Have the model tell and judge what was verified, if it was not asked before."""
    entry = journal.entries[name]
    asked = await asking.ask(entry) if asking else entry
    if asked != entry:
        journal.add(asked)


async def _hand_over(
    handing: Handing | None,
    journal: Journal,
    asking: Asking | None,
    *,
    names: Sequence[str],
    workers: int,
) -> None:
    """Give what rules left undecided to the building agent, several changes at once."""
    if handing is None:
        return
    slots = asyncio.Semaphore(workers)

    async def one(entry: Entry) -> None:
        async with slots:
            made = await handing.hand_over(entry)
        if made != entry:
            journal.add(made)
            await _ask(asking, journal, entry.commit)

    entries = [journal.entries[name] for name in names if name in journal.entries]
    await together(one(entry) for entry in handing.chosen(entries))


def _distinct(tasks: Sequence[Task]) -> tuple[Task, ...]:
    """Tasks with different ids: a pull request merged in two steps gives two tasks."""
    counts = Counter(task.instance_id for task in tasks)
    return tuple(
        task
        if counts[task.instance_id] == 1
        else task.model_copy(update={"instance_id": f"{task.instance_id}-{task.base_commit[:7]}"})
        for task in tasks
    )
