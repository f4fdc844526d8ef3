"""Code RL: one completion of the policy for each rollout, rewarded by hidden tests."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from regreen.agents.record import Conversation
from regreen.core.errors import InfrastructureError
from regreen.core.verdict import Outcome as TestOutcome
from regreen.core.verdict import Verdict
from regreen.inference.engine.token_model import TokenModel
from regreen.train.code.problems import Problem, read_problems
from regreen.train.code.stage import CodeStage, CodeStageConfig
from regreen.train.play.rollouts import Outcome

__all__ = ["CodePlay", "CodePlayConfig"]


class CodePlayConfig(BaseModel):
    """Which problems, and how completions are graded."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    problems: tuple[Path, ...]
    """Files of problems with hidden tests."""
    grading: CodeStageConfig = CodeStageConfig()
    """How completions are graded."""


class CodePlay:
    """See ``Stage``.

    Args:
        config: which problems, and how they are graded.
    """

    name = "code"

    def __init__(self, config: CodePlayConfig) -> None:
        self.config = config
        self._stage = CodeStage(config.grading)

    @cached_property
    def _known(self) -> dict[str, Problem]:
        return {one.problem_id: one for path in self.config.problems for one in read_problems(path)}

    def problems(self) -> Sequence[str]:
        """Ids of the problems."""
        return list(self._known)

    async def open(self) -> None:
        """Start the boxes."""
        await self._stage.open()

    async def close(self) -> None:
        """End them."""
        await self._stage.close()

    async def play(self, problem: str, seed: int, model: TokenModel, log: Conversation) -> Outcome:
        """One completion and its verdict."""
        known = self._known[problem]
        for message in self._stage.messages(known):
            log.add(message)
        completion = await model.complete(log.messages, ())
        log.answer(completion)
        graded = await self._stage.grade(known, completion)
        if graded.fault is not None:
            raise InfrastructureError(graded.fault.message)
        passed = TestOutcome.PASSED if graded.resolved else TestOutcome.FAILED
        return Outcome(
            reward=graded.reward,
            resolved=graded.resolved,
            finished=graded.finished,
            exit_status="submitted" if graded.finished else "token_limit",
            verdict=Verdict(
                resolved=graded.resolved,
                fail_to_pass={"hidden": passed},
                pass_to_pass={},
                reason=str(graded.notes.get("first") or graded.notes.get("format") or ""),
            ),
        )
