"""From a raw row to a frozen record, or three lines that say what is wrong with it.

A reader refuses what it does not know: another schema, a newer version, an unknown column. Dropping
a column silently would lose data on the next write.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from regreen.core.errors import UsageError
from regreen.core.task import Task

__all__ = ["to_record"]

Record = TypeVar("Record", bound=BaseModel)


def to_record(model: type[Record], row: Mapping[str, Any], where: str) -> Record:
    """Validate ``row`` as ``model``; null in an optional column takes the column's default.

    Raises:
        UsageError: what is wrong, at ``where``.
    """
    fields = model.model_fields
    if "schema_name" in fields:
        _check_schema(row, fields["schema_name"].default, fields["schema_version"].default, where)
    unknown = sorted(set(row) - set(fields))
    if unknown:
        what = f"unknown columns: {', '.join(unknown)}"
        drop = ", or name them in drop= of regreen.store.read_tasks" if model is Task else ""
        mend = f"remove these columns{drop}"
        raise UsageError(what, where=where, mend=mend)
    required = [name for name, field in fields.items() if field.is_required()]
    missing = [name for name in required if name not in row]
    if missing:
        what = f"missing columns: {', '.join(missing)}"
        mend = f"add them; a row needs {', '.join(required)}"
        raise UsageError(what, where=where, mend=mend)
    try:
        return model.model_validate(
            {k: v for k, v in row.items() if v is not None or k in required}
        )
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        column = ".".join(str(part) for part in first["loc"])
        what = f"column {column}: {first['msg']}"
        raise UsageError(what, where=where, mend=f"correct the value of {column}") from error


def _check_schema(row: Mapping[str, Any], name: str, version: int, where: str) -> None:
    found = row.get("schema_name")
    if found is not None and found != name:
        what = f"this row is a {found!r}, not a {name!r}"
        raise UsageError(what, where=where, mend=f"name a file that holds {name} rows")
    number = row.get("schema_version")
    if number in (None, version) and not isinstance(number, bool):
        return
    newer = isinstance(number, int) and number > version
    hint = "it was written by a newer regreen" if newer else "no regreen wrote it"
    what = f"this row has {name} version {number!r} and this reader knows version {version}; {hint}"
    mend = "upgrade regreen, or write the file again with this version"
    raise UsageError(what, where=where, mend=mend)
