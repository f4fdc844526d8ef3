"""Groups of rollouts for training: a problem played several times, each ending as data.

What a rollout is belongs to a ``Stage`` (one turn with hidden tests, an agent in a box); what
becomes of its tokens is the same for all. A failure that is not the policy's leaves no reward, and
the group is played again before it is given up, so that no group is scored by halves.
"""

from __future__ import annotations

import asyncio
import hashlib
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from subprocess import SubprocessError
from typing import Protocol

import numpy as np

from regreen.agents.record import Conversation
from regreen.core.clock import Clock, SystemClock
from regreen.core.errors import (
    BoundaryError,
    InfrastructureError,
    PrerequisiteError,
    TaskError,
)
from regreen.core.evaluated import evaluation_name
from regreen.core.together import together
from regreen.core.trajectory import ErrorRecord, Incident, Trajectory
from regreen.core.verdict import Reward, Verdict
from regreen.inference.engine.base import TokenEngine
from regreen.inference.engine.token_model import TokenModel
from regreen.rollout.draft import fault_of
from regreen.templates.tokens.renderer import Renderer
from regreen.train.trace import Group, Played, Purpose, Trace

__all__ = [
    "Job",
    "Outcome",
    "Player",
    "Stage",
    "outcome_of",
    "rollout_seed",
    "worth_another",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How one rollout ended and what it is worth."""

    reward: float | None
    """The grader's; None when there is no verdict."""
    resolved: bool
    """Whether the problem is solved."""
    finished: bool
    """Whether the policy ended it itself."""
    exit_status: str = ""
    """For example ``submitted``."""
    verdict: Verdict | None = None
    """What the reward is made from."""
    incidents: tuple[Incident, ...] = ()
    """What the guard saw."""
    patch: str = ""
    """What was changed."""


class Stage(Protocol):
    """The problems of a run, and how one is played and judged."""

    name: str

    async def open(self) -> None:
        """Make what all rollouts share; called once before the first."""
        ...

    async def close(self) -> None:
        """Free it; calling it twice is harmless."""
        ...

    def problems(self) -> Sequence[str]:
        """Names of all problems, in a fixed order."""
        ...

    async def play(self, problem: str, seed: int, model: TokenModel, log: Conversation) -> Outcome:
        """One rollout of a problem, from its first question to its reward.

        Raises:
            BoundaryError: somebody else's failure; the rollout gets no reward. One of the
                infrastructure or the model is played again, as is an error of the system; any other
                exception is recorded as the task's and ends the rollout at once.
        """
        ...


_MACHINE = (OSError, EOFError, MemoryError, SubprocessError)
"""What the system raises; a time-out and a lost connection are among them."""

Penalise = Callable[[TokenModel, Trajectory], Sequence[float]]
"""Penalty of every token of a finished conversation, at least 0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One group to be played."""

    problem: str
    """Name of the problem."""
    place: int
    """Its place in the run's plan."""
    size: int
    """Rollouts."""
    seed: int
    """Of the run."""
    purpose: Purpose = "train"
    """What for."""
    step: int = 0
    """Batches trained on before an evaluation; it is in names and decides about no seed."""


def rollout_id(job: Job, agent: str, attempt: int) -> str:
    """Name of one rollout, unique within a run."""
    kind = agent if job.purpose == "train" else f"{agent}-{job.purpose}"
    if job.purpose == "evaluate":
        kind = evaluation_name(agent, job.step)
    return f"{job.problem}#{kind}#{job.place * job.size + attempt}"


def rollout_seed(job: Job, attempt: int) -> int:
    """Seed of one rollout: it depends on the plan, never on who plays it or when."""
    key = f"{job.seed}\0{job.purpose}\0{job.place}\0{job.problem}\0{attempt}"
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:4], "big") >> 1


