"""Statements written by a model behind a real socket: taken, sent back, refused, never came."""

from __future__ import annotations

import asyncio
import json

import pytest

from regreen.core.task import Task
from regreen.inference import ChatClient, Endpoint, Reply, ScriptedEndpoint, say
from regreen.tasks.tell.retell import MAX_CHARACTERS, faults, retell
from regreen.tasks.tell.specified import LEAD, specified

PATCH = """\
diff --git a/src/bag/core.py b/src/bag/core.py
--- a/src/bag/core.py
+++ b/src/bag/core.py
@@ -1,2 +1,2 @@
 def take(items):
-    return items.pop(1)
+    return items.pop(0)
"""
TEST_PATCH = """\
diff --git a/tests/test_bag.py b/tests/test_bag.py
new file mode 100644
--- /dev/null
+++ b/tests/test_bag.py
@@ -0,0 +1,1 @@
+def test_take(): ...
"""
TEMPLATE = "bag: I get a wrong result here:\n\n```python\ntake([1, 2]) == 1\n```\n"
GOOD = "take() gives the second item\n\nI called `take([1, 2])` and expected 1, but got 2.\n"
LEAKY = "In src/bag/core.py, `return items.pop(1)` should be `return items.pop(0)`."


def task(number: int = 0) -> Task:
    return Task(
        instance_id=f"bag.{number}",
        repo="bag",
        base_commit="0" * 40,
        patch=PATCH,
        test_patch=TEST_PATCH,
        problem_statement=TEMPLATE,
        FAIL_TO_PASS=("tests/test_bag.py::TestBag::test_take",),
        PASS_TO_PASS=(),
    )


def told(script, *, tasks=None, workers=2, **options) -> tuple[list[Task], list[str], int]:
    """Tasks, notes and the number of requests of one retelling."""

    async def go() -> tuple[list[Task], list[str], int]:
        notes: list[str] = []
        async with ScriptedEndpoint(script) as server:
            endpoint = Endpoint(base_url=server.base_url, model="m", retry_seconds=0.0, **options)
            async with ChatClient(endpoint) as client:
                done = await retell(tasks or [task()], client, workers=workers, note=notes.append)
            return done, notes, server.requests

    return asyncio.run(go())


def test_a_good_answer_is_taken_and_nothing_else_changes():
    (done,), notes, requests = told([say(GOOD)])
    assert done == task().model_copy(update={"problem_statement": GOOD})
    assert requests == 1
    assert notes == [
        "1 of 1 statements written by m; 0 gave something away and 0 never came: "
        "the rules' texts stay"
    ]


def test_the_model_sees_the_template_and_neither_tests_nor_fix():
    seen: list[str] = []

    def script(messages):
        seen.append(json.dumps(messages))
        return say(GOOD)

    told(script)
    assert "take([1, 2]) == 1" in seen[0]
    assert "Library: bag" in seen[0]
    assert "test_take" not in seen[0]
    assert "items.pop" not in seen[0]


def test_a_leaking_answer_is_sent_back_with_what_leaked():
    seen: list[str] = []

    def script(messages):
        seen.append(messages[-1]["content"])
        return say(LEAKY if len(messages) == 2 else GOOD)

    (done,), _, requests = told(script)
    assert (done.problem_statement, requests) == (GOOD, 2)
    assert "path src/bag/core.py; a line of the fix" in seen[1]


def test_an_answer_that_leaks_twice_is_refused():
    (done,), notes, requests = told([say(LEAKY), say(LEAKY), say(GOOD)])
    assert (done, requests) == (task(), 2)
    assert notes[0].startswith("0 of 1 statements")
    assert "1 gave something away" in notes[0]
    assert notes[1] == "  1 x path"


@pytest.mark.parametrize(
    "reply",
    [
        Reply(status=500, content="on fire"),
        Reply(status=401, content="no key"),
        Reply(body=b"<html>"),
    ],
)
def test_a_failing_endpoint_loses_no_task(reply):
    (done,), notes, _ = told(lambda _: reply)
    assert done == task()
    assert "1 never came" in notes[0]
    assert len(notes) == 2


def test_an_endpoint_that_is_gone_is_given_up_and_every_task_comes_back():
    async def go() -> tuple[list[Task], list[str]]:
        async with ScriptedEndpoint([]) as server:
            url = server.base_url
        endpoint = Endpoint(base_url=url, model="m", retry_seconds=0.0)
        notes: list[str] = []
        async with ChatClient(endpoint) as client:
            return await retell(map(task, range(20)), client, note=notes.append), notes

    done, notes = asyncio.run(go())
    assert done == [task(i) for i in range(20)]
    assert "20 never came" in notes[0]


