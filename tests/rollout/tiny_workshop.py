"""A small real workshop: boxes over a directory, verdicts by ``unittest`` in a fresh box.

Run as a script it is a whole run, ``tiny_workshop.py RUN BASE NUM_TASKS WORKERS``, for the tests
that kill one.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import Any

from regreen.core.errors import RegreenError, TaskError
from regreen.core.task import Task
from regreen.core.verdict import Outcome, Verdict
from regreen.grading.patch import FileState, patch_between
from regreen.rollout import Runner, assignments, builder
from regreen.sandbox import provider
from regreen.sandbox.base import BoxSpec, Mount, Sandbox
from regreen.sandbox.layers import LayerStore
from regreen.sandbox.overlay import merged_file, read_changes
from regreen.store.run import RunDirectory

CALC = "def add(a, b):\n    return a - b\n\n\ndef zero():\n    return 0\n"
GOLD = """\
diff --git a/calc.py b/calc.py
--- a/calc.py
+++ b/calc.py
@@ -1,6 +1,6 @@
 def add(a, b):
-    return a - b
+    return a + b
{blank}
{blank}
 def zero():
     return 0
""".replace("{blank}", " ")
HIDDEN = """\
diff --git a/hidden.py b/hidden.py
new file mode 100644
--- /dev/null
+++ b/hidden.py
@@ -0,0 +1,7 @@
+import unittest
+import calc
+
+
+class Hidden(unittest.TestCase):
+    def test_add(self):
+        self.assertEqual(calc.add(2, 3), 5)
"""
STATEMENT = "```python\nadd(2, 3) == 5\n```\n"
BAD_TEST = "diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\n"


def make_base(root: Path) -> Path:
    """The broken project as a one-commit repository."""
    root.mkdir()
    (root / "calc.py").write_text(CALC)
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@example.org"]
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "Begin"]):
        subprocess.run([*git, *command], cwd=root, check=True)
    return root


def make_task(name: str = "calc-0", **fields: object) -> Task:
    """A task whose gold patch and hidden test are real."""
    columns: dict[str, object] = {
        "instance_id": name,
        "repo": "calc",
        "base_commit": "0" * 40,
        "patch": GOLD,
        "test_patch": HIDDEN,
        "problem_statement": STATEMENT,
        "FAIL_TO_PASS": ["hidden"],
        "PASS_TO_PASS": [],
    }
    return Task.model_validate(columns | fields)


class TinyWorkshop:
    """Boxes over ``base``; see the ``Workshop`` protocol."""

    def __init__(self, base: Path, scratch: Path) -> None:
        self.base = base
        self.store = LayerStore(scratch)
        self.boxes = provider("namespace")

    async def act_box(self, task: Task, *, wall: Any = None) -> Sandbox:
        return await self.boxes.create(
            BoxSpec(mounts=(Mount(target="/testbed", lowers=(self.base,)),))
        )

    async def patch_of(self, sandbox: Sandbox, task: Task) -> str:
        layer = await sandbox.snapshot("/testbed", self.store)
        before, after = {}, {}
        for change in read_changes(layer.path):
            if change.kind == "file" and not change.path.startswith((".git/", "__pycache__/")):
                found = merged_file((self.base,), change.path)
                before[change.path] = FileState.read(found) if found else None
                after[change.path] = FileState.read(change.source)
        return patch_between(before, after)

    async def verify_patch(self, task: Task, patch: str) -> Verdict:
        box = await self.act_box(task)
        try:
            if patch:
                await box.exec(["git", "apply", "-"], stdin=patch.encode())
            placed = await box.exec(["git", "apply", "-"], stdin=task.test_patch.encode())
            if placed.exit_code != 0:
                msg = "the hidden tests do not apply"
                raise TaskError(msg)
            ran = await box.exec(["python3", "-m", "unittest", "-q", "hidden"])
        finally:
            await box.close()
        outcome = Outcome.PASSED if ran.exit_code == 0 else Outcome.FAILED
        return Verdict(resolved=outcome.passed, fail_to_pass={"hidden": outcome}, pass_to_pass={})

    async def close(self) -> None:
        await self.boxes.close()


async def main(run: Path, base: Path, num_tasks: int, workers: int) -> int:
    """Run, or go on with, the oracle on all tasks."""
    workshop = TinyWorkshop(base, run.with_suffix(".layers"))
    config = {"agent": "oracle", "attempts": 1}
    tasks = [make_task(f"calc-{i}") for i in range(num_tasks)]
    try:
        with RunDirectory.create(run, config=config, lock={"seeds": [0]}, resume=True) as directory:
            todo = assignments(tasks, "oracle", finished=directory.finished_ids())
            runner = Runner(
                run_directory=directory,
                workshop=workshop,
                build=builder("oracle"),
                workers=workers,
            )
            await runner.run(todo)
    except RegreenError as exc:
        sys.stderr.write("\n".join(exc.lines()) + "\n")
        return exc.exit_code
    finally:
        await workshop.close()
    return 0


if __name__ == "__main__":
    arguments = sys.argv[1:]
    paths, numbers = map(Path, arguments[:2]), map(int, arguments[2:])
    sys.exit(asyncio.run(main(*paths, *numbers)))
