"""The demonstration's rollouts: the agents' own loop at a desk, rewarded by hidden tests only.

Nothing is shaped: 1 when every hidden case comes out right after ``submit``, else 0. What the loop,
the blocker, the engine and the trainer do here is what they do with real repositories.
"""

from __future__ import annotations

from regreen.agents import Limits, Setting, TaskView
from regreen.agents.base import Model
from regreen.agents.loop import ModelLoop
from regreen.agents.record import Conversation
from regreen.core.verdict import Outcome as TestOutcome
from regreen.core.verdict import Verdict
from regreen.guard.blocker import Blocker
from regreen.guard.subject import Subject
from regreen.train.learn.desk import TOOLS, Desk, Shell, Tests
from regreen.train.learn.puzzles import Puzzle
from regreen.train.rollouts import Outcome

__all__ = ["STATEMENT", "at_desk"]

STATEMENT = "Repair f.py."
"""All that the policy is told."""
_SUBJECT = Subject.of("puzzles/puzzle")


async def at_desk(
    puzzle: Puzzle,
    model: Model,
    log: Conversation,
    *,
    tests: Tests,
    shell: Shell,
    turns: int,
    guarded: bool,
    penalty: float = 0.0,
) -> Outcome:
    """One rollout at a desk, from the statement to the hidden tests.

    Args:
        puzzle: what is to be repaired.
        model: who works.
        log: the record.
        tests: runs cases in the box.
        shell: runs commands in a box.
        turns: completions allowed.
        guarded: whether calls are judged before they run.
        penalty: of a refused call's tokens.

    Raises:
        BoundaryError: the box or the engine failed.
    """
    blocker = Blocker(_SUBJECT, penalty=penalty) if guarded else None
    setting = Setting(limits=Limits(turns=turns, repeated_errors=turns), blocker=blocker)
    loop = ModelLoop(setting, TOOLS, parallel=False, model=model)
    desk = Desk(puzzle, tests, shell)
    task = TaskView(problem_statement=STATEMENT)
    status = await loop.run([{"role": "user", "content": STATEMENT}], task, desk, log)
    failure = await tests(desk.text, puzzle.name, puzzle.hidden)
    finished = status == "submitted"
    resolved = failure is None and finished
    test = f"test_{puzzle.name}"
    outcome = TestOutcome.PASSED if failure is None else TestOutcome.FAILED
    reason = "" if failure is None else f"{failure[0].arguments} gave {failure[1]}"
    return Outcome(
        reward=float(resolved),
        resolved=resolved,
        finished=finished,
        exit_status=status,
        verdict=Verdict(
            resolved=resolved,
            fail_to_pass={test: outcome},
            pass_to_pass={},
            reason=reason or ("" if finished else status),
        ),
        incidents=log.incidents,
    )