@dataclass(frozen=True, kw_only=True, eq=False)
class Player:
    """Plays groups with one engine."""

    stage: Stage
    """What is played."""
    engine: TokenEngine
    """Who samples."""
    renderer: Renderer
    """Format and vocabulary."""
    max_tokens: int
    """Longest completion."""
    show_tools: bool = True
    """See ``TokenModel``."""
    penalise: Penalise | None = None
    """Finds tokens to be penalised."""
    keep: Callable[[Job], bool] = lambda job: True
    """Whether the readable records of a group are kept."""
    tries: int = 3
    """Times a rollout is played that a passing fault ended, before its group is given up."""
    at_once: int = 1024
    """Rollouts that are played at the same time."""
    told: Callable[[Job, Played], None] | None = None
    """Told of every finished rollout."""
    clock: Clock = field(default_factory=SystemClock)
    """Tells the time."""

    @cached_property
    def _room(self) -> asyncio.Semaphore:
        return asyncio.Semaphore(self.at_once)

    async def group(self, job: Job) -> Group:
        """Play a group."""
        begin = self.clock.monotonic()
        rollouts = await together(self._rollout(job, attempt) for attempt in range(job.size))
        return Group(
            problem=job.problem,
            place=job.place,
            purpose=job.purpose,
            rollouts=tuple(rollouts),
            seconds=self.clock.monotonic() - begin,
        )

    async def _rollout(self, job: Job, attempt: int) -> Played:
        earlier: list[ErrorRecord] = []
        async with self._room:
            while True:
                played = replace(await self._once(job, attempt), earlier=tuple(earlier))
                if played.fault is None or not worth_another(played.fault):
                    break
                if len(earlier) + 1 >= self.tries:
                    break
                earlier.append(played.fault)
        if self.told:
            self.told(job, played)
        return played

    async def _once(self, job: Job, attempt: int) -> Played:
        """One rollout; whatever happens, it becomes data."""
        name, seed = rollout_id(job, self.stage.name, attempt), rollout_seed(job, attempt)
        model = TokenModel(
            self.engine,
            self.renderer,
            seed=seed,
            max_tokens=self.max_tokens,
            show_tools=self.show_tools,
        )
        log = Conversation(rollout_id=name, clock=self.clock)
        fault: ErrorRecord | None = None
        record: Trajectory | None = None
        try:
            with _stage_boundary():
                outcome = _plain(await self.stage.play(job.problem, seed, model, log))
            record = self._record(job, attempt, log, outcome)
            penalties = self.penalise(model, record) if self.penalise else None
            trace = trace_of(model, penalties)
        except (Exception, asyncio.CancelledError) as exc:  # the boundary of a rollout for training
            outcome, trace = Outcome(reward=None, resolved=False, finished=False), None
            fault = _fault(exc)
            with suppress(ValueError):  # what was said may be the very thing that cannot be kept
                record = self._record(job, attempt, log, outcome, fault=fault)
        finally:
            await model.close()
        return Played(
            rollout_id=name,
            traces=() if trace is None else (trace,),
            reward=outcome.reward,
            finished=outcome.finished,
            resolved=outcome.resolved,
            hacked=any(incident.confirmed for incident in outcome.incidents),
            turns=len(model.sampled),
            fault=fault,
            trajectory=record if self.keep(job) else None,
        )

    def _record(
        self,
        job: Job,
        attempt: int,
        log: Conversation,
        outcome: Outcome,
        *,
        fault: ErrorRecord | None = None,
    ) -> Trajectory:
        reward, rewards = outcome.reward, tuple[Reward, ...]()
        if reward is not None and math.isfinite(reward):
            rewards = (Reward(name="reward", score=reward),)
        return Trajectory(
            rollout_id=rollout_id(job, self.stage.name, attempt),
            task=job.problem,
            agent=self.stage.name,
            tool_format="openai" if log.tools else "",
            tools=log.tools,
            seed=rollout_seed(job, attempt),
            messages=tuple(log.messages),
            turns=log.turns(),
            segments=((0, len(log.messages)),) if log.messages else (),
            exit_status=outcome.exit_status or (fault.type if fault else ""),
            patch=outcome.patch,
            verdict=outcome.verdict,
            rewards=rewards,
            incidents=outcome.incidents,
            error=fault,
            started_at=log.started_at,
        )


@contextmanager
def _stage_boundary() -> Iterator[None]:
    """Attribute what a stage raises and does not attribute itself.

    The machine's errors may pass and stay the infrastructure's. Any other is the stage's own, a
    broken reward for example, and comes again with the same seed.
    """
    try:
        yield
    except (BoundaryError, PrerequisiteError, *_MACHINE):
        raise
    except Exception as exc:
        what = f"the stage raised {type(exc).__name__}: {exc}"
        raise TaskError(what, mend="see to play() of the stage, and to the problem") from exc


def worth_another(fault: ErrorRecord) -> bool:
    """Whether the same seed may end otherwise: boxes and endpoints recover, problems do not."""
    return fault.boundary in {"infrastructure", "model"} and fault.type != "ContextOverflow"


def _plain(outcome: Outcome) -> Outcome:
    """The same in plain numbers, or an error here and not in the trainer."""
    reward = None if outcome.reward is None else float(outcome.reward)
    resolved, finished = bool(outcome.resolved), bool(outcome.finished)
    return replace(outcome, reward=reward, resolved=resolved, finished=finished)


def outcome_of(played: Played) -> str:
    """The word under which a rollout is counted."""
    if played.fault is not None:
        return "fault"
    if played.resolved:
        return "resolved"
    return "failed" if played.finished else "unfinished"


def _fault(exc: Exception | asyncio.CancelledError) -> ErrorRecord:
    """A failure as data; a cancellation that is meant for us goes on its way.

    Raises:
        CancelledError: this rollout is being ended from outside.
    """
    if isinstance(exc, Exception):
        return fault_of(exc)
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise exc
    what = "something that the rollout waited for was cancelled"
    return fault_of(InfrastructureError(what))


def trace_of(model: TokenModel, penalties: Sequence[float] | None = None) -> Trace | None:
    """The tokens of a finished conversation; None when nothing was sampled."""
    dialogue = model.dialogue
    if dialogue is None or not dialogue.samples:
        return None
    ids = np.array(dialogue.ids, np.int32)
    logprobs = np.zeros(len(ids), np.float32)
    versions = np.full(len(ids), -1, np.int32)
    for sample, found in zip(dialogue.samples, model.sampled, strict=True):
        span = slice(sample.prompt_len, sample.prompt_len + len(sample.ids))
        logprobs[span] = sample.logprobs
        # The older of the two where the engine does not say where it went over to the newer one.
        versions[span] = found.drawn_by or found.versions[0]
    sampled = np.array(dialogue.loss_mask, bool)
    penalty = np.zeros(len(ids), np.float32) if penalties is None else np.array(penalties, "f4")
    return Trace(
        ids=ids,
        sampled=sampled,
        logprobs=logprobs,
        penalties=np.where(sampled, penalty, np.float32(0)),
        versions=versions,
        experts=model.experts(),
    )
