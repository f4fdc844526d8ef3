"""A trajectory in the making: what is known of a rollout at each moment, also when it fails."""

from __future__ import annotations

from dataclasses import dataclass, field

from regreen.agents.record import Conversation
from regreen.core.errors import BoundaryError, InfrastructureError, RegreenError
from regreen.core.trajectory import ErrorRecord, Sampling, Trajectory
from regreen.core.verdict import Reward, Verdict
from regreen.inference import ChatClient
from regreen.rollout.plan import Assignment

__all__ = ["Draft", "fault_of"]


@dataclass(slots=True, kw_only=True)
class Draft:
    """Filled stage by stage, then frozen into a ``Trajectory``."""

    assignment: Assignment
    log: Conversation | None = None
    exit_status: str = ""
    patch: str = ""
    verdict: Verdict | None = None
    rewards: tuple[Reward, ...] = ()
    error: ErrorRecord | None = None
    seconds: dict[str, float] = field(default_factory=dict)
    labelled: Trajectory | None = None

    def fail(self, exc: Exception) -> None:
        """Record a failure; it is never scored."""
        self.error = fault_of(exc)
        self.exit_status = self.exit_status or self.error.type
        self.rewards = ()

    def trajectory(self, client: ChatClient | None) -> Trajectory:
        """The record as it goes to disk."""
        log, assignment = self.log, self.assignment
        messages = tuple(log.messages) if log else ()
        return Trajectory(
            rollout_id=assignment.rollout_id,
            task=assignment.task.instance_id,
            agent=assignment.agent,
            model=client.endpoint.model if client else "",
            sampling=client.sampling if client else Sampling(),
            tool_format="openai" if log and log.tools else "",
            tools=log.tools if log else (),
            seed=assignment.seed,
            messages=messages,
            turns=log.turns() if log else (),
            segments=((0, len(messages)),) if messages else (),
            exit_status=self.exit_status,
            patch=self.patch,
            verdict=self.verdict,
            rewards=self.rewards,
            incidents=log.incidents if log else (),
            error=self.error,
            cost=log.cost if log else 0.0,
            started_at=log.started_at if log else "",
            seconds=self.seconds,
        )


def fault_of(exc: Exception) -> ErrorRecord:
    """A failure as data, with the party it belongs to.

    What no boundary caught is a fault of this harness, hence of the infrastructure.
    """
    known = exc if isinstance(exc, RegreenError) else InfrastructureError(repr(exc))
    party = known.boundary if isinstance(known, BoundaryError) else "infrastructure"
    # boundary() wraps what it does not know; the type a person looks for is the one inside.
    wrapped = type(exc) in BoundaryError.__subclasses__() and exc.__cause__ is not None
    kind = type(exc.__cause__ if wrapped else exc).__name__
    message = "\n".join(known.lines()).removeprefix("error: ")
    return ErrorRecord.model_validate({"boundary": party, "type": kind, "message": message})
