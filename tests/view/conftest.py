"""A small run with one rollout of every kind, and text that tries to break out of the page."""

from __future__ import annotations

import json

import pytest

from regreen.core.funnel import Funnel, OperatorRow
from regreen.core.task import Difficulty, Task
from regreen.core.trajectory import (
    ErrorRecord,
    Incident,
    Observation,
    Trajectory,
    Turn,
    Usage,
)
from regreen.core.verdict import Outcome, Reward, Verdict

HOSTILE = (
    "</script><script>document.title='owned'</script><!-- <b>bold</b> &amp; \u2028 \x00 \u202e "
    "\x1b[31mred\x1b[0m"
)


def _task(number):
    return Task(
        instance_id=f"toolz.{number}",
        repo="pytoolz/toolz",
        base_commit="c0ffee",
        patch=f"diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1 +1 @@\n-old {HOSTILE}\n+new\n",
        test_patch="",
        problem_statement=f"It is red. {HOSTILE}",
        FAIL_TO_PASS=("t.py::test_a",),
        PASS_TO_PASS=tuple(f"t.py::test_{n}" for n in range(30)),
        source="injected",
        operators=("slice_end",) if number % 2 else ("slice_end", "loop_bound"),
        difficulty=Difficulty(files=1, lines=2 + number, fail_to_pass=1, covering_tests=3),
    )


def _conversation():
    call = {"name": "bash", "arguments": json.dumps({"command": f"echo {HOSTILE}"})}
    odd = {"name": "edit", "arguments": "not json"}
    return (
        {"role": "system", "content": "You repair."},
        {"role": "user", "content": [{"type": "text", "text": "parts"}, {"type": "image"}]},
        {
            "role": "assistant",
            "content": None,
            "reasoning_content": "thinking",
            "tool_calls": [
                {"id": "1", "type": "function", "function": call},
                {"id": "2", "type": "function", "function": odd},
            ],
        },
        {"role": "tool", "tool_call_id": "1", "content": HOSTILE + "\nline" * 60 + "\nlast of all"},
        {"role": "tool", "tool_call_id": "2", "content": "lone \ud800 surrogate"},
    )


def _trajectory(task, agent, attempt, outcome):
    mini = agent == "mini"
    turn = Turn(
        start=2,
        end=5,
        finish_reason="length",
        usage=Usage(prompt_tokens=1000, completion_tokens=20),
        model_seconds=2.0,
        tool_seconds=1.0,
        completion_ids=(987654321,),
        logprobs=(-0.123456789,),
        observations=(
            Observation(call_id="1", tool="bash", exit_code=1, seconds=0.5),
            Observation(call_id="2", tool="edit", error=True),
        ),
    )
    resolved = outcome == "resolved"
    graded = outcome in ("resolved", "unresolved")
    verdict = Verdict(
        resolved=resolved,
        fail_to_pass={"t.py::test_a": Outcome.PASSED if resolved else Outcome.CRASHED},
        pass_to_pass={f"t.py::test_{n}": Outcome.PASSED for n in range(30)},
        reason="" if resolved else f"test_a crashed {HOSTILE}",
    )
    failed = outcome in ("infrastructure", "agent", "task", "model")
    return Trajectory(
        rollout_id=f"{task.instance_id}#{agent}#{attempt}",
        task=task.instance_id,
        agent=agent,
        model="qwen <small>" if mini else "",
        messages=_conversation() if mini else (),
        turns=(turn,) if mini else (),
        exit_status="turn_limit" if outcome == "unresolved" else "submitted",
        patch=task.patch if resolved else "",
        verdict=verdict if graded else None,
        rewards=(Reward(name="resolved", score=float(resolved)),) if graded else (),
        incidents=(Incident(rule="git", message=HOSTILE, turn=0, blocked=True),) * (attempt == 1),
        error=ErrorRecord(boundary=outcome, type="Lost", message=HOSTILE) if failed else None,
        started_at="2026-11-21T21:40:12+00:00",
        seconds={"act": 3.0, "verify": 1.5},
    )


@pytest.fixture(scope="session")
def hostile():
    return HOSTILE


@pytest.fixture(scope="session")
def tasks():
    return [_task(number) for number in range(4)]


@pytest.fixture(scope="session")
def trajectories(tasks):
    kinds = ("resolved", "unresolved", "infrastructure", "model", "ungraded", "agent", "task")
    mini = [
        _trajectory(task, "mini", attempt, kinds[(2 * number + attempt) % len(kinds)])
        for number, task in enumerate(tasks)
        for attempt in (0, 1)
    ]
    return [*mini, *(_trajectory(task, "oracle", 0, "resolved") for task in tasks)]


@pytest.fixture(scope="session")
def funnel():
    return Funnel(
        name="toolz <1.0>",
        steps=(("candidates", 40), ("screened", 25), ("verified", 10)),
        rejected={"equivalent_code": 15, "flaky": 15},
        by_operator=(
            OperatorRow(operator="slice_end", candidates=40, screened=25, verified=10, seconds=9.5),
        ),
        cpu_seconds=9.5,
        cpu_seconds_per_candidate=0.24,
    )
