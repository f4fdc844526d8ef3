"""Rows of SWE-smith: bugs put into one commit, published as the diff that puts them in.

The fix is that diff turned round. Their ``repo`` is a copy on their own account and their base a
branch of it; the original's owner, name and commit stand in ``instance_id``. No test patch comes
with a row: the hidden files are those of FAIL_TO_PASS, and attaching the repository adds them.
"""

from __future__ import annotations

import re

from regreen.core.errors import TaskError
from regreen.core.task import Task
from regreen.tasks.exchange.columns import Columns, created, file_name
from regreen.tasks.exchange.sections import flipped
from regreen.tasks.exchange.swe_bench import both_lists

__all__ = ["SOURCE", "read_swe_smith"]

SOURCE = "swe-smith"
_ID = re.compile(
    r"(?P<owner>[^/]+?)__(?P<name>[^/]+)\.(?P<commit>[0-9a-f]{8})\.(?P<bug>.+)\Z", re.DOTALL
)


def read_swe_smith(columns: Columns) -> tuple[Task, tuple[str, ...]]:
    """A task whose ``environment_setup_commit`` is the healthy commit, and warnings.

    Raises:
        TaskError: the row cannot be a task, or its patch cannot be turned round.
    """
    instance_id = file_name(columns.required("instance_id"))
    origin = _ID.match(instance_id)
    if origin is None:
        msg = "instance_id does not name owner, repository and commit"
        raise TaskError(msg, where=ascii(instance_id))
    columns.text("repo")
    fail_to_pass, pass_to_pass, warnings = both_lists(columns)
    date, undated = created(columns.text("created_at"))
    statement = columns.text("problem_statement")
    task = Task(
        instance_id=instance_id,
        repo=f"{origin['owner']}/{origin['name']}",
        base_commit=columns.text("base_commit"),
        patch=flipped(columns.required("patch")),
        test_patch="",
        problem_statement=statement,
        hints_text=columns.text("hints_text"),
        created_at=date,
        version=columns.text("version"),
        FAIL_TO_PASS=fail_to_pass,
        PASS_TO_PASS=pass_to_pass,
        environment_setup_commit=origin["commit"],
        image=columns.text("image_name"),
        language=(columns.text("language") or "python").lower(),
        source=SOURCE,
        operators=(origin["bug"].partition("__")[0],),
    )
    unsaid = () if statement.strip() else ("no problem statement",)
    return task, (*warnings, *undated, *unsaid)
