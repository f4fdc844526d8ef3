"""What a repair leaves behind beside its own files: folders, bytecode, and kinds of paths."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from regreen.core.task import Environment, Task
from regreen.grading.patch import FileState, patch_between, text_patch
from regreen.grading.workshop import Workshop
from regreen.sandbox.base import SandboxProvider

START = '"""Calculations."""\n'
HEALTHY = "def add(a, b):\n    return a + b\n"
BROKEN = HEALTHY.replace("a + b", "a - b")
TESTS = "from calc import core\n\n\ndef test_adds():\n    assert core.add(2, 3) == 5\n"
OTHER = "import calc\n\n\ndef test_told():\n    assert calc.__doc__\n"
CHEAT = START + (
    "from importlib.machinery import SourcelessFileLoader\n"
    "from importlib.util import cache_from_source\n"
    "_core = cache_from_source(__file__.replace('__init__', 'core'))\n"
    "core = SourcelessFileLoader('calc.core', _core).load_module()\n"
)
Files = dict[str, str]


def a_task(workroom: Any, base: Files, healthy: Files, tests: Files, name: str) -> Task:
    """A task as it is mined: its base is real, its healthy tree has both patches."""

    def states(files: Files) -> dict[str, FileState]:
        return {path: FileState(text.encode()) for path, text in files.items()}

    common = {"calc/__init__.py": START, "tests/test_told.py": OTHER}
    place = workroom.place({**common, **healthy, **tests})
    return Task(
        instance_id=f"calc-{name}",
        repo="me/calc",
        base_commit=name.encode().hex().ljust(40, "0"),
        patch=patch_between(states(base), states(healthy)),
        test_patch=patch_between({}, states(tests)),
        problem_statement="add(2, 3) should be 5",
        FAIL_TO_PASS=("tests/more/test_add.py::test_adds",),
        PASS_TO_PASS=("tests/test_told.py::test_told",),
        environment=Environment(
            source="calc",
            commit="0" * 40,
            repo_layer=place.tree[0].name,
            env_layer=workroom.built.env.digest,
            patched=True,
        ),
    )


def test_the_repair_is_not_found_compiled_where_it_is_judged(
    workroom: Any, with_boxes: Callable[..., Any]
) -> None:
    tests = {"tests/more/test_add.py": TESTS}
    task = a_task(workroom, {"calc/core.py": BROKEN}, {"calc/core.py": HEALTHY}, tests, "cheat")
    patches = task.patch, "", text_patch("calc/__init__.py", START, CHEAT)

    async def work(boxes: SandboxProvider) -> list[bool]:
        workshop = Workshop(boxes, workroom.store)
        return [(await workshop.verify_patch(task, patch)).resolved for patch in patches]

    assert with_boxes(work) == [True, False, False]


def test_folders_of_the_repair_and_its_tests_are_not_in_the_agents_box(
    workroom: Any, with_boxes: Callable[..., Any]
) -> None:
    base = {"calc/core.py": BROKEN}
    healthy = {"calc/core.py": "from calc.deep.er.sums import add as add\n",
               "calc/deep/er/sums.py": HEALTHY}  # fmt: skip
    task = a_task(workroom, base, healthy, {"tests/more/test_add.py": TESTS}, "folders")

    async def work(boxes: SandboxProvider) -> tuple[str, list[bool]]:
        workshop = Workshop(boxes, workroom.store)
        box = await workshop.act_box(task)
        shown = await box.exec(["sh", "-c", "find . -path ./.git -prune -o -print"])
        verdicts = [await workshop.verify_patch(task, patch) for patch in (task.patch, "")]
        return shown.stdout.decode(), [one.resolved for one in verdicts]

    shown, scores = with_boxes(work)

    assert "calc/core.py" in shown
    assert "deep" not in shown
    assert "more" not in shown
    assert scores == [True, False]


@pytest.mark.parametrize("folder_after", [True, False])
def test_a_file_in_the_place_of_a_folder_is_judged(
    workroom: Any, with_boxes: Callable[..., Any], folder_after: bool
) -> None:
    folder = {"calc/core.py": HEALTHY, "calc/data/a/b.txt": "b\n"}
    file = {"calc/core.py": BROKEN, "calc/data": "b\n"}
    base, healthy = (file, folder) if folder_after else (folder, file)
    base, healthy = ({**one, "calc/core.py": text} for one, text in
                     ((base, BROKEN), (healthy, HEALTHY)))  # fmt: skip
    tests = {"tests/more/test_add.py": TESTS}
    task = a_task(workroom, base, healthy, tests, f"kinds{folder_after}")

    async def work(boxes: SandboxProvider) -> tuple[str, list[bool]]:
        workshop = Workshop(boxes, workroom.store)
        box = await workshop.act_box(task)
        shown = await box.exec(["sh", "-c", "find calc -name '[a-z]*' | sort; git status -s"])
        verdicts = [await workshop.verify_patch(task, patch) for patch in (task.patch, "")]
        return shown.stdout.decode(), [one.resolved for one in verdicts]

    shown, scores = with_boxes(work)

    assert shown.split()[-1] == ("calc/data" if folder_after else "calc/data/a/b.txt")
    assert scores == [True, False]
