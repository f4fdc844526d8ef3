"""What will be run: one assignment per task and attempt, and the agent that gets it.

Seeds are derived from the run's seed, the task and the attempt, never from the order of work: a
resumed or differently parallel run samples the same.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass

from regreen.agents import Agent, Limits, Setting, agent_class
from regreen.agents.base import Model, Need
from regreen.core.errors import UsageError
from regreen.core.task import Task
from regreen.guard.blocker import Blocker
from regreen.guard.subject import subject_of

__all__ = ["Assignment", "Build", "assignments", "builder"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """One rollout to be done."""

    task: Task
    """What to work on."""
    agent: str
    """Name of the agent."""
    attempt: int
    """Counted from 0 for each task."""
    seed: int
    """Seed of this rollout."""

    @property
    def rollout_id(self) -> str:
        """Unique within the run."""
        return f"{self.task.instance_id}#{self.agent}#{self.attempt}"


Build = Callable[[Assignment], Agent]
"""Makes the agent of one rollout."""


def _seed(*parts: object) -> int:
    digest = hashlib.sha256("\0".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:4], "big") >> 1  # 31 bits: what every endpoint takes


def assignments(
    tasks: Iterable[Task],
    agent: str,
    *,
    attempts: int = 1,
    seed: int = 0,
    finished: Collection[str] = (),
) -> list[Assignment]:
    """Everything still to be run, all attempts of a task side by side.

    Args:
        tasks: what to work on.
        agent: name of the agent.
        attempts: rollouts of each task.
        seed: of the run.
        finished: ids of rollouts that a run being resumed already holds.

    Raises:
        UsageError: two tasks share an ``instance_id``.
    """
    planned: dict[str, Assignment] = {}
    for task in tasks:
        for attempt in range(attempts):
            own = _seed(seed, task.instance_id, attempt)
            one = Assignment(task=task, agent=agent, attempt=attempt, seed=own)
            if one.rollout_id in planned:
                msg = f"two tasks are called {task.instance_id!r}"
                raise UsageError(msg, mend="drop one of them from the task file")
            planned[one.rollout_id] = one
    return [one for name, one in planned.items() if name not in finished]


def _blocker(task: Task, penalty: float | None) -> Blocker | None:
    return None if penalty is None else Blocker(subject_of(task), penalty=penalty)


def builder(
    name: str,
    *,
    limits: Limits | None = None,
    client: Model | None = None,
    tool_format: str = "",
    penalty: float | None = 0.0,
) -> Build:
    """What makes the agents of a run; the gold patch goes only to classes that ask for it.

    Args:
        name: of the agent.
        limits: what each rollout may spend.
        client: the model.
        tool_format: ask the model in this format's text.
        penalty: of a refused call's tokens; None refuses no call.

    Raises:
        UsageError: there is no such agent, or it needs a model and none is given.
    """
    kind = agent_class(name)
    needs: frozenset[Need] = getattr(kind, "needs", frozenset())
    if "model" in needs and client is None:
        msg = f"the agent {name!r} needs a model"
        raise UsageError(msg, where="--agent", mend="give --base-url URL/v1 and --model NAME")
    if tool_format and "model" not in needs:
        msg = f"the agent {name!r} asks no model, so no tool-calling format"
        raise UsageError(msg, where="--tool-format", mend="leave --tool-format out")

    def build(assignment: Assignment) -> Agent:
        made: Agent = kind(
            Setting(
                limits=limits or Limits(),
                seed=assignment.seed,
                client=client,
                tool_format=tool_format,
                blocker=_blocker(assignment.task, penalty),
                gold_patch=assignment.task.patch if "gold" in needs else "",
            )
        )
        return made

    return build
