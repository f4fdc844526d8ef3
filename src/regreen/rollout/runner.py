"""Runs rollouts side by side; each ends as a row on disk, whatever becomes of it.

This module holds the package's one broad ``except``. A row is on the disk before its rollout
counts as finished, and an interrupt waits for rows being written but for nothing else: what was
running is run again by ``--resume``.
"""

from __future__ import annotations

import asyncio
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import ClassVar

from regreen.agents.record import Conversation
from regreen.core.clock import Clock, SystemClock
from regreen.core.errors import RegreenError
from regreen.core.trajectory import Trajectory
from regreen.core.verdict import Reward, Verdict
from regreen.grading.grade import rewards
from regreen.inference import ChatClient
from regreen.rollout.base import Phase, Watcher, Workshop
from regreen.rollout.doors import Doors
from regreen.rollout.draft import Draft
from regreen.rollout.plan import Assignment, Build
from regreen.rollout.stages import act, again, verify
from regreen.store.run import RunDirectory

__all__ = ["Interrupted", "Runner", "Summary"]


class Interrupted(RegreenError):
    """A signal ended the run early; finished rollouts are on disk and boxes are freed."""

    exit_code: ClassVar[int] = 130


@dataclass(slots=True)
class Summary:
    """Counts of one call of ``Runner.run``."""

    finished: int = 0
    """Rows written."""
    resolved: int = 0
    """Rows whose verdict is resolved."""
    errors: Counter[str] = field(default_factory=Counter)
    """Failed rows by boundary; they are among the finished."""


@dataclass(frozen=True, kw_only=True)
class Runner:
    """Everything the rollouts of one run share."""

    run_directory: RunDirectory
    """Where rows and live logs go."""
    workshop: Workshop
    """Makes boxes and verdicts."""
    build: Build
    """Makes the agent of each rollout."""
    client: ChatClient | None = None
    """The model that the agents use, to be named in the rows."""
    workers: int = 2
    """Rollouts at the same time."""
    doors: Doors = field(default_factory=Doors)
    """What the act boxes may reach."""
    act_seconds: float | None = None
    """Ends an agent that does not keep its own limits; set it above theirs."""
    reward: Callable[[Verdict], tuple[Reward, ...]] = rewards
    """Scores a verdict."""
    label: Callable[[Trajectory], Trajectory] | None = None
    """Adds to a row, incidents for example, before it is written."""
    watch: Watcher | None = None
    """Told of every phase and row."""
    clock: Clock = field(default_factory=SystemClock)
    """Tells the time."""

    async def run(self, assignments: Sequence[Assignment]) -> Summary:
        """Do every assignment and return the counts.

        Raises:
            Interrupted: SIGINT or SIGTERM came.
            InfrastructureError: a row could not be written.
        """
        queue, summary = iter(assignments), Summary()
        with _interruptible():
            try:
                async with asyncio.TaskGroup() as group:
                    for _ in range(min(self.workers, len(assignments))):
                        group.create_task(self._work(queue, summary))
            except ExceptionGroup as several:
                known = [exc for exc in several.exceptions if isinstance(exc, RegreenError)]
                if not known:
                    raise
                raise known[0] from several
        return summary

    async def _work(self, queue: Iterator[Assignment], summary: Summary) -> None:
        for assignment in queue:
            trajectory = await self.rollout(assignment)
            await self._write(trajectory)
            summary.finished += 1
            summary.resolved += bool(trajectory.verdict and trajectory.verdict.resolved)
            if trajectory.error:
                summary.errors[trajectory.error.boundary] += 1
            if self.watch:
                self.watch.finished(trajectory)

    async def rollout(self, assignment: Assignment) -> Trajectory:
        """One rollout, from its box to its reward; a failure becomes part of the row."""
        draft = Draft(assignment=assignment)
        for step in (self._stages, self._labels):
            try:
                await step(draft)
            except Exception as exc:  # the rollout boundary
                draft.fail(exc)
        return draft.labelled or draft.trajectory(self.client)

    async def _labels(self, draft: Draft) -> None:
        """Have the row read once more, in a thread: a long one takes seconds."""
        if self.label:
            made = draft.trajectory(self.client)
            draft.labelled = await asyncio.to_thread(self.label, made)

    async def _stages(self, draft: Draft) -> None:
        task, phase = draft.assignment.task, partial(self._phase, draft.assignment)
        with self._timed(draft, "act"):
            draft.exit_status, draft.patch = await again(lambda: self._act(draft, phase))
        phase("verify")
        with self._timed(draft, "verify"):
            draft.verdict = await again(lambda: verify(task, draft.patch, self.workshop))
        draft.rewards = self.reward(draft.verdict)

    async def _act(self, draft: Draft, phase: Callable[[Phase], None]) -> tuple[str, str]:
        assignment = draft.assignment
        name = assignment.rollout_id.replace("/", "_")
        path = self.run_directory.logs / f"{name}.jsonl"
        with Conversation(path, rollout_id=assignment.rollout_id, clock=self.clock) as log:
            draft.log = log
            agent, seconds = self.build(assignment), self.act_seconds
            async with self.doors.open(assignment.task, assignment.rollout_id) as door:
                return await act(
                    assignment.task, agent, self.workshop, log,
                    seconds=seconds, phase=phase, door=door,
                )  # fmt: skip

    async def _write(self, trajectory: Trajectory) -> None:
        """Write a row in a thread, because it waits for the disk, and see it through."""
        write = asyncio.ensure_future(asyncio.to_thread(self.run_directory.append, trajectory))
        try:
            await asyncio.shield(write)
        except asyncio.CancelledError:
            await write
            raise

    def _phase(self, assignment: Assignment, phase: Phase) -> None:
        if self.watch:
            self.watch.phase(assignment.rollout_id, phase)

    @contextmanager
    def _timed(self, draft: Draft, stage: str) -> Iterator[None]:
        begin = self.clock.monotonic()
        try:
            yield
        finally:
            draft.seconds[stage] = self.clock.monotonic() - begin


@contextmanager
def _interruptible() -> Iterator[None]:
    """Turn SIGINT and SIGTERM into a cancellation that ends as ``Interrupted``.

    Only the first signal is ours; a second one does what it does by default.
    """
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None
    came: list[signal.Signals] = []
    is_main = threading.current_thread() is threading.main_thread()
    signals = (signal.SIGINT, signal.SIGTERM) if is_main else ()

    def stop(number: signal.Signals) -> None:
        came.append(number)
        task.cancel()
        for each in signals:
            loop.remove_signal_handler(each)

    for each in signals:
        loop.add_signal_handler(each, stop, each)
    try:
        yield
    except asyncio.CancelledError:
        if not came:
            raise
        task.uncancel()
        msg = f"interrupted by {came[0].name}; finished rollouts are kept"
        raise Interrupted(msg, mend="run the same command again with --resume") from None
    finally:
        for each in signals:
            loop.remove_signal_handler(each)
