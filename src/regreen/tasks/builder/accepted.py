"""An accepted script as a task row, proved once more by the grader that judges agents."""

from __future__ import annotations

import math
import re

from regreen.core.task import Control, Difficulty, Environment, Task, Twins, Validation
from regreen.grading.twins import GENERATOR
from regreen.grading.workshop import Workshop
from regreen.tasks.builder.findings import Attempt, Finding
from regreen.tasks.builder.harvest import Harvest
from regreen.tasks.builder.states import ChangeStates
from regreen.tasks.prove.sealing import leaks_of

__all__ = ["built_task", "graded"]


def built_task(states: ChangeStates, attempt: Attempt, kept: Harvest, *, repeats: int) -> Task:
    """The row of a change whose script was accepted.

    Args:
        states: the change.
        attempt: the script with its runs.
        kept: the layers its runs used.
        repeats: runs on each state.
    """
    slowest = max((trial.run.seconds for trial in attempt.trials), default=1.0)
    lines = sum(bool(re.match(r"\+(?!\+\+)|-(?!--)", line)) for line in states.patch.splitlines())
    return Task(
        instance_id=states.instance_id,
        repo=states.repo,
        base_commit=states.commit,
        patch=states.patch,
        test_patch=states.test_patch,
        problem_statement=states.statement,
        created_at=states.created_at,
        version=states.version,
        FAIL_TO_PASS=(),
        PASS_TO_PASS=(),
        environment_setup_commit=states.commit,
        environment=Environment(
            source=states.source,
            commit=states.commit,
            repo_layer=states.healthy.digest,
            patched=True,
            env_layer=kept.env.digest,
            build_layer=kept.build.digest if kept.build else "",
            python=kept.python,
            as_of=states.as_of,
            requirements=kept.requirements,
            rung="agent",
        ),
        eval_script=attempt.script,
        language=states.language,
        source="built",
        difficulty=Difficulty(
            files=len(states.sources), lines=lines, fail_to_pass=0, covering_tests=0
        ),
        validation=Validation(
            repeats_before=repeats,
            repeats_after=repeats,
            perturbed=("hash_seed",),
            controls=_controls(attempt),
            slowest_test=2.0 ** math.ceil(math.log2(max(1.0, slowest))),
        ),
        twins=Twins(generator=GENERATOR),
        license=states.license,
    )


async def graded(task: Task, workshop: Workshop) -> tuple[Finding, ...]:
    """What still speaks against a task once it stands alone.

    Raises:
        InfrastructureError: a box failed.
    """
    found = []
    for name, patch, expected in (("gold", task.patch, True), ("no_op", "", False)):
        verdict = await workshop.verify_patch(task, patch)
        if verdict.resolved != expected:
            seen = verdict.reason or "resolved"
            found.append(Finding(kind="grader_differs", where=name, evidence=seen))
    leaks = await leaks_of(task, workshop, workshop.store)
    return (*found, *(Finding(kind="leak", where=leak) for leak in leaks))


def _controls(attempt: Attempt) -> tuple[Control, ...]:
    names = {"bug": "no_op", "resolved": "gold", "no_tests": "delete_tests", "decoy": "key_text"}
    seen: dict[str, Control] = {}
    for trial in attempt.trials:
        name = names.get(trial.name, trial.name)
        expected = float(trial.expected_zero)
        seen.setdefault(name, Control(name=name, expected=expected, score=float(trial.run.passed)))
    return tuple(seen.values())
