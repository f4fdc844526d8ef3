"""Rows of SWE-bench and of the sets that kept its columns, such as SWE-Gym and SWE-bench Pro."""

from __future__ import annotations

from regreen.core.errors import TaskError
from regreen.core.task import Difficulty, Task
from regreen.tasks.exchange.columns import Columns, created, file_name
from regreen.tasks.exchange.sections import sections
from regreen.tasks.exchange.testids import id_list

__all__ = ["both_lists", "measured", "read_swe_bench"]

_LEVELS = {
    "<15 min fix": "easy",
    "15 min - 1 hour": "medium",
    "1-4 hours": "hard",
    ">4 hours": "hard",
}


def read_swe_bench(
    columns: Columns, *, source: str, timed: bool = False
) -> tuple[Task, tuple[str, ...]]:
    """A task from the classic columns, and warnings.

    Args:
        columns: the row.
        source: the data set's name, for ``Task.source``.
        timed: its test ids may end in a time.

    Raises:
        TaskError: the row cannot be a task.
    """
    fail_to_pass, pass_to_pass, warnings = both_lists(columns, timed=timed)
    patch = columns.required("patch")
    date, undated = created(columns.text("created_at"))
    statement = columns.text("problem_statement")
    level = _LEVELS.get(columns.text("difficulty"), "")
    task = Task(
        instance_id=file_name(columns.required("instance_id")),
        repo=columns.required("repo"),
        base_commit=columns.required("base_commit"),
        patch=patch,
        test_patch=columns.text("test_patch"),
        problem_statement=statement,
        hints_text=columns.text("hints_text"),
        created_at=date,
        version=columns.text("version"),
        FAIL_TO_PASS=fail_to_pass,
        PASS_TO_PASS=pass_to_pass,
        environment_setup_commit=columns.text("environment_setup_commit"),
        image=columns.text("image", "image_name", "docker_image"),
        eval_script=columns.text("eval_script"),
        language=(columns.text("language", "repo_language") or "python").lower(),
        source=source,
        interface=columns.text("interface"),
        difficulty=measured(patch, fail_to_pass, level) if level else None,
        license=columns.text("license", "license_name"),
    )
    unsaid = () if statement.strip() else ("no problem statement",)
    return task, (*warnings, *undated, *unsaid)


def both_lists(
    columns: Columns, *, timed: bool = False
) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """FAIL_TO_PASS, PASS_TO_PASS and warnings about them.

    Raises:
        TaskError: a list cannot be read, or nothing fails before the fix.
    """
    fail_to_pass, pass_to_pass = (
        id_list(columns.value(name, name.lower()), name, timed=timed)
        for name in ("FAIL_TO_PASS", "PASS_TO_PASS")
    )
    if not fail_to_pass.names:
        msg = "no FAIL_TO_PASS test, so nothing decides this task"
        raise TaskError(msg)
    both = set(fail_to_pass.names) & set(pass_to_pass.names)
    odd = (f"tests in both lists: {len(both)}, first {min(both)!r}",) if both else ()
    return (
        fail_to_pass.names,
        pass_to_pass.names,
        (*fail_to_pass.warnings, *pass_to_pass.warnings, *odd),
    )


def measured(patch: str, fail_to_pass: tuple[str, ...], level: str) -> Difficulty:
    """What a row tells about its size; how many tests reach the change it does not tell."""
    files = sections(patch)
    lines = [line for one in files for _, hunk in one.hunks for line in hunk]
    return Difficulty(
        files=len(files),
        lines=sum(line[:1] in ("+", "-") for line in lines),
        fail_to_pass=len(fail_to_pass),
        covering_tests=0,
        level=level,
    )
