"""Agent RL: an agent works on real tasks in real boxes, and the grader rewards it once at the end.

The same agents, boxes, guard and grader as in ``regreen rollout``; what differs is who answers. A
box that fails leaves no reward, and what the monitor confirms costs the words it names.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from regreen.agents import Limits
from regreen.agents.record import Conversation
from regreen.core.task import Task
from regreen.core.trajectory import Incident, Trajectory
from regreen.grading.grade import rewards
from regreen.grading.workshop import Workshop
from regreen.inference.engine.token_model import TokenModel
from regreen.rollout.auditor import audit, monitored
from regreen.rollout.doors import Doors
from regreen.rollout.plan import Assignment, builder
from regreen.rollout.stages import act, again, verify
from regreen.sandbox import provider as make_provider
from regreen.sandbox.base import SandboxProvider
from regreen.sandbox.layers import LayerStore
from regreen.store.taskset import read_tasks
from regreen.train.play.rollouts import Outcome

__all__ = ["AgentStage", "AgentStageConfig"]


class AgentStageConfig(BaseModel):
    """What is played by whom."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tasks: tuple[Path, ...]
    """Files of tasks."""
    store: Path
    """Where the layers of the tasks lie."""
    agent: str = "react"
    """Name of the agent, one that is driven by a model."""
    limits: Limits = Limits(turns=50, seconds=900.0)
    """What a rollout may spend."""
    guard: bool = True
    """Whether calls are judged before they run, and rollouts read by the monitor afterwards."""
    penalty: float = Field(default=0.5, ge=0.0)
    """Subtracted from the advantage of the words of a refused or confirmed deed."""
    test_timeout: float = Field(default=60.0, gt=0.0)
    """Wall seconds of one test of the grader."""


class AgentStage:
    """See ``Stage``.

    Args:
        config: what is played by whom.
    """

    name = "agent"

    def __init__(self, config: AgentStageConfig) -> None:
        self.config = config
        self._provider: SandboxProvider | None = None
        self._workshop: Workshop | None = None

    @cached_property
    def tasks(self) -> dict[str, Task]:
        """The tasks by name, in the order of the files."""
        return {task.instance_id: task for path in self.config.tasks for task in read_tasks(path)}

    @cached_property
    def _label(self) -> Callable[[Trajectory], Trajectory]:
        return monitored(self.tasks.values())

    def problems(self) -> Sequence[str]:
        """Ids of the tasks."""
        return list(self.tasks)

    async def open(self) -> None:
        """Make the workshop."""
        self._provider = make_provider("namespace")
        self._workshop = Workshop(
            self._provider,
            LayerStore(self.config.store),
            test_timeout=self.config.test_timeout,
            auditor=audit,
        )

    async def close(self) -> None:
        """End all boxes."""
        if self._provider is not None:
            await self._provider.close()

    async def play(self, problem: str, seed: int, model: TokenModel, log: Conversation) -> Outcome:
        """Act in one box, be judged in another."""
        config, task, workshop = self.config, self.tasks[problem], self._workshop
        assert workshop is not None, "open() comes first"
        build = builder(
            config.agent,
            limits=config.limits,
            client=model,
            penalty=config.penalty if config.guard else None,
        )
        agent = build(Assignment(task=task, agent=config.agent, attempt=0, seed=seed))
        async with Doors().open(task, log.started_at) as door:
            status, patch = await act(
                task, agent, workshop, log,
                seconds=config.limits.seconds + 60.0, phase=lambda _: None, door=door,
            )  # fmt: skip
        verdict = await again(lambda: verify(task, patch, workshop))
        reward = sum(one.score * one.weight for one in rewards(verdict))
        return Outcome(
            reward=reward,
            resolved=verdict.resolved,
            finished=status == "submitted",
            exit_status=status,
            verdict=verdict,
            incidents=self._incidents(task, log, patch),
            patch=patch,
        )

    def _incidents(self, task: Task, log: Conversation, patch: str) -> tuple[Incident, ...]:
        """What was refused, and what the monitor confirms, each with its penalty."""
        if not self.config.guard:
            return log.incidents
        record = Trajectory(
            rollout_id="", task=task.instance_id, agent=self.config.agent, tool_format="openai",
            tools=log.tools, messages=tuple(log.messages), turns=log.turns(),
            incidents=log.incidents, patch=patch,
        )  # fmt: skip
        return tuple(self._priced(one) for one in self._label(record).incidents)

    def _priced(self, incident: Incident) -> Incident:
        if not incident.confirmed or incident.penalty or incident.turn is None:
            return incident
        return incident.model_copy(update={"penalty": self.config.penalty})
