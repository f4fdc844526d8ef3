"""The record of a rollout: spans, totals, and a log that is written once per message."""

from __future__ import annotations

import json
import os
from itertools import pairwise
from pathlib import Path

import pytest

from regreen.agents.record import Conversation
from regreen.core.errors import InfrastructureError
from regreen.core.trajectory import Observation, Usage
from regreen.inference import Completion


def answer(*ids: str, tokens: int = 3) -> Completion:
    calls = [
        {"id": i, "type": "function", "function": {"name": "b", "arguments": "{}"}} for i in ids
    ]
    return Completion(
        message={"role": "assistant", "content": None, "tool_calls": calls},
        usage=Usage(prompt_tokens=10, completion_tokens=tokens),
        completion_ids=(1, 2, 3),
        cost=0.5,
    )


def fill(log: Conversation) -> None:
    log.add({"role": "user", "content": "do"})
    log.answer(answer("a", "b"))
    log.observe(Observation(call_id="a", tool="b", seconds=1.0), "one")
    log.observe(Observation(call_id="b", tool="b", seconds=2.0, exit_code=1), "two")
    log.answer(answer())
    log.add({"role": "user", "content": "go on"})


def test_turns_point_into_the_messages():
    log = Conversation()
    fill(log)
    first, second = log.turns()
    assert (first.start, first.end, second.start, second.end) == (1, 4, 4, 6)
    assert first.tool_seconds == 3.0
    assert [o.exit_code for o in first.observations] == [None, 1]
    assert first.completion_ids == (1, 2, 3)
    assert second.observations == ()
    assert log.usage == Usage(prompt_tokens=20, completion_tokens=6)
    assert log.cost == 1.0
    assert log.turns() == (first, second)


def test_each_message_is_one_line_of_the_log(tmp_path: Path):
    path = tmp_path / "logs" / "r.jsonl"
    with Conversation(path, rollout_id="r") as log:
        sizes = [path.stat().st_size]
        for index in range(50):
            log.add({"role": "user", "content": f"{index:09}" * 100})
            sizes.append(path.stat().st_size)
    steps = [after - before for before, after in pairwise(sizes)]
    assert max(steps) - min(steps) < 10  # the log grows by a message at a time, not by a history
    header, *rows = [json.loads(line) for line in path.open()]
    assert header["rollout_id"] == "r"
    assert [row["message"] for row in rows] == list(log.messages)
    assert all(row["at"] >= 0 for row in rows)


def test_a_second_attempt_begins_with_a_second_header(tmp_path: Path):
    path = tmp_path / "r.jsonl"
    for _ in range(2):
        with Conversation(path) as log:
            fill(log)
    heads = [i for i, line in enumerate(path.open()) if "regreen.log" in line]
    assert heads == [0, 7]


def test_a_log_on_a_full_disk_is_the_infrastructures_failure():
    with pytest.raises(InfrastructureError, match="live log"):
        Conversation(Path("/dev/full"))


def test_closing_gives_the_descriptor_back(tmp_path: Path):
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    for index in range(20):
        with Conversation(tmp_path / f"{index}.jsonl"):
            pass
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208
