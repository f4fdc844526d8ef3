"""Shell scripts that put a task's tests in place and run them in a container at /testbed.

The tests' files are set back to the base before the test patch is applied, so that it applies
whatever was done to them. The base is the task's own commit where the container has it, else the
first commit of a repository that has one only.
"""

from __future__ import annotations

import hashlib
import shlex
from pathlib import Path

from regreen.core.task import Task
from regreen.grading.patch import patch_paths
from regreen.tasks.exchange.sections import sections

__all__ = ["END", "GRADER", "START", "eval_script", "harbor_script", "solve_script"]

START, END = ">>>>> Start Test Output", ">>>>> End Test Output"
"""The lines between which SWE-bench's harness reads a log."""
GRADER = (Path(__file__).parent / "in_box.py").read_text(encoding="utf-8")
"""The program that Harbor's script starts."""
_OPTIONS = ("-p", "no:cacheprovider", "-rA")


def eval_script(task: Task) -> str:
    """SWE-bench's ``eval.sh``: the task's own when it has the markers, else one for pytest."""
    if START in task.eval_script and END in task.eval_script:
        return task.eval_script
    reset = _reset(task)
    mark = "END_" + hashlib.sha256(task.test_patch.encode("utf-8", "replace")).hexdigest()[:16]
    files = sorted({name.partition("::")[0] for name in (*task.FAIL_TO_PASS, *task.PASS_TO_PASS)})
    options = task.environment.options if task.environment else ()
    patch = task.test_patch if task.test_patch.endswith("\n") else task.test_patch + "\n"
    apply = f"git apply --whitespace=nowarn - <<'{mark}'\n{patch}{mark}\n"
    return (
        "#!/bin/bash\nset -uxo pipefail\ncd /testbed\n"
        f"{reset}{apply if task.test_patch.strip() else ''}"
        f": '{START}'\n"
        f"python -m pytest {shlex.join([*_OPTIONS, *options, *files])}\n"
        f": '{END}'\n"
        f"{reset}"
    )


def harbor_script(task: Task) -> str:
    """Harbor's ``tests/test.sh``: every way through it ends in a reward it wrote itself."""
    options = task.environment.options if task.environment else ()
    patch = "git apply --whitespace=nowarn /tests/test.patch || exit 1\n"
    arguments = shlex.join(("/tests/tests.json", "/logs/verifier/reward.txt", *options))
    return (
        "#!/bin/bash\n"
        "mkdir -p /logs/verifier\n"
        "rm -rf /logs/verifier/reward.json\n"
        "echo 0 >/logs/verifier/reward.txt\n"
        "cd /testbed || exit 1\n"
        f"{_reset(task)}{patch if task.test_patch.strip() else ''}"
        f"python /tests/grade.py {arguments}\n"
    )


def solve_script() -> str:
    """Harbor's ``solution/solve.sh``."""
    return "#!/bin/bash\nset -e\ncd /testbed\ngit apply --whitespace=nowarn /solution/gold.patch\n"


def _reset(task: Task) -> str:
    """Commands that give the files of the test patch their state at the base."""
    added: set[str] = set()
    kept: set[str] = set()
    for section in sections(task.test_patch):
        paths = patch_paths("\n".join(section.head))
        new = paths if section.adds else _renamed_to(section.head)
        added |= new
        kept |= paths - new
    lines = ""
    if kept:
        commit = shlex.quote(f"{task.base_commit}^{{commit}}")
        lines += (
            f"base=$(git rev-parse -q --verify {commit}"
            " || git rev-list --max-parents=0 HEAD | tail -n 1)\n"
            f'git checkout -q "$base" -- {shlex.join(sorted(kept))}\n'
        )
    if added:
        lines += f"rm -rf -- {shlex.join(sorted(added))}\n"
    return lines


def _renamed_to(head: tuple[str, ...]) -> set[str]:
    return patch_paths("\n".join(line for line in head if line.startswith("rename to ")))
