"""Files of one task's folder, as bytes, so that a patch keeps its carriage returns."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from regreen.core.errors import RegreenError, TaskError
from regreen.core.task import Task
from regreen.store.atomic import disk_error

__all__ = ["ROW_FILE", "load_json", "load_text", "remaining_row", "write_folder"]

ROW_FILE = "regreen.json"
"""What of our row has no place in the other project's files."""


def remaining_row(task: Task, *elsewhere: str) -> str:
    """The row as JSON without the columns that stand in files of their own."""
    row = task.model_dump(mode="json", exclude=set(elsewhere))
    return json.dumps(row, indent=1, ensure_ascii=True) + "\n"


def write_folder(folder: Path, files: Mapping[str, str], *, programs: tuple[str, ...] = ()) -> None:
    """Write a folder beside its place and put it there whole; one that stands is replaced.

    Raises:
        TaskError: a text cannot be written as UTF-8.
        RegreenError: the disk is full or the place cannot be written.
    """
    staged = folder.with_name(f".{folder.name}.tmp")
    try:
        shutil.rmtree(staged, ignore_errors=True)
        for name, text in files.items():
            path = staged / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(text.encode("utf-8", "surrogateescape"))
            if name in programs:
                path.chmod(0o755)
        shutil.rmtree(folder, ignore_errors=True)
        staged.rename(folder)
    except UnicodeEncodeError as exc:
        msg = "a text is no Unicode, so it cannot be a file"
        raise TaskError(msg, where=ascii(exc.object[exc.start : exc.end])) from exc
    except OSError as exc:
        raise disk_error(exc, folder) from exc
    finally:
        shutil.rmtree(staged, ignore_errors=True)


def load_text(path: Path) -> str:
    """A file as text; bytes that are not UTF-8 become surrogates."""
    return path.read_bytes().decode("utf-8", "surrogateescape")


def load_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file.

    Raises:
        RegreenError: it holds something else.
    """
    found = json.loads(path.read_bytes())
    if not isinstance(found, dict):
        msg = f"{path.name} holds no JSON object"
        raise RegreenError(msg, where=str(path))
    return found
