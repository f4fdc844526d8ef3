"""Rows of SWE-rebench, versions 1 and 2: SWE-bench's columns, a recipe, and what a model said.

Version 1 scores statement, tests and difficulty from 0 to 3 as SWE-bench Verified's annotators did;
version 2 gives the letter that our ``Quality`` has taken from it.
"""

from __future__ import annotations

import re
from typing import Any

from regreen.core.task import Difficulty, Quality, Task
from regreen.tasks.exchange.columns import Columns
from regreen.tasks.exchange.swe_bench import measured, read_swe_bench

__all__ = ["read_swe_rebench"]

_JUDGE = "SWE-rebench's"
_CODE = re.compile(r"A|B(?:[1-9]|1[01])")
_LEVELS = ("easy", "medium", "hard", "hard")


def read_swe_rebench(columns: Columns) -> tuple[Task, tuple[str, ...]]:
    """A task and warnings; of ``install_config`` the test command is kept.

    Raises:
        TaskError: the row cannot be a task.
    """
    task, warnings = read_swe_bench(columns, source="swe-rebench", timed=True)
    recipe = columns.inner("install_config")
    command = _command(recipe.value("test_cmd"))
    meta = columns.inner("meta")
    said, scores = meta.inner("llm_metadata"), meta.inner("llm_score")
    quality, level = _judged(said) if said.row else _scored(scores)
    script = f"#!/bin/sh\ncd /testbed && {command}\n" if command else ""
    return task.model_copy(
        update={
            "eval_script": task.eval_script or script,
            "quality": quality,
            "difficulty": _rated(task, level) or task.difficulty,
        }
    ), warnings


def _command(value: Any) -> str:
    if isinstance(value, list | tuple):
        return " && ".join(str(part) for part in value if str(part).strip())
    return value if isinstance(value, str) else ""


def _rated(task: Task, level: str) -> Difficulty | None:
    return measured(task.patch, task.FAIL_TO_PASS, level) if level else None


def _judged(said: Columns) -> tuple[Quality | None, str]:
    """Version 2: ``llm_metadata``."""
    level = said.text("difficulty").lower()
    codes = tuple(dict.fromkeys(_CODE.findall(said.text("code"))))
    if not codes:
        return None, level if level in _LEVELS else ""
    issues = said.value("detected_issues")
    reasons = tuple(map(str, issues)) if isinstance(issues, list | tuple) else ()
    return Quality(
        code=codes[0], codes=codes, reasons=reasons, judge=_JUDGE
    ), level if level in _LEVELS else ""


def _scored(scores: Columns) -> tuple[Quality | None, str]:
    """Version 1: ``llm_score``, where 0 is best."""
    statement, tests, difficulty = (
        _score(scores.value(name))
        for name in ("issue_text_score", "test_score", "difficulty_score")
    )
    level = "" if difficulty is None else _LEVELS[difficulty]
    if statement is None or tests is None:
        return None, level
    found = []
    if statement > 1:
        found.append(("B4", f"the statement was scored {statement} of 3 for what it leaves open"))
    if tests > 1:
        found.append(("B6", f"the tests were scored {tests} of 3 for refusing right solutions"))
    return Quality(
        code=found[0][0] if found else "A",
        codes=tuple(code for code, _ in found) or ("A",),
        statement="thin" if statement > 1 else "clear",
        tests="coupled" if tests > 1 else "aligned",
        reasons=tuple(reason for _, reason in found),
        judge=_JUDGE,
    ), level


def _score(value: Any) -> int | None:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    good = isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 3
    return value if good else None
