"""Which project a row comes from, by its columns, and its reading into a task."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from regreen.core.errors import RegreenError, TaskError
from regreen.core.task import Task
from regreen.store.rows import to_record
from regreen.tasks.exchange.columns import Columns, Reading, file_name
from regreen.tasks.exchange.multi_swe import read_multi_swe
from regreen.tasks.exchange.swe_bench import read_swe_bench
from regreen.tasks.exchange.swe_rebench import read_swe_rebench
from regreen.tasks.exchange.swe_smith import read_swe_smith

__all__ = ["KINDS", "kind_of", "read_row"]

_Reader = Callable[[Columns], tuple[Task, tuple[str, ...]]]


def _own(columns: Columns) -> tuple[Task, tuple[str, ...]]:
    task = to_record(Task, columns.row, "")
    file_name(task.instance_id)
    columns.value(*columns.row)
    return task, ()


KINDS: dict[str, _Reader] = {
    "regreen": _own,
    "multi-swe": read_multi_swe,
    "swe-rebench": read_swe_rebench,
    "swe-smith": read_swe_smith,
    "swe-gym": partial(read_swe_bench, source="swe-gym"),
    "swe-bench": partial(read_swe_bench, source="swe-bench"),
}
"""Readers by the name that ``--from`` takes."""


_SIGNS: tuple[tuple[str, set[str], set[str]], ...] = (
    ("multi-swe", {"org", "number", "fix_patch"}, set()),
    ("swe-rebench", {"instance_id", "patch", "install_config"}, set()),
    ("swe-smith", {"instance_id", "patch", "image_name"}, {"test_patch"}),
    ("swe-smith", {"instance_id", "patch", "base_commit"}, {"test_patch"}),
    (
        "swe-gym",
        {"instance_id", "patch", "test_patch", "base_commit", "version", "hints_text"},
        {"environment_setup_commit", "eval_script", "language"},
    ),
    ("swe-bench", {"instance_id", "patch", "test_patch", "base_commit"}, set()),
)
"""Columns each format has and lacks; the first that fits wins."""


def kind_of(row: Mapping[str, Any]) -> str:
    """The format whose columns the row has; empty when it is none we know."""
    if row.get("schema_name") == "regreen.task":
        return "regreen"
    has = row.keys()
    fits = (name for name, needs, lacks in _SIGNS if needs <= has and not lacks & has)
    return next(fits, "")


def read_row(row: Mapping[str, Any], *, where: str, kind: str = "") -> Reading:
    """Read one row; whatever is wrong with it becomes the reading's reason.

    Args:
        row: as JSON or Parquet gives it.
        where: file and line, for the record.
        kind: one of ``KINDS``; found by the columns when empty.
    """
    name = row.get("instance_id")
    instance_id = name if isinstance(name, str) else ""
    kind = kind or kind_of(row)
    try:
        if not kind:
            msg = "its columns are those of no format we read"
            raise TaskError(msg, where=", ".join(sorted(map(str, row)))[:200])
        columns = Columns(row)
        task, warnings = KINDS[kind](columns)
    except RegreenError as exc:
        reason = f"{exc.what}: {exc.where}" if exc.where else exc.what
        return Reading(where=where, instance_id=instance_id, kind=kind, reason=reason)
    return Reading(
        where=where,
        instance_id=task.instance_id,
        kind=kind,
        task=task,
        warnings=warnings,
        left_out=columns.left_out(),
    )