def test_a_dead_endpoint_is_not_asked_for_every_task():
    _, _, requests = told(
        lambda _: Reply(status=500, content="on fire"), tasks=[task(i) for i in range(30)]
    )
    assert requests <= 5


def test_order_is_kept_and_fates_are_each_task_s_own():
    def script(messages):
        return say(LEAKY if "of tail" in messages[1]["content"] else GOOD)

    rows = [task(i) for i in range(8)]
    rows[3] = rows[3].model_copy(update={"problem_statement": "of tail"})
    done, _, _ = told(script, tasks=rows, workers=4)
    assert [row.instance_id for row in done] == [row.instance_id for row in rows]
    assert [row.problem_statement == GOOD for row in done] == [i != 3 for i in range(8)]


def test_reasoning_and_a_fence_around_all_of_it_are_taken_off():
    (done,), _, _ = told([say(f"<think>hm, test_take</think>\n```markdown\n{GOOD}```")])
    assert done.problem_statement == GOOD


def test_an_answer_that_breaks_off_is_not_taken():
    cut = Reply(content=GOOD, finish_reason="length")
    (done,), _, requests = told([cut, cut])
    assert (done, requests) == (task(), 2)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (" \n", "it is empty"),
        ("The test suite is red", "mentions tests"),
        ("a failing test shows it", "mentions tests"),
        ("since this the tests fail", "mentions tests"),
        ("run test_other", "mentions tests"),
        ("as seen by PyTest", "names a test tool"),
        ("do this:\n@@ -1 +1 @@\n-a\n+b", "contains a diff"),
        ("```diff\n-a\n```", "contains a diff"),
        ("x" * (MAX_CHARACTERS + 1), f"it is longer than {MAX_CHARACTERS} characters"),
        ("TestBag is wrong", "test name TestBag"),
    ],
)
def test_faults_are_named(text, fault):
    assert fault in faults(text, task())


MINED = task().model_copy(
    update={
        "source": "mined",
        "interface": "# bag\ndef take(items): ...",
        "problem_statement": specified(
            'take() is wrong\n\n```\n  File "/x/bag/core.py", line 2\n```\n\n'
            "The code says `return items.pop(1)`.\n",
            "# bag\ndef take(items): ...",
        ),
    }
)


def test_a_mined_text_is_rewritten_without_its_interface_which_is_put_back():
    seen: list[str] = []

    def script(messages):
        seen.append(messages[0]["content"] + messages[1]["content"])
        return say(GOOD)

    (done,), _, _ = told(script, tasks=[MINED])
    assert done.problem_statement == specified(GOOD, MINED.interface)
    assert "What is known:\n\ntake() is wrong" in seen[0]
    assert LEAD not in seen[0]
    assert "Said in reviews" not in seen[0]


def test_what_reviewers_asked_for_is_shown_to_the_model_alone():
    seen: list[str] = []

    def script(messages):
        seen.append(messages[1]["content"])
        return say(GOOD)

    asked = MINED.model_copy(update={"review_text": "An empty bag must raise IndexError."})
    (done,), _, _ = told(script, tasks=[asked])
    assert seen[0].endswith("Said in reviews:\n\nAn empty bag must raise IndexError.")
    assert "IndexError" not in done.problem_statement


def test_of_a_mined_text_the_model_may_keep_what_the_rules_had_kept():
    kept = "take() is wrong: in /x/bag/core.py it says `return items.pop(1)`.\n"
    assert faults(kept, MINED) == []
    assert "a line of the fix" in faults(kept, task())
    assert "a line of the fix" in faults("Write `return items.pop(0)`.", MINED)
    short = MINED.model_copy(
        update={"patch": MINED.patch.replace("return items.pop(0)", "return -x")}
    )
    assert "a line of the fix" in faults("Write `return -x`.", short)
    assert "a line of the fix" not in faults("Write return -x where it stands.", short)
    assert "path tests/test_bag.py" in faults("See tests/test_bag.py", MINED)


@pytest.mark.parametrize("text", [GOOD, TEMPLATE, "I tested it on the latest release: wrong."])
def test_an_honest_report_has_no_fault(text):
    assert faults(text, task()) == []
