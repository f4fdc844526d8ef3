"""Tasks that a script decides, judged by its exit status in a fresh box."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from regreen.core.task import Environment, Task, Twins, base_message
from regreen.core.verdict import Verdict
from regreen.grading.patch import FileState, patch_between, text_patch
from regreen.grading.script import decided_by_script
from regreen.grading.twins import GENERATOR
from regreen.grading.workshop import Workshop
from regreen.sandbox.base import SandboxProvider
from regreen.tasks.build.repository import changed_blobs
from regreen.tasks.repo.tree import blob_id, commit_id

BROKEN = "add() { echo $(($1 - $2)); }\n"
HEALTHY = "add() { echo $(($1 + $2)); }\n"
CHECK = '. ./lib.sh; [ "$(add 2 3)" = 5 ] && echo ran\n'
FILES = {"lib.sh": HEALTHY, "tests/check.sh": CHECK, "tests/old.sh": "true\n", "gone.txt": "x\n"}
SCRIPT = """\
[ ! -e gone.txt ] && bash tests/old.sh && out=$(bash tests/check.sh) && [ "$out" = ran ]
"""
GOLD = text_patch("lib.sh", BROKEN, HEALTHY)


@pytest.fixture(scope="module")
def task(workroom: Any) -> Task:
    healthy = {name: text for name, text in FILES.items() if name != "gone.txt"}
    place = workroom.place(healthy)
    blobs = {name: ("100644", blob_id(text.encode())) for name, text in FILES.items()}
    base = changed_blobs(blobs, {"lib.sh": BROKEN}, ("tests/check.sh",))
    tests = patch_between(
        {"gone.txt": FileState(b"x\n")},
        {"tests/check.sh": FileState(CHECK.encode()), "gone.txt": None},
    )
    return Task(
        instance_id="add-1",
        repo="me/add",
        base_commit=commit_id(
            base, date=datetime(2024, 1, 1, tzinfo=UTC), message=base_message("me/add")
        ),
        patch=GOLD,
        test_patch=tests,
        problem_statement="add 2 3 should be 5",
        FAIL_TO_PASS=(),
        PASS_TO_PASS=(),
        environment=Environment(
            source="add",
            commit="0" * 40,
            repo_layer=place.tree[0].name,
            patched=True,
            env_layer=workroom.built.env.digest,
        ),
        eval_script=SCRIPT,
        language="bash",
        source="built",
    )


@pytest.fixture
def judged(workroom: Any, with_boxes: Callable[..., Any]) -> Callable[..., list[Verdict]]:
    def run(task: Task, *patches: str, seconds: float = 60.0) -> list[Verdict]:
        async def work(boxes: SandboxProvider) -> list[Verdict]:
            workshop = Workshop(boxes, workroom.store, total_timeout=seconds)
            return [await workshop.verify_patch(task, patch) for patch in patches]

        found: list[Verdict] = with_boxes(work)
        return found

    return run


def test_the_exit_status_decides(task: Task, judged: Any) -> None:
    patches = {
        "gold": (GOLD, True),
        "gold that breaks tests": (GOLD + text_patch("tests/old.sh", "true\n", "false\n"), True),
        "nothing": ("", False),
        "a script of its own": (text_patch("evaluation.sh", None, "exit 0\n"), False),
        "other tests": (
            text_patch("tests/check.sh", None, "echo ran\n")
            + text_patch("tests/old.sh", "true\n", "echo ran\n"),
            False,
        ),
        "a shadowed shell": (
            text_patch("bash", None, "#!/bin/sh\necho ran\n") + text_patch("ls", None, "x\n"),
            False,
        ),
        "an early exit": (text_patch("lib.sh", BROKEN, "exit 0\n"), False),
        "not a patch": ("hello", False),
    }
    verdicts = judged(task, *(patch for patch, _ in patches.values()))
    found = {name: each.resolved for name, each in zip(patches, verdicts, strict=True)}
    assert found == {name: expected for name, (_, expected) in patches.items()}
    assert all(each.reason for each in verdicts if not each.resolved)
    assert verdicts[1].dropped[0].startswith("tests/old.sh: ")


def test_a_candidate_that_hangs_is_not_resolved(task: Task, judged: Any) -> None:
    (verdict,) = judged(task, text_patch("lib.sh", BROKEN, "sleep 60\n"), seconds=1.0)
    assert (verdict.resolved, verdict.reason) == (False, "the script ran out of time")


def test_a_candidate_cannot_add_to_the_script_while_it_runs(task: Task, judged: Any) -> None:
    """A shell reads a script's file as it goes; here there is no file to write to."""
    lines = (
        "for place in /workspace/evaluation.sh /proc/$PPID/fd/*; do\n"
        "  echo 'exit 0' >> $place\ndone 2>/dev/null\n"
    )
    (verdict,) = judged(task, text_patch("lib.sh", BROKEN, BROKEN + lines))
    assert not verdict.resolved


def test_only_built_rows_without_tests_are_decided_so(
    task: Task, workroom: Any, with_boxes: Callable[..., Any]
) -> None:
    others = (
        task.model_copy(update={"source": "mined"}),
        task.model_copy(update={"FAIL_TO_PASS": ("tests/test_a.py::test_a",)}),
        task.model_copy(update={"eval_script": ""}),
    )
    assert [decided_by_script(each) for each in (task, *others)] == [True, False, False, False]

    async def work(boxes: SandboxProvider) -> Twins:
        return await Workshop(boxes, workroom.store).twins(task)

    assert with_boxes(work) == Twins(generator=GENERATOR)
