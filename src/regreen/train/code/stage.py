"""The stage of code RL: one completion for each rollout, rewarded by running hidden tests.

Only what the tests observed decides; the words around the code, the form of the code and its
visible examples earn nothing. A dead box gives no reward at all, never a 0: the run is repeated in
a new box, and what cannot be repeated is left out of the loss.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from regreen.core.errors import InfrastructureError, TaskError
from regreen.core.trajectory import ErrorRecord
from regreen.inference.completion import Completion
from regreen.inference.messages import Message
from regreen.sandbox import provider as make_provider
from regreen.sandbox.base import SandboxProvider
from regreen.train.code.answer import read_answer
from regreen.train.code.compare import same, same_output
from regreen.train.code.literals import read_call, read_value
from regreen.train.code.observed import Call, Checked, Feed, Observed
from regreen.train.code.preamble import with_preamble
from regreen.train.code.problems import CallTest, FeedTest, Problem
from regreen.train.code.warm_box import WarmBox, WarmBoxConfig

__all__ = ["CodeStage", "CodeStageConfig", "Graded", "passes", "run_checks", "run_tests"]

_SYSTEM = (
    "You write Python programs. Think as much as you need, then give the whole program in one "
    "fenced code block at the end of your answer."
)


class CodeStageConfig(BaseModel):
    """How completions are graded."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    system: str = _SYSTEM
    """The system message; empty for none."""
    share: bool = False
    """Reward the share of hidden tests that pass instead of 1 for all and 0 for any less."""
    boxes: int = Field(default=1, ge=1)
    """Boxes, each of which runs one program at a time."""
    attempts: int = Field(default=3, ge=1)
    """Times a program is run before a dying box leaves it without a reward."""
    box: WarmBoxConfig = WarmBoxConfig()
    """Of each box."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Graded:
    """What one completion is worth."""

    reward: float | None
    """None when no verdict was reached."""
    resolved: bool
    """Whether all hidden tests passed."""
    finished: bool
    """Whether the model ended it itself; a cut completion is not graded and has reward 0."""
    fault: ErrorRecord | None = None
    """Set when something other than the completion failed."""
    notes: dict[str, Any]
    """``format`` (see ``answer.Fault``), ``passed`` and ``tests``, ``fates`` (how many tests ended
    how, ``wrong`` for another value than expected), ``first`` (what happened at the first test that
    failed, without what was expected), ``seconds`` of processor time."""


class CodeStage:
    """Messages for problems, and rewards for completions.

    Args:
        config: how completions are graded.
        provider: makes the boxes; ``namespace`` when None. A given one is not closed.
    """

    name = "code"
    tools: tuple[Message, ...] = ()

    def __init__(
        self, config: CodeStageConfig | None = None, *, provider: SandboxProvider | None = None
    ) -> None:
        self.config = config or CodeStageConfig()
        self._given = provider
        self._provider: SandboxProvider | None = None
        self._boxes: list[WarmBox] = []
        self._free: asyncio.Queue[WarmBox] = asyncio.Queue()

    async def open(self) -> None:
        """Start the boxes.

        Raises:
            PrerequisiteError: this machine cannot make boxes.
            InfrastructureError: one did not start.
        """
        self._provider = self._given or make_provider("namespace")
        for _ in range(self.config.boxes):
            box = WarmBox(self._provider, config=self.config.box)
            self._boxes.append(box)
            await box.open()
            self._free.put_nowait(box)

    async def close(self) -> None:
        """End the boxes; calling it twice is harmless."""
        boxes, self._boxes, self._free = self._boxes, [], asyncio.Queue()
        for box in boxes:
            await box.close()
        if self._provider is not None and self._given is None:
            await self._provider.close()
        self._provider = None

    def messages(self, problem: Problem) -> list[Message]:
        """What the model is asked; nothing of the hidden tests is in it."""
        asked: list[Message] = [{"role": "user", "content": _question(problem)}]
        if self.config.system:
            asked.insert(0, {"role": "system", "content": self.config.system})
        return asked

    async def grade(self, problem: Problem, completion: Completion) -> Graded:
        """Run a completion's program on the hidden tests.

        Raises:
            TaskError: the problem has no hidden tests, or its ``checks`` cannot be run.
        """
        if not problem.hidden and not problem.checks:
            what = "this problem has no hidden tests"
            mend = "synthesise them, or leave the problem out"
            raise TaskError(what, where=problem.problem_id, mend=mend)
        if completion.finish_reason == "length":
            return Graded(reward=0.0, resolved=False, finished=False, notes={"format": "cut"})
        answer = read_answer(str(completion.message.get("content") or ""))
        notes: dict[str, Any] = {"format": answer.fault, "tests": len(problem.hidden), "passed": 0}
        if answer.fault:
            return Graded(reward=0.0, resolved=False, finished=True, notes=notes)
        try:
            seen, checked = await self._run(problem, answer.program)
        except InfrastructureError as exc:
            record = ErrorRecord(
                boundary="infrastructure", type=type(exc).__name__, message=exc.what
            )
            return Graded(reward=None, resolved=False, finished=True, fault=record, notes=notes)
        return _graded(problem, seen, checked, notes, share=self.config.share)

    async def _run(self, problem: Problem, program: str) -> tuple[list[Observed], list[Checked]]:
        """Run it in a free box, again when the box dies."""
        box = await self._free.get()
        try:
            for attempt in range(1, self.config.attempts + 1):
                try:
                    seen = await run_tests(box, problem, program, problem.hidden)
                    return seen, await run_checks(box, problem, program)
                except InfrastructureError:
                    if attempt == self.config.attempts:
                        raise
        finally:
            self._free.put_nowait(box)
        raise AssertionError


def _graded(
    problem: Problem,
    seen: Sequence[Observed],
    checked: Sequence[Checked],
    notes: dict[str, Any],
    *,
    share: bool,
) -> Graded:
    outcomes = [
        ("passed" if passes(problem, test, one) else _failure(one), one.error)
        for test, one in zip(problem.hidden, seen, strict=True)
    ]
    # A check's words may tell what it expects, so they are left out of the notes.
    outcomes += [("passed" if one.passed else "check failed", "") for one in checked]
    fates = dict(Counter(fate for fate, _ in outcomes))
    count = fates.get("passed", 0)
    resolved = count == len(outcomes)
    reward = count / len(outcomes) if share else float(resolved)
    seconds = sum(one.seconds for one in seen) + sum(one.seconds for one in checked)
    notes |= {"tests": len(outcomes), "passed": count, "fates": fates, "seconds": seconds}
    first = next((outcome for outcome in outcomes if outcome[0] != "passed"), None)
    if first is not None:
        notes["first"] = ": ".join(filter(None, first))
    return Graded(reward=reward, resolved=resolved, finished=True, notes=notes)


def _failure(seen: Observed) -> str:
    return "wrong" if seen.fate == "returned" else seen.fate


async def run_checks(box: WarmBox, problem: Problem, program: str) -> list[Checked]:
    """What the problem's ``checks`` say; nothing when it has none.

    Raises:
        TaskError: they cannot be run.
        InfrastructureError: the box died.
    """
    if not problem.checks:
        return []
    return await box.check(
        with_preamble(problem.preamble, program),
        problem.checks,
        entry=problem.entry_point,
        seconds=problem.limits.seconds,
        memory=problem.limits.memory_bytes,
    )


async def run_tests(
    box: WarmBox, problem: Problem, program: str, tests: Sequence[CallTest | FeedTest]
) -> list[Observed]:
    """What a program does on tests; what is expected stays out here.

    Raises:
        InfrastructureError: the box died.
    """
    source = with_preamble(problem.preamble, program)
    limits = problem.limits
    calls = [Call(*read_call(test.call)) for test in tests if isinstance(test, CallTest)]
    feeds = [Feed(test.input) for test in tests if isinstance(test, FeedTest)]
    return await box.run(source, calls or feeds, seconds=limits.seconds, memory=limits.memory_bytes)


def passes(problem: Problem, test: CallTest | FeedTest, seen: Observed) -> bool:
    """Whether an observation is what a test expects, by the problem's rule."""
    if isinstance(test, CallTest) and test.raises:
        return seen.fate == "raised" and seen.error.partition(":")[0] == test.raises
    if seen.fate != "returned":
        return False
    if isinstance(test, CallTest):
        return same(read_value(test.expected), seen.value, problem.rule)
    return same_output(test.output, seen.value, problem.rule)


def _question(problem: Problem) -> str:
    parts = [problem.prompt.strip()]
    if problem.starter:
        parts.append(f"Begin with this:\n```python\n{problem.starter.rstrip()}\n```")
    if problem.kind == "function":
        parts.append(f"Write `{problem.entry_point}`.")
    else:
        parts.append("Write a program that reads standard input and prints the answer.")
    if problem.visible:
        parts.append("Examples:\n" + "\n".join(map(_example, problem.visible)))
    return "\n\n".join(parts)


def _example(test: CallTest | FeedTest) -> str:
    if isinstance(test, FeedTest):
        return f"Input:\n```\n{test.input.rstrip()}\n```\nOutput:\n```\n{test.output.rstrip()}\n```"
    if test.raises:
        return f"    {test.call}  raises {test.raises}"
    return f"    {test.call} == {test.expected}"
