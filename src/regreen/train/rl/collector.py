"""From a plan to batches of finished groups: who is asked when, and what is taken as old enough.

Groups are written to files as they finish, and asked for again when a fault ended one of their
rollouts or when they have become too old; so a batch holds whole groups within the bound, whatever
happened to those who played them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence

from regreen.core.progress import Progress
from regreen.core.trajectory import Trajectory
from regreen.train.play.executor import Executor, Finished, Lost, Told
from regreen.train.play.rollouts import Job, outcome_of, worth_another
from regreen.train.rl.config import RlConfig
from regreen.train.rl.group_file import GroupFolder
from regreen.train.rl.plan import Plan
from regreen.train.trace import Group, Purpose

__all__ = ["Collector"]

_Key = tuple[Purpose, int]


class Collector:
    """Hands out the groups of a run and gathers them.

    Args:
        executor: who plays.
        config: batch, staleness and order.
        files: for each purpose that is kept over a break, the folder of its finished groups.
        keep: takes the readable records.
        note: is told of what is out of the ordinary.
        progress: is told of every rollout.
        waiting: called about once a second while groups are waited for; what it raises ends that.
    """

    def __init__(
        self,
        executor: Executor,
        config: RlConfig,
        files: Mapping[Purpose, GroupFolder],
        *,
        keep: Callable[[Trajectory], None],
        note: Callable[[str], None],
        progress: Progress | None = None,
        waiting: Callable[[], None] = lambda: None,
    ) -> None:
        self.counts: Counter[str] = Counter()
        """Rollouts by outcome and accidents by kind since they were last cleared."""
        self.submitted = 0
        """Places of the plan that were handed out: all below."""
        self._executor = executor
        self._config = config
        self._files = files
        self._keep, self._note, self._progress = keep, note, progress
        self._waiting = waiting
        self._done: dict[_Key, Group] = {}
        self._flying: dict[_Key, Job] = {}
        self._tries: Counter[_Key] = Counter()

    @property
    def pending(self) -> tuple[int, ...]:
        """Places of the plan that were handed out and not taken yet."""
        keys = (*self._flying, *self._done)
        return tuple(sorted(place for kind, place in keys if kind == "train"))

    def start(self, plan: Plan, submitted: int, pending: Collection[int]) -> int:
        """Go on where another process stopped; how many groups it left finished.

        Args:
            plan: the run's.
            submitted: places that were handed out.
            pending: those of them that were not trained on.
        """
        self.submitted = submitted
        jobs = [plan.job(place) for place in sorted(pending)]
        again = [job for job in jobs if not self._known(job)]
        self._hand_out(again)
        return len(jobs) - len(again)

    def batch(self, plan: Plan, step: int) -> list[Group]:
        """The groups of a batch, waited for; none of them older than the staleness allows.

        Raises:
            InfrastructureError: nobody is left to play, or the disk is full.
        """
        self._submit_ahead(plan, step)
        while True:
            ready = self._ready(step)
            stale = [place for place in ready if self._stale(place, step)]
            if stale:
                self.counts["stale"] += len(stale)
                for place in stale:
                    del self._done["train", place]
                self._hand_out([plan.job(place) for place in stale])
            elif len(ready) >= self._config.groups:
                return self._taken(ready[: self._config.groups], step)
            else:
                self._wait()

    def _taken(self, places: Sequence[int], step: int) -> list[Group]:
        """The groups of a batch, and a note of which they are where the plan does not say."""
        folder = self._files.get("train")
        if folder is not None and self._config.order == "finished":
            folder.choose(step, places)
        groups = [self._done.pop(("train", place)) for place in places]
        self.counts.update(outcome_of(one) for group in groups for one in group.rollouts)
        return groups

    def all_of(self, jobs: Sequence[Job]) -> list[Group]:
        """Play jobs that are no batch, and wait for all of them."""
        self._hand_out([job for job in jobs if not self._known(job)])
        keys = [_key(job) for job in jobs]
        while not all(key in self._done for key in keys):
            self._wait()
        return [self._done.pop(key) for key in keys]

    def _ready(self, step: int) -> list[int]:
        """Places whose groups may be in the next batch, earliest first."""
        wanted: Sequence[int] | None
        if self._config.order == "finished":
            folder = self._files.get("train")
            wanted = None if folder is None else folder.chosen(step)
        else:
            first = step * self._config.groups
            wanted = range(first, first + self._config.groups)
        if wanted is None:
            return sorted(place for kind, place in self._done if kind == "train")
        return [place for place in wanted if ("train", place) in self._done]

    def _stale(self, place: int, step: int) -> bool:
        """Whether a group is too old; or too new, from a future that ended with its trainer."""
        group, bound = self._done["train", place], self._config.staleness
        return (
            group.oldest >= 0 and not step - bound <= group.oldest <= group.newest <= step + bound
        )

    def _submit_ahead(self, plan: Plan, step: int) -> None:
        """Hand out as many groups as the staleness allows."""
        config = self._config
        if config.order == "planned":
            until = (step + 1 + config.staleness) * config.groups
        else:
            until = self.submitted + (1 + config.staleness) * config.groups - len(self.pending)
        until = min(until, config.steps * config.groups)
        jobs = [plan.job(place) for place in range(self.submitted, until)]
        self.submitted = max(self.submitted, until)
        self._hand_out([job for job in jobs if not self._known(job)])

    def _known(self, job: Job) -> bool:
        """Whether a group was played by an earlier process and kept."""
        folder = self._files.get(job.purpose)
        group = None if folder is None else folder.read(job.place)
        if group is None or group.problem != job.problem or len(group.rollouts) != job.size:
            return False
        self._done[_key(job)] = group
        if self._progress is not None and job.purpose == "train":
            self._progress.known(job.size)
        return True

    def _hand_out(self, jobs: Sequence[Job]) -> None:
        self._flying.update({_key(job): job for job in jobs})
        if jobs:
            self._executor.submit(jobs)

    def _wait(self) -> None:
        """Take what happened next."""
        self._waiting()
        event = self._executor.next(1.0)
        if isinstance(event, Told):
            if self._progress is not None and event.purpose == "train":
                self._progress.finish(event.rollout_id, event.outcome)
        elif isinstance(event, Lost):
            self.counts["workers_lost"] += 1
            self._note(f"{event.worker} is gone ({event.why}); {event.jobs} groups begin anew")
        elif isinstance(event, Finished):
            self._take(event.group)

    def _take(self, group: Group) -> None:
        key = group.purpose, group.place
        faults = [one.fault for one in group.rollouts if one.fault is not None]
        passing = [fault for fault in faults if worth_another(fault)]
        self._tries[key] += 1
        if passing and self._tries[key] < self._config.group_tries:
            self.counts["groups_again"] += 1
            self._note(f"{group.problem} is played again: {passing[0].message[:300]}")
            self._hand_out([self._flying[key]])
            return
        earlier = [fault for one in group.rollouts for fault in one.earlier]
        if earlier:
            self._note(f"{group.problem} had to be tried again: {earlier[0].message[:300]}")
        for one in group.rollouts:
            if one.trajectory is not None:
                self._keep(one.trajectory)
        # Written last: a group that has a file is not played again, so its records stand by then.
        if (folder := self._files.get(group.purpose)) is not None:
            folder.write(group)
        del self._flying[key], self._tries[key]
        self._done[key] = group


def _key(job: Job) -> _Key:
    return job.purpose, job.place
