"""Rows of Multi-SWE-bench and Multi-SWE-RL: pull requests in seven and more languages.

Their tests are tables by name; a test that was absent or skipped before the fix counts as failing
there, as it does here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

from regreen.core.errors import TaskError
from regreen.core.task import Task
from regreen.grading.patch import patch_paths
from regreen.tasks.exchange.columns import Columns, created, file_name
from regreen.tasks.exchange.testids import id_list

__all__ = ["language_of", "read_multi_swe"]

_LANGUAGES = {
    **dict.fromkeys((".py", ".pyx", ".pyi"), "python"),
    **dict.fromkeys((".ts", ".tsx", ".mts"), "typescript"),
    **dict.fromkeys((".js", ".jsx", ".mjs", ".cjs", ".vue"), "javascript"),
    **dict.fromkeys((".cc", ".cpp", ".cxx", ".hpp", ".hh"), "c++"),
    **dict.fromkeys((".c", ".h"), "c"),
    **dict.fromkeys((".kt", ".kts"), "kotlin"),
    ".cs": "c#",
    ".go": "go",
    ".java": "java",
    ".php": "php",
    ".rb": "ruby",
    ".rs": "rust",
    ".scala": "scala",
    ".swift": "swift",
}
_COLUMNAR = {"name", "fix", "run", "test"}


def read_multi_swe(columns: Columns) -> tuple[Task, tuple[str, ...]]:
    """A task and warnings.

    Raises:
        TaskError: the row cannot be a task.
    """
    owner, name, number = (columns.required(key) for key in ("org", "repo", "number"))
    patch = columns.required("fix_patch")
    statement, told = _statement(columns)
    failing = [
        *_names(columns.value("f2p_tests"), "f2p_tests"),
        *_names(columns.value("s2p_tests"), "s2p_tests"),
        *_names(columns.value("n2p_tests"), "n2p_tests"),
    ] or _names(columns.value("fixed_tests"), "fixed_tests")
    columns.value("fixed_tests")  # the union of the three above
    fail_to_pass = id_list(failing, "FAIL_TO_PASS", timed=True)
    passing = _names(columns.value("p2p_tests"), "p2p_tests")
    pass_to_pass = id_list(passing, "PASS_TO_PASS", timed=True)
    if not fail_to_pass.names:
        msg = "no FAIL_TO_PASS test, so nothing decides this task"
        raise TaskError(msg)
    base = columns.inner("base")
    date, undated = created(columns.text("created_at"))
    task = Task(
        instance_id=file_name(columns.text("instance_id") or f"{owner}__{name}-{number}"),
        repo=f"{owner}/{name}",
        base_commit=base.required("sha"),
        patch=patch,
        test_patch=columns.text("test_patch"),
        problem_statement=statement,
        hints_text=columns.text("hints", "hints_text"),
        created_at=date,
        FAIL_TO_PASS=fail_to_pass.names,
        PASS_TO_PASS=pass_to_pass.names,
        image=columns.text("image", "image_name"),
        language=(columns.text("language", "lang") or language_of(patch)).lower(),
        source="multi-swe",
        license=columns.text("license"),
    )
    return task, (*fail_to_pass.warnings, *pass_to_pass.warnings, *undated, *told)


def language_of(patch: str) -> str:
    """The language of most files a patch names; ``unknown`` when it names no source file."""
    found = Counter(
        _LANGUAGES[suffix]
        for path in sorted(patch_paths(patch))
        if (suffix := PurePosixPath(path).suffix.lower()) in _LANGUAGES
    )
    return found.most_common(1)[0][0] if found else "unknown"


def _statement(columns: Columns) -> tuple[str, tuple[str, ...]]:
    """The issues that were resolved; without one the pull request, which may tell the fix."""
    issues = columns.value("resolved_issues")
    texts = [
        "\n\n".join(str(one[key]) for key in ("title", "body") if one.get(key))
        for one in (issues if isinstance(issues, list | tuple) else ())
        if isinstance(one, Mapping)
    ]
    said = "\n\n".join(text for text in texts if text.strip())
    if said:
        return said, ()
    pull = "\n\n".join(filter(str.strip, (columns.text("title"), columns.text("body"))))
    return pull, ("statement taken from the pull request",) if pull else ("no problem statement",)


def _names(value: Any, column: str) -> list[str]:
    """Test names of a table: name -> statuses, or columns of names and statuses, or a list.

    Parquet gives every row the names of all rows; those that are not this row's hold nothing.
    """
    if value is None:
        return []
    if isinstance(value, Mapping):
        if set(value) <= _COLUMNAR and isinstance(value.get("name"), list | tuple):
            return [str(name) for name in value["name"]]
        return [str(name) for name, status in value.items() if status is not None]
    if isinstance(value, list | tuple):
        named = [one.get("name") if isinstance(one, Mapping) else one for one in value]
        if all(isinstance(name, str) for name in named):
            return [str(name) for name in named]
    msg = f"column {column} is no table of tests"
    raise TaskError(msg, where=type(value).__name__)
