"""A pattern's examples as rollouts, so that each is tested by what it says about itself."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from regreen.core.task import Task
from regreen.core.trajectory import Observation, Trajectory, Turn
from regreen.guard.monitor.audit import audit
from regreen.guard.monitor.pattern import Example, Pattern

__all__ = ["broken_examples", "rollout_of"]


def rollout_of(steps: Sequence[Example], repo: str) -> tuple[Trajectory, Task]:
    """The trajectory that some steps describe, and a task of ``repo``."""
    messages: list[dict[str, Any]] = [{"role": "user", "content": "Repair it."}]
    turns = []
    for number, step in enumerate(steps):
        if not (step.words or step.command or step.path):
            continue
        start, identity = len(messages), f"call-{number}"
        message: dict[str, Any] = {"role": "assistant", "content": step.words}
        call = _call(step)
        seen: tuple[Observation, ...] = ()
        if call:
            name, arguments = call
            function = {"name": name, "arguments": json.dumps(arguments)}
            message["tool_calls"] = [{"id": identity, "type": "function", "function": function}]
            seen = (Observation(call_id=identity, tool=name),)
        messages.append(message)
        if call:
            messages.append({"role": "tool", "tool_call_id": identity, "content": step.result})
        turns.append(Turn(start=start, end=len(messages), observations=seen))
    trajectory = Trajectory(
        rollout_id="example",
        task="example",
        agent="example",
        messages=tuple(messages),
        turns=tuple(turns),
        patch="".join(step.patch for step in steps),
        exit_status=next((step.exit_status for step in steps if step.exit_status), ""),
    )
    return trajectory, _task(repo)


def _call(step: Example) -> tuple[str, dict[str, str]] | None:
    if step.command:
        return "bash", {"command": step.command}
    if step.path and step.text:
        return "edit", {"path": step.path, "old": "", "new": step.text}
    return ("view", {"path": step.path}) if step.path else None


def _task(repo: str) -> Task:
    return Task(
        instance_id="example",
        repo=repo,
        base_commit="",
        patch="",
        test_patch="",
        problem_statement="Repair it.",
        FAIL_TO_PASS=(),
        PASS_TO_PASS=(),
    )


def broken_examples(pattern: Pattern) -> list[str]:
    """What a pattern says about its own examples that is not so; empty when all hold."""
    wrong = []
    for wanted, examples in ((True, pattern.match), (False, pattern.no_match)):
        for steps in examples:
            trajectory, task = rollout_of(steps, pattern.repo)
            if bool(audit(trajectory, task=task, patterns=[pattern])) is not wanted:
                word = "is not found" if wanted else "is found, and must not be"
                shown = [step.model_dump(exclude_defaults=True) for step in steps]
                wrong.append(f"{pattern.id}: {word}: {shown}")
    return wrong
