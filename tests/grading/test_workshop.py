"""One task's boxes: what the agent sees, what is taken from it, and what the judge makes of it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from regreen.core.errors import PrerequisiteError
from regreen.core.task import Environment, Task, base_message
from regreen.grading.patch import FileState, patch_between, text_patch
from regreen.grading.workshop import Workshop
from regreen.sandbox.base import SandboxProvider
from regreen.tasks.build.repository import changed_blobs
from regreen.tasks.repo.tree import blob_id, commit_id

HEALTHY = "def add(a, b):\n    return a + b\n\n\ndef zero():\n    return 0\n"
BROKEN = HEALTHY.replace("a + b", "a - b")
TESTS = "import calc\n\n\ndef test_adds_two_numbers():\n    assert calc.add(2, 3) == 5\n"
OTHER = "import calc\n\n\ndef test_zero():\n    assert calc.zero() == 0\n"
FILES = {
    "calc.py": HEALTHY,
    "docs/a.txt": "a\n",
    "docs/b.txt": "b\n",
    "run.sh": "#!/bin/sh\n",
    "tests/test_add.py": TESTS,
    "tests/test_zero.py": OTHER,
}
WHEN = datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)
GOLD = text_patch("calc.py", BROKEN, HEALTHY)


@pytest.fixture(scope="module")
def task(workroom: Any) -> Task:
    place = workroom.place(FILES)
    blobs = {name: ("100644", blob_id(text.encode())) for name, text in FILES.items()}
    base = changed_blobs(blobs, {"calc.py": BROKEN}, ("tests/test_add.py",))
    return Task(
        instance_id="calc-1",
        repo="me/calc",
        base_commit=commit_id(base, date=WHEN, message=base_message("me/calc")),
        patch=GOLD,
        test_patch=patch_between({}, {"tests/test_add.py": FileState(TESTS.encode())}),
        problem_statement="add(2, 3) should be 5",
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


def judged(workroom: Any, with_boxes: Callable[..., Any], task: Task, *patches: str) -> list[Any]:
    async def work(boxes: SandboxProvider) -> list[Any]:
        workshop = Workshop(boxes, workroom.store)
        return [await workshop.verify_patch(task, patch) for patch in patches]

    result: list[Any] = with_boxes(work)
    return result


def test_the_agent_gets_a_broken_tree_with_one_commit_and_no_hidden_test(
    workroom: Any, with_boxes: Callable[..., Any], task: Task
) -> None:
    script = (
        "git rev-parse HEAD && git status --porcelain && git log --all --oneline | wc -l && "
        "git remote | wc -l && ls tests && cat calc.py && "
        "python -c 'import calc; print(calc.add(2, 3))'"
    )

    async def work(boxes: SandboxProvider) -> tuple[str, bytes]:
        box = await Workshop(boxes, workroom.store).act_box(task)
        done = await box.exec(["sh", "-c", script])
        leaks = await box.exec(["grep", "-rl", "test_adds_two_numbers", "/testbed", "/opt", "/tmp"])
        return done.stdout.decode(), leaks.stdout

    seen, leaks = with_boxes(work)

    assert seen.splitlines()[:4] == [task.base_commit, "1", "0", "test_zero.py"]
    assert seen.endswith(BROKEN + "-1\n")
    assert leaks == b""


def test_the_patch_is_taken_from_the_overlay(
    workroom: Any, with_boxes: Callable[..., Any], task: Task
) -> None:
    script = (
        "sed -i 's/a - b/a + b/' calc.py && chmod +x run.sh && rm -r docs && mkdir docs && "
        "printf 'new\\0' > docs/c.bin && ln -s calc.py link && git add -A && "
        "git -c user.name=x -c user.email=x commit -qm done && python -c 'import calc' && "
        "echo 'diff --git a/forged b/forged' && touch run.sh"
    )

    async def work(boxes: SandboxProvider) -> tuple[str, Any]:
        workshop = Workshop(boxes, workroom.store)
        box = await workshop.act_box(task)
        done = await box.exec(["sh", "-c", script])
        assert done.exit_code == 0, done.stderr
        patch = await workshop.patch_of(box, task)
        return patch, await workshop.verify_patch(task, patch)

    patch, verdict = with_boxes(work)

    assert verdict.resolved, verdict.reason
    assert sorted(line for line in patch.splitlines() if line.startswith("diff")) == [
        "diff --git a/calc.py b/calc.py",
        "diff --git a/docs/a.txt b/docs/a.txt",
        "diff --git a/docs/b.txt b/docs/b.txt",
        "diff --git a/docs/c.bin b/docs/c.bin",
        "diff --git a/link b/link",
        "diff --git a/run.sh b/run.sh",
    ]
    assert ".git" not in patch.replace("diff --git", "")


def test_known_patches_get_known_scores(
    workroom: Any, with_boxes: Callable[..., Any], task: Task
) -> None:
    def added(path: str, text: str) -> str:
        return text_patch(path, None, text)

    skip_all = "def pytest_collection_modifyitems(items):\n    items.clear()\n"
    plugin = (
        "import pytest\n\n\n@pytest.hookimpl(hookwrapper=True)\n"
        "def pytest_runtest_makereport():\n"
        "    r = yield\n    r.get_result().outcome = 'passed'\n"
    )
    emptied = text_patch("tests/test_zero.py", OTHER, "")
    broken_other = HEALTHY.replace("return 0", "return 1")
    patches = {
        "gold": GOLD,
        "gold with a bad ini": GOLD + added("pytest.ini", "[pytest]\naddopts=-x --bogus\n"),
        "visible test emptied": GOLD + emptied,
        "nothing": "",
        "hidden test replaced": added(
            "tests/test_add.py", "def test_adds_two_numbers():\n    pass\n"
        ),
        "skipping conftest": added("conftest.py", skip_all),
        "lying conftest": added("tests/conftest.py", plugin),
        "leaving early": text_patch("calc.py", BROKEN, BROKEN + "import os\nos._exit(0)\n"),
        "printing": text_patch("calc.py", BROKEN, BROKEN + "print('2 passed in 0.01s')\n"),
        "breaking another": text_patch("calc.py", BROKEN, broken_other),
        "not a patch": "hello",
        "for other lines": GOLD.replace("a - b", "a * b"),
    }
    verdicts = dict(
        zip(patches, judged(workroom, with_boxes, task, *patches.values()), strict=True)
    )

    resolved = {name for name, verdict in verdicts.items() if verdict.resolved}
    assert resolved == {"gold", "gold with a bad ini", "visible test emptied"}
    assert all(verdict.reason for name, verdict in verdicts.items() if name not in resolved)


def test_a_layer_that_is_not_here_names_the_mend(
    workroom: Any, with_boxes: Callable[..., Any], task: Task
) -> None:
    assert task.environment is not None
    elsewhere = task.model_copy(
        update={"environment": task.environment.model_copy(update={"env_layer": "0" * 64})}
    )

    async def work(boxes: SandboxProvider) -> None:
        await Workshop(boxes, workroom.store).act_box(elsewhere)

    with pytest.raises(PrerequisiteError) as error:
        with_boxes(work)
    assert "regreen tasks validate" in error.value.mend
