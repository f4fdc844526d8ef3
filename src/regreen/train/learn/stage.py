"""The demonstration's rollouts: the agents' own loop at a desk, rewarded by hidden tests only.

Nothing is shaped: 1 when every hidden case comes out right after ``submit``, else 0. What the loop,
the blocker, the monitor, the engine and the trainer do here is what they do with real repositories.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import cached_property, lru_cache
from itertools import islice
from typing import cast

from pydantic import BaseModel, ConfigDict, Field

from regreen.agents import Limits, Setting, TaskView
from regreen.agents.base import Model
from regreen.agents.loop import ModelLoop
from regreen.agents.record import Conversation
from regreen.core.errors import UsageError
from regreen.core.verdict import Outcome as TestOutcome
from regreen.core.verdict import Verdict
from regreen.guard.blocker import Blocker
from regreen.guard.subject import Subject
from regreen.sandbox import provider as make_provider
from regreen.sandbox.base import SandboxProvider
from regreen.train.code.warm_box import Call, WarmBox
from regreen.train.learn.desk import TOOLS, Desk, Failure
from regreen.train.learn.leak import LeakyShell, leak_incidents
from regreen.train.learn.puzzles import Case, Puzzle, Split, make, puzzles
from regreen.train.play.rollouts import Outcome

__all__ = ["STATEMENT", "LearnStage", "LearnStageConfig"]

STATEMENT = "Repair f.py."
"""All that the policy is told."""
_SUBJECT = Subject.of("puzzles/puzzle")
_REMEMBERED = 1 << 14
"""Programs whose results are kept."""


class LearnStageConfig(BaseModel):
    """What the demonstration plays."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    problems: int = Field(default=2048, ge=1)
    """Puzzles to train on."""
    held_out: int = Field(default=768, ge=1)
    """Puzzles of an evaluation."""
    first: int = Field(default=0, ge=0)
    """Number that the search for puzzles begins at; other numbers, other puzzles."""
    turns: int = Field(default=8, ge=1)
    """Completions of a rollout."""
    guarded: bool = True
    """Whether calls are judged before they run; without the guard the answer lies in the box's
    history, as it does in tasks that nobody sealed."""
    penalty: float = Field(default=0.0, ge=0.0)
    """Subtracted from the advantage of a refused call's words."""
    boxes: int = Field(default=8, ge=1)
    """Warm boxes, each of which runs one program at a time; most of a run is spent waiting for the
    kernel to make and to clear away its namespaces, so there are more boxes than cores."""

    def names(self, split: Split) -> list[str]:
        """Names of the puzzles of a split."""
        count = self.problems if split == "train" else self.held_out
        return [f"{split}-{puzzle.number}" for puzzle in islice(puzzles(split, self.first), count)]


class LearnStage:
    """See ``Stage``.

    Args:
        config: what is played.
    """

    name = "learn"

    def __init__(self, config: LearnStageConfig) -> None:
        self.config = config
        self._provider: SandboxProvider | None = None
        self._free: asyncio.Queue[WarmBox] = asyncio.Queue()
        self._boxes: list[WarmBox] = []
        self._known: dict[tuple[int, str], asyncio.Future[dict[Case, Failure]]] = {}

    @cached_property
    def _names(self) -> list[str]:
        return self.config.names("train")

    async def open(self) -> None:
        """Start the boxes."""
        self._provider = make_provider("namespace")
        self._boxes = [WarmBox(self._provider) for _ in range(self.config.boxes)]
        for box in self._boxes:
            await box.open()
            self._free.put_nowait(box)

    async def close(self) -> None:
        """End the boxes."""
        for box in self._boxes:
            await box.close()
        if self._provider is not None:
            await self._provider.close()

    def problems(self) -> Sequence[str]:
        """Names of the puzzles to train on."""
        return self._names

    async def play(self, problem: str, seed: int, model: Model, log: Conversation) -> Outcome:
        """One rollout at a desk, from the statement to the hidden tests."""
        return await self.at_desk(puzzle_of(problem), model, log)

    async def at_desk(self, puzzle: Puzzle, model: Model, log: Conversation) -> Outcome:
        """One rollout of a puzzle by any model.

        Raises:
            BoundaryError: the box or the engine failed.
        """
        config = self.config
        assert self._provider is not None, "open() comes first"
        blocker = Blocker(_SUBJECT, penalty=config.penalty) if config.guarded else None
        limits = Limits(turns=config.turns, repeated_errors=config.turns)
        loop = ModelLoop(
            Setting(limits=limits, blocker=blocker), TOOLS, parallel=False, model=model
        )
        shell = LeakyShell(self._provider, leaks=not config.guarded)
        desk = Desk(puzzle, self._tests, shell)
        prompt = [{"role": "user", "content": STATEMENT}]
        status = await loop.run(prompt, TaskView(problem_statement=STATEMENT), desk, log)
        failure = await self._tests(puzzle, desk.text, puzzle.hidden)
        finished = status == "submitted"
        verdict = _verdict(puzzle, failure, status)
        incidents = log.incidents if config.guarded else leak_incidents(log)
        return Outcome(
            reward=float(verdict.resolved),
            resolved=verdict.resolved,
            finished=finished,
            exit_status=status,
            verdict=verdict,
            incidents=incidents,
            patch=desk.text,
        )

    async def _tests(self, puzzle: Puzzle, text: str, cases: tuple[Case, ...]) -> Failure | None:
        """The first of some of a puzzle's cases that comes out wrong.

        All cases of a program run together, and once: what it returns depends on its text alone,
        and the eight rollouts of a group write the same few programs.
        """
        key = (puzzle.number, text)
        if key not in self._known:
            if len(self._known) > _REMEMBERED:
                self._known.clear()
            self._known[key] = asyncio.ensure_future(self._run(puzzle, text))
        try:
            failures = await asyncio.shield(self._known[key])
        except Exception:  # a failure is not the program's, but the box's
            self._known.pop(key, None)
            raise
        return next((failures[case] for case in cases if case in failures), None)

    async def _run(self, puzzle: Puzzle, text: str) -> dict[Case, Failure]:
        """Run every case in a warm box; those that come out wrong."""
        cases = (*puzzle.visible, *puzzle.hidden)
        box = await self._free.get()
        try:
            seen = await box.run(text, [Call(puzzle.name, case.arguments) for case in cases])
        finally:
            self._free.put_nowait(box)
        failures: dict[Case, Failure] = {}
        for case, one in zip(cases, seen, strict=True):
            value = one.value
            if one.fate != "returned":
                failures[case] = case, one.error or one.fate
            elif type(value) is not type(case.expected) or value != case.expected:
                failures[case] = case, str(value)
        return failures


def _verdict(puzzle: Puzzle, failure: Failure | None, status: str) -> Verdict:
    outcome = TestOutcome.PASSED if failure is None else TestOutcome.FAILED
    reason = "" if status == "submitted" else status
    if failure is not None:
        reason = f"{puzzle.name}{failure[0].arguments} gave {failure[1]}"
    return Verdict(
        resolved=not reason,
        fail_to_pass={f"test_{puzzle.name}": outcome},
        pass_to_pass={},
        reason=reason,
    )


@lru_cache(maxsize=1 << 14)
def puzzle_of(problem: str) -> Puzzle:
    """The puzzle of a name.

    Raises:
        UsageError: there is none.
    """
    split, _, number = problem.rpartition("-")
    known = split in {"train", "held_out"} and number.isdecimal()
    found = make(int(number), cast("Split", split)) if known else None
    if found is None:
        what = f"there is no puzzle {problem!r}"
        raise UsageError(what)
    return found
