"""Harbor task folders: written from a task, and read again when we wrote them.

Layout after harbor 0.24: ``tests/`` reaches the container only when the agent has stopped and
``solution/`` only for the oracle, so gold patch, hidden tests and the rest of our row stand there.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from regreen.core.errors import UsageError
from regreen.core.task import Task
from regreen.store.toml import dump_toml
from regreen.tasks.exchange.evaluation import GRADER, harbor_script, solve_script
from regreen.tasks.exchange.folder import (
    ROW_FILE,
    load_json,
    load_text,
    remaining_row,
    write_folder,
)
from regreen.tasks.exchange.image import dockerfile

__all__ = ["is_harbor_task", "read_harbor_task", "write_harbor_task"]

_SCHEMA = "1.4"
_AS_FILE = {
    "patch": "solution/gold.patch",
    "test_patch": "tests/test.patch",
    "problem_statement": "instruction.md",
}


def is_harbor_task(folder: Path) -> bool:
    """Whether a folder looks like one."""
    return (folder / "task.toml").is_file() and (folder / "instruction.md").is_file()


def read_harbor_task(folder: Path) -> dict[str, Any]:
    """The row of a folder that we wrote.

    Raises:
        UsageError: somebody else did; its tests are a script, which names no test.
        OSError: a file is missing.
        ValueError: a file is no JSON.
    """
    if not (folder / "tests" / ROW_FILE).is_file():
        msg = "its tests are a script that names none; only folders we wrote can be read"
        raise UsageError(msg, where=str(folder), mend="run it with Harbor")
    row = load_json(folder / "tests" / ROW_FILE)
    row.update({column: load_text(folder / name) for column, name in _AS_FILE.items()})
    row.update(load_json(folder / "tests" / "tests.json"))
    return row


def write_harbor_task(task: Task, root: Path) -> None:
    """Write one task as ``root/<instance_id>``.

    Raises:
        RegreenError: it cannot be written, or its image cannot be described.
    """
    image, context = dockerfile(task)
    lists = {"FAIL_TO_PASS": task.FAIL_TO_PASS, "PASS_TO_PASS": task.PASS_TO_PASS}
    files = {
        "task.toml": _config(task),
        "instruction.md": task.problem_statement,
        "environment/Dockerfile": image,
        **{f"environment/{name}": text for name, text in context.items()},
        "tests/test.sh": harbor_script(task),
        "tests/grade.py": GRADER,
        "tests/tests.json": json.dumps(lists, indent=2) + "\n",
        "tests/test.patch": task.test_patch,
        f"tests/{ROW_FILE}": remaining_row(task, *_AS_FILE, *lists),
        "solution/solve.sh": solve_script(),
        "solution/gold.patch": task.patch,
    }
    programs = ("tests/test.sh", "solution/solve.sh")
    write_folder(root / task.instance_id, files, programs=programs)


def _config(task: Task) -> str:
    slug = re.sub(r"[^A-Za-z0-9_-]+", "-", task.instance_id).strip("-_") or "task"
    told = {
        "instance_id": task.instance_id,
        "repo": task.repo,
        "base_commit": task.base_commit,
        "language": task.language,
        "source": task.source,
        "license": task.license,
        "difficulty": task.difficulty.level if task.difficulty else "",
    }
    return dump_toml(
        {
            "schema_version": _SCHEMA,
            "task": {"name": f"regreen/{slug}"},
            "metadata": {key: value for key, value in told.items() if value},
            "verifier": {"timeout_sec": 1800.0},
            "agent": {"timeout_sec": 3600.0},
            "environment": {"build_timeout_sec": 1800.0},
        }
    )
