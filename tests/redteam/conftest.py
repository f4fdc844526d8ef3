"""One workshop for all attacks, with and without the audit of the diff."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from ground import GROUNDS

from regreen.core.task import Task
from regreen.core.verdict import Verdict
from regreen.grading.workshop import Workshop
from regreen.rollout.auditor import audit
from regreen.sandbox import provider
from regreen.sandbox.base import Limits

LIMITS = Limits(memory_bytes=256 << 20, pids=96)


class Field:
    """Tasks, a workshop and a loop to run it in."""

    def __init__(self, workroom: Any, runner: asyncio.Runner) -> None:
        self._runner = runner
        self.tasks: dict[str, Task] = {name: g.task(workroom) for name, g in GROUNDS.items()}
        self.boxes = provider()
        self.workshop = Workshop(
            self.boxes, workroom.store, test_timeout=2, total_timeout=10, limits=LIMITS
        )
        self.whole = Workshop(
            self.boxes,
            workroom.store,
            test_timeout=5,
            total_timeout=20,
            limits=LIMITS,
            auditor=audit,
        )

    def run(self, work: Any) -> Any:
        """Run a coroutine to its end."""
        return self._runner.run(work)

    def judge(self, on: str, patch: str, *, audited: bool = False) -> Verdict:
        """The verdict of a patch, by default of the runs alone, without the audit of its diff."""
        workshop = self.whole if audited else self.workshop
        found: Verdict = self.run(workshop.verify_patch(self.tasks[on], patch))
        return found


@pytest.fixture(scope="session")
def field(workroom: Any) -> Iterator[Field]:
    with asyncio.Runner() as runner:
        ground = Field(workroom, runner)
        yield ground
        runner.run(ground.boxes.close())


@pytest.fixture
def judge(field: Field) -> Callable[[str, str], Verdict]:
    return field.judge
