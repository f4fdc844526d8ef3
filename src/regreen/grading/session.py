"""One judgement's box: a runner that forks a fresh nested box for every run of the tests.

The tests of a patch and their twins run in processes, trees and namespaces of their own, and see
no process but theirs; only the interpreter's start is paid once.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from regreen.core.errors import TaskError
from regreen.core.task import Task
from regreen.grading.place import Place
from regreen.grading.runner import TestRunner
from regreen.grading.suite import TestRequest
from regreen.grading.twinning import BROKEN, Side, Target, TwinFiles, function_of, targets
from regreen.sandbox.base import SandboxProvider

__all__ = ["WARM", "SessionTrial", "seed_of", "session"]

WARM = ("regreen_box.warm",)
"""What the runner imports before its first fork: itself and pytest, nothing of the repository."""


@asynccontextmanager
async def session(
    provider: SandboxProvider, place: Place, over: tuple[Path, ...], *, hash_seed: int = 0
) -> AsyncIterator[TestRunner]:
    """A started runner over a tree.

    Args:
        provider: makes the box.
        place: the healthy tree and environment.
        over: lowers on top of the tree: the candidate's files, the task's base.
        hash_seed: ``PYTHONHASHSEED`` of its runs; :func:`seed_of` a task.

    Raises:
        InfrastructureError: the box or the runner did not start.
    """
    box = await provider.create(place.spec(over=over, writable=False, nested=True))
    runner = TestRunner(box, isolate=True, legacy=place.python.legacy)
    try:
        await runner.start(warm=WARM, hash_seed=hash_seed)
        yield runner
    finally:
        await runner.close()


def seed_of(task: Task) -> int:
    """The hash seed under which a task's tests are known to fail on its base."""
    return task.validation.hash_seed if task.validation else 0


class SessionTrial:
    """Tries a task's twins in two sessions, one on its repaired and one on its broken tree.

    Args:
        request: how the tests themselves are run.
        runners: by side.
    """

    def __init__(self, request: TestRequest, runners: Mapping[Side, TestRunner]) -> None:
        self._request = request
        self._runners = runners

    async def targets(self, tests: Sequence[str]) -> list[Target]:
        """Positions, as the repaired tree collects them, and lines that fail in the broken one."""
        functions = tuple(dict.fromkeys("::".join(function_of(test)) for test in tests))
        request = replace(self._request, tests=tuple(tests), order_of=functions, messages=0)
        healthy = await self._runners["gold"].run(request)
        broken = await self._runners["base"].run(request)
        order = healthy.order
        if not healthy.collected:
            msg = "the task's tests cannot be collected on its repaired tree"
            raise TaskError(msg, where=healthy.problem or f"pytest's status {healthy.status}")
        lines = {test: record.lines for test, record in broken.tests.items()}
        return targets(tests, order=order, lines=lines)

    async def passing(self, made: TwinFiles) -> set[str]:
        """The tests that pass in the repaired tree as the repeats run them."""
        ran = await self._runners["gold"].run(made.request(self._request, twins=False))
        return {test for test, outcome in made.outcomes(ran).items() if outcome.passed}

    async def failing(self, side: Side, made: TwinFiles) -> set[str]:
        """The tests whose twins fail on a side."""
        ran = await self._runners[side].run(made.request(self._request, twins=True))
        return {test for test, outcome in made.outcomes(ran).items() if outcome in BROKEN}
