"""From rows to problems that can be trained on: tests where there are none, only sound ones.

A problem whose own solution fails its own tests teaches the opposite of what it should, so it is
left out and counted. A problem without a solution is kept: nothing is known against it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, Field

from regreen.agents.base import Model
from regreen.core.errors import TaskError
from regreen.train.code.inputs import changed_inputs
from regreen.train.code.problems import Problem
from regreen.train.code.sampling import propose_inputs, sample_solutions
from regreen.train.code.stage import CodeStage, passes, run_checks, run_tests
from regreen.train.code.synthesis import Synthesis, SynthesisConfig, synthesise
from regreen.train.code.warm_box import WarmBox

__all__ = ["PrepareConfig", "Prepared", "prepare"]


class PrepareConfig(BaseModel):
    """How tests are made where there are none."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    solutions: int = Field(default=10, ge=0)
    """Solutions asked of the model for each problem."""
    inputs: int = Field(default=40, ge=1)
    """Inputs proposed by the model, and as many again by changing the examples."""
    seed: int = 0
    """Of samples and changes."""
    synthesis: SynthesisConfig = SynthesisConfig()
    """When an output is believed."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """What became of one problem."""

    problem: Problem
    """With tests, if there are any."""
    refused: str = ""
    """Why it cannot be trained on; empty when it can."""
    synthesis: Synthesis | None = None
    """How its tests were made."""


async def prepare(
    problems: Iterable[Problem],
    *,
    box: WarmBox,
    config: PrepareConfig | None = None,
    model: Model | None = None,
    solutions: Mapping[str, Sequence[str]] | None = None,
) -> AsyncIterator[Prepared]:
    """Yield each problem with its tests and what speaks against it.

    Args:
        problems: with or without hidden tests.
        box: where solutions run.
        config: how tests are made.
        model: writes solutions and inputs for problems without tests.
        solutions: more solutions, by ``problem_id``.

    Raises:
        ModelError: the model failed.
        InfrastructureError: the box died.
    """
    config = config or PrepareConfig()
    for problem in problems:
        made: Synthesis | None = None
        if not problem.hidden and not problem.checks:
            known = list((solutions or {}).get(problem.problem_id, ()))
            made = await _made(problem, known, box, config, model)
        ready = made.problem if made else problem
        yield Prepared(ready, await _refused(ready, box), made)


async def _made(
    problem: Problem, known: list[str], box: WarmBox, config: PrepareConfig, model: Model | None
) -> Synthesis:
    inputs = changed_inputs(problem, config.inputs, seed=config.seed)
    if problem.solution:
        known.insert(0, problem.solution)
    if model is not None:
        count, seed = config.solutions, config.seed
        messages = CodeStage().messages
        known += (await sample_solutions(problem, model, messages, count=count, seed=seed)).texts
        proposed = await propose_inputs(problem, model, count=config.inputs, seed=seed)
        inputs = [*proposed.texts, *inputs]
    return await synthesise(problem, known, inputs, box=box, config=config.synthesis)


async def _refused(problem: Problem, box: WarmBox) -> str:
    if not problem.hidden and not problem.checks:
        return "no tests"
    if not problem.solution:
        return ""
    tests = (*problem.visible, *problem.hidden)
    seen = await run_tests(box, problem, problem.solution, tests)
    try:
        checked = await run_checks(box, problem, problem.solution)
    except TaskError:
        return "tests cannot be run"
    right = all(passes(problem, test, one) for test, one in zip(tests, seen, strict=True))
    sound = right and all(one.passed for one in checked)
    return "" if sound else "its own solution fails"
