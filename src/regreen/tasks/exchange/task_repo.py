"""SWE-bench 5 task repositories: ``sweb.yaml`` and one folder per task, read and written.

Layout and keys are those that ``swebench dataset check`` of version 5.0.2 asks for. Their loader
passes over files it does not know, so what of our row has no place there stands in one more.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from regreen.core.errors import UsageError
from regreen.core.task import Task
from regreen.store.atomic import write_text
from regreen.tasks.exchange.evaluation import eval_script
from regreen.tasks.exchange.folder import (
    ROW_FILE,
    load_json,
    load_text,
    remaining_row,
    write_folder,
)
from regreen.tasks.exchange.image import dockerfile

__all__ = ["TASK_FILE", "read_task_folder", "write_config", "write_task_folder"]

TASK_FILE = "task.yaml"
_AS_FILE = {
    "patch": "gold.patch",
    "test_patch": "test.patch",
    "eval_script": "eval.sh",
    "problem_statement": "problem_statement.md",
}


def read_task_folder(folder: Path) -> dict[str, Any]:
    """One task's row: ours when we wrote the folder, else SWE-bench's columns.

    Raises:
        UsageError: a file does not hold what it must.
        OSError: a file is missing.
        ValueError: a file is no JSON or no text.
    """
    row = _yaml(folder / TASK_FILE)
    row.update({column: load_text(folder / name) for column, name in _AS_FILE.items()})
    hints = folder / "hints.md"
    row["hints_text"] = load_text(hints) if hints.is_file() else ""
    row.update(load_json(folder / "tests.json"))
    if (folder / ROW_FILE).is_file():
        ours = load_json(folder / ROW_FILE)
        same = {name: row[name] for name in (*_AS_FILE, "hints_text")} | {
            name: row[name] for name in ("FAIL_TO_PASS", "PASS_TO_PASS")
        }
        script = ours.pop("eval_script", same["eval_script"])
        return {**ours, **same, "eval_script": script}
    if (folder / "test_assets").is_dir():
        row["test_assets"] = "files"
    return row


def write_task_folder(task: Task, root: Path, *, dataset: str) -> None:
    """Write one task below ``root/tasks``.

    Raises:
        RegreenError: it cannot be written, or its image cannot be described.
    """
    image, context = dockerfile(task)
    files = {
        TASK_FILE: "".join(_task_yaml(task, dataset)),
        "tests.json": _json({"FAIL_TO_PASS": task.FAIL_TO_PASS, "PASS_TO_PASS": task.PASS_TO_PASS}),
        "problem_statement.md": task.problem_statement,
        "gold.patch": task.patch,
        "test.patch": task.test_patch,
        "eval.sh": eval_script(task),
        "Dockerfile": image,
        **context,
        ROW_FILE: remaining_row(
            task,
            *("patch", "test_patch", "problem_statement", "hints_text"),
            *("FAIL_TO_PASS", "PASS_TO_PASS"),
        ),
    }
    if task.hints_text:
        files["hints.md"] = task.hints_text
    write_folder(root / "tasks" / task.instance_id, files, programs=("eval.sh",))


def write_config(root: Path, *, dataset: str) -> None:
    """Write ``sweb.yaml``."""
    root.mkdir(parents=True, exist_ok=True)
    write_text(root / "sweb.yaml", f"datasets:\n- {_scalar(dataset)}\nsplits:\n- test\n")


def _task_yaml(task: Task, dataset: str) -> Iterator[str]:
    """Line by line."""
    yield f"datasets: [{_scalar(dataset)}]\n"
    image = f"sweb.eval.x86_64.{task.instance_id}:latest".lower()
    values = {
        "base_commit": task.base_commit,
        "created_at": task.created_at,
        "environment_setup_commit": task.environment_setup_commit,
        "eval_type": "pass_and_fail",
        "image": f"swebench/{image}".replace("__", "_1776_"),
        "instance_id": task.instance_id,
        "language": task.language,
        "log_parser": "parse_log_pytest",
        "repo": task.repo,
        "split": "test",
        "version": task.version,
    }
    for key, value in values.items():
        yield f"{key}: {_scalar(value)}\n"


def _scalar(text: str) -> str:
    """A double-quoted YAML scalar; unlike JSON's, its escapes reach beyond 16 bits."""
    return '"' + "".join(map(_escaped, text)) + '"'


def _escaped(character: str) -> str:
    if character in '"\\':
        return "\\" + character
    if " " <= character <= "~":
        return character
    return f"\\U{ord(character):08x}"


def _json(value: Any) -> str:
    return json.dumps(value, indent=2) + "\n"


def _yaml(path: Path) -> dict[str, Any]:
    import yaml

    try:
        found = yaml.safe_load(path.read_bytes())
    except yaml.YAMLError as exc:
        msg = f"{path.name} is no YAML"
        raise UsageError(msg, where=str(path)) from exc
    if not isinstance(found, dict):
        msg = f"{path.name} holds no table"
        raise UsageError(msg, where=str(path))
    return found
