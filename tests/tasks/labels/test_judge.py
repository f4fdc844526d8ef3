"""A model judges behind a real socket: taken, asked again, given up for the rules."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from regreen.core.task import Quality, Task
from regreen.inference import ChatClient, Endpoint, Reply, ScriptedEndpoint, say
from regreen.tasks.labels.judge import Opinion, combined, judge, read_opinion
from regreen.tasks.labels.quality import rate

GOOD: dict[str, Any] = {
    "codes": [],
    "statement": "clear",
    "tests": "aligned",
    "environment": "faithful",
    "reasons": {},
}
BAD = GOOD | {"codes": ["B6", "B2"], "tests": "broad", "reasons": {"B2": "It needs a name."}}


def task(number: int = 0) -> Task:
    return Task(
        instance_id=f"bag.{number}",
        repo="bag",
        base_commit="0" * 40,
        patch="diff --git a/b.py b/b.py\n--- a/b.py\n+++ b/b.py\n@@ -1 +1 @@\n-a\n+b\n",
        test_patch="",
        problem_statement="Fix take\n",
        FAIL_TO_PASS=("test_b.py::test_a",),
        PASS_TO_PASS=("test_b.py::test_b",),
    )


def judged(script: Any, *, count: int = 1) -> tuple[list[Task], list[str], int]:
    async def go() -> tuple[list[Task], list[str], int]:
        notes: list[str] = []
        async with ScriptedEndpoint(script) as server:
            endpoint = Endpoint(base_url=server.base_url, model="m", retry_seconds=0.0)
            async with ChatClient(endpoint) as client:
                rows = [task(i) for i in range(count)]
                done = await judge(rows, client, workers=2, note=notes.append)
            return done, notes, server.requests

    return asyncio.run(go())


def test_an_answer_is_taken_and_the_model_is_recorded() -> None:
    (done,), notes, requests = judged([say(json.dumps(BAD))])
    assert done.quality is not None
    assert (done.quality.code, done.quality.codes) == ("B2", ("B2", "B6"))
    assert (done.quality.tests, done.quality.judge, requests) == ("broad", "m", 1)
    assert notes == ["1 of 1 tasks judged by m"]


def test_what_the_rules_had_found_stays_among_the_reasons() -> None:
    (done,), _, _ = judged([say(json.dumps(BAD))])
    assert done.quality is not None
    assert done.quality.reasons == (
        "B2 implicit naming: It needs a name.",
        "B6 implicit knowledge: no reason given",
        "the rules alone: B4 ambiguous statement: 1 words of it mean something",
        "the rules alone: statement thin",
        "the rules alone: tests aligned",
    )


def test_agreement_leaves_no_contradiction() -> None:
    rules = Quality(code="A", statement="clear", tests="aligned", environment="faithful")
    made = combined(rules, Opinion(**GOOD), judge="m")
    assert made == rules.model_copy(update={"judge": "m"})


@pytest.mark.parametrize(
    "text",
    [
        "It is good.",
        "",
        json.dumps(GOOD | {"codes": ["B12"]}),
        json.dumps(GOOD | {"tests": "fine"}),
        json.dumps(GOOD | {"more": 1}),
        json.dumps({"codes": []}),
        json.dumps(GOOD) + " So it is.",
        json.dumps([GOOD]),
    ],
)
def test_another_answer_is_sent_back_once_then_the_rules_stand(text: str) -> None:
    with pytest.raises(ValueError, match=":"):
        read_opinion(text)
    (done,), _, requests = judged([say(text), say(json.dumps(GOOD))])
    assert done.quality is not None
    assert (done.quality.judge, requests) == ("m", 2)
    (done,), notes, requests = judged([say(text), say(text), say(json.dumps(GOOD))])
    assert (done.quality, requests) == (rate(task()), 2)
    assert notes[0] == "0 of 1 tasks judged by m"
    assert "by rules alone: the answer is not usable" in notes[1]


@pytest.mark.parametrize("before", ["", "<think>Is it?</think>\n"])
def test_reasoning_and_a_fence_are_taken_off(before: str) -> None:
    assert read_opinion(f"{before}```json\n{json.dumps(GOOD)}\n```") == Opinion(**GOOD)


def test_a_dead_endpoint_is_given_up_and_every_task_keeps_its_rules() -> None:
    done, notes, requests = judged(lambda _: Reply(status=500, content="on fire"), count=20)
    assert [row.quality for row in done] == [rate(task())] * 20
    assert requests <= 6
    assert notes[0].startswith("0 of 20")


def test_the_model_sees_statement_fix_and_tests() -> None:
    seen: list[str] = []

    def script(messages: Any) -> Reply:
        seen.append(messages[-1]["content"])
        return say(json.dumps(GOOD))

    judged(script)
    assert all(part in seen[0] for part in ("Fix take", "+++ b/b.py", "test_b.py::test_a"))
