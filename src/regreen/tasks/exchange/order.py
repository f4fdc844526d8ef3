"""The order of tasks that are folders, in one file beside them.

Folders have names and no order. Other projects' loaders look for folders with a task in them, so
they pass over a file; a folder that it does not name comes behind the others, by its name.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from regreen.core.errors import UsageError
from regreen.store.atomic import write_text

__all__ = ["in_order", "write_order"]

_FILE = "regreen-order.json"
_SCHEMA = {"schema_name": "regreen.task_order", "schema_version": 1}


def write_order(root: Path, instance_ids: Sequence[str]) -> None:
    """Keep the order in which tasks were written below a folder."""
    text = json.dumps({**_SCHEMA, "instance_ids": list(instance_ids)}, indent=1)
    write_text(root / _FILE, text + "\n")


def in_order(root: Path, folders: Sequence[Path]) -> list[Path]:
    """Folders of tasks in the order that was kept, or by their names.

    Raises:
        UsageError: what was kept cannot be understood.
    """
    places = _places(root / _FILE)
    return sorted(folders, key=lambda one: (places.get(one.name, len(places)), one.name))


def _places(path: Path) -> dict[str, int]:
    if not path.is_file():
        return {}
    try:
        found = json.loads(path.read_bytes())
        known = {name: found[name] for name in _SCHEMA} == _SCHEMA
        names = [str(one) for one in found["instance_ids"]]
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        known, names = False, []
    if not known:
        msg = "this is no order of tasks, or one of a newer regreen"
        raise UsageError(msg, where=str(path), mend="remove it, and tasks are read by their names")
    return {name: place for place, name in enumerate(names)}
