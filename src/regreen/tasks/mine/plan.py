"""The plan of a job: every change read once, those that can be decided grouped by their grounds.

A ground is made on the newest change of its group, whatever is tried first and whatever an earlier
run of the job decided, so that the same history gives the same environments.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby

from regreen.tasks.build.interpreters import Interpreter
from regreen.tasks.history.change import Change
from regreen.tasks.history.line import History
from regreen.tasks.history.objects import Missing
from regreen.tasks.mine.ground import GroundKey, Rung
from regreen.tasks.mine.journal import Entry, Journal
from regreen.tasks.mine.ladder import dated, rungs
from regreen.tasks.mine.outside import Outside
from regreen.tasks.mine.readings import Reading, Readings
from regreen.tasks.mine.reasons import Reason, Rejected
from regreen.tasks.mine.split import screened
from regreen.tasks.mine.survey import Outline, Surveyor
from regreen.tasks.pulls.rebased import Laid
from regreen.tasks.pulls.request import PullRequest

__all__ = ["Plan", "Planner", "entry"]

_NO_CANDIDATE = (Reason.FIRST_COMMIT, Reason.NO_SOURCE, Reason.NO_TESTS, Reason.SYNC_MERGE,
                 Reason.JOINED, Reason.TOO_MANY_FILES)  # fmt: skip
_AGAIN = (Reason.CONTAMINATED, Reason.UNREADABLE)
"""Reasons that are found late: such a change has been the first of its copies, or the newest of its
ground, and is so for a job that goes on."""
_ANCHORS = 2


@dataclass(frozen=True, slots=True)
class Plan:
    """A change that will be tried."""

    name: str
    """The commit or range as it was asked for."""
    change: Change
    """The step of the history."""
    needs: str
    """Digest of what its environment depends on."""
    grounds: tuple[GroundKey, ...]
    """Where to try it, in order."""
    pull: PullRequest | None = None
    """Its pull request, when one is known."""


def entry(name: str, change: Change, **fields: object) -> Entry:
    """An entry of the journal about a change."""
    told: dict[str, object] = {
        "commit": name,
        "number": change.number,
        "subject": change.subject[:200],
        "date": change.date.isoformat(),
    }
    return Entry.model_validate({**told, **fields})


def _keys(change: Change, outline: Outline, ladder: Sequence[Rung]) -> Iterator[GroundKey]:
    """Where to try a change: for each Python on what its kin share, then on a ground of its own.

    What is shared is tried as it is and adapted. An environment of its own costs as much as trying
    ten changes, so it comes last; it is adapted where its suite cannot be collected otherwise.
    """
    for interpreter, several in groupby(ladder, key=lambda rung: rung.interpreter):
        date = dated(change.date, interpreter)
        strategies = list(several)
        for rung in strategies:
            yield GroundKey(outline.kin, date, rung, outline.options, shared=True)
        yield GroundKey(outline.needs, date, strategies[0], outline.options)


def _fingerprint(patch: str) -> str:
    """Digest of the lines that a patch adds and removes, wherever they stand."""
    lines = [line for line in patch.splitlines() if line[:1] in "+-"]
    return hashlib.sha256("\n".join(lines).encode("utf-8", "surrogateescape")).hexdigest()


@dataclass(slots=True)
class Planner:
    """Reads changes and notes what cannot become a task.

    Args:
        history: the main line.
        surveyor: reads one change.
        journal: takes what is decided by reading alone.
        interpreters: the running Python, then others of this machine.
        installed: copy environments from this installation.
        listed: whether the changes were named one by one: then none is left out as no candidate.
        laid: the pull requests of changes, and which commits are tried together.
        outside: lists to keep clear of.
        repo: name of the repository, for those lists.
        readings: keeps what was read of planned changes.
    """

    history: History
    surveyor: Surveyor
    journal: Journal
    interpreters: Sequence[Interpreter]
    installed: bool = False
    listed: bool = False
    laid: Laid = field(default_factory=lambda: Laid(names=()))
    outside: Outside = field(default_factory=Outside)
    repo: str = ""
    readings: Readings = field(default_factory=Readings)
    candidates: int = 0
    plans: list[Plan] = field(default_factory=list)
    _asked: dict[GroundKey, list[Plan]] = field(default_factory=dict)
    _seen: dict[str, str] = field(default_factory=dict)

    def read(self, name: str) -> None:
        """Read one change: it is planned, or written down with the reason why not."""
        known = self.journal.entries.get(name)
        if known and known.status != "verified" and not known.rungs and known.reason not in _AGAIN:
            self.candidates += known.status == "rejected"
            return
        try:
            change = self.change(name)
        except Missing as exc:
            reason = Reason.FIRST_COMMIT if exc.first else Reason.UNREADABLE
            out = self._out(Rejected(reason, exc.what))
            self._note(Entry.model_validate({"commit": name, **out}))
            return
        try:
            if name in self.laid.joined:
                raise Rejected(Reason.JOINED, f"as {self.laid.joined[name]}")
            objects, limits = self.surveyor.objects, self.surveyor.limits
            screened(change, objects, limits=limits, all_kinds=self.listed)
            self._plan(name, change, self._outline(name, change))
        except Rejected as exc:
            self._note(entry(name, change, **self._out(exc)))
        except Missing as exc:
            out = self._out(Rejected(Reason.UNREADABLE, exc.what))
            self._note(entry(name, change, **out))

    def _outline(self, name: str, change: Change) -> Outline:
        """What the tree after a change shows, read once for a job and all that go on with it.

        Raises:
            Rejected: tests cannot decide it, or it is not to be a task.
        """
        known = self.readings.of(change)
        if known:
            self._refuse_twice(change, known.fix)
            self.surveyor.recall(change, known.outline)
            return known.outline
        survey = self.surveyor.read(change)
        patch = survey.split.patch
        self.refuse_twice(change, patch)
        self.outside.refuse_listed_change(change, self.laid.pulls.get(name), self.repo, patch)
        self.readings.add(
            Reading(
                base=change.base,
                commit=change.commit,
                fix=_fingerprint(patch),
                outline=survey.outline,
            )
        )
        return survey.outline

    def change(self, name: str) -> Change:
        """A change, with the number of its pull request where only that tells it.

        Raises:
            Missing: a commit or tree of it is not there, or there is nothing before it.
        """
        change = self.history.change(name)
        pull = self.laid.pulls.get(name)
        return replace(change, number=pull.number) if pull and not change.number else change

    def anchors(self, key: GroundKey) -> list[Plan]:
        """The changes that a ground may be made on, in the order of trying.

        A commit may be broken, and then the one before it serves as well.
        """
        return self._asked[key.plain][: -_ANCHORS - 1 : -1]

    def order(self) -> list[Plan]:
        """The plans, those of one ground next to each other."""
        place = {key: number for number, key in enumerate(self._asked)}
        return sorted(self.plans, key=lambda plan: place[plan.grounds[0].plain])

    def _plan(self, name: str, change: Change, outline: Outline) -> None:
        running, *others = self.interpreters
        ladder = rungs(
            change.date,
            running,
            others,
            foreign=outline.foreign,
            installed=self.installed,
        )
        keys = tuple(_keys(change, outline, ladder))
        plan = Plan(name, change, outline.needs, keys, self.laid.pulls.get(name))
        self.candidates += 1
        self.plans.append(plan)
        for plain in dict.fromkeys(key.plain for key in keys):
            self._asked.setdefault(plain, []).append(plan)

    def refuse_twice(self, change: Change, patch: str) -> None:
        """A backport or a change merged twice is one task.

        Raises:
            Rejected: the same lines were changed before.
        """
        self._refuse_twice(change, _fingerprint(patch))

    def _refuse_twice(self, change: Change, fix: str) -> None:
        first = self._seen.setdefault(fix, change.commit)
        if first != change.commit:
            raise Rejected(Reason.DUPLICATE, f"of {first[:10]}")

    def _out(self, exc: Rejected) -> dict[str, object]:
        dropped = exc.reason in _NO_CANDIDATE and not self.listed
        status = "dropped" if dropped else "rejected"
        return {"status": status, "reason": exc.reason, "detail": exc.what}

    def _note(self, found: Entry) -> None:
        self.candidates += found.status == "rejected"
        if found.commit not in self.journal.entries:  # the agent may have decided otherwise
            self.journal.add(found)
