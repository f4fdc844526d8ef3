"""One small task with real layers, and a run of any agent in any suite over it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from regreen.core.task import Environment, Task, base_message
from regreen.core.trajectory import Trajectory
from regreen.evaluate.suites import Prepared, suite
from regreen.grading.patch import FileState, patch_between, text_patch
from regreen.grading.workshop import Workshop
from regreen.rollout import Runner, assignments, builder
from regreen.sandbox.base import SandboxProvider
from regreen.store.run import RunDirectory
from regreen.tasks.build.repository import changed_blobs
from regreen.tasks.repo.tree import blob_id, commit_id

HEALTHY = "def add(a, b):\n    return a + b\n\n\ndef zero():\n    return 0\n"
BROKEN = HEALTHY.replace("a + b", "a - b")
TESTS = "import calc\n\n\ndef test_adds_two_numbers():\n    assert calc.add(2, 3) == 5\n"
OTHER = "import calc\n\n\ndef test_zero():\n    assert calc.zero() == 0\n"
AWAY = "def shout(text):\n    return text.upper()\n"
FILES = {
    "calc.py": HEALTHY,
    "words.py": AWAY,
    "README.md": "# calc\n",
    "tests/test_add.py": TESTS,
    "tests/test_zero.py": OTHER,
}
WHEN = datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)
STATEMENT = "It is wrong.\n\n```python\nadd(2, 3) == 5\n```\n"


@pytest.fixture(scope="session")
def task(workroom: Any) -> Task:
    place = workroom.place(FILES)
    blobs = {name: ("100644", blob_id(text.encode())) for name, text in FILES.items()}
    base = changed_blobs(blobs, {"calc.py": BROKEN}, ("tests/test_add.py",))
    return Task(
        instance_id="calc-1",
        repo="me/calc",
        base_commit=commit_id(base, date=WHEN, message=base_message("me/calc")),
        patch=text_patch("calc.py", BROKEN, HEALTHY),
        test_patch=patch_between({}, {"tests/test_add.py": FileState(TESTS.encode())}),
        problem_statement=STATEMENT,
        created_at=WHEN.isoformat(),
        FAIL_TO_PASS=("tests/test_add.py::test_adds_two_numbers",),
        PASS_TO_PASS=("tests/test_zero.py::test_zero",),
        environment=Environment(
            source="calc",
            commit="0" * 40,
            repo_layer=place.tree[0].name,
            env_layer=workroom.built.env.digest,
        ),
    )


@pytest.fixture(scope="session")
def variants(workroom: Any, task: Task, with_boxes: Callable[..., Any]) -> Prepared:
    async def work(boxes: SandboxProvider) -> Prepared:
        workshop = Workshop(boxes, workroom.store)
        return await suite("impossible").prepare(
            [task], workshop, workers=2, done=lambda task: None
        )

    made: Prepared = with_boxes(work)
    return made


@pytest.fixture
def run_suite(
    workroom: Any, with_boxes: Callable[..., Any], tmp_path: Path
) -> Callable[..., dict[str, list[Trajectory]]]:
    """``run_suite(name, tasks, agents)``: the rows of each agent, as they came to disk."""

    def run(name: str, tasks: Any, *agents: str) -> dict[str, list[Trajectory]]:
        async def one(boxes: SandboxProvider, agent: str) -> list[Trajectory]:
            chosen = suite(name)
            place = tmp_path / f"{name}-{agent.replace(':', '_')}"
            with RunDirectory.create(place, config={"agent": agent}, lock={}) as directory:
                runner = Runner(
                    run_directory=directory,
                    workshop=chosen.planted(Workshop(boxes, workroom.store)),
                    build=builder(agent),
                    label=chosen.labelled,
                    reward=chosen.rewards,
                )
                await runner.run(assignments(tasks, agent))
                return list(directory.trajectories())

        async def work(boxes: SandboxProvider) -> dict[str, list[Trajectory]]:
            return {agent: await one(boxes, agent) for agent in agents}

        found: dict[str, list[Trajectory]] = with_boxes(work)
        return found

    return run
