"""The question for an issue: what its writer is shown, and that rules have the last word."""

from __future__ import annotations

import asyncio
import json

import pytest

from regreen.core.errors import UsageError
from regreen.core.task import Task
from regreen.inference import ChatClient, Endpoint, ScriptedEndpoint, say
from regreen.tasks.inject.candidate import Candidate, Finding
from regreen.tasks.language.python import Python
from regreen.tasks.tell.retell import retell
from regreen.tasks.written.issue import EXAMPLES, evidence_of, opening, read_examples

HEALTHY = "def take(items):\n    return items.pop(0) if items else None\n"
BROKEN = HEALTHY.replace("pop(0)", "pop(1)")
TESTS = {
    "tests/test_bag.py": "import bag\n\n\nclass TestBag:\n    def test_take(self):\n"
    "        assert bag.take([1, 2]) == 1\n\n\n@mark(1)\ndef test_other(a):\n    assert a\n"
}
PATCH = """\
diff --git a/bag.py b/bag.py
--- a/bag.py
+++ b/bag.py
@@ -1,2 +1,2 @@
 def take(items):
-    return items.pop(1) if items else None
+    return items.pop(0) if items else None
"""
TASK = Task(
    instance_id="bag.1",
    repo="bag",
    base_commit="0" * 40,
    patch=PATCH,
    test_patch="",
    problem_statement="bag: I get a wrong result here:\n\n`take([1, 2]) == 1`\n",
    FAIL_TO_PASS=("tests/test_bag.py::TestBag::test_take",),
    PASS_TO_PASS=(),
)
CANDIDATE = Candidate(
    operators=("lm_rewrite",),
    where=("bag.py:1",),
    identity="i",
    files={"bag.py": (HEALTHY, BROKEN)},
    covering=(),
    neighbours=(),
)
FOUND = Finding(
    status="verified",
    fail_to_pass=(
        "tests/test_bag.py::TestBag::test_take",
        "tests/test_bag.py::test_other[1]",
        "tests/test_bag.py::test_other[2]",
        "tests/test_bag.py::TestBag::test_inherited",
    ),
    messages=("E   assert 2 == 1",),
)
EVIDENCE = evidence_of(CANDIDATE, FOUND, TESTS, Python())


def test_the_evidence_is_diff_failing_tests_and_output():
    assert "+    return items.pop(1)" in EVIDENCE.bug
    assert "-    return items.pop(0)" in EVIDENCE.bug
    assert EVIDENCE.tests == (
        "def test_take(self):\n    assert bag.take([1, 2]) == 1\n",
        "@mark(1)\ndef test_other(a):\n    assert a\n",
    )
    assert EVIDENCE.output == ("E   assert 2 == 1",)


def test_the_writer_is_shown_the_evidence_and_two_issues():
    system, user = (str(one["content"]) for one in opening(TASK, EVIDENCE))
    for text in (EVIDENCE.bug.strip(), *EVIDENCE.output, TASK.problem_statement.strip()):
        assert text in user
    assert all(text.strip() in user for text in EVIDENCE.tests)
    assert all(one.title in system and one.body in system for one in EXAMPLES)
    assert len(EXAMPLES) == 2


def told(script) -> tuple[str, list[str]]:
    async def go():
        notes: list[str] = []
        async with ScriptedEndpoint(script) as server:
            endpoint = Endpoint(base_url=server.base_url, model="m", retry_seconds=0.0)
            async with ChatClient(endpoint) as client:
                (done,) = await retell(
                    [TASK], client, note=notes.append, opening=lambda one: opening(one, EVIDENCE)
                )
        return done.problem_statement, notes

    return asyncio.run(go())


def test_an_issue_that_gives_nothing_away_is_taken():
    good = "take() gives the second item\n\n`take([1, 2])` gives 2 and I expected 1.\n"
    assert told([say(good)])[0] == good


@pytest.mark.parametrize(
    "leaky",
    [
        "It says items.pop(1) if items else None where 0 is meant",
        "TestBag fails",
        "See bag.py",
        "take() is wrong, pytest says so",
        "```diff\n-a\n+b\n```",
    ],
)
def test_what_the_writer_was_shown_may_not_come_back(leaky):
    text, notes = told([say(leaky), say(leaky)])
    assert text == TASK.problem_statement
    assert "1 gave something away" in notes[0]


def test_examples_come_from_a_file_of_issues(tmp_path):
    path = tmp_path / "issues.jsonl"
    rows = [{"title": f"t{n}", "body": "b", "number": n} for n in range(3)]
    path.write_text("\n".join(map(json.dumps, rows)) + "\n\n")
    assert [one.title for one in read_examples(path)] == ["t0", "t1"]
    assert read_examples(None) == EXAMPLES


@pytest.mark.parametrize("text", ["", "no json\n", '{"title": "t"}\n', "[1]\n", None])
def test_a_file_of_something_else_is_refused(tmp_path, text):
    path = tmp_path / "issues.jsonl"
    if text is not None:
        path.write_text(text)
    with pytest.raises(UsageError) as caught:
        read_examples(path)
    assert caught.value.where == str(path)
    assert caught.value.mend
